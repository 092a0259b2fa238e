//! The optional index-only migrations: left out unless asked for, and nothing but indexes.

use std::fs::File;

use cutover::plan::select::Selection;
use cutover::run::{EventKind, Outcome, RunEvent};
use cutover_analysis::effects::{ObjectKind, TransactionRule, effects_of_text};
use cutover_analysis::sql::{Item, Splitter};

use crate::roadmap::OPTIONAL;
use crate::support::{applied, applying, column, finished, folder, sorted, system, versions_without};

const OWN_INDEXES: &str = "SELECT indexrelid::regclass::text FROM pg_index \
    WHERE indisvalid AND indexrelid::regclass::text ~ '^idx_(strategies_user|backtests_.*|executions_order)$'";

const ALL_OWN_INDEXES: [&str; 5] = [
    "idx_backtests_job",
    "idx_backtests_strategy_version",
    "idx_backtests_user_created",
    "idx_executions_order",
    "idx_strategies_user",
];

fn left_out(event: &RunEvent) -> Option<String> {
    match &event.kind {
        EventKind::StepSkipped { migration, why } if why == "optional" => {
            Some(migration.version.text().to_owned())
        }
        _ => None,
    }
}

#[tokio::test]
async fn optional_only_when_asked() {
    let (project, database) = (system(), testkit::database());
    let run = applying(&project, &database.options()).completes().await;
    assert_eq!(run.events.iter().filter_map(left_out).collect::<Vec<_>>(), ["0230", "0331", "0404"]);
    assert_eq!(applied(&database), versions_without(&[]));
    assert_eq!(column(&database, OWN_INDEXES), [] as [&str; 0]);
    // By name, although higher versions are applied.
    let run = applying(&project, &database.options()).only("V0404").completes().await;
    assert_eq!(finished(&run), ["0404"]);
    assert_eq!(column(&database, OWN_INDEXES), ["idx_executions_order"]);
    let run = applying(&project, &database.options()).with_optional().completes().await;
    assert_eq!(finished(&run), ["0230", "0331"]);
    assert_eq!(column(&database, OWN_INDEXES), ALL_OWN_INDEXES);
    let run = applying(&project, &database.options()).with_optional().run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NothingToDo));
}

#[tokio::test]
async fn with_optional_all_go_in_their_order() {
    let (project, database) = (system(), testkit::database());
    let selection = Selection { optional: true, to_stage: Some("4.2".into()), ..Selection::default() };
    let run = applying(&project, &database.options()).selecting(selection).completes().await;
    let mut expected: Vec<&str> = crate::roadmap::up_to("4.2").map(|entry| entry.version).collect();
    expected.extend(OPTIONAL.iter().map(|entry| entry.version));
    expected.sort_unstable();
    assert_eq!(finished(&run), expected);
    assert_eq!(column(&database, OWN_INDEXES), ALL_OWN_INDEXES);
}

#[test]
fn index_only_contains_only_indexes() {
    let names = std::fs::read_dir(folder().join("migrations")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: Vec<String> = names.filter(|name| name.contains("__add_indexes_")).collect();
    let expected = OPTIONAL.iter().map(|entry| entry.file.to_owned()).collect();
    assert_eq!(sorted(files.clone()), sorted(expected));
    let mut created = Vec::new();
    for name in files {
        let file = File::open(folder().join("migrations").join(&name)).unwrap();
        for item in Splitter::new(file) {
            let Item::Statement(statement) = item.unwrap() else { panic!("{name}: more than statements") };
            let effects = effects_of_text(&statement.text).unwrap();
            let [index] = &effects.creates[..] else { panic!("{name}: {:?}", effects.creates) };
            assert_eq!(index.kind, ObjectKind::Index, "{name}: {}", statement.text);
            assert!(effects.drops.is_empty() && effects.opaque.is_none(), "{name}: {}", statement.text);
            let concurrently = TransactionRule::Forbidden { what: "CREATE INDEX CONCURRENTLY" };
            assert_eq!(effects.transaction, concurrently, "{name}: {}", statement.text);
            created.push(index.name.to_string());
        }
    }
    assert_eq!(sorted(created), ALL_OWN_INDEXES);
}
