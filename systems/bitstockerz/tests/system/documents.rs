//! The documents: the plan sprint by sprint, every figure found again by other means, and the script that verifies without
//! cutover.

use std::collections::BTreeMap;
use std::fs;

use cutover::Project;
use cutover::documents::{Request, gather};
use cutover::report::format::bytes;
use cutover::verify::SandboxProvider;
use testkit::Database;
use testkit::markdown::{Row, table};

use crate::roadmap::{MIGRATIONS, OPTIONAL, SPRINTS};
use crate::support::{applying, folder, system};

/// The documents by their names.
async fn documents(project: &Project, database: &Database) -> BTreeMap<String, String> {
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let options = database.options();
    let request = Request { options: &options, sandbox: &sandbox, folder: None, wait: None };
    let made = gather(project, request).await.unwrap().render(None).unwrap();
    made.into_iter().map(|document| (document.name, document.text)).collect()
}

/// How many columns, indexes and foreign keys a table has.
fn numbers(database: &Database, name: &str) -> [String; 3] {
    let of = |sql: &str| database.value(&sql.replace("{t}", &format!("'{name}'::regclass")));
    [
        of(
            "SELECT count(*)::text FROM pg_attribute WHERE attrelid = {t} AND attnum > 0 AND NOT attisdropped",
        ),
        of("SELECT count(*)::text FROM pg_index WHERE indrelid = {t}"),
        of("SELECT count(*)::text FROM pg_constraint WHERE conrelid = {t} AND contype = 'f'"),
    ]
}

fn of_sprint(text: &str, id: &str, title: &str) -> String {
    let heading = format!("## {id} {title}");
    let (_, rest) =
        text.split_once(&format!("\n{}\n", heading.trim_end())).unwrap_or_else(|| panic!("{heading}"));
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The table that begins with these headings, if there is one.
fn with_head(text: &str, head: &str) -> Vec<Row> {
    match text.find(head) {
        Some(at) => table(&format!("# x\n{}", &text[at..]), "# x"),
        None => Vec::new(),
    }
}

#[tokio::test]
async fn the_plan_says_of_each_sprint_what_it_has_and_needs() {
    let (project, database) = (system(), testkit::database());
    applying(&project, &database.options()).deferring("0330").completes().await;
    let made = documents(&project, &database).await;
    let plan = &made["SPRINTS.md"];
    let rows = table(plan, "# bitstockerz: plan by sprint");
    assert_eq!(rows.len(), SPRINTS.len());
    let all: Vec<_> = MIGRATIONS.iter().chain(&OPTIONAL).collect();
    let (mut tables, mut files) = (0, 0);
    for (row, (id, title)) in rows.iter().zip(SPRINTS) {
        assert_eq!((row["Sprint"].as_str(), row["Title"].as_str()), (id, title));
        let stage = project.stages.iter().find(|stage| stage.id == id).unwrap();
        let section = of_sprint(plan, id, title);
        let listed = with_head(&section, "| Migration | File |");
        assert_eq!(listed.len(), stage.migrations.len(), "{id}");
        assert_eq!(section.contains("It has no migrations."), stage.migrations.is_empty());
        for (entry, place) in listed.iter().zip(&stage.migrations) {
            let migration = &project.migrations[*place];
            files += 1;
            assert_eq!(entry["File"], migration.path);
            assert!(all.iter().any(|known| migration.path.ends_with(known.file)), "{entry:?}");
            let version = migration.id.version.text();
            let applied = database.value(&format!(
                "SELECT count(*)::text FROM cutover.migration WHERE version_text = '{version}'"
            ));
            let expected = match (applied.as_str(), version) {
                ("1", _) => "applied",
                (_, "0330") => "deferred",
                _ => "optional, not applied",
            };
            assert_eq!(entry["State"], expected);
            assert_eq!(entry["Cut from"], migration.claims.source.clone().unwrap_or_default());
        }
        for table in with_head(&section, "| Table | Columns |") {
            tables += 1;
            let found = ["Columns", "Indexes", "Foreign keys"].map(|cell| table[cell].clone());
            assert_eq!(found, numbers(&database, &table["Table"]));
        }
        for note in &stage.notes {
            assert!(section.contains(note.as_str()), "{note}");
        }
        for used in &stage.uses {
            let needs = with_head(&section, "| Migration | Sprint |");
            assert!(
                needs.iter().any(|need| need["Why"].contains(&format!("uses {used}"))),
                "{used}: {needs:?}"
            );
        }
    }
    assert_eq!((tables, files), (19, all.len()));
    // What a sprint needs from before is in an earlier one.
    let runs = of_sprint(plan, "3.2", "Backtest Persistence");
    let needs = with_head(&runs, "| Migration | Sprint |");
    let needs: Vec<(&str, &str)> =
        needs.iter().map(|need| (need["Migration"].as_str(), need["Sprint"].as_str())).collect();
    assert_eq!(
        needs,
        [("V0001", "0.1"), ("V0100", "1.1"), ("V0200", "2.1"), ("V0201", "2.1"), ("V0130", "1.3")]
    );
    // The deferred key is not there, and nobody misses it among what is applied.
    let keys = table(&made["MIGRATION_SEQUENCE.md"], "### Foreign keys");
    assert_eq!(keys.len(), 25);
}

#[tokio::test]
async fn figures_are_those_of_the_database_and_the_script_holds() {
    let (project, database) = (system(), testkit::database());
    applying(&project, &database.options()).completes().await;
    let made = documents(&project, &database).await;
    assert_eq!(made, documents(&project, &database).await);
    let summary = &made["IMPLEMENTATION_SUMMARY.md"];
    let schema = table(summary, "### Schema");
    assert_eq!(schema.len(), 19);
    for row in &schema {
        let found = ["Columns found", "Indexes found", "Foreign keys found"].map(|cell| row[cell].clone());
        assert_eq!((found, row["Verdict"].as_str()), (numbers(&database, &row["Table"]), "holds"));
    }
    for row in table(&made["README.md"], "## Migrations, in sequence") {
        let size = fs::metadata(folder().join(&row["File"])).unwrap().len();
        assert_eq!(row["Size"], bytes(size));
    }
    let keys = table(&made["MIGRATION_SEQUENCE.md"], "### Foreign keys");
    assert_eq!(keys.len(), 26);
    // What PostgreSQL does not index by itself, and the optional migrations would.
    let bare: Vec<&str> =
        keys.iter().filter(|key| key["Index"] == "none").map(|key| key["Columns"].as_str()).collect();
    assert!(
        bare.contains(&"job_id") && bare.contains(&"strategy_version_id") && bare.contains(&"order_id"),
        "{bare:?}"
    );
    let queries = table(&made["MIGRATION_SEQUENCE.md"], "### Declared queries");
    assert_eq!(queries.len(), project.checks.iter().filter(|check| check.kind == "explain").count());
    assert!(queries.iter().all(|query| query["Verdict"] == "holds" && query["Sort"] == "no"), "{queries:?}");

    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("verify.sql");
    fs::write(&file, &made["verify.sql"]).unwrap();
    let (code, said) = testkit::psql(&database, &file, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("does not hold") && said.matches("holds: ").count() > 150, "{said}");
    assert_eq!(database.value("SELECT count(*)::text FROM users"), "0");
    for (drift, named) in [
        ("DROP INDEX idx_jobs_user_created", "jobs of a user, newest first"),
        ("ALTER TABLE backtest_runs DROP CONSTRAINT fk_backtest_runs_job", "26 foreign keys"),
        ("ALTER TABLE orders ALTER quantity TYPE numeric(18,6)", "table orders"),
    ] {
        database.run(drift);
        let (code, said) = testkit::psql(&database, &file, &[]);
        assert_eq!(code, 3, "{drift}: {said}");
        assert!(said.contains(&format!("does not hold: {named}: ")), "{drift}: {said}");
    }
    // Built from a database that has drifted, it still asks for what the files make.
    let later = documents(&project, &database).await;
    assert!(
        table(&later["IMPLEMENTATION_SUMMARY.md"], "### Indexes")
            .iter()
            .any(|row| row["Verdict"] == "missing")
    );
    fs::write(&file, &later["verify.sql"]).unwrap();
    assert_eq!(testkit::psql(&database, &file, &["objects_only=1"]).0, 3);
}
