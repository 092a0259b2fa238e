//! What is said of the statements of a difference beside what they make: what goes along that nobody asked for, what is never
//! guessed, what is not even looked at, what a server is too old for, and in which order they come.

use cutover_analysis::diff::{Diff, Options, changes, diff, diff_with_renamed_values};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Schema, Value};
use testkit::Database;

use super::diff::read;
use super::session;
use crate::catalog::{fingerprint, schema};

async fn of_schema(database: &Database, name: &str) -> Schema {
    schema(&mut session(database).await, &[name.to_owned()]).await.unwrap()
}

async fn between(from: &str, to: &str) -> Diff {
    let (one, two) = (testkit::database(), testkit::database());
    one.run(from);
    two.run(to);
    diff(&read(&one).await, &read(&two).await, Options::default())
}

fn hazards_of<'a>(found: &'a Diff, statement: &str) -> &'a [&'static str] {
    let is_it = found.statements.iter().find(|sql| sql.text == statement);
    &is_it.unwrap_or_else(|| panic!("{statement}: {:#?}", found.statements)).hazards
}

/// Partitions in schemas that nobody asked for go with their parent; those that are known are dropped for themselves.
#[tokio::test]
async fn what_goes_along_from_other_schemas_is_a_loss() {
    let database = testkit::database();
    database.run(
        "CREATE SCHEMA app; CREATE SCHEMA parts;
         CREATE TABLE app.p (id integer) PARTITION BY RANGE (id);
         CREATE TABLE app.q (id integer) PARTITION BY RANGE (id);
         CREATE TABLE app.q1 PARTITION OF app.q FOR VALUES FROM (1) TO (10)",
    );
    let before = of_schema(&database, "app").await;
    database.run("CREATE TABLE parts.p1 PARTITION OF app.p FOR VALUES FROM (1) TO (10)");
    let found = of_schema(&database, "app").await;
    // It is nothing of what was asked for.
    assert_eq!((changes(&before, &found), fingerprint(&before)), (Vec::new(), fingerprint(&found)));
    let nothing = Schema::empty(found.server_version, found.owner.clone());
    let found = diff(&found, &nothing, Options::default());
    assert_eq!(hazards_of(&found, "DROP TABLE app.p"), ["data-loss"]);
    assert_eq!(hazards_of(&found, "DROP TABLE app.q"), [""; 0]);
    // Who sees both drops both.
    let all = diff(&read(&database).await, &nothing, Options::default());
    assert_eq!(hazards_of(&all, "DROP TABLE app.p"), [""; 0]);
    assert_eq!(hazards_of(&all, "DROP TABLE parts.p1"), ["data-loss"]);
}

/// Base types go by CASCADE, because their functions need them and they their functions.
#[tokio::test]
async fn columns_of_a_base_type_in_other_schemas_are_a_loss() {
    let database = testkit::database();
    database.run(
        "CREATE SCHEMA app; CREATE SCHEMA other; CREATE TYPE app.mine;
         CREATE FUNCTION app.mine_in(cstring) RETURNS app.mine LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
         CREATE FUNCTION app.mine_out(app.mine) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
         CREATE TYPE app.mine (INPUT = app.mine_in, OUTPUT = app.mine_out, LIKE = integer);
         CREATE TABLE app.t (m app.mine)",
    );
    let nothing = |schema: &Schema| Schema::empty(schema.server_version, schema.owner.clone());
    let drop = "DROP TYPE app.mine CASCADE";
    let before = of_schema(&database, "app").await;
    assert_eq!(hazards_of(&diff(&before, &nothing(&before), Options::default()), drop), [""; 0]);
    database.run("CREATE TABLE other.keep (a integer, v app.mine[])");
    let after = of_schema(&database, "app").await;
    assert_eq!(hazards_of(&diff(&after, &nothing(&after), Options::default()), drop), ["data-loss"]);
    let all = read(&database).await;
    assert_eq!(hazards_of(&diff(&all, &nothing(&all), Options::default()), drop), [""; 0]);
}

/// That one value of an enum stands in the place of another one does not make it the same.
#[tokio::test]
async fn renamed_values_are_never_guessed() {
    let (one, two) = (testkit::database(), testkit::database());
    one.run("CREATE TYPE state AS ENUM ('active', 'deleted'); CREATE TABLE t (s state)");
    two.run("CREATE TYPE state AS ENUM ('active', 'archived'); CREATE TABLE t (s state)");
    let (from, to) = (read(&one).await, read(&two).await);
    let renames = |found: &Diff| found.statements.iter().any(|sql| sql.text.contains("RENAME VALUE"));
    for safe in [true, false] {
        assert!(!renames(&diff(&from, &to, Options { safe })));
    }
    let pair = |old: &str, new: &str| [(old.to_owned(), new.to_owned())];
    let known = |pair: &[(String, String)]| diff_with_renamed_values(&from, &to, Options::default(), pair);
    assert!(renames(&known(&pair("deleted", "archived"))));
    assert!(!renames(&known(&pair("active", "archived"))));
}

/// Each type that a column can have, to each other one: PostgreSQL keeps the file of the table exactly where no rewrite is said.
#[tokio::test]
async fn a_rewrite_is_said_where_there_is_one() {
    const FAMILIES: [&[&str]; 9] = [
        &["text", "varchar", "varchar(3)", "varchar(5)", "char(3)"],
        &["xml", "text", "varchar"],
        &["text[]", "varchar(3)[]", "varchar(5)[]"],
        &["numeric", "numeric(10,2)", "numeric(12,2)", "numeric(12,3)", "integer", "bigint"],
        &["timestamp", "timestamp(3)", "timestamp(6)", "timestamp(0)", "date"],
        &["timestamptz", "timestamptz(3)", "timestamptz(6)"],
        &["time", "time(3)", "time(6)", "interval", "interval(3)", "interval(6)"],
        &["varbit", "varbit(3)", "varbit(5)", "bit(3)"],
        &["inet", "cidr"],
    ];
    let database = testkit::database();
    let mut wrong = Vec::new();
    for family in FAMILIES {
        for from in family {
            database.run(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (v {from})"));
            let before = read(&database).await;
            for to in family.iter().filter(|to| *to != from) {
                database.run(&format!("DROP TABLE t; CREATE TABLE t (v {to})"));
                let after = read(&database).await;
                database.run(&format!("DROP TABLE t; CREATE TABLE t (v {from})"));
                let found = diff(&before, &after, Options::default());
                let [statement] = &found.statements[..] else { continue };
                let file = database.value("SELECT pg_relation_filenode('t')");
                database.run(&statement.text);
                let rewritten = database.value("SELECT pg_relation_filenode('t')") != file;
                if rewritten != statement.hazards.contains(&"rewrite") {
                    wrong.push(format!("{from} to {to}: rewritten {rewritten}, {:?}", statement.hazards));
                }
                database.run(&format!("DROP TABLE t; CREATE TABLE t (v {from})"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// A database may have any style for what it prints.
#[tokio::test]
async fn bytes_are_read_in_one_style() {
    let database = testkit::database();
    database.run("CREATE TABLE t (b bytea DEFAULT '\\x00ff')");
    let before = read(&database).await;
    let name = database.value("SELECT quote_ident(current_database())");
    database.run(&format!("ALTER DATABASE {name} SET bytea_output = 'escape'"));
    assert_eq!(changes(&before, &read(&database).await), []);
}

/// Statements that a server of an older version refuses are no surprise.
#[tokio::test]
async fn what_a_server_is_too_old_for_is_said() {
    let (one, two) = (testkit::database(), testkit::database());
    one.run("CREATE TABLE t (a integer, b integer GENERATED ALWAYS AS (a) STORED); CREATE VIEW v AS SELECT a FROM t");
    two.run("CREATE TABLE t (a integer, b integer); CREATE VIEW v AS SELECT a FROM t");
    let (mut from, mut to) = (read(&one).await, read(&two).await);
    let view = to.objects.get_mut(&Id::new(ObjectKind::View, "public", "v")).unwrap();
    view.attributes.insert("options".into(), Value::List(vec!["security_invoker=true".to_owned()]));
    from.server_version = 120_022;
    let left: Vec<String> =
        diff(&from, &to, Options::default()).left.iter().map(ToString::to_string).collect();
    assert_eq!(
        left,
        [
            "column t.b: before PostgreSQL 13 no statement makes a generated column a plain one",
            "view v: security_invoker: that needs PostgreSQL 15, and a server of version 12 refuses it",
        ]
    );
}

/// Rows that are put in meanwhile have a value.
#[tokio::test]
async fn a_default_is_there_before_not_null() {
    let found = between("CREATE TABLE t (a integer)", "CREATE TABLE t (a integer DEFAULT 7 NOT NULL)").await;
    let at = |part: &str| found.statements.iter().position(|sql| sql.text.contains(part));
    assert!(at("SET DEFAULT").unwrap() < at("IS NOT NULL").unwrap(), "{:#?}", found.statements);
}
