//! What of models could not be read is not in no model: nothing is told or dropped for it.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use cutover_analysis::models::Models;

use super::tests::{aligned, models, place, said, told};
use super::write_tests::{dropping, generated, project, sandbox};
use super::{Alignment, GenerateError, generate};

/// What was held back, with its line.
fn held(alignment: &Alignment) -> Vec<String> {
    let held = super::unread::held(&alignment.not_compared).into_iter();
    held.map(|one| format!("{}: {}", one.line, one.what.rsplit_once("not known: ").unwrap().1)).collect()
}

const A: &str = "CREATE TABLE a (id int PRIMARY KEY)";
const THERE: &str = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text); CREATE TABLE c (n int);
    CREATE TYPE mood AS ENUM ('good', 'odd');";

#[tokio::test]
async fn what_a_statement_names_that_is_not_made_is_not_in_no_model() {
    for (statement, held_back, rest) in [
        (
            "CREATE TABLE b (id int PRIMARY KEY, v text,)",
            &["2: table b"][..],
            &["table-without-model c :0"][..],
        ),
        ("CREATE TABLE b (id int PRIMARY KEY, v nowhere)", &["2: table b"], &["table-without-model c :0"]),
        ("CREATE TABEL b (id int)", &["2: table b, table c"], &[]),
        ("DO $$ BEGIN EXECUTE 'CREATE TABLE ' || 'b ()'; END $$", &["2: table b, table c"], &[]),
        (
            "CREATE VIEW v AS SELECT * FROM nowhere",
            &[],
            &["table-without-model b :0", "table-without-model c :0"],
        ),
    ] {
        let alignment = aligned(&said(&[A, statement]), THERE).await;
        assert_eq!(told(&alignment), rest, "{statement}: {alignment:?}");
        assert_eq!(held(&alignment), held_back, "{statement}: {alignment:?}");
    }
}

#[tokio::test]
async fn what_would_have_changed_a_table_leaves_open_what_it_is() {
    let there = "CREATE TABLE a (id int PRIMARY KEY, n bigint NOT NULL, v text); CREATE INDEX i ON a (n);";
    let model = "CREATE TABLE a (id int PRIMARY KEY, n int)";
    for (statement, held_back, rest) in [
        (
            "ALTER TABLE a ADD COLUMN v nowhere",
            "2: column-null of a.n, column a.v, index i",
            &["column-type a.n :1"][..],
        ),
        (
            "CREATE INDEX i ON a (nowhere)",
            "2: column-null of a.n, column a.v, index i",
            &["column-type a.n :1"],
        ),
        (
            "ALTER TABLE a ALTER COLUMN n TYPE nowhere",
            "2: column-type of a.n, column-null of a.n, column a.v, index i",
            &[],
        ),
    ] {
        let alignment = aligned(&said(&[model, statement]), there).await;
        assert_eq!(told(&alignment), rest, "{statement}: {alignment:?}");
        assert_eq!(held(&alignment), [held_back], "{statement}: {alignment:?}");
    }
    let model =
        said(&["CREATE TYPE mood AS ENUM ('good')", "ALTER TYPE mood ADD VALUE 'odd' AFTER 'nowhere'", A]);
    let alignment =
        aligned(&model, "CREATE TYPE mood AS ENUM ('good', 'odd'); CREATE TABLE a (id int PRIMARY KEY)");
    assert_eq!(held(&alignment.await), ["2: enum-values of mood"]);
}

/// What is missing there is missing, whatever else may be said.
#[tokio::test]
async fn what_could_not_be_read_of_a_file_may_say_anything_that_is_there() {
    let mut models = models();
    models.unread(place(7), "this is no Python");
    let there = "CREATE TYPE mood AS ENUM ('good', 'bad', 'odd');
        CREATE TABLE children (id bigint PRIMARY KEY, parent_id int, name varchar(20) NOT NULL UNIQUE,
        at timestamptz NOT NULL DEFAULT now(), mood mood, more int, CHECK (name <> ''), UNIQUE (id, at));
        CREATE INDEX by_more ON children (more); CREATE TABLE b (n int);";
    let alignment = aligned(&models, there).await;
    assert_eq!(
        told(&alignment),
        [
            "table-missing parents :1",
            "name children :19",
            "name children :16",
            "foreign-key children :12",
            "index children :17"
        ]
    );
    assert_eq!(held(&alignment), ["7: column children.more, index by_more, enum-values of mood, table b"]);
}

#[tokio::test]
async fn nothing_is_dropped_that_may_be_said_where_nothing_was_read() {
    let made =
        generated(&said(&[A, "CREATE TABLE b (id int PRIMARY KEY, v text,)"]), THERE, &dropping("all")).await;
    assert!(!made.sql.contains("public.b") && made.sql.contains("DROP TABLE public.c"), "{}", made.sql);
    let models = Models { unread: vec![place(3)], ..said(&[A]) };
    let made = generated(&models, THERE, &dropping("table")).await;
    assert_eq!(made.sql, "", "{}", made.sql);
    let there = project(THERE);
    let refused = generate(&models, &there, &dropping("table b"), &sandbox()).await.unwrap_err();
    let why = refused.to_string();
    assert!(
        why.contains("--drop 'table b' cannot be decided: models:3: ") && why.contains("table b"),
        "{why}"
    );
}

#[tokio::test]
async fn where_nothing_was_compared_nothing_is_the_same() {
    let models = said(&["CREATE TABLE a (n nowhere)"]);
    let alignment = aligned(&models, "").await;
    assert!(!alignment.is_aligned(&[]), "{alignment:?}");
    let text = super::lines(&alignment, &[]);
    assert!(text.contains("nothing was compared") && !text.contains("nothing is otherwise"), "{text}");
    let refused =
        generate(&models, &project(""), &super::Decisions::default(), &sandbox()).await.unwrap_err();
    assert!(matches!(refused, GenerateError::NotCompared(_)), "{refused}");
    assert!(refused.to_string().contains("nowhere"), "{refused}");
}

/// What is told is told without what is secret in it, whoever says it.
#[tokio::test]
async fn passwords_are_told_of_neither_side() {
    let mut models = models();
    for what in [
        "`\\connect postgres://u:hunter2x@h/db`, which is psql's own",
        "`\\set url 'host=h password=hunter2x'`, which is psql's own",
        "the default of A.b: Foo(password=\"hunter2x\")",
        "the default of A.b: make(\"user=u password=hunter2x\")",
        "the default of A.b: connect('postgresql://u:hunter2x@h/db')",
    ] {
        models.unsupported(place(1), what);
    }
    models.tables[1].columns[2].default =
        cutover_analysis::models::Default::Sql("'host=h password=hunter2x'".into());
    models.tables[1].columns[3].default =
        cutover_analysis::models::Default::Client("Foo(password=\"hunter2x\")".into());
    models.tables[0].comment = Some("postgres://u:hunter2x@h/db".into());
    let there = super::tests::SAME
        .replace("NOT NULL UNIQUE", "NOT NULL DEFAULT 'host=h password=hunter2y' UNIQUE")
        + "COMMENT ON TABLE parents IS 'postgres://u:hunter2y@h/db'";
    let alignment = aligned(&models, &there).await;
    assert_eq!(told(&alignment).len(), 3, "{alignment:?}");
    let all = super::lines(&alignment, &[]) + &serde_json::to_string(&alignment).unwrap();
    assert!(!all.contains("hunter2"), "{all}");
    assert!(all.contains("***"), "{all}");
}
