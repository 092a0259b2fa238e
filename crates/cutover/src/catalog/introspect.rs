//! A schema read from a live database: one snapshot, few round trips.

use cutover_analysis::schema::{self, Asked, Builder, Present, Schema};
use cutover_postgres::session::{Answer, Session, SimpleColumn};
use sha2::{Digest as _, Sha256};

use super::{BEGIN_READING, CatalogError};
use crate::project::text::hex;

/// Reads everything the schemas are made of; with none named, of all but the system's and cutover's own, and what is in no
/// schema. Members of extensions are left out. The session must not be inside a transaction.
///
/// # Errors
/// As the server says.
pub async fn schema(session: &mut Session, schemas: &[String]) -> Result<Schema, CatalogError> {
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
