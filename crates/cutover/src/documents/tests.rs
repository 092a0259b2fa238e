//! `docs/documents.md` against the context, what is hostile, templates of the user's, and databases of which little is known.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::api::{
    ApiNote, ArgumentNote, ErrorNote, FunctionNote, KeyNote as ResultKey, Place, ReplaceNote, ResultNote,
    SideNote, UnknownNote,
};
use super::checks::{CheckNote, Checklist, Verdicts};
use super::compatibility::{Compatibility, Noticed, Risk, Trouble};
use super::context::{Context, Diagram, FileNote, Totals};
use super::migrations::{FailureNote, MadeTable, MigrationNote, Need, RunNote, StageNote};
use super::rollback::{Rollback, Way};
use super::script::{Block, LeftOut, Script};
use super::sequence::{Coverage, GraphNote, KeyNote, QueryNote};
use super::sprints::{SprintNeed, SprintNote};
use super::tables::{
    ColumnNote, Compared, ComparedTable, Consistency, Numbers, PartNote, Renamed, TableNote,
};
use super::{Document, Documents, Request, gather};
use crate::project::{Overrides, Project};
use crate::report::graph::ProjectGraph;
use crate::verify::SandboxProvider;

const PAGE: &str = include_str!("../../../../docs/documents.md");

/// Names in backticks in a text.
fn names(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows under a heading: field names, and what is said of them.
fn rows(heading: &str) -> Vec<(BTreeSet<String>, String)> {
    let (_, after) =
        PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading} is missing"));
    let section = after.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let row = |line: &str| {
        let (fields, said) = line.trim_matches('|').split_once('|').unwrap();
        (names(fields), said.to_owned())
    };
    lines.map(row).collect()
}

fn fields(value: &impl Serialize) -> BTreeSet<String> {
    let Value::Object(fields) = serde_json::to_value(value).unwrap() else { panic!("no object") };
    fields.keys().cloned().collect()
}

/// The fields of a value are those under a heading.
#[track_caller]
fn is_documented(heading: &str, value: &impl Serialize) {
    let documented: BTreeSet<String> = rows(heading).into_iter().flat_map(|(fields, _)| fields).collect();
    assert_eq!(documented, fields(value), "{heading}");
}

/// The fields of a value are named in what is said of a field.
#[track_caller]
fn is_named(heading: &str, field: &str, value: &impl Serialize) {
    let said = rows(heading).into_iter().find(|(fields, _)| fields.contains(field)).unwrap().1;
    let missing: Vec<String> = fields(value).difference(&names(&said)).cloned().collect();
    assert!(missing.is_empty(), "{heading}, {field}: {missing:?} in {said}");
}

#[test]
fn the_page_names_all_that_templates_know() {
    is_documented("## The context", &Context::default());
    is_documented("### A file", &FileNote::default());
    is_documented("### Totals", &Totals::default());
    is_documented("### A stage", &StageNote::default());
    is_documented("### A migration", &MigrationNote::default());
    is_named("### A migration", "needs", &Need::default());
    is_documented("### A created table", &MadeTable::default());
    is_named("### A created table", "numbers", &Numbers::default());
    is_documented("### A run", &RunNote::default());
    is_named("### A run", "failures", &FailureNote::default());
    is_documented("### A table", &TableNote::default());
    is_named("### A table", "columns", &ColumnNote::default());
    is_named("### A table", "renamed", &Renamed::default());
    is_named("### A table", "keys", &PartNote::default());
    is_documented("### Declared against found", &Consistency::default());
    is_named("### Declared against found", "tables", &ComparedTable::default());
    is_named("### Declared against found", "columns", &Compared::default());
    is_named("### Declared against found", "totals", &super::tables::Totals::default());
    is_documented("### Which index answers what", &Coverage::default());
    is_named("### Which index answers what", "queries", &QueryNote::default());
    is_named("### Which index answers what", "foreign_keys", &KeyNote::default());
    is_documented("### The checklist", &Checklist::default());
    is_named("### The checklist", "totals", &Verdicts::default());
    is_documented("### An answer", &CheckNote::default());
    is_documented("### Compatibility", &Compatibility::default());
    is_named("### Compatibility", "migrations", &Noticed::default());
    is_documented("### A risk", &Risk::default());
    is_documented("### A trouble", &Trouble::default());
    is_documented("### The way back", &Rollback::default());
    is_named("### The way back", "ways", &Way::default());
    is_documented("### A sprint", &SprintNote::default());
    is_named("### A sprint", "needs", &SprintNeed::default());
    is_documented("### The API", &ApiNote::default());
    is_named("### The API", "without_new", &SideNote::default());
    is_documented("### A function", &FunctionNote::default());
    is_named("### A function", "arguments", &ArgumentNote::default());
    is_named("### A function", "made_by", &Place::default());
    is_named("### A function", "errors", &ErrorNote::default());
    is_named("### A function", "results", &ResultNote::default());
    is_named("### A function", "results", &ResultKey::default());
    is_named("### A function", "unknown", &UnknownNote::default());
    is_documented("### A replaced call", &ReplaceNote::default());
    is_named("### A replaced call", "before", &SideNote::default());
    is_documented("### The diagram", &Diagram::default());
    is_documented("### The script", &Script::default());
    is_named("### The script", "objects", &Block::default());
    is_named("### The script", "left_out", &LeftOut::default());
    let project = Project::embedded("p", &[("V1__a.sql", b"SELECT 1;")]).unwrap();
    is_documented("### The graph", &GraphNote::of(&ProjectGraph::of(&project)));
}

/// A project in a folder of its own.
pub(super) fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = Project::load(folder.path(), &Overrides::default()).unwrap();
    (folder, project)
}

pub(super) async fn found(project: &Project, database: &testkit::Database) -> Documents {
    found_with(project, database, &SandboxProvider::dev_url(testkit::server().server().options("postgres")))
        .await
}

async fn found_with(project: &Project, database: &testkit::Database, sandbox: &SandboxProvider) -> Documents {
    let options = database.options();
    gather(project, Request { options: &options, sandbox, folder: None, wait: None }).await.unwrap()
}

pub(super) fn text_of<'a>(made: &'a [Document], name: &str) -> &'a str {
    made.iter().find(|document| document.name == name).unwrap_or_else(|| panic!("{name}")).text.as_str()
}

#[tokio::test]
async fn what_was_never_applied_is_said_to_be_not_measured() {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n";
    let (_folder, project) =
        project(&[("cutover.toml", config), ("m/0001_t.sql", "CREATE TABLE t (n int);")]);
    let database = testkit::database();
    let made = found(&project, &database).await.render(None).unwrap();
    assert!(text_of(&made, "README.md").contains("1 migration in 0 stages, 0 applied in database"));
    let sequence = text_of(&made, "MIGRATION_SEQUENCE.md");
    assert!(sequence.contains("Not measured: no run has applied anything. `cutover apply` measures it."));
    let summary = text_of(&made, "IMPLEMENTATION_SUMMARY.md");
    assert!(summary.contains("**Not measured: nothing of this project is applied;"), "{summary}");
    assert!(made.iter().all(|document| document.name != "erd.svg" && document.name != "SPRINTS.md"));
    assert_eq!(database.value("SELECT count(*)::text FROM pg_namespace WHERE nspname = 'cutover'"), "0");
}

/// Names that end tables, cells, fences, comments, literals and blocks, each in its own way.
pub(super) const NAME: &str = "a|b`c\"d'e$cutover$<i>*/--\\";

#[tokio::test]
async fn hostile_names_stay_names() {
    let quoted = NAME.replace('"', "\"\"");
    let sql = format!(
        "-- a | header `with` <b>marks</b>\nCREATE TABLE \"{quoted}\" (id int PRIMARY KEY, \"{quoted}\" text DEFAULT 'x|`y');\n\
         CREATE TABLE \"child ```\" (id int REFERENCES \"{quoted}\" (id));\n\
         COMMENT ON TABLE \"{quoted}\" IS 'a | b\n# heading\n```';\nCREATE INDEX \"i{quoted}\" ON \"{quoted}\" (\"{quoted}\");\n"
    );
    let config = "[project]\nname = 'p|`<script>\"x'\n[[migrations]]\npath = \"m\"\n[[stage]]\nid = \"1|2\"\ntitle = \"# <b>`\"\nkind = \"sprint\"\n\
         notes = [\"a | b\", \"# c\"]\n[[stage.migration]]\nversion = \"0001\"\ntask = \"t|`u\"\n\
         [[check]]\nname = 'c|`\\echo $cutover$ :x'\nkind = \"no_rows\"\nsql = \"SELECT ':x' AS \\\"|`\\\" WHERE false -- $cutover$\"\n";
    let (folder, project) = project(&[("cutover.toml", config), ("m/0001_t.sql", &sql)]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let made = found(&project, &database).await.render(None).unwrap();
    are_well_formed(&made);
    let file = folder.path().join("verify.sql");
    std::fs::write(&file, text_of(&made, "verify.sql")).unwrap();
    let (code, said) = testkit::psql(&database, &file, &["x=1"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("holds: c|`\\echo $cutover$ :x"), "{said}");
    database.run(&format!("ALTER TABLE \"{quoted}\" ALTER \"{quoted}\" DROP DEFAULT"));
    assert_eq!(testkit::psql(&database, &file, &[]).0, 3);
}

/// Fences end, tables have their columns, and no markup of others is in them.
pub(super) fn are_well_formed(made: &[Document]) {
    for document in
        made.iter().filter(|document| document.text.starts_with("<!-- ") && document.name != "erd.svg")
    {
        let (mut fenced, mut columns) = (None, 0);
        for line in document.text.lines() {
            let ticks = line.len() - line.trim_start_matches('`').len();
            match fenced {
                None if ticks >= 3 => fenced = Some(ticks),
                Some(open) if ticks >= open && line.len() == ticks => fenced = None,
                Some(_) => continue,
                None => {}
            }
            assert!(!line.contains("<b>") && !line.contains("<i>") && !line.contains("<script>"), "{line}");
            assert!(!line.starts_with("# <") && line != "# heading" && !line.starts_with("# c"), "{line}");
            let cells = line.matches('|').count();
            if line.starts_with('|') {
                assert!(columns == 0 || cells == columns, "{} in {line}", document.name);
                columns = cells;
            } else {
                columns = 0;
            }
        }
        assert_eq!(fenced, None, "{}", document.name);
    }
}

#[tokio::test]
async fn templates_of_the_users_go_before_and_tell_their_mistakes() {
    let (folder, project) = project(&[
        ("m/0001_t.sql", "CREATE TABLE t (n int);"),
        (
            "templates/README.md.jinja",
            "# Of {{ project }}\n\n{% for table in tables %}\n{{ table.name|code }} has {{ table.columns|length }}\n{% endfor %}\n",
        ),
        ("wrong/ERD.md.jinja", "one\n{{ erd.nothing }}\n"),
        ("open/ERD.md.jinja", "one\n\n{% if erd %}\n"),
        ("none/readme.md", ""),
        ("typo/ERD.jinja", ""),
        ("typo/README.md.jinja", "x"),
        (
            "cutover.toml",
            "[project]\nname = \"p|q\"\n[[migrations]]\npath = \"m\"\n[documents]\ntemplates = \"templates\"\n",
        ),
    ]);
    assert_eq!(project.templates.as_deref(), Some(project.root.join("templates").as_path()));
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let found = found(&project, &database).await;
    let made = found.render(project.templates.as_deref()).unwrap();
    let guide = text_of(&made, "README.md");
    assert!(super::is_ours(guide));
    assert!(guide.ends_with("\n# Of p&#124;q\n\n`t` has 1\n"), "{guide}");
    assert!(text_of(&made, "ERD.md").contains("1 table with columns"));
    let wrong = |name: &str| found.render(Some(&folder.path().join(name))).unwrap_err().to_string();
    assert!(wrong("wrong").contains("wrong/ERD.md.jinja:2: undefined value"), "{}", wrong("wrong"));
    assert!(wrong("wrong").contains("docs/documents.md"));
    assert!(wrong("open").contains("open/ERD.md.jinja:"), "{}", wrong("open"));
    assert!(
        wrong("typo").contains("typo/ERD.jinja is called like a template and is none"),
        "{}",
        wrong("typo")
    );
    assert!(wrong("none").contains("has none of the templates"), "{}", wrong("none"));
    let missing =
        "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[documents]\ntemplates = \"nowhere\"\n";
    std::fs::write(folder.path().join("cutover.toml"), missing).unwrap();
    let error = Project::load(folder.path(), &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("cutover.toml:6:13: there is no folder \"nowhere\""), "{error}");
}

#[tokio::test]
async fn secrets_are_in_none_of_the_files() {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[vars]\napi_token = \"tok-5ecret-1\"\n\
         [[check]]\nname = \"a login\"\nkind = \"fails\"\nsqlstate = \"42710\"\n\
         sql = \"CREATE ROLE postgres PASSWORD 'hunter-2-hunter'\"\n";
    let sql = "-- token: ask ops\nCREATE TABLE t (n int, k text DEFAULT '${api_token}');\n";
    let (_folder, project) = project(&[("cutover.toml", config), ("m/0001_t.sql", sql)]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let made = found(&project, &database).await.render(None).unwrap();
    for document in &made {
        for secret in ["tok-5ecret-1", "hunter-2-hunter"] {
            assert!(!document.text.contains(secret), "{secret} in {}:\n{}", document.name, document.text);
        }
    }
    assert!(text_of(&made, "verify.sql").contains("-- Not in this script: a login: its text holds"));
    assert!(text_of(&made, "verify.sql").contains("-- Not in this script: table t: its text holds"));
}

#[test]
fn every_template_has_a_file_and_a_test_of_its_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/documents/templates");
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let mut known: Vec<&str> = super::template_names().collect();
    known.sort_unstable();
    assert_eq!(there, known);
    for name in known {
        assert!(PAGE.contains(&format!("`{}`", name.trim_end_matches(".jinja"))), "{name}");
    }
}

/// What no table shows: each drift is one block of the script that does not hold, and one row that differs.
#[tokio::test]
async fn whatever_a_definition_tells_of_is_compared_and_verified() {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"core\"\n[[migrations]]\npath = \"app\"\n";
    let first = "CREATE SCHEMA app;\nCREATE TYPE app.mood AS ENUM ('a', 'b');\n\
         CREATE TABLE app.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m app.mood, twice int GENERATED ALWAYS AS (1 + 1) STORED);\n\
         ALTER TABLE app.t ENABLE ROW LEVEL SECURITY;\nCREATE POLICY p ON app.t USING (id > 0);\n\
         CREATE FUNCTION app.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';\n\
         CREATE VIEW app.v AS SELECT id FROM app.t;\nCREATE MATERIALIZED VIEW app.mv AS SELECT id FROM app.t;\n";
    let second = "CREATE TABLE u (id int PRIMARY KEY, t bigint REFERENCES app.t);\n";
    let files = [("cutover.toml", config), ("core/0001_a.sql", first), ("app/0001_b.sql", second)];
    let (folder, project) = project(&files);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let made = found(&project, &database).await.render(None).unwrap();
    // Two have the same number: each is called by its folder.
    let ways = testkit::markdown::table(text_of(&made, "README.md"), "### Everything");
    assert_eq!(ways.iter().map(|way| way["Version"].as_str()).collect::<Vec<_>>(), ["app/0001", "core/0001"]);
    let file = folder.path().join("verify.sql");
    std::fs::write(&file, text_of(&made, "verify.sql")).unwrap();
    let (code, said) = testkit::psql(&database, &file, &[]);
    assert_eq!(code, 0, "{said}");
    for object in [
        "type app.mood",
        "function app.f(integer, text)",
        "view app.v",
        "materialized view app.mv",
        "policy app.t.p",
    ] {
        assert!(said.contains(&format!("holds: {object}\n")), "{object} in {said}");
    }
    for (drift, named) in [
        ("ALTER TYPE app.mood ADD VALUE 'c'", "type app.mood"),
        (
            "CREATE OR REPLACE FUNCTION app.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 2'",
            "function app.f(integer, text)",
        ),
        ("CREATE OR REPLACE VIEW app.v AS SELECT id FROM app.t WHERE id > 1", "view app.v"),
        ("DROP MATERIALIZED VIEW app.mv", "materialized view app.mv"),
        ("ALTER POLICY p ON app.t USING (true)", "policy app.t.p"),
        ("ALTER TABLE app.t DISABLE ROW LEVEL SECURITY", "table app.t"),
        ("CREATE INDEX extra ON u (t)", "nothing else on table u"),
    ] {
        let before = testkit::psql(&database, &file, &[]).1.matches("does not hold: ").count();
        database.run(drift);
        let (code, said) = testkit::psql(&database, &file, &[]);
        let now = said.matches("does not hold: ").count();
        assert_eq!((code, now), (3, before + 1), "{drift}: {said}");
        assert!(said.contains(&format!("does not hold: {named}: ")), "{drift}: {said}");
    }
    let drifted = found(&project, &database).await.render(None).unwrap();
    let others =
        testkit::markdown::table(text_of(&drifted, "IMPLEMENTATION_SUMMARY.md"), "### Everything else");
    for (kind, name, verdict) in [
        ("type", "app.mood", "differs"),
        ("function", "app.f(integer, text)", "differs"),
        ("view", "app.v", "differs"),
        ("materialized view", "app.mv", "missing"),
        ("policy", "app.t.p", "differs"),
        ("table", "app.t", "differs"),
    ] {
        let row = others.iter().find(|row| row["Kind"] == kind && row["Name"] == name).unwrap();
        assert_eq!(row["Verdict"], verdict, "{row:?}");
    }
    // A script that is made of what has drifted asks for what the files make.
    std::fs::write(&file, text_of(&drifted, "verify.sql")).unwrap();
    let (code, said) = testkit::psql(&database, &file, &[]);
    assert_eq!((code, said.matches("does not hold: ").count()), (3, 7), "{said}");
}

#[tokio::test]
async fn without_a_throwaway_server_what_the_run_left_is_compared_and_the_rest_not_measured() {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[[stage]]\nid = \"1\"\n[[stage.migration]]\n\
         version = \"0001\"\ncreates = [\"table t\"]\n";
    let (_folder, project) =
        project(&[("cutover.toml", config), ("m/0001_t.sql", "CREATE TABLE t (n int);")]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    database.run("ALTER TABLE t ADD m int");
    let made =
        found_with(&project, &database, &SandboxProvider::none("no server here")).await.render(None).unwrap();
    let summary = text_of(&made, "IMPLEMENTATION_SUMMARY.md");
    assert!(
        summary.contains("- what the files make could not be built: ") && summary.contains("no server here"),
        "{summary}"
    );
    let types = testkit::markdown::table(summary, "### Field types");
    assert_eq!((types[0]["Verdict"].as_str(), types[1]["Verdict"].as_str()), ("holds", "not declared"));
    let checks = testkit::markdown::table(summary, "### Verification");
    assert_eq!(checks[0]["Verdict"], "not measured", "{checks:?}");
    assert!(text_of(&made, "README.md").contains("`cutover revert --all --dry-run` measures it."));
}
