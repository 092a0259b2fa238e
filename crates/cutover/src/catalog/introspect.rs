//! A schema read from a live database: one snapshot, one round trip.

use cutover_analysis::schema::{self, Asked, Schema};
use cutover_postgres::session::Session;
use sha2::{Digest as _, Sha256};

use super::{CatalogError, read_all};
use crate::project::text::hex;

/// Reads everything the schemas are made of; with none named, of all but the system's and cutover's own, and what is in no
/// schema. Members of extensions are left out. The session must not be inside a transaction.
///
/// # Errors
/// As the server says.
pub async fn schema(session: &mut Session, schemas: &[String]) -> Result<Schema, CatalogError> {
    let server_version = session.server_version_num();
    let owner = session.query_text("SELECT current_user").await?.scalar().unwrap_or_default().to_owned();
    let queries = schema::queries(&Asked { schemas, server_version });
    let [rows] = read_all(session, [&queries]).await?;
    Ok(schema::from_rows(rows, server_version, owner)?)
}

/// The fingerprint of a schema: SHA-256 of its canonical text, in hex.
#[must_use]
pub fn fingerprint(schema: &Schema) -> String {
    hex(&Sha256::digest(schema.canonical_text()))
}
