//! What was once told untruly: ways back of one command beside figures of another, renames as drops, recorded migrations as run,
//! drift that no definition tells of as holding.

use std::path::Path;

use super::tests::{found, project, text_of};
use super::{Request, gather};
use crate::project::Project;
use crate::verify::SandboxProvider;

/// A project, applied, in which a way back of one step leaves what that of all takes with it.
async fn renaming() -> (tempfile::TempDir, Project, testkit::Database) {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[[stage]]\nid = \"1\"\n[[stage.migration]]\nversion = \"0001\"\ntask = \"T-1\"\n";
    let first = "-- [Task] T-1\n-- What there is\n-- Two tables.\nCREATE TABLE tags (id int PRIMARY KEY, at date);\nCREATE TABLE users (id int PRIMARY KEY, fullname text, last date);\n";
    let second = "-- cutover: allow rename-table nobody asks for it\nALTER TABLE tags RENAME TO labels;\n-- cutover: allow rename-column nor for that\nALTER TABLE users RENAME COLUMN fullname TO full_name;\n\
         UPDATE users SET last = now() WHERE last IS NULL;\nALTER TABLE users ADD CONSTRAINT n CHECK (last IS NOT NULL) NOT VALID;\n\
         ALTER TABLE users DROP CONSTRAINT n;\nALTER TABLE users ADD age int DEFAULT 1;\n";
    let (folder, project) =
        project(&[("cutover.toml", config), ("m/0001_first.sql", first), ("m/0002_second.sql", second)]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    database.run("INSERT INTO users VALUES (1, 'x', '2020-01-01')");
    (folder, project, database)
}

#[tokio::test]
async fn a_rename_is_told_as_one_and_what_is_there_for_a_while_not_at_all() {
    let (_folder, project, database) = renaming().await;
    let made = found(&project, &database).await.render(None).unwrap();
    let summary = text_of(&made, "IMPLEMENTATION_SUMMARY.md");
    let second = testkit::markdown::table(summary, "### In no stage").remove(0);
    assert_eq!(second["Creates"], "column users.age");
    assert_eq!(
        second["Changes of what was there"],
        "renames table tags to labels, column users.fullname to full_name"
    );
    assert!(
        summary.contains("### `labels`\n\nCreated by `0001` as `tags`. Renamed from `tags` by `0002`."),
        "{summary}"
    );
    let noticed = testkit::markdown::table(summary, "## Compatibility");
    let what = &noticed[1]["What clients of before notice"];
    assert!(what.contains("renames table tags to labels; renames column users.fullname"), "{what}");
    assert!(!what.contains("drops") && !what.contains("constraint"), "{what}");
    let guide = testkit::markdown::table(text_of(&made, "README.md"), "## Migrations, in sequence");
    assert_eq!(guide[0]["Purpose"], "What there is. Two tables.");
    assert_eq!(
        guide[1]["Purpose"],
        "creates column users.age; renames table tags to labels, column users.fullname to full_name"
    );
}

/// What a command of the guide says is what that command asks for.
#[tokio::test]
async fn a_way_back_asks_for_what_the_guide_says() {
    let (_folder, project, database) = renaming().await;
    let made = found(&project, &database).await;
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let options = database.options();
    for (field, which, codes) in [
        ("rollback", crate::revert::Which::All, &["data-loss"][..]),
        ("step_back", crate::revert::Which::Last(1), &["data-loss", "rows-stay"]),
    ] {
        let told = &made.context()[field];
        let command = told["command"].as_str().unwrap();
        let allowed: Vec<&str> = command.split(" --allow ").skip(1).collect();
        assert_eq!(allowed, codes, "{command}");
        let look = |allow: Vec<String>| {
            let (project, options, sandbox, which) = (&project, &options, &sandbox, which.clone());
            async move {
                let request =
                    crate::revert::Request { which, allow: &allow, derive: &[], sandbox, only_look: false };
                crate::revert::look(project, options, &request).await
            }
        };
        let accepted = look(codes.iter().map(|&code| code.to_owned()).collect()).await.unwrap();
        assert_eq!(accepted.backs.len(), told["ways"].as_array().unwrap().len());
        for (back, way) in accepted.backs.iter().zip(told["ways"].as_array().unwrap()) {
            assert_eq!(serde_json::json!(back.losses), way["losses"]);
            assert_eq!(serde_json::json!(back.stays), way["stays"]);
        }
        // One less is refused.
        let fewer = codes.iter().skip(1).map(|&code| code.to_owned()).collect();
        assert!(matches!(look(fewer).await.unwrap_err(), crate::revert::RevertError::Refused(..)));
    }
    let made = made.render(None).unwrap();
    let guide = text_of(&made, "README.md");
    assert!(guide.contains("`cutover revert --allow data-loss --allow rows-stay`"), "{guide}");
    assert!(guide.contains("`cutover revert --all --allow data-loss`"), "{guide}");
    assert!(
        testkit::markdown::table(guide, "### One step")[0]["What stays behind all of these"].contains("rows")
    );
}

#[tokio::test]
async fn what_was_taken_back_and_what_was_only_recorded_is_told() {
    let (_folder, project, database) = renaming().await;
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let allow = ["data-loss".to_owned(), "rows-stay".to_owned()];
    let request = crate::revert::Request {
        which: crate::revert::Which::Last(1),
        allow: &allow,
        derive: &[],
        sandbox: &sandbox,
        only_look: false,
    };
    let outlook = crate::revert::look(&project, &database.options(), &request).await.unwrap();
    crate::migrate(&outlook.project, &database.url()).await.unwrap();
    crate::migrate(&project, &database.url()).await.unwrap();
    let made = found(&project, &database).await.render(None).unwrap();
    let sequence = text_of(&made, "MIGRATION_SEQUENCE.md");
    let runs = testkit::markdown::table(sequence, "## Timings");
    let did: Vec<(&str, &str)> =
        runs.iter().map(|run| (run["Did"].as_str(), run["Which"].as_str())).collect();
    assert_eq!(did, [("applied", "0001, 0002"), ("took back", "0002"), ("applied", "0002")]);
    let second = sequence.split_once("| Version | Wave |").unwrap().1;
    let timings = testkit::markdown::table(&format!("# x\n| Version | Wave |{second}"), "# x");
    let times: Vec<(&str, &str)> =
        timings.iter().map(|row| (row["Times applied"].as_str(), row["Times taken back"].as_str())).collect();
    assert_eq!(times, [("1", "0"), ("2", "1")]);

    // The same files on a database where somebody has made all of it before.
    let other = testkit::database();
    other.run(
        "CREATE TABLE labels (id int CONSTRAINT tags_pkey PRIMARY KEY, at date);
         CREATE TABLE users (id int PRIMARY KEY, full_name text, last date, age int DEFAULT 1)",
    );
    let options = other.options();
    let clock = crate::clock::SystemClock::new();
    let request = crate::baseline::Request {
        to: "0002",
        allow: &[],
        sandbox: &sandbox,
        operator: String::new(),
        tool: "cutover test".to_owned(),
        clock: &clock,
    };
    let outlook = crate::baseline::look(&project, &options, &request).await.unwrap();
    crate::baseline::record(&project, &options, &request, &outlook).await.unwrap();
    let made = found(&project, &other).await.render(None).unwrap();
    let sequence = text_of(&made, "MIGRATION_SEQUENCE.md");
    assert!(
        sequence.contains("Not measured: no run has applied anything, what is applied was recorded."),
        "{sequence}"
    );
    let rows = testkit::markdown::table(text_of(&made, "IMPLEMENTATION_SUMMARY.md"), "### Execution");
    for row in &rows {
        assert_eq!(row["Result"], "recorded by a baseline, not run");
        assert_eq!((row["Took"].as_str(), row["Attempts"].as_str()), ("not measured", ""));
    }
    assert!(
        text_of(&made, "README.md").contains("There is nothing that `cutover revert` takes back by itself.")
    );
}

#[test]
fn a_folder_is_called_as_a_shell_takes_it_from_the_project() {
    let root = tempfile::tempdir().unwrap();
    let called = |name: &str| super::named_from(root.path(), &root.path().join(name));
    assert_eq!(called("").as_deref(), Some("."));
    assert_eq!(called("docs/database").as_deref(), Some("docs/database"));
    assert_eq!(called("it's a folder").as_deref(), Some("'it'\\''s a folder'"));
    assert_eq!(called("../elsewhere"), None);
    assert_eq!(called("a`b"), None);
    std::fs::create_dir_all(root.path().join("docs/database")).unwrap();
    assert_eq!(called("docs/database").as_deref(), Some("docs/database"));
}

/// The script of a project that is applied, in a file.
async fn script(project: &Project, database: &testkit::Database, folder: &Path) -> std::path::PathBuf {
    let made = found(project, database).await.render(None).unwrap();
    let file = folder.join("verify.sql");
    std::fs::write(&file, text_of(&made, "verify.sql")).unwrap();
    file
}

/// A drift that no definition tells of, what takes it back, and what is said of it.
const DRIFTS: [(&str, &str, &str); 14] = [
    (
        "CREATE RULE rr AS ON INSERT TO t DO INSTEAD NOTHING; CREATE RULE rr AS ON INSERT TO seen DO INSTEAD NOTHING;
         CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "DROP RULE rr ON t; DROP RULE rr ON seen;
         CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "nothing else on table t: also there: rr | nothing else on view seen: also there: rr | \
         found AS $function$BEGIN RETURN OLD; END$function$, expected AS $function$BEGIN RETURN NEW; END$function$",
    ),
    (
        "ALTER TABLE t DISABLE TRIGGER tr",
        "ALTER TABLE t ENABLE TRIGGER tr",
        "trigger t.tr: fires is DISABLE, expected that it is not set",
    ),
    (
        "ALTER TABLE t DISABLE TRIGGER ALL",
        "ALTER TABLE t ENABLE TRIGGER ALL",
        "not kept, for their triggers are disabled: t_p_fkey",
    ),
    (
        "ALTER TABLE t ALTER a TYPE text COLLATE \"C\"",
        "ALTER TABLE t ALTER a TYPE text COLLATE \"default\"",
        "column t.a: collation is pg_catalog.\"C\"",
    ),
    (
        "ALTER TABLE t ALTER id SET GENERATED BY DEFAULT",
        "ALTER TABLE t ALTER id SET GENERATED ALWAYS",
        "column t.id: identity is BY DEFAULT, expected ALWAYS",
    ),
    ("DROP RULE r ON t", "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", "rule t.r is not there"),
    (
        "ALTER TABLE p RENAME TO q; ALTER TABLE q RENAME TO p; COMMENT ON TABLE t IS NULL",
        "COMMENT ON TABLE t IS 'what there is'",
        "comment is not set, expected what there is",
    ),
    (
        "ALTER DOMAIN d DROP CONSTRAINT d_check",
        "ALTER DOMAIN d ADD CONSTRAINT d_check CHECK (VALUE > 0)",
        "domain d: constraints is not set",
    ),
    ("ALTER SEQUENCE s INCREMENT 7", "ALTER SEQUENCE s INCREMENT 1", "sequence s: options is "),
    (
        "ALTER TABLE parts DETACH PARTITION part",
        "ALTER TABLE parts ATTACH PARTITION part FOR VALUES FROM (1) TO (10)",
        "is not there",
    ),
    ("GRANT SELECT ON t TO PUBLIC", "REVOKE SELECT ON t FROM PUBLIC", "table t: grants is "),
    ("ALTER TYPE pair ADD ATTRIBUTE c int", "ALTER TYPE pair DROP ATTRIBUTE c", "type pair: attributes is "),
    ("ALTER TABLE t SET UNLOGGED", "ALTER TABLE t SET LOGGED", "table t: unlogged is true"),
    (
        "ALTER TABLE t ALTER twice DROP EXPRESSION",
        "ALTER TABLE t DROP twice, ADD twice int GENERATED ALWAYS AS (1 + 1) STORED",
        "column t.twice: generated is not set",
    ),
];

/// Each drift is told by one block; taken back, all of it holds again.
#[tokio::test]
async fn what_no_definition_tells_of_is_verified() {
    let sql = "CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, a text, p int REFERENCES p, twice int GENERATED ALWAYS AS (1 + 1) STORED);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
        CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING;
        CREATE VIEW seen AS SELECT 1 AS one;
        CREATE DOMAIN d AS int CHECK (VALUE > 0);
        CREATE SEQUENCE s;
        CREATE TABLE parts (n int) PARTITION BY RANGE (n);
        CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (10);
        CREATE TYPE pair AS (a int, b int);
        COMMENT ON TABLE t IS 'what there is';\n";
    let (folder, project) = project(&[
        ("m/0001_a.sql", sql),
        ("cutover.toml", "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n"),
    ]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let file = script(&project, &database, folder.path()).await;
    let ran = |expected: i32, drift: &str| {
        let (code, said) = testkit::psql(&database, &file, &[]);
        assert_eq!(code, expected, "{drift}: {said}");
        said
    };
    ran(0, "nothing");
    for (drift, back, told) in DRIFTS {
        database.run(drift);
        let said = ran(3, drift);
        for told in told.split(" | ") {
            assert!(said.contains(told), "{drift}: {told} in {said}");
        }
        // Made of what has drifted, it says the same.
        let drifted = script(&project, &database, folder.path()).await;
        let (code, said) = testkit::psql(&database, &drifted, &[]);
        assert_eq!(code, 3, "{drift}: {said}");
        database.run(back);
        let (code, said) = testkit::psql(&database, &drifted, &[]);
        assert_eq!(code, 0, "{back}: {said}");
        script(&project, &database, folder.path()).await;
        ran(0, back);
    }
}

/// What nobody is given belongs to whoever applied it, on a server with other roles as well.
#[tokio::test]
async fn what_an_ordinary_role_has_applied_is_what_the_files_make() {
    let (folder, project) = project(&[
        ("cutover.toml", "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n"),
        (
            "m/0001_t.sql",
            "CREATE TABLE t (n int);\nCREATE VIEW v AS SELECT n FROM t;\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        ),
    ]);
    let (database, role) = (testkit::database(), testkit::role(""));
    database.give_to(&role);
    crate::migrate(&project, &database.url_as(&role)).await.unwrap();
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let file = folder.path().join("verify.sql");
    // Whoever asks.
    for options in [database.options_as(&role), database.options()] {
        let request = Request { options: &options, sandbox: &sandbox, folder: None, wait: None };
        let made = gather(&project, request).await.unwrap();
        assert_eq!(
            made.context()["consistency"]["totals"]["do_not_hold"],
            0,
            "{}",
            made.context()["consistency"]
        );
        std::fs::write(&file, text_of(&made.render(None).unwrap(), "verify.sql")).unwrap();
        let (code, said) = testkit::psql(&database, &file, &[]);
        assert_eq!(code, 0, "{said}");
    }
    // Somebody else's is told.
    let other = testkit::role("");
    database.run(&format!("ALTER TABLE t OWNER TO {}", other.name));
    let made = found(&project, &database).await;
    assert_ne!(made.context()["consistency"]["totals"]["do_not_hold"], 0);
}

/// A role that a block makes is of the whole server, and stays behind the way back.
#[tokio::test]
async fn roles_that_stay_are_told() {
    let role = format!("stays_{}", std::process::id());
    let sql = format!(
        "CREATE TABLE t (n int);\nDO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role}; END IF; END $$;"
    );
    let (_folder, project) = project(&[
        ("cutover.toml", "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n"),
        ("m/0001_t.sql", &sql),
    ]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let made = found(&project, &database).await;
    database.run(&format!("DROP ROLE {role}"));
    let stays = made.context()["step_back"]["ways"][0]["stays"].to_string();
    assert!(
        stays.contains(&format!(
            "the role {role}, which a block may have made, stays: it is of the whole server"
        )),
        "{stays}"
    );
}

/// Parts that a run left applied were not rolled back, and took their time.
#[tokio::test]
async fn parts_that_are_kept_are_told_with_their_run() {
    let (_folder, project) = project(&[
        ("cutover.toml", "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n"),
        (
            "m/0001_t.sql",
            "CREATE TABLE t (n int);\nINSERT INTO t SELECT n FROM given;\n-- cutover: new-transaction\nCREATE INDEX i ON t (n);\n-- cutover: new-transaction\nALTER TABLE t ADD CHECK (n < 5);",
        ),
    ]);
    let database = testkit::database();
    database.run("CREATE TABLE given (n int); INSERT INTO given VALUES (7)");
    let failed = crate::migrate(&project, &database.url()).await;
    assert!(failed.is_err(), "{failed:?}");
    database.run("DELETE FROM t");
    crate::migrate(&project, &database.url()).await.unwrap();
    let made = found(&project, &database).await.render(None).unwrap();
    let sequence = text_of(&made, "MIGRATION_SEQUENCE.md");
    let runs = testkit::markdown::table(sequence, "## Timings");
    assert_eq!(runs[0]["Outcome"], "failed; 2 of 3 parts of 0001 are applied and recorded");
    let migrations = sequence.split_once("| Version | Wave |").unwrap().1;
    let timings = testkit::markdown::table(&format!("# x\n| Version | Wave |{migrations}"), "# x");
    assert!(timings[0]["Took"].contains(" for 2 of 3 parts in run "), "{:?}", timings[0]["Took"]);
}

/// A plan that is another one is shown; what cannot be asked for says why.
#[tokio::test]
async fn a_plan_that_is_another_one_is_shown() {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[[check]]\nname = \"by n\"\nkind = \"explain\"\n\
         sql = \"SELECT n FROM t WHERE n = 1 -- one\"\nindex = \"i\"\n[[check]]\nname = \"none\"\nkind = \"scalar\"\nequals = 0\nsql = \"SELECT count(*) FROM u\"\n";
    let (folder, project) = project(&[
        ("cutover.toml", config),
        ("m/0001_t.sql", "CREATE TABLE t (n int);\nCREATE INDEX i ON t (n);\nCREATE TABLE u (n int);"),
    ]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let file = script(&project, &database, folder.path()).await;
    let (code, said) = testkit::psql(&database, &file, &[]);
    assert_eq!(code, 0, "{said}");
    database.run("DROP INDEX i; DROP TABLE u");
    let (code, said) = testkit::psql(&database, &file, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("does not hold: by n: another plan: [{\"Plan\""), "{said}");
    assert!(
        said.contains("does not hold: none: asking for it fails: relation \"u\" does not exist (42P01)"),
        "{said}"
    );
    assert!(!said.contains("none: could not be measured"), "{said}");
}

/// Of what may not be asked nothing is said.
#[tokio::test]
async fn what_could_not_be_measured_is_not_told_to_be_false() {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[[check]]\nname = \"no n twice\"\nkind = \"fails\"\nsqlstate = \"23505\"\n\
         setup = \"INSERT INTO t VALUES (1)\"\nsql = \"INSERT INTO t VALUES (1)\"\n[[check]]\nname = \"none is 7\"\nkind = \"fails\"\nsqlstate = \"23514\"\nsql = \"INSERT INTO t VALUES (7)\"\n";
    let (folder, project) = project(&[
        ("cutover.toml", config),
        ("m/0001_t.sql", "CREATE TABLE t (n int PRIMARY KEY CHECK (n <> 7));"),
    ]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let file = script(&project, &database, folder.path()).await;
    assert_eq!(testkit::psql(&database, &file, &[]).0, 0);
    let text = std::fs::read_to_string(&file).unwrap();
    let role = format!("reader_{}", std::process::id());
    database.run(&format!("CREATE ROLE {role}"));
    let as_reader = text.replace(
        "-- What is declared.\nBEGIN;\n",
        &format!("-- What is declared.\nBEGIN;\nSET LOCAL ROLE {role};\n"),
    );
    assert_ne!(text, as_reader);
    std::fs::write(&file, as_reader).unwrap();
    let (code, said) = testkit::psql(&database, &file, &[]);
    database.run(&format!("DROP ROLE {role}"));
    assert_eq!((code, said.matches("not measured: no").count()), (3, 2), "{said}");
    assert!(!said.contains("does not hold: "), "{said}");
    assert!(said.contains("2 could not be measured; what was holds"), "{said}");
}
