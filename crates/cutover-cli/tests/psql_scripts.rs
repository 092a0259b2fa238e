//! What whoever runs a script of `plan --sql` is told: the command to run it with, and how far it is.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::Place;

/// A file that is one transaction, and one of two parts.
fn place() -> Place {
    let place = Place::new();
    place.write("migrations/0001_it's a.sql", "CREATE TABLE a (n int);\nCOPY a FROM stdin;\n1\n\\.\n");
    place.write(
        "migrations/0002_b.sql",
        "CREATE TABLE b (n int);\n-- cutover: new-transaction\nCREATE INDEX CONCURRENTLY b_n ON b (n);",
    );
    // What it does to its session must not be seen in what is told.
    place.write(
        "migrations/0003_c.sql",
        "CREATE TABLE c (n int);\nSET DateStyle = 'German';\nSET search_path = pg_temp;\nSET extra_float_digits = -15;\n\
         SELECT n AS found FROM public.a WHERE n > 1;",
    );
    place
}

/// The command that `plan` suggests, run as somebody who has psql and a password.
fn run_as_told(place: &Place, psql: &Path) -> Output {
    let planned = place.run(&["plan", "--sql", "the plan.sql"]).ends_with(0).stdout;
    let (_, command) = planned.trim_end().rsplit_once("; to run it: ").unwrap();
    assert!(command.starts_with("psql --no-psqlrc --file 'the plan.sql' "), "{command}");
    let options = place.database().options();
    let password = options.hosts[0].password.as_ref().map(|password| password.reveal().to_owned());
    let script = std::fs::read_to_string(place.folder.join("the plan.sql")).unwrap();
    if let Some(password) = &password {
        assert!(!command.contains(password) && !script.contains(password), "{command}");
    }
    let (_, to) = command.split_once("'the plan.sql' ").unwrap();
    // Files of a home folder are this machine's alone.
    let elsewhere = match to.split_once(" sslrootcert=") {
        Some((elsewhere, _)) => format!("{elsewhere}'"),
        None => to.to_owned(),
    };
    assert!(
        script.contains(&format!("\n--   psql --no-psqlrc --file THIS-FILE {elsewhere}\n-- It stops")),
        "{command}"
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env_clear().env("HOME", &place.folder).current_dir(&place.folder);
    shell.env("PGPASSWORD", password.unwrap_or_default());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(psql.parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
    shell.env("PATH", std::env::join_paths(folders).unwrap()).output().unwrap()
}

/// Times as stars.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.strip_suffix(" s").and_then(|line| line.rsplit_once(' ')) {
        Some((words, took)) => {
            let took: f64 = took.parse().unwrap();
            assert!((0.0..60.0).contains(&took), "{line}");
            format!("{words} * s\n")
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Nothing but this, whichever psql it is and whichever server.
#[test]
fn every_psql_says_how_far_it_is_and_nothing_else() {
    for (major, psql) in testkit::psqls() {
        let place = place();
        let name = place.database().name();
        place.write(
            "cutover.toml",
            "[project]\nname = '''it's: `:\"1\\\"'''\n[[migrations]]\npath = \"migrations\"\n",
        );
        let ran = run_as_told(&place, &psql);
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let failed = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "psql {major}: {failed}");
        assert_eq!(failed, "", "psql {major}");
        // The one query of the files: psql shows what it gives.
        let (before, after) = said.split_once(" found \n").unwrap();
        let (rows, after) = after.split_once("\n\n").unwrap();
        assert!(rows.ends_with("(0 rows)"), "{rows}");
        let expected = format!(
            "it's: `:\"1\\\": 3 migrations to apply on database {name}\n\
             1/3 migrations/0001_it's a.sql\n  2 statements in * s\n\
             2/3 migrations/0002_b.sql\n  part 1 of 2, 1 statement, in * s\n  \
             part 2 of 2, CREATE INDEX CONCURRENTLY, in * s\n  2 statements in * s\n\
             3/3 migrations/0003_c.sql\n  5 statements in * s\n\
             done: 3 migrations applied in * s\n"
        );
        assert_eq!(without_times(&format!("{before}{after}")), expected, "psql {major}");
        let state = "SELECT count(*) = 3 AND (SELECT count(*) = 1 FROM a) FROM cutover.migration";
        assert_eq!(place.database().value(state), "t");
        assert_eq!(place.database().value("SELECT outcome FROM cutover.run"), "completed");
    }
}

/// What a report of it says of times: all parts of a file count, and the whole is no shorter than its parts.
#[test]
fn a_run_of_a_script_takes_as_long_as_its_parts() {
    let place = Place::new();
    let nap = "SELECT pg_sleep(0.1);";
    // It leaves a setting behind by which numbers lose their digits.
    place.write("migrations/0001_a.sql", &format!("SET extra_float_digits = -15;\n{nap}\n"));
    place.write(
        "migrations/0002_b.sql",
        &format!("{nap}\n-- cutover: new-transaction\n{nap}\n-- cutover: new-transaction\nSELECT 1;\n"),
    );
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    let (_, psql) = testkit::psqls().pop().unwrap();
    let mut script = Command::new(psql);
    script.args(["--no-psqlrc", "--quiet", "--file", "plan.sql", "--dbname", &place.database().url()]);
    let ran = script.current_dir(&place.folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let took = |what: &str| -> f64 {
        let asked = place.database().value(&format!("SELECT {what} FROM cutover.migration"));
        asked.parse().unwrap()
    };
    assert!(took("min(took) FILTER (WHERE version_text = '0001')") >= 0.1);
    assert!(took("min(took) FILTER (WHERE version_text = '0002')") >= 0.2, "all of its parts");
    assert!(took("max(took)") < 60.0 && took("max(began_after)") < 60.0 && took("min(began_after)") >= 0.0);
    // The second begins when the first has ended.
    assert!(took("max(began_after) - min(took)") > -0.001);
    let run: serde_json::Value =
        serde_json::from_str(&place.run(&["report", "--format", "json"]).ends_with(0).stdout).unwrap();
    let ends = run["events"].as_array().unwrap().iter().filter_map(|event| event["elapsed"].as_f64());
    let whole = ends.fold(0.0, f64::max);
    assert!(whole + 0.001 >= took("sum(took)"), "{run}");
}

/// The command that stands in a script is for another machine; the one that is said is for this one.
#[test]
fn a_script_names_no_file_of_this_machine() {
    let place = place();
    let url = place.database().url();
    let join = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{join}sslmode=prefer&sslcrl=/of/mine/crl&sslrootcert=/of/mine/root");
    let mut planned = place.command(&["plan", "--sql", "plan.sql"]);
    let said = common::outcome(&planned.env("CUTOVER_URL", url).output().unwrap()).ends_with(0).stdout;
    assert!(said.contains("sslrootcert=/of/mine/root") && said.contains("sslcrl=/of/mine/crl"), "{said}");
    let script = std::fs::read_to_string(place.folder.join("plan.sql")).unwrap();
    assert!(!script.contains("/of/mine"), "{script}");
    let line = "\n-- adding sslrootcert, sslcrl as your machine has them.\n-- It stops";
    assert!(script.contains(line), "{script}");
}
