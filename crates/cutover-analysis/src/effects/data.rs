//! Statements that read and write rows.

use pg_query::NodeEnum;
use pg_query::protobuf::{CopyStmt, SelectStmt, TruncateStmt};

use super::builder::Builder;
use super::maintenance::is_set;
use super::model::{ObjectKind as Kind, ObjectRef};
use super::walk::{Found, Walk};
use super::{names, relations};

/// PostgreSQL's functions that neither change anything (but a sequence) nor leave something in the session, as far
/// as migrations call them. A function that is not here may do anything.
const HARMLESS: &[&str] = &[
    "abs",
    "array_agg",
    "array_append",
    "array_cat",
    "array_length",
    "array_position",
    "array_remove",
    "array_to_string",
    "avg",
    "bool_and",
    "bool_or",
    "btrim",
    "cardinality",
    "ceil",
    "ceiling",
    "char_length",
    "chr",
    "clock_timestamp",
    "concat",
    "concat_ws",
    "count",
    "current_database",
    "current_schema",
    "current_setting",
    "currval",
    "date_part",
    "date_trunc",
    "decode",
    "dense_rank",
    "encode",
    "every",
    "exp",
    "extract",
    "first_value",
    "floor",
    "format",
    "gen_random_uuid",
    "generate_series",
    "generate_subscripts",
    "initcap",
    "json_agg",
    "json_array_elements",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_typeof",
    "jsonb_agg",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_array_length",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_agg",
    "jsonb_object_keys",
    "jsonb_set",
    "jsonb_strip_nulls",
    "jsonb_typeof",
    "lag",
    "last_value",
    "lead",
    "left",
    "length",
    "ln",
    "log",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_timestamp",
    "make_timestamptz",
    "max",
    "md5",
    "min",
    "mod",
    "nextval",
    "now",
    "ntile",
    "nullif",
    "num_nonnulls",
    "num_nulls",
    "octet_length",
    "overlay",
    "percent_rank",
    "pg_get_serial_sequence",
    "pg_typeof",
    "position",
    "power",
    "random",
    "rank",
    "regexp_match",
    "regexp_matches",
    "regexp_replace",
    "regexp_split_to_array",
    "regexp_split_to_table",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "row_number",
    "row_to_json",
    "rpad",
    "rtrim",
    "setval",
    "sha256",
    "sign",
    "split_part",
    "sqrt",
    "starts_with",
    "statement_timestamp",
    "stddev",
    "string_agg",
    "string_to_array",
    "strpos",
    "substr",
    "substring",
    "sum",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_regclass",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "transaction_timestamp",
    "translate",
    "trunc",
    "unnest",
    "upper",
    "variance",
    "version",
];

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::SelectStmt(select) => self::select(select, to),
        NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::MergeStmt(_) => {
            query(&node, "read", to);
        }
        NodeEnum::CopyStmt(copy) => self::copy(copy, to),
        NodeEnum::TruncateStmt(truncate) => self::truncate(truncate, to),
        NodeEnum::LockStmt(lock) => {
            for node in &lock.relations {
                if let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() {
                    to.needs(names::relation(Kind::Relation, relation), "locked");
                }
            }
        }
        NodeEnum::ExplainStmt(explain) => {
            if let Some(query) = explain.query.as_deref().and_then(|query| query.node.as_ref()) {
                if is_set(&explain.options, "analyze") {
                    super::statement(query, to);
                } else {
                    to.needs_all_in(&query, "explained");
                }
            }
        }
        NodeEnum::DeclareCursorStmt(declare) => {
            query(&declare.query, "read by a cursor", to);
            to.session_state();
        }
        _ => return false,
    }
    true
}

fn select(select: &SelectStmt, to: &mut Builder) {
    if let Some(into) = into_clause(select) {
        relations::into(into, Kind::Table, to);
    }
    query(&select, "read", to);
}

/// The INTO clause stands in the first arm of a UNION.
fn into_clause(select: &SelectStmt) -> Option<&pg_query::protobuf::IntoClause> {
    let mut arm = select;
    loop {
        match (&arm.into_clause, &arm.larg) {
            (Some(into), _) => return Some(into),
            (None, Some(left)) => arm = left,
            (None, None) => return None,
        }
    }
}

/// A query that is run: what it mentions has to be there, and the functions it calls may do anything.
pub(super) fn query(tree: &impl Walk, why: &str, to: &mut Builder) {
    let found = to.needs_all_in(tree, why);
    for relation in &found.writes {
        to.writes(relation.clone());
    }
    run_functions(&found, to);
}

fn run_functions(found: &Found, to: &mut Builder) {
    if found.sets_search_path {
        to.search_path();
    }
    for setting in &found.settings {
        to.sets(setting.clone());
    }
    let unknown = found.called.iter().find(|routine| !is_harmless(routine));
    if let Some(routine) = unknown {
        to.opaque(format!("it runs the function {}", routine.name));
        to.session_state();
    }
}

/// Whether a routine may be PostgreSQL's own by its schema.
pub(super) fn is_builtin_name(routine: &ObjectRef) -> bool {
    matches!(routine.schema.as_deref(), None | Some("pg_catalog"))
}

pub(crate) fn is_harmless(routine: &ObjectRef) -> bool {
    is_builtin_name(routine) && HARMLESS.binary_search(&routine.name.as_str()).is_ok()
}

fn copy(copy: &CopyStmt, to: &mut Builder) {
    if let Some(relation) = &copy.relation {
        let object = names::relation(Kind::Relation, relation);
        if copy.is_from {
            to.writes(object.clone());
            to.needs(object, "copied into");
        } else {
            to.needs_to_read(object, "copied from");
        }
    }
    query(&copy.query, "read", to);
    query(&copy.where_clause, "in the condition of COPY", to);
    if copy.is_program {
        to.opaque("COPY … PROGRAM runs a program on the server");
    } else if copy.is_from && copy.filename.is_empty() {
        to.copy_from_stdin();
    }
}

fn truncate(truncate: &TruncateStmt, to: &mut Builder) {
    for node in &truncate.relations {
        if let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() {
            let table = names::relation(Kind::Table, relation);
            to.writes(table.clone());
            to.needs(table, "emptied");
        }
    }
    if truncate.behavior() == pg_query::protobuf::DropBehavior::DropCascade {
        to.opaque("CASCADE also empties the tables that refer to it");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn harmless_functions_are_sorted() {
        assert!(super::HARMLESS.is_sorted());
    }
}
