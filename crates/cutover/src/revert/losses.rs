//! What would be lost: tables and columns that go and hold something in the database itself.

use cutover_analysis::diff::{Attribute, Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Value};
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;

use super::RevertError;
use crate::apply::own_startup;

/// How long it is looked for something in one table before it is taken to hold something.
/// Rows that a policy hides are an error then, and not nothing.
const LONGEST: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET row_security = off";

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

    /// What is lost by changes that lead back.
    pub(super) async fn of_changes(&mut self, changes: &[Change]) -> Result<Found, RevertError> {
        let gone = |change: &&Change| change.what == What::Dropped;
        let tables: Vec<&Id> = changes
            .iter()
            .filter(gone)
            .map(|change| &change.object)
            .filter(|id| id.kind == ObjectKind::Table)
            .collect();
        let mut found = Found::default();
        for change in changes {
            let id = &change.object;
            let with_table = tables
                .iter()
                .any(|table| Some(&table.name) == id.table.as_ref() && table.schema == id.schema);
            match &change.what {
                What::Dropped if !with_table => self.dropped(id, &mut found).await?,
                What::Altered { attributes } => found.lost.extend(changed(id, attributes)),
                What::Created | What::Dropped => {}
            }
        }
        Ok(found)
    }

    /// What goes along with something that is dropped.
    async fn dropped(&mut self, id: &Id, found: &mut Found) -> Result<(), RevertError> {
        if id.kind == ObjectKind::Sequence {
            if self.holds(id, &was_used_sql(id)).await? {
                found.lost.push(format!("{id} and how far it has counted"));
            }
            return Ok(());
        }
        let Some(question) = holds_sql(id) else { return Ok(()) };
        if self.holds(id, &question).await? {
            let what = if id.kind == ObjectKind::Table { "rows" } else { "values" };
            found.lost.push(format!("{id} and its {what}"));
        } else {
            found.emptied.push(id.clone());
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
