//! Where errors point: at the line a person would look for, in the file as it is.

use cutover::run::Outcome;
use testkit::database;

use crate::support::{Folder, apply, completes, failure, project};

/// What a failing run of these files says.
async fn said(files: &[(&str, &str)]) -> String {
    let database = database();
    let run = apply(&project(files), &database.options()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    failure(&run)
}

#[track_caller]
fn assert_begins(said: &str, expected: &str) {
    assert!(said.starts_with(expected), "expected\n{expected}\nin\n{said}");
}

#[tokio::test]
async fn an_error_in_a_function_of_the_same_file_is_shown_in_its_body() {
    let function = "CREATE TABLE t (n int);\n\
        CREATE FUNCTION app_f(a int, b text DEFAULT 'x') RETURNS int LANGUAGE plpgsql AS $$\n\
        BEGIN\n  PERFORM 1;\n  RAISE EXCEPTION 'no %', a;\nEND $$;\n";
    let said_of = said(&[("V1__f.sql", &format!("{function}SELECT 1; SELECT app_f(7);"))]).await;
    assert_begins(
        &said_of,
        "V1__f.sql:5:3: ERROR: no 7 (P0001)\n  |\n5 |   RAISE EXCEPTION 'no %', a;\n  |   ^\n  \
         in the statement at V1__f.sql:7:11\n",
    );
    // The body is in another file: the statement that called it is shown.
    let database = database();
    let first = ("V1__f.sql", function);
    completes(&project(&[first]), &database.options()).await;
    let run = apply(&project(&[first, ("V2__call.sql", "\nSELECT app_f(7);")]), &database.options()).await;
    assert_begins(
        &failure(&run.unwrap()),
        "V2__call.sql:2:1: ERROR: no 7 (P0001)\n  |\n2 | SELECT app_f(7);\n  | ^\n",
    );
}

#[tokio::test]
async fn of_nested_functions_the_innermost_that_the_file_makes_is_shown() {
    let file = "CREATE FUNCTION inner_f(n int) RETURNS int LANGUAGE plpgsql AS $$\nDECLARE x int;\nBEGIN\n  \
        x := 10 / n;\n  RETURN x;\nEND $$;\n\
        CREATE FUNCTION outer_f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN\nRETURN inner_f(0); END $body$;\n\
        DO $$ BEGIN\n  PERFORM outer_f(); END $$;";
    assert_begins(
        &said(&[("V1__f.sql", file)]).await,
        "V1__f.sql:4:3: ERROR: division by zero (22012)\n  |\n4 |   x := 10 / n;\n",
    );
}

#[tokio::test]
async fn an_error_in_a_do_block_is_shown_in_the_block() {
    let file =
        "DO $$ BEGIN NULL; END $$;\nDO LANGUAGE plpgsql $x$\nBEGIN\n\n  PERFORM nowhere.f(1); END $x$;";
    let said = said(&[("V1__do.sql", file)]).await;
    assert_begins(&said, "V1__do.sql:5:");
    assert!(said.contains("5 |   PERFORM nowhere.f(1); END $x$;"), "{said}");
}

#[tokio::test]
async fn a_body_that_does_not_compile_is_shown_where_it_is_wrong() {
    let file =
        "SELECT 1; CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN x +;\nEND $$;";
    assert_begins(
        &said(&[("V1__f.sql", file)]).await,
        "V1__f.sql:3:13: ERROR: syntax error at end of input (42601)\n  |\n3 |   RETURN x +;\n  |             ^\n",
    );
    let file =
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  IF true THEN\n  RETURN 1;\nEND $$;";
    assert_begins(
        &said(&[("V1__f.sql", file)]).await,
        "V1__f.sql:5:5: ERROR: syntax error at end of input (42601)\n  |\n5 | END $$;",
    );
}

#[tokio::test]
async fn two_functions_of_one_name_are_told_apart_by_their_arguments() {
    let file = "CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN RAISE 'one'; END $$;\n\
        CREATE FUNCTION f(a int, OUT b int) LANGUAGE plpgsql AS $$\nBEGIN RAISE 'never'; END $$;\n";
    // PostgreSQL refuses the second: it has the same input.
    assert_begins(&said(&[("V1__f.sql", file)]).await, "V1__f.sql:3:1: ERROR: function \"f\" already exists");
    let file = "CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN RAISE 'one'; END $$;\n\
        CREATE FUNCTION f(a int, b int) RETURNS int LANGUAGE plpgsql AS $$\n\nBEGIN RAISE 'two'; END $$;\nSELECT f(1);";
    assert_begins(&said(&[("V1__f.sql", file)]).await, "V1__f.sql:2:1: ERROR: one (P0001)");
}

#[tokio::test]
async fn wrong_copy_data_is_shown_in_its_line_and_field() {
    let csv = "CREATE TABLE t (n int, d date);\n\
        COPY t (n, d) FROM stdin WITH (FORMAT csv, HEADER); -- data\nn,d\n1,2026-01-01\n2,\"2026-13-01\"\n\\.\nSELECT 1;";
    assert_begins(
        &said(&[("V1__t.sql", csv)]).await,
        "V1__t.sql:5:3: ERROR: date/time field value out of range: \"2026-13-01\" (22008)\n  |\n\
         5 | 2,\"2026-13-01\"\n  |   ^\n  in the statement at V1__t.sql:2:1\n",
    );
    let missing = "CREATE TABLE t (n int, d int);\nCOPY t FROM stdin;\n1\t2\n3\n\\.\n";
    assert_begins(
        &said(&[("V1__t.sql", missing)]).await,
        "V1__t.sql:4:1: ERROR: missing data for column \"d\"",
    );
}

#[tokio::test]
async fn the_whole_line_is_shown_also_behind_other_statements_and_placeholders() {
    let folder = Folder::with(&[
        ("cutover.toml", "[project]\nname = \"p\"\n[vars]\nschema_name = \"a_long_name_of_a_schema\"\n"),
        (
            "migrations/V1__a.sql",
            "CREATE SCHEMA ${schema_name}; CREATE TABLE ${schema_name}.t (n int); SELECT 1 / 0 AS x;\n",
        ),
    ]);
    let database = database();
    let run = apply(&folder.load(), &database.options()).await.unwrap();
    assert_begins(
        &failure(&run),
        "migrations/V1__a.sql:1:70: ERROR: division by zero (22012)\n  |\n\
         1 | CREATE SCHEMA ${schema_name}; CREATE TABLE ${schema_name}.t (n int); SELECT 1 / 0 AS x;\n",
    );
}
