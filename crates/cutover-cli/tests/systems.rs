//! Every migration of every reference system: applied, taken back, applied again, with the same catalogue each time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{Place, on_one_server};
use testkit::catalogue_dump;

#[test]
fn each_migration_of_each_system_is_applied_taken_back_and_applied_again() {
    let systems = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systems");
    let mut migrations = 0;
    for system in fs::read_dir(systems).unwrap() {
        let folder = system.unwrap().path();
        if folder.join("cutover.toml").is_file() {
            migrations += there_and_back(folder.to_str().unwrap());
        }
    }
    assert!(migrations > 25, "{migrations}");
}

fn there_and_back(system: &str) -> usize {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        on_one_server(&place, &[&["-C", system, "--yes", "--quiet"], arguments].concat())
    };
    let dump = || catalogue_dump(&place.database().options(), &["cutover"]);
    let plan: serde_json::Value = serde_json::from_str(
        &run(&["plan", "--optional", "--deferred", "--format", "json"]).ends_with(0).stdout,
    )
    .unwrap();
    let versions: Vec<String> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["migration"]["version"]["text"].as_str().unwrap().to_owned())
        .collect();
    let mut before = dump();
    for version in &versions {
        run(&["apply", version]).ends_with(0);
        let after = dump();
        run(&["revert", version, "--allow", "data-loss", "--allow", "rows-stay"]).ends_with(0);
        assert_eq!(dump(), before, "{system} {version}");
        run(&["apply", version]).ends_with(0);
        before = dump();
        assert_eq!(before, after, "{system} {version}");
    }
    run(&["revert", "--all", "--allow", "data-loss", "--allow", "rows-stay"]).ends_with(0);
    let empty = testkit::database();
    assert_eq!(dump(), catalogue_dump(&empty.options(), &["cutover"]), "{system}");
    versions.len()
}
