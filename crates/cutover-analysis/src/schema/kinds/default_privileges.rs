//! Default privileges: what will be granted on objects that a role makes later.

use super::query::{Row, grants, in_scope};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::DefaultPrivileges], query };

fn query(asked: &Asked<'_>) -> String {
    // Those of a schema come on top of the defaults; those of a role alone replace them.
    let letter = "CASE WHEN d.defaclnamespace = 0 THEN CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END END";
    let at_first = format!("({letter})::\"char\"");
    let [granted, revoked] = grants("d.defaclacl", &at_first, "d.defaclrole");
    Row {
        kind: "'default privileges'",
        name: [
            "n.nspname",
            "NULL",
            "quote_ident(pg_get_userbyid(d.defaclrole))",
            "CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END",
        ],
        addresses: &[("pg_default_acl", "d.oid", "0")],
        attributes: vec![granted, revoked],
        from: format!(
            "FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace WHERE d.defaclnamespace = 0 AND {} OR {}",
            super::query::everything(asked),
            in_scope(asked)
        ),
    }
    .sql()
}
