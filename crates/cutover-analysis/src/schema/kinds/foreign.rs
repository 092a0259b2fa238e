//! Foreign data wrappers, servers and user mappings. Options may hold passwords: of a mapping only their names are read.

use super::query::{Row, comment, everything, grants, not_a_member, owner, sorted};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const WRAPPER: Kind = Kind { kinds: &[ObjectKind::ForeignDataWrapper], query: wrapper };
pub(crate) const SERVER: Kind = Kind { kinds: &[ObjectKind::ForeignServer], query: server };
pub(crate) const MAPPING: Kind = Kind { kinds: &[ObjectKind::UserMapping], query: mapping };

fn wrapper(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("w.fdwacl", "'F'", "w.fdwowner");
    let class = "pg_foreign_data_wrapper";
    Row {
        kind: "'foreign data wrapper'",
        name: ["NULL", "NULL", "w.fdwname", "NULL"],
        addresses: &[(class, "w.oid", "0")],
        attributes: vec![
            ("handler", "NULLIF(w.fdwhandler, 0)::regproc".to_owned()),
            ("validator", "NULLIF(w.fdwvalidator, 0)::regproc".to_owned()),
            ("foreign options", sorted("w.fdwoptions")),
            owner("w.fdwowner"),
            comment(class, "w.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_foreign_data_wrapper w WHERE {} AND {}",
            everything(asked),
            not_a_member(class, "w.oid")
        ),
    }
    .sql()
}

fn server(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("s.srvacl", "'S'", "s.srvowner");
    let class = "pg_foreign_server";
    Row {
        kind: "'server'",
        name: ["NULL", "NULL", "s.srvname", "NULL"],
        addresses: &[(class, "s.oid", "0")],
        attributes: vec![
            ("type", "s.srvtype".to_owned()),
            ("version", "s.srvversion".to_owned()),
            ("wrapper", "(SELECT w.fdwname FROM pg_foreign_data_wrapper w WHERE w.oid = s.srvfdw)".to_owned()),
            ("foreign options", sorted("s.srvoptions")),
            owner("s.srvowner"),
            comment(class, "s.oid"),
            granted,
            revoked,
        ],
        from: format!("FROM pg_foreign_server s WHERE {} AND {}", everything(asked), not_a_member(class, "s.oid")),
    }
    .sql()
}

fn mapping(asked: &Asked<'_>) -> String {
    Row {
        kind: "'user mapping'",
        name: [
            "NULL",
            "s.srvname",
            "CASE WHEN m.umuser = 0 THEN 'public' ELSE pg_get_userbyid(m.umuser) END",
            "NULL",
        ],
        addresses: &[("pg_user_mapping", "m.oid", "0")],
        attributes: vec![(
            "option names",
            "(SELECT json_agg(split_part(o, '=', 1) ORDER BY o COLLATE \"C\") FROM unnest(v.umoptions) o)".to_owned(),
        )],
        // `pg_user_mapping` itself is the superuser's alone.
        from: format!(
            "FROM (SELECT v.umid AS oid, v.umuser, v.srvid, v.umoptions FROM pg_user_mappings v) m
               JOIN pg_user_mappings v ON v.umid = m.oid JOIN pg_foreign_server s ON s.oid = m.srvid WHERE {}",
            everything(asked)
        ),
    }
    .sql()
}
