//! Findings in the files of a project, each at its place.

use super::*;

fn project(files: &[(&str, &[u8])]) -> Project {
    Project::embedded("x", files).unwrap()
}

fn told(found: &Found) -> Vec<String> {
    let line = |one: &Located| format!("{}:{}:{} {}", one.path, one.line, one.column, one.code);
    found.findings.iter().map(line).collect()
}

#[test]
fn each_file_is_a_run_of_its_own_unless_several_are_one() {
    let project = project(&[
        ("0001_a.sql", b"CREATE TABLE a (n int, m int);\nCREATE INDEX ON a (m);"),
        ("0002_b.sql", b"-- here\n  CREATE INDEX i ON a (n);"),
        ("0003_c.sql", b"CREATE TABEL c ();\nDROP INDEX i;"),
    ]);
    let found = look(&project, &Which::Each, None);
    let index = "0002_b.sql:2:21 create-index-blocks-writes";
    assert_eq!(told(&found), [index, "0003_c.sql:2:1 drop-index-locks"]);
    assert_eq!(found.findings[0].source_line, "  CREATE INDEX i ON a (n);");
    let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
    assert!(broken.len() == 1 && broken[0].starts_with("0003_c.sql:1:8: syntax error"), "{broken:?}");
    assert_eq!((found.files, found.count(Severity::Error)), (3, 2));
    // What a run makes itself is nobody else's yet.
    let all = look(&project, &Which::OneRun([0, 1, 2].into()), None);
    assert_eq!(told(&all), [""; 0]);
    let last = look(&project, &Which::OneRun([1, 2].into()), None);
    assert_eq!(told(&last), [index, "0003_c.sql:2:1 drop-index-locks"]);
    let allowed: Vec<String> = vec!["drop-index-locks".to_owned()];
    assert_eq!(found.blocking(&allowed).count(), 1);
}

/// What is there at the end counts, and stands where it was said.
#[test]
fn what_a_later_file_puts_right_is_not_said() {
    let first: (&str, &[u8]) = (
        "0001_a.sql",
        b"CREATE TABLE a (n int PRIMARY KEY);\nCREATE TABLE b (n int REFERENCES a,\n m int REFERENCES a);",
    );
    let index: (&str, &[u8]) = ("0002_b.sql", b"CREATE INDEX CONCURRENTLY i ON b (n);");
    let found = look(&project(&[first, ("0002_b.sql", b"SELECT 1;")]), &Which::Each, None);
    let key = "0001_a.sql:2:1 foreign-key-without-index";
    assert_eq!(told(&found), [key, key]);
    let found = look(&project(&[first, index]), &Which::Each, None);
    assert_eq!(told(&found), [key]);
    assert!(found.findings[0].message.contains("(m)"), "{found:?}");
    let last: (&str, &[u8]) = ("0003_c.sql", b"CREATE INDEX CONCURRENTLY j ON b (m);");
    assert_eq!(told(&look(&project(&[first, index, last]), &Which::Each, None)), [""; 0]);
    // The first file alone is looked at; the others are there behind it.
    assert_eq!(told(&look(&project(&[first, index]), &Which::OneRun([0].into()), None)), [key]);
}

#[test]
fn what_somebody_has_thought_about_is_not_said() {
    let project = project(&[(
        "0001_a.sql",
        b"-- cutover: allow create-index-blocks-writes the table is tiny\nCREATE INDEX ON a (n);\n\
          -- cutover: allow drop-table\nDROP TABLE b;\n",
    )]);
    let found = told(&look(&project, &Which::Each, None));
    assert_eq!(found, ["0001_a.sql:4:1 drop-table", "0001_a.sql:4:1 unused-suppression"]);
}

/// No database was asked, whatever a rule might see there.
#[test]
fn what_statements_say_was_seen_in_their_text() {
    let project = project(&[(
        "0001_a.sql",
        b"CREATE TABLE a (n int PRIMARY KEY);\nCREATE TABLE b (a int REFERENCES a);",
    )]);
    let found = look(&project, &Which::Each, None);
    assert_eq!(told(&found), ["0001_a.sql:2:1 foreign-key-without-index"]);
    assert_eq!(found.findings[0].seen_by, Seen::Static);
}

#[test]
fn findings_have_a_form_for_each_reader() {
    let project = project(&[("0001_a.sql", b"CREATE INDEX i ON a (n);")]);
    let found = look(&project, &Which::Each, None);
    let text = lines(&found);
    assert!(
        text.starts_with("0001_a.sql:1:19: error[create-index-blocks-writes]: nobody can write to a"),
        "{text}"
    );
    assert!(
        text.contains("1 | CREATE INDEX i ON a (n);")
            && text.ends_with("1 file: 1 error, 0 warnings; --fix mends 1 of them\n"),
        "{text}"
    );
    let log = sarif(&found, "1.0.0", "db/");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "create-index-blocks-writes");
    assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], result["ruleId"]);
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startColumn"], 19);
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "db/0001_a.sql");
    let document = serde_json::to_value(document("x", &found)).unwrap();
    assert_eq!(document["findings"][0]["seen_by"], "static");
    let annotation = annotations(&found, "");
    assert!(
        annotation.starts_with("::error file=0001_a.sql,line=1,col=19,title=create-index"),
        "{annotation}"
    );
}

/// What the page shows of `cutover.toml` is read, and means what it says.
#[test]
fn the_documented_settings_are_read() {
    let page = include_str!("../../../../docs/lint.md");
    let example = page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("migrations")).unwrap();
    let sql = "ALTER TABLE a DROP COLUMN b;\n-- cutover: allow drop-column nobody has read it since the release of May\nALTER TABLE orders DROP COLUMN note;\n";
    std::fs::write(folder.path().join("migrations/0001_a.sql"), sql).unwrap();
    std::fs::write(folder.path().join("cutover.toml"), example).unwrap();
    let project = Project::load(folder.path(), &crate::project::Overrides::default()).unwrap();
    let found = look(&project, &Which::Each, None);
    assert_eq!(told(&found), ["migrations/0001_a.sql:1:1 drop-column"]);
    assert_eq!(found.findings[0].severity, Severity::Warning);
    let selected = project.lint.selected("migrations/0100_a.sql");
    assert_eq!(selected.severity("drop-column"), Some(Severity::Error));
    assert_eq!(selected.severity("drop-not-null"), None);
}

/// Places are told from the text that is at hand, and are those that are told from the file.
#[test]
fn places_from_the_text_at_hand_are_those_of_the_file() {
    let long = format!("SELECT '{}';\nDROP TABLE z;", "x".repeat(5000));
    let texts: [&str; 5] = [
        "-- ä\n/* ö */ DROP TABLE a; DROP TABLE \"ü\";\n\n  DROP TABLE c",
        "CREATE ROLE r PASSWORD 'hush-hush'; DROP TABLE a; -- hush-hush\nDROP\n TABLE b;",
        "DROP TABLE a;\r\nDROP TABLE b;\r\n",
        "CREATE TABLE p (n int PRIMARY KEY);\nCREATE TABLE c (n int REFERENCES p,\n m int REFERENCES p);",
        &long,
    ];
    for text in texts {
        let project = project(&[("0001_a.sql", text.as_bytes())]);
        let migration = &project.migrations[0];
        let mut linter = Linter::new(Known::default());
        let selected = Selected::everything();
        let mut findings = Vec::new();
        let mut kept = None;
        script::look_through(&[migration], &project.vars, |_, pieces| {
            let mut file = linter.file(&selected, false);
            while let Some(Looked::Statement(statement, prepared)) = pieces.next() {
                file.statement(&statement, prepared).unwrap();
            }
            findings.extend(file.end());
            kept = pieces.text();
        });
        let wanted: Vec<_> = findings.iter().map(|one| (one.statement, one.offset)).collect();
        let starts: Vec<_> = findings.iter().map(|one| one.span.start).collect();
        let of_file = places::of_parts(migration, &project.vars, &wanted);
        assert!(!of_file.is_empty());
        // What is normalised, and lines that are too long, are looked for in the file.
        let Some(kept) = kept else {
            assert!(text.contains('\r'));
            continue;
        };
        if let Some(at_hand) = places::in_text(&kept, &starts) {
            assert_eq!(at_hand, of_file, "{text}");
        } else {
            assert!(text.len() > 4096);
        }
    }
}

/// A project folder with these files, as far as it can be read.
fn draft(files: &[(&str, &str)]) -> (crate::project::Draft, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    (Project::draft(folder.path(), &crate::project::Overrides::default()).unwrap(), folder)
}

#[test]
fn two_files_of_one_version_are_found() {
    let (draft, _folder) =
        draft(&[("migrations/0001_a.sql", "SELECT 1"), ("migrations/001_b.sql", "SELECT 2")]);
    assert_eq!(draft.problems.0.len(), 1, "{:?}", draft.problems);
    let mut found = Found::default();
    let rest = found.take_problems(&draft.project, draft.problems);
    assert!(rest.is_empty() && found.count(Severity::Error) == 1, "{rest:?}");
    let one = &found.findings[0];
    assert_eq!((one.code.as_str(), one.seen_by), ("duplicate-version", Seen::Files));
    assert!(one.message.starts_with("the same version as migrations/"), "{}", one.message);
}

#[test]
fn names_are_as_the_configuration_wants_them() {
    let sql = "CREATE TABLE T1 (n int); CREATE TABLE \"Big\" (n int); CREATE INDEX by_n ON t1 (n);";
    let names = |config: &str| {
        let (draft, _folder) = draft(&[("cutover.toml", config), ("migrations/0001_a.sql", sql)]);
        assert!(draft.problems.is_empty(), "{:?}", draft.problems);
        let found = look(&draft.project, &Which::Each, None);
        let names = found.findings.into_iter().filter(|finding| finding.code == "naming-convention");
        names.map(|finding| finding.message).collect::<Vec<_>>()
    };
    let big = "the table \"Big\" is not in snake_case";
    assert_eq!(names("[lint.rules]\nnaming-convention = \"on\""), [big]);
    assert_eq!(names("[lint.naming]\nindexes = \"*_idx\""), [big, "the index \"by_n\" is not like *_idx"]);
    assert_eq!(names("[lint.naming]\ntables = \"any\""), [""; 0]);
    assert_eq!(names("[lint.rules]\nnaming-convention = \"off\"\n[lint.naming]\nindexes = \"x\""), [""; 0]);
    let (wrong, _folder) = draft(&[
        ("cutover.toml", "[lint]\napply = \"eror\"\n[lint.naming]\ntable = \"any\""),
        ("migrations/1_a.sql", ""),
    ]);
    let said: Vec<String> = wrong.problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("\"eror\" is not what `apply` can do")
            && said[1].contains("did you mean \"tables\"?"),
        "{said:?}"
    );
}
