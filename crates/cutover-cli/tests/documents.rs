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
    assert!(guide.contains("\npsql -X -f docs/database/verify.sql\n"), "{guide}");
    assert!(guide.contains("\ncutover report --documents docs/database   # these"), "{guide}");
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
fn documents_among_the_files_of_a_project_are_said_to_be_there() {
    let place = applied();
    let said = on_one_server(&place, &["report", "--documents", "."]).ends_with(0);
    says(
        &said,
        &["these are in the project's own folder, among its files: README.md, ", "--documents docs/database"],
    );
    let guide = fs::read_to_string(place.folder.join("README.md")).unwrap();
    assert!(guide.contains("\npsql -X -f verify.sql\n"), "{guide}");
    let said = on_one_server(&place, &["report", "--documents", "."]).ends_with(0);
    assert!(!said.stderr.contains("among its files"), "{}", said.stderr);
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_not_written_through() {
    let place = applied();
    fs::create_dir_all(place.folder.join("docs/database")).unwrap();
    let victim = place.folder.join("victim.md");
    std::os::unix::fs::symlink(&victim, place.folder.join("docs/database/README.md")).unwrap();
    says(&documents(&place, &[]).ends_with(2), &["is a link that leads to nothing that is there"]);
    assert!(!victim.exists() && !place.folder.join("docs/database/ERD.md").exists());
}

/// Each command of the way back is what it says: without what it allows it is refused, with it it is done.
#[test]
fn commands_of_the_way_back_do_what_is_said_of_them() {
    let place = applied();
    place.write("migrations/0002_more.sql", "CREATE TABLE more (id int);\nUPDATE orders SET id = id + 1;\n");
    place.database().run("INSERT INTO orders VALUES (1)");
    on_one_server(&place, &["apply"]).ends_with(0);
    documents(&place, &[]).ends_with(0);
    let guide = fs::read_to_string(place.folder.join("docs/database/README.md")).unwrap();
    for command in ["cutover revert --allow rows-stay", "cutover revert --all --allow data-loss"] {
        assert!(guide.contains(&format!("`{command}`")), "{command} in {guide}");
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let without: Vec<&str> = words.iter().copied().take_while(|word| *word != "--allow").collect();
        on_one_server(&place, &[without.as_slice(), &["--yes"]].concat()).ends_with(1);
        on_one_server(&place, &[words.as_slice(), &["--yes"]].concat()).ends_with(0);
    }
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
