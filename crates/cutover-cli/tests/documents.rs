//! `cutover report --documents`: what it writes, what it writes over, and what stops it before it does.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::{Place, on_one_server, says};

const CONFIG: &str = "[project]\nname = \"shop\"\n[[migrations]]\npath = \"migrations\"\n[[stage]]\nid = \"1\"\nkind = \"sprint\"\n\
    [[stage.migration]]\nversion = \"0001\"\ncreates = [\"table orders\"]\n";

/// A project that is applied and verified.
fn applied() -> Place {
    let place = Place::new();
    place.write("cutover.toml", CONFIG);
    place.write(
        "migrations/0001_orders.sql",
        "-- What is ordered.\nCREATE TABLE orders (id int PRIMARY KEY);\n",
    );
    on_one_server(&place, &["apply", "--verify"]).ends_with(0);
    place
}

fn documents(place: &Place, more: &[&str]) -> common::Outcome {
    on_one_server(place, &[&["report", "--documents", "docs/database"], more].concat())
}

#[test]
fn documents_are_written_and_the_same_ones_left_alone() {
    let place = applied();
    let said = documents(&place, &[]).ends_with(0).stdout;
    assert_eq!(said, "written to docs/database: 7 files\n");
    let folder = place.folder.join("docs/database");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "ERD.md",
            "IMPLEMENTATION_SUMMARY.md",
            "MIGRATION_SEQUENCE.md",
            "README.md",
            "SPRINTS.md",
            "erd.svg",
            "verify.sql"
        ]
    );
    let guide = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(guide.contains("| 1 | `0001` | `migrations/0001_orders.sql` |"), "{guide}");
    assert!(guide.contains("| What is ordered. | applied |"), "{guide}");
    let said = documents(&place, &[]).ends_with(0).stdout;
    assert_eq!(said, "written to docs/database: 0 files; 7 are as they were\n");
    place.database().run("ALTER TABLE orders ADD note text");
    let said = documents(&place, &[]).ends_with(0).stdout;
    assert!(said.starts_with("written to docs/database: ") && !said.contains(": 0 files"), "{said}");
    let summary = fs::read_to_string(folder.join("IMPLEMENTATION_SUMMARY.md")).unwrap();
    assert!(summary.contains("| `orders` | `note` |  | `text` | **not declared** |"), "{summary}");
}

#[test]
fn what_somebody_else_wrote_is_kept() {
    let place = applied();
    place.write("docs/database/README.md", "# My own\n");
    let refused = documents(&place, &[]).ends_with(2);
    says(
        &refused,
        &["docs/database/README.md is there already, and no earlier document of cutover", "--force"],
    );
    assert!(!place.folder.join("docs/database/ERD.md").exists());
    documents(&place, &["--force"]).ends_with(0);
    assert!(
        fs::read_to_string(place.folder.join("docs/database/README.md")).unwrap().contains("# shop: guide")
    );
    // A script among the migrations would be taken for one of them.
    let refused = on_one_server(&place, &["report", "--documents", "migrations"]).ends_with(2);
    says(&refused, &["is in a folder of migrations and would be taken for one"]);
    assert!(!place.folder.join("migrations/README.md").exists());
}

#[test]
fn a_template_that_is_wrong_is_told_with_its_line_and_writes_nothing() {
    let place = applied();
    place.write("mine/README.md.jinja", "# {{ project }}\n\n{{ nothing.like.that }}\n");
    let refused = documents(&place, &["--templates", "mine"]).ends_with(2);
    says(&refused, &["mine/README.md.jinja:3: undefined value", "docs/documents.md"]);
    assert!(!place.folder.join("docs").exists());
    place.write("mine/README.md.jinja", "# {{ project }} and nothing else\n");
    documents(&place, &["--templates", "mine"]).ends_with(0);
    let guide = fs::read_to_string(place.folder.join("docs/database/README.md")).unwrap();
    assert!(guide.ends_with("# shop and nothing else\n"), "{guide}");
}

#[test]
fn what_goes_with_documents_alone_is_refused_without_them() {
    let place = Place::without_database();
    place.write("cutover.toml", CONFIG);
    place.write("migrations/0001_orders.sql", "CREATE TABLE orders (id int PRIMARY KEY);\n");
    for arguments in [
        &["report", "--templates", "x"][..],
        &["report", "--force"],
        &["report", "--documents", "d", "--list"],
    ] {
        place.run(arguments).ends_with(2);
    }
    says(&place.run(&["report", "--documents", "d", "--format", "json"]).ends_with(2), &["without --format"]);
    says(&place.run(&["report", "--documents", "d"]).ends_with(2), &["no database is configured"]);
    says(&place.run(&["report", "--var", "a=b"]).ends_with(2), &["--var is for --documents"]);
    assert!(!place.folder.join("d").exists());
}
