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
        text.contains("1 | CREATE INDEX i ON a (n);") && text.ends_with("1 file: 1 error, 0 warnings\n"),
        "{text}"
    );
    let log = sarif(&found, "1.0.0");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "create-index-blocks-writes");
    assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], result["ruleId"]);
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startColumn"], 19);
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
