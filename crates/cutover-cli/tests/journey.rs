//! A project's way from an empty folder to a migrated, verified, reported database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use common::{Place, is_documented};

const ORDERS: &str =
    "CREATE TABLE orders (id bigint PRIMARY KEY, note text);\nCREATE INDEX orders_note ON orders (note);\n";

/// A project with one migration, a claim of it and a check.
fn project(place: &Place, migration: &str) {
    place.run(&["init", "--name", "shop"]).ends_with(0);
    let made = place.run(&["new", "create orders"]).ends_with(0);
    place.write(made.stdout.trim(), migration);
    let config = std::fs::read_to_string(place.folder.join("cutover.toml")).unwrap();
    let version = made.stdout.trim().trim_start_matches("migrations/").split('_').next().unwrap();
    let stage = format!(
        "\n[[stage]]\nid = \"1\"\ntitle = \"Orders\"\nkind = \"sprint\"\n\n[[stage.migration]]\nversion = \"{}\"\n\
         creates = [\"table orders\"]\n\n[[check]]\nname = \"every claim\"\nkind = \"claims\"\n\n\
         [[check]]\nname = \"no order without a note\"\nkind = \"no_rows\"\nsql = \"SELECT id FROM orders WHERE note IS NULL\"\n",
        version.trim_start_matches('V')
    );
    place.write("cutover.toml", &(config + &stage));
}

#[test]
fn from_an_empty_folder_to_a_report() {
    let place = Place::new();
    project(&place, ORDERS);

    let status = place.run(&["status", "--exit-code"]).ends_with(1);
    assert!(status.stdout.contains("1 pending"), "{}", status.stdout);
    let plan = place.run(&["plan"]).ends_with(0);
    assert!(
        plan.stdout.contains("sprint 1  Orders") && plan.stdout.contains("table orders"),
        "{}",
        plan.stdout
    );

    let apply = place.run(&["apply", "--verify"]).ends_with(0);
    assert!(apply.stdout.contains("s, verified in "), "{}", apply.stdout);
    assert!(apply.stdout.contains("create_orders") && apply.stdout.contains("1 applied"), "{}", apply.stdout);
    assert_eq!(apply.stderr, "");
    let again = place.run(&["apply"]).ends_with(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    let status = place.run(&["status", "--exit-code"]).ends_with(0);
    assert!(status.stdout.contains("1 applied"), "{}", status.stdout);

    let verify = place.run(&["verify"]).ends_with(0);
    assert!(
        verify.stdout.contains("✓ no order without a note") && verify.stdout.contains("checks: "),
        "{}",
        verify.stdout
    );
    place.database().run("INSERT INTO orders VALUES (7, NULL)");
    let verify = place.run(&["verify", "--kind", "no_rows"]).ends_with(1);
    assert!(verify.stdout.contains("false: no order without a note"), "{}", verify.stdout);
    assert!(verify.stderr.contains("1 of 1 check does not hold"), "{}", verify.stderr);

    let id =
        place.run(&["report", "--list"]).ends_with(0).stdout.split_whitespace().next().unwrap().to_owned();
    let report = place.run(&["report", "--run", &id]).ends_with(0);
    assert!(
        report.stdout.contains("create_orders") && report.stdout.contains("every claim"),
        "{}",
        report.stdout
    );
    assert!(place.run(&["report", "--format", "markdown"]).ends_with(0).stdout.starts_with('#'));
    place.run(&["report", "--format", "html", "-o", "report.html"]).ends_with(0);
    let page = std::fs::read_to_string(place.folder.join("report.html")).unwrap();
    assert!(page.contains("create_orders") && page.contains("</html>"));
}

#[test]
fn json_is_one_versioned_document_a_line_and_nothing_else() {
    let place = Place::new();
    project(&place, ORDERS);
    let documents = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let outcome = place.run(arguments).ends_with(0);
        assert_eq!(outcome.stderr, "", "{arguments:?}");
        let documents: Vec<_> =
            outcome.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert!(
            documents.iter().all(|document: &serde_json::Value| document["format_version"] == 1),
            "{arguments:?}"
        );
        documents
    };
    assert_eq!(documents(&["plan", "--format", "json"])[0]["steps"][0]["state"]["state"], "pending");
    let events = documents(&["apply", "--verify", "--format", "json"]);
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"run_started"));
    for name in ["step_started", "step_finished", "run_finished", "check_done"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(documents(&["status", "--format", "json"])[0]["counts"]["applied"], 1);
    let run = documents(&["report", "--format", "json"]).remove(0);
    assert_eq!(run["outcome"], "completed");
    assert!(run["events"].as_array().unwrap().iter().any(|event| event["event"] == "check_done"));
    assert_eq!(documents(&["report", "--list", "--format", "json"])[0]["runs"][0]["id"], run["id"]);
    for (heading, arguments, nested) in [
        ("status", &["status"][..], Some("migrations")),
        ("report --list", &["report", "--list"], Some("runs")),
        ("config show", &["config", "show"], Some("settings")),
        ("new", &["new", "more"], None),
    ] {
        let document = documents(&[arguments, &["--format", "json"]].concat()).remove(0);
        is_documented(heading, &document, nested);
    }
    let empty = Place::without_database();
    let made = empty.run(&["init", "--format", "json"]).ends_with(0);
    is_documented("init", &serde_json::from_str(&made.stdout).unwrap(), None);
}

#[test]
fn a_project_of_another_tool_is_shown_with_its_ways_back() {
    let place = Place::new();
    place.write("sql/V1__t.sql", "CREATE TABLE t (n int);\n");
    place.write("sql/U1__t.sql", "DROP TABLE t;\n");
    place.write("sql/R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT n FROM t;\n");
    place.run(&["apply"]).ends_with(0);
    let status = place.run(&["status", "--format", "json"]).ends_with(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let lines = &status["migrations"];
    assert_eq!(lines[0]["down"]["path"], "sql/U1__t.sql");
    assert_eq!((&lines[1]["kind"], &lines[1]["state"]), (&"repeatable".into(), &"applied".into()));
    assert_eq!(
        place.run(&["status", "--show", "R__v"]).ends_with(0).stdout,
        "CREATE OR REPLACE VIEW v AS SELECT n FROM t;\n"
    );
    place.run(&["verify"]);
    assert!(place.run(&["report", "--format", "markdown"]).ends_with(0).stdout.contains("R__v"));
}

#[test]
fn a_dry_run_touches_nothing_and_names_what_is_missing() {
    let place = Place::new();
    project(&place, ORDERS);
    let before = testkit::catalogue_dump(&place.database().options(), &[]);
    let outcome = place.run(&["apply", "--dry-run"]).ends_with(0);
    assert!(outcome.stdout.contains("1 migration would be applied"), "{}", outcome.stdout);
    place.write("migrations/0900_needs.sql", "ALTER TABLE nowhere ADD COLUMN a int;\n");
    let outcome = place.run(&["apply", "--dry-run"]).ends_with(1);
    assert!(outcome.stderr.contains("nowhere"), "{}", outcome.stderr);
    assert_eq!(before, testkit::catalogue_dump(&place.database().options(), &[]));
}

#[test]
fn an_edited_file_is_shown_with_a_diff() {
    let place = Place::new();
    project(&place, ORDERS);
    place.run(&["apply"]).ends_with(0);
    let file = place.run(&["status", "-v"]).ends_with(0).stdout;
    let path = file.split_whitespace().find(|word| word.starts_with("migrations/")).unwrap().to_owned();
    place.write(&path, &ORDERS.replace("note text", "note varchar"));
    let status = place.run(&["status", "--exit-code"]).ends_with(1);
    for line in [
        "-CREATE TABLE orders (id bigint PRIMARY KEY, note text);",
        "+CREATE TABLE orders (id bigint PRIMARY KEY, note varchar);",
    ] {
        assert!(status.stdout.contains(line), "{}", status.stdout);
    }
    let apply = place.run(&["apply"]).ends_with(1);
    assert!(
        apply.stderr.starts_with("error: ") && apply.stderr.contains("was changed after it was applied"),
        "{}",
        apply.stderr
    );
    place.run(&["apply", "--allow", "edited-migration"]).ends_with(0);
}

#[test]
fn a_demo_ends_with_a_report() {
    let place = Place::without_database();
    let system = concat!(env!("CARGO_MANIFEST_DIR"), "/../../systems/bitstockerz");
    let outcome = place.run(&["demo", "-C", system, "-o", "report.html"]).ends_with(0);
    for text in ["sprint 0.1", "create_users", "Verification", "Report: report.html"] {
        assert!(outcome.stdout.contains(text), "{text}:\n{}", outcome.stdout);
    }
    assert!(place.folder.join("report.html").is_file());
}

#[test]
fn later_answers_are_added_to_the_newest_run_and_do_not_lengthen_it() {
    let place = Place::new();
    project(&place, ORDERS);
    let early = place.run(&["verify"]);
    assert!(early.stderr.contains("not recorded: no run of project shop"), "{}", early.stderr);
    place.run(&["apply"]).ends_with(0);
    let document = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&place.run(arguments).ends_with(0).stdout).unwrap()
    };
    let checks = |run: &serde_json::Value| {
        run["events"].as_array().unwrap().iter().filter(|event| event["event"] == "check_done").count()
    };
    let report = ["report", "--format", "json"];
    assert_eq!(checks(&document(&report)), 0);
    place.run(&["verify", "--no-record"]).ends_with(0);
    assert_eq!(checks(&document(&report)), 0);
    let verify = place.run(&["verify"]).ends_with(0);
    assert!(verify.stdout.contains("recorded with run "), "{}", verify.stdout);
    let once = checks(&document(&report));
    assert!(once > 1);
    // Nothing is left to apply: what `apply --verify` measures belongs to the run before.
    place.run(&["apply", "--verify"]).ends_with(0);
    assert_eq!(checks(&document(&report)), 2 * once);

    // As if the second verification had been a day later.
    place.database().run(
        "UPDATE cutover.event SET event = jsonb_set(event, '{elapsed}', '86400') \
         WHERE seq > (SELECT max(seq) FROM cutover.event WHERE event ->> 'event' = 'verification_started') - 1",
    );
    let text = place.run(&["report"]).ends_with(0).stdout;
    let ended = text.lines().find(|line| line.starts_with("Completed in ")).unwrap();
    assert!(ended.contains(" ms: ") || ended.contains(" s: "), "{ended}");
    assert_eq!(text.lines().filter(|line| line.starts_with("verified 2")).count(), 2, "{text}");
    assert_eq!(text.matches("no order without a note").count(), 1, "{text}");
}

#[test]
fn status_shows_what_there_is_where_apply_would_refuse() {
    let place = Place::new();
    project(&place, ORDERS);
    let config = std::fs::read_to_string(place.folder.join("cutover.toml")).unwrap();
    let more = "\n[[stage]]\nid = \"2\"\ntitle = \"Nothing yet\"\nkind = \"sprint\"\n\n[[stage]]\nid = \"3\"\n\
                title = \"Later\"\nkind = \"sprint\"\n\n[[stage.migration]]\nversion = \"0900\"\ndeferred = true\n\n\
                [[stage.migration]]\nversion = \"0910\"\nrequires = [\"0900\"]\n";
    let (stages, checks) = config.split_once("[[check]]").unwrap();
    place.write("cutover.toml", &format!("{stages}{more}\n[[check]]{checks}"));
    place.write("migrations/0900_a.sql", "CREATE TABLE a ();");
    place.write("migrations/0910_b.sql", "CREATE TABLE b ();");
    let status = place.run(&["status"]).ends_with(0);
    for text in
        ["2 pending, 1 deferred", "apply would refuse: migrations/0910_b.sql requires migrations/0900_a.sql"]
    {
        assert!(status.stdout.contains(text), "{}", status.stdout);
    }
    place.run(&["apply"]).ends_with(1);

    let said = "note: sprint 2 (Nothing yet) has no migrations of its own\n";
    let apply = place.run(&["apply", "--to-stage", "2"]).ends_with(0);
    assert!(apply.stdout.starts_with(said) && apply.stdout.contains("1 applied"), "{}", apply.stdout);
    let again = place.run(&["apply", "--to-stage", "2"]).ends_with(0);
    assert!(again.stdout.starts_with(said) && again.stdout.contains("Nothing to do"), "{}", again.stdout);
}

#[test]
fn the_applied_text_of_a_deleted_file_is_printed_as_it_was() {
    let place = Place::new();
    let text = "-- ü\nCREATE TABLE a (t text DEFAULT '${v}');\n\n";
    place.write("cutover.toml", "[project]\nname = \"p\"\n[vars]\nv = \"secret\"\n");
    place.write("migrations/0005_a.sql", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    place.run(&["apply"]).ends_with(0);
    std::fs::remove_file(place.folder.join("migrations/0005_a.sql")).unwrap();
    place.write("migrations/0006_b.sql", "CREATE TABLE b ();\n-- cutover: new-transaction\nSELECT 1 / 0;\n");
    let apply = place.run(&["apply"]).ends_with(1);
    assert!(apply.stderr.contains("`cutover status --show 0005` prints its text"), "{}", apply.stderr);
    for name in ["0005", "5", "0005_a.sql", "migrations/0005_a.sql", "migrations/5"] {
        let shown = place.run(&["status", "--show", name]).ends_with(0);
        assert_eq!((shown.stdout.as_str(), shown.stderr.as_str()), (text, ""), "{name}");
    }
    let json = place.run(&["status", "--show", "5", "--format", "json"]).ends_with(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["text"], &json["unfinished"]), (&text.into(), &false.into()));
    let unknown = place.run(&["status", "--show", "6"]).ends_with(2);
    assert!(unknown.stderr.contains("no migration of version 6 is applied or begun"), "{}", unknown.stderr);
    place.write("migrations/0005_a.sql", text);
    let apply = place.run(&["apply"]).ends_with(4);
    assert!(apply.stderr.contains("1 of 2 parts of migrations/0006_b.sql is applied"), "{}", apply.stderr);
    let begun = place.run(&["status", "--show", "6"]).ends_with(0);
    assert!(begun.stdout.ends_with("SELECT 1 / 0;\n"), "{}", begun.stdout);

    // What is done of it, what remains, and what is outside a transaction.
    place.write(
        "migrations/0007_c.sql",
        "CREATE TABLE c (n int);\nCREATE INDEX CONCURRENTLY c_n\n  ON c (n);\n",
    );
    for command in ["status", "plan"] {
        let said = place.run(&[command]).ends_with(0).stdout;
        for line in [
            "part 1 (line 1): a transaction of 1 statement – done\n",
            "part 2 (line 3): a transaction of 1 statement\n",
            "part 2 (lines 2–3): outside a transaction: CREATE INDEX CONCURRENTLY\n",
        ] {
            assert!(said.contains(line), "{command}: {line:?} is not in\n{said}");
        }
    }
    let status = place.run(&["status"]).ends_with(0).stdout;
    assert!(status.contains("migrations/0006_b.sql  begun: 1 of 2 parts done\n"), "{status}");
}

#[test]
fn a_renumbered_file_is_named_and_accepted_by_its_code() {
    let place = Place::new();
    place.write("cutover.toml", "[project]\nname = \"p\"\n");
    place.write("migrations/0005_a.sql", "CREATE TABLE a ();\n");
    place.run(&["apply"]).ends_with(0);
    std::fs::rename(place.folder.join("migrations/0005_a.sql"), place.folder.join("migrations/0007_a.sql"))
        .unwrap();
    let status = place.run(&["status", "--exit-code"]).ends_with(1).stdout;
    assert!(status.contains("1 applied") && status.contains("under another number"), "{status}");
    let plan = place.run(&["plan"]).ends_with(1);
    assert!(plan.stdout.contains("none of 1 migration to apply"), "{}", plan.stdout);
    assert!(plan.stderr.contains("--allow renumbered-migration"), "{}", plan.stderr);
    place.run(&["apply"]).ends_with(1);
    place.run(&["apply", "--dry-run", "--allow", "renumbered-migration"]).ends_with(0);
    let apply = place.run(&["apply", "--allow", "renumbered-migration"]).ends_with(0);
    assert!(
        apply.stdout.contains("was 0005 (migrations/0005_a.sql): the history follows its file"),
        "{}",
        apply.stdout
    );
    place.run(&["status", "--exit-code"]).ends_with(0);
    assert_eq!(place.run(&["status", "--show", "7"]).ends_with(0).stdout, "CREATE TABLE a ();\n");
}

#[test]
fn the_name_of_a_report_says_its_form() {
    let place = Place::new();
    project(&place, "CREATE TABLE a (n int);");
    place.run(&["apply"]).ends_with(0);
    let read = |file: &str| std::fs::read_to_string(place.folder.join(file)).unwrap();
    for (file, begins) in [
        ("r.html", "<!DOCTYPE html>"),
        ("r.md", "# Migration report: "),
        ("r.json", "{\"format_version\":"),
        ("r.txt", "shop "),
    ] {
        place.run(&["report", "-o", file]).ends_with(0);
        assert!(read(file).starts_with(begins), "{file}: {}", read(file));
    }
    place.write("migrations/0009-x.sql", "");
    assert!(place.run(&["status"]).ends_with(0).stderr.contains("left alone"));
    assert_eq!(
        place.run(&["report", "--list"]).ends_with(0).stderr,
        "",
        "a record is no place for remarks on files"
    );
    place.run(&["report", "--format", "text", "-o", "r.html"]).ends_with(0);
    assert!(read("r.html").starts_with("shop "), "what is asked for goes before the name");
}

/// Without a title of its own a stage is called by its id, once.
#[test]
fn a_stage_without_a_title_is_named_once() {
    let place = Place::new();
    project(&place, "CREATE TABLE a (n int);");
    let config = std::fs::read_to_string(place.folder.join("cutover.toml")).unwrap();
    place.write("cutover.toml", &format!("{config}\n[[stage]]\nid = \"w1\"\nkind = \"week\"\n"));
    for verb in [&["plan"][..], &["status"], &["apply", "--to-stage", "w1"]] {
        let said = place.run(verb).ends_with(0).stdout;
        assert!(said.contains("week w1"), "{said}");
        assert_eq!(said.matches("w1").count(), said.matches("week w1").count(), "{said}");
    }
}
