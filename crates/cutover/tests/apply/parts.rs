//! Files that are applied in parts: what is done stays as it was, the rest may be edited, and both is said.

use std::fmt::Write as _;

use cutover::Project;
use cutover::apply::{ApplyError, Request};
use cutover::repair::Mark;
use cutover::run::{EventKind, Outcome, PartsDone, Run};
use testkit::{Database, database};

use crate::support::{
    APPLIED, Folder, OBJECTS, apply, apply_with, completes, failure, finished, project, settle,
};

const NEXT: &str = "-- cutover: new-transaction\n";

/// Three parts, of which the last one fails.
const BEGUN: &str = "CREATE TABLE a (n int);\nINSERT INTO a VALUES (1);\n\
    -- cutover: new-transaction\nINSERT INTO a\n  VALUES (2);\n-- cutover: new-transaction\nSELECT 1 / 0;\n";

async fn begun(text: &str) -> (Database, Run) {
    let database = database();
    let run = apply(&file(text), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run));
    (database, run)
}

fn file(text: &str) -> Project {
    project(&[("V1__a.sql", text)])
}

fn allow(code: &str) -> Request {
    Request { allow: vec![code.into()], ..Request::default() }
}

/// What a run that may accept everything is told all the same.
async fn refused(project: &Project, database: &Database) -> String {
    let all = ["edited-unfinished", "edited-migration", "deleted-unfinished", "renumbered-migration"];
    let request = Request { allow: all.map(str::to_owned).to_vec(), ..Request::default() };
    let before = database.rows("SELECT unit, state, digest FROM cutover.unit ORDER BY 1");
    let error = apply_with(project, &database.options(), &request).await.unwrap_err();
    assert!(matches!(error, ApplyError::ChangedFiles(_)), "{error:?}");
    assert_eq!(database.rows("SELECT unit, state, digest FROM cutover.unit ORDER BY 1"), before);
    error.to_string()
}

fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[tokio::test]
async fn the_rest_may_be_edited_and_that_is_said() {
    let (database, run) = begun(BEGUN).await;
    assert!(
        failure(&run).contains("of V1__a.sql, 2 of 3 parts are applied and recorded"),
        "{}",
        failure(&run)
    );
    let edited = BEGUN.replace("1 / 0", "1").replace("CREATE TABLE a", "-- the first\n\nCREATE TABLE a");
    let error = apply(&file(&edited), &database.options()).await.unwrap_err();
    says(
        &error.to_string(),
        &[
            "V1__a.sql: was changed after 2 parts of it were applied; what is applied is unchanged, only the rest was edited",
            "--allow edited-unfinished",
            "--- V1__a.sql (when it was begun)\n+++ V1__a.sql (now)",
            "-SELECT 1 / 0;\n+SELECT 1;",
            "nothing was done",
        ],
    );
    let run = apply_with(&file(&edited), &database.options(), &allow("edited-unfinished")).await.unwrap();
    assert_eq!((run.outcome, finished(&run)), (Some(Outcome::Completed), vec!["1".to_owned()]));
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM a"), "1 2");
    assert_eq!(
        database.value("SELECT (SELECT count(*) FROM cutover.unit) + (SELECT count(*) FROM cutover.begun)"),
        "0"
    );
    assert_eq!(apply(&file(&edited), &database.options()).await.unwrap().outcome, Some(Outcome::NothingToDo));
}

#[tokio::test]
async fn what_is_applied_must_be_as_it_was_whatever_is_allowed() {
    let (database, _) = begun(BEGUN).await;
    let cases: [(String, &[&str]); 5] = [
        (
            BEGUN.replace("VALUES (2)", "VALUES (22)"),
            &[
                "2 parts of it were applied, and with it what was begun:\n  part 2 (applied; lines 4–5 then) reads otherwise now, lines 4–5\n",
                "-  VALUES (2);\n+  VALUES (22);",
                "`cutover status --show 1` prints the text as it was",
            ],
        ),
        (
            format!("SELECT 0;\n{NEXT}{BEGUN}"),
            &[
                "part 1 (applied; lines 1–2 then) is part 2 now, lines 3–4",
                "part 2 (applied; lines 4–5 then) is part 3 now, lines 6–7",
            ],
        ),
        (
            "CREATE TABLE a (n int);\nINSERT INTO a VALUES (1);\n".to_owned(),
            &["part 2 (applied; lines 4–5 then) is not in the file any more"],
        ),
        (BEGUN.replacen(NEXT, "", 1), &["part 1 (applied; lines 1–2 then) reads otherwise now, lines 1–4"]),
        (
            format!(
                "INSERT INTO a\n  VALUES (2);\n{NEXT}CREATE TABLE a (n int);\nINSERT INTO a VALUES (1);\n{NEXT}SELECT 1"
            ),
            &[
                "part 1 (applied; lines 1–2 then) is part 2 now, lines 4–5",
                "part 2 (applied; lines 4–5 then) is part 1 now, lines 1–2",
            ],
        ),
    ];
    for (text, words) in cases {
        says(&refused(&file(&text), &database).await, words);
    }
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM a"), "1 2");
    let run =
        apply_with(&file(&BEGUN.replace("/ 0", "/ 1")), &database.options(), &allow("edited-unfinished"))
            .await;
    assert_eq!(run.unwrap().outcome, Some(Outcome::Completed), "put back, with another rest");
}

/// The part that failed is taken out: what is left is one transaction, which is done.
#[tokio::test]
async fn a_rest_that_is_left_out_ends_the_file() {
    let (database, _) = begun(BEGUN).await;
    let one = &BEGUN[..BEGUN.rfind(NEXT).unwrap()];
    let run = apply_with(&file(one), &database.options(), &allow("edited-unfinished")).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    let alone = database_begun_with_one_part().await;
    let run =
        apply_with(&file("CREATE TABLE a (n int);"), &alone.options(), &allow("edited-unfinished")).await;
    assert_eq!(run.unwrap().outcome, Some(Outcome::Completed));
    for database in [database, alone] {
        assert_eq!(database.value("SELECT count(*) FROM cutover.unit"), "0");
        assert_eq!(database.value("SELECT count(*) FROM cutover.begun"), "0");
        assert_eq!(database.value(APPLIED), "1");
    }
}

async fn database_begun_with_one_part() -> Database {
    begun(&format!("CREATE TABLE a (n int);\n{NEXT}SELECT 1 / 0;")).await.0
}

/// Data counts, and so does a file that is too large to be kept in memory.
#[tokio::test]
async fn data_of_a_large_part_counts() {
    let mut rows = String::new();
    (0..60_000).for_each(|n| writeln!(rows, "{n}").unwrap());
    let text = format!("CREATE TABLE a (n int);\nCOPY a FROM stdin;\n{rows}\\.\n{NEXT}SELECT 1 / 0;\n");
    assert!(text.len() > 300 << 10);
    let (database, _) = begun(&text).await;
    let said = refused(&file(&text.replace("\n777\n", "\n7777777\n")), &database).await;
    says(&said, &["part 1 (applied; lines 1–60003 then) reads otherwise now", "-777\n+7777777\n"]);
    let rest = text.replace("1 / 0", "1");
    let error = apply(&file(&rest), &database.options()).await.unwrap_err().to_string();
    says(&error, &["only the rest was edited", "-SELECT 1 / 0;\n+SELECT 1;"]);
    let run = apply_with(&file(&rest), &database.options(), &allow("edited-unfinished")).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(database.value("SELECT count(*) FROM a"), "60000");
}

const VARS: (&str, &str) =
    ("cutover.toml", "[project]\nname = \"p\"\n[vars]\nsecret = \"hunter2\"\nzero = \"0\"\n");

/// The file goes by what it says: another value does not make it an edited one, and no value gets into the journal.
#[tokio::test]
async fn values_of_placeholders_are_not_part_of_a_part() {
    let database = database();
    let text = format!("CREATE TABLE a AS SELECT '${{secret}}' AS it;\n{NEXT}SELECT 1 / ${{zero}};\n");
    let folder = Folder::with(&[VARS, ("migrations/V1__a.sql", &text)]);
    let run = apply(&folder.load(), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert_eq!(database.value("SELECT it FROM a"), "hunter2");
    assert_eq!(
        database.value("SELECT statement FROM cutover.unit"),
        "CREATE TABLE a AS SELECT '${secret}' AS it"
    );
    assert_eq!(database.value("SELECT first_line || ' ' || last_line FROM cutover.unit"), "1 1");
    let all =
        "SELECT count(*) FROM cutover.unit u, cutover.begun b WHERE u::text || b::text LIKE '%hunter2%'";
    assert_eq!(database.value(all), "0");
    folder.write(VARS.0, &VARS.1.replace("hunter2", "another").replace("\"0\"", "\"1\""));
    completes(&folder.load(), &database.options()).await;
    assert_eq!(database.value("SELECT it FROM a"), "hunter2");
}

/// A value that divides the file otherwise is another matter: the parts would not be those that are done.
#[tokio::test]
async fn values_that_divide_a_file_otherwise_are_refused() {
    let database = database();
    let config = "[project]\nname = \"p\"\n[vars]\nmore = \"SELECT 1\"\n";
    let text = "CREATE TABLE a (n int);\n${more};\nCREATE INDEX CONCURRENTLY a_n ON a (n);\nSELECT 1 / 0;\n";
    let folder = Folder::with(&[("cutover.toml", config), ("migrations/V1__a.sql", text)]);
    apply(&folder.load(), &database.options()).await.unwrap();
    folder.write("cutover.toml", &config.replace("SELECT 1", "SELECT 1; SELECT 2"));
    let said = refused(&folder.load(), &database).await;
    says(
        &said,
        &[
            "the text is the one of which 3 parts of it were applied, but it has other parts now",
            "part 3 (applied; line 3 then) is part 4 now",
        ],
    );
}

/// What was begun and whose end nobody knows must be as it was too, until a person has settled it.
#[tokio::test]
async fn a_part_whose_end_is_not_known_must_be_as_it_was() {
    let database = database();
    database.run("CREATE TABLE log (n int); CREATE INDEX log_n ON log (n); CREATE TABLE other (n int)");
    let text = "INSERT INTO log VALUES (1);\nREINDEX TABLE CONCURRENTLY log;\nSELECT 1 / 0;";
    apply(&file(text), &database.options()).await.unwrap();
    database.run("UPDATE cutover.unit SET state = 'started', run = 'gone' WHERE unit = 1");
    let edited = text.replace("CONCURRENTLY log", "CONCURRENTLY other").replace("1 / 0", "1");
    says(
        &refused(&file(&edited), &database).await,
        &[
            "was changed after 1 part of it was applied, and with it what was begun:",
            "part 2 (begun, its end not known; line 2 then) reads otherwise now, line 2",
            "`cutover repair 1 --mark not-done` settles that",
        ],
    );
    settle(&file(&edited), &database.options(), "1", Mark::NotDone).await.unwrap();
    let run = apply_with(&file(&edited), &database.options(), &allow("edited-unfinished")).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM log"), "1");
}

/// A part that is run again after a crash is still one of the text that is kept.
#[tokio::test]
async fn the_text_stays_while_a_part_is_run_again() {
    let database = database();
    database.run("CREATE TABLE log (n int); CREATE INDEX log_n ON log (n)");
    let text = "REINDEX INDEX CONCURRENTLY log_n;\nSELECT 1 / 0;";
    apply(&file(text), &database.options()).await.unwrap();
    database.run("UPDATE cutover.unit SET state = 'started', run = 'gone'");
    let run = apply(&file(text), &database.options()).await.unwrap();
    assert!(failure(&run).contains("1 of 2 parts is applied and recorded"), "{}", failure(&run));
    assert_eq!(database.value("SELECT count(*) FROM cutover.begun"), "1");
    let error = apply(&file(&text.replace("/ 0", "/ 1")), &database.options()).await.unwrap_err().to_string();
    says(&error, &["only the rest was edited", "-SELECT 1 / 0;\n"]);
}

#[tokio::test]
async fn a_begun_file_that_is_gone_is_missed() {
    let (database, _) = begun(BEGUN).await;
    let other = project(&[("V2__b.sql", "CREATE TABLE b ();")]);
    let error = apply(&other, &database.options()).await.unwrap_err();
    says(
        &error.to_string(),
        &[
            "V1__a.sql: parts of version 1 are applied, but no file has it any more",
            "--allow deleted-unfinished",
        ],
    );
    let run = apply_with(&other, &database.options(), &allow("deleted-unfinished")).await.unwrap();
    assert_eq!(finished(&run), ["2"]);
}

/// How a run ended says what of the file is applied, also where it is a later run that failed.
#[tokio::test]
async fn a_failure_says_how_many_parts_are_applied() {
    let parts = |run: &Run| {
        run.events.iter().find_map(|event| match &event.kind {
            EventKind::StepFailed { parts, .. } => Some(*parts),
            _ => None,
        })
    };
    let (database, run) = begun(BEGUN).await;
    assert_eq!(parts(&run), Some(PartsDone { done: 2, of: 3 }));
    let again = apply(&file(BEGUN), &database.options()).await.unwrap();
    assert_eq!(parts(&again), Some(PartsDone { done: 2, of: 3 }));
    let said = cutover::report::text::summary(&again, cutover::report::text::TextStyle::PLAIN);
    says(
        &said,
        &[
            "Failed, partly applied after",
            "A migration failed: 2 of 3 parts of V1__a.sql are applied and recorded, the rest",
        ],
    );
    let stored =
        cutover::inspect::stored_run(&mut crate::support::looking(&database.options()).await, "p", None)
            .await;
    let report = cutover::report::markdown(&stored.unwrap().unwrap());
    says(
        &report,
        &["**Failed, partly applied.** A migration failed: 2 of 3 parts of", "| **partly applied** |"],
    );
    let (_, run) = begun("CREATE TABLE a ();\nSELECT 1 / 0;").await;
    assert_eq!(parts(&run), Some(PartsDone { done: 0, of: 1 }));
    let said = cutover::report::text::summary(&run, cutover::report::text::TextStyle::PLAIN);
    says(&said, &["Failed, rolled back after", "nothing of V1__a.sql is in the database"]);
    assert_eq!(database.value(APPLIED), "");
    assert_ne!(database.value(OBJECTS), "");
}
