//! What of models could not be read is not in no model: nothing is told or dropped for it.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use cutover_analysis::models::{Aspect, Column, Index, Models};

use super::tests::{SAME, aligned, column, models, not_null, place, said, told};
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

/// A class whose table's name is not known may be of any table that no other model has; one that may be a model is of its own.
#[tokio::test]
async fn what_a_class_may_be_of_is_not_in_no_model() {
    let there = format!(
        "{SAME} CREATE TABLE extra (n int); CREATE TABLE second (n int); ALTER TABLE children ADD more int;"
    );
    let column = "column-without-model children.more :10";
    let mut unnamed = models();
    unnamed.unnamed(place(5), "the name of Odd's table");
    let mut perhaps = models();
    perhaps.may_have(place(6), "extra".to_owned());
    for (models, rest, held_back, kept) in [
        (&unnamed, &[column][..], "5: table extra, table second", ["extra", "second"]),
        (&perhaps, &[column, "table-without-model second :0"], "6: table extra", ["extra", "extra"]),
    ] {
        let alignment = aligned(models, &there).await;
        assert_eq!(told(&alignment), rest, "{alignment:?}");
        assert_eq!(held(&alignment), [held_back], "{alignment:?}");
        let made = generated(models, &there, &dropping("all")).await;
        assert!(made.sql.contains("DROP COLUMN more"), "{made:?}");
        assert!(kept.iter().all(|name| !made.sql.contains(name)), "{made:?}");
    }
}

/// A table or a column that is not understood is not made, whatever else needs it; nor is what cannot be without it.
#[tokio::test]
async fn what_is_not_understood_is_not_made_for_the_sake_of_something_else() {
    let decisions = super::Decisions::default();
    for open in [Aspect::Type, Aspect::Making] {
        let mut of_a_table = models();
        of_a_table.tables[0]
            .columns
            .push(Column { unstated: [open].into(), ..not_null("own", "varchar", 7) });
        let made = generated(&of_a_table, "", &decisions).await;
        assert_eq!(made.sql, "", "{made:?}");
        let why = "what Model.own (models:7) is to be is not understood";
        assert!(made.left[0].contains(why) && !made.left[0].contains("it needs"), "{:?}", made.left);
        assert!(made.left[1].contains(&format!("it needs table parents, and {why}")), "{:?}", made.left);

        // One that nothing else needs goes without the others.
        let mut of_a_child = models();
        of_a_child.tables[1]
            .columns
            .push(Column { unstated: [open].into(), ..not_null("own", "varchar", 17) });
        let made = generated(&of_a_child, "", &decisions).await;
        assert!(made.sql.contains("parents") && !made.sql.contains("children"), "{made:?}");

        // Of a table that is there the rest is made, but for what is over the column.
        of_a_child.tables[1].indexes.push(Index {
            name: Some("over".into()),
            keys: vec!["own".into()],
            place: place(18),
            ..Index::default()
        });
        of_a_child.tables[1].columns.push(column("more", "integer", 19));
        let made = generated(&of_a_child, SAME, &decisions).await;
        assert!(made.sql.contains("more") && !made.sql.contains("own"), "{made:?}");
        assert!(
            made.left.len() == 2 && made.left[1].contains("it needs column children.own"),
            "{:?}",
            made.left
        );
    }
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
    let there = SAME.replace("NOT NULL UNIQUE", "NOT NULL DEFAULT 'host=h password=hunter2y' UNIQUE")
        + "COMMENT ON TABLE parents IS 'postgres://u:hunter2y@h/db'";
    // Names of columns and of what makes their types are none.
    models.unsupported(
        place(1),
        "the type of A.password: Encrypted(Text, \"hunter2x\", 'hunter\\'2x', 24, KEY2)",
    );
    models.unsupported(place(1), "the type of A.secret: Kept(\"\"\"a\"hunter2x\"b\"\"\")");
    models.unsupported(place(1), "the base OAuthToken of Token: it is in no file");
    let alignment = aligned(&models, &there).await;
    assert_eq!(told(&alignment).len(), 3, "{alignment:?}");
    let all = super::lines(&alignment, &[]) + &serde_json::to_string(&alignment).unwrap();
    assert!(!all.contains("hunter2"), "{all}");
    assert!(all.contains("***"), "{all}");
    for seen in [
        "the type of A.password: Encrypted(Text, \"***\"",
        ", **, KEY2)",
        "the base OAuthToken of Token: it is in no file",
    ] {
        assert!(super::lines(&alignment, &[]).contains(seen), "{all}");
    }
}
