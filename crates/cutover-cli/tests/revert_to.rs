//! `revert --to` where a project has several folders: what came after goes, whichever folder it is of.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, on_one_server};

const APPLIED: &str = "SELECT coalesce(string_agg(version_text, ',' ORDER BY version_text), '') FROM cutover.migration WHERE project !~ '~revert'";

#[test]
fn what_was_applied_after_a_version_goes_whatever_its_folder() {
    let place = Place::new();
    place.write(
        "cutover.toml",
        "[project]\nname = \"shop\"\n[[migrations]]\npath = \"base\"\nconvention = \"numbered\"\n\
         [[migrations]]\npath = \"more\"\nconvention = \"numbered\"\n",
    );
    for (path, table) in [("base/01_a", "a"), ("base/02_b", "b"), ("more/11_c", "c"), ("more/12_d", "d")] {
        place.write(&format!("{path}.sql"), &format!("CREATE TABLE {table} (n int);"));
    }
    let applied = || place.database().value(APPLIED);
    let to = |version: &str| {
        on_one_server(&place, &["revert", "--to", version, "--yes"]).ends_with(0);
    };
    place.run(&["apply", "--yes"]).ends_with(0);
    to("base/02");
    assert_eq!(applied(), "01,02");
    // One of the first folder that came last is not behind one of the other that it came after.
    place.run(&["apply", "--yes", "more/11"]).ends_with(0);
    on_one_server(&place, &["revert", "base/02", "--yes"]).ends_with(0);
    place.run(&["apply", "--yes", "base/02"]).ends_with(0);
    place.run(&["apply", "--yes", "more/12"]).ends_with(0);
    to("base/02");
    assert_eq!(applied(), "01,02,11");
    to("more/11");
    assert_eq!(applied(), "01,11");
    to("base/01");
    assert_eq!(applied(), "01");
}
