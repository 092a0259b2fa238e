use std::time::Duration;

use expect_test::expect;
use proptest::prelude::*;

use super::super::config::{Override, Table};
use super::super::{Origin, Overrides, Project, When};
use super::{error, folder, load, versions};

const FILES: [(&str, &str); 3] = [
    ("migrations/0001_users.sql", "CREATE TABLE users ();"),
    ("migrations/0002_jobs.sql", "CREATE TABLE jobs ();"),
    ("ddl/core.sql", "CREATE TABLE users ();"),
];

fn with(config: &str) -> Vec<(&str, &str)> {
    let mut files = FILES.to_vec();
    files.push(("cutover.toml", config));
    files
}

const WHOLE: &str = r#"
[project]
name = "shop"
[database]
url = "postgresql://localhost/app"
[apply]
lock_timeout = "500ms"
lock_wait = "5min"
statement_timeout = "1h"
durable_each = true
[[migrations]]
path = "migrations"
convention = "numbered"
[vars]
app_role = "app"
[design]
ddl = ["ddl/*.sql"]
[[stage]]
id = "0.1"
title = "Core"
kind = "sprint"
notes = ["first"]
uses = ["users"]
require_backup = true
[[stage.migration]]
version = "1"
creates = ["table users"]
source = "ddl/core.sql"
task = "Users"
[[stage]]
id = "0.2"
[[stage.migration]]
version = "0002_jobs.sql"
alters = "table users"
deferred = true
requires = ["0001"]
[[job]]
name = "tick"
kind = "sql"
schedule = "5 seconds"
command = "SELECT tick()"
time_zone = "Europe/Berlin"
missed = "one"
timeout = "30s"
retries = 3
enabled = false
[[api.replaces]]
old = "old_join(uuid)"
new = "queue_join(uuid, jsonb)"
note = "Preferences are an argument."
[[check]]
name = "no users"
kind = "empty"
stage = "0.1"
before = "0002"
table = "users"
[checks]
sql = "ddl/core.sql"
"#;

#[test]
fn a_whole_file_is_read() {
    let folder = folder(&with(WHOLE));
    let project = load(&folder).unwrap();
    assert_eq!(project.name, "shop");
    assert_eq!(project.apply.lock_timeout, Duration::from_millis(500));
    assert_eq!(project.apply.lock_wait, Duration::from_secs(300));
    assert_eq!(project.apply.statement_timeout, Duration::from_secs(3600));
    assert!(project.apply.durable_each);
    assert_eq!(project.database.url.as_deref(), Some("postgresql://localhost/app"));
    assert_eq!(project.database.url_origin.as_ref().unwrap().to_string(), "cutover.toml:5");
    assert_eq!(project.vars.get("app_role"), Some("app"));
    let ddl: Vec<String> = project.design.ddl.iter().map(|path| project.display_path(path)).collect();
    assert_eq!(ddl, ["ddl/core.sql"]);
    assert_eq!(project.check_files, project.design.ddl);
    assert_eq!(versions(&project), ["0001", "0002"]);

    let [core, rest] = project.stages.as_slice() else { panic!("two stages") };
    assert_eq!((core.id.as_str(), core.title.as_str(), core.kind.as_str()), ("0.1", "Core", "sprint"));
    assert_eq!((core.notes.len(), core.uses.len(), core.require_backup, core.line), (1, 1, true, 18));
    assert_eq!((rest.title.as_str(), rest.kind.as_str(), &rest.migrations), ("0.2", "stage", &vec![1]));
    let claims = &project.migrations[0].claims;
    assert_eq!((claims.source.as_deref(), claims.task.as_deref()), (Some("ddl/core.sql"), Some("Users")));
    let claims = &project.migrations[1].claims;
    assert_eq!((claims.alters.len(), claims.deferred, claims.requires.len()), (1, true, 1));
    assert_eq!(project.migrations[1].stage, Some(1));

    let check = &project.checks[0];
    assert_eq!((check.name.as_str(), check.kind.as_str(), check.stage), ("no users", "empty", Some(0)));
    assert_eq!(check.when, When::Before(project.migrations[1].id.clone()));
    let mut params = check.params.clone();
    assert_eq!(params.take_string("table").as_deref(), Some("users"));
    params.finish().unwrap();
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let config = r#"[project]
nmae = "shop"
[apply]
lock_timeout = 250
lock_wait = "60 secs"
[[migrations]]
path = "migrations"
[[stage]]
id = "a"
titel = "Core"
[[stage.migration]]
version = "0001"
craetes = ["table users"]
[[stage.migration]]
version = 2
[[stage]]
id = "a"
[[stage.migration]]
version = "0003"
[stages]
"#;
    expect![[r#"
        cutover.toml:2:1: unknown key "nmae" in [project]
          |
        2 | nmae = "shop"
          | ^
          hint: did you mean "name"?

        cutover.toml:4:16: lock_timeout needs a unit
          |
        4 | lock_timeout = 250
          |                ^
          hint: for example "250ms" or "250s"

        cutover.toml:5:13: lock_wait: "secs" is not a unit of time
          |
        5 | lock_wait = "60 secs"
          |             ^
          hint: a whole number and a unit: "250ms", "60s", "5min", "2h", "1d"; "0" needs none

        cutover.toml:10:1: unknown key "titel" in [[stage]]
           |
        10 | titel = "Core"
           | ^
          hint: did you mean "title"?

        cutover.toml:13:1: unknown key "craetes" in [[stage.migration]]
           |
        13 | craetes = ["table users"]
           | ^
          hint: did you mean "creates"?

        cutover.toml:15:11: version must be a string, not a whole number
           |
        15 | version = 2
           |           ^

        cutover.toml:17:6: stage "a" is already in line 8
           |
        17 | id = "a"
           |      ^

        cutover.toml:19:11: no migration has the version "0003"
           |
        19 | version = "0003"
           |           ^
          hint: did you mean "0002"?

        cutover.toml:20:2: unknown key "stages"
           |
        20 | [stages]
           |  ^
          hint: did you mean "stage"?"#]]
    .assert_eq(&error(&with(config)));
}

#[test]
fn syntax_errors_have_places_too() {
    let message = error(&with("[project]\nname = \nx = [1,\n"));
    assert!(message.contains("cutover.toml:2:"), "{message}");
}

#[test]
fn a_lock_timeout_says_why_it_is_too_long() {
    for value in ["1s", "2min", "0"] {
        let message = error(&with(&format!("[apply]\nlock_timeout = \"{value}\"\n")));
        assert!(message.starts_with("cutover.toml:2:16: lock_timeout"), "{message}");
        assert!(message.contains("deadlock_timeout") || value == "0", "{message}");
    }
    load(&folder(&with("[apply]\nlock_timeout = \"999ms\"\n"))).unwrap();
    let message = error(&with("[apply]\nstatement_timeout = \"25d\"\n"));
    assert!(message.contains("more than PostgreSQL can count"), "{message}");
}

#[test]
fn a_flag_goes_before_the_file_and_is_checked_like_it() {
    let folder = folder(&with(WHOLE));
    let flag = |name: &str| Origin::Flag(name.to_owned());
    let mut overrides = Overrides {
        lock_timeout: Some(Override { value: Duration::from_millis(20), origin: flag("--lock-timeout") }),
        vars: vec![("app_role".into(), Override { value: "other".into(), origin: flag("--var") })],
        ..Overrides::default()
    };
    let project = Project::load(folder.path(), &overrides).unwrap();
    assert_eq!(project.apply.lock_timeout, Duration::from_millis(20));
    assert_eq!(project.vars.get("app_role"), Some("other"));
    let shown: Vec<String> =
        project.settings.0.iter().map(|s| format!("{} = {} ({})", s.key, s.value, s.origin)).collect();
    expect![[r"
        project.name = shop (cutover.toml:3)
        database.url = postgresql://localhost/app (cutover.toml:5)
        apply.lock_timeout = 20ms (--lock-timeout)
        apply.lock_wait = 5min (cutover.toml:8)
        apply.statement_timeout = 1h (cutover.toml:9)
        apply.durable_each = true (cutover.toml:10)
        vars.app_role = other (--var)
        migrations[0].path = migrations (cutover.toml:12)
        migrations[0].convention = numbered (cutover.toml:13)"]]
    .assert_eq(&shown.join("\n"));

    overrides.lock_timeout = Some(Override { value: Duration::from_secs(1), origin: flag("--lock-timeout") });
    overrides.vars = vec![("a b".into(), Override { value: String::new(), origin: flag("--var") })];
    let message = Project::load(folder.path(), &overrides).unwrap_err().to_string();
    assert!(message.contains("--lock-timeout") && message.contains("\"a b\" cannot be"), "{message}");
}

#[test]
fn a_password_does_not_belong_into_the_file() {
    for url in ["postgresql://app:secret@localhost/app", "postgresql:///app?password=x", "host=x password=y"]
    {
        let message = error(&with(&format!("[database]\nurl = \"{url}\"\n")));
        assert!(message.contains("contains a password"), "{message}");
    }
    load(&folder(&with("[database]\nurl = \"postgresql://app@localhost/app?sslmode=require\"\n"))).unwrap();
}

#[test]
fn a_migration_belongs_to_one_stage() {
    let stage = |id: &str| format!("[[stage]]\nid = \"{id}\"\n[[stage.migration]]\nversion = \"0001\"\n");
    let message = error(&with(&format!("{}{}", stage("a"), stage("b"))));
    assert!(
        message.contains("migrations/0001_users.sql already belongs to stage \"a\" (line 4)"),
        "{message}"
    );
}

fn requiring(pairs: &[(&str, &str)]) -> String {
    let entry = |(version, requires): &(&str, &str)| {
        format!(
            "[[stage.migration]]\nversion = \"{version}\"\ndeferred = true\nrequires = [\"{requires}\"]\n"
        )
    };
    let entries: Vec<String> = pairs.iter().map(entry).collect();
    format!("[[stage]]\nid = \"a\"\n{}", entries.concat())
}

#[test]
fn requirements_exist_come_first_and_make_no_circle() {
    let message = error(&with(&requiring(&[("0001", "0009")])));
    assert!(message.contains("no migration has the version \"0009\""), "{message}");
    let message = error(&with(&requiring(&[("0001", "0002"), ("0002", "0001")])));
    assert!(message.contains("in a circle: 0001 requires 0002 requires 0001"), "{message}");
    let message = error(&with(&requiring(&[("0001", "0001")])));
    assert!(message.contains("in a circle: 0001 requires 0001"), "{message}");
    let later = requiring(&[("0001", "0002")]);
    load(&folder(&with(&later))).unwrap();
    let message = error(&with(&later.replace("deferred = true\n", "")));
    assert!(
        message.contains("0001_users.sql comes before migrations/0002_jobs.sql, which it requires"),
        "{message}"
    );
}

#[test]
fn paths_stay_within_the_project_and_exist() {
    for (key, path) in [("[design]\nddl", "../x.sql"), ("[checks]\nsql", "/etc/*.conf")] {
        let message = error(&with(&format!("{key} = [\"{path}\"]\n")));
        assert!(message.contains("leaves the project folder"), "{message}");
    }
    let message = error(&with("[design]\nddl = [\"dll/*.sql\", \"[\"]\n"));
    assert!(
        message.contains("no file matches \"dll/*.sql\"") && message.contains("is not a pattern"),
        "{message}"
    );
    let message = error(&with("[[migrations]]\npath = \"../other\"\n"));
    assert!(message.contains("leaves the project folder"), "{message}");
    let message = error(&with("[[migrations]]\npath = \"absent\"\n"));
    assert!(message.contains("cannot read the folder \"absent\""), "{message}");
    let claim = "[[stage]]\nid = \"a\"\n[[stage.migration]]\nversion = \"0001\"\nsource = \"ddl/none.sql\"\n";
    assert!(error(&with(claim)).contains("there is no file \"ddl/none.sql\""));
}

#[test]
fn checks_refer_to_stages_and_migrations_that_exist() {
    let check = |more: &str| format!("[[check]]\nname = \"c\"\nkind = \"empty\"\n{more}\n");
    let cases = [
        ("stage = \"x\"", "no stage has the id \"x\""),
        ("when = \"before\"", "needs the migration it comes before"),
        ("when = \"after\"\nbefore = \"0001\"", "contradicts before"),
        ("when = \"later\"", "when cannot be \"later\""),
        ("before = \"7\"", "no migration has the version \"7\""),
    ];
    for (more, expected) in cases {
        let message = error(&with(&check(more)));
        assert!(message.contains(expected), "{message}");
    }
    let message = error(&with(&format!("{}{}", check(""), check(""))));
    assert!(message.contains("a check named \"c\" is already in line 1"), "{message}");
}

#[test]
fn an_unknown_kind_of_check_is_shown_where_it_stands() {
    let folder = folder(&with("[[check]]\nname = \"c\"\nkind = \"emtpy\"\n"));
    let project = load(&folder).unwrap();
    let message = project.checks[0].unknown_kind(&["empty", "scalar"]).to_string();
    assert!(message.starts_with("cutover.toml:3:8: unknown kind of check \"emtpy\""), "{message}");
    assert!(message.ends_with("did you mean \"empty\"?"), "{message}");
}

#[test]
fn a_version_in_two_folders_is_named_with_its_folder() {
    let config = |version: &str| {
        format!(
            "[[migrations]]\npath = \"a\"\n[[migrations]]\npath = \"b\"\n\
             [[stage]]\nid = \"s\"\n[[stage.migration]]\nversion = \"{version}\"\n"
        )
    };
    let files = |config| [("a/1_x.sql", ""), ("b/1_y.sql", ""), ("cutover.toml", config)];
    let ambiguous = config("1");
    let message = error(&files(&ambiguous));
    assert!(
        message.contains("in several folders: a/1_x.sql, b/1_y.sql") && message.contains("\"a/1\""),
        "{message}"
    );
    let exact = config("b/1");
    let folder = folder(&files(&exact));
    assert_eq!(load(&folder).unwrap().stages[0].migrations, [1]);
}

proptest! {
    #[test]
    fn no_file_makes_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = super::super::load::decode_text(&bytes).map(|mut table| {
            super::super::config::decode(&mut table);
            table.finish()
        });
    }

    #[test]
    fn nor_does_one_that_is_nearly_right(cuts in proptest::collection::vec((0..WHOLE.len(), "[\\[\\]\"=a-z0-9.\n]{0,3}"), 1..6)) {
        let mut text = WHOLE.to_owned();
        for (at, insert) in cuts {
            text.replace_range(at.min(text.len())..(at + 2).min(text.len()), &insert);
        }
        if let Ok(mut table) = Table::parse("x", text) {
            super::super::config::decode(&mut table);
            if let Err(problems) = table.finish() {
                prop_assert!(!problems.to_string().is_empty());
            }
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let message = error(&with(&format!("x = {}", "[".repeat(100_000))));
    assert!(message.contains("cutover.toml:1:"), "{message}");
}

const DOCUMENTATION: &str = include_str!("../../../../../docs/project.md");

#[test]
fn the_documented_example_loads() {
    let example = DOCUMENTATION.rsplit_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let files = [
        ("cutover.toml", example),
        ("migrations/0001_users.sql", ""),
        ("migrations/0002_orders.sql", ""),
        ("ddl/core.sql", ""),
    ];
    let folder = folder(&files);
    let project = load(&folder).unwrap();
    assert_eq!((project.stages.len(), project.checks.len()), (2, 1));
}

#[test]
fn every_key_is_documented() {
    for line in WHOLE.lines().filter(|line| !line.is_empty() && *line != "table = \"users\"") {
        let shown = match line.split_once(" = ") {
            Some(("app_role", _)) => "app_role = \"app\"".to_owned(),
            Some((key, _)) => format!("| `{key}` |"),
            None => format!("# `{line}`"),
        };
        assert!(DOCUMENTATION.contains(&shown), "{shown}");
    }
}

#[test]
fn jobs_are_read_and_each_mistake_has_its_line() {
    let files = with(WHOLE);
    let folder = folder(&files);
    let [job] = &load(&folder).unwrap().jobs[..] else { panic!("one job") };
    let found = (
        job.name.as_str(),
        job.schedule.as_str(),
        job.missed.as_str(),
        job.timeout,
        job.retries,
        job.enabled,
    );
    assert_eq!(found, ("tick", "5 seconds", "one", Duration::from_secs(30), 3, Some(false)));
    let files = with(
        "[[job]]\nname = \"a\"\nschedule = \"5 seconds\"\ncommand = \"SELECT 1\"\nmissed = \"never\"\ntimeout = \"0\"\n\
         retries = -1\nfoo = 1\n[[job]]\nname = \"a\"\ncommand = \"\"\ntimeout = 5\n",
    );
    let said = error(&files);
    for part in [
        "cutover.toml:5:10: missed cannot be \"never\"",
        "cutover.toml:6:11: timeout must be more than 0",
        "cutover.toml:7:11: retries must be between 0 and 100",
        "cutover.toml:8:1: unknown key \"foo\" in [[job]]",
        "cutover.toml:9:1: [[job]] needs schedule",
        "cutover.toml:10:8: another job has the name \"a\" (line 2)",
        "cutover.toml:11:11: command is empty",
        "cutover.toml:12:11: timeout needs a unit",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn replaced_calls_are_read_and_each_mistake_has_its_line() {
    let files = with(WHOLE);
    let folder = folder(&files);
    let [one] = &load(&folder).unwrap().replaces[..] else { panic!("one") };
    let found = (one.old.as_str(), one.new.as_str(), one.note.as_deref(), one.line);
    assert_eq!(
        found,
        ("old_join(uuid)", "queue_join(uuid, jsonb)", Some("Preferences are an argument."), 48)
    );
    let files = with(
        "[[api.replaces]]\nold = \"a(\"\nnew = \"b\"\nnots = 1\n[[api.replaces]]\nold = \"a\"\n\
         [[api.replaces]]\nold = \"a\"\nnew = \"b\"\n[[api.replaces]]\nold = \"a\"\nnew = \"b\"\n[api.x]\n",
    );
    let said = error(&files);
    for part in [
        "cutover.toml:2:7: old is a function with the types of its arguments, not \"a(\"",
        "cutover.toml:4:1: unknown key \"nots\" in [[api.replaces]]",
        "cutover.toml:5:1: [[api.replaces]] needs new",
        "cutover.toml:11:7: the same is said in line 8",
        "unknown key \"x\" in [api]",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn internal_functions_are_patterns_and_each_mistake_has_its_line() {
    let files = with("[api]\ninternal = [\"spark_*\", \"app.help_?\"]\n");
    let folder = folder(&files);
    let project = load(&folder).unwrap();
    let read: Vec<(&str, u32)> =
        project.internal.iter().map(|one| (one.pattern.as_str(), one.line)).collect();
    assert_eq!(read, [("spark_*", 2), ("app.help_?", 2)]);
    let said = error(&with("[api]\ninternal = [\n\"\",\n\"f(int)\",\n\"[\",\n\"a\",\n\"a\"]\n"));
    for part in [
        "cutover.toml:3:1: a pattern of functions is empty",
        "cutover.toml:4:1: \"f(int)\" has arguments",
        "cutover.toml:5:1: \"[\" is no pattern",
        "cutover.toml:7:1: the same is said in line 6",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(error(&with("[api]\ninternal = 5\n")).contains("cutover.toml:2:12"));
}

#[cfg(unix)]
#[test]
fn the_file_itself_is_one_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let path = folder.path().join("cutover.toml");
    let said = || Project::load(folder.path(), &Overrides::default()).unwrap_err().to_string();
    std::os::unix::fs::symlink(elsewhere.path(), &path).unwrap();
    assert!(said().contains("a link that leaves the folder"), "{}", said());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(said().contains("not a regular file"), "{}", said());
}
