//! What of somebody's DDL may be run on a server that others use, and as what: nothing that anybody wrote is run there, only put where
//! it would be run.
//!
//! What is not listed here is not run. Functions are made without their bodies: a default, an index or a bound of a partition would call
//! them at once. Tables are made without rows, so that nothing is computed for one. PostgreSQL's own functions are called where bounds
//! of partitions are computed, and checks of domains are looked at for those: there, harmless ones alone may stand.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, Constraint, CreateFunctionStmt, CreateTableAsStmt, DoStmt, Node, ObjectType,
    PartitionBoundSpec, SelectStmt, VariableSetStmt,
};

use super::walk::{self, Walk};
use super::{bodies, data};
use crate::sql::lexer::Kind;
use crate::sql::parse;
use crate::sql::tokens::{Token, Tokens};

/// A statement as it may be run on a server that others use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fenced {
    /// What is run.
    pub sql: String,
    /// A function was made without its body: this puts it there, once nothing is run any more that might call it.
    pub whole: Option<String>,
    /// The name of that function.
    pub routine: Option<String>,
}

/// Kinds that belong to one database, and run nothing when they get another name or are commented on.
const OWN: [ObjectType; 17] = [
    ObjectType::ObjectTable,
    ObjectType::ObjectColumn,
    ObjectType::ObjectTabconstraint,
    ObjectType::ObjectDomconstraint,
    ObjectType::ObjectIndex,
    ObjectType::ObjectSequence,
    ObjectType::ObjectView,
    ObjectType::ObjectMatview,
    ObjectType::ObjectForeignTable,
    ObjectType::ObjectType,
    ObjectType::ObjectDomain,
    ObjectType::ObjectAttribute,
    ObjectType::ObjectSchema,
    ObjectType::ObjectTrigger,
    ObjectType::ObjectRule,
    ObjectType::ObjectPolicy,
    ObjectType::ObjectStatisticExt,
];

/// Those that may be commented on or dropped besides.
const TOLD: [ObjectType; 7] = [
    ObjectType::ObjectFunction,
    ObjectType::ObjectProcedure,
    ObjectType::ObjectRoutine,
    ObjectType::ObjectAggregate,
    ObjectType::ObjectExtension,
    ObjectType::ObjectCollation,
    ObjectType::ObjectCast,
];

/// Settings that change nothing but how statements are read and waited for.
const SETTINGS: [&str; 19] = [
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_table_access_method",
    "default_tablespace",
    "default_text_search_config",
    "default_with_oids",
    "escape_string_warning",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "row_security",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
    "transaction_timeout",
    "xmloption",
];

/// Catalogues that blocks look into before they make something.
const CATALOGUES: [&str; 16] = [
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_enum",
    "pg_extension",
    "pg_index",
    "pg_indexes",
    "pg_namespace",
    "pg_policies",
    "pg_policy",
    "pg_proc",
    "pg_roles",
    "pg_sequences",
    "pg_tables",
    "pg_trigger",
    "pg_type",
];

/// A statement as it may be run on a server that others use.
///
/// # Errors
/// Why it may not.
pub fn fenced(text: &str) -> Result<Fenced, String> {
    let as_it_is = |sql: String| Fenced { sql, whole: None, routine: None };
    let parsed = match parse(text) {
        Ok(parsed) => parsed,
        // What a server refuses too does nothing.
        Err(error) => return Err(error.to_string()),
    };
    let mut all = parsed.statements();
    let (Some(node), None) = (all.next(), all.next()) else {
        return Err("it is not one statement".to_owned());
    };
    match node {
        NodeEnum::CreateFunctionStmt(create) => routine(text, create),
        NodeEnum::CreateTableAsStmt(create) => without_rows(text, create).map(as_it_is),
        NodeEnum::VariableSetStmt(set) if set.name == "check_function_bodies" => {
            Ok(as_it_is("SET check_function_bodies = off".to_owned()))
        }
        NodeEnum::SelectStmt(select) if is_setting_only(select) => Ok(as_it_is(text.to_owned())),
        NodeEnum::DoStmt(block) => of_block(block).map(|()| as_it_is(text.to_owned())),
        node => made_only(node).map(|()| as_it_is(text.to_owned())),
    }
}

/// Whether a statement only makes something, and runs nothing for it.
fn made_only(node: &NodeEnum) -> Result<(), String> {
    let unless = |is_fine: bool, why: &str| if is_fine { Ok(()) } else { Err(why.to_owned()) };
    match node {
        NodeEnum::CreateStmt(create) => create.partbound.as_ref().map_or(Ok(()), bound),
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().filter_map(command).try_for_each(|command| {
            match command.def.as_deref().and_then(|def| def.node.as_ref()) {
                Some(NodeEnum::PartitionCmd(partition)) => partition.bound.as_ref().map_or(Ok(()), bound),
                _ => Ok(()),
            }
        }),
        NodeEnum::CreateDomainStmt(create) => create.constraints.iter().try_for_each(check),
        NodeEnum::AlterDomainStmt(alter) => alter.def.as_deref().map_or(Ok(()), check),
        NodeEnum::CreateSchemaStmt(create) => {
            create.schema_elts.iter().filter_map(|node| node.node.as_ref()).try_for_each(made_only)
        }
        NodeEnum::RenameStmt(rename) => {
            unless(OWN.contains(&rename.rename_type()), "another name for what may be called at once")
        }
        NodeEnum::AlterObjectSchemaStmt(alter) => {
            unless(OWN.contains(&alter.object_type()), "another schema for what may be called at once")
        }
        NodeEnum::CommentStmt(comment) => unless(is_told(comment.objtype()), "a comment on what others use"),
        NodeEnum::DropStmt(drop) => unless(is_told(drop.remove_type()), "it drops what others may use"),
        NodeEnum::VariableSetStmt(set) => setting(set),
        NodeEnum::DefineStmt(define) => unless(
            matches!(
                define.kind(),
                ObjectType::ObjectCollation
                    | ObjectType::ObjectTsconfiguration
                    | ObjectType::ObjectTsdictionary
            ),
            "it makes something that calls functions",
        ),
        NodeEnum::IndexStmt(_)
        | NodeEnum::ViewStmt(_)
        | NodeEnum::CreateSeqStmt(_)
        | NodeEnum::AlterSeqStmt(_)
        | NodeEnum::CreateEnumStmt(_)
        | NodeEnum::AlterEnumStmt(_)
        | NodeEnum::CompositeTypeStmt(_)
        | NodeEnum::CreateRangeStmt(_)
        | NodeEnum::CreateTrigStmt(_)
        | NodeEnum::RuleStmt(_)
        | NodeEnum::CreatePolicyStmt(_)
        | NodeEnum::AlterPolicyStmt(_)
        | NodeEnum::CreateStatsStmt(_)
        | NodeEnum::CreateExtensionStmt(_)
        | NodeEnum::CreateForeignServerStmt(_)
        | NodeEnum::CreateForeignTableStmt(_)
        | NodeEnum::CreatePublicationStmt(_)
        | NodeEnum::AlterTsconfigurationStmt(_)
        | NodeEnum::AlterTsdictionaryStmt(_) => Ok(()),
        _ => Err("only what makes tables, and what belongs to them, is run there".to_owned()),
    }
}

fn is_told(kind: ObjectType) -> bool {
    OWN.contains(&kind) || TOLD.contains(&kind)
}

fn command(node: &Node) -> Option<&AlterTableCmd> {
    match node.node.as_ref()? {
        NodeEnum::AlterTableCmd(command) => Some(command),
        _ => None,
    }
}

/// Whether all functions of an expression are PostgreSQL's own and harmless.
fn is_harmless(tree: &impl Walk) -> Result<(), String> {
    let called = walk::find(tree).called;
    let unknown = called.iter().find(|routine| !data::is_harmless(routine));
    unknown.map_or(Ok(()), |routine| Err(format!("it may run the function {}", routine.name)))
}

/// A bound of a partition is computed at once.
fn bound(bound: &PartitionBoundSpec) -> Result<(), String> {
    is_harmless(&(&bound.listdatums, (&bound.lowerdatums, &bound.upperdatums)))
}

/// The check of a domain is looked at for whatever is a value of it, also where no row is.
fn check(node: &Node) -> Result<(), String> {
    match node.node.as_ref() {
        Some(NodeEnum::Constraint(constraint)) => {
            let constraint: &Constraint = constraint;
            is_harmless(&constraint.raw_expr)
        }
        Some(other) => is_harmless(other),
        None => Ok(()),
    }
}

fn setting(set: &VariableSetStmt) -> Result<(), String> {
    if SETTINGS.contains(&set.name.to_ascii_lowercase().as_str()) {
        Ok(())
    } else {
        Err(format!("it sets {}", set.name))
    }
}

/// `SELECT pg_catalog.set_config('search_path', …)`, or `setval(…)`, as dumps have it.
fn is_setting_only(select: &SelectStmt) -> bool {
    let is_bare = select.from_clause.is_empty()
        && select.into_clause.is_none()
        && select.larg.is_none()
        && select.with_clause.is_none()
        && select.where_clause.is_none();
    let found = walk::find(select);
    let is_known = |name: &str| matches!(name, "set_config" | "setval");
    is_bare
        && !found.called.is_empty()
        && found.called.iter().all(|it| data::is_builtin_name(it) && is_known(&it.name))
        && found.settings.iter().all(|setting| setting.name == "search_path")
        && found.called.iter().filter(|it| it.name == "set_config").count() == found.settings.len()
}

/// A block may make what may be made anyway, once it has looked for it in the catalogue.
fn of_block(block: &DoStmt) -> Result<(), String> {
    let mut answer = Ok(());
    bodies::each_statement(block, &mut |node| {
        let one = match node {
            NodeEnum::SelectStmt(select) => looks_only(select),
            NodeEnum::DoStmt(_) => Err("a block in a block".to_owned()),
            node => made_only(node),
        };
        if answer.is_ok() {
            answer = one;
        }
    })?;
    answer
}

fn looks_only(select: &SelectStmt) -> Result<(), String> {
    is_harmless(select)?;
    let found = walk::find(select);
    let is_own = |schema: Option<&str>, name: &str| match schema {
        Some("pg_catalog") | None => CATALOGUES.contains(&name),
        Some(schema) => schema == "information_schema",
    };
    let other = found.reads.iter().find(|read| !is_own(read.schema.as_deref(), &read.name));
    match other {
        Some(other) => Err(format!("a block reads {}", other.name)),
        None if !found.changes.is_empty() || select.into_clause.is_some() => {
            Err("a block writes rows".to_owned())
        }
        None => Ok(()),
    }
}

/// A table or view of what a query finds, without what it finds: the query is not run.
fn without_rows(text: &str, create: &CreateTableAsStmt) -> Result<String, String> {
    let skips = |create: &CreateTableAsStmt| create.into.as_ref().is_some_and(|into| into.skip_data);
    if skips(create) {
        return Ok(text.to_owned());
    }
    let empty = format!("{text}\nWITH NO DATA");
    let is_so = parse(&empty).is_ok_and(|parsed| {
        let mut all = parsed.statements();
        matches!((all.next(), all.next()), (Some(NodeEnum::CreateTableAsStmt(create)), None) if skips(create))
    });
    if is_so { Ok(empty) } else { Err("it runs a query".to_owned()) }
}

/// A function, first without its body.
fn routine(text: &str, create: &CreateFunctionStmt) -> Result<Fenced, String> {
    let language = bodies::language(&create.options);
    let is_known = match language.as_deref() {
        Some("sql" | "plpgsql") => true,
        None => create.sql_body.is_some(),
        Some(_) => false,
    };
    if !is_known {
        return Err("a function in another language than SQL and PL/pgSQL".to_owned());
    }
    let name = create.funcname.iter().filter_map(super::names::text).map(str::to_owned).collect::<Vec<_>>();
    if name.len() > 1 && name.first().is_some_and(|schema| schema == "pg_catalog") {
        return Err("a function among PostgreSQL's own".to_owned());
    }
    let cut = "its body cannot be told from the rest";
    let empty = emptied(text, language.is_none()).filter(|empty| is_empty(empty)).ok_or(cut)?;
    let whole = replacing(text).ok_or(cut)?;
    Ok(Fenced { sql: empty, whole: Some(whole), routine: name.last().cloned() })
}

/// The text with an empty body.
fn emptied(text: &str, says_no_language: bool) -> Option<String> {
    let tokens: Vec<Token<'_>> = Tokens::new(text).collect();
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        let next = tokens.get(at + 1);
        if depth > 0 {
            continue;
        }
        if token.is("as")
            && let Some(body) = next.filter(|next| next.kind == Kind::String)
        {
            let (before, behind) = (text.get(..body.at)?, text.get(body.at + body.text.len()..)?);
            return Some(format!("{before}''{behind}"));
        }
        let is_begin = token.is("begin") && next.is_some_and(|next| next.is("atomic"));
        if is_begin || token.is("return") {
            let language = if says_no_language { "LANGUAGE sql " } else { "" };
            return Some(format!("{} {language}AS ''", text.get(..token.at)?));
        }
    }
    None
}

/// Whether a text makes a function with an empty body.
fn is_empty(text: &str) -> bool {
    parse(text).is_ok_and(|parsed| {
        let mut all = parsed.statements();
        let (Some(NodeEnum::CreateFunctionStmt(create)), None) = (all.next(), all.next()) else {
            return false;
        };
        create.sql_body.is_none() && bodies::text_of(&create.options, "as") == Some("")
    })
}

/// The text with OR REPLACE.
fn replacing(text: &str) -> Option<String> {
    let mut tokens = Tokens::new(text);
    let first = tokens.next().filter(|first| first.is("create"))?;
    if tokens.next()?.is("or") {
        return Some(text.to_owned());
    }
    let end = first.at + first.text.len();
    Some(format!("{} OR REPLACE{}", text.get(..end)?, text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::fenced;

    #[test]
    fn functions_are_made_without_their_bodies_and_get_them_later() {
        let head = "CREATE FUNCTION f(\"as\" int DEFAULT 1) RETURNS int";
        for (text, empty) in [
            (
                format!("{head} LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN x; END $b$"),
                format!("{head} LANGUAGE plpgsql IMMUTABLE AS ''"),
            ),
            (format!("{head} AS $$SELECT ' x '$$ LANGUAGE sql"), format!("{head} AS '' LANGUAGE sql")),
            (
                format!("{head} LANGUAGE sql BEGIN ATOMIC SELECT 1; END"),
                format!("{head} LANGUAGE sql  AS ''"),
            ),
            (format!("{head} IMMUTABLE RETURN 1"), format!("{head} IMMUTABLE  LANGUAGE sql AS ''")),
        ] {
            let found = fenced(&text).unwrap();
            assert_eq!(found.sql, empty);
            assert_eq!(
                found.whole.as_deref(),
                Some(text.replacen("CREATE", "CREATE OR REPLACE", 1).as_str())
            );
            assert_eq!(found.routine.as_deref(), Some("f"));
        }
        for text in [
            "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x', 'y'",
            "CREATE FUNCTION f(text) RETURNS text LANGUAGE internal AS 'pg_read_file'",
            "CREATE OR REPLACE FUNCTION pg_catalog.lower(text) RETURNS text LANGUAGE sql AS 'SELECT 1'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT'\n' 1'",
        ] {
            assert!(fenced(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_run_makes_something_and_calls_nothing() {
        for text in [
            "CREATE TABLE t (n int DEFAULT f(), CHECK (f() > 0)) PARTITION BY LIST (n)",
            "CREATE TABLE p PARTITION OF t FOR VALUES IN (1, -2)",
            "CREATE TABLE p PARTITION OF t FOR VALUES FROM ('2020-01-01'::date) TO (MAXVALUE)",
            "ALTER TABLE t ADD COLUMN b text DEFAULT f()",
            "CREATE INDEX CONCURRENTLY i ON t (f(n))",
            "CREATE VIEW v AS SELECT pg_read_file('x')",
            "CREATE DOMAIN d AS text CHECK (length(VALUE) > 3 AND VALUE ~ 'x')",
            "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
            "SET search_path = app",
            "SELECT pg_catalog.set_config('search_path', '', false)",
            "SELECT setval('s', 3)",
            "COMMENT ON TABLE t IS 'x'",
            "DROP TABLE t CASCADE",
            "CREATE EXTENSION citext",
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN CREATE TYPE mood AS ENUM ('a'); END IF; END $$",
            "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        ] {
            assert_eq!(fenced(text).map(|it| it.sql).as_deref(), Ok(text));
        }
        for text in ["CREATE TABLE t AS SELECT f() AS x -- y", "CREATE MATERIALIZED VIEW v AS SELECT 1 AS x"]
        {
            assert_eq!(fenced(text).unwrap().sql, format!("{text}\nWITH NO DATA"));
        }
        for text in [
            "CREATE TABLE t AS SELECT f() AS x WITH DATA",
            "SELECT 1 AS x INTO t",
            "SELECT set_config('work_mem', '1MB', false)",
            "SELECT set_config(x, '1MB', false)",
            "SELECT f()",
            "CREATE ROLE r",
            "ALTER DATABASE d SET work_mem = '1MB'",
            "ALTER SYSTEM SET work_mem = '1MB'",
            "CREATE TABLE p PARTITION OF t FOR VALUES IN ((pg_create_physical_replication_slot('x'))::text)",
            "ALTER TABLE t ATTACH PARTITION p FOR VALUES FROM (f()) TO (MAXVALUE)",
            "CREATE SCHEMA s CREATE TABLE p PARTITION OF t FOR VALUES IN (f())",
            "CREATE DOMAIN d AS text CHECK (pg_read_file(VALUE) > '')",
            "ALTER DOMAIN d ADD CHECK (f(VALUE))",
            "ALTER FUNCTION pg_catalog.pg_read_file(text) STABLE",
            "ALTER FUNCTION pg_catalog.pg_read_file(text) RENAME TO lower",
            "CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = f)",
            "CREATE CAST (text AS t) WITH FUNCTION f(text) AS IMPLICIT",
            "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()",
            "COPY t TO '/tmp/x'",
            "MERGE INTO pg_catalog.pg_db_role_setting s USING t ON true WHEN NOT MATCHED THEN DO NOTHING",
            "INSERT INTO t VALUES (1)",
            "REFRESH MATERIALIZED VIEW v",
            "LOAD 'x'",
            "SET allow_system_table_mods = on",
            "SET ROLE x",
            "COMMENT ON DATABASE d IS 'x'",
            "DO $$ BEGIN CREATE /* x */ ROLE r; END $$",
            "DO $$ BEGIN EXECUTE 'CREATE' || ' ROLE r'; END $$",
            "DO $$ BEGIN EXECUTE 'CREATE ROLE r'; END $$",
            "DO $$ BEGIN PERFORM f(); END $$",
            "DO $$ BEGIN PERFORM 1 FROM v; END $$",
            "DO $$ DECLARE x text := pg_read_file('x'); BEGIN END $$",
            "CREATE TABLE t (n int); CREATE ROLE r",
        ] {
            assert!(fenced(text).is_err(), "{text}");
        }
    }
}
