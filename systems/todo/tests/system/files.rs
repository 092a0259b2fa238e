//! The files by themselves: missing ones, run by psql, and what lint says of them.

use std::process::Command;

use cutover::baseline;
use cutover::lint::{self, Which};
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::verify::VerifyRequest;
use cutover::{SystemClock, inspect, migrate};

use crate::support::{
    ALICE, Copy, as_user, drifted, dump, files, load, measured, not_held, scratch, system, two_users, whole,
};

#[tokio::test]
async fn without_the_first_files_users_is_named_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    for file in files().iter().filter(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with("002") || name.starts_with("003")
    }) {
        std::fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    let database = testkit::database();
    let error = migrate(&load(folder.path()), &database.url()).await.unwrap_err().to_string();
    assert!(error.contains("002_add_conversations_table.sql:6:"), "{error}");
    assert!(error.contains("needs table users (foreign key to it), which does not exist"), "{error}");
    assert_eq!(database.value("SELECT to_regclass('conversations') IS NULL"), "t");
}

/// Each file by psql, and then its record.
#[tokio::test]
async fn what_psql_has_run_is_recorded_and_nothing_is_left_to_do() {
    let database = testkit::database();
    let psql = testkit::clients().psql.expect("psql beside the other clients");
    for file in files() {
        let mut command = Command::new(&psql);
        command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file"]).arg(&file);
        let output = command.arg(database.url()).output().unwrap();
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(dump(&database), dump(&whole()));
    let (project, options, clock, sandbox) = (system(), database.options(), SystemClock::new(), scratch());
    let request = baseline::Request {
        to: "006",
        allow: &[],
        sandbox: &sandbox,
        operator: "test".into(),
        tool: "test".into(),
        clock: &clock,
    };
    let outlook = baseline::look(&project, &options, &request).await.unwrap();
    assert_eq!(outlook.recorded.len(), 7);
    assert!(outlook.agreement.is_some() && outlook.remarks.is_empty(), "{outlook:?}");
    baseline::record(&project, &options, &request, &outlook).await.unwrap();
    let mut session = inspect::connect(&options, None).await.unwrap();
    let seen = inspect::database(&project, &mut session, &Selection::default(), Read::Pending).await.unwrap();
    session.close().await;
    assert_eq!(seen.built.pending().count(), 0);
    assert!(seen.differences.is_empty(), "{:?}", seen.described);
    assert_eq!(drifted(&database).await, [""; 0]);
    let results = measured(&project, &options, &VerifyRequest::default()).await;
    assert_eq!(not_held(&results), []);
}

/// What lint finds: code, file and what it says.
fn linted(project: &cutover::Project) -> Vec<(String, String, String)> {
    let found = lint::look(project, &Which::Each, None);
    assert!(found.broken.is_empty());
    found
        .findings
        .into_iter()
        .map(|one| (one.code, one.path.trim_start_matches("migrations/").to_owned(), one.message))
        .collect()
}

/// Indexes that others do the work of. They are claimed, so they stay; nothing else is found.
const EXPECTED: [(&str, &str, &str); 2] = [
    (
        "duplicate-index",
        "000_create_users_table.sql",
        "index users_email_key of public.users is over the same columns",
    ),
    (
        "duplicate-index",
        "003_add_messages_table.sql",
        "index idx_messages_conversation_id of public.messages is not needed beside it: it begins with the same columns",
    ),
];

#[test]
fn lint_finds_the_index_that_repeats_a_constraint_s() {
    let found = linted(&system());
    let found: Vec<(&str, &str, &str)> =
        found.iter().map(|(code, path, words)| (code.as_str(), path.as_str(), words.as_str())).collect();
    assert_eq!(found, EXPECTED);
}

#[test]
fn a_file_that_drops_what_it_makes_is_found() {
    for (file, table) in [
        ("000_create_users_table.sql", "users"),
        ("001_create_tasks_table.sql", "tasks"),
        ("002_add_conversations_table.sql", "conversations"),
        ("003_add_messages_table.sql", "messages"),
    ] {
        let copy = Copy::new();
        copy.prepend(&format!("migrations/{file}"), &format!("DROP TABLE IF EXISTS {table} CASCADE;\n"));
        let found = linted(&copy.load());
        let new: Vec<&str> = found
            .iter()
            .filter(|(_, path, _)| path == file)
            .map(|(code, ..)| code.as_str())
            .filter(|code| *code != "duplicate-index")
            .collect();
        assert_eq!(new, ["drop-table", "drop-if-exists-before-create"], "{file}");
    }
}

#[test]
fn run_again_a_file_destroys_nothing() {
    let database = whole();
    database.run(&two_users());
    let before = dump(&database);
    for file in files().iter().take(4) {
        let text = std::fs::read_to_string(file).unwrap();
        let error = database.try_rows(&text).expect_err("it is there already");
        let code = error.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("42P07"));
    }
    assert_eq!(dump(&database), before);
    assert_eq!(database.value("SELECT count(*) FROM users"), "2");
}

/// A view reads as its owner, whom no policy binds, unless it says otherwise.
#[test]
fn a_view_that_goes_around_the_policies_is_found() {
    let (copy, database) = (Copy::new(), whole());
    database.run(&two_users());
    let made = "VIEW open_tasks WITH (security_invoker = true) AS SELECT * FROM tasks WHERE NOT completed";
    let careless = made.replace(" WITH (security_invoker = true)", "");
    copy.write("migrations/007_open_tasks.sql", &format!("CREATE {careless};\n"));
    let found = linted(&copy.load());
    let codes: Vec<&str> =
        found.iter().filter(|(_, path, _)| path.starts_with("007")).map(|(code, ..)| code.as_str()).collect();
    assert_eq!(codes, ["view-bypasses-rls"]);
    let seen = |sql: &str| {
        database.run(&format!(
            "DROP VIEW IF EXISTS open_tasks; CREATE {sql}; GRANT SELECT ON open_tasks TO todo_app"
        ));
        as_user(&database, ALICE, "SELECT count(*) FROM open_tasks").unwrap()
    };
    assert_eq!(seen(&careless), [["4"]]);
    if testkit::server().binaries().major >= 15 {
        copy.write("migrations/007_open_tasks.sql", &format!("CREATE {made};\n"));
        assert_eq!(linted(&copy.load()).len(), EXPECTED.len());
        assert_eq!(seen(made), [["2"]]);
    }
}
