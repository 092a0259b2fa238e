//! What the catalogue says of statements outside a transaction that are not about indexes: partitions that are being
//! detached, databases and tablespaces.

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::sql::{quote_ident, quote_literal, quote_qualified};
use cutover_postgres::session::{Failure, Session};

/// Where a partition stands towards its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detach {
    /// It is one of its partitions.
    Attached,
    /// `DETACH … CONCURRENTLY` has begun and must be finished: until then the parent refuses other ones.
    Pending,
    /// It is there, and no partition of it.
    Detached,
    /// There is no such table.
    Missing,
}

/// First server version that detaches concurrently.
const DETACHES_CONCURRENTLY: u32 = 140_000;

/// An object as SQL text, found by the session's search path where it has no schema.
fn name(object: &ObjectRef) -> String {
    object
        .schema
        .as_ref()
        .map_or_else(|| quote_ident(&object.name), |schema| quote_qualified(schema, &object.name))
}

/// Looks at a partition.
pub(super) async fn detach(
    session: &mut Session,
    parent: &ObjectRef,
    partition: &ObjectRef,
) -> Result<Detach, Failure> {
    let pending =
        if session.server_version_num() >= DETACHES_CONCURRENTLY { "inhdetachpending" } else { "false" };
    let (parent, partition) = (quote_literal(&name(parent)), quote_literal(&name(partition)));
    let done = session
        .query_text(&format!(
            "SELECT CASE WHEN pg_catalog.to_regclass({partition}) IS NULL THEN 'missing'
                         ELSE coalesce((SELECT CASE WHEN {pending} THEN 'pending' ELSE 'attached' END
                                          FROM pg_catalog.pg_inherits
                                         WHERE inhrelid = pg_catalog.to_regclass({partition})
                                           AND inhparent = pg_catalog.to_regclass({parent})), 'detached') END"
        ))
        .await?;
    Ok(match done.scalar() {
        Some("attached") => Detach::Attached,
        Some("pending") => Detach::Pending,
        Some("detached") => Detach::Detached,
        _ => Detach::Missing,
    })
}

/// What finishes a detach that is pending.
pub(super) fn finalize(parent: &ObjectRef, partition: &ObjectRef) -> String {
    format!("ALTER TABLE {} DETACH PARTITION {} FINALIZE", name(parent), name(partition))
}

/// Whether a database or tablespace is there; `None` for kinds that are not looked up.
pub(super) async fn exists(session: &mut Session, object: &ObjectRef) -> Result<Option<bool>, Failure> {
    let (catalogue, column) = match object.kind {
        ObjectKind::Database => ("pg_database", "datname"),
        ObjectKind::Tablespace => ("pg_tablespace", "spcname"),
        _ => return Ok(None),
    };
    let done = session
        .query_text(&format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.{catalogue} WHERE {column} = {})",
            quote_literal(&object.name)
        ))
        .await?;
    Ok(Some(done.scalar() == Some("t")))
}
