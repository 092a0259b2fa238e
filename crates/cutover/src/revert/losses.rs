//! What would be lost: tables and columns that go and hold something in the database itself.

use cutover_analysis::diff::{Attribute, Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::Id;
use cutover_analysis::sql::quote_ident;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;

use super::RevertError;
use crate::apply::own_startup;

/// How long it is looked for something in one table before it is taken to hold something.
const LONGEST: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'";

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

    /// What is lost by changes that lead back, in words.
    pub(super) async fn of_changes(&mut self, changes: &[Change]) -> Result<Vec<String>, RevertError> {
        let gone = |change: &&Change| change.what == What::Dropped;
        let tables: Vec<&Id> = changes
            .iter()
            .filter(gone)
            .map(|change| &change.object)
            .filter(|id| id.kind == ObjectKind::Table)
            .collect();
        let mut lost = Vec::new();
        for change in changes {
            let id = &change.object;
            let with_table = tables
                .iter()
                .any(|table| Some(&table.name) == id.table.as_ref() && table.schema == id.schema);
            match &change.what {
                What::Dropped if !with_table => lost.extend(self.dropped(id).await?),
                What::Altered { attributes } => lost.extend(changed(id, attributes)),
                What::Created | What::Dropped => {}
            }
        }
        Ok(lost)
    }

    /// What goes along with something that is dropped.
    async fn dropped(&mut self, id: &Id) -> Result<Option<String>, RevertError> {
        let (question, what) = match id.kind {
            ObjectKind::Table => (format!("SELECT EXISTS (SELECT FROM ONLY {})", id.name_sql()), "rows"),
            ObjectKind::Column => {
                let name = quote_ident(&id.name);
                (format!("SELECT EXISTS (SELECT FROM {} WHERE {name} IS NOT NULL)", id.table_sql()), "values")
            }
            _ => return Ok(None),
        };
        Ok(self.holds(id, &question).await?.then(|| format!("{id} and its {what}")))
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
    let name = match id.kind {
        ObjectKind::Column => "type",
        ObjectKind::Type => "values",
        _ => return None,
    };
    let found = attributes.iter().find(|attribute| attribute.name == name)?;
    Some(format!("perhaps values of {id}: {found}"))
}
