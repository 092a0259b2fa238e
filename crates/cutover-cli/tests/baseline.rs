//! Databases that were made without the tool.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, says};

const HISTORY: &str =
    "SELECT string_agg(version_text || ' ' || attempts, ',' ORDER BY version) FROM cutover.migration";

fn place() -> Place {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (id serial PRIMARY KEY, n int CHECK (n > 0)); CREATE INDEX a_n ON a (n); CREATE TABLE gone (n int);",
    );
    place.write(
        "migrations/0002_b.sql",
        "DROP TABLE gone; ALTER TABLE a ADD COLUMN m int; CREATE TYPE mood AS ENUM ('good');\n\
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE ROLE nobody_looks_for;",
    );
    place.write("migrations/0003_c.sql", "CREATE TABLE c (n int);");
    place
}

fn by_hand(place: &Place) {
    place.database().run(
        "CREATE TABLE a (id serial PRIMARY KEY, n int CHECK (n > 0)); CREATE INDEX a_n ON a (n);
         ALTER TABLE a ADD COLUMN m int; CREATE TYPE mood AS ENUM ('good');
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
}

#[test]
fn what_is_there_is_recorded_and_the_rest_is_applied() {
    let place = place();
    by_hand(&place);
    let asked = place.run(&["baseline", "0002"]).ends_with(2);
    let name = place.database().name().to_owned();
    says(
        &asked,
        &[
            "this has to be confirmed, and there is no terminal to ask on: in database ",
            &format!("{name}, up to 0002:\n  migrations/0001_a.sql\n  migrations/0002_b.sql\n"),
            "Record these 2 migrations as applied without running them?",
        ],
    );
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    let recorded = place.run(&["baseline", "0002", "--yes"]).ends_with(0);
    assert_eq!(
        recorded.stdout,
        "what the files make was built on a throwaway server and compared with the database: 1 table with its columns, constraints, \
         indexes, triggers and policies and 3 other objects, and all of it agrees\n\
         recorded as applied, and not run: 2 migrations, up to 0002\n"
    );
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0");
    let report = place.run(&["report"]).ends_with(0);
    assert!(report.stdout.contains("recorded as applied without being run (baseline)"), "{}", report.stdout);
    place.run(&["status", "--exit-code"]).ends_with(1);
    says(
        &place.run(&["baseline", "0003", "--allow", "baseline-missing"]).ends_with(2),
        &["(2 up to there are applied)", "Record this migration"],
    );
    place.run(&["apply"]).ends_with(0);
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0,0003 1");
    // What was applied and has gone since is not the baseline's concern.
    place.database().run("DROP TABLE c");
    let again = place.run(&["baseline", "0003"]).ends_with(0);
    assert_eq!(again.stdout, "nothing to record: everything up to 0003 is applied\n");
    let text = place.run(&["status", "--show", "0003"]).ends_with(0);
    assert!(text.stdout.contains("CREATE TABLE c"), "{}", text.stdout);
}

#[test]
fn what_is_not_there_is_named_and_nothing_recorded() {
    let place = place();
    by_hand(&place);
    place.database().run("ALTER TABLE a DROP COLUMN m; DROP INDEX a_n; DROP TYPE mood");
    // It looks before it asks.
    let refused = place.run(&["baseline", "0003"]).ends_with(1);
    assert!(!refused.stderr.contains("confirmed"), "{}", refused.stderr);
    says(
        &refused,
        &[
            "migrations/0001_a.sql creates index a_n, which is not in the database",
            "migrations/0002_b.sql creates column a.m, which is not in the database",
            "migrations/0002_b.sql creates type mood, which is not in the database",
            "migrations/0003_c.sql creates table c, which is not in the database",
            "nothing was recorded",
            "--allow baseline-missing",
        ],
    );
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    let accepted = ["baseline", "0003", "--allow", "baseline-missing"];
    let missing = "warning: migrations/0003_c.sql creates table c, which is not in the database";
    says(&place.run(&accepted).ends_with(2), &[missing, "Record these 3 migrations"]);
    says(&place.run(&[&accepted[..], &["--yes"]].concat()).ends_with(0), &[missing]);
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0,0003 0");
    says(&place.run(&["baseline", "0009"]).ends_with(2), &["no migration has version 0009"]);
}

#[test]
fn a_migration_that_is_half_applied_is_not_recorded_over() {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (n int);\n-- cutover: new-transaction\nSELECT 1 / 0;",
    );
    place.run(&["apply"]).ends_with(4);
    let refused = place.run(&["baseline", "0001"]).ends_with(1);
    says(&refused, &["migrations/0001_a.sql is applied in part", "nothing was recorded"]);
}

#[test]
fn what_is_renamed_within_a_file_and_roles_that_files_make_are_in_nobodys_way() {
    let place = Place::new();
    let role = testkit::role("");
    let made = "CREATE TABLE was (n int); ALTER TABLE was RENAME TO a; ALTER TABLE a RENAME COLUMN n TO m;
                CREATE VIEW old AS SELECT m FROM a; ALTER VIEW old RENAME TO v;
                CREATE TABLE gone (n int); DROP TABLE gone;
                DO $$ BEGIN CREATE TABLE by_code (n int); END $$;";
    place.write(
        "migrations/0001_a.sql",
        &format!("CREATE ROLE {0};{made} GRANT SELECT ON v TO {0};", role.name),
    );
    place.write("migrations/0002_b.sql", "ALTER TABLE by_code ADD o int DEFAULT 3;");
    place.database().run(made);
    let lacks = place.run(&["baseline", "0002", "--yes"]).ends_with(1);
    says(
        &lacks,
        &[
            "migrations/0002_b.sql creates column by_code.o, which is not in the database\nnothing was recorded",
        ],
    );
    assert!(!lacks.stderr.contains("throwaway"), "{}", lacks.stderr);
    place.database().run("ALTER TABLE by_code ADD o int DEFAULT 3");
    place.run(&["baseline", "0002", "--yes"]).ends_with(0);
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0");
}

const FILES: [(&str, &str); 2] = [
    (
        "migrations/0001_a.sql",
        "CREATE TYPE mood AS ENUM ('good', 'bad');
         CREATE TABLE a (id int PRIMARY KEY, n int NOT NULL DEFAULT 7, t text, CONSTRAINT few CHECK (n < 10));
         CREATE INDEX a_t ON a (t); CREATE SEQUENCE s INCREMENT 2; CREATE VIEW v AS SELECT id FROM a;
         CREATE DOMAIN positive AS int CHECK (VALUE > 0);
         CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS $$\nSELECT x + 1\n$$;
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
         CREATE TRIGGER touched BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION touch();
         CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
         CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;",
    ),
    ("migrations/0002_b.sql", "ALTER TABLE a ALTER t SET NOT NULL;"),
];

/// Each change by hand, and what is said of it.
const BY_HAND: [(&str, &str); 18] = [
    (
        "ALTER TABLE a DROP CONSTRAINT few, ADD CONSTRAINT few CHECK (n < 11)",
        "0001_a.sql: not as the files make it: ~ constraint a.few: definition CHECK ((n < 10)) → CHECK ((n < 11))",
    ),
    (
        "ALTER TABLE a ALTER n TYPE bigint",
        "0001_a.sql: not as the files make it: ~ column a.n: type integer → bigint",
    ),
    (
        "ALTER TABLE a ALTER n DROP NOT NULL",
        "0001_a.sql: not as the files make it: ~ column a.n: not null no longer",
    ),
    (
        "ALTER TABLE a ALTER n SET DEFAULT 8",
        "0001_a.sql: not as the files make it: ~ default a.n: expression 7 → 8",
    ),
    (
        "ALTER TABLE a ALTER t DROP NOT NULL",
        "0002_b.sql: not as the files make it: ~ column a.t: not null no longer",
    ),
    (
        "DROP INDEX a_t; CREATE INDEX a_t ON a (t, n)",
        "0001_a.sql: not as the files make it: ~ index a_t: definition CREATE INDEX a_t ON public.a USING btree (t) → ",
    ),
    ("ALTER TABLE a ADD extra int DEFAULT 3", "0001_a.sql: not as the files make it: + column a.extra\n"),
    (
        "ALTER SEQUENCE s INCREMENT 3",
        "0001_a.sql: not as the files make it: ~ sequence s: options −INCREMENT BY 2 +INCREMENT BY 3",
    ),
    (
        "CREATE OR REPLACE VIEW v AS SELECT n AS id FROM a",
        "0001_a.sql: not as the files make it: ~ view v: definition ",
    ),
    (
        "ALTER VIEW v SET (security_barrier)",
        "0001_a.sql: not as the files make it: ~ view v: options +security_barrier=true",
    ),
    (
        "ALTER TABLE a REPLICA IDENTITY FULL",
        "0002_b.sql: not as the files make it: ~ table a: replica identity now FULL",
    ),
    (
        "ALTER DOMAIN positive SET NOT NULL",
        "0001_a.sql: not as the files make it: ~ domain positive: now not null",
    ),
    ("ALTER SEQUENCE s CYCLE", "0001_a.sql: not as the files make it: ~ sequence s: options +CYCLE"),
    (
        "CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE sql AS $$\nSELECT x + 2\n$$",
        "0001_a.sql: not as the files make it: ~ function f(integer): definition line 5: `SELECT x + 1` → `SELECT x + 2`",
    ),
    ("ALTER TYPE mood ADD VALUE 'so-so'", "0001_a.sql: not as the files make it: ~ type mood: values +so-so"),
    (
        "ALTER TABLE a DISABLE TRIGGER touched",
        "0001_a.sql: not as the files make it: ~ trigger a.touched: fires now DISABLE",
    ),
    (
        "DROP AGGREGATE total(int); CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '1')",
        "0001_a.sql: not as the files make it: ~ aggregate total(integer): definition ",
    ),
    (
        "ALTER SERVER elsewhere OPTIONS (ADD host 'x')",
        "0001_a.sql: not as the files make it: ~ server elsewhere: foreign options +host=x",
    ),
];

#[test]
fn what_is_otherwise_in_the_database_is_said_by_its_parts_and_files() {
    for (change, said) in BY_HAND {
        let place = Place::new();
        for (path, text) in FILES {
            place.write(path, text);
            place.database().run(text);
        }
        place.database().run(
            "CREATE TABLE of_others (n int); COMMENT ON TABLE a IS 'by hand';
             GRANT SELECT ON a TO PUBLIC; COMMENT ON COLUMN v.id IS 'by hand'",
        );
        place.database().run(change);
        // Built on a server that is there: sooner than on one of its own each time.
        let url = place.database().url();
        let run = |more: &[&str]| {
            place.run(
                &[&["baseline", "0002", "--yes", "--dev-url", &url, "--allow-url-password"], more].concat(),
            )
        };
        let refused = run(&[]).ends_with(1);
        let error = format!("error: migrations/{said}");
        says(&refused, &[&error, "of_others\nnothing was recorded", "--allow baseline-differs"]);
        assert!(!refused.stderr.contains("baseline-missing"), "{}", refused.stderr);
        run(&["--allow", "baseline-missing"]).ends_with(1);
        let accepted = run(&["--allow", "baseline-differs"]).ends_with(0);
        let besides = "made by none of these files, 1 object: table of_others";
        says(&accepted, &[&format!("warning: migrations/{said}"), besides]);
    }
}

#[test]
fn without_server_programs_names_are_looked_at_and_that_is_said() {
    let place = place();
    by_hand(&place);
    place.database().run("ALTER TABLE a ALTER m TYPE text");
    let empty = place.folder.join("empty");
    std::fs::create_dir(&empty).unwrap();
    let run = |arguments: &[&str]| {
        common::outcome(&place.command_with(Some(empty.clone()), arguments).output().unwrap())
    };
    let refused = run(&["baseline", "0003", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "creates table c, which is not in the database",
            "by name and kind, not what they are: no throwaway server",
        ],
    );
    let recorded = run(&["baseline", "0002", "--yes"]).ends_with(0);
    says(&recorded, &["warning: only whether the objects that the files create are there was looked at"]);
    let alike =
        "looked for by name and kind: 1 table and 2 other objects that the files create, and all is there\n";
    assert!(recorded.stdout.starts_with(alike), "{}", recorded.stdout);
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0");
}

#[test]
fn files_that_cannot_be_run_elsewhere_are_no_reason_to_say_nothing() {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (n int REFERENCES elsewhere);\nCREATE TABLE b (n int);",
    );
    place
        .database()
        .run("CREATE TABLE elsewhere (n int PRIMARY KEY); CREATE TABLE a (n int REFERENCES elsewhere)");
    let refused = place.run(&["baseline", "0001", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "migrations/0001_a.sql creates table b, which is not in the database",
            "the files cannot be run on a throwaway server: migrations/0001_a.sql:1: ",
            "relation \"elsewhere\" does not exist",
        ],
    );
    place.database().run("CREATE TABLE b (n int)");
    place.run(&["baseline", "0001", "--yes"]).ends_with(0);
}

#[test]
fn what_applied_migrations_made_is_not_the_concern_of_a_baseline() {
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.run(&["apply"]).ends_with(0);
    place.write("migrations/0002_b.sql", "ALTER TABLE a ADD m int; CREATE TABLE b (n int);");
    place.database().run("ALTER TABLE a ALTER n TYPE text, ADD m int; CREATE TABLE b (n int)");
    place.run(&["baseline", "0002", "--yes"]).ends_with(0);
    assert_eq!(place.database().value(HISTORY), "0001 1,0002 0");
}

/// A database that was made without the tool is found to be one, by whatever looks at it, and taken over.
#[test]
fn a_database_without_a_history_is_pointed_to_a_baseline() {
    let place = place();
    by_hand(&place);
    let said = [
        "migrations/0001_a.sql:1:14: creates table a, which is in the database already\n",
        "is recorded in this database. Where it was made by other means, `cutover baseline 0002` compares it",
    ];
    for verb in [&["plan"][..], &["apply"], &["apply", "--dry-run"], &["plan", "--out", "plan.json"]] {
        says(&place.run(verb).ends_with(1), &said);
    }
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    place.run(&["baseline", "0002", "--yes"]).ends_with(0);
    place.run(&["apply"]).ends_with(0);
}

/// What a restore makes of it is what the files make, and so is what a database with other settings prints.
#[test]
fn a_database_that_was_dumped_and_restored_is_no_other() {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE DOMAIN size AS varchar(9) CHECK (VALUE IN ('s', 'm'));
         CREATE TABLE a (id int, state varchar(9) CHECK (state IN ('new', 'old')), took interval CHECK (took > '1 day'),
                         at date DEFAULT '2020-01-31', size size);
         CREATE INDEX a_open ON a (id) WHERE state IN ('new', 'old');
         CREATE VIEW v WITH (security_barrier) AS SELECT id FROM a WHERE state IN ('new', 'old');",
    );
    let list =
        "((state)::text = ANY (ARRAY[('new'::character varying)::text, ('old'::character varying)::text]))";
    let database = place.database();
    database.run(&format!(
        "CREATE DOMAIN size AS varchar(9) CONSTRAINT size_check
             CHECK (((VALUE)::text = ANY (ARRAY[('s'::character varying)::text, ('m'::character varying)::text])));
         CREATE TABLE a (id int, state varchar(9) CONSTRAINT a_state_check CHECK {list},
                         took interval CHECK (took > '1 day'), at date DEFAULT '2020-01-31', size size);
         CREATE INDEX a_open ON a (id) WHERE {list};
         CREATE VIEW v WITH (security_barrier) AS SELECT id FROM a WHERE {list}"
    ));
    let name = database.name();
    database.run(&format!("ALTER DATABASE {name} SET DateStyle = 'German'"));
    database.run(&format!("ALTER DATABASE {name} SET IntervalStyle = 'iso_8601'"));
    let spelt = "SELECT count(*)::text FROM pg_constraint WHERE pg_get_constraintdef(oid) LIKE '%ARRAY[(%'";
    assert_eq!(database.value(spelt), "2");
    place.run(&["baseline", "0001", "--yes"]).ends_with(0);

    // What is really otherwise is found all the same.
    let other = Place::new();
    other
        .write("migrations/0001_a.sql", "CREATE TABLE a (state varchar(9) CHECK (state IN ('new', 'old')));");
    other.database().run("CREATE TABLE a (state varchar(9) CHECK (state IN ('new', 'odd')))");
    says(&other.run(&["baseline", "0001", "--yes"]).ends_with(1), &["a_state_check", "odd"]);
}
