//! Plans that are kept, and applied later.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, says};

fn place() -> Place {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/0002_b.sql", "CREATE TABLE b (n int);");
    place
}

#[test]
fn a_plan_is_applied_as_it_was_reviewed() {
    let place = place();
    let plan = place.run(&["plan", "--to", "0001", "--out", "plan.json"]).ends_with(0);
    assert!(
        plan.stdout.ends_with("written to plan.json; to apply it: cutover apply plan.json\n"),
        "{}",
        plan.stdout
    );
    place.run(&["apply", "plan.json", "--dry-run"]).ends_with(0);
    place.run(&["apply", "plan.json"]).ends_with(0);
    assert_eq!(
        place.database().value("SELECT to_regclass('a') IS NOT NULL AND to_regclass('b') IS NULL"),
        "t",
        "the plan's own selection"
    );
    let again = place.run(&["apply", "plan.json"]).ends_with(1);
    says(
        &again,
        &["the plan does not hold any more", "migrations/0001_a.sql was applied by run ", "plan again"],
    );
}

#[test]
fn what_has_moved_is_named_and_nothing_is_done() {
    type Move = fn(&Place);
    let moves: [(Move, &str); 6] = [
        (
            |place| place.write("migrations/0002_b.sql", "CREATE TABLE b (m int);"),
            "migrations/0002_b.sql was edited",
        ),
        (|place| place.write("migrations/0003_c.sql", "SELECT 1;"), "migrations/0003_c.sql is new"),
        (
            |place| std::fs::remove_file(place.folder.join("migrations/0002_b.sql")).unwrap(),
            "migrations/0002_b.sql is gone",
        ),
        (|place| place.database().run("ALTER TABLE old ADD m int"), "table old was changed in the database"),
        (|place| place.database().run("CREATE VIEW v AS SELECT 1"), "view v was created in the database"),
        (|place| place.database().run("DROP TABLE old"), "table old was dropped from the database"),
    ];
    for (moved, words) in moves {
        let place = place();
        place.database().run("CREATE TABLE old (n int)");
        place.run(&["plan", "--out", "plan.json"]).ends_with(0);
        moved(&place);
        for arguments in [&["apply", "plan.json"][..], &["apply", "plan.json", "--dry-run"]] {
            says(&place.run(arguments).ends_with(1), &["the plan does not hold any more", words]);
        }
        assert_eq!(
            place.database().value("SELECT to_regclass('a') IS NULL AND to_regnamespace('cutover') IS NULL"),
            "t"
        );
    }
}

#[test]
fn a_plan_is_for_one_database() {
    let (place, other) = (place(), place());
    place.run(&["plan", "--out", "plan.json"]).ends_with(0);
    std::fs::copy(place.folder.join("plan.json"), other.folder.join("plan.json")).unwrap();
    says(
        &other.run(&["apply", "plan.json"]).ends_with(1),
        &["it was made for database ", ", this is database "],
    );
}

#[test]
fn what_is_no_plan_is_refused() {
    let place = place();
    says(&place.run(&["apply", "plan.json"]).ends_with(2), &["cannot read the plan plan.json"]);
    place.write("plan.json", "{}");
    says(
        &place.run(&["apply", "plan.json"]).ends_with(2),
        &["it is no plan written by `cutover plan --out`"],
    );
    place.write("plan.json", "{\"format_version\": 99}");
    says(&place.run(&["apply", "plan.json"]).ends_with(2), &["its format is 99, this program knows 1"]);
    says(&place.run(&["plan", "--out", "plan.txt"]).ends_with(2), &["--out names a file that ends in .json"]);
}
