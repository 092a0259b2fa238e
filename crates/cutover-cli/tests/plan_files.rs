//! Plans that are kept, and applied later.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, says};

fn place() -> Place {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/0002_b.sql", "CREATE TABLE b (n int);");
    place
}

#[test]
fn a_plan_is_applied_as_it_was_reviewed() {
    let place = place();
    let plan = place.run(&["plan", "--to", "0001", "--out", "plan.json"]).ends_with(0);
    assert!(
        plan.stdout.ends_with("written to plan.json; to review it: cutover plan plan.json; to apply it: cutover apply plan.json\n"),
        "{}",
        plan.stdout
    );
    place.run(&["apply", "plan.json", "--dry-run"]).ends_with(0);
    place.run(&["apply", "plan.json"]).ends_with(0);
    assert_eq!(
        place.database().value("SELECT to_regclass('a') IS NOT NULL AND to_regclass('b') IS NULL"),
        "t",
        "the plan's own selection"
    );
    let again = place.run(&["apply", "plan.json"]).ends_with(1);
    says(
        &again,
        &["the plan does not hold any more", "migrations/0001_a.sql was applied by run ", "plan again"],
    );
}

#[test]
fn what_has_moved_is_named_and_nothing_is_done() {
    type Move = fn(&Place);
    let moves: [(Move, &str); 9] = [
        (
            |place| place.write("migrations/0002_b.sql", "CREATE TABLE b (m int);"),
            "migrations/0002_b.sql was edited",
        ),
        (|place| place.write("migrations/0003_c.sql", "SELECT 1;"), "migrations/0003_c.sql is new"),
        (
            |place| std::fs::remove_file(place.folder.join("migrations/0002_b.sql")).unwrap(),
            "migrations/0002_b.sql is gone",
        ),
        (|place| place.database().run("ALTER TABLE old ADD m int"), "table old was changed in the database"),
        (|place| place.database().run("CREATE VIEW v AS SELECT 1"), "view v was created in the database"),
        (|place| place.database().run("DROP TABLE old"), "table old was dropped from the database"),
        (
            |place| place.database().run("GRANT SELECT ON old TO PUBLIC"),
            "table old was changed in the database",
        ),
        (
            |place| place.database().run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"),
            "default privileges for role ",
        ),
        (
            |place| {
                place.database().run(
                    "CREATE SCHEMA other; \
                     DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = other', current_database()); END $$",
                );
            },
            "search_path",
        ),
    ];
    for (moved, words) in moves {
        let place = place();
        place.database().run("CREATE TABLE old (n int)");
        place.run(&["plan", "--out", "plan.json"]).ends_with(0);
        moved(&place);
        for arguments in [&["apply", "plan.json"][..], &["apply", "plan.json", "--dry-run"]] {
            says(&place.run(arguments).ends_with(1), &["the plan does not hold any more", words]);
        }
        assert_eq!(
            place.database().value("SELECT to_regclass('a') IS NULL AND to_regnamespace('cutover') IS NULL"),
            "t"
        );
    }
}

/// Values are not shown, and decide all the same what is run.
#[test]
fn a_plan_is_for_the_values_it_was_made_with() {
    let place = place();
    place.write("migrations/0003_c.sql", "CREATE TABLE c_${NAME} (n text DEFAULT '${SECRET}');");
    let given = |name: &'static str, secret: &'static str| ["--var", name, "--var", secret];
    let (planned, other) = (given("NAME=x", "SECRET=whispered"), given("NAME=x", "SECRET=shouted"));
    place.run(&[&["plan", "--out", "plan.json"], &planned[..]].concat()).ends_with(0);
    let text = std::fs::read_to_string(place.folder.join("plan.json")).unwrap();
    // No digest spells that.
    assert!(!text.contains("whispered"), "{text}");
    for arguments in [&["apply", "plan.json"][..], &["apply", "plan.json", "--dry-run"]] {
        let refused = place.run(&[arguments, &other[..]].concat()).ends_with(1);
        says(&refused, &["the plan does not hold any more", "placeholder SECRET has another value"]);
        assert!(!refused.stderr.contains("NAME"), "{}", refused.stderr);
    }
    place.run(&[&["apply", "plan.json"], &planned[..]].concat()).ends_with(0);
    assert_eq!(place.database().value("SELECT to_regclass('c_x') IS NOT NULL"), "t");
}

/// What was asked for around the migrations was reviewed with them.
#[test]
fn a_plan_keeps_its_backups_checks_and_claims() {
    const CONFIG: &str = "[project]\nname = \"p\"\n[[migrations]]\npath = \"migrations\"\n\
        [[stage]]\nid = \"1\"\ntitle = \"t\"\nrequire_backup = true\n\
        [[stage.migration]]\nversion = \"0002\"\ncreates = [\"table b\"]\n\
        [[check]]\nname = \"small\"\nkind = \"no_rows\"\nwhen = \"before\"\nbefore = \"0002\"\n\
        sql = \"SELECT WHERE false\"\n";
    let edits = [
        ("require_backup = true\n", "", "the backup that stage 1 requires is gone"),
        ("when = \"before\"\nbefore = \"0002\"\n", "", "check \"small\" was changed"),
        ("WHERE false", "WHERE 1 = 2", "check \"small\" was changed"),
        ("[\"table b\"]", "[]", "what is claimed of migrations/0002_b.sql was changed"),
    ];
    let place = place();
    place.write("cutover.toml", CONFIG);
    place.run(&["plan", "--out", "plan.json"]).ends_with(0);
    for (from, to, words) in edits {
        assert!(CONFIG.contains(from));
        place.write("cutover.toml", &CONFIG.replace(from, to));
        says(&place.run(&["apply", "plan.json", "--backup-dir", "."]).ends_with(1), &[words]);
    }
    // How it is written makes no difference.
    place.write("cutover.toml", &CONFIG.replace("kind = \"no_rows\"", "# a check\n\nkind = 'no_rows'"));
    place.run(&["apply", "plan.json", "--dry-run", "--backup-dir", "."]).ends_with(0);
}

/// What a migration means depends on who runs it, and under which settings, wherever these come from.
#[test]
fn a_plan_is_for_one_role_and_its_settings() {
    let place = place();
    place.run(&["plan", "--out", "plan.json"]).ends_with(0);
    let refused = |command: &mut std::process::Command, words: &[&str]| {
        says(&common::outcome(&command.output().unwrap()).ends_with(1), words);
        assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    };
    let role = testkit::role("SUPERUSER");
    let made = "it was made where role is ";
    for arguments in [&["apply", "plan.json"][..], &["apply", "plan.json", "--dry-run"]] {
        let mut command = place.command(arguments);
        refused(command.env("CUTOVER_URL", place.database().url_as(&role)), &[made, &role.name]);
        let mut command = place.command(arguments);
        let words = ["it was made where search_path is \"\\\"$user\\\", public\", here it is \"pg_catalog\""];
        refused(command.env("PGOPTIONS", "-c search_path=pg_catalog"), &words);
    }
    place.run(&["apply", "plan.json"]).ends_with(0);
}

#[test]
fn a_plan_is_for_one_database() {
    let (place, other) = (place(), place());
    place.run(&["plan", "--out", "plan.json"]).ends_with(0);
    std::fs::copy(place.folder.join("plan.json"), other.folder.join("plan.json")).unwrap();
    says(
        &other.run(&["apply", "plan.json"]).ends_with(1),
        &["it was made for database ", ", this is database "],
    );
}

#[test]
fn what_is_no_plan_is_refused() {
    let place = place();
    says(&place.run(&["apply", "plan.json"]).ends_with(2), &["cannot read the plan plan.json"]);
    place.write("plan.json", "{}");
    says(
        &place.run(&["apply", "plan.json"]).ends_with(2),
        &["it is no plan written by `cutover plan --out`"],
    );
    place.write("plan.json", "{\"format_version\": 99}");
    says(
        &place.run(&["apply", "plan.json"]).ends_with(2),
        &["its format is 99, this program knows 3", "use the program that wrote it"],
    );
    says(&place.run(&["plan", "--out", "plan.txt"]).ends_with(2), &["--out names a file that ends in .json"]);
}

/// Runs a script as somebody who has nothing but psql.
fn psql(place: &Place, script: &str) -> std::process::Output {
    psql_of(place).args(["--no-psqlrc", "--file", script]).output().unwrap()
}

/// psql on the place's database, with nothing of this machine's environment.
fn psql_of(place: &Place) -> std::process::Command {
    let mut command = std::process::Command::new(testkit::clients().folder.join("psql"));
    command.env_clear().env("HOME", &place.folder).current_dir(&place.folder);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.arg("--dbname").arg(place.database().url());
    command
}

fn told(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SEVERAL: &str = "CREATE TABLE c (n int, t text);\nCOPY c FROM stdin;\n1\ta\\\\b\n2\t\\N\n\\.\n-- cutover: new-transaction\n\
     CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; -- not the end $$;\n\
     CREATE INDEX CONCURRENTLY c_n ON c (n);\nREINDEX TABLE CONCURRENTLY c;\nCREATE INDEX CONCURRENTLY c_t ON c (t);\n\
     DROP INDEX CONCURRENTLY c_t -- the end";

#[test]
fn a_script_for_psql_does_what_a_run_does() {
    let (by_hand, by_run) = (place(), place());
    for place in [&by_hand, &by_run] {
        place.write(
            "cutover.toml",
            "[project]\nname = \"it's: mine\"\n[[migrations]]\npath = \"migrations\"\n",
        );
        place.write("migrations/0003_c.sql", SEVERAL);
        place.write("migrations/0004_d.sql", "SET search_path = ''; CREATE TABLE public.d (n int DEFAULT 7)");
        place.write("migrations/0005_e.sql", "CREATE TABLE e (n int)");
    }
    let plan = by_hand.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    assert!(plan.stdout.contains("to run it: psql --no-psqlrc --file plan.sql"), "{}", plan.stdout);
    let ran = psql(&by_hand, "plan.sql");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    by_run.run(&["apply"]).ends_with(0);
    let dump = |place: &Place| testkit::catalogue_dump(&place.database().options(), &["cutover"]);
    assert_eq!(dump(&by_hand), dump(&by_run));
    let history = "SELECT string_agg(concat_ws(' ', project, version_text, path, checksum, statements, source), ',' ORDER BY version)
                     FROM cutover.migration";
    assert_eq!(by_hand.database().value(history), by_run.database().value(history));
    let rows = "SELECT string_agg(concat_ws(' ', n, t), ',' ORDER BY n) FROM c";
    assert_eq!(by_hand.database().value(rows), "1 a\\b,2");
    for place in [&by_hand, &by_run] {
        assert_eq!(place.database().value("SELECT count(*) FROM cutover.unit"), "0");
        assert_eq!(place.database().value("SELECT outcome FROM cutover.run"), "completed");
        place.run(&["status", "--exit-code"]).ends_with(0);
    }
    by_hand.run(&["report"]).ends_with(0);
    let again = psql(&by_hand, "plan.sql");
    assert_eq!(again.status.code(), Some(3));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("migrations were applied since this script was made"), "{said}");
}

/// Of a script that stopped within a file, parts are done: they must not be run twice.
#[test]
fn a_script_does_not_run_a_finished_part_again() {
    let place = place();
    place.run(&["apply", "--to", "0002"]).ends_with(0);
    place.database().run("CREATE TABLE old (n int)");
    place.write(
        "migrations/0003_c.sql",
        "INSERT INTO a VALUES (1);\n-- cutover: new-transaction\nINSERT INTO b SELECT 1 / n - 1 FROM a;\n\
         -- cutover: new-transaction\nSELECT 1 / (SELECT count(*) FROM old)",
    );
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    let stopped = psql(&place, "plan.sql");
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("division by zero"));
    place.database().run("INSERT INTO old VALUES (1)");
    let again = psql(&place, "plan.sql");
    assert_eq!(again.status.code(), Some(3));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("a migration of this script was begun since it was made"), "{said}");
    assert_eq!(place.database().value("SELECT count(*) FROM a"), "1");
    place.run(&["apply"]).ends_with(0);
    assert_eq!(place.database().value("SELECT count(*) FROM a"), "1");
    // As many are applied as before, and others.
    place.write("migrations/0004_d.sql", "INSERT INTO a VALUES (2);");
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    place.run(&["apply"]).ends_with(0);
    place.database().run("DELETE FROM cutover.migration WHERE version = '1'");
    let other = psql(&place, "plan.sql");
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("migrations were applied since this script was made")
    );
    assert_eq!(place.database().value("SELECT count(*) FROM a"), "2");
}

/// What psql would put its own variables into reaches the server as the file has it.
#[test]
fn psql_replaces_nothing_in_a_migration() {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a AS SELECT l[1:PORT] AS l, l[:ERROR] AS m, ':PORT' AS t, $$:'PORT'$$ AS d /* :PORT */\n\
         FROM (SELECT ARRAY[1, 2, 3] AS l, 2 AS port, 1 AS error) AS s -- :PORT\n;\n\
         CREATE TABLE b AS SELECT l[1::int:given] AS l FROM (SELECT ARRAY[1, 2, 3] AS l, 2 AS given) AS s;",
    );
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    let ran = std::process::Command::new(testkit::clients().folder.join("psql"))
        .args(["--no-psqlrc", "-v", "given=3", "--file", "plan.sql"])
        .arg(place.database().url())
        .current_dir(&place.folder)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(place.database().value("SELECT (l, m, t, d)::text FROM a"), "(\"{1,2}\",{1},:PORT,:'PORT')");
    assert_eq!(place.database().value("SELECT l::text FROM b"), "{1,2}");
}

#[test]
fn a_script_stops_at_the_first_error_and_is_for_one_database() {
    let place = place();
    place.write("migrations/0002_b.sql", "CREATE TABLE b (n int); SELECT 1 / 0;");
    place.write("migrations/0003_c.sql", "CREATE TABLE c (n int);");
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    let other = self::place();
    std::fs::copy(place.folder.join("plan.sql"), other.folder.join("plan.sql")).unwrap();
    let elsewhere = psql(&other, "plan.sql");
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("this script is for another database"));
    assert_eq!(other.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    let stopped = psql(&place, "plan.sql");
    assert_eq!(stopped.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("division by zero"));
    assert_eq!(place.database().value("SELECT string_agg(version_text, ',') FROM cutover.migration"), "0001");
    assert_eq!(place.database().value("SELECT to_regclass('b') IS NULL AND to_regclass('c') IS NULL"), "t");
}

/// What the database's defaults say of text must not change what is run, nor a name end the block it stands in.
#[test]
fn a_script_is_read_as_it_was_written() {
    let place = Place::new();
    place.write(
        "cutover.toml",
        "[project]\nname = \"a$cutover$; DROP\"\n[[migrations]]\npath = \"migrations\"\n",
    );
    place.write("migrations/0001_a.sql", "CREATE TABLE a (t text);");
    place.write(
        "migrations/0002_b.sql",
        "INSERT INTO a VALUES ('größe\\'), ('; COMMIT; CREATE TABLE escaped (); --');",
    );
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    place.database().run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database());
                     EXECUTE format('ALTER DATABASE %I SET client_encoding = LATIN1', current_database()); END $$",
    );
    let ran = psql(&place, "plan.sql");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(place.database().value("SELECT count(*) FROM a"), "2");
    assert_eq!(place.database().value("SELECT octet_length(t) FROM a WHERE t LIKE 'gr%'"), "8");
    assert_eq!(place.database().value("SELECT to_regclass('escaped') IS NULL"), "t");
}

/// Files in which it shows how they were read: text in UTF-8, a backslash, lines, a colon that could be a variable's, what
/// depends on settings, a failure that must undo what is before it.
fn telling_files(place: &Place) {
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (t text);\nINSERT INTO a\nSELECT 'größe\\'\nWHERE true;\n\
         INSERT INTO a SELECT (ARRAY['x','y','z'])[n:two] ::text FROM (VALUES (2, 3)) AS v (n, two);\n\
         INSERT INTO a SELECT current_setting('search_path') || current_setting('default_transaction_isolation');\n\
         INSERT INTO a SELECT current_user || current_setting('statement_timeout');",
    );
    place.write(
        "migrations/0002_b.sql",
        "CREATE TABLE b (n int);\nINSERT INTO b VALUES (1);\nSELECT 1 / 0;\nINSERT INTO b VALUES (2);",
    );
    place.write("migrations/0003_c.sql", "CREATE TABLE c (n int);");
}

/// A profile, variables, arguments and defaults that would change what is run and how: the script does what a run does.
#[test]
fn a_script_does_the_same_whoever_runs_it() {
    let profile = "\\set AUTOCOMMIT off\n\\set ON_ERROR_ROLLBACK on\n\\set ON_ERROR_STOP off\n\\set FETCH_COUNT 1\n\
                   \\set n 1\n\\set two 1\n\\encoding LATIN1\n\\pset pager always\n\\set SINGLELINE on\n";
    let session =
        "SET search_path = pg_temp\nSET standard_conforming_strings = off\nSET ROLE pg_monitor\nCOMMIT\n";
    let defaults = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database());
                     EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
                     EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database());
                     EXECUTE format('ALTER DATABASE %I SET client_encoding = SJIS', current_database()); END $$";
    let by_run = Place::new();
    telling_files(&by_run);
    by_run.write("cutover.toml", "[project]\nname = \"p\"\n[[migrations]]\npath = \"migrations\"\n[apply]\nstatement_timeout = \"17s\"\n");
    by_run.run(&["apply"]).ends_with(4);
    let rows = "SELECT string_agg(t, ' ' ORDER BY t COLLATE \"C\") FROM a";
    let expected = by_run.database().value(rows);
    assert!(expected.contains("größe\\") && expected.contains("{y,z}"), "{expected}");
    for arguments in [
        &["--single-line"][..],
        &["--variable=n=1", "--variable=ON_ERROR_STOP=0", "--variable=AUTOCOMMIT=off"],
    ] {
        let place = Place::new();
        telling_files(&place);
        std::fs::copy(by_run.folder.join("cutover.toml"), place.folder.join("cutover.toml")).unwrap();
        place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
        place.write("profile", &format!("{profile}{session}"));
        place.database().run(defaults);
        let mut command = psql_of(&place);
        command.env("PSQLRC", place.folder.join("profile")).env("PGCLIENTENCODING", "LATIN1");
        let ran = command.args(arguments).args(["--file", "plan.sql"]).output().unwrap();
        assert_eq!(ran.status.code(), Some(3), "{}", told(&ran));
        assert!(told(&ran).contains("division by zero"), "{}", told(&ran));
        assert_eq!(place.database().value(rows), expected, "{arguments:?}");
        let left = "SELECT to_regclass('b') IS NULL AND to_regclass('c') IS NULL";
        assert_eq!(place.database().value(left), "t", "what failed is undone, and nothing is behind it");
        let applied = "SELECT string_agg(version_text, ',') FROM cutover.migration";
        assert_eq!(place.database().value(applied), "0001");
        // Who ran it, and when, is not who planned it.
        assert_eq!(place.database().value("SELECT head->>'role' FROM cutover.run"), "postgres");
        place.run(&["report"]).ends_with(0);
    }
}

/// A role that is a default of the database is that of each file, as in a run.
#[test]
fn a_script_works_as_the_role_that_a_run_works_as() {
    let owner = testkit::role("");
    let (by_hand, by_run) = (place(), place());
    for place in [&by_hand, &by_run] {
        place.database().give_to(&owner);
        let name = place.database().name();
        place.database().run(&format!(
            "ALTER DATABASE {name} SET role = {}; GRANT ALL ON SCHEMA public TO {0}",
            owner.name
        ));
        place.write("migrations/0001_a.sql", "CREATE TABLE a (n int); SET ROLE NONE; SELECT 1;");
    }
    by_hand.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    by_hand.write("profile", "SET ROLE NONE;\n");
    let mut command = psql_of(&by_hand);
    let ran = command.env("PSQLRC", "profile").args(["--file", "plan.sql"]).output().unwrap();
    assert!(ran.status.success(), "{}", told(&ran));
    by_run.run(&["apply"]).ends_with(0);
    for place in [&by_hand, &by_run] {
        let owners = "SELECT string_agg(tableowner, ' ') FROM pg_tables WHERE tablename IN ('a', 'b')";
        assert_eq!(place.database().value(owners), format!("{0} {0}", owner.name));
        assert_eq!(place.database().value("SELECT head->>'role' FROM cutover.run"), owner.name);
    }
    drop((by_hand, by_run));
}

type Hostile = fn(&mut std::process::Command) -> &mut std::process::Command;

/// What the script cannot set, it looks at, before anything is done.
#[test]
fn a_script_refuses_what_it_cannot_set() {
    let place = place();
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    let hostile: [(Hostile, &str); 5] = [
        (|psql| psql.arg("--single-transaction"), "a transaction is open already"),
        (|psql| psql.env("PSQLRC", "begins"), "a transaction is open already"),
        (|psql| psql.env("PGTZ", "Asia/Tokyo"), "set by the environment of psql: TimeZone"),
        (|psql| psql.env("PGDATESTYLE", "German"), "set by the environment of psql: DateStyle"),
        (|psql| psql.env("PGOPTIONS", "-c timezone=Asia/Tokyo"), "unset PGTZ and PGDATESTYLE"),
    ];
    place.write("begins", "BEGIN;\n");
    for (hostile, said) in hostile {
        let mut command = psql_of(&place);
        hostile(&mut command);
        let ran = command.args(["--file", "plan.sql"]).output().unwrap();
        assert_eq!(ran.status.code(), Some(3), "{}", told(&ran));
        assert!(told(&ran).contains(said), "{said:?} is not in\n{}", told(&ran));
        let untouched = "SELECT to_regnamespace('cutover') IS NULL AND to_regclass('a') IS NULL";
        assert_eq!(place.database().value(untouched), "t", "{said}");
    }
    assert!(psql(&place, "plan.sql").status.success(), "without them it runs");
}

/// Each transaction makes sure of the token and the lock: they may be gone, or a pooler has given the script another session.
#[test]
fn a_script_stops_where_it_is_not_the_runner_any_more() {
    for (lose, said) in [
        ("SELECT pg_advisory_unlock_all()", "this session does not hold the runner's lock any more"),
        (
            "DO $$ BEGIN EXECUTE 'UPDATE cutover.' || 'fence SET token = token + 1'; END $$",
            "another runner has taken over (the fencing token changed)",
        ),
    ] {
        let place = place();
        place.write("migrations/0001_a.sql", &format!("CREATE TABLE a (n int); {lose};"));
        place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
        let ran = psql(&place, "plan.sql");
        assert_eq!(ran.status.code(), Some(3), "{}", told(&ran));
        assert!(told(&ran).contains(said), "{said:?} is not in\n{}", told(&ran));
        let applied = "SELECT string_agg(version_text, ',') FROM cutover.migration";
        assert_eq!(place.database().value(applied), "0001");
        assert_eq!(place.database().value("SELECT to_regclass('b') IS NULL"), "t");
    }
}

/// Code of a file that changes how the server reads texts, and leaves it so, stops a script as it stops a run.
#[test]
fn a_script_stops_before_a_text_that_would_be_misread() {
    for (bend, rest) in [
        ("client_encoding', 'LATIN1", "INSERT INTO log VALUES ('größe');"),
        (
            "standard_conforming_strings', 'off",
            "INSERT INTO log VALUES ('\\'), ('; COMMIT; CREATE TABLE escaped (); --');",
        ),
        ("client_encoding', 'LATIN1", "COPY log FROM stdin;\ngröße\n\\.\n"),
    ] {
        let (by_hand, by_run) = (Place::new(), Place::new());
        for place in [&by_hand, &by_run] {
            place.write("migrations/0001_a.sql", "CREATE TABLE log (t text);");
            place.write(
                "migrations/0002_b.sql",
                &format!("DO $$ BEGIN PERFORM set_config('{bend}', false); END $$;\nINSERT INTO log VALUES ('plain');\n{rest}"),
            );
            place.write("migrations/0003_c.sql", "CREATE TABLE c (t text DEFAULT 'größe\\');");
        }
        by_hand.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
        let ran = psql(&by_hand, "plan.sql");
        assert_eq!(ran.status.code(), Some(3), "{}", told(&ran));
        assert!(told(&ran).contains("code that ran before line 3 of the file has set"), "{}", told(&ran));
        by_run.run(&["apply"]).ends_with(4);
        for place in [&by_hand, &by_run] {
            let applied = "SELECT string_agg(version_text, ',') FROM cutover.migration";
            assert_eq!(place.database().value(applied), "0001", "{bend}");
            assert_eq!(place.database().value("SELECT count(*) FROM log"), "0");
            assert_eq!(place.database().value("SELECT to_regclass('escaped') IS NULL"), "t");
        }
        // In a part of its own the text is read as it is written: each begins anew.
        let mended = format!(
            "DO $$ BEGIN PERFORM set_config('{bend}', false); END $$;\n-- cutover: new-transaction\n{rest}"
        );
        by_hand.write("migrations/0002_b.sql", &mended);
        by_hand.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
        let ran = psql(&by_hand, "plan.sql");
        assert!(ran.status.success(), "{}", told(&ran));
        let text = by_hand.database().value("SELECT string_agg(t, '|' ORDER BY t) FROM log");
        assert!(text == "größe" || text.contains("; COMMIT; CREATE TABLE escaped (); --"), "{text}");
    }
}

/// What is left for later is left so by whoever runs the script, as by a run.
#[test]
fn a_script_records_what_is_left_for_later() {
    let (by_hand, by_run) = (place(), place());
    by_hand.run(&["plan", "--defer", "0001", "--sql", "plan.sql"]).ends_with(0);
    let ran = psql(&by_hand, "plan.sql");
    assert!(ran.status.success(), "{}", told(&ran));
    by_run.run(&["apply", "--defer", "0001"]).ends_with(0);
    for place in [&by_hand, &by_run] {
        let left = "SELECT string_agg(version_text, ',') FROM cutover.deferral";
        assert_eq!(place.database().value(left), "0001");
        let applied = "SELECT string_agg(version_text, ',') FROM cutover.migration";
        assert_eq!(place.database().value(applied), "0002");
        // The next run leaves it out unasked.
        place.run(&["apply"]).ends_with(0);
        assert_eq!(place.database().value(applied), "0002");
    }
    by_hand.run(&["plan", "0001", "--sql", "plan.sql"]).ends_with(0);
    assert!(psql(&by_hand, "plan.sql").status.success());
    assert_eq!(by_hand.database().value("SELECT count(*) FROM cutover.deferral"), "0");
}

/// Names without a schema must not lead to the history, whoever runs what was planned.
#[test]
fn a_search_path_that_leads_to_the_history_is_refused_by_all() {
    let place = place();
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    place.database().run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = \"Mine\", cutover', current_database()); END $$",
    );
    let why = "schema cutover, which holds the history, is in the search path";
    let words =
        [why, "\"Mine\", cutover, set for database ", "hint: ALTER DATABASE ", "SET search_path = \"Mine\""];
    for arguments in [&["plan"][..], &["apply", "--dry-run"], &["apply"]] {
        says(&place.run(arguments).ends_with(2), &words);
    }
    let ran = psql(&place, "plan.sql");
    assert_eq!(ran.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&ran.stderr).contains(why));
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    place
        .database()
        .run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET search_path', current_database()); END $$");
    assert!(psql(&place, "plan.sql").status.success());
}

/// A slip of the finger must not cost a migration.
#[test]
fn plans_and_scripts_are_written_over_nothing_but_their_like() {
    let place = place();
    let config =
        "[project]\nname = \"p\"\n[[migrations]]\npath = \"migrations\"\n[checks]\nsql = [\"checks.sql\"]\n";
    place.write("cutover.toml", config);
    place.write("checks.sql", "SELECT 1 WHERE false;");
    place.write("notes.sql", "mine");
    place.write("notes.json", "{}");
    let read = |file: &str| std::fs::read_to_string(place.folder.join(file)).unwrap_or_default();
    let refused = [
        (&["--sql", "migrations/0001_a.sql"][..], "migrations/0001_a.sql is a file of the project"),
        (&["--sql", "migrations/0001_a.sql", "--force"], "migrations/0001_a.sql is a file of the project"),
        (&["--sql", "cutover.toml", "--force"], "cutover.toml is a file of the project"),
        (&["--sql", "checks.sql", "--force"], "checks.sql is a file of the project"),
        (&["--sql", "migrations/0003_c.sql"], "is in a folder of migrations"),
        (&["--sql", "notes.sql"], "notes.sql is there already"),
        (&["--out", "notes.json"], "notes.json is there already"),
    ];
    for (arguments, words) in refused {
        let files = ["migrations/0001_a.sql", "cutover.toml", "checks.sql", "notes.sql", "notes.json"];
        let before = files.map(read);
        says(&place.run(&[&["plan"], arguments].concat()).ends_with(2), &[words, "nothing was written"]);
        assert_eq!(files.map(read), before);
        assert!(!place.folder.join("migrations/0003_c.sql").exists());
    }
    place.run(&["plan", "--sql", "notes.sql", "--out", "notes.json", "--force"]).ends_with(0);
    place.run(&["plan", "--sql", "notes.sql", "--out", "notes.json"]).ends_with(0);
}

#[test]
fn what_only_a_run_does_is_not_handed_over() {
    let place = place();
    place.write(
        "cutover.toml",
        "[project]\nname = \"p\"\n[[migrations]]\npath = \"migrations\"\n[[stage]]\nid = \"1\"\ntitle = \"t\"\n\
         require_backup = true\n[[stage.migration]]\nversion = \"0002\"\n",
    );
    let refused = place.run(&["plan", "--sql", "plan.sql"]).ends_with(1);
    says(
        &refused,
        &[
            "migrations/0002_b.sql belongs to a stage that requires a backup",
            "only `cutover apply` does that",
        ],
    );
    assert!(!place.folder.join("plan.sql").exists());
    place.run(&["plan", "--to", "0001", "--sql", "plan.sql"]).ends_with(0);
}

/// What is written goes in the place of what is there as a whole: who has the old file open, or under another name, has it still.
#[test]
fn files_are_there_whole_or_as_they_were() {
    use std::os::unix::fs::MetadataExt as _;
    let place = place();
    place.run(&["apply", "--to", "0001"]).ends_with(0);
    for (name, arguments) in [
        ("plan.json", &["plan", "--out", "plan.json"][..]),
        ("graph.svg", &["graph", "--out", "graph.svg"]),
        ("report.json", &["report", "-o", "report.json"]),
    ] {
        place.run(arguments).ends_with(0);
        let (file, other) = (place.folder.join(name), place.folder.join("other").with_extension(name));
        std::fs::hard_link(&file, &other).unwrap();
        place.run(arguments).ends_with(0);
        let number = |path| std::fs::metadata(path).unwrap().ino();
        assert_ne!(number(&file), number(&other), "{arguments:?}");
    }
}
