//! A schema read from a live database: one snapshot, few round trips.

use cutover_analysis::schema::{self, Asked, Builder, Present, Schema};
use cutover_postgres::session::{Answer, Failure, Session, SimpleColumn};
use cutover_postgres::sqlstate;
use sha2::{Digest as _, Sha256};

use super::{BEGIN_READING, CatalogError};
use crate::project::text::hex;

/// Reads everything the schemas are made of; with none named, of all but the system's and cutover's own, and what is in no
/// schema. Members of extensions are left out. The session must not be inside a transaction. What PostgreSQL prints of views,
/// indexes and the like it looks up as it is now, not as the snapshot has it: where that is gone, all is read once more.
///
/// # Errors
/// As the server says; [`CatalogError::Moved`] where something is gone the second time, too.
pub async fn schema(session: &mut Session, schemas: &[String]) -> Result<Schema, CatalogError> {
    match Box::pin(in_one_snapshot(session, schemas)).await {
        Err(CatalogError::Failed(failure)) if is_gone(&failure) => {}
        read => return read,
    }
    Box::pin(in_one_snapshot(session, schemas)).await.map_err(|error| match error {
        CatalogError::Failed(failure) if is_gone(&failure) => CatalogError::Moved(failure),
        error => error,
    })
}

/// Whether what was asked about is not there any more: all that is asked names what the snapshot has, by number.
fn is_gone(failure: &Failure) -> bool {
    let Some(message) = failure.server() else { return false };
    match message.code.as_str() {
        sqlstate::UNDEFINED_TABLE
        | sqlstate::UNDEFINED_OBJECT
        | sqlstate::UNDEFINED_FUNCTION
        | sqlstate::UNDEFINED_COLUMN
        | sqlstate::NO_SUCH_SCHEMA => true,
        sqlstate::INTERNAL_ERROR => ["could not open relation", "cache lookup failed", "could not find"]
            .iter()
            .any(|words| message.message.contains(words)),
        _ => false,
    }
}

async fn in_one_snapshot(session: &mut Session, schemas: &[String]) -> Result<Schema, CatalogError> {
    let server_version = session.server_version_num();
    let begun = session.query_text(&format!("{BEGIN_READING}; {}", Present::query())).await;
    let read = match &begun {
        Ok(seen) => {
            let present = Present::read(seen.scalar().unwrap_or_default());
            let asked = Asked { schemas, server_version, present: &present };
            rows(session, &asked).await
        }
        Err(failure) => Err(failure.clone().into()),
    };
    // Whatever the queries said, the transaction must end; its own failure matters only when they went well.
    let end = session.execute("ROLLBACK").await;
    let schema = read?;
    end?;
    Ok(schema)
}

async fn rows(session: &mut Session, asked: &Asked<'_>) -> Result<Schema, CatalogError> {
    let mut builder = Builder::new(asked.server_version);
    let mut bad = None;
    let text = schema::queries(asked);
    let read = session.query_each(&text, |answer| match answer {
        Answer::Columns(columns) => builder.columns(columns.iter().map(SimpleColumn::name)),
        Answer::Row(row) => {
            if let Err(why) = builder.row(|index| Answer::field(row, index)) {
                bad.get_or_insert(why);
            }
        }
    });
    read.await?;
    bad.map_or_else(|| Ok(builder.finish()), |why| Err(why.into()))
}

/// The fingerprint of a schema: SHA-256 of its canonical text, in hex.
#[must_use]
pub fn fingerprint(schema: &Schema) -> String {
    hex(&Sha256::digest(schema.canonical_text()))
}
