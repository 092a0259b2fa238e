use std::fs;
use std::os::unix::fs::symlink;

use super::super::{Project, ProjectError};
use super::{error, folder, load, versions, write};
use crate::migration::Source;

#[test]
fn a_folder_of_migrations_needs_no_configuration() {
    for path in ["", "migrations/", "db/migrations/", "sql/"] {
        let file = format!("{path}0001_a.sql");
        let folder = folder(&[(&file, "SELECT 1;")]);
        let project = load(&folder).unwrap();
        assert_eq!(project.migrations[0].path, file);
        assert_eq!(project.name, folder.path().file_name().unwrap().to_str().unwrap());
    }
}

#[test]
fn an_empty_folder_for_migrations_goes_before_other_sql() {
    let folder = folder(&[("migrations/.keep", ""), ("sql/queries.sql", "")]);
    let project = load(&folder).unwrap();
    assert_eq!((project.roots[0].path.as_str(), project.migrations.len()), ("migrations", 0));
    let message = error(&[("sql/queries.sql", "")]);
    assert!(message.starts_with("sql: ") && message.contains("queries.sql, follow no known"), "{message}");
}

#[test]
fn a_configuration_may_leave_the_folder_to_be_found() {
    let database = ("cutover.toml", "[database]\nurl = \"postgresql://localhost/x\"\n");
    let project = load(&folder(&[database, ("V1__a.sql", ""), ("notes.sql", "")])).unwrap();
    assert_eq!((project.roots[0].path.as_str(), versions(&project)), (".", vec!["1"]));
    // A folder made for migrations goes first, also an empty one.
    let project = load(&folder(&[database, ("V1__a.sql", ""), ("sql/V2__b.sql", "")])).unwrap();
    assert_eq!((project.roots[0].path.as_str(), versions(&project)), ("sql", vec!["2"]));
    let project = load(&folder(&[database, ("V1__a.sql", ""), ("migrations/.keep", "")])).unwrap();
    assert_eq!((project.roots[0].path.as_str(), project.migrations.len()), ("migrations", 0));
    let message = error(&[database, ("README.md", "")]);
    assert!(message.contains("[[migrations]]\n    path = \"folder\""), "{message}");
}

#[test]
fn a_folder_of_two_conventions_says_what_to_write() {
    for files in [
        vec![("migrations/V1__a.sql", ""), ("migrations/0002_b.sql", "")],
        vec![("migrations/V1__a.sql", ""), ("migrations/0002_b.sql", ""), ("cutover.toml", "[apply]\n")],
    ] {
        let message = error(&files);
        for part in [
            "migrations: files of several conventions",
            "[[migrations]]\n    path = \"migrations\"\n    convention = \"numbered\" or \"flyway\" or \"golang-migrate\"",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}

/// What is wrong with one part does not hide the others, and is no reason to complain of what hangs on it.
#[test]
fn a_draft_has_what_can_be_read_and_all_that_is_wrong() {
    let config = "[projct]\n[[stage]]\nid = \"1\"\n[[stage.migration]]\nversion = \"2\"\n\
                  creates = [\"tabel t\"]\n[[check]]\nname = \"c\"\nkind = \"no_row\"\nsql = \"SELECT 1\"\nrequires = [\"2\"]\n";
    let folder =
        folder(&[("cutover.toml", config), ("migrations/1_a.sql", ""), ("migrations/2_b.sql", "\0")]);
    let draft = Project::draft(folder.path(), &super::Overrides::default()).unwrap();
    assert_eq!((versions(&draft.project), draft.complete), (vec!["1"], false));
    let said = |problems: &super::super::Problems| problems.to_string();
    let own = said(&draft.problems);
    assert!(own.contains("unknown key \"projct\"") && own.contains("2_b.sql: a NUL byte"), "{own}");
    assert!(!own.contains("no migration has the version"), "{own}");
    let checks = said(&crate::verify::problems_of(&draft));
    assert!(checks.contains("cutover.toml:6:12: \"tabel t\"") && checks.contains("\"no_row\""), "{checks}");
    assert!(!checks.contains("no migration has version"), "{checks}");
    assert!(matches!(load(&folder), Err(ProjectError::Problems(problems)) if problems == draft.problems));
}

#[test]
fn no_project_is_said_with_what_was_looked_for() {
    let message = error(&[("README.md", "")]);
    assert!(message.contains("no project in") && message.contains("db/migrations"), "{message}");
}

#[test]
fn the_configuration_is_found_upward() {
    let folder = folder(&[("cutover.toml", ""), ("migrations/1_a.sql", ""), ("deep/er/x", "")]);
    let root = fs::canonicalize(folder.path()).unwrap();
    assert_eq!(Project::find(&folder.path().join("deep/er")).unwrap(), root);
    assert!(matches!(Project::find(&folder.path().join("none")), Err(ProjectError::Read { .. })));
}

#[test]
fn links_must_stay_within_the_project() {
    let outside = folder(&[("0009_x.sql", "SELECT 9;")]);
    let folder = folder(&[("migrations/0001_a.sql", ""), ("shared/x.sql", "SELECT 2;")]);
    symlink(folder.path().join("shared/x.sql"), folder.path().join("migrations/0002_b.sql")).unwrap();
    assert_eq!(versions(&load(&folder).unwrap()), ["0001", "0002"]);
    symlink(outside.path().join("0009_x.sql"), folder.path().join("migrations/0003_c.sql")).unwrap();
    let message = load(&folder).unwrap_err().to_string();
    assert!(message.contains("migrations/0003_c.sql: a link to a file outside the project"), "{message}");

    let linked = super::folder(&[("cutover.toml", "[[migrations]]\npath = \"migrations\"\n")]);
    symlink(outside.path(), linked.path().join("migrations")).unwrap();
    assert!(load(&linked).unwrap_err().to_string().contains("leaves the project"));
}

#[test]
fn a_circle_of_linked_folders_ends() {
    let folder = folder(&[("migrations/V1__a.sql", ""), ("migrations/in/V2__b.sql", "")]);
    symlink(folder.path().join("migrations"), folder.path().join("migrations/in/again")).unwrap();
    assert_eq!(versions(&load(&folder).unwrap()), ["1", "2"]);
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let folder = folder(&[("migrations/0001_a.sql", "")]);
    let _socket =
        std::os::unix::net::UnixListener::bind(folder.path().join("migrations/0002_b.sql")).unwrap();
    let message = load(&folder).unwrap_err().to_string();
    assert!(message.contains("migrations/0002_b.sql: not a regular file"), "{message}");
    let broken = super::folder(&[("migrations/0001_a.sql", "")]);
    symlink("nowhere", broken.path().join("migrations/0002_b.sql")).unwrap();
    assert!(load(&broken).unwrap_err().to_string().contains("migrations/0002_b.sql: cannot read the file"));
}

#[test]
fn bad_texts_are_all_named_with_their_offsets() {
    let folder = folder(&[("migrations/1_a.sql", "SELECT 1;\0")]);
    write(folder.path(), "migrations/2_b.sql", b"\xEF\xBB\xBFSELECT '\xFF'");
    write(folder.path(), "migrations/3_c.sql", b"\xFF\xFES\0E\0");
    write(folder.path(), "migrations/4_d.sql", b"S\0E\0L\0");
    let message = load(&folder).unwrap_err().to_string();
    for expected in [
        "migrations/1_a.sql: a NUL byte at byte offset 9",
        "migrations/2_b.sql: invalid UTF-8 at byte offset 11",
        "migrations/3_c.sql: UTF-16 text",
        "migrations/4_d.sql: UTF-16 text",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn files_with_both_ways_in_them_are_refused() {
    let config =
        |convention: &str| format!("[[migrations]]\npath = \"migrations\"\nconvention = \"{convention}\"\n");
    for (text, convention) in [
        ("-- migrate:up\nSELECT 1;\n-- migrate:down\n", "dbmate"),
        ("-- +goose Up\nSELECT 1;", "goose"),
        ("--  +migrate Up\n", ""),
    ] {
        let numbered = config("numbered");
        let message = error(&[("cutover.toml", &numbered), ("migrations/1_a.sql", text)]);
        assert!(message.contains("has sections of"), "{message}");
        assert_eq!(
            message.contains(&format!("convention = \"{convention}\"")),
            !convention.is_empty(),
            "{message}"
        );
        if !convention.is_empty() {
            let project = load(&folder(&[("migrations/1_a.sql", text)])).unwrap();
            assert_eq!(project.roots[0].convention.name(), convention);
        }
    }
    load(&folder(&[("migrations/0001_a.sql", "-- we migrate:up here\n-- +goose is not used\n")])).unwrap();
}

#[test]
fn text_compiled_into_a_program_is_a_project() {
    let files: [(&str, &[u8]); 3] =
        [("V2__b.sql", b"SELECT 2;"), ("V1__a.sql", b"SELECT 1;"), ("notes.txt", b"")];
    let project = Project::embedded("shop", &files).unwrap();
    assert_eq!((project.name.as_str(), versions(&project)), ("shop", vec!["1", "2"]));
    assert!(matches!(&project.migrations[0].source, Source::Embedded(text) if **text == *b"SELECT 1;"));
    assert_eq!(project.strays.len(), 1);
    let twice: [(&str, &[u8]); 2] = [("V1__a.sql", b""), ("V1__a.sql", b"")];
    assert!(Project::embedded("shop", &twice).is_err());
}

#[test]
fn many_files_come_back_in_order() {
    let folder = folder(&[]);
    for number in 0..1_500_u32 {
        let text = format!("SELECT {number};\r\n");
        write(folder.path(), &format!("migrations/{number}_x.sql"), text.as_bytes());
    }
    let project = load(&folder).unwrap();
    assert_eq!(project.migrations.len(), 1_500);
    for (number, migration) in (0..).zip(&project.migrations) {
        let expected = super::super::text::checksums(format!("SELECT {number};\r\n").as_bytes()).unwrap();
        assert_eq!((migration.id.version.parts(), &migration.checksums), ([number].as_slice(), &expected));
    }
}

#[test]
fn a_large_file_has_the_digests_of_a_small_one() {
    let text = "SELECT 'é';\r\n".repeat(300_000);
    let folder = folder(&[("migrations/0001_a.sql", &text)]);
    let expected = super::super::text::checksums(text.as_bytes()).unwrap();
    assert_eq!(load(&folder).unwrap().migrations[0].checksums, expected);
    write(folder.path(), "migrations/0001_a.sql", format!("{text}\0").as_bytes());
    let message = load(&folder).unwrap_err().to_string();
    assert!(message.contains(&format!("a NUL byte at byte offset {}", text.len())), "{message}");
}

#[test]
fn a_reference_system_loads_whole() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systems/bitstockerz");
    let project = Project::load(&path, &super::Overrides::default()).unwrap();
    assert_eq!((project.name.as_str(), project.stages.len()), ("bitstockerz", 21));
    assert!(project.migrations.iter().all(|migration| migration.stage.is_some()));
    assert!(project.strays.is_empty() && !project.checks.is_empty() && !project.design.ddl.is_empty());
}
