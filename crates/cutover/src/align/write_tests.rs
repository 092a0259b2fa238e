//! Migrations from models, on real databases: what is generated is applied, and leads to what the models say.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use cutover_analysis::models::{About, Aspect, Column, Default, Extension, Index, Models, Part, Table};

use super::tests::{PLANTED, SAME, column, models, not_null, place, said, told};
use super::{Decisions, Fill, GenerateError, Generated, Renamed, Undecided, align, generate};
use crate::compare::Side;
use crate::compare::rename::Rename;
use crate::lint::AtApply;
use crate::migrate;
use crate::project::Project;
use crate::verify::SandboxProvider;

pub(super) fn project(sql: &str) -> Project {
    let files: &[(&str, &[u8])] = if sql.is_empty() { &[] } else { &[("0001_there.sql", sql.as_bytes())] };
    Project::embedded("there", files).unwrap()
}

pub(super) fn sandbox() -> SandboxProvider {
    SandboxProvider::dev_url(testkit::server().server().options("postgres"))
}

pub(super) async fn generated(models: &Models, sql: &str, decisions: &Decisions) -> Generated {
    Box::pin(generate(models, &project(sql), decisions, &sandbox())).await.unwrap()
}

pub(super) fn dropping(what: &str) -> Decisions {
    Decisions { drop: vec![what.to_owned()], ..Decisions::default() }
}

fn filling(fills: &[&str]) -> Decisions {
    let fills = fills.iter().map(|text| Fill::parse(text).unwrap()).collect();
    Decisions { fills, ..Decisions::default() }
}

fn is_clean(generated: &Generated) -> bool {
    !generated.sql.is_empty()
        && generated.failed.is_none()
        && generated.still.is_empty()
        && generated.left.is_empty()
        && generated.undecided.is_empty()
        && generated.back.is_empty()
}

/// Applies the statements of a migration and gives the database.
async fn applied(before: &str, rows: &str, generated: &Generated) -> testkit::Database {
    let database = testkit::database();
    let first = project(before);
    migrate(&first, &database.url()).await.unwrap();
    database.run(rows);
    let files = [("0001_there.sql", before.as_bytes()), ("0002_models.sql", generated.sql.as_bytes())];
    let mut both = Project::embedded("there", &files).unwrap();
    // What is lost was decided.
    both.lint.apply = AtApply::Off;
    migrate(&both, &database.url()).await.unwrap();
    database
}

#[tokio::test]
async fn from_nothing_all_of_the_models_is_made() {
    // Whichever of two tables comes first: one cannot be without the other.
    let mut other_order = models();
    other_order.tables.reverse();
    let made = generated(&other_order, "", &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let made = generated(&models(), "", &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    assert_eq!(made.title, "create children and parents");
    assert!(made.sql.contains("CREATE TYPE public.mood"), "{}", made.sql);
    // What is made says the same as the models: nothing more is to be written.
    let again = generated(&models(), &made.sql, &Decisions::default()).await;
    assert_eq!((again.sql.as_str(), again.undecided.len(), again.left.len()), ("", 0, 0), "{again:?}");
}

/// What the models have otherwise, each planted alone, is put right by what is generated, which is proven by what it makes.
#[tokio::test]
async fn each_difference_is_put_right() {
    for (planted, codes) in PLANTED {
        let mut decisions = dropping("all");
        if codes.iter().any(|code| code.starts_with("column-null")) {
            decisions.fills.push(Fill::parse("children.name=none").unwrap());
        }
        let made = generated(&models(), &format!("{SAME} {planted};"), &decisions).await;
        let expected_left = codes.iter().any(|code| code.starts_with("column-identity"));
        assert_eq!(!made.left.is_empty(), expected_left, "{planted}: {:?}", made.left);
        assert!(expected_left || is_clean(&made), "{planted}: {made:?}");
        // And back: what the undo makes is what was there.
        if !expected_left {
            let database = applied(&format!("{SAME} {planted};"), "", &made).await;
            let undo = made.undo.replace("CONCURRENTLY ", "");
            database.run(&undo);
            let there = Side::Database(Box::new(database.options()));
            let back = align(&models(), there, &[], Some(&database.options()), &sandbox()).await.unwrap();
            assert_eq!(told(&back), *codes, "{planted}: {}", made.undo);
        }
    }
}

#[tokio::test]
async fn nothing_that_is_there_goes_without_a_word() {
    let sql = format!(
        "{SAME} ALTER TABLE children ADD more int; CREATE INDEX other ON children (name); CREATE TABLE audit (n int);"
    );
    let made = generated(&models(), &sql, &Decisions::default()).await;
    assert_eq!(made.sql, "");
    let names: Vec<&str> = made
        .undecided
        .iter()
        .map(|one| match one {
            Undecided::Drop { object, .. } => object.as_str(),
            Undecided::Fill { column, .. } => column.as_str(),
        })
        .collect();
    assert_eq!(names, ["column children.more", "index other", "table audit"]);
    // What stays and what goes is said by kind or by name.
    let decisions =
        Decisions { keep: vec!["table audit".into(), "index".into()], ..dropping("column children.more") };
    let made = generated(&models(), &sql, &decisions).await;
    assert!(is_clean(&made), "{made:?}");
    assert!(made.sql.contains("DROP COLUMN more") && !made.sql.contains("audit"), "{}", made.sql);
    let kept = Decisions { keep: vec!["all".into()], ..Decisions::default() };
    assert_eq!(generated(&models(), &sql, &kept).await.sql, "");
}

#[tokio::test]
async fn what_is_decided_of_nothing_is_an_error() {
    for decisions in [dropping("column children.nothing"), filling(&["children.name=''"])] {
        let error = Box::pin(generate(&models(), &project(SAME), &decisions, &sandbox())).await.unwrap_err();
        assert!(matches!(error, GenerateError::Idle(_)), "{error}");
    }
}

#[tokio::test]
async fn a_column_that_is_renamed_keeps_its_values() {
    let sql = SAME.replace("name varchar(20)", "title varchar(20)").replace("(name <>", "(title <>");
    let undecided = generated(&models(), &sql, &filling(&["children.name=''"])).await.undecided;
    let [Undecided::Drop { object, perhaps, .. }, ..] = &undecided[..] else { panic!("{undecided:?}") };
    assert_eq!(
        (object.as_str(), &perhaps[..]),
        ("column children.title", &["column public.children.title=name".to_owned()][..])
    );
    let renames = vec![Rename::parse(&perhaps[0]).unwrap()];
    let made = generated(&models(), &sql, &Decisions { renames, ..Decisions::default() }).await;
    assert!(is_clean(&made), "{made:?}");
    let rows = "INSERT INTO children (id, title) VALUES (1, 'kept')";
    let database = applied(&sql, rows, &made).await;
    assert_eq!(database.value("SELECT name FROM children"), "kept");
}

/// A new column that takes no NULL: what the rows that are there get is said, and they get it.
#[tokio::test]
async fn rows_that_are_there_get_what_was_decided() {
    let mut models = models();
    let child = &mut models.tables[1];
    child.columns.push(not_null("age", "integer", 20));
    child.columns.push(not_null("token", "uuid", 21));
    child.columns[5].default = Default::Client("0".into());
    let undecided = generated(&models, SAME, &Decisions::default()).await.undecided;
    let [Undecided::Fill { column, client, .. }, Undecided::Fill { .. }] = &undecided[..] else {
        panic!("{undecided:?}")
    };
    assert_eq!((column.as_str(), client.as_deref()), ("children.age", Some("0")));
    let decisions = filling(&["children.age=7", "children.token=gen_random_uuid()"]);
    let made = generated(&models, SAME, &decisions).await;
    assert!(is_clean(&made), "{made:?}");
    // One value for all is no rewrite; a value of each row's own is written row by row, and not under the lock of ALTER TABLE.
    assert!(made.sql.contains("ADD COLUMN age integer DEFAULT 7 NOT NULL"), "{}", made.sql);
    assert!(
        made.sql.contains("UPDATE public.children SET token = gen_random_uuid() WHERE token IS NULL"),
        "{}",
        made.sql
    );
    let rows = "INSERT INTO children (id, name) VALUES (1, 'a'), (2, 'b')";
    let database = applied(SAME, rows, &made).await;
    let told = database.value("SELECT count(DISTINCT token) || ' ' || sum(age) FROM children");
    assert_eq!(told, "2 14");
    let defaults = "SELECT count(*) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE attname IN ('age', 'token')";
    assert_eq!(database.value(defaults), "0");
}

#[tokio::test]
async fn an_old_column_that_takes_no_null_any_more_is_filled_first() {
    let sql = SAME.replace("at timestamptz NOT NULL", "at timestamptz");
    let made = generated(&models(), &sql, &filling(&["children.at='2000-01-01'"])).await;
    assert!(is_clean(&made), "{made:?}");
    let database = applied(&sql, "INSERT INTO children (id, name, at) VALUES (1, 'a', NULL)", &made).await;
    assert_eq!(database.value("SELECT extract(year FROM at)::int FROM children"), "2000");
}

#[tokio::test]
async fn what_something_else_is_built_on_is_left() {
    let sql =
        format!("{SAME} ALTER TABLE children ADD more int; CREATE VIEW v AS SELECT more FROM children;");
    let made = generated(&models(), &sql, &dropping("column")).await;
    assert_eq!(made.sql, "");
    assert!(made.left[0].contains("view v is built on it"), "{:?}", made.left);
}

/// What refuses rows without a value comes when they have one: what is decided of them is what makes it possible.
#[tokio::test]
async fn rows_are_filled_before_anything_refuses_them() {
    for (there, rows, model, fills, then) in FILLED {
        let statements: Vec<&str> = model.split(';').collect();
        let made = generated(&said(&statements), there, &filling(fills)).await;
        assert!(is_clean(&made), "{model}: {made:?}");
        let database = applied(there, rows, &made).await;
        assert_eq!(
            database.value("SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM t"),
            *then,
            "{}",
            made.sql
        );
    }
}

/// What is there, rows of it, the model, what rows get, and what they are then.
type FilledCase = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str);

const FILLED: &[FilledCase] = &[
    (
        "CREATE TABLE t (a int, b int)",
        "INSERT INTO t VALUES (NULL, 1), (2, 5)",
        "CREATE TABLE t (a int PRIMARY KEY, b int)",
        &["t.a=b"],
        "(1,1) (2,5)",
    ),
    (
        "CREATE TABLE t (b int)",
        "INSERT INTO t VALUES (1), (2)",
        "CREATE TABLE t (b int, n int PRIMARY KEY)",
        &["t.n=b+10"],
        "(1,11) (2,12)",
    ),
    (
        "CREATE TABLE t (b int)",
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE t (x text DEFAULT 'y', b int, n int NOT NULL, m int NOT NULL,
             twice int NOT NULL GENERATED ALWAYS AS (n * 2) STORED,
             CONSTRAINT both_of_them CHECK ((n IS NULL) = (m IS NULL)), CONSTRAINT positive CHECK (n IS NOT NULL AND n > 0))",
        &["t.n=b+1", "t.m=b+2"],
        "(1,2,3,y,4)",
    ),
    (
        "CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (b int, e e)",
        "INSERT INTO t VALUES (1, 'a'), (2, NULL)",
        "CREATE TYPE e AS ENUM ('a', 'new'); CREATE DOMAIN d AS int CHECK (VALUE > 0);
         CREATE TABLE t (b int, e e NOT NULL, d d NOT NULL UNIQUE)",
        &["t.e='new'", "t.d=b"],
        "(1,a,1) (2,new,2)",
    ),
    (
        "CREATE TABLE t (b text)",
        "INSERT INTO t VALUES (NULL), ('7')",
        "CREATE TABLE t (b int PRIMARY KEY)",
        &["t.b=5"],
        "(5) (7)",
    ),
    (
        "CREATE TABLE p (a int); CREATE TABLE t () INHERITS (p)",
        "INSERT INTO t VALUES (NULL); INSERT INTO p VALUES (NULL)",
        "CREATE TABLE p (a int NOT NULL); CREATE TABLE t (a int NOT NULL) INHERITS (p)",
        &["p.a=1", "t.a=2"],
        "(2)",
    ),
];

/// Values of a type that have other names keep their rows, whatever else changes; a type that is made anew is so in one transaction.
#[tokio::test]
async fn types_with_other_values_keep_their_rows() {
    for (model, renamed, drop, rows, then) in [
        ("'a', 'z'", "value e.b=z", "value e.c", "('a'), ('b')", "(a) (z)"),
        ("'a', 'z', 'c', 'late'", "value e.b=z", "", "('b'), ('c')", "(c) (z)"),
        ("'c', 'z', 'a'", "value e.b=z", "", "('b'), ('c')", "(c) (z)"),
    ] {
        let there = "CREATE TYPE e AS ENUM ('a', 'b', 'c'); CREATE TABLE t (e e); CREATE TABLE u (e e[])";
        let model = [
            format!("CREATE TYPE e AS ENUM ({model})"),
            "CREATE TABLE t (e e)".into(),
            "CREATE TABLE u (e e[])".into(),
        ];
        let model: Vec<&str> = model.iter().map(String::as_str).collect();
        let mut decisions = if drop.is_empty() { Decisions::default() } else { dropping(drop) };
        let Ok(Renamed::Value(value)) = Renamed::parse(renamed) else { panic!("{renamed}") };
        decisions.values.push(value);
        let made = generated(&said(&model), there, &decisions).await;
        assert!(is_clean(&made), "{made:?}");
        let rows = format!("INSERT INTO t VALUES {rows}; INSERT INTO u VALUES ('{{a,b}}')");
        let database = applied(there, &rows, &made).await;
        assert_eq!(
            database.value("SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM t"),
            then,
            "{}",
            made.sql
        );
        assert_eq!(database.value("SELECT e::text FROM u"), "{a,z}");
        if let Some((_, anew)) = made.sql.split_once("RENAME TO e__old") {
            let (anew, _) = anew.split_once("DROP TYPE").unwrap();
            assert!(!anew.contains("new-transaction"), "{}", made.sql);
        }
    }
}

/// An index and a check over a type that is made anew go, and are made again, in the transaction in which that is: nobody has the table
/// without them, and what was said of them is said of the new ones.
#[tokio::test]
async fn what_is_over_a_type_that_is_made_anew_is_never_missing() {
    let rest = [
        "CREATE TABLE t (e e, n int, CONSTRAINT k CHECK (e <> 'b'))",
        "CREATE INDEX i ON t (n) WHERE e = 'a'",
        "CREATE UNIQUE INDEX j ON t (n) WHERE e > 'a'",
        "COMMENT ON INDEX i IS 'of i'",
        "COMMENT ON CONSTRAINT k ON t IS 'of k'",
    ];
    let there = format!("CREATE TYPE e AS ENUM ('a', 'b', 'c'); {}", rest.join("; "));
    let model = [&["CREATE TYPE e AS ENUM ('c', 'a', 'b')"][..], &rest].concat();
    let made = generated(&said(&model), &there, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let (before, anew) = made.sql.split_once("ALTER TYPE public.e RENAME TO").unwrap();
    assert!(
        !before.contains("CONCURRENTLY") && before.matches("new-transaction").count() <= 1,
        "{}",
        made.sql
    );
    assert!(!anew.contains("CONCURRENTLY") && !anew.contains("new-transaction"), "{}", made.sql);
    assert!(
        !anew.contains("NOT VALID") && made.findings.iter().all(|one| one.code != "check-without-not-valid"),
        "{made:?}"
    );
    let database = applied(&there, "INSERT INTO t VALUES ('a', 1), ('c', 2)", &made).await;
    let said = "SELECT obj_description('i'::regclass, 'pg_class') || obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'k'";
    assert_eq!(database.value(said), "of iof k", "{}", made.sql);
}

/// Also where nothing is behind it.
#[tokio::test]
async fn one_index_over_a_type_that_is_made_anew_is_never_missing() {
    let rest = ["CREATE TABLE t (e e NOT NULL, n int NOT NULL)", "CREATE INDEX c ON t (n) WHERE e = 'a'"];
    let there = format!("CREATE TYPE e AS ENUM ('a', 'b', 'c'); {}", rest.join("; "));
    let model = [&["CREATE TYPE e AS ENUM ('c', 'a', 'b')"][..], &rest].concat();
    let made = generated(&said(&model), &there, &Decisions::default()).await;
    assert!(is_clean(&made) && !made.sql.contains("CONCURRENTLY"), "{made:?}");
    applied(&there, "INSERT INTO t VALUES ('a', 1), ('c', 2)", &made).await;
}

/// Where there is more to do, what follows is in transactions of its own as before; what is over two types goes before both.
#[tokio::test]
async fn only_what_is_over_the_type_joins_it() {
    let rest = "CREATE INDEX i ON t (n) WHERE e = 'a' AND f = 'x'; CREATE INDEX o ON u (n)";
    let there = format!(
        "CREATE TYPE e AS ENUM ('a', 'b'); CREATE TYPE f AS ENUM ('x', 'y'); CREATE TABLE u (n int, m int);
         CREATE TABLE t (e e, f f, n int); {rest}"
    );
    let model = [
        "CREATE TYPE e AS ENUM ('b', 'a')",
        "CREATE TYPE f AS ENUM ('y', 'x')",
        "CREATE TABLE u (n int, m int)",
        "CREATE TABLE t (e e, f f, n int)",
        "CREATE INDEX i ON t (n) WHERE e = 'a' AND f = 'x'",
        "CREATE INDEX o ON u (n, m)",
    ];
    let made = generated(&said(&model), &there, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    for one in [
        "DROP INDEX CONCURRENTLY public.i",
        "CREATE INDEX CONCURRENTLY i ON",
        "CREATE INDEX CONCURRENTLY o__new",
    ] {
        assert!(made.sql.contains(one), "{one}: {}", made.sql);
    }
    applied(&there, "INSERT INTO t VALUES ('a', 'x', 1)", &made).await;
}

/// What was said of an index or a constraint is said of the one that takes its place.
#[tokio::test]
async fn comments_go_along() {
    let there = "CREATE TABLE t (a int, b int, c int CONSTRAINT k CHECK (c > 0), CONSTRAINT u UNIQUE (b)); CREATE INDEX i ON t (a);
        COMMENT ON INDEX i IS 'of i'; COMMENT ON CONSTRAINT k ON t IS 'of k'; COMMENT ON CONSTRAINT u ON t IS 'of u'";
    let model = [
        "CREATE TABLE t (a int, b int, c int CONSTRAINT k CHECK (c > 1))",
        "CREATE INDEX i ON t (a, b)",
        "CREATE UNIQUE INDEX u ON t (b)",
    ];
    let made = generated(&said(&model), there, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let database = applied(there, "", &made).await;
    let said = "SELECT concat_ws(' ', obj_description('i'::regclass), (SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'k'), obj_description('u'::regclass))";
    assert_eq!(database.value(said), "of i of k of u", "{}", made.sql);
}

/// What guards rows is not taken away for a while so that a type can be made anew; who sees which rows is not switched along.
#[tokio::test]
async fn what_guards_rows_is_not_changed_along() {
    let there = "CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE t (e e);
        CREATE POLICY own ON t AS RESTRICTIVE USING (e = 'a');";
    let model = ["CREATE TYPE e AS ENUM ('b', 'a')", "CREATE TABLE t (e e)"];
    let made = generated(&said(&model), there, &Decisions::default()).await;
    assert_eq!(made.sql, "");
    assert!(made.left[0].contains("policy t.own"), "{:?}", made.left);
    for (there, model) in [("ENABLE", "DISABLE"), ("DISABLE", "ENABLE")] {
        let there = format!("CREATE TABLE t (n int); ALTER TABLE t {there} ROW LEVEL SECURITY");
        let model = format!("ALTER TABLE t {model} ROW LEVEL SECURITY");
        let made = generated(&said(&["CREATE TABLE t (n int)", &model]), &there, &Decisions::default()).await;
        assert_eq!(made.sql, "");
        assert!(made.left[0].contains("opens or closes all rows"), "{:?}", made.left);
    }
}

/// A key that moves to another column, and a default that goes with NOT NULL: whoever writes meanwhile is not refused.
#[tokio::test]
async fn steps_of_a_column_leave_clients_alone() {
    let decisions = Decisions { drop: vec!["all".into()], ..filling(&["t.b=a"]) };
    let made = generated(
        &said(&["CREATE TABLE t (a int, b int PRIMARY KEY)"]),
        "CREATE TABLE t (a int PRIMARY KEY, b int)",
        &decisions,
    )
    .await;
    assert!(is_clean(&made), "{made:?}");
    let made = generated(
        &said(&["CREATE TABLE t (a text)"]),
        "CREATE TABLE t (a text NOT NULL DEFAULT 'x')",
        &dropping("all"),
    )
    .await;
    assert!(is_clean(&made), "{made:?}");
    assert!(made.sql.find("DROP NOT NULL") < made.sql.find("DROP DEFAULT"), "{}", made.sql);
}

/// Columns of types that the server has not, or that were not understood: said, and the rest is made.
#[tokio::test]
async fn what_cannot_be_made_is_said_and_the_rest_is_made() {
    let mut models = models();
    models.tables[0].columns.push(column("odd", "nonsense", 3));
    models.tables[1].columns.push(Column { unstated: [Aspect::Type].into(), ..column("open", "", 21) });
    models.tables[1].columns.push(column("fine", "integer", 22));
    let made = generated(&models, SAME, &Decisions::default()).await;
    assert!(made.sql.contains("ADD COLUMN fine integer") && made.failed.is_none(), "{made:?}");
    assert!(made.not_compared.iter().any(|one| one.line == 3), "{:?}", made.not_compared);
    // Of what type they are is not understood: they are not made of another one.
    assert_eq!(made.left.len(), 2, "{:?}", made.left);
    assert!(made.left.iter().all(|left| left.contains("is not understood")), "{:?}", made.left);
    assert!(!made.sql.contains("odd") && !made.sql.contains("open"), "{}", made.sql);
}

/// What keeps values unique is there all the time: the new one is made before the old one goes.
#[tokio::test]
async fn an_index_in_place_of_a_constraint_is_made_first() {
    let mut models = models();
    let child = &mut models.tables[1];
    child.uniques.retain(|unique| unique.columns != ["name"]);
    child.indexes.push(Index {
        name: Some("u".into()),
        keys: vec!["name".into()],
        unique: true,
        place: place(16),
        ..Index::default()
    });
    let made = generated(&models, SAME, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let (new, old) =
        (made.sql.find("CREATE UNIQUE INDEX").unwrap(), made.sql.find("DROP CONSTRAINT").unwrap());
    assert!(new < old, "{}", made.sql);
}

/// The same under one name, and a computed column that is computed otherwise: neither is missing for longer than it has to be.
#[tokio::test]
async fn what_is_made_anew_under_its_name_is_hardly_missing() {
    let model = ["CREATE TABLE t (a int, b text)", "CREATE UNIQUE INDEX t_a_key ON t (a)"];
    let made = generated(&said(&model), "CREATE TABLE t (a int UNIQUE, b text)", &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let (_, gone) = made.sql.split_once("CREATE UNIQUE INDEX CONCURRENTLY t_a_key__new").unwrap();
    assert!(gone.contains("DROP CONSTRAINT t_a_key") && gone.contains("RENAME TO t_a_key"), "{}", made.sql);
    let model = ["CREATE TABLE t (a int, c int, g int GENERATED ALWAYS AS (a + 2) STORED, CHECK (c > 0))"];
    let there = "CREATE TABLE t (a int, c int, g int GENERATED ALWAYS AS (a + 1) STORED)";
    let made = generated(&said(&model), there, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let (_, gone) = made.sql.split_once("DROP COLUMN g").unwrap();
    let (between, _) = gone.split_once("ADD COLUMN g").unwrap();
    assert!(!between.contains("new-transaction") && !between.contains("CHECK"), "{}", made.sql);
}

/// What a migration cannot do behind those that are there is not called proven.
#[tokio::test]
async fn a_migration_that_fails_is_said_to_fail() {
    let mut models = models();
    models.tables.push(Table {
        name: "new".into(),
        label: "New".into(),
        place: place(40),
        columns: vec![not_null("n", "integer", 41)],
        ..Table::default()
    });
    // Somebody refuses new tables.
    let guard =
        "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no tables'; END$$;
        CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION no();";
    let made = generated(&models, &format!("{SAME} {guard}"), &Decisions::default()).await;
    assert!(made.failed.as_ref().is_some_and(|why| why.contains("no tables")), "{made:?}");
}

/// Roles are the server's: they are made when the migrations are first replayed, and there when they are replayed again.
#[tokio::test]
async fn migrations_that_make_roles_are_replayed_more_than_once() {
    let role = format!("align_{}", std::process::id());
    let sql = format!("{SAME} CREATE ROLE {role}; GRANT SELECT ON parents TO {role}; DROP INDEX by_at;");
    for _ in 0..2 {
        let made = generated(&models(), &sql, &Decisions::default()).await;
        assert!(is_clean(&made), "{made:?}");
    }
}

/// An extension that the models need comes before what is of it.
#[tokio::test]
async fn an_extension_that_is_needed_is_made_first() {
    let mut models = models();
    models.extensions.push(Extension { name: "hstore".into(), schema: None, place: place(50) });
    models.tables[1].columns.push(column("more", "hstore", 23));
    let made = generated(&models, SAME, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let (extension, column) =
        (made.sql.find("CREATE EXTENSION").unwrap(), made.sql.find("ADD COLUMN more").unwrap());
    assert!(extension < column, "{}", made.sql);
}

/// A unique index becomes a constraint without being built anew, also under its own name.
#[tokio::test]
async fn a_constraint_takes_a_unique_index_over() {
    for name in ["u", "children_name_key"] {
        let sql = SAME.replace("NOT NULL UNIQUE CONSTRAINT named", "NOT NULL CONSTRAINT named")
            + &format!("CREATE UNIQUE INDEX {name} ON children (name);");
        let made = generated(&models(), &sql, &Decisions::default()).await;
        assert!(is_clean(&made), "{made:?}");
        assert!(made.sql.contains("UNIQUE USING INDEX") && !made.sql.contains("DROP"), "{}", made.sql);
    }
}

/// What holds values goes last, when the key that takes the place of the old one is there.
#[tokio::test]
async fn what_holds_values_goes_last() {
    let mut models = models();
    models.tables[1].primary_key = vec!["id".into()];
    let sql = SAME
        .replace("id bigint CONSTRAINT own_name PRIMARY KEY", "id bigint NOT NULL, part int NOT NULL")
        .replace("mood mood)", "mood mood, CONSTRAINT own_name PRIMARY KEY (id, part))");
    let made = generated(&models, &sql, &dropping("all")).await;
    assert!(is_clean(&made), "{made:?}");
    let (key, column) =
        (made.sql.find("PRIMARY KEY USING INDEX").unwrap(), made.sql.find("DROP COLUMN part").unwrap());
    assert!(key < column, "{}", made.sql);
}

/// The numbers of a wider key do not end where the old ones did, and its default is there all the time.
#[tokio::test]
async fn a_wider_key_counts_further() {
    let mut models = models();
    models.tables[0].columns[0].data_type = "bigint".into();
    models.tables[1].columns[1].data_type = "bigint".into();
    let made = generated(&models, SAME, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let database = applied(SAME, "INSERT INTO parents DEFAULT VALUES", &made).await;
    assert_eq!(database.value("SELECT data_type FROM pg_sequences"), "bigint");
    let alone = SAME.to_owned()
        + "ALTER TABLE parents ALTER id TYPE bigint; ALTER TABLE children ALTER parent_id TYPE bigint;";
    let there = generated(&models, &alone, &Decisions::default()).await;
    assert!(
        is_clean(&there) && there.sql.contains("ALTER SEQUENCE public.parents_id_seq AS bigint"),
        "{there:?}"
    );
}

/// One statement changes all types of a table with their defaults.
#[tokio::test]
async fn types_and_defaults_of_a_table_change_in_one_statement() {
    let mut models = models();
    models.tables[1].columns[3].data_type = "timestamp".into();
    models.tables[1].columns[2].data_type = "text".into();
    let made = generated(&models, SAME, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let is_both =
        |line: &str| line.contains("COLUMN at TYPE timestamp") && line.contains("COLUMN name TYPE text");
    assert!(made.sql.lines().any(is_both), "{}", made.sql);
    assert!(!made.sql.contains("gap"), "{}", made.sql);
}

/// A value that is renamed stays in the rows; one that goes is asked about.
#[tokio::test]
async fn values_of_types_are_asked_about() {
    let sql = SAME.replace("('good', 'bad')", "('good', 'odd')");
    let made = generated(&models(), &sql, &Decisions::default()).await;
    let [Undecided::Drop { object, perhaps, .. }] = &made.undecided[..] else { panic!("{made:?}") };
    assert_eq!((object.as_str(), &perhaps[..]), ("value mood.odd", &["value mood.odd=bad".to_owned()][..]));
    let Renamed::Value(value) = Renamed::parse(&perhaps[0]).unwrap() else { panic!() };
    let made = generated(&models(), &sql, &Decisions { values: vec![value], ..Decisions::default() }).await;
    assert!(is_clean(&made), "{made:?}");
    let rows = "INSERT INTO children (id, name, mood) VALUES (1, 'a', 'odd')";
    let database = applied(&sql, rows, &made).await;
    assert_eq!(database.value("SELECT mood FROM children"), "bad");
    let kept = Decisions { keep: vec!["value".into()], ..Decisions::default() };
    let made = generated(&models(), &sql, &kept).await;
    assert!(made.sql.contains("ADD VALUE 'bad'") && made.failed.is_none(), "{made:?}");
}

/// A value that each row has of its own columns, or a query, is written row by row.
#[tokio::test]
async fn rows_get_what_comes_from_them() {
    let mut models = models();
    models.tables[1].columns.push(not_null("slug", "text", 24));
    models.tables[1].columns.push(not_null("a.b", "bigint", 25));
    let decisions = filling(&["children.slug='s' || id", "children.a.b=(SELECT count(*) FROM parents)"]);
    let made = generated(&models, SAME, &decisions).await;
    assert!(is_clean(&made), "{made:?}");
    let database = applied(SAME, "INSERT INTO children (id, name) VALUES (7, 'a')", &made).await;
    assert_eq!(database.value("SELECT slug FROM children"), "s7");
}

/// What was decided is allowed where it stands, and `apply` asks no second time.
#[tokio::test]
async fn what_was_decided_is_written_down() {
    let sql = format!("{SAME} ALTER TABLE children ADD more int;");
    let made = generated(&models(), &sql, &dropping("column")).await;
    assert!(made.sql.contains("-- cutover: allow drop-column decided"), "{}", made.sql);
    assert!(made.findings.iter().all(|finding| finding.code != "drop-column"), "{:?}", made.findings);
}

/// A child that has no default gets none from its parent when the type of the column changes.
#[tokio::test]
async fn a_child_without_a_default_gets_none() {
    let sql = "CREATE TABLE p (at timestamptz DEFAULT now()); CREATE TABLE c () INHERITS (p);
        ALTER TABLE c ALTER at DROP DEFAULT;";
    let part = |text: &str| Part { sql: text.to_owned(), place: place(1), about: About::Said };
    let texts = [
        "CREATE TABLE p (at timestamp DEFAULT now())",
        "CREATE TABLE c () INHERITS (p)",
        "ALTER TABLE c ALTER at DROP DEFAULT",
    ];
    let models = Models { statements: texts.map(part).into(), ..Models::default() };
    let made = generated(&models, sql, &Decisions::default()).await;
    assert!(is_clean(&made), "{made:?}");
    let database = applied(sql, "", &made).await;
    database.run("INSERT INTO c DEFAULT VALUES");
    assert_eq!(database.value("SELECT count(*) - count(at) FROM c"), "1");
}

/// A view that would be gone meanwhile is not taken away for another type of a column under it.
#[tokio::test]
async fn a_view_over_a_column_keeps_its_type() {
    let mut models = models();
    models.tables[1].columns[2].data_type = "text".into();
    let made = generated(
        &models,
        &format!("{SAME} CREATE VIEW v AS SELECT name FROM children;"),
        &Decisions::default(),
    )
    .await;
    assert!(!made.sql.contains(" TYPE ") && !made.sql.contains("VIEW"), "{}", made.sql);
    assert!(made.left[0].contains("view v is built on it"), "{:?}", made.left);
}
