//! Aggregates.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, never, plain_drop, with_arguments};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Aggregate],
    present: Some("pg_aggregate WHERE aggfnoid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("p.proacl", "'f'", "p.proowner");
    let function = |column: &str| format!("NULLIF(a.{column}, 0)::regproc");
    Row {
        kind: "'aggregate'",
        name: [
            "n.nspname",
            "NULL",
            "p.proname",
            "CASE WHEN p.pronargs = 0 THEN '*' ELSE pg_get_function_identity_arguments(p.oid) END",
        ],
        addresses: &[("pg_proc", "p.oid", "0")],
        attributes: vec![
            (
                "definition",
                format!(
                    "concat_ws(', ', 'SFUNC = ' || a.aggtransfn::regproc, 'STYPE = ' || format_type(a.aggtranstype, NULL),
                       'SSPACE = ' || NULLIF(a.aggtransspace, 0), 'FINALFUNC = ' || {final},
                       CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
                       CASE WHEN a.aggfinalmodify <> CASE WHEN a.aggkind = 'n' THEN 'r' ELSE 'w' END THEN 'FINALFUNC_MODIFY = '
                         || CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END,
                       'COMBINEFUNC = ' || {combine}, 'SERIALFUNC = ' || {serial}, 'DESERIALFUNC = ' || {deserial},
                       'INITCOND = ' || quote_literal(a.agginitval), 'MSFUNC = ' || {moving}, 'MINVFUNC = ' || {inverse},
                       'MSTYPE = ' || format_type(NULLIF(a.aggmtranstype, 0), NULL), 'MSSPACE = ' || NULLIF(a.aggmtransspace, 0),
                       'MFINALFUNC = ' || {mfinal}, CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
                       'MINITCOND = ' || quote_literal(a.aggminitval),
                       (SELECT 'SORTOP = OPERATOR(' || quote_ident(on_.nspname) || '.' || o.oprname || ')' FROM pg_operator o
                          JOIN pg_namespace on_ ON on_.oid = o.oprnamespace WHERE o.oid = a.aggsortop),
                       CASE p.proparallel WHEN 's' THEN 'PARALLEL = SAFE' WHEN 'r' THEN 'PARALLEL = RESTRICTED' END,
                       CASE WHEN a.aggkind = 'h' THEN 'HYPOTHETICAL' END)",
                    r#final = function("aggfinalfn"),
                    combine = function("aggcombinefn"),
                    serial = function("aggserialfn"),
                    deserial = function("aggdeserialfn"),
                    moving = function("aggmtransfn"),
                    inverse = function("aggminvtransfn"),
                    mfinal = function("aggmfinalfn"),
                ),
            ),
            ("result", "pg_get_function_result(p.oid)".to_owned()),
            owner("p.proowner"),
            comment("pg_proc", "p.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid JOIN pg_namespace n ON n.oid = p.pronamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_proc", "p.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making {
    target: with_arguments,
    grantee: Some(grantee),
    create,
    change: never,
    drop: plain_drop,
    remade: true,
};

/// GRANT knows aggregates as functions.
fn grantee(id: &Id) -> String {
    format!(
        "FUNCTION {}({})",
        id.name_sql(),
        id.arguments.as_deref().unwrap_or_default().trim_start_matches('*')
    )
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    vec![Sql::new(format!(
        "CREATE {} ({})",
        with_arguments(id),
        object.text("definition").unwrap_or_default()
    ))]
}
