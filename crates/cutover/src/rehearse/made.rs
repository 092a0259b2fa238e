//! Roles that migrations make: they belong to the whole server, so that what one pass has made would be in the way of the next one, or
//! stay on a server that is not ours.

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::session::{Failure, Session, Startup};

use super::error::RehearseError;
use crate::migration::Migration;
use crate::project::Project;
use crate::verify::replay;
use crate::verify::sandbox::Scratch;

/// The roles that migrations make and that were not there before.
pub(super) struct Roles(Vec<String>);

impl Roles {
    /// Looks which are not there.
    pub(super) async fn before(
        project: &Project,
        migrations: &[&Migration],
        scratch: &Scratch,
    ) -> Result<Self, RehearseError> {
        let made = replay::made_by(migrations.iter().copied(), &project.vars);
        let mut new: Vec<String> =
            made.into_iter().filter(|(kind, _)| *kind == ObjectKind::Role).map(|(_, name)| name).collect();
        if !new.is_empty() {
            let there = there(scratch, &new).await?;
            new.retain(|name| !there.contains(name));
        }
        Ok(Self(new))
    }

    /// Drops those that are there by now. The databases in which they own anything are gone.
    pub(super) async fn take_back(&self, scratch: &Scratch) -> Result<(), RehearseError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut left = there(scratch, &self.0).await?;
        let mut session = Session::connect(&scratch.maintenance, &Startup::default()).await?;
        // A member of another one, or who has granted something, may have to wait for that one.
        while !left.is_empty() {
            let before = left.len();
            let mut kept = Vec::new();
            for role in left {
                match session.execute(&format!("DROP ROLE IF EXISTS {}", quote_ident(&role))).await {
                    Err(failure @ Failure::Lost(_)) => return Err(failure.into()),
                    Err(failure) => {
                        tracing::debug!(%role, %failure, "left on the server");
                        kept.push(role);
                    }
                    Ok(_) => {}
                }
            }
            if kept.len() == before {
                break;
            }
            left = kept;
        }
        session.close().await;
        Ok(())
    }
}

/// Those of these roles that are there.
async fn there(scratch: &Scratch, names: &[String]) -> Result<Vec<String>, RehearseError> {
    let mut session = Session::connect(&scratch.maintenance, &Startup::default()).await?;
    let names: Vec<String> = names.iter().map(|name| quote_literal(name)).collect();
    let sql = format!("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ({})", names.join(", "));
    let rows = session.query_text(&sql).await?.rows;
    session.close().await;
    Ok(rows.into_iter().flatten().flatten().collect())
}
