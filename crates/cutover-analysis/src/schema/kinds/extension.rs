//! Extensions. What belongs to one is the extension's own affair.

use super::query::{Row, comment, everything};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Extension], query };

/// The oid of `pg_extension`, the same on all versions (`pg_extension.h`).
pub(crate) const CLASS: u32 = 3079;

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'extension'",
        name: ["NULL", "NULL", "x.extname", "NULL"],
        addresses: &[("pg_extension", "x.oid", "0")],
        attributes: vec![
            ("version", "x.extversion".to_owned()),
            ("schema", "CASE WHEN n.nspname <> 'pg_catalog' THEN n.nspname END".to_owned()),
            comment_of_ours(),
        ],
        // `plpgsql` is there from the beginning.
        from: format!(
            "FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.oid >= 16384 AND {}",
            everything(asked)
        ),
    }
    .sql()
}

/// An extension's control file brings a comment of its own.
fn comment_of_ours() -> (&'static str, String) {
    let (name, sql) = comment("pg_extension", "x.oid");
    (name, format!("NULLIF({sql}, (SELECT a.comment FROM pg_available_extensions a WHERE a.name = x.extname))"))
}
