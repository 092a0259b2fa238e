//! Applying up to a sprint: the cumulative set, what empty sprints say, and what sprints read.

use cutover::inspect;
use cutover::plan::StepState;
use cutover::plan::select::{Selection, find_stage};
use cutover::run::{Outcome, Verdict};
use cutover::verify::VerifyRequest;
use testkit::Database;

use crate::roadmap::{EMPTY_SPRINTS, SPRINTS, TABLES, USES, up_to};
use crate::support::{applying, finished, measured, not_held, sorted, system, tables_of};

/// Name of the table where a migration creates one.
fn table(creates: &str) -> Option<String> {
    creates.strip_prefix("table ").map(str::to_owned)
}

async fn applies_the_cumulative_set(sprint: &str) {
    let (project, database) = (system(), testkit::database());
    let run = applying(&project, &database.options()).until_stage(sprint).completes().await;
    let versions: Vec<&str> = up_to(sprint).map(|entry| entry.version).collect();
    assert_eq!(finished(&run), versions, "{sprint}");
    let tables: Vec<String> = up_to(sprint).filter_map(|entry| table(entry.creates)).collect();
    assert_eq!(tables_of(&database), sorted(tables), "{sprint}");
    let key = database.value("SELECT count(*) FROM pg_constraint WHERE conname = 'fk_backtest_runs_job'");
    assert_eq!(key == "1", versions.contains(&"0330"), "{sprint}");
    let ahead =
        run.plan.steps.iter().filter(|step| step.state == StepState::AboveTarget && !step.claims.optional);
    assert_eq!(ahead.count(), 20 - versions.len(), "{sprint}");
    let again = applying(&project, &database.options()).until_stage(sprint).run().await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo), "{sprint}");
}

/// In two halves, so that both cores have work.
#[tokio::test]
async fn each_stage_applies_the_cumulative_set_until_3_2() {
    for (sprint, _) in &SPRINTS[..10] {
        applies_the_cumulative_set(sprint).await;
    }
}

#[tokio::test]
async fn each_stage_applies_the_cumulative_set_from_3_3() {
    for (sprint, _) in &SPRINTS[10..] {
        applies_the_cumulative_set(sprint).await;
    }
}

#[test]
fn the_cumulative_sets_add_up() {
    let sizes: Vec<usize> = SPRINTS.iter().map(|(sprint, _)| up_to(sprint).count()).collect();
    assert_eq!(sizes, [2, 6, 6, 7, 8, 10, 10, 10, 10, 15, 15, 15, 17, 19, 19, 19, 19, 20, 20, 20, 20]);
    assert_eq!(up_to("7.1").filter_map(|entry| table(entry.creates)).count(), TABLES.len());
}

#[test]
fn empty_sprint_says_so() {
    let project = system();
    for (sprint, title) in SPRINTS {
        let selection = Selection { to_stage: Some(sprint.into()), ..Selection::default() };
        let notes = inspect::files_only(&project, &selection).unwrap().built.plan.notes;
        let said = notes.iter().filter(|note| note.contains(&format!("sprint {sprint} ({title}) has no ")));
        let expected = usize::from(EMPTY_SPRINTS.contains(&sprint));
        assert_eq!(said.count(), expected, "{sprint}: {notes:?}");
    }
}

#[tokio::test]
async fn an_empty_sprint_says_so_in_the_run() {
    let (project, database) = (system(), testkit::database());
    let run = applying(&project, &database.options()).until_stage("2.2").completes().await;
    let note = "sprint 2.2 (Indicators & Rule Schema) has no migrations of its own; 10 migrations of earlier stages go with it";
    assert!(run.plan.notes.iter().any(|said| said == note), "{:?}", run.plan.notes);
    let run = applying(&project, &database.options()).until_stage("2.2").run().await.unwrap();
    let note =
        "sprint 2.2 (Indicators & Rule Schema) has no migrations of its own; nothing is pending up to it";
    assert!(run.plan.notes.iter().any(|said| said == note), "{:?}", run.plan.notes);
}

/// What a sprint uses and does not find, as measured; empty when it finds all.
async fn missing(database: &Database, sprint: &str) -> String {
    let project = system();
    let stage = find_stage(&project, sprint).unwrap();
    let kinds = vec!["uses".to_owned()];
    let request = VerifyRequest { kinds, stage: Some(stage), ..VerifyRequest::default() };
    let results = measured(&project, &database.options(), &request).await;
    let name = format!("sprint {sprint} finds what it uses");
    let result = results.iter().find(|result| result.name == name).unwrap();
    match result.verdict {
        Verdict::Holds => String::new(),
        Verdict::False => result.found.strip_prefix("missing: ").unwrap().to_owned(),
        other => panic!("{other:?}: {}", result.found),
    }
}

#[tokio::test]
async fn stage_uses_are_verified() {
    let project = system();
    for (sprint, tables) in USES {
        let stage = &project.stages[find_stage(&project, sprint).unwrap()];
        assert_eq!(stage.uses, *tables, "{sprint}");
        let database = testkit::database();
        applying(&project, &database.options()).until_stage(sprint).completes().await;
        assert_eq!(missing(&database, sprint).await, "");
        for (dropped, table) in tables.iter().enumerate() {
            database.run(&format!("DROP TABLE {table} CASCADE"));
            assert_eq!(missing(&database, sprint).await, tables[..=dropped].join(", "), "{sprint}");
        }
    }
}

#[tokio::test]
async fn a_missing_table_is_named_by_the_whole_verification_of_its_stage() {
    let (project, database) = (system(), testkit::database());
    applying(&project, &database.options()).until_stage("4.3").completes().await;
    let stage = Some(find_stage(&project, "4.3").unwrap());
    let request = VerifyRequest { stage, fresh: true, ..VerifyRequest::default() };
    let results = measured(&project, &database.options(), &request).await;
    // ai_usage belongs to a later sprint: it is not missing, it waits.
    let waiting: Vec<&str> = not_held(&results).iter().map(|(name, ..)| *name).collect();
    assert_eq!(waiting, ["the database equals the design: public.ai_usage"]);
    assert!(not_held(&results).iter().all(|(_, verdict, _)| *verdict == Verdict::Skipped));
    database.run("DROP TABLE positions");
    let results = measured(&project, &database.options(), &request).await;
    let wrong = not_held(&results);
    for (name, words) in [
        ("sprint 4.3 finds what it uses", "missing: positions"),
        ("every claim: in this database", "table positions (V0401__create_positions.sql)"),
        ("the database equals the design: public.positions", "there is no such table"),
    ] {
        let found =
            wrong.iter().find(|(wrong, ..)| *wrong == name).unwrap_or_else(|| panic!("{name}: {wrong:#?}"));
        assert_eq!(found.1, Verdict::False, "{found:?}");
        assert!(found.2.contains(words), "{found:?}");
    }
}
