//! A file that is given another number after it was applied is the same migration: it is not run again, and nothing is
//! guessed where a text is there more than once.

use cutover::apply::{ApplyError, Request};
use cutover::history::differences::Difference;
use cutover::inspect;
use cutover::plan::StepState;
use cutover::plan::build::Read;
use cutover::plan::select::{SelectError, Selection};
use cutover::run::{EventKind, Outcome, Run};
use cutover::{Project, report};
use testkit::{Database, database};

use crate::support::{APPLIED, Folder, apply, apply_with, completes, failure, finished, looking, project};

/// Each run of one of them leaves a row.
fn row(what: &str) -> String {
    format!("INSERT INTO log VALUES ('{what}');")
}

async fn with_log(project: &Project) -> Database {
    let database = database();
    database.run("CREATE TABLE log (what text)");
    completes(project, &database.options()).await;
    database
}

const LOG: &str = "SELECT coalesce(string_agg(what, ' ' ORDER BY what), '') FROM log";

async fn refused(project: &Project, database: &Database, allow: &[&str]) -> String {
    let allow = allow.iter().map(ToString::to_string).collect();
    let request = Request { allow, ..Request::default() };
    let error = apply_with(project, &database.options(), &request).await.unwrap_err();
    // What else stands against it is said with it.
    let changed = match &error {
        ApplyError::Several(all) => all.first(),
        one => Some(one),
    };
    assert!(matches!(changed, Some(ApplyError::ChangedFiles(_))), "{error:?}");
    error.to_string()
}

fn accepting(selection: Selection) -> Request {
    Request { selection, allow: vec!["renumbered-migration".into()], ..Request::default() }
}

async fn accepted(project: &Project, database: &Database) -> Run {
    let run = apply_with(project, &database.options(), &accepting(Selection::default())).await;
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    run
}

#[tokio::test]
async fn it_is_named_refused_and_never_run_again() {
    let before = project(&[("0001_a.sql", &row("a")), ("0005_x.sql", &row("x"))]);
    let after = project(&[("0001_a.sql", &row("a")), ("0007_y.sql", &row("x")), ("0008_b.sql", &row("b"))]);
    let database = with_log(&before).await;
    let first = database.value("SELECT id FROM cutover.run");
    let said = refused(&after, &database, &["deleted-migration"]).await;
    for part in [
        "0007_y.sql: is 0005_x.sql, which is applied as version 0005, under another number (no file has that number any more)",
        "accept 0005 → 0007 with --allow renumbered-migration",
        "nothing was done",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(!said.contains("deleted"), "{said}");
    let mut session = looking(&database.options()).await;
    let found = inspect::database(&after, &mut session, &Selection::default(), Read::Pending).await.unwrap();
    assert!(matches!(found.differences[..], [Difference::Renumbered(_)]), "{:?}", found.differences);
    let states: Vec<_> =
        found.built.plan.steps.iter().map(|step| matches!(step.state, StepState::Applied { .. })).collect();
    assert_eq!(states, [true, true, false], "a plan shows what a run would do that accepts it");

    let run = accepted(&after, &database).await;
    assert_eq!(finished(&run), ["0008"]);
    let told = run.events.iter().find_map(|event| match &event.kind {
        EventKind::Renumbered { migration, from, .. } => Some(format!("{from} → {migration}")),
        _ => None,
    });
    assert_eq!(told.as_deref(), Some("0005 → 0007"));
    assert!(report::markdown(&run).contains("the history follows it from 0005 to 0007"));
    assert_eq!(database.value(LOG), "a b x");
    assert_eq!(database.value(APPLIED), "0001 0007 0008");
    let row =
        "SELECT concat_ws(' ', version, name, path, run) FROM cutover.migration WHERE version_text = '0007'";
    assert_eq!(database.value(row), format!("7 y 0007_y.sql {first}"));
    assert_eq!(apply(&after, &database.options()).await.unwrap().outcome, Some(Outcome::NothingToDo));

    // What the first run did, it did under the old number.
    let then = inspect::stored_run(&mut session, "p", Some(&first)).await.unwrap().unwrap();
    assert_eq!(finished(&then), ["0001", "0005"]);
    let text = report::markdown(&then);
    assert!(
        text.contains("`0005_x.sql`") && !text.contains("`0007") && !text.contains("not reached"),
        "{text}"
    );
}

/// Only the history changes where nothing is pending; the number before the last is not forgotten either.
#[tokio::test]
async fn numbers_may_change_again() {
    let database = with_log(&project(&[("V1__x.sql", &row("x"))])).await;
    let first = database.value("SELECT id FROM cutover.run");
    for number in 2..=3 {
        let run = accepted(&project(&[(&format!("V{number}__x.sql"), &row("x"))]), &database).await;
        assert!(finished(&run).is_empty());
    }
    assert_eq!(database.value(APPLIED), "3");
    assert_eq!(database.value(LOG), "x");
    let then = inspect::stored_run(&mut looking(&database.options()).await, "p", Some(&first)).await;
    assert_eq!(finished(&then.unwrap().unwrap()), ["1"]);
}

/// Two people took the same number, and the one whose file was applied here gave way.
#[tokio::test]
async fn its_old_number_may_be_another_files_now() {
    let database = with_log(&project(&[("V5__mine.sql", &row("mine"))])).await;
    let after = project(&[("V5__theirs.sql", &row("theirs")), ("V6__mine.sql", &row("mine"))]);
    let said = refused(&after, &database, &[]).await;
    assert!(said.contains("V6__mine.sql: is V5__mine.sql, which is applied as version 5, under another number (that number is V5__theirs.sql's now)"), "{said}");
    assert!(!said.contains("was changed"), "{said}");
    let order = apply_with(&after, &database.options(), &accepting(Selection::default())).await.unwrap_err();
    assert!(matches!(order, ApplyError::Select(SelectError::OutOfOrder { .. })), "{order:?}");
    assert_eq!(database.value(APPLIED), "5", "nothing was written");
    let selection = Selection { out_of_order: true, ..Selection::default() };
    let run = apply_with(&after, &database.options(), &accepting(selection)).await.unwrap();
    assert_eq!((run.outcome, finished(&run)), (Some(Outcome::Completed), vec!["5".to_owned()]));
    assert_eq!(database.value(LOG), "mine theirs");
    assert_eq!(apply(&after, &database.options()).await.unwrap().outcome, Some(Outcome::NothingToDo));
}

#[tokio::test]
async fn two_may_change_places() {
    let database = with_log(&project(&[("V1__a.sql", &row("a")), ("V2__b.sql", &row("b"))])).await;
    let after = project(&[("V1__b.sql", &row("b")), ("V2__a.sql", &row("a"))]);
    accepted(&after, &database).await;
    assert_eq!(
        database.value("SELECT string_agg(path, ' ' ORDER BY version) FROM cutover.migration"),
        "V1__b.sql V2__a.sql"
    );
    assert_eq!(apply(&after, &database.options()).await.unwrap().outcome, Some(Outcome::NothingToDo));
    assert_eq!(database.value(LOG), "a b");
}

#[tokio::test]
async fn a_file_may_move_to_another_folder() {
    let database = database();
    database.run("CREATE TABLE log (what text)");
    let config = (
        "cutover.toml",
        "[project]\nname = \"p\"\n[[migrations]]\npath = \"one\"\n[[migrations]]\npath = \"two\"\n",
    );
    let folder = Folder::with(&[config, ("one/V1__a.sql", &row("a")), ("two/V1__b.sql", &row("b"))]);
    completes(&folder.load(), &database.options()).await;
    folder.remove("one/V1__a.sql");
    folder.write("one/V3__c.sql", &row("c"));
    folder.write("two/V2__a.sql", &row("a"));
    let run = accepted(&folder.load(), &database).await;
    assert_eq!(finished(&run), ["3"]);
    assert_eq!(
        database
            .value("SELECT string_agg(root || version, ' ' ORDER BY root, version) FROM cutover.migration"),
        "one3 two1 two2"
    );
    assert_eq!(database.value(LOG), "a b c");
}

/// Texts that are there more than once say nothing about which migration they are.
#[tokio::test]
async fn ties_are_not_guessed() {
    let all = ["renumbered-migration", "deleted-migration", "edited-migration"];
    let twice = project(&[("V1__a.sql", &row("x")), ("V2__b.sql", &row("x"))]);
    let database = with_log(&twice).await;
    let cases = [
        (project(&[("V3__c.sql", &row("x"))]), "V3__c.sql: the text is that of V1__a.sql and of V2__b.sql"),
        (
            project(&[("V2__b.sql", &row("x")), ("V3__c.sql", &row("x"))]),
            "V3__c.sql: the text is that of V1__a.sql and of V2__b.sql",
        ),
        (
            project(&[("V3__c.sql", &row("x")), ("V4__d.sql", &row("x"))]),
            "V3__c.sql, V4__d.sql: the text is that of V1__a.sql and of V2__b.sql",
        ),
    ];
    for (project, words) in &cases {
        let said = refused(project, &database, &all).await;
        assert!(said.contains(words) && said.contains("let its text differ"), "{said}");
    }
    assert_eq!(database.value(LOG), "x x");
    // As the hint says.
    let meant = project(&[("V2__b.sql", &row("x")), ("V3__c.sql", &format!("-- again\n{}", row("x")))]);
    let request = Request { allow: vec!["deleted-migration".into()], ..Request::default() };
    let run = apply_with(&meant, &database.options(), &request).await.unwrap();
    assert_eq!((run.outcome, finished(&run)), (Some(Outcome::Completed), vec!["3".to_owned()]));
    assert_eq!(database.value(LOG), "x x x");
}

/// A text may be written once more, to be run once more, as long as the first one is where it was.
#[tokio::test]
async fn a_copy_is_a_migration_of_its_own() {
    let database = with_log(&project(&[("V1__a.sql", &row("x"))])).await;
    completes(&project(&[("V1__a.sql", &row("x")), ("V2__b.sql", &row("x"))]), &database.options()).await;
    assert_eq!(database.value(LOG), "x x");
}

#[tokio::test]
async fn a_begun_file_goes_on_under_its_new_number() {
    let database = database();
    database.run("CREATE TABLE log (what text); CREATE TABLE switch AS SELECT 0 AS n");
    let text = format!(
        "{}\n-- cutover: new-transaction\nINSERT INTO log SELECT 'rest' || 1 / n FROM switch;",
        row("x")
    );
    let run = apply(&project(&[("V5__x.sql", &text)]), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    database.run("UPDATE switch SET n = 1");
    let after = project(&[("V7__x.sql", &text)]);
    let said = refused(&after, &database, &["deleted-unfinished", "edited-unfinished"]).await;
    assert!(said.contains("V7__x.sql: is V5__x.sql, of which parts are applied as version 5"), "{said}");
    let run = accepted(&after, &database).await;
    assert_eq!(finished(&run), ["7"]);
    assert_eq!(database.value(LOG), "rest1 x");
    assert_eq!(
        database.value("SELECT (SELECT count(*) FROM cutover.unit) + (SELECT count(*) FROM cutover.begun)"),
        "0"
    );
}

/// A project without a name is called as its folder is: under another one, the files must not run again.
#[tokio::test]
async fn a_project_that_lost_its_name_does_not_run_its_files_again() {
    let files = [("V1__x.sql", row("x")), ("V2__y.sql", row("y"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let database = with_log(&crate::support::named_project("release-1", &files)).await;
    let again = crate::support::named_project("release-2", &files);
    let said = refused(&again, &database, &[]).await;
    assert!(said.contains("2 files of 2 are applied already, as project \"release-1\""), "{said}");
    assert!(said.contains("write name = \"release-1\" in [project]"), "{said}");
    assert_eq!(database.value(LOG), "x y");
    let mut looking = looking(&database.options()).await;
    let found = inspect::database(&again, &mut looking, &Selection::default(), Read::Pending).await.unwrap();
    assert!(
        matches!(found.differences[..], [Difference::AppliedElsewhere { .. }]),
        "{:?}",
        found.differences
    );
    let request = Request { allow: vec!["applied-elsewhere".into()], ..Request::default() };
    apply_with(&again, &database.options(), &request).await.unwrap();
    assert_eq!(database.value(LOG), "x x y y");
    // One file in common with a larger project is nothing strange.
    let mut larger = files[..1].to_vec();
    let (a, b, c) = (row("a"), row("b"), row("c"));
    larger.extend([("V2__a.sql", a.as_str()), ("V3__b.sql", b.as_str()), ("V4__c.sql", c.as_str())]);
    completes(&crate::support::named_project("another", &larger), &database.options()).await;
}
