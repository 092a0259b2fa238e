//! The design against the migrations, both ways: equal as they are, and every mismatch named.

use cutover::run::Verdict;

use crate::roadmap::{TABLES, tables};
use crate::support::{
    Copy, applying, dump, measured_kinds, not_held, sorted, system, tables_of, text, whole,
};

/// The design's files in an order that can be built, worked out by hand.
const BUILDABLE: [&str; 7] = [
    "00_core",
    "01_market_data",
    "03_strategy_lab",
    "06_infra",
    "04_backtesting",
    "02_trading",
    "05_ai_kernel",
];

#[tokio::test]
async fn design_equals_migrations() {
    let database = whole();
    let results = measured_kinds(&system(), &database, &["design"]).await;
    assert_eq!(not_held(&results), []);
    let names: Vec<String> = results.iter().map(|result| result.name.clone()).collect();
    let itself = "the database equals the design: the design itself".to_owned();
    let of_tables =
        tables().into_iter().map(|table| format!("the database equals the design: public.{table}"));
    let expected = of_tables.chain([itself]).collect();
    assert_eq!(sorted(names), sorted(expected));
    // pg_dump is of the same opinion.
    let designed = testkit::database();
    for file in BUILDABLE {
        designed.run(&text(&format!("ddl/{file}.sql")));
    }
    assert_eq!(dump(&database), dump(&designed));
}

#[tokio::test]
async fn ddl_built_in_dependency_order() {
    let by_name = testkit::database();
    let mut files = BUILDABLE;
    files.sort_unstable();
    let built: Vec<&str> = files
        .into_iter()
        .take_while(|file| match by_name.try_rows(&text(&format!("ddl/{file}.sql"))) {
            Ok(_) => true,
            Err(error) => {
                let message = error.as_db_error().expect("the server's word").message();
                assert_eq!((*file, message), ("04_backtesting", "relation \"jobs\" does not exist"));
                false
            }
        })
        .collect();
    assert_eq!(built, ["00_core", "01_market_data", "02_trading", "03_strategy_lab"]);
    // The tool builds all of it, also when the files are named in the worst order.
    let copy = Copy::new();
    for (place, file) in BUILDABLE.iter().rev().enumerate() {
        copy.write(&format!("design/{place:02}.sql"), &text(&format!("ddl/{file}.sql")));
    }
    copy.replace("cutover.toml", "ddl = [\"ddl/*.sql\"]", "ddl = [\"design/*.sql\"]");
    for project in [system(), copy.load()] {
        let results = measured_kinds(&project, &whole(), &["design"]).await;
        assert_eq!(results.len(), TABLES.len() + 1);
        assert_eq!(not_held(&results), []);
    }
}

/// What is false once a copy of the project is applied and verified: name and what was found.
async fn mismatches(copy: &Copy) -> Vec<(String, String)> {
    let (project, database) = (copy.load(), testkit::database());
    applying(&project, &database.options()).completes().await;
    let results = measured_kinds(&project, &database, &["claims", "design"]).await;
    let wrong = not_held(&results).into_iter();
    wrong
        .map(|(name, verdict, found)| {
            assert_eq!(verdict, Verdict::False, "{name}: {found}");
            (name.to_owned(), found.to_owned())
        })
        .collect()
}

#[track_caller]
fn assert_named(found: &[(String, String)], expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> =
        found.iter().map(|(name, found)| (name.as_str(), found.as_str())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn mismatches_are_named_a_file_creates_something_else() {
    let copy = Copy::new();
    copy.replace("migrations/V0600__create_ai_usage.sql", "CREATE TABLE ai_usage", "CREATE TABLE ai_calls");
    assert_named(
        &mismatches(&copy).await,
        &[
            (
                "every claim: V0600__create_ai_usage.sql",
                "claims to create table ai_usage, which no file creates; creates table ai_calls, which is not claimed",
            ),
            (
                "every claim: tables of the design",
                "no migration creates table ai_usage (ddl/05_ai_kernel.sql)",
            ),
            ("the database equals the design: public.ai_usage", "there is no such table"),
        ],
    );
}

#[tokio::test]
async fn mismatches_are_named_a_claimed_table_nobody_creates() {
    let copy = Copy::new();
    copy.replace("cutover.toml", "[\"table ai_usage\"]", "[\"table ai_usage\", \"table ai_quota\"]");
    assert_named(
        &mismatches(&copy).await,
        &[(
            "every claim: V0600__create_ai_usage.sql",
            "claims to create table ai_quota, which no file creates",
        )],
    );
}

#[tokio::test]
async fn mismatches_are_named_a_table_of_the_design_no_migration_creates() {
    let copy = Copy::new();
    copy.append("ddl/05_ai_kernel.sql", "\nCREATE TABLE ai_models (id bigint PRIMARY KEY);\n");
    assert_named(
        &mismatches(&copy).await,
        &[
            (
                "every claim: tables of the design",
                "no migration creates table ai_models (ddl/05_ai_kernel.sql)",
            ),
            ("the database equals the design: public.ai_models", "there is no such table"),
        ],
    );
}

#[tokio::test]
async fn mismatches_are_named_a_definition_that_differs() {
    let copy = Copy::new();
    copy.replace("ddl/05_ai_kernel.sql", "calls integer NOT NULL", "calls bigint NOT NULL");
    copy.replace(
        "ddl/06_infra.sql",
        "ON UPDATE CASCADE ON DELETE SET NULL",
        "ON UPDATE CASCADE ON DELETE CASCADE",
    );
    let found = mismatches(&copy).await;
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "the database equals the design: public.ai_usage",
            "the database equals the design: public.audit_events"
        ]
    );
    for (found, words) in found.iter().map(|(_, found)| found).zip([
        ["calls", "bigint", "integer"],
        ["fk_audit_events_user", "ON DELETE CASCADE", "ON DELETE SET NULL"],
    ]) {
        for word in words {
            assert!(found.contains(word), "{word:?} in {found:?}");
        }
    }
}

#[tokio::test]
async fn what_differs_in_the_database_alone_is_named() {
    let database = whole();
    database.run("ALTER TABLE orders DROP COLUMN filled_at; CREATE INDEX stray ON symbols (name)");
    let results = measured_kinds(&system(), &database, &["claims", "design"]).await;
    let wrong = not_held(&results);
    let names: Vec<&str> = wrong.iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        sorted(names.iter().map(|name| (*name).to_owned()).collect()),
        ["the database equals the design: public.orders", "the database equals the design: public.symbols"]
    );
    assert!(wrong.iter().any(|(.., found)| found.contains("filled_at")), "{wrong:?}");
    assert!(wrong.iter().any(|(.., found)| found.contains("stray")), "{wrong:?}");
    assert_eq!(tables_of(&database), sorted(tables()));
}
