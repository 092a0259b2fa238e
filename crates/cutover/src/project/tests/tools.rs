//! Projects of other tools: names and texts as those tools read them, and what is refused by name.

use super::super::conventions::{self, Convention, Folder};
use super::super::{Project, ProjectError};
use super::{error, folder, load, versions};
use crate::migration::Migration;
use crate::source;

/// Paths and texts.
type Files = &'static [(&'static str, &'static str)];

fn read(convention: &str, names: &[&str]) -> conventions::Reading {
    let mut paths: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    paths.sort_unstable();
    by_name(convention).read(&Folder::of_names(&paths))
}

fn by_name(name: &str) -> &'static dyn Convention {
    conventions::by_name(name).unwrap()
}

fn order(convention: &str, names: &[&str]) -> Vec<String> {
    read(convention, names).migrations.into_iter().map(|found| found.path).collect()
}

/// The convention that a project's folder was seen to follow.
fn convention(project: &Project) -> &'static str {
    project.roots[0].convention.name()
}

fn one(files: &[(&str, &str)]) -> Migration {
    let project = load(&folder(files)).unwrap();
    project.migrations.into_iter().next().unwrap()
}

/// The text that is run, of a migration whose file is there.
fn up(folder: &tempfile::TempDir, index: usize) -> String {
    source::read_to_string(&load(folder).unwrap().migrations[index]).unwrap()
}

#[test]
fn each_tool_orders_as_it_does_itself() {
    let cases: [(&str, &[&str]); 12] = [
        (
            "node-pg-migrate",
            &[
                "0002_b.sql",
                "0010_a2-x.sql",
                "0010_a10.sql",
                "0010_a.up.sql",
                "20200513070724505_b.sql",
                "1591343909074-a.sql",
            ],
        ),
        ("golang-migrate", &["2_b.up.sql", "10_c.up.sql", "0011_.up.sql"]),
        ("sqlx", &["3_a.sql", "4_b.up.sql", "10_c.sql"]),
        (
            "diesel",
            &["2026-01-02-030405_a/up.sql", "2026-01-02-030405-0000_b/up.sql", "2026-01-02-030406_c/up.sql"],
        ),
        ("refinery", &["V1__a.sql", "U2__b.sql", "deep/V10__c.sql"]),
        ("dbmate", &["10_b.sql", "20260102.sql", "9-a.sql"]),
        ("goose", &["2_b.sql", "00010_c.sql"]),
        ("supabase", &["10_b.sql", "20260102030405_a.sql", "20260102030405_b.sql", "9_a.sql"]),
        ("prisma", &["0_init/migration.sql", "20260102_a/migration.sql", "20260102_b/migration.sql"]),
        ("graphile-migrate", &["committed/000001.sql", "committed/000002-add-users.sql"]),
        ("flyway", &["V1__a.sql", "V1_2__b.sql", "x/V1.10__c.sql"]),
        ("numbered", &["2_b.sql", "10_c.sql"]),
    ];
    for (convention, names) in cases {
        let mut turned = names.to_vec();
        turned.reverse();
        let reading = read(convention, &turned);
        assert_eq!(order(convention, &turned), names, "{convention}");
        assert!(reading.problems.is_empty() && reading.strays.is_empty(), "{convention}: {reading:?}");
        for found in &reading.migrations {
            let again = by_name(convention).version(found.version.text());
            assert_eq!(again.as_ref(), Some(&found.version), "{convention}");
        }
    }
}

#[test]
fn what_a_tool_would_run_and_cutover_cannot_is_refused() {
    let cases = [
        ("golang-migrate", "99999999999999999999_a.up.sql", "too large"),
        ("sqlx", "9223372036854775808_a.sql", "too large"),
        ("refinery", "V2__b.rs", "SQL alone"),
        ("refinery", "V1.1__b.sql", "whole numbers"),
        ("goose", "00002_b.go", "SQL alone"),
        ("goose", "0_b.sql", "greater than zero"),
        ("flyway", "V2__b.java", "SQL alone"),
        ("flyway", "V2__b.py", "SQL alone"),
        ("flyway", "R__b.ps1", "SQL alone"),
        ("diesel", "2026_a/down.sql", "no up.sql"),
        ("diesel", "_a/up.sql", "no version"),
        ("prisma", "2026_a/down.sql", "no migration.sql"),
        ("node-pg-migrate", "0002_b.ts", "SQL alone"),
        ("node-pg-migrate", "20201313070724505_b.sql", "17 digits are a time"),
        ("node-pg-migrate", "99999999999999999999_b.sql", "too large"),
        ("numbered", "20260102030405_users.rb", "SQL alone"),
        ("numbered", "0002_users.py", "SQL alone"),
        ("numbered", "0002_users.ts", "SQL alone"),
        ("numbered", "1975ea83b712_users.py", "SQL alone"),
    ];
    for (convention, name, why) in cases {
        let mut reading = read(convention, &[name]);
        conventions::settle_strays(by_name(convention), &mut reading);
        assert!(reading.migrations.is_empty(), "{convention} {name}");
        assert!(
            reading.problems.iter().any(|wrong| wrong.message.contains(why)),
            "{convention} {name}: {reading:?}"
        );
    }
}

#[test]
fn what_only_looks_like_a_migration_is_pointed_out() {
    let cases = [
        ("golang-migrate", "1_a.down.sql", "goes forward"),
        ("golang-migrate", "1-a.up.sql", "one _"),
        ("golang-migrate", "a.up.sql", "number"),
        ("golang-migrate", "1_a.up.cql", ".cql"),
        ("golang-migrate", "1_a.sql", "numbered"),
        ("sqlx", "1-a.sql", "one _"),
        ("refinery", "V1_a.sql", "`__`"),
        ("goose", "00001.sql", "description"),
        ("supabase", "20260102.sql", "one _"),
        ("supabase", "20200102030405_init.sql", "skips"),
        ("graphile-migrate", "current.sql", "not committed"),
        ("graphile-migrate", "committed/1.sql", "six"),
        ("sqlx", "20260102030405_users.rb", "Rails"),
        ("dbmate", "0002_users.py", "sqlmigrate"),
        ("goose", "20260102030405-users.js", "JavaScript"),
        ("supabase", "1975ea83b712_users.py", "Alembic"),
        ("node-pg-migrate", "users.sql", "number"),
    ];
    for (convention, name, why) in cases {
        let mut reading = read(convention, &[name]);
        conventions::settle_strays(by_name(convention), &mut reading);
        assert!(
            reading.migrations.is_empty() && reading.problems.is_empty(),
            "{convention} {name}: {reading:?}"
        );
        assert!(
            reading.strays[0].near_miss && reading.strays[0].why.contains(why),
            "{convention} {name}: {:?}",
            reading.strays
        );
    }
}

#[test]
fn a_migration_in_another_language_is_refused_beside_those_in_sql() {
    for (name, hint) in [
        ("20260102030405_b.rb", "structure.sql"),
        ("2_b.js", "JavaScript"),
        ("0002_b.py", "sqlmigrate"),
        ("1975ea83b712_b.py", "alembic upgrade"),
        ("2_b.php", "PHP"),
    ] {
        let other = format!("migrations/{name}");
        let message = error(&[("migrations/1_a.sql", "SELECT 1;"), (&other, "")]);
        assert!(message.contains(&other) && message.contains(hint), "{message}");
        let embedded: [(&str, &[u8]); 2] = [("1_a.sql", b"SELECT 1;"), (name, b"")];
        assert!(Project::embedded("p", &embedded).unwrap_err().to_string().contains(hint));
    }
    // One that was written as SQL since, a test, and what is no migration by its name.
    let files = [
        ("migrations/1_a.sql", ""),
        ("migrations/2_b.sql", ""),
        ("migrations/02_b.js", ""),
        ("migrations/1_a.test.js", ""),
        ("migrations/run.js", ""),
    ];
    assert_eq!(versions(&load(&folder(&files)).unwrap()), ["1", "2"]);
}

const NODE: &str = "-- Up Migration\nCREATE TABLE a ();\n\n-- Down Migration\nDROP TABLE a;\n";

#[test]
fn sections_of_node_pg_migrate_are_read_as_it_reads_them() {
    let of = |text: &str| {
        let folder = folder(&[("migrations/1_x.sql", NODE), ("migrations/2_a.sql", text)]);
        let project = load(&folder).unwrap();
        assert_eq!(convention(&project), "node-pg-migrate");
        (up(&folder, 1), project.migrations[1].down.clone().map(|down| down.section))
    };
    let lines = |range| Some(crate::migration::Section::of_lines(vec![range]));
    assert_eq!(of(NODE), ("CREATE TABLE a ();\n\n".to_owned(), lines(5..=5)));
    assert_eq!(of("A;\n--- up  migration: b\nB;\n"), ("B;\n".to_owned(), None));
    assert_eq!(of("-- down migration\nA;\n --Up Migration\nB;\n"), ("B;\n".to_owned(), lines(2..=2)));
    let twice = "-- Up Migration\nA;\n-- Up Migration\nB;\n-- Down Migration\nC;\n-- Up Migration\nD;\n";
    assert_eq!(of(twice), ("A;\n-- Up Migration\nB;\n".to_owned(), lines(6..=8)));
    assert_eq!(of("A;\n"), ("A;\n".to_owned(), None));
    let message =
        error(&[("migrations/1_x.sql", NODE), ("migrations/2_a.sql", "A;\n-- Down Migration\nB;\n")]);
    assert!(
        message.contains("2_a.sql:2:1: it has `-- Down Migration` and no `-- Up Migration`"),
        "{message}"
    );
    let message = error(&[("migrations/1_x.sql", NODE), ("migrations/2_a.sql", "-- Down Migration\nB;\n")]);
    assert!(message.contains("2_a.sql:1:1: it has `-- Down Migration`"), "{message}");
}

#[test]
fn both_forms_in_one_folder_are_of_sqlx_where_a_crate_says_so() {
    let files = [("migrations/3_a.sql", ""), ("migrations/4_b.up.sql", ""), ("migrations/4_b.down.sql", "")];
    assert!(error(&files).contains("files of several conventions"));
    let cargo = ("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n");
    let project = load(&folder(&[&files[..], &[cargo]].concat())).unwrap();
    assert_eq!(project.roots[0].convention.name(), "sqlx");
}

#[test]
fn migrations_of_node_pg_migrate_are_called_by_the_names_of_their_files() {
    let files = folder(&[
        ("migrations/1591343909074_x.sql", NODE),
        ("migrations/1591343909075_a.up.sql", "-- Up migration of a\nA;\n"),
        ("migrations/1591343909075_a.down.sql", "-- Down migration of a\nB;\n"),
        ("migrations/1591343909074_x.js", ""),
    ]);
    let project = load(&files).unwrap();
    assert_eq!(versions(&project), ["1591343909074_x", "1591343909075_a"]);
    assert_eq!(project.migrations[1].down.as_ref().unwrap().path, "migrations/1591343909075_a.down.sql");
    // What has a number in common is another migration to it, and the order of those that a language decides is not known.
    let message = error(&[("migrations/0001_x.sql", NODE), ("migrations/0001_y.js", "")]);
    assert!(message.contains("0001_y.js: node-pg-migrate would run this"), "{message}");
    let message = error(&[("migrations/0001_a-b.sql", NODE), ("migrations/0001_ab.sql", NODE)]);
    assert!(message.contains("which comes first"), "{message}");
}

#[test]
fn sections_of_other_tools_are_refused_by_name() {
    for (text, tool) in [
        (NODE, "node-pg-migrate"),
        ("CREATE TABLE a ();\n---- create above / drop below ----\nDROP TABLE a;\n", "tern"),
        ("-- // a\nCREATE TABLE a ();\n-- //@UNDO\nDROP TABLE a;\n", "MyBatis"),
        ("-- !Ups\nCREATE TABLE a ();\n-- !Downs\nDROP TABLE a;\n", "Play"),
        ("# --- !Ups\nCREATE TABLE a ();\n# --- !Downs\nDROP TABLE a;\n", "Play"),
        ("-- rambler up\nCREATE TABLE a ();\n-- rambler down\nDROP TABLE a;\n", "rambler"),
    ] {
        let config = "[[migrations]]\npath = \"sql\"\nconvention = \"numbered\"\n";
        let message = error(&[("cutover.toml", config), ("sql/1_a.sql", text)]);
        assert!(message.contains(&format!("sql/1_a.sql: the file has sections of {tool}")), "{message}");
        // Behind what is read at once.
        let long = format!("SELECT 1;\n{}{text}", "SELECT 'é';\n".repeat(100_000));
        let message = error(&[("cutover.toml", config), ("sql/1_a.sql", &long)]);
        assert!(message.contains(tool), "{message}");
    }
}

#[test]
fn hostile_names_are_read_like_any_others() {
    let long = format!("1_{}.sql", "x".repeat(300));
    let names = [
        "1_a\nb.sql",
        "٣_a.sql",
        "1_\u{202e}lqs.sql",
        "1_a\u{0}.sql",
        long.as_str(),
        "18446744073709551616_a.sql",
    ];
    for convention in conventions::all() {
        for name in names {
            for path in [name.to_owned(), format!("{name}/up.sql"), format!("committed/{name}")] {
                let reading = read(convention.name(), &[&path]);
                assert_eq!(reading.paths().collect::<Vec<_>>(), [path.as_str()], "{}", convention.name());
            }
        }
    }
    // Digits of other alphabets are no numbers.
    assert!(order("numbered", &["٣_a.sql"]).is_empty() && order("refinery", &["V٣__a.sql"]).is_empty());
}

#[test]
fn folders_are_found_and_told_apart() {
    let cases: [(&str, &[(&str, &str)]); 16] = [
        ("node-pg-migrate", &[("migrations/1_a.sql", NODE), ("migrations/2_b.sql", "")]),
        // What heads a file of a pair says only what it is.
        (
            "golang-migrate",
            &[
                ("migrations/1_a.up.sql", "-- Up Migration\nA;\n"),
                ("migrations/1_a.down.sql", "-- Down Migration\n"),
            ],
        ),
        ("golang-migrate", &[("migrations/1_a.up.sql", ""), ("migrations/1_a.down.sql", "")]),
        ("sqlx", &[("migrations/1_a.sql", ""), ("migrations/2_b.sql", "-- no-transaction\n")]),
        ("sqlx", &[("migrations/1_a.up.sql", "-- no-transaction\n"), ("migrations/1_a.down.sql", "")]),
        ("diesel", &[("migrations/2026-01-02-030405_a/up.sql", ""), ("migrations/.keep", "")]),
        ("refinery", &[("migrations/U1__a.sql", ""), ("migrations/U2__b.sql", "")]),
        (
            "refinery",
            &[
                ("db/migrations/V1__a.sql", ""),
                ("db/migrations/U2__b.sql", ""),
                ("Cargo.toml", "refinery = \"0.8\"\n"),
            ],
        ),
        ("flyway", &[("db/migration/V1__a.sql", ""), ("db/migration/U1__a.sql", "")]),
        ("flyway", &[("src/main/resources/db/migration/V1__a.sql", "")]),
        ("dbmate", &[("db/migrations/1_a.sql", "-- migrate:up\n")]),
        ("goose", &[("migrations/1_a.sql", "-- about\n-- +goose Up\n")]),
        ("supabase", &[("supabase/migrations/1_a.sql", ""), ("supabase/config.toml", "")]),
        ("prisma", &[("prisma/migrations/1_a/migration.sql", ""), ("prisma/schema.prisma", "")]),
        ("graphile-migrate", &[("migrations/committed/000001.sql", "--! Previous: -\n--! Hash: sha1:a\n")]),
        ("sqitch", &[("sqitch.plan", "%project=x\na\n"), ("deploy/a.sql", "")]),
    ];
    for (expected, files) in cases {
        let project = load(&folder(files)).unwrap();
        assert_eq!(convention(&project), expected);
        assert_eq!(project.migrations.first().map(|first| first.path.is_empty()), Some(false));
    }
    let conf = "[core]\n\tengine = pg\n\ttop_dir = database/plan\n";
    let files =
        [("sqitch.conf", conf), ("database/plan/sqitch.plan", "a\n"), ("database/plan/deploy/a.sql", "")];
    let project = load(&folder(&files)).unwrap();
    assert_eq!((convention(&project), project.roots[0].path.as_str()), ("sqitch", "database/plan"));
    for (files, part) in [
        ([("db/migrate/20260102030405_users.rb", ""), ("Gemfile", "")], "Rails"),
        ([("alembic/versions/1975ea83b712_users.py", ""), ("alembic.ini", "")], "alembic upgrade"),
        ([("migrations/versions/1975ea83b712_users.py", ""), ("migrations/env.py", "")], "alembic upgrade"),
        ([("priv/repo/migrations/20260102030405_users.exs", ""), ("mix.exs", "")], "Ecto"),
        (
            [
                ("priv/repo/migrations/20260102030405_users.exs", ""),
                ("cutover.toml", "[project]\nname = \"p\"\n"),
            ],
            "Ecto",
        ),
        ([("shop/migrations/0001_initial.py", ""), ("manage.py", "")], "sqlmigrate shop 0001"),
        (
            [("migrations/1_a.sql", "-- +goose Up\n"), ("migrations/2_a.sql", "-- migrate:up\n")],
            "several conventions",
        ),
    ] {
        let message = error(&files);
        assert!(message.contains(part), "{message}");
    }
    assert!(matches!(load(&folder(&[("README.md", "")])), Err(ProjectError::NotFound { .. })));
}

#[test]
fn a_way_back_of_nothing_does_not_make_a_folder_of_flyway_one_of_refinery() {
    let (one, two, alone) =
        (("sql/V1__a.sql", ""), ("sql/V2__b.sql", ""), ("sql/U3__gone.sql", "DROP TABLE a;"));
    let message = error(&[one, two, alone]);
    assert!(
        message.contains("U3__gone.sql is there without a V3: to refinery it is a migration")
            && message.contains("convention = "),
        "{message}"
    );
    for sign in [
        "sql/R__v.sql",
        "sql/B2__all.sql",
        "sql/U1__a.sql",
        "sql/V2.1__c.sql",
        "sql/V1__a.sql.conf",
        "flyway.conf",
        "sql/flyway.toml",
    ] {
        let project = load(&folder(&[one, two, alone, (sign, "")])).unwrap();
        assert_eq!(convention(&project), "flyway", "{sign}");
        assert!(project.migrations.iter().all(|migration| migration.path != alone.0), "{sign}");
        let near: Vec<&str> = project.near_misses().map(|stray| stray.path.as_str()).collect();
        assert_eq!(near, [alone.0], "{sign}");
    }
    let config = |name| format!("[[migrations]]\npath = \"sql\"\nconvention = \"{name}\"\n");
    for (name, count) in [("flyway", 2), ("refinery", 3)] {
        let project = load(&folder(&[("cutover.toml", &config(name)), one, two, alone])).unwrap();
        assert_eq!(project.migrations.len(), count, "{name}");
    }
}

#[test]
fn settings_of_flyway_are_followed_or_refused() {
    const CONF: &str = "# where\r\nflyway.url = jdbc:postgresql://x/y\r\nflyway.locations = filesystem:./db/moves\nflyway.defaultSchema=inv\n\
                        flyway.schemas=one,two\nflyway.placeholders.role = app\nflyway.outOfOrder=true\nflyway.sqlMigrationPrefix=V\n";
    const TOML: &str = "[flyway]\nlocations = [\"filesystem:db/moves\"]\noutOfOrder = true\nenvironment = \"ci\"\n\
                        [flyway.placeholders]\nrole = \"app\"\n[environments.ci]\nurl = \"jdbc:x\"\nschemas = [\"inv\", \"two\"]\n";
    let (one, repeatable) = (("db/moves/V1__a.sql", "GRANT x TO ${role};"), ("db/moves/R__b.sql", ""));
    for (file, text, said) in [("flyway.conf", CONF, "flyway.conf:4"), ("flyway.toml", TOML, "flyway.toml:9")]
    {
        let project = load(&folder(&[one, repeatable, (file, text)])).unwrap();
        assert_eq!((project.roots[0].path.as_str(), convention(&project)), ("db/moves", "flyway"));
        let schema = project.default_schema.as_ref().unwrap();
        assert_eq!((schema.name.as_str(), schema.said.as_str()), ("inv", said));
        assert_eq!(project.vars.get("role"), Some("app"));
        assert_eq!((project.migrations[0].any_time, project.migrations[1].any_time), (true, false));
    }
    // What is said of the project goes before, and what is not Flyway's is not looked at.
    let config = "[vars]\nrole = \"mine\"\n[[migrations]]\npath = \"db/moves\"\n";
    let project = load(&folder(&[("cutover.toml", config), one, ("flyway.conf", CONF)])).unwrap();
    assert_eq!(project.vars.get("role"), Some("mine"));
    let project =
        load(&folder(&[("migrations/1_a.sql", ""), ("flyway.conf", "flyway.initSql=SELECT 1\n")])).unwrap();
    assert!(project.default_schema.is_none());
    for (file, text, place, part) in [
        (
            "flyway.conf",
            "flyway.sqlMigrationPrefix=M\n",
            1,
            "flyway.sqlMigrationPrefix = M: is not supported",
        ),
        ("flyway.conf", "\nflyway.initSql=SET x = 1\n", 2, "flyway.initSql"),
        ("flyway.conf", "flyway.placeholders.a=${HOME}\n", 1, "a value of the environment"),
        ("flyway.conf", "flyway.locations=s3:bucket\n", 1, "is no folder of this project"),
        ("flyway.conf", "flyway.locations=filesystem:db/moves,filesystem:x\n", 1, "several folders"),
        ("flyway.toml", "[flyway]\nplaceholderPrefix = \"#{\"\n", 2, "flyway.placeholderPrefix"),
        ("flyway.toml", "[flyway]\nsqlMigrationSuffixes = [\".sql\", \".pks\"]\n", 2, ".sql,.pks"),
    ] {
        let config = "[[migrations]]\npath = \"db/moves\"\n";
        let message = error(&[("cutover.toml", config), one, (file, text)]);
        assert!(message.contains(&format!("{file}:{place}:1: ")) && message.contains(part), "{message}");
    }
}

#[test]
fn callbacks_of_flyway_are_refused() {
    let one = ("sql/V1__a.sql", "");
    for name in [
        "beforeMigrate.sql",
        "afterMigrate__grants.sql",
        "deep/beforeEachMigrateStatement.sql",
        "afterConnect.sh",
    ] {
        let path = format!("sql/{name}");
        let message = error(&[one, (&path, "SELECT 1;")]);
        assert!(message.contains(&format!("{path}: a callback, which Flyway would run")), "{message}");
    }
    // Those of other commands are pointed out, and what is only called so is something else.
    let files = [
        one,
        ("sql/afterCleanError.sql", ""),
        ("sql/beforeEachUndo__x.sql", ""),
        ("sql/afterMigrateX.sql", ""),
    ];
    let project = load(&folder(&files)).unwrap();
    let near: Vec<&str> = project.near_misses().map(|stray| stray.path.as_str()).collect();
    assert_eq!(near, ["sql/afterCleanError.sql", "sql/beforeEachUndo__x.sql"]);
    let project = load(&folder(&[("sql/1_a.sql", ""), ("sql/afterMigrate.sql", "")])).unwrap();
    assert_eq!(convention(&project), "numbered");
    let message = error(&[one, ("sql/V1__a.sql.conf", "executeInTransaction = FALSE # hi")]);
    assert!(message.contains("is `FALSE # hi`, neither true nor false"), "{message}");
}

#[test]
fn the_way_back_belongs_to_its_migration() {
    let cases: [&[(&str, &str)]; 4] = [
        &[("migrations/1_a.up.sql", "up"), ("migrations/1_a.down.sql", "down")],
        &[("migrations/V1__a.sql", "up"), ("migrations/U1__b.sql", "down")],
        &[("migrations/2026_a/up.sql", "up"), ("migrations/2026_a/down.sql", "down")],
        &[("migrations/2026_a/migration.sql", "up"), ("migrations/2026_a/down.sql", "down")],
    ];
    for files in cases {
        let migration = one(files);
        let down = migration.down.unwrap();
        assert_eq!((migration.path.as_str(), down.path.as_str()), (files[0].0, files[1].0));
        assert_eq!(down.checksums, super::super::text::checksums(b"down").unwrap());
    }
}

#[test]
fn what_says_that_it_runs_without_a_transaction_is_heard() {
    let cases: [&[(&str, &str)]; 7] = [
        &[("migrations/1_a.sql", "-- no-transaction\nSELECT 1;")],
        &[("migrations/1_a.up.sql", "-- no-transaction\nSELECT 1;")],
        &[
            ("migrations/2026_a/up.sql", ""),
            ("migrations/2026_a/metadata.toml", "run_in_transaction = false"),
        ],
        &[("migrations/V1__a.sql", ""), ("migrations/V1__a.sql.conf", "# x\nexecuteInTransaction = false\n")],
        &[("migrations/1_a.sql", "-- migrate:up transaction:false\nSELECT 1;")],
        &[("migrations/1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;")],
        &[(
            "migrations/committed/000001.sql",
            "--! Previous: -\n--! Hash: sha1:a\n\n--! no-transaction\nSELECT 1;",
        )],
    ];
    for files in cases {
        assert!(one(files).no_transaction, "{files:?}");
    }
    let with: [&[(&str, &str)]; 3] = [
        &[("migrations/2026_a/up.sql", ""), ("migrations/2026_a/metadata.toml", "run_in_transaction = true")],
        &[("migrations/V1__a.sql", ""), ("migrations/V1__a.sql.conf", "executeInTransaction=true\n")],
        &[(
            "migrations/committed/000001.sql",
            "--! Previous: -\n--! Hash: sha1:a\n\nSELECT 1;\n--! no-transaction",
        )],
    ];
    for files in with {
        assert!(!one(files).no_transaction, "{files:?}");
    }
    let message = error(&[("sql/V1__a.sql", ""), ("sql/V1__a.sql.conf", "encoding=UTF-16")]);
    assert!(message.contains("V1__a.sql.conf: the setting `encoding` is not supported"), "{message}");
}

#[test]
fn only_the_section_that_goes_forward_is_a_migration() {
    let text = "-- about\r\n-- migrate:up\r\nCREATE TABLE a ();\r\n\r\n-- migrate:down\r\nDROP TABLE a;\r\n";
    let files = folder(&[("db/migrations/1_a.sql", text)]);
    assert_eq!(up(&files, 0), "CREATE TABLE a ();\n\n");
    let before = load(&files).unwrap().migrations.remove(0);
    super::write(files.path(), "db/migrations/1_a.sql", text.replace("DROP", "-- x\r\nDROP").as_bytes());
    let after = load(&files).unwrap().migrations.remove(0);
    assert_eq!(before.checksums.normalised, after.checksums.normalised);
    assert_ne!(before.checksums.raw, after.checksums.raw);
    assert_ne!(before.down.unwrap().checksums.normalised, after.down.unwrap().checksums.normalised);
    let text = "-- migrate:up\nA;\n-- migrate:down\nB;\n-- migrate:up\nC;\n-- migrate:down\nD;";
    assert_eq!(up(&folder(&[("db/migrations/1_a.sql", text)]), 0), "A;\nC;\n");
    let text = "-- +goose up\nA;\n-- +goose DOWN\nB;\n";
    assert_eq!(up(&folder(&[("migrations/1_a.sql", text)]), 0), "A;\n");
    let text = "\n-- +goose Up\n-- +goose StatementBegin\nA;\n-- +goose StatementEnd\n-- +goose Down\nB;\n";
    let files = folder(&[("migrations/1_a.sql", text)]);
    assert_eq!(up(&files, 0), "-- +goose StatementBegin\nA;\n-- +goose StatementEnd\n");
    // A file that is larger than what is read at once.
    let large = format!("-- +goose Up\n{}-- +goose Down\nB;\n", "SELECT 'é';\n".repeat(200_000));
    let files = folder(&[("migrations/1_a.sql", &large)]);
    assert_eq!(up(&files, 0).len(), "SELECT 'é';\n".len() * 200_000);
}

#[test]
fn sections_that_the_tool_refuses_are_refused_with_their_lines() {
    let cases = [
        ("-- migrate:up\nA;\n", "SELECT 1;\n-- migrate:up\n", "2_b.sql:1:1: a statement stands above"),
        ("-- migrate:up\nA;\n", "SELECT 1;\n", "2_b.sql:1:1: it has no `-- migrate:up`"),
        (
            "-- migrate:up\nA;\n",
            "-- migrate:down\n-- migrate:up\n",
            "2_b.sql:1:1: `-- migrate:down` stands above",
        ),
        (
            "-- migrate:up\nA;\n",
            "-- migrate:up transaction:false\n-- migrate:down\n-- migrate:up\n",
            "2_b.sql:3:1: the blocks of one file",
        ),
        ("-- +goose Up\nA;\n", "SELECT 1;\n", "2_b.sql:1:1: a statement stands above"),
        ("-- +goose Up\nA;\n", "-- +goose Up\n-- +goose ENVSUB ON\n", "2_b.sql:2:1: goose would fill in"),
        (
            "-- +goose Up\nA;\n",
            "-- +goose Up\n-- +goose StatementBegin\n",
            "2_b.sql:2:1: `-- +goose StatementBegin` without",
        ),
        (
            "-- +goose Up\nA;\n",
            "-- +goose Up\n-- +goose StatementEnd\n",
            "2_b.sql:2:1: `-- +goose StatementEnd` without",
        ),
        ("-- +goose Up\nA;\n", "-- +goose Down\n", "2_b.sql:1:1: `-- +goose Down` without"),
        ("-- +goose Up\nA;\n", "-- +goose Up\n -- +goose Down\n", "2_b.sql:2:1: an annotation behind blanks"),
        (
            "-- +goose Up\nA;\n",
            "-- +goose Up\n-- +goose Upp\n",
            "2_b.sql:2:1: an annotation that is not known",
        ),
        ("-- +goose Up\nA;\n", "-- +goose Up\n-- +goose Up\n", "2_b.sql:2:1: a second"),
    ];
    for (first, second, expected) in cases {
        let message = error(&[("migrations/1_a.sql", first), ("migrations/2_b.sql", second)]);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn committed_migrations_are_a_chain() {
    let first = ("migrations/committed/000001.sql", "--! Previous: -\n--! Hash: sha1:a\n\nSELECT 1;\n");
    let chained =
        ("migrations/committed/000002.sql", "--! Previous: sha1:a\n--! Hash: sha1:b\n\nSELECT 2;\n");
    assert_eq!(versions(&load(&folder(&[first, chained])).unwrap()), ["000001", "000002"]);
    let other = (chained.0, "--! Previous: sha1:x\n--! Hash: sha1:b\n\n");
    let message = error(&[first, other]);
    assert!(
        message.contains("000002.sql: it follows sha1:x, and committed/000001.sql before it is sha1:a"),
        "{message}"
    );
    let message = error(&[first, (chained.0, "SELECT 2;\n")]);
    assert!(message.contains("does not begin with `--! Previous:`"), "{message}");
    let named =
        (chained.0, "--! Previous: sha1:a\n--! Hash: sha1:b\n\nALTER DATABASE :DATABASE_NAME SET x = 1;\n");
    let message = error(&[first, named]);
    assert!(message.contains("000002.sql:4:1: the placeholder :DATABASE_NAME"), "{message}");
}

#[test]
fn a_committed_migration_is_what_was_committed() {
    // The SHA-1 of "\nSELECT 1;\n" without the line feed before it.
    let hash = super::super::text::hex(&<sha1::Sha1 as sha1::Digest>::digest("SELECT 1;\n"));
    let text = |body: &str, more: &str| format!("--! Previous: -\n--! Hash: sha1:{hash}\n{more}\n{body}");
    let path = "migrations/committed/000001.sql";
    for same in ["SELECT 1;\n", "\nSELECT 1;\n\n"] {
        load(&folder(&[(path, &text(same, ""))])).unwrap();
    }
    load(&folder(&[(path, &text("SELECT 1;\n", "").replace('\n', "\r\n"))])).unwrap();
    let message = error(&[(path, &text("SELECT 2;\n", ""))]);
    assert!(message.contains("000001.sql: it is not what was committed: its hash is sha1:"), "{message}");
    load(&folder(&[(path, &text("SELECT 2;\n", "--! AllowInvalidHash\n"))])).unwrap();
}

#[test]
fn prisma_migrations_are_for_this_database() {
    let migration = ("prisma/migrations/1_a/migration.sql", "");
    let lock = |provider| ("prisma/migrations/migration_lock.toml", provider);
    load(&folder(&[migration, lock("provider = \"postgresql\"\n")])).unwrap();
    let message = error(&[migration, lock("provider = \"mysql\"\n")]);
    assert!(message.contains("migration_lock.toml: these migrations are written for mysql"), "{message}");
}

const PLAN: &str = "%syntax-version=1.0.0
%project=shop

users 2026-01-02T03:04:05Z Ann <ann@example.org> # Users [of a kind]
+ orders [users !carts] 2026-01-02T03:04:05Z Ann <ann@example.org>
@v1.0 2026-01-02T03:04:05Z Ann <ann@example.org> # First
# rework
users [users@v1.0 shop:orders @v1.0] 2026-01-02T03:04:05Z Ann <ann@example.org>
more/items [users]
";

#[test]
fn a_plan_of_sqitch_is_the_order() {
    let files = [
        ("sqitch.plan", PLAN),
        ("deploy/users@v1.0.sql", "1"),
        ("deploy/orders.sql", "2"),
        ("deploy/users.sql", "3"),
        ("deploy/more/items.sql", "4"),
        ("revert/users@v1.0.sql", ""),
        ("verify/users.sql", ""),
        ("verify/users@v1.0.sql", "SELECT 1 / 0;"),
        ("deploy/left.sql", ""),
    ];
    let project = load(&folder(&files)).unwrap();
    assert_eq!(versions(&project), ["users@v1.0", "orders", "users", "more/items"]);
    let of = |index: usize| &project.migrations[index];
    let keys: Vec<String> = project.migrations.iter().map(|migration| migration.id.version.key()).collect();
    assert_eq!(keys, ["=users", "=orders", "+2=users", "=more/items"]);
    assert_eq!(of(0).down.as_ref().unwrap().path, "revert/users@v1.0.sql");
    assert_eq!(of(2).verify.as_ref().unwrap().1, "verify/users.sql");
    assert!(of(0).verify.is_none(), "what was reworked is not looked at any more");
    assert_eq!(of(1).claims.requires, ["./users@v1.0"]);
    assert_eq!(of(2).claims.requires, ["./users@v1.0", "./orders", "./orders"]);
    assert_eq!(of(3).claims.requires, ["./users"]);
    let near: Vec<&str> = project.near_misses().map(|stray| stray.path.as_str()).collect();
    assert_eq!(near, ["deploy/left.sql"]);
}

#[test]
fn a_plan_that_is_compiled_in_has_its_scripts_too() {
    let files: [(&str, &[u8]); 4] =
        [("sqitch.plan", b"a\n"), ("deploy/a.sql", b"1"), ("revert/a.sql", b"2"), ("verify/a.sql", b"3")];
    let project = Project::embedded("p", &files).unwrap();
    let migration = &project.migrations[0];
    let (crate::migration::Source::Embedded(verify), path) = *migration.verify.clone().unwrap() else {
        panic!()
    };
    assert_eq!((&*verify, path.as_str()), (b"3".as_slice(), "verify/a.sql"));
    assert_eq!(migration.down.as_ref().unwrap().path, "revert/a.sql");
}

#[test]
fn what_a_plan_of_sqitch_says_wrong_has_its_line() {
    let cases = [
        ("a\n-b\n", "sqitch.plan:2:1: a line that reverts"),
        ("a\na\n", "sqitch.plan:2:1: a is in the plan already"),
        ("a [b]\n", "sqitch.plan:1:1: it requires b, which is not in the plan before it"),
        ("a [other:b]\n", "sqitch.plan:1:1: other:b is a change of another project, other"),
        ("a\nb [!a]\n", "sqitch.plan:2:1: it conflicts with a"),
        ("a\nb\n", "sqitch.plan:2:1: the change b has no file deploy/b.sql"),
        ("a [b\n", "sqitch.plan:1:1: the list of what it depends on has no end"),
        ("../a\n", "sqitch.plan:1:1: this is no name"),
        ("a\n@v1\n@v1\n", "sqitch.plan:3:1: @v1 is no new tag"),
    ];
    for (plan, expected) in cases {
        let message = error(&[("sqitch.plan", plan), ("deploy/a.sql", "")]);
        assert!(message.contains(expected), "{message}");
    }
    let conf = "[core]\n  deploy_dir = up\n";
    let message = error(&[("sqitch.plan", "a\n"), ("deploy/a.sql", ""), ("sqitch.conf", conf)]);
    assert!(message.contains("sqitch.conf:2:1: deploy_dir = up is not supported"), "{message}");
}

#[test]
fn new_files_are_of_the_same_convention() {
    const NOW: u64 = 20_261_120_114_700;
    let cases: [(Files, &[&str]); 13] = [
        (&[("migrations/1591343909074_a.sql", NODE)], &["migrations/1795175220000_add_b.sql"]),
        (&[("migrations/20200513070724505_a.sql", NODE)], &["migrations/20261120114700000_add_b.sql"]),
        (&[("migrations/0009_a.sql", NODE)], &["migrations/0010_add_b.sql"]),
        (
            &[("migrations/000001_a.up.sql", ""), ("migrations/000001_a.down.sql", "")],
            &["migrations/000002_add_b.up.sql", "migrations/000002_add_b.down.sql"],
        ),
        (&[("migrations/1_a.sql", "-- no-transaction\n")], &["migrations/2_add_b.sql"]),
        (
            &[("migrations/20250101000000_a.up.sql", "-- no-transaction\n")],
            &["migrations/20261120114700_add_b.up.sql", "migrations/20261120114700_add_b.down.sql"],
        ),
        (
            &[("migrations/2025-01-01-000000_a/up.sql", "")],
            &["migrations/2026-11-20-114700_add_b/up.sql", "migrations/2026-11-20-114700_add_b/down.sql"],
        ),
        (&[("migrations/U1__a.sql", "")], &["migrations/U2__add_b.sql"]),
        (
            &[("migrations/V1__a.sql", ""), ("migrations/U1__a.sql", "")],
            &["migrations/V2__add_b.sql", "migrations/U2__add_b.sql"],
        ),
        (&[("db/migrations/1_a.sql", "-- migrate:up\n")], &["db/migrations/20261120114700_add_b.sql"]),
        (&[("migrations/00001_a.sql", "-- +goose Up\n")], &["migrations/00002_add_b.sql"]),
        (&[("supabase/migrations/1_a.sql", "")], &["supabase/migrations/20261120114700_add_b.sql"]),
        (
            &[("prisma/migrations/1_a/migration.sql", "")],
            &["prisma/migrations/20261120114700_add_b/migration.sql"],
        ),
    ];
    for (files, expected) in cases {
        let folder = folder(files);
        let before = load(&folder).unwrap();
        let made = before.create_migration("add b", None, NOW).unwrap();
        let made: Vec<&str> = made.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(made, expected);
        let after = load(&folder).unwrap();
        assert_eq!(
            (convention(&after), after.migrations.len()),
            (convention(&before), before.migrations.len() + 1)
        );
        assert_eq!(after.migrations.last().unwrap().path, expected[0]);
        assert!(up(&folder, before.migrations.len()).contains("-- add b\n"));
    }
    for (files, part) in [
        ([("sqitch.plan", "a\n"), ("deploy/a.sql", "")], "sqitch add add_b"),
        (
            [("migrations/committed/000001.sql", "--! Previous: -\n--! Hash: a\n"), ("x", "")],
            "graphile-migrate commit",
        ),
    ] {
        let why =
            load(&folder(&files)).unwrap().create_migration("add b", None, NOW).unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    }
}
