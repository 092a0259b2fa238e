//! A second time: re-runs, edited and failing files, and upgrades of databases with rows in them.

use cutover::apply::ApplyError;
use cutover::inspect;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::run::{EventKind, Outcome, Verdict};
use cutover::verify::{Figure, VerifyRequest, succeeded};

use crate::roadmap::{tables, up_to};
use crate::support::{
    Copy, applied, applying, digests, dump, everything_kept, failure, finished, measured, not_held, seeded,
    system, text, versions_without, whole,
};

#[tokio::test]
async fn rerun_changes_nothing() {
    let (project, database) = (system(), seeded());
    let state = async || {
        let digests = digests(&database, &tables()).await;
        (digests, testkit::catalogue_dump(&database.options(), &[]), everything_kept(&database))
    };
    let before = state().await;
    assert!(before.0.iter().all(|table| table.rows > 0));
    for _ in 0..2 {
        let run = applying(&project, &database.options()).run().await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::NothingToDo));
        assert_eq!(finished(&run), [] as [&str; 0]);
    }
    let results = measured(&project, &database.options(), &VerifyRequest::default()).await;
    assert_eq!(not_held(&results), []);
    // Checks bring rows of their own and roll them back.
    assert_eq!(state().await, before);
}

#[tokio::test]
async fn edited_file_is_shown_with_a_diff() {
    let (copy, database) = (Copy::new(), whole());
    let before = (everything_kept(&database), dump(&database));
    copy.replace("migrations/V0402__create_orders.sql", "reject_reason varchar(255)", "reject_reason text");
    let project = copy.load();
    let error = applying(&project, &database.options()).refused().await;
    assert!(matches!(error, ApplyError::ChangedFiles(_)), "{error:?}");
    let said = error.to_string();
    for words in [
        "migrations/V0402__create_orders.sql: was changed after it was applied",
        "\n-    reject_reason varchar(255),\n+    reject_reason text,\n",
        "--- migrations/V0402__create_orders.sql (as applied)",
        "nothing was done",
    ] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    assert_eq!(said.matches("was changed").count(), 1, "no other file is named: {said}");
    // A look at it says the same and changes nothing.
    let mut session = inspect::connect(&database.options(), None).await.unwrap();
    let selection = Selection::default();
    let seen = inspect::database(&project, &mut session, &selection, Read::Pending).await.unwrap();
    session.close().await;
    assert_eq!(seen.described.len(), 1);
    assert!(said.contains(&seen.described[0]), "{:?}", seen.described);
    assert_eq!((everything_kept(&database), dump(&database)), before);
}

#[tokio::test]
async fn failing_file_leaves_no_trace() {
    let (copy, database) = (Copy::new(), testkit::database());
    let broken = "ON orders (paper_account_id, requested_when)";
    copy.replace("migrations/V0402__create_orders.sql", "ON orders (paper_account_id, requested_at)", broken);
    let run = applying(&copy.load(), &database.options()).run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    for words in [
        "V0402__create_orders.sql:28:",
        "\"requested_when\" does not exist",
        "nothing of migrations/V0402__create_orders.sql is in the database",
    ] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    let until: Vec<String> = up_to("4.1").map(|entry| entry.version.to_owned()).collect();
    assert_eq!(applied(&database), until);
    // The database is as one that never heard of V0402.
    let other = testkit::database();
    applying(&system(), &other.options()).until_stage("4.1").completes().await;
    assert_eq!(
        testkit::catalogue_dump(&database.options(), &[]),
        testkit::catalogue_dump(&other.options(), &[])
    );
    assert_eq!(database.value("SELECT count(*) FROM cutover.unit"), "0");
    // The right file goes in with the next run.
    let run = applying(&system(), &database.options()).completes().await;
    assert_eq!(finished(&run), ["0402", "0403", "0600"]);
    assert_eq!(dump(&database), dump(&whole()));
    assert_eq!(applied(&database), versions_without(&[]));
}

/// The tables of sprints up to 3.2.
fn old_tables() -> Vec<String> {
    up_to("3.2").filter_map(|entry| entry.creates.strip_prefix("table ")).map(str::to_owned).collect()
}

/// Rows for the tables up to sprint 3.2.
fn rows_until_3_2() -> String {
    let seed = text("data/seed.sql");
    let (until, _) = seed.split_once("-- Sprint 4.1").expect("the seed names its sprints");
    until.to_owned()
}

#[tokio::test]
async fn upgrade_with_data() {
    let (copy, database) = (Copy::new(), testkit::database());
    let old = old_tables();
    assert_eq!(old.len(), 14);
    copy.append(
        "cutover.toml",
        &format!("\n[[check]]\nname = \"old rows stay\"\nkind = \"unchanged\"\ntables = {old:?}\n"),
    );
    let (project, options) = (copy.load(), database.options());
    applying(&project, &options).until_stage("3.2").completes().await;
    database.run(&rows_until_3_2());
    let before = digests(&database, &old).await;
    assert!(before.iter().all(|table| table.rows > 0), "{before:?}");
    let selection = Selection { optional: true, ..Selection::default() };
    let run = applying(&project, &options).selecting(selection).completes().await;
    assert_eq!(finished(&run), ["0230", "0331", "0400", "0401", "0402", "0403", "0404", "0600"]);
    assert_eq!(digests(&database, &old).await, before);
    let figures: Vec<Figure> = run
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Figures { table, rows, digest } => {
                Some(Figure { table: table.clone(), rows: *rows, digest: digest.clone() })
            }
            _ => None,
        })
        .collect();
    let request = VerifyRequest { figures, ..VerifyRequest::default() };
    let results = measured(&project, &options, &request).await;
    assert!(succeeded(&results) && not_held(&results).is_empty(), "{:#?}", not_held(&results));
    let stays =
        results.iter().filter(|result| result.kind == "unchanged" && result.verdict == Verdict::Holds);
    assert_eq!(stays.count(), old.len());
    // A row that changes is seen.
    database.run("UPDATE symbols SET name = name || '!' WHERE symbol = 'KO'");
    let request = VerifyRequest { kinds: vec!["unchanged".into()], ..request };
    let results = measured(&project, &options, &request).await;
    let wrong: Vec<&str> = not_held(&results).iter().map(|(name, ..)| *name).collect();
    assert_eq!(wrong, ["old rows stay: symbols"]);
}
