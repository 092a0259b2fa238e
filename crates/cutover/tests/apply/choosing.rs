//! Which migrations run: changed files, order, targets, deferred and optional ones, and what is missing.

use cutover::Project;
use cutover::apply::{ApplyError, Request};
use cutover::inspect;
use cutover::plan::build::Read;
use cutover::plan::select::{SelectError, Selection};
use cutover::report::text::{TextStyle, plan_lines};
use cutover::run::{EventKind, Outcome};
use testkit::{Database, database};

use crate::support::{
    APPLIED, Folder, Gate, OBJECTS, WAIT_AT_GATE, apply, apply_with, completes, failure, finished, looking,
    project,
};

async fn select(
    project: &Project,
    database: &Database,
    selection: Selection,
) -> Result<Vec<String>, ApplyError> {
    let request = Request { selection, ..Request::default() };
    let run = apply_with(project, &database.options(), &request).await?;
    let outcome = run.outcome.unwrap();
    assert!(matches!(outcome, Outcome::Completed | Outcome::NothingToDo), "{}", failure(&run));
    Ok(finished(&run))
}

async fn allowing(project: &Project, database: &Database, code: &str) -> Vec<String> {
    let request = Request { allow: vec![code.into()], ..Request::default() };
    finished(
        &apply_with(project, &database.options(), &request).await.unwrap_or_else(|error| panic!("{error}")),
    )
}

const A: (&str, &str) = ("migrations/V1__a.sql", "CREATE TABLE a (\n  n int,\n  m int\n);\n");
const B: (&str, &str) = ("migrations/V2__b.sql", "CREATE TABLE b ();\n");
const C: (&str, &str) = ("migrations/V3__c.sql", "CREATE TABLE c ();\n");
const NAMED: (&str, &str) = ("cutover.toml", "[project]\nname = \"p\"\n");

#[tokio::test]
async fn an_edited_file_is_refused_with_a_diff() {
    let database = database();
    let folder = Folder::with(&[NAMED, A, B]);
    completes(&folder.load(), &database.options()).await;
    folder.write(A.0, "CREATE TABLE a (\n  n bigint,\n  m int\n);\n");
    folder.write(C.0, C.1);
    let error = apply(&folder.load(), &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::ChangedFiles(_)), "{error:?}");
    let said = error.to_string();
    for part in [
        "migrations/V1__a.sql: was changed after it was applied",
        "(as applied)",
        "(now)",
        "-  n int,",
        "+  n bigint,",
        "--allow edited-migration",
        "nothing was done",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(database.value("SELECT to_regclass('c') IS NULL"), "t");
    assert_eq!(allowing(&folder.load(), &database, "edited-migration").await, ["3"]);
}

#[tokio::test]
async fn only_the_text_counts_not_its_line_ends() {
    let database = database();
    let folder = Folder::with(&[NAMED, A]);
    completes(&folder.load(), &database.options()).await;
    folder.write(A.0, &format!("\u{feff}{}", A.1.replace('\n', "\r\n")));
    assert_eq!(apply(&folder.load(), &database.options()).await.unwrap().outcome, Some(Outcome::NothingToDo));
}

#[tokio::test]
async fn a_deleted_file_is_refused() {
    let database = database();
    let folder = Folder::with(&[NAMED, A, B]);
    completes(&folder.load(), &database.options()).await;
    folder.remove(A.0);
    folder.write(C.0, C.1);
    let error = apply(&folder.load(), &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::ChangedFiles(_)), "{error:?}");
    let said = error.to_string();
    assert!(
        said.contains("V1__a.sql: version 1 is applied, but no file has it")
            && said.contains("--allow deleted-migration"),
        "{said}"
    );
    assert_eq!(database.value(APPLIED), "1 2");
    assert_eq!(allowing(&folder.load(), &database, "deleted-migration").await, ["3"]);
}

#[tokio::test]
async fn a_renamed_file_is_the_same_migration() {
    let database = database();
    let folder = Folder::with(&[NAMED, A, B]);
    completes(&folder.load(), &database.options()).await;
    folder.remove(A.0);
    folder.write("migrations/V1__renamed.sql", A.1);
    folder.write(C.0, C.1);
    let run = completes(&folder.load(), &database.options()).await;
    assert_eq!(finished(&run), ["3"]);
}

/// A run that says nothing of what was left for later lets it be forgotten.
#[tokio::test]
async fn what_is_deferred_is_told_of_by_every_later_run() {
    let database = database();
    let project = project(&[A, B]);
    let defer = Selection { defer: vec!["1".into()], ..Selection::default() };
    assert_eq!(select(&project, &database, defer).await.unwrap(), ["2"]);
    let run = apply(&project, &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NothingToDo));
    let note = "1 deferred: V1; `cutover apply V1` applies it";
    assert_eq!(run.plan.notes, [note]);
    let mut session = looking(&database.options()).await;
    let found =
        inspect::database(&project, &mut session, &Selection::default(), Read::Pending).await.unwrap();
    assert!(plan_lines(&found.built.plan, TextStyle::PLAIN).contains(note));
    let named = Selection { only: vec!["V1".into()], ..Selection::default() };
    assert_eq!(select(&project, &database, named).await.unwrap(), ["1"]);
    assert!(apply(&project, &database.options()).await.unwrap().plan.notes.is_empty());
}

#[tokio::test]
async fn a_new_name_is_recorded_once() {
    let database = database();
    let folder = Folder::with(&[NAMED, A]);
    completes(&folder.load(), &database.options()).await;
    let first = database.value("SELECT id FROM cutover.run");
    folder.remove(A.0);
    folder.write("migrations/V1__renamed.sql", A.1);
    let renamed = folder.load();
    let mut session = looking(&database.options()).await;
    let found =
        inspect::database(&renamed, &mut session, &Selection::default(), Read::Pending).await.unwrap();
    assert!(found.described[0].contains("the next apply records the new name"), "{:?}", found.described);
    let run = completes(&renamed, &database.options()).await;
    assert!(finished(&run).is_empty());
    let told = run.events.iter().filter(|event| matches!(event.kind, EventKind::Renumbered { .. }));
    assert_eq!(told.count(), 1);
    assert!(cutover::report::markdown(&run).contains("the history follows its new name"));
    let row = "SELECT concat_ws(' ', version, name, path, run) FROM cutover.migration";
    assert_eq!(database.value(row), format!("1 renamed migrations/V1__renamed.sql {first}"));
    let found =
        inspect::database(&renamed, &mut session, &Selection::default(), Read::Pending).await.unwrap();
    assert!(found.differences.is_empty(), "{:?}", found.differences);
    assert_eq!(apply(&renamed, &database.options()).await.unwrap().outcome, Some(Outcome::NothingToDo));
    // What the first run did, it did under the old name.
    let then = inspect::stored_run(&mut session, "p", Some(&first)).await.unwrap().unwrap();
    assert_eq!(finished(&then), ["1"]);
}

#[tokio::test]
async fn a_begun_file_may_not_be_edited_either() {
    let database = database();
    let begun = "CREATE TABLE a ();\n-- cutover: new-transaction\nSELECT 1 / 0;";
    let run = apply(&project(&[("V1__a.sql", begun)]), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert!(failure(&run).contains("1 of 2 parts is applied and recorded"));
    let edited = begun.replace("1 / 0", "1");
    let error = apply(&project(&[("V1__a.sql", &edited)]), &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::ChangedFiles(_)), "{error:?}");
    assert_eq!(allowing(&project(&[("V1__a.sql", &edited)]), &database, "edited-unfinished").await, ["1"]);
}

#[tokio::test]
async fn below_the_highest_applied_version_is_refused_unless_it_is_meant() {
    let database = database();
    let folder = Folder::with(&[NAMED, A, C]);
    completes(&folder.load(), &database.options()).await;
    folder.write(B.0, B.1);
    folder.write("migrations/V4__d.sql", "CREATE TABLE d ();");
    let error = select(&folder.load(), &database, Selection::default()).await.unwrap_err();
    let ApplyError::Select(SelectError::OutOfOrder { paths, highest }) = &error else { panic!("{error:?}") };
    assert_eq!(paths[..], ["migrations/V2__b.sql"]);
    assert!(highest.ends_with('3'), "{highest}");
    assert!(error.to_string().contains("--out-of-order"), "{error}");
    assert_eq!(database.value(APPLIED), "1 3");
    let only = Selection { only: vec!["2".into()], ..Selection::default() };
    assert_eq!(select(&folder.load(), &database, only).await.unwrap(), ["2"]);
    assert_eq!(select(&folder.load(), &database, Selection::default()).await.unwrap(), ["4"]);
    folder.write("migrations/V2.5__late.sql", "CREATE TABLE late ();");
    let meant = Selection { out_of_order: true, ..Selection::default() };
    assert_eq!(select(&folder.load(), &database, meant).await.unwrap(), ["2.5"]);
}

const STAGED: &str = r#"
[project]
name = "p"
[[stage]]
id = "1"
title = "first"
[[stage.migration]]
version = "1"
[[stage]]
id = "2"
title = "nothing"
[[stage]]
id = "3"
title = "third"
[[stage.migration]]
version = "3"
deferred = true
[[stage.migration]]
version = "4"
[[stage]]
id = "4"
title = "fourth"
[[stage.migration]]
version = "5"
optional = true
[[stage.migration]]
version = "6"
requires = ["3"]
"#;

fn staged() -> Folder {
    let folder = Folder::with(&[("cutover.toml", STAGED)]);
    for n in 1..=6 {
        folder.write(&format!("migrations/V{n}__t.sql"), &format!("CREATE TABLE t{n} ();"));
    }
    folder
}

fn to_stage(id: &str) -> Selection {
    Selection { to_stage: Some(id.into()), ..Selection::default() }
}

#[tokio::test]
async fn stages_are_cumulative_and_deferred_ones_go_in_later() {
    let database = database();
    let folder = staged();
    let project = folder.load();
    assert_eq!(select(&project, &database, to_stage("1")).await.unwrap(), ["1"]);
    let request = Request { selection: to_stage("2"), ..Request::default() };
    let run = apply_with(&project, &database.options(), &request).await.unwrap();
    assert_eq!(finished(&run), [""; 0], "a migration that no stage names goes with the stage after it");
    assert!(
        run.plan.notes.iter().any(|note| note.contains("(nothing) has no migrations")),
        "{:?}",
        run.plan.notes
    );
    assert_eq!(select(&project, &database, to_stage("3")).await.unwrap(), ["2", "4"], "3 is deferred");
    let error = select(&project, &database, to_stage("4")).await.unwrap_err();
    assert!(matches!(error, ApplyError::Select(SelectError::Requires { .. })), "{error:?}");
    assert!(error.to_string().contains("V6__t.sql requires migrations/V3__t.sql"), "{error}");
    let only = Selection { only: vec!["3".into()], ..Selection::default() };
    assert_eq!(
        select(&project, &database, only).await.unwrap(),
        ["3"],
        "out of order, for it is declared deferred"
    );
    assert_eq!(select(&project, &database, to_stage("4")).await.unwrap(), ["6"], "5 is optional");
    let optional = Selection { optional: true, ..Selection::default() };
    assert_eq!(select(&project, &database, optional).await.unwrap(), ["5"]);
    assert_eq!(select(&project, &database, Selection::default()).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_target_version_is_named_by_itself() {
    let database = database();
    let folder = staged();
    let project = folder.load();
    let to = |version: &str| Selection { to: Some(version.into()), ..Selection::default() };
    assert_eq!(
        select(&project, &database, to("3")).await.unwrap(),
        ["1", "2", "3"],
        "naming a deferred one includes it"
    );
    assert_eq!(select(&project, &database, to("V4__t.sql")).await.unwrap(), ["4"]);
    let error = select(&project, &database, to("44")).await.unwrap_err();
    assert!(matches!(error, ApplyError::Select(SelectError::UnknownVersion { .. })), "{error:?}");
    let error = select(&project, &database, to_stage("33")).await.unwrap_err();
    assert!(matches!(error, ApplyError::Select(SelectError::UnknownStage { .. })), "{error:?}");
}

#[tokio::test]
async fn leaving_one_for_later_is_recorded() {
    let database = database();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a ();"),
        ("V2__b.sql", "CREATE TABLE b ();"),
        ("V3__c.sql", "CREATE TABLE c ();"),
    ]);
    let defer = Selection { defer: vec!["2".into()], ..Selection::default() };
    let request = Request { selection: defer, ..Request::default() };
    let run = apply_with(&project, &database.options(), &request).await.unwrap();
    assert_eq!(finished(&run), ["1", "3"]);
    let skipped = run.events.iter().any(|event| matches!(&event.kind, EventKind::StepSkipped { migration, why } if migration.version.text() == "2" && why == "deferred"));
    assert!(skipped, "{:?}", run.events);
    assert_eq!(database.value("SELECT version_text || run FROM cutover.deferral"), format!("2{}", run.id));
    assert_eq!(
        select(&project, &database, Selection::default()).await.unwrap(),
        [""; 0],
        "it stays deferred"
    );
    let later = Selection { deferred: true, ..Selection::default() };
    assert_eq!(select(&project, &database, later).await.unwrap(), ["2"]);
    assert_eq!(database.value("SELECT count(*) FROM cutover.deferral"), "0");
}

#[tokio::test]
async fn only_what_would_be_applied_can_be_left_for_later() {
    let database = database();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a ();"),
        ("V2__b.sql", "CREATE TABLE b ();\n-- cutover: new-transaction\nSELECT 1 / 0;"),
        ("V3__c.sql", "CREATE TABLE c ();"),
        ("V4__d.sql", "CREATE TABLE d ();"),
    ]);
    apply(&project, &database.options()).await.unwrap();
    let to_2 = Selection { to: Some("2".into()), ..Selection::default() };
    let only_3 = Selection { only: vec!["3".into()], ..Selection::default() };
    let none = Selection::default();
    let cases = [
        ("1", &none, "V1__a.sql is applied already: it cannot be left for later (--defer)"),
        ("2", &none, "parts of V2__b.sql are applied already: it cannot be left for later"),
        ("3", &to_2, "V3__c.sql is not among what is asked for (--to 2), so it is not to be left out of it"),
        ("3", &only_3, "V3__c.sql is named to be applied and to be left for later (--defer) at once"),
        ("4", &only_3, "V4__d.sql is not among what is asked for (3)"),
    ];
    let runs = database.value("SELECT count(*) FROM cutover.run");
    for (version, selection, words) in cases {
        let selection = Selection { defer: vec![version.into()], ..selection.clone() };
        let error = select(&project, &database, selection.clone()).await.unwrap_err();
        assert!(matches!(error, ApplyError::Select(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{version}: {error}");
        let mut session = looking(&database.options()).await;
        let planned = inspect::database(&project, &mut session, &selection, Read::Pending).await;
        let refused: Vec<_> = planned.unwrap().refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused, [error.to_string()], "a plan says the same");
    }
    assert_eq!(database.value("SELECT count(*) FROM cutover.run"), runs);
    assert_eq!(database.value("SELECT count(*) FROM cutover.deferral"), "0");

    let staged = staged().load();
    let selection = Selection { defer: vec!["4".into()], ..to_stage("2") };
    let error = select(&staged, &testkit::database(), selection).await.unwrap_err().to_string();
    assert!(error.contains("(--to-stage 2)"), "{error}");
}

/// What is remembered already is no work for a run.
#[tokio::test]
async fn leaving_the_same_for_later_again_is_nothing_to_do() {
    let database = database();
    let project = project(&[("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "CREATE TABLE b ();")]);
    let selection = Selection { defer: vec!["2".into()], ..Selection::default() };
    assert_eq!(select(&project, &database, selection.clone()).await.unwrap(), ["1"]);
    let request = Request { selection, ..Request::default() };
    let again = apply_with(&project, &database.options(), &request).await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo));
    assert_eq!(database.value("SELECT count(*) FROM cutover.run"), "1");
}

#[tokio::test]
async fn what_is_missing_is_named_before_the_first_statement() {
    let database = database();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a (id int PRIMARY KEY);"),
        ("V2__b.sql", "CREATE TABLE b (n int);\n\nALTER TABLE b ADD FOREIGN KEY (n) REFERENCES nowhere;"),
        ("V3__c.sql", "CREATE INDEX ON later (n);"),
        ("V4__d.sql", "CREATE TABLE later (n int);"),
    ]);
    let error = apply(&project, &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Missing(_)), "{error:?}");
    let said = error.to_string();
    for part in [
        "V2__b.sql:3:46: needs table nowhere",
        "no migration of this project creates it",
        "V3__c.sql:1:17: needs",
        "V4__d.sql creates it, but comes after this one",
        "3 | ALTER TABLE b ADD FOREIGN KEY (n) REFERENCES nowhere;\n  |                                              ^",
        "nothing was done",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(database.value(OBJECTS), "", "not even the first table");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t", "nor anything of ours");
}

/// Names that no file writes: chosen by PostgreSQL, made along with something else, by code, or carried over.
#[tokio::test]
async fn what_is_not_certainly_missing_is_left_to_the_server() {
    const B: &str = "CREATE TABLE b (id int PRIMARY KEY, e text UNIQUE, k int); CREATE INDEX ON b (k);";
    const PARTS: &str = "CREATE TABLE p (id int PRIMARY KEY, k int) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE INDEX pk ON p (k);";
    const MAKES: &str = "CREATE FUNCTION mk() RETURNS void LANGUAGE plpgsql AS $$
        BEGIN CREATE TABLE made (id int); END $$;";
    const TRIGGER: &str = "CREATE TABLE t (id int);
        CREATE FUNCTION mk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE 'CREATE TABLE made (id int)'; RETURN NEW; END $$;
        CREATE TRIGGER tg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION mk();
        INSERT INTO t VALUES (1);";
    const IN_SCHEMA: &str =
        "CREATE SCHEMA sch; CREATE TABLE sch.t (id int); ALTER SCHEMA sch RENAME TO sch2;";
    const DIFFERENCE: &str = "CREATE TYPE r AS RANGE (subtype = float8, subtype_diff = float8mi);";
    for (first, second) in [
        (B, "REINDEX INDEX b_pkey;"),
        (B, "CLUSTER b USING b_pkey;"),
        (B, "ALTER TABLE b REPLICA IDENTITY USING INDEX b_pkey;"),
        (B, "ALTER INDEX b_e_key SET (fillfactor = 70);"),
        (B, "ALTER INDEX b_k_idx RENAME TO b_k;"),
        (B, "CREATE TABLE c (LIKE b INCLUDING ALL); ALTER INDEX c_pkey RENAME TO c_pk;"),
        (B, "CREATE INDEX ON b (lower(e)); DROP INDEX b_lower_idx;"),
        (B, "CREATE INDEX ON b (k); DROP INDEX b_k_idx1;"),
        (B, "CREATE INDEX ON b (e, (k::text), (k + 1)) INCLUDE (k); DROP INDEX b_e_k_expr_k1_idx;"),
        (B, "CREATE TABLE x (v _b);"),
        ("CREATE TABLE b (id int, EXCLUDE USING btree (id WITH =));", "COMMENT ON INDEX b_id_excl IS 'x';"),
        (
            "CREATE TABLE b (n int, n_seq serial); CREATE SEQUENCE b_s_seq;",
            "ALTER TABLE b ADD s serial; SELECT nextval('b_s_seq1');",
        ),
        (PARTS, "ALTER INDEX p1_pkey RENAME TO p1_pk;"),
        (PARTS, "DROP INDEX pk; CREATE INDEX named ON p (k); ALTER INDEX p1_k_idx RENAME TO renamed;"),
        (DIFFERENCE, "CREATE TABLE x (r r);"),
        (
            "CREATE TYPE textrange AS RANGE (subtype = text, collation = \"C\");",
            "CREATE TABLE x (m textmultirange);",
        ),
        ("CREATE TYPE r AS RANGE (subtype = int, multirange_type_name = own);", "CREATE TABLE x (m own);"),
        (IN_SCHEMA, "CREATE VIEW v AS SELECT * FROM sch2.t;"),
        (MAKES, "SELECT mk(); CREATE VIEW v AS SELECT * FROM made;"),
        (TRIGGER, "ALTER TABLE made ADD n int;"),
    ] {
        // In one file as well as in two.
        let together = format!("{first}\n{second}");
        for files in [&[("V1__a.sql", first), ("V2__b.sql", second)][..], &[("V1__a.sql", &together)]] {
            let database = database();
            let run = apply(&project(files), &database.options()).await;
            let run = run.unwrap_or_else(|error| panic!("{second}: {error}"));
            assert_eq!(run.outcome, Some(Outcome::Completed), "{second}: {}", failure(&run));
        }
    }
    for (first, second) in [
        (B, "DROP INDEX b_e_keyy;"),
        ("CREATE SCHEMA sch;", "CREATE VIEW v AS SELECT * FROM sch.t;"),
        (MAKES, "CREATE VIEW v AS SELECT * FROM made;"),
        (DIFFERENCE, "CREATE TABLE x (r rr);"),
    ] {
        let project = project(&[("V1__a.sql", first), ("V2__b.sql", second)]);
        let error = apply(&project, &database().options()).await.unwrap_err();
        assert!(matches!(error, ApplyError::Missing(_)), "{second}: {error:?}");
    }
}

/// Files of applied migrations are not read for a plan: what they create is not denied.
#[tokio::test]
async fn a_plan_claims_nothing_of_files_that_it_did_not_read() {
    let database = database();
    let first = ("V1__a.sql", "CREATE TABLE orders (n int);");
    completes(&project(&[first]), &database.options()).await;
    let function = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM orders; EXECUTE 'x'; END $$; CREATE TABLE c (n int);";
    let two = project(&[first, ("V2__f.sql", function), ("V3__c.sql", "CREATE VIEW v AS SELECT n FROM c;")]);
    let mut session = inspect::connect(&database.options(), None).await.unwrap();
    for read in [Read::Work, Read::Pending, Read::All] {
        let found = inspect::database(&two, &mut session, &Selection::default(), read).await.unwrap();
        let steps = &found.built.plan.steps;
        assert!(steps[1].late.is_empty(), "{read:?}: {:?}", steps[1].late);
        assert_eq!(steps[1].unseen, ["line 1: a body runs statements that it makes at run time (EXECUTE)"]);
        let text = plan_lines(&found.built.plan, TextStyle::PLAIN);
        assert!(text.contains("needs V2 (relation c (read by a view))"), "{text}");
        assert!(text.contains("line 1: a body runs statements that it makes at run time"), "{text}");
    }
    let other = project(&[first, ("V2__f.sql", "CREATE VIEW v AS SELECT 1 FROM nowhere;")]);
    let error = apply(&other, &database.options()).await.unwrap_err().to_string();
    assert!(error.contains("no pending migration creates it"), "{error}");
    // Where all are read it is said.
    let never = project(&[(
        "V1__a.sql",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SELECT 1 FROM nowhere';",
    )]);
    let plan = inspect::files_only(&never, &Selection::default()).unwrap().built.plan;
    assert_eq!(plan.steps[0].late, ["relation nowhere (read in a function): no migration creates it"]);
}

#[tokio::test]
async fn a_file_that_does_not_parse_stops_all_before_the_first_statement() {
    let database = database();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a ();"),
        ("V2__b.sql", "CREATE TABLE b ();\n  CREATE TABEL c ();"),
        ("V3__c.sql", "\\dt"),
    ]);
    let error = apply(&project, &database.options()).await.unwrap_err();
    let said = error.to_string();
    for part in [
        "V2__b.sql:2:10: syntax error at or near \"TABEL\"",
        "V3__c.sql:1:1: psql command",
        "nothing was done",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(database.value(OBJECTS), "");
}

#[tokio::test]
async fn a_file_that_changes_after_it_was_planned_is_not_applied() {
    let database = database();
    let folder = Folder::with(&[NAMED, A, B]);
    let project = folder.load();
    folder.write(B.0, "CREATE TABLE other ();\n");
    let error = apply(&project, &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Scripts(_)), "{error:?}");
    assert!(error.to_string().contains("V2__b.sql:1:1: the file changed"), "{error}");
    assert_eq!(database.value(OBJECTS), "");
}

/// A large file is read once to plan it and once more to apply it.
#[tokio::test]
async fn a_large_file_that_changes_while_others_are_applied_is_rolled_back() {
    let database = database();
    let options = database.options();
    let large = |what: &str| {
        format!(
            "CREATE TABLE large (n int);\n-- {}\nINSERT INTO large VALUES ({what});",
            " ".repeat(300 << 10)
        )
    };
    let folder = Folder::with(&[
        NAMED,
        ("migrations/V1__wait.sql", WAIT_AT_GATE),
        ("migrations/V2__large.sql", &large("1")),
    ]);
    let project = folder.load();
    let mut gate = Gate::closed(&options).await;
    let editing = async {
        gate.reached().await;
        folder.write("migrations/V2__large.sql", &large("2"));
        gate.open().await;
    };
    let (run, ()) = tokio::join!(apply(&project, &options), editing);
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    assert!(said.contains("V2__large.sql: the file changed while it was being applied"), "{said}");
    assert_eq!(database.value(APPLIED), "1");
    assert_eq!(database.value(OBJECTS), "");
}

#[tokio::test]
async fn a_check_written_wrong_stops_before_the_first_statement() {
    let database = database();
    let folder = Folder::with(&[
        (
            "cutover.toml",
            "[[migrations]]\npath = \"m\"\n[[check]]\nname = \"x\"\nkind = \"no_rowz\"\nsql = \"SELECT 1\"\n",
        ),
        ("m/V1__a.sql", "CREATE TABLE a ();"),
    ]);
    let error = apply(&folder.load(), &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Checks(_)), "{error:?}");
    assert!(error.to_string().contains("no_rows"), "{error}");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
}

#[tokio::test]
async fn all_that_stops_a_run_is_said_at_once() {
    let database = database();
    let folder = Folder::with(&[NAMED, A, B]);
    completes(&folder.load(), &database.options()).await;
    folder.write(A.0, "CREATE TABLE a (other int);");
    folder.write("migrations/V3__c.sql", "CREATE TABEL c ();");
    folder.write("migrations/V4__d.sql", "CREATE TABLE d (n int REFERENCES b, m int REFERENCES nowhere);");
    let config = "\n[[check]]\nname = \"x\"\nkind = \"no_rowz\"\nsql = \"SELECT 1\"\n\
                  [[stage]]\nid = \"1\"\n[[stage.migration]]\nversion = \"3\"\nrequires = [\"4\"]\ndeferred = true\n";
    folder.write(NAMED.0, &format!("{}{config}", NAMED.1));
    let request = Request {
        selection: Selection { only: vec!["3".into()], ..Selection::default() },
        ..Request::default()
    };
    let error = apply_with(&folder.load(), &database.options(), &request).await.unwrap_err();
    assert!(matches!(error, ApplyError::Several(_)), "{error:?}");
    let said = error.to_string();
    for part in [
        "unknown kind of check \"no_rowz\"",
        "migrations/V1__a.sql: was changed after it was applied",
        "migrations/V3__c.sql requires migrations/V4__d.sql",
        "migrations/V3__c.sql:1:8: syntax error",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let all = apply(&folder.load(), &database.options()).await.unwrap_err().to_string();
    assert!(all.contains("migrations/V4__d.sql:1:54: needs table nowhere"), "{all}");
    for text in [&said, &all] {
        assert!(
            text.ends_with("\nnothing was done") && text.matches("nothing was done").count() == 1,
            "{text}"
        );
    }
    assert_eq!(database.value(APPLIED), "1 2");
}

#[tokio::test]
async fn a_hazard_that_nobody_knows_is_refused() {
    let database = database();
    let request = Request { allow: vec!["edited".into()], ..Request::default() };
    let error = apply_with(&project(&[("V1__a.sql", "SELECT 1;")]), &database.options(), &request).await;
    let said = error.unwrap_err().to_string();
    assert!(said.contains("no hazard \"edited\"") && said.contains("edited-migration"), "{said}");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
}
