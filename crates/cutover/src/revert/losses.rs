//! What would be lost: tables and columns that go and hold something in the database itself.

use cutover_analysis::diff::{Attribute, Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Value};
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;

use super::RevertError;
use super::names::Key;
use crate::apply::own_startup;

/// How long it is looked for something in one table before it is taken to hold something.
/// Rows that a policy hides are an error then, and not nothing.
const LONGEST: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET row_security = off";

/// Something that goes by a way back.
#[derive(Debug)]
pub(super) struct Gone {
    /// What it is called when the way back begins.
    pub(super) then: Id,
    /// What it is called now, before any of the ways back; none where it is one of them that makes it.
    pub(super) now: Option<Id>,
    /// What it is, on the server where that was found out.
    pub(super) key: Option<Key>,
}

/// What goes, as it was found.
#[derive(Default)]
pub(super) struct Found {
    /// What is lost, in words.
    pub(super) lost: Vec<String>,
    /// Tables and columns that go and hold nothing.
    pub(super) emptied: Vec<Id>,
}

/// Asks whether a table or a column holds something; of anything else nothing is asked. A composite value whose fields are
/// all null is one.
pub(crate) fn holds_sql(id: &Id) -> Option<String> {
    match id.kind {
        ObjectKind::Table => Some(format!("SELECT EXISTS (SELECT FROM {})", id.name_sql())),
        ObjectKind::Column => {
            let name = quote_ident(&id.name);
            let table = id.table_sql();
            Some(format!("SELECT EXISTS (SELECT FROM {table} WHERE pg_catalog.num_nonnulls({name}) > 0)"))
        }
        _ => None,
    }
}

/// Asks whether a table or a column is there.
pub(crate) fn is_there_sql(id: &Id) -> String {
    let table = format!("pg_catalog.to_regclass({})", quote_literal(&id.table_sql()));
    if id.kind == ObjectKind::Column {
        let name = quote_literal(&id.name);
        return format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = {table} AND attname = {name} AND NOT attisdropped)"
        );
    }
    format!("SELECT {table} IS NOT NULL")
}

/// Asks whether a sequence that belongs to no column has given numbers.
fn was_used_sql(id: &Id) -> String {
    let name = id.name_sql();
    format!(
        "SELECT s.is_called AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
            AND d.objid = {}::regclass AND d.deptype IN ('a', 'i')) FROM {name} s",
        quote_literal(&name)
    )
}

/// A session that looks.
pub(super) struct Losses {
    session: Session,
}

impl Losses {
    pub(super) async fn of(options: &ConnectOptions) -> Result<Self, RevertError> {
        let mut session = Session::connect(options, &own_startup("revert", None)).await?;
        session.execute(LONGEST).await?;
        Ok(Self { session })
    }

    pub(super) async fn close(self) {
        self.session.close().await;
    }

    /// What is lost by what goes and by changes of what stays.
    pub(super) async fn of_changes(
        &mut self,
        gone: &[Gone],
        changes: &[Change],
    ) -> Result<Found, RevertError> {
        let mut found = Found::default();
        for one in gone {
            self.gone(one, &mut found).await?;
        }
        for change in changes {
            if let What::Altered { attributes } = &change.what {
                found.lost.extend(changed(&change.object, attributes));
            }
        }
        Ok(found)
    }

    async fn gone(&mut self, Gone { then, now, .. }: &Gone, found: &mut Found) -> Result<(), RevertError> {
        if then.kind == ObjectKind::Sequence {
            if let Some(now) = now
                && self.holds(now, &was_used_sql(now)).await?
            {
                found.lost.push(format!("{then} and how far it has counted"));
            }
            return Ok(());
        }
        let question = now.as_ref().and_then(|now| Some((now, holds_sql(now)?)));
        let holds = match question {
            Some((now, question)) => self.holds(now, &question).await?,
            None => false,
        };
        if holds {
            let what = if then.kind == ObjectKind::Table { "rows" } else { "values" };
            let called = now.as_ref().filter(|now| *now != then);
            let called = called.map_or_else(String::new, |now| format!(" (now {now})"));
            found.lost.push(format!("{then} and its {what}{called}"));
        } else {
            found.emptied.push(then.clone());
        }
        Ok(())
    }

    /// Whether something is there; what cannot be looked at in time is taken to hold something, what is not there to hold
    /// nothing.
    async fn holds(&mut self, id: &Id, question: &str) -> Result<bool, RevertError> {
        match self.session.query_text(question).await {
            Ok(done) => Ok(done.scalar() == Some("t")),
            // No such table or column: somebody has dropped it.
            Err(failure) if matches!(failure.code(), Some("42P01" | "42703" | "3F000")) => Ok(false),
            Err(failure) if failure.code().is_some() => {
                tracing::debug!(%id, %failure, "taken to hold something");
                Ok(true)
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// What may not fit any more.
fn changed(id: &Id, attributes: &[Attribute]) -> Option<String> {
    let names: &[&str] = match id.kind {
        ObjectKind::Column => &["type"],
        ObjectKind::Type => &["values", "attributes"],
        _ => return None,
    };
    let found = attributes.iter().find(|attribute| names.contains(&attribute.name.as_str()))?;
    if let (ObjectKind::Type, Some(Value::List(from)), Some(Value::List(to))) =
        (id.kind, &found.from, &found.to)
    {
        // What only comes to it takes nothing away, nor does another name in the same place.
        let renamed = found.name == "values"
            && from.len() == to.len()
            && from.iter().zip(to).filter(|(a, b)| a != b).count() == 1;
        if renamed || from.iter().all(|value| to.contains(value)) {
            return None;
        }
    }
    Some(format!("perhaps values of {id}: {found}"))
}
