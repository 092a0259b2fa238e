//! What is wrong is said early, all at once and with its place, by whichever command is asked first.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use common::{Place, outcome, says, with_session};

const CONFIG: &str = "[project]\nname = \"shop\"\n\n[[migrations]]\npath = \"migrations\"\n\n";

/// A check of a kind nobody knows, and files that cannot run.
fn wrong_everywhere(place: &Place, config: &str) {
    place.write(
        "cutover.toml",
        &format!("{CONFIG}{config}[[check]]\nname = \"x\"\nkind = \"no_row\"\nsql = \"SELECT 1\"\n"),
    );
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);\nCREATE TABEL b (n int);\n");
    place.write("migrations/0002_b.sql", "SELECT 1; \\echo hello\n");
}

#[test]
fn checks_and_files_are_read_by_every_command_that_plans() {
    let place = Place::new();
    wrong_everywhere(&place, "");
    let parts = [
        "3 problems",
        "cutover.toml:9:8: unknown kind of check \"no_row\"",
        "did you mean \"no_rows\"?",
        "migrations/0001_a.sql:2:8: syntax error",
        "migrations/0002_b.sql:1:11: psql command `\\echo hello`",
        "1 | SELECT 1; \\echo hello",
    ];
    for arguments in [&["plan"][..], &["plan", "--offline"], &["apply", "--dry-run"]] {
        let outcome = place.run(arguments).ends_with(2);
        says(&outcome, &parts);
        assert!(outcome.stdout.contains("2 of 2 migrations to apply"), "{}", outcome.stdout);
    }
    says(&place.run(&["apply"]).ends_with(2), &parts[1..]);
    let status = place.run(&["status"]).ends_with(0);
    assert!(status.stdout.contains("apply would refuse, for 3 reasons:"), "{}", status.stdout);
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
}

#[test]
fn a_configuration_that_cannot_be_read_does_not_hide_the_rest() {
    let place = Place::new();
    wrong_everywhere(&place, "[aply]\nlock_wait = \"1s\"\n");
    place.write("migrations/0002_c.sql", "SELECT 1;");
    for arguments in [&["plan"][..], &["plan", "--offline"], &["apply"], &["apply", "--dry-run"]] {
        let outcome = place.run(arguments).ends_with(2);
        says(
            &outcome,
            &[
                "5 problems in this project",
                "cutover.toml:7:2: unknown key \"aply\"",
                "unknown kind of check \"no_row\"",
                "migrations/0002_c.sql: the same version as migrations/0002_b.sql",
                "migrations/0001_a.sql:2:8: syntax error",
                "psql command",
            ],
        );
        assert_eq!(outcome.stdout, "");
    }
    says(&place.run(&["status"]).ends_with(2), &["unknown key \"aply\"", "unknown kind of check"]);
}

#[test]
fn preconditions_are_measured_before_the_run_where_that_can_be_done() {
    let place = Place::new();
    let check = |name: &str, table: &str, version: &str| {
        format!(
            "[[check]]\nname = \"{name}\"\nkind = \"no_rows\"\nbefore = \"{version}\"\nsql = \"SELECT n FROM {table} WHERE n < 0\"\n"
        )
    };
    let checks = check("no debts", "a", "0002") + &check("later", "b", "0003");
    place.write("cutover.toml", CONFIG);
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.run(&["apply"]).ends_with(0);
    place.write("cutover.toml", &format!("{CONFIG}{checks}"));
    place.write("migrations/0002_b.sql", "CREATE TABLE b (n int);");
    place.write("migrations/0003_c.sql", "CREATE TABLE c (n int);");
    let plan = place.run(&["plan"]).ends_with(0).stdout;
    for part in [
        "no debts",
        "holds now: no rows",
        "would be measured before 0003: it reads b, which 0002 creates first",
    ] {
        assert!(plan.contains(part), "{part}:\n{plan}");
    }
    place.database().run("INSERT INTO a VALUES (-1)");
    for arguments in [&["plan"][..], &["apply", "--dry-run"]] {
        let outcome = place.run(arguments).ends_with(1);
        says(
            &outcome,
            &[
                "migrations/0002_b.sql: what must hold before it does not",
                "no debts: expected no rows, found 1 row: n = -1",
            ],
        );
        assert!(outcome.stdout.contains("false now: 1 row: n = -1"), "{}", outcome.stdout);
    }
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["plan", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["preconditions"][0]["answers"][0]["verdict"], "false");
    assert_eq!(json["preconditions"][1]["answers"], serde_json::json!([]));
    assert_eq!(json["stops"].as_array().unwrap().len(), 1);
    // The run says it once.
    let apply = place.run(&["apply"]).ends_with(4);
    let said = apply.stdout + &apply.stderr;
    assert_eq!(said.matches("n = -1").count(), 1, "{said}");
    assert!(!said.contains("claim") && !said.contains("1 false"), "{said}");
}

#[test]
fn flags_that_mean_nothing_are_refused_or_warned_of() {
    let place = Place::without_database();
    place.write("migrations/0001_a.sql", "CREATE ROLE ${app_role};");
    let refused = place.run(&["apply", "--allow", "edited_migration"]).ends_with(2);
    says(&refused, &["did you mean edited-migration?", "lost-settings"]);
    let plan = ["plan", "--offline", "--var", "app_role=x"];
    assert_eq!(place.run(&plan).ends_with(0).stderr, "");
    let unused = place.run(&[&plan[..], &["--var", "aap_role=y", "--var", "other=z"]].concat()).ends_with(0);
    says(
        &unused,
        &[
            "warning: --var aap_role: no file has the placeholder ${aap_role}; did you mean app_role?",
            "warning: --var other: no file has the placeholder ${other}\n",
        ],
    );
}

#[test]
fn quiet_says_errors_alone() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/0002-b.sql", "SELECT 1;");
    let plan = ["plan", "--var", "other=z"];
    says(
        &place.run(&plan).ends_with(0),
        &["warning: migrations/0002-b.sql: left alone", "warning: --var other"],
    );
    assert_eq!(place.run(&[&plan[..], &["-q"]].concat()).ends_with(0).stderr, "");
    let apply = place.run(&["apply", "-q"]).ends_with(0);
    assert_eq!((apply.stdout.as_str(), apply.stderr.as_str()), ("", ""));
    place.write("migrations/0003_c.sql", "SELECT 1 / 0;");
    let failed = place.run(&["apply", "-q"]).ends_with(4);
    assert_eq!(failed.stdout, "");
    says(&failed, &["error: ", "migrations/0003_c.sql:1:"]);
    assert!(!failed.stderr.contains("left alone"), "{}", failed.stderr);
}

/// The session of a migration is the same whoever runs it.
#[test]
fn settings_of_the_operators_profile_are_not_heard() {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a AS SELECT current_setting('TimeZone') AS zone, '01/02/2026'::date AS day;",
    );
    place.database().run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database()); END $$");
    let in_a_profile = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("PGTZ", "America/New_York").env("PGDATESTYLE", "DMY").env("PGGEQO", "off");
        outcome(&command.output().unwrap()).ends_with(0)
    };
    let plan = in_a_profile(&["plan"]);
    assert_eq!(plan.stderr, "");
    for arguments in [&["plan", "-v"][..], &["config", "show"]] {
        says(
            &in_a_profile(arguments),
            &["PGTZ is not heard", "PGDATESTYLE is not heard", "PGGEQO is not heard"],
        );
    }
    in_a_profile(&["apply"]);
    assert_eq!(
        place.database().value("SELECT zone || ' ' || to_char(day, 'YYYY-MM-DD') FROM a"),
        "Asia/Tokyo 2026-01-02"
    );
}

#[test]
fn what_is_not_there_is_told_what_there_is() {
    let place = Place::new();
    let stages: Vec<String> =
        (1..=12).map(|n| format!("[[stage]]\nid = \"{n}.1\"\ntitle = \"t\"\n")).collect();
    let stages = stages.concat();
    let check = "[[check]]\nname = \"a fine one\"\nkind = \"no_rows\"\nsql = \"SELECT 1 LIMIT 0\"\n";
    place.write("cutover.toml", &format!("{CONFIG}{stages}{check}"));
    place.write("migrations/0001_a.sql", "SELECT 1;");
    let of_stage = place.run(&["plan", "--offline", "--to-stage", "99"]).ends_with(2);
    says(&of_stage, &["no stage has id \"99\"", "hint: there are: 1.1, 2.1, ", "10.1 … and 2 more"]);
    let alike = place.run(&["plan", "--offline", "--to-stage", "11-1"]).ends_with(2);
    says(&alike, &["(did you mean 11.1?)"]);
    let of_version = place.run(&["plan", "--offline", "--to", "7"]).ends_with(2);
    says(&of_version, &["no migration has version 7", "hint: there are: 0001\n"]);
    place.run(&["apply"]).ends_with(0);
    let of_check = place.run(&["verify", "a fin one"]).ends_with(2);
    says(
        &of_check,
        &[
            "there is no check named \"a fin one\"; did you mean \"a fine one\"?",
            "hint: there are: a fine one",
        ],
    );
    let of_kind = place.run(&["verify", "a fine one", "--kind", "scalar"]).ends_with(2);
    says(&of_kind, &["check \"a fine one\" is of kind no_rows, and only scalar is asked for"]);
    let none = place.run(&["verify", "--kind", "scalar"]).ends_with(2);
    says(&none, &["no check is of kind scalar", "hint: there are: a fine one (no_rows)"]);
    let of_text = place.run(&["status", "--show", "002"]).ends_with(2);
    says(&of_text, &["no migration of version 002 is applied", "applied or begun are: 0001"]);
}

#[test]
fn thousands_of_problems_are_counted() {
    let place = Place::without_database();
    for number in 1..=60 {
        place.write(&format!("migrations/{number:04}_a.sql"), "CREATE TABEL b (n int);\n");
    }
    let plan = place.run(&["plan", "--offline"]).ends_with(1);
    says(&plan, &["60 problems would stop a run", "0050_a.sql", "… and 10 more\n"]);
    assert!(!plan.stderr.contains("0051_a.sql"), "{}", plan.stderr);
    let json = place.run(&["plan", "--offline", "--format", "json"]);
    assert!(json.stdout.contains("0060_a.sql:1:8: syntax error"), "all of them are in the document");
}

/// Something is missing, whoever names it: the answer is no. What was asked is wrong: it must be asked otherwise.
#[test]
fn one_mistake_has_one_exit_code_whoever_finds_it() {
    let all = [&["plan"][..], &["apply", "--dry-run"], &["apply"]];
    let place = Place::new();
    place.write("migrations/0002_b.sql", "CREATE INDEX ON missing (n);");
    for arguments in all {
        says(&place.run(arguments).ends_with(1), &["needs ", "missing", "which does not exist"]);
    }
    place.write("migrations/0002_b.sql", "CREATE TABLE ${b} (n int);");
    for arguments in all {
        says(&place.run(arguments).ends_with(1), &["0002_b.sql:1:14: no value for the placeholder ${b}"]);
    }
    place.write("migrations/0002_b.sql", "SELECT 1; \0");
    for arguments in all {
        says(&place.run(arguments).ends_with(2), &["0002_b.sql: a NUL byte at byte offset 10"]);
    }
    place.write("migrations/0002_b.sql", "CREATE TABLE b (n int);");
    place.write("migrations/0003_c.sql", "CREATE TABLE c (n int);");
    let stage = "[[stage]]\nid = \"1\"\ntitle = \"One\"\n\n[[stage.migration]]\nversion = \"0002\"\ndeferred = true\n\n\
                 [[stage.migration]]\nversion = \"0003\"\nrequires = [\"0002\"]\n";
    place.write("cutover.toml", &format!("{CONFIG}{stage}"));
    for arguments in all {
        says(&place.run(arguments).ends_with(1), &["migrations/0003_c.sql requires migrations/0002_b.sql"]);
    }
    place.write("cutover.toml", CONFIG);
    for arguments in all {
        let asked = [arguments, &["--to", "0009"]].concat();
        says(&place.run(&asked).ends_with(2), &["no migration has version 0009"]);
    }
    place.run(&["apply"]).ends_with(0);
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    for arguments in all {
        says(&place.run(arguments).ends_with(1), &["migrations/0001_a.sql is pending below"]);
    }
    let stage = "[[stage]]\nid = \"1\"\ntitle = \"One\"\nrequire_backup = true\n\n[[stage.migration]]\nversion = \"0004\"\n";
    place.write("cutover.toml", &format!("{CONFIG}{stage}"));
    place.write("migrations/0004_d.sql", "CREATE TABLE d (n int);");
    std::fs::remove_file(place.folder.join("migrations/0001_a.sql")).unwrap();
    for arguments in &all[1..] {
        says(&place.run(arguments).ends_with(2), &["requires a backup", "--backup-dir"]);
    }
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NULL AND to_regclass('d') IS NULL"), "t");
}

/// Somebody else's history, and one that may be read but not written: the role is at fault, and nothing has begun.
#[test]
fn a_role_without_the_privileges_is_the_callers_to_change() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.run(&["apply"]).ends_with(0);
    place.write("migrations/0002_b.sql", "CREATE TABLE b (n int);");
    let someone = testkit::role("");
    let url = place.database().url_as(&someone);
    let ask = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        outcome(&command.env("CUTOVER_URL", &url).output().unwrap())
    };
    for verb in [&["status"][..], &["plan"], &["apply"], &["apply", "--dry-run"], &["report"], &["verify"]] {
        let parts = [
            "may not read the history in schema \"cutover\" (owner ",
            "hint: connect as the role that applied the earlier migrations",
            "GRANT USAGE ON SCHEMA cutover TO ",
        ];
        says(&ask(verb).ends_with(2), &parts);
    }
    place.database().run(&format!(
        "GRANT USAGE ON SCHEMA cutover TO {0}; GRANT SELECT ON ALL TABLES IN SCHEMA cutover TO {0}",
        someone.name
    ));
    ask(&["status"]).ends_with(0);
    let parts =
        ["ERROR: permission denied for table ", "hint: the connected role lacks a privilege; connect as"];
    says(&ask(&["apply"]).ends_with(2), &parts);
    place.database().run(&format!("DROP OWNED BY {}", someone.name));
}

/// Nothing has begun, so nothing was rolled back: the server's refusal of a question is no failed run.
#[test]
fn a_server_that_refuses_to_be_looked_at_is_no_failed_run() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.run(&["apply"]).ends_with(0);
    place.write("migrations/0002_b.sql", "CREATE TABLE b (n int);");
    let all = [
        &["status"][..],
        &["status", "--show", "0001"],
        &["plan"],
        &["apply"],
        &["apply", "--dry-run"],
        &["verify"],
        &["repair", "0002", "--mark", "done", "--yes"],
        &["baseline", "0002", "--yes"],
    ];
    let database = place.database();
    let name = database.name();
    with_session(&place, "the-holder", "BEGIN; LOCK TABLE cutover.migration", async |_| {
        for (setting, value, code, said) in [
            (
                "lock_timeout",
                "20ms",
                6,
                ["canceling statement due to lock timeout (55P03)", "hint: another session holds a lock"],
            ),
            (
                "statement_timeout",
                "100ms",
                2,
                [
                    "canceling statement due to statement timeout (57014)",
                    "hint: a timeout ended the statement",
                ],
            ),
        ] {
            database.run(&format!("ALTER DATABASE {name} SET {setting} = '{value}'"));
            for verb in all {
                let outcome = tokio::task::block_in_place(|| place.run(verb));
                says(&outcome.ends_with(code), &said);
            }
            database.run(&format!("ALTER DATABASE {name} RESET {setting}"));
        }
    });
    database.run("ALTER TABLE cutover.unit RENAME TO elsewhere");
    for verb in all {
        says(&place.run(verb).ends_with(1), &["ERROR: relation \"cutover.unit\" does not exist (42P01)"]);
    }
    database.run("ALTER TABLE cutover.elsewhere RENAME TO unit; UPDATE cutover.migration SET version = 'x'");
    for verb in all {
        says(&place.run(verb).ends_with(1), &["the history is not as expected: version \"x\""]);
    }
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL"), "t");
}

/// The run is over and recorded; that its answers are not is no failure of it, and they are shown all the same.
#[test]
fn answers_that_cannot_be_recorded_are_shown() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    let check = "[[check]]\nname = \"x\"\nkind = \"no_rows\"\nsql = \"SELECT FROM a\"\n";
    place.write("cutover.toml", &format!("{CONFIG}{check}"));
    place.run(&["apply"]).ends_with(0);
    place.database().run(
        "ALTER TABLE cutover.event ADD CONSTRAINT no_answers CHECK (event::text NOT LIKE '%SELECT FROM a%') NOT VALID",
    );
    place.write("migrations/0002_b.sql", "ALTER TABLE a ADD m int;");
    for arguments in [&["apply", "--verify"][..], &["verify"]] {
        let outcome = place.run(arguments).ends_with(0);
        says(
            &outcome,
            &["not recorded: ERROR: new row for relation \"event\" violates check constraint \"no_answers\""],
        );
        assert!(outcome.stdout.contains("no rows"), "{}", outcome.stdout);
    }
    assert_eq!(place.database().value("SELECT count(*) FROM cutover.migration"), "2");
}

/// What is asked for by name and cannot be answered is no success.
#[test]
fn a_precondition_is_not_measured_by_its_name() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/0002_b.sql", "ALTER TABLE a ALTER n SET NOT NULL;");
    let check = "[[check]]\nname = \"no NULL\"\nkind = \"no_rows\"\nbefore = \"0002\"\nsql = \"SELECT FROM a WHERE n IS NULL\"\n";
    place.write("cutover.toml", &format!("{CONFIG}{check}"));
    place.run(&["apply"]).ends_with(0);
    let parts =
        ["check \"no NULL\" is a precondition of migrations/0002_b.sql", "hint: `cutover plan` measures it"];
    says(&place.run(&["verify", "no NULL"]).ends_with(2), &parts);
    // There is a check, though nothing to measure now: it is not said that there is none.
    says(&place.run(&["verify"]).ends_with(0), &["nothing here is to be measured now: ", "no precondition"]);
}

/// A stage without checks is no mistake, and no success in silence either.
#[test]
fn a_stage_without_checks_says_so() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    let stages = "[[stage]]\nid = \"1\"\ntitle = \"One\"\n[[stage]]\nid = \"2\"\ntitle = \"Two\"\n\
                  [[check]]\nname = \"x\"\nkind = \"no_rows\"\nstage = \"2\"\nsql = \"SELECT FROM a\"\n";
    place.write("cutover.toml", &format!("{CONFIG}{stages}"));
    place.run(&["apply"]).ends_with(0);
    let first = place.run(&["verify", "--stage", "1"]).ends_with(0);
    says(&first, &["up to stage 1 nothing is to be measured: ", "whose stage is reached"]);
    let kind = place.run(&["verify", "--stage", "1", "--kind", "no_rows"]).ends_with(0);
    says(&kind, &["up to stage 1 nothing of kind no_rows is to be measured: "]);
    let second = place.run(&["verify", "--stage", "2"]).ends_with(0);
    assert!(second.stdout.contains("no rows") && !second.stderr.contains("nothing"), "{}", second.stdout);
}

/// It stops the run before it begins, as any other check that is written wrong; unless the server is to decide.
#[test]
fn a_check_that_does_not_parse_stops_the_run_before_it_begins() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    let check = |name: &str, more: &str| {
        format!("[[check]]\nname = \"{name}\"\nkind = \"no_rows\"\nsql = \"SELEC 1\"\n{more}")
    };
    let checks = check("x", "") + &check("y", "before = \"0001\"\n");
    place.write("cutover.toml", &format!("{CONFIG}{checks}"));
    let (first, second) = (
        "cutover.toml:10:7: syntax error at or near \"SELEC\"",
        "cutover.toml:14:7: syntax error at or near \"SELEC\"",
    );
    let hint = "`apply --allow unparsed` leaves the verdict to the server";
    for arguments in [&["apply", "--dry-run"][..], &["apply"], &["plan"], &["plan", "--offline"]] {
        let outcome = place.run(arguments).ends_with(2);
        says(&outcome, &[first, hint, second, hint]);
        assert_eq!(outcome.stderr.matches("SELEC 1").count(), 2, "{}", outcome.stderr);
    }
    assert!(place.run(&["status"]).ends_with(0).stdout.contains("apply would refuse, for 2 reasons"));
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    // Beside something else that is wrong, it is named too.
    place.write("cutover.toml", &format!("{CONFIG}{checks}[aply]\n"));
    says(&place.run(&["apply"]).ends_with(2), &["3 problems", first, second, "unknown key \"aply\""]);
    place.write("cutover.toml", &format!("{CONFIG}{}", check("x", "")));
    for arguments in [&["apply", "--dry-run"][..], &["apply"]] {
        let outcome = place.run(&[arguments, &["--allow", "unparsed"]].concat()).ends_with(0);
        says(&outcome, &[&format!("warning: {first}")]);
        assert_eq!(outcome.stderr.matches("warning: ").count(), 1, "{}", outcome.stderr);
    }
    // `verify` asks the server, whose answer it is that counts.
    let verify = place.run(&["verify"]).ends_with(1);
    assert!(verify.stdout.contains("42601"), "{}", verify.stdout);
}

/// Another tool's table that cannot be asked is no leave to run its files once more.
#[test]
fn a_table_of_another_tool_that_cannot_be_asked_stops_the_first_run() {
    let place = Place::new();
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;");
    place.write("migrations/2_b.up.sql", "CREATE TABLE b (n int);");
    place.write("migrations/2_b.down.sql", "DROP TABLE b;");
    let (database, role) = (place.database(), testkit::role(""));
    database.give_to(&role);
    database.run(
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean);
         INSERT INTO schema_migrations VALUES (1, false);
         CREATE SCHEMA other; CREATE TABLE other.schema_migrations (LIKE schema_migrations INCLUDING ALL)",
    );
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        outcome(&command.env("CUTOVER_URL", database.url_as(&role)).output().unwrap())
    };
    let unknown = "another tool may have applied here what is pending, which cannot be found out: ";
    for (made, why) in [
        ("SELECT 1", "there are tables of several tools here: other.schema_migrations of golang-migrate"),
        ("DROP SCHEMA other CASCADE", "may not read public.schema_migrations"),
        (
            &format!(
                "GRANT SELECT ON schema_migrations TO {}; ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY",
                role.name
            ),
            "schema_migrations",
        ),
    ] {
        database.run(made);
        for verb in ["plan", "apply"] {
            says(&run(&[verb]).ends_with(1), &[unknown, why, "hint: `cutover adopt`", "--allow not-adopted"]);
        }
    }
    run(&["apply", "--allow", "not-adopted"]).ends_with(0);
    // Behind the first run nobody is asked any more.
    place.write("migrations/3_c.up.sql", "CREATE TABLE c (n int);");
    run(&["apply"]).ends_with(0);
    // Nor where the table is of a tool with other files.
    let elsewhere = Place::new();
    elsewhere.write("migrations/V1__a.sql", "CREATE TABLE f (n int);");
    let mut command = elsewhere.command(&["apply"]);
    outcome(&command.env("CUTOVER_URL", database.url_as(&role)).output().unwrap()).ends_with(0);
}
