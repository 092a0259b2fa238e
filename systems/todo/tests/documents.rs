//! The documents of the reference system: every figure in them found again by other means, the false claims shown false, a drift
//! said, the same bytes a second time, and the script that verifies without cutover.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cutover::documents::{Request, gather, write};
use cutover::history::{journal, records};
use cutover::project::{Overrides, When};
use cutover::report::format::{bytes, duration};
use cutover::run::{CheckResult, EventKind, RunEvent, Verdict};
use cutover::verify::{SandboxProvider, VerifyRequest, verify};
use cutover::{Project, inspect, migrate};
use testkit::Database;
use testkit::markdown::{Row, seen, table};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn system() -> Project {
    Project::load(root(), &Overrides::default()).unwrap()
}

fn sandbox() -> SandboxProvider {
    SandboxProvider::dev_url(testkit::server().server().options("postgres"))
}

/// A database with everything applied, and verified in the journal of its run.
async fn verified(project: &Project) -> (Database, Vec<CheckResult>) {
    let database = testkit::database();
    let run = migrate(project, &database.url()).await.unwrap();
    let mut session = inspect::connect(&database.options(), None).await.unwrap();
    let history = records::read(&mut session, &project.name).await.unwrap();
    let request = VerifyRequest::default();
    let answers = verify(project, &database.options(), &sandbox(), &history, &request, |_| {}).await.unwrap();
    let kinds = answers.iter().map(|answer| EventKind::CheckDone(answer.clone()));
    let event = |kind| RunEvent { at_micros: run.started_micros, elapsed: Duration::ZERO, kind };
    let events: Vec<RunEvent> = kinds.map(event).collect();
    journal::append_events(&mut session, &run.id, &events).await.unwrap();
    session.close().await;
    (database, answers)
}

/// The documents by their names.
async fn documents(project: &Project, database: &Database) -> BTreeMap<String, String> {
    let (options, sandbox) = (database.options(), sandbox());
    let request = Request { options: &options, sandbox: &sandbox, folder: None, wait: None };
    let made = gather(project, request).await.unwrap().render(None).unwrap();
    made.into_iter().map(|document| (document.name, document.text)).collect()
}

/// `columns, indexes, foreign keys` of a table, asked of the catalogue.
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

/// Names of the tables that are not cutover's own.
fn tables(database: &Database) -> Vec<String> {
    let sql = "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
                ORDER BY c.relname COLLATE \"C\"";
    database.rows(sql).into_iter().map(|row| row[0].clone().unwrap()).collect()
}

fn sum(database: &Database, sql: &str) -> String {
    database.value(&sql.replace("{public}", "'public'::regnamespace"))
}

#[tokio::test]
async fn every_figure_of_the_guide_is_found_again() {
    let project = system();
    let (database, answers) = verified(&project).await;
    let made = documents(&project, &database).await;

    let guide = &made["README.md"];
    let rows = table(guide, "## Migrations, in sequence");
    assert_eq!(rows.len(), project.migrations.len());
    for (at, (row, migration)) in rows.iter().zip(&project.migrations).enumerate() {
        let path = root().join(&row["File"]);
        assert_eq!(row["File"], migration.path);
        assert_eq!(row["#"], (at + 1).to_string());
        assert_eq!(row["Size"], bytes(fs::metadata(path).unwrap().len()));
        assert_eq!(row["State"], "applied");
        let text = fs::read_to_string(root().join(&migration.path)).unwrap();
        // The first line is the task, which another document has in a column of its own.
        let second = text.lines().nth(1).unwrap().trim_start_matches("-- ");
        assert!(text.starts_with("-- [Task] ") && row["Purpose"].starts_with(second), "{row:?}");
    }
    let applied = database.value("SELECT count(*)::text FROM cutover.migration WHERE project = 'todo'");
    let head = format!(
        "{} migrations in {} stages, {applied} applied in database",
        rows.len(),
        project.stages.len()
    );
    assert!(guide.contains(&head), "{head} in\n{guide}");
    let of = |verdict| answers.iter().filter(|answer| answer.verdict == verdict).count();
    // The check for new databases alone is not measured.
    let (empty, before) = not_verified(&project);
    let totals = format!(
        "Checks hold: {}, false: {}, skipped: {}, not measured: {}.",
        of(Verdict::Holds) + before,
        of(Verdict::False),
        of(Verdict::Skipped),
        of(Verdict::NotMeasured) + empty
    );
    assert!(guide.contains(&totals), "{totals} in\n{guide}");
    let ways = table(guide, "### Everything");
    assert_eq!(ways.len(), rows.len());
    assert!(ways.iter().all(|way| way["What it loses"] == "nothing: what goes holds nothing"), "{ways:?}");
}

#[tokio::test]
async fn every_figure_of_the_sequence_is_found_again() {
    let project = system();
    let (database, _) = verified(&project).await;
    let made = documents(&project, &database).await;
    let sequence = &made["MIGRATION_SEQUENCE.md"];
    let applied = database.value("SELECT count(*)::text FROM cutover.migration WHERE project = 'todo'");
    let run = "SELECT run FROM cutover.migration LIMIT 1";
    let runs = table(sequence, "## Timings");
    assert_eq!(
        (runs.len(), runs[0]["Migrations"].clone(), runs[0]["Run"].clone()),
        (1, applied, database.value(run))
    );
    let second = sequence.split_once("| Version | Wave |").unwrap().1;
    let timings = table(&format!("# x\n| Version | Wave |{second}"), "# x");
    let recorded = database.rows(
        "SELECT path, (took * 1000000)::int8::text, attempts::text, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
           FROM cutover.migration ORDER BY path",
    );
    assert_eq!(timings.len(), recorded.len());
    for (row, recorded) in timings.iter().zip(&recorded) {
        let [path, took, attempts, at] = [0, 1, 2, 3].map(|at| recorded[at].clone().unwrap());
        assert!(path.contains(&row["Version"]));
        assert_eq!(row["Took"], duration(Duration::from_micros(took.parse().unwrap())));
        assert_eq!((row["Attempts"].clone(), row["Applied"].clone()), (attempts, at));
    }
    for state in ["23503", "23502", "22001", "23514", "23505"] {
        let symptom = format!("an application's statement is refused with {state}");
        assert!(table(sequence, "## Troubleshooting").iter().any(|row| row["Seen"] == symptom), "{state}");
    }
    coverage(&project, &database, sequence);
}

/// Which index answers what, and what feeds what.
fn coverage(project: &Project, database: &Database, sequence: &str) {
    let explained = project.checks.iter().filter(|check| check.kind == "explain").count();
    let queries = table(sequence, "### Declared queries");
    assert_eq!(queries.len(), explained);
    let dashboard = queries.iter().find(|row| row["Query"].starts_with("SC-002")).unwrap();
    assert_eq!(
        (dashboard["Index"].as_str(), dashboard["Sort"].as_str(), dashboard["Verdict"].as_str()),
        ("idx_tasks_user_id_created_at", "no", "holds")
    );
    let keys = table(sequence, "### Foreign keys");
    assert_eq!(
        keys.len().to_string(),
        sum(
            database,
            "SELECT count(*)::text FROM pg_constraint WHERE contype = 'f' AND connamespace = {public}"
        )
    );
    for key in &keys {
        let index = key["Index"].split(", ").next().unwrap();
        let whole = if index == key["Index"] {
            "k.conkey <@ i.indkey::int2[]"
        } else {
            "NOT k.conkey <@ i.indkey::int2[]"
        };
        let sql = format!(
            "SELECT (i.indkey::int2[])[0] = ANY (k.conkey) AND {whole} FROM pg_constraint k, pg_index i
              WHERE k.conname = '{}' AND k.conrelid = i.indrelid AND i.indexrelid = '{}'::regclass",
            key["Foreign key"], index
        );
        assert_eq!(database.rows(&sql)[0][0].as_deref(), Some("t"), "{key:?}");
    }
    let flow = table(sequence, "## Data flow");
    assert_eq!(flow.len(), keys.len());
    let cascading = flow.iter().filter(|row| row["When a row of the first is deleted"] == "CASCADE").count();
    assert_eq!(
        cascading.to_string(),
        sum(
            database,
            "SELECT count(*)::text FROM pg_constraint WHERE contype = 'f' AND confdeltype = 'c' AND connamespace = {public}"
        )
    );
}

#[tokio::test]
async fn every_figure_of_the_summary_is_found_again() {
    let project = system();
    let (database, answers) = verified(&project).await;
    let made = documents(&project, &database).await;
    let summary = &made["IMPLEMENTATION_SUMMARY.md"];

    let head = table(summary, "# todo: implementation summary");
    let of = |name: &str, sql: &str| {
        let row = head.iter().find(|row| row["What"] == name).unwrap();
        assert_eq!(row["Figure"], sum(&database, sql), "{name}");
    };
    of(
        "Tables",
        "SELECT count(*)::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = {public}",
    );
    of("Columns", "SELECT count(*)::text FROM information_schema.columns WHERE table_schema = 'public'
         AND table_name IN (SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = {public})");
    of(
        "Indexes",
        "SELECT count(*) FILTER (WHERE k.oid IS NULL) || ', and ' || count(k.oid) || ' behind keys'
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relnamespace = {public}
         LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')",
    );
    of(
        "Foreign keys",
        "SELECT count(*)::text FROM pg_constraint WHERE contype = 'f' AND connamespace = {public}",
    );
    of(
        "Checks of rows",
        "SELECT count(*)::text FROM pg_constraint WHERE contype = 'c' AND connamespace = {public}",
    );

    files(&project, &database, summary);
    let compared = schema(&project, &database, summary);
    let text = format!("Comparisons that hold: {compared}, do not hold: 0, not measured: 0.");
    assert!(summary.contains(&text), "{text}");
    verification(&project, &answers, summary);
}

/// How many checks are only for new databases, and how many the run itself measured before a migration.
fn not_verified(project: &Project) -> (usize, usize) {
    let empty = project.checks.iter().filter(|check| check.kind == "empty").count();
    (empty, project.checks.iter().filter(|check| check.when != When::After).count())
}

/// The files of each stage.
fn files(project: &Project, database: &Database, summary: &str) {
    for stage in &project.stages {
        let title = if stage.title == stage.id { "" } else { &stage.title };
        let heading = format!("### {} {} {title}", stage.kind, stage.id);
        let files = table(summary, &format!("### {}", heading.trim_start_matches("###").trim()));
        assert_eq!(files.len(), stage.migrations.len());
        for (row, place) in files.iter().zip(&stage.migrations) {
            let migration = &project.migrations[*place];
            assert_eq!(row["File"], migration.path);
            assert_eq!(row["Bytes"], fs::metadata(root().join(&migration.path)).unwrap().len().to_string());
            assert_eq!(row["Task"], migration.claims.task.clone().unwrap_or_default());
            let listed = row["Its tables as they are now: columns, indexes, foreign keys"]
                .split("; ")
                .filter(|one| !one.is_empty());
            for one in listed {
                let (name, figures) = one.split_once(": ").unwrap();
                assert_eq!(figures, numbers(database, name).join(", "), "{one}");
            }
        }
    }
}

/// The tables that compare, and how many rows they have.
fn schema(project: &Project, database: &Database, summary: &str) -> usize {
    let schema = table(summary, "### Schema");
    assert_eq!(schema.iter().map(|row| row["Table"].clone()).collect::<Vec<_>>(), tables(database));
    for row in &schema {
        let found = ["Columns found", "Indexes found", "Foreign keys found"].map(|cell| row[cell].clone());
        let declared =
            ["Columns declared", "Indexes declared", "Foreign keys declared"].map(|cell| row[cell].clone());
        assert_eq!(found, numbers(database, &row["Table"]), "{row:?}");
        assert_eq!((declared, row["Verdict"].as_str()), (found, "holds"));
        let claim = format!("table {}", row["Table"]);
        let claiming = project.migrations.iter().filter(|one| one.claims.creates.contains(&claim));
        let claiming: Vec<&str> = claiming.map(|one| one.id.version.text()).collect();
        let claiming = if claiming.is_empty() { "nobody".to_owned() } else { claiming.join(", ") };
        assert_eq!(row["Claimed by"], claiming);
    }
    let (types, indexes) = (table(summary, "### Field types"), table(summary, "### Indexes"));
    for row in &types {
        let sql = format!(
            "SELECT format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END FROM pg_attribute
              WHERE attrelid = '{}'::regclass AND attname = '{}'",
            row["Table"], row["Name"]
        );
        assert!(row["Found"].starts_with(&database.value(&sql)), "{row:?}");
    }
    for row in indexes.iter().filter(|row| row["Found"].starts_with("CREATE")) {
        assert_eq!(
            row["Found"],
            database.value(&format!("SELECT pg_get_indexdef('{}'::regclass)", row["Name"]))
        );
    }
    let per_table =
        |rows: &[Row], name: &str| rows.iter().filter(|row| row["Table"] == name).count().to_string();
    for name in tables(database) {
        let [columns, all, _] = numbers(database, &name);
        assert_eq!((per_table(&types, &name), per_table(&indexes, &name)), (columns.clone(), all));
        assert_eq!(table(summary, &format!("### `{name}`")).len().to_string(), columns);
    }
    let (keys, others) = (foreign_keys(summary), table(summary, "### Everything else"));
    schema.len() + types.len() + indexes.len() + keys.len() + others.len()
}

/// The checklist, with the claims that are false.
fn verification(project: &Project, answers: &[CheckResult], summary: &str) {
    let verification = table(summary, "### Verification");
    let (empty, before) = not_verified(project);
    assert_eq!(verification.len(), answers.len() + empty + before);
    for answer in answers {
        let row = verification.iter().find(|row| row["Check"] == answer.name).unwrap();
        let verdict = if answer.verdict == Verdict::Holds { "holds" } else { "false" };
        assert_eq!(row["Verdict"], verdict);
        assert!(row["Took"].starts_with(&duration(answer.elapsed)), "{row:?} {answer:?}");
    }
    for (name, columns) in
        [("tasks", "id, user_id, title, description"), ("messages", "id, conversation_id, user_id, role")]
    {
        let claim = format!("{name} has 8 columns: expected 8 columns, found 7 columns: {columns}");
        assert!(seen(summary.split_once("### False").unwrap().1).contains(&claim), "{claim}");
    }
}

/// There are two tables of foreign keys in the set of documents; this is that of the comparison.
fn foreign_keys(summary: &str) -> Vec<Row> {
    table(summary.split_once("## Consistency").unwrap().1, "### Foreign keys")
}

#[tokio::test]
async fn an_unchanged_database_gives_the_same_bytes_and_a_drift_is_said() {
    let project = system();
    let (database, _) = verified(&project).await;
    database.run("INSERT INTO users (email, password_hash) VALUES ('a@todo.invalid', 'x')");
    let first = documents(&project, &database).await;
    let again = documents(&project, &database).await;
    assert_eq!(first, again);
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = {
        let (options, sandbox) = (database.options(), sandbox());
        let request = Request { options: &options, sandbox: &sandbox, folder: None, wait: None };
        gather(&project, request).await.unwrap().render(None).unwrap()
    };
    assert_eq!(write(folder.path(), &all).unwrap(), all.len());
    assert_eq!(write(folder.path(), &all).unwrap(), 0);
    let ways = table(&first["README.md"], "### Everything");
    let users = ways.iter().find(|way| way["Version"] == "000").unwrap();
    assert!(users["What it loses"].contains("table users and its rows"), "{users:?}");

    database.run("DROP INDEX idx_tasks_user_id_created_at; DROP INDEX idx_messages_user_id");
    let drifted = documents(&project, &database).await;
    let summary = &drifted["IMPLEMENTATION_SUMMARY.md"];
    let before = table(&first["IMPLEMENTATION_SUMMARY.md"], "### Schema");
    for (row, before) in table(summary, "### Schema").iter().zip(&before) {
        let is_drifted = ["tasks", "messages"].contains(&row["Table"].as_str());
        assert_eq!(row["Indexes declared"], before["Indexes found"]);
        assert_eq!(row["Indexes found"], numbers(&database, &row["Table"])[1]);
        assert_eq!(row["Verdict"], if is_drifted { "differs" } else { "holds" }, "{row:?}");
    }
    let missing = table(summary, "### Indexes").into_iter().filter(|row| row["Verdict"] == "missing");
    let missing: Vec<String> = missing.map(|row| row["Name"].clone()).collect();
    assert_eq!(missing, ["idx_messages_user_id", "idx_tasks_user_id_created_at"]);
    let wrong = seen(summary.split_once("### False").unwrap().1);
    assert!(wrong.contains("8 indexes: expected 8, found "), "{wrong}");
    let checks = table(summary, "### Verification");
    let indexes = checks.iter().find(|row| row["Check"] == "8 indexes").unwrap();
    assert_eq!(indexes["Verdict"], "false (recorded: holds)");
    let sequence = &drifted["MIGRATION_SEQUENCE.md"];
    let dashboard = table(sequence, "### Declared queries").remove(0);
    assert_eq!((dashboard["Sort"].as_str(), dashboard["Verdict"].as_str()), ("yes", "false"));
    let keys = table(sequence, "### Foreign keys");
    let of_user = keys.iter().find(|row| row["Foreign key"] == "messages_user_id_fkey").unwrap();
    assert_eq!(of_user["Index"], "none");
    let seen: Vec<String> =
        table(sequence, "## Troubleshooting").into_iter().map(|row| row["Seen"].clone()).collect();
    // Both indexes, and the two tables they belong to.
    assert!(seen.contains(&"4 objects are not what the applied migrations make".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn the_script_verifies_without_cutover() {
    let project = system();
    let (database, _) = verified(&project).await;
    let made = documents(&project, &database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verify.sql");
    fs::write(&file, &made["verify.sql"]).unwrap();
    let objects_only = |expected: i32| {
        let (code, said) = testkit::psql(&database, &file, &["objects_only=1"]);
        assert_eq!(code, expected, "{said}");
        said
    };
    objects_only(0);
    // The two claims that are false are false there too, and nothing else is.
    let (code, said) = testkit::psql(&database, &file, &[]);
    let wrong: Vec<&str> =
        said.lines().filter_map(|line| Some(line.split_once("does not hold: ")?.1)).collect();
    assert_eq!((code, wrong.len()), (3, 2), "{said}");
    assert!(
        wrong[0].starts_with("tasks has 8 columns: ") && wrong[1].starts_with("messages has 8 columns: ")
    );
    assert_eq!(database.value("SELECT count(*)::text FROM users"), "0");
    for (drift, back, named) in [
        (
            "DROP INDEX idx_tasks_user_id",
            "CREATE INDEX idx_tasks_user_id ON tasks (user_id)",
            "index idx_tasks_user_id",
        ),
        (
            "ALTER TABLE tasks ALTER title TYPE varchar(300)",
            "ALTER TABLE tasks ALTER title TYPE varchar(255)",
            "table tasks",
        ),
        (
            "ALTER TABLE tasks ALTER completed DROP DEFAULT",
            "ALTER TABLE tasks ALTER completed SET DEFAULT false",
            "table tasks",
        ),
        (
            "ALTER TABLE tasks RENAME CONSTRAINT tasks_user_id_fkey TO other",
            "ALTER TABLE tasks RENAME CONSTRAINT other TO tasks_user_id_fkey",
            "constraint tasks.tasks_user_id_fkey",
        ),
        (
            "ALTER TABLE messages DROP CONSTRAINT messages_role_check",
            "ALTER TABLE messages ADD CONSTRAINT messages_role_check CHECK (role IN ('user', 'agent'))",
            "constraint messages.messages_role_check",
        ),
    ] {
        database.run(drift);
        let said = objects_only(3);
        assert!(said.contains(&format!("does not hold: {named}: ")), "{drift}: {said}");
        // One of that name is missing, and one is there that nobody declares.
        let number = if drift.contains("RENAME") { 2 } else { 1 };
        assert!(said.contains(&format!("{number} of what was verified does not hold")), "{drift}: {said}");
        database.run(back);
    }
    objects_only(0);
}
