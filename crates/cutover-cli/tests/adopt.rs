//! Databases that other tools have migrated so far.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fmt::Write as _;

use common::{Outcome, Place, outcome, says};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384};
use testkit::Role;

/// What a tool has done to a database: its table as it makes it, with rows of two migrations; and the three files.
struct Case {
    tool: &'static str,
    /// Path and text; the first two are applied, the third is not.
    files: Vec<(String, String)>,
    /// Files that are no migrations.
    beside: Vec<(&'static str, String)>,
    table: &'static str,
    made: String,
    /// Whether it keeps something of the text.
    keeps_text: bool,
}

const UP: [&str; 3] = [
    "CREATE TABLE users (id serial PRIMARY KEY, mail text NOT NULL UNIQUE);\n",
    "ALTER TABLE users ADD COLUMN age int CHECK (age > 0);\nCREATE INDEX users_age ON users (age);\n",
    "CREATE TABLE orders (id int PRIMARY KEY, of int REFERENCES users);\n",
];
const DOWN: [&str; 3] =
    ["DROP TABLE users;\n", "ALTER TABLE users DROP COLUMN age;\n", "DROP TABLE orders;\n"];

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn case(tool: &'static str, table: &'static str, paths: [&str; 3], made: String) -> Case {
    let files = paths.iter().zip(UP).map(|(path, text)| ((*path).to_owned(), text.to_owned())).collect();
    Case { tool, files, beside: Vec::new(), table, made, keeps_text: false }
}

/// A value of a column that is said to hold digests of the first two files.
fn of_texts(case: &Case, digest: impl Fn(&str) -> String) -> [String; 2] {
    [digest(&case.files[0].1), digest(&case.files[1].1)]
}

fn flyway() -> Case {
    let mut case = case(
        "flyway",
        "public.flyway_schema_history",
        ["V1__users.sql", "V1.1__age.sql", "V2__orders.sql"],
        String::new(),
    );
    let sums = of_texts(&case, |text| {
        let lines: String = text.lines().collect();
        crc32fast::hash(lines.as_bytes()).cast_signed().to_string()
    });
    case.made = format!(
        "CREATE TABLE flyway_schema_history (installed_rank int NOT NULL, version varchar(50), description varchar(200) NOT NULL,
            type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
            installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);
         ALTER TABLE flyway_schema_history ADD CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank);
         CREATE INDEX flyway_schema_history_s_idx ON flyway_schema_history (success);
         INSERT INTO flyway_schema_history VALUES
            (1, '1', 'users', 'SQL', 'V1__users.sql', {}, 'app', '2024-01-02 03:04:05', 7, true),
            (2, '1.1', 'age', 'SQL', 'V1.1__age.sql', {}, 'app', '2024-01-02 03:04:06', 7, true)",
        sums[0], sums[1]
    );
    case.keeps_text = true;
    case
}

fn sqlx() -> Case {
    let mut case = case(
        "sqlx",
        "public._sqlx_migrations",
        ["1_users.up.sql", "2_age.up.sql", "10_orders.up.sql"],
        String::new(),
    );
    let sums = of_texts(&case, |text| hex(Sha384::digest(text)));
    case.made = format!(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL,
            execution_time BIGINT NOT NULL);
         INSERT INTO _sqlx_migrations VALUES (1, 'users', '2024-01-02 03:04:05Z', true, '\\x{}', 7),
            (2, 'age', '2024-01-02 03:04:06Z', true, '\\x{}', 7)",
        sums[0], sums[1]
    );
    case.keeps_text = true;
    for (number, down) in ["1_users", "2_age", "10_orders"].iter().zip(DOWN) {
        case.files.push((format!("{number}.down.sql"), down.to_owned()));
    }
    case
}

fn golang_migrate() -> Case {
    let mut case = case(
        "golang-migrate",
        "public.schema_migrations",
        ["000001_users.up.sql", "000002_age.up.sql", "000010_orders.up.sql"],
        "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
         INSERT INTO schema_migrations VALUES (2, false)"
            .to_owned(),
    );
    for (number, down) in ["000001_users", "000002_age", "000010_orders"].iter().zip(DOWN) {
        case.files.push((format!("{number}.down.sql"), down.to_owned()));
    }
    case
}

fn dbmate() -> Case {
    let mut case = case(
        "dbmate",
        "public.schema_migrations",
        ["20240101000001_users.sql", "20240101000002_age.sql", "20240101000003_orders.sql"],
        "CREATE TABLE schema_migrations (version character varying(128) PRIMARY KEY);
         INSERT INTO schema_migrations VALUES ('20240101000001'), ('20240101000002')"
            .to_owned(),
    );
    for ((_, text), down) in case.files.iter_mut().zip(DOWN) {
        *text = format!("-- migrate:up\n{text}\n-- migrate:down\n{down}");
    }
    case
}

fn rails() -> Case {
    case(
        "rails",
        "public.schema_migrations",
        ["20240101000001_users.sql", "20240101000002_age.sql", "20240101000003_orders.sql"],
        "CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
         CREATE TABLE ar_internal_metadata (key character varying NOT NULL PRIMARY KEY, value character varying,
            created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
         INSERT INTO ar_internal_metadata VALUES ('environment', 'production', now(), now());
         INSERT INTO schema_migrations VALUES ('20240101000002'), ('20240101000001')"
            .to_owned(),
    )
}

fn diesel() -> Case {
    let mut case = case(
        "diesel",
        "public.__diesel_schema_migrations",
        ["2024-01-01-000001_users/up.sql", "2024-01-01-000002_age/up.sql", "2024-01-01-000003_orders/up.sql"],
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
            run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
         INSERT INTO __diesel_schema_migrations VALUES ('20240101000001', '2024-01-02 03:04:05'),
            ('20240101000002', '2024-01-02 03:04:06')"
            .to_owned(),
    );
    for (folder, down) in
        ["2024-01-01-000001_users", "2024-01-01-000002_age", "2024-01-01-000003_orders"].iter().zip(DOWN)
    {
        case.files.push((format!("{folder}/down.sql"), down.to_owned()));
    }
    case
}

fn refinery() -> Case {
    let mut case = case(
        "refinery",
        "public.refinery_schema_history",
        ["V1__users.sql", "U2__age.sql", "V3__orders.sql"],
        String::new(),
    );
    let sum = |name: &str, version: i32, text: &str| {
        use std::hash::{Hash, Hasher};
        let mut hasher = siphasher::sip::SipHasher13::new();
        name.hash(&mut hasher);
        version.hash(&mut hasher);
        text.hash(&mut hasher);
        hasher.finish()
    };
    case.made = format!(
        "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255),
            checksum VARCHAR(255));
         INSERT INTO refinery_schema_history VALUES
            (1, 'users', '2024-01-02T03:04:05.123456789Z', '{}'), (2, 'age', '2024-01-02T05:04:06+02:00', '{}')",
        sum("users", 1, &case.files[0].1),
        sum("age", 2, &case.files[1].1),
    );
    case.keeps_text = true;
    case
}

fn goose() -> Case {
    let mut case = case(
        "goose",
        "public.goose_db_version",
        ["00001_users.sql", "00002_age.sql", "00003_orders.sql"],
        "CREATE TABLE goose_db_version (id serial NOT NULL, version_id bigint NOT NULL, is_applied boolean NOT NULL,
            tstamp timestamp NULL default now(), PRIMARY KEY (id));
         INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true), (2, true), (2, false), (2, true),
            (3, true), (3, false)"
            .to_owned(),
    );
    for ((_, text), down) in case.files.iter_mut().zip(DOWN) {
        *text = format!("-- +goose Up\n{text}\n-- +goose Down\n{down}");
    }
    case
}

fn prisma() -> Case {
    let mut case = case(
        "prisma",
        "public._prisma_migrations",
        [
            "20240101000001_users/migration.sql",
            "20240101000002_age/migration.sql",
            "20240101000003_orders/migration.sql",
        ],
        String::new(),
    );
    let sums = of_texts(&case, |text| hex(Sha256::digest(text.replace('\n', "\r\n"))));
    case.made = format!(
        "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL,
            finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
            started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0);
         INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, rolled_back_at, started_at) VALUES
            ('a', '{0}', '2024-01-02 03:04:05Z', '20240101000001_users', NULL, '2024-01-02 03:04:05Z'),
            ('b', '{1}', NULL, '20240101000002_age', '2024-01-02 03:04:06Z', '2024-01-02 03:04:06Z'),
            ('c', '{1}', '2024-01-02 03:04:08Z', '20240101000002_age', NULL, '2024-01-02 03:04:07Z')",
        sums[0], sums[1]
    );
    case.keeps_text = true;
    case.beside = vec![("migration_lock.toml", "provider = \"postgresql\"\n".to_owned())];
    case
}

fn supabase() -> Case {
    let mut case = case(
        "supabase",
        "supabase_migrations.schema_migrations",
        ["20240101000001_users.sql", "20240101000002_age.sql", "20240101000003_orders.sql"],
        "CREATE SCHEMA supabase_migrations;
         CREATE TABLE supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY, statements text[], name text);
         CREATE TABLE supabase_migrations.seed_files (path text NOT NULL PRIMARY KEY, hash text NOT NULL);
         INSERT INTO supabase_migrations.schema_migrations VALUES
            ('20240101000001', '{\"CREATE TABLE users (id serial PRIMARY KEY, mail text NOT NULL UNIQUE)\"}', 'users'),
            ('20240101000002', '{\"ALTER TABLE users ADD COLUMN age int CHECK (age > 0)\",\"CREATE INDEX users_age ON users (age)\"}', 'age')"
        .to_owned(),
    );
    case.keeps_text = true;
    case
}

fn sqitch() -> Case {
    let mut case = case(
        "sqitch",
        "sqitch.changes",
        ["deploy/users.sql", "deploy/age.sql", "deploy/orders.sql"],
        String::new(),
    );
    let sums = of_texts(&case, |text| hex(Sha1::digest(text)));
    let who = "'2024-01-02 03:04:0{}Z', 'A', 'a@b.c', now(), 'A', 'a@b.c'";
    case.made = format!(
        "CREATE SCHEMA sqitch;
         CREATE TABLE sqitch.projects (project TEXT PRIMARY KEY, uri TEXT NULL UNIQUE, created_at TIMESTAMPTZ NOT NULL DEFAULT
            clock_timestamp(), creator_name TEXT NOT NULL, creator_email TEXT NOT NULL);
         CREATE TABLE sqitch.changes (change_id TEXT PRIMARY KEY, script_hash TEXT NULL, change TEXT NOT NULL, project TEXT NOT NULL
            REFERENCES sqitch.projects, note TEXT NOT NULL DEFAULT '', committed_at TIMESTAMPTZ NOT NULL, committer_name TEXT NOT NULL,
            committer_email TEXT NOT NULL, planned_at TIMESTAMPTZ NOT NULL, planner_name TEXT NOT NULL, planner_email TEXT NOT NULL,
            UNIQUE (project, script_hash));
         CREATE TABLE sqitch.tags (tag_id TEXT PRIMARY KEY, tag TEXT NOT NULL, project TEXT NOT NULL, change_id TEXT NOT NULL,
            note TEXT NOT NULL DEFAULT '', committed_at TIMESTAMPTZ NOT NULL);
         CREATE TABLE sqitch.events (event TEXT NOT NULL, change_id TEXT NOT NULL, change TEXT NOT NULL, project TEXT NOT NULL,
            committed_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (change_id, committed_at));
         INSERT INTO sqitch.projects VALUES ('shop', NULL, now(), 'A', 'a@b.c'), ('other', NULL, now(), 'A', 'a@b.c');
         INSERT INTO sqitch.changes VALUES ('i1', '{}', 'users', 'shop', '', {}), ('i2', '{}', 'age', 'shop', '', {}),
            ('i9', 'x', 'elsewhere', 'other', '', {});
         INSERT INTO sqitch.events VALUES ('deploy', 'i3', 'orders', 'shop', '2024-01-01'), ('revert', 'i3', 'orders', 'shop', '2024-01-02')",
        sums[0], who.replace("{}", "5"), sums[1], who.replace("{}", "6"), who.replace("{}", "7"),
    );
    case.keeps_text = true;
    case.beside = vec![(
        "sqitch.plan",
        "%syntax-version=1.0.0\n%project=shop\n\nusers 2024-01-01T00:00:00Z A <a@b.c> # u\nage [users] 2024-01-01T00:00:01Z A <a@b.c> # a\norders 2024-01-01T00:00:02Z A <a@b.c> # o\n".to_owned(),
    )];
    for (name, down) in ["users", "age", "orders"].iter().zip(DOWN) {
        case.files.push((format!("revert/{name}.sql"), down.to_owned()));
    }
    case
}

fn graphile() -> Case {
    let mut case = case(
        "graphile-migrate",
        "graphile_migrate.migrations",
        ["committed/000001.sql", "committed/000002-age.sql", "committed/000003.sql"],
        String::new(),
    );
    let mut before = String::new();
    let mut hashes = Vec::new();
    for (_, text) in &mut case.files {
        let hash = format!("sha1:{}", hex(Sha1::digest(format!("{}\n", format!("{before}\n{text}").trim()))));
        let previous = if before.is_empty() { "-" } else { &before };
        *text = format!("--! Previous: {previous}\n--! Hash: {hash}\n\n{text}");
        hashes.push(hash.clone());
        before = hash;
    }
    case.made = format!(
        "CREATE SCHEMA graphile_migrate;
         CREATE TABLE graphile_migrate.migrations (hash text primary key, previous_hash text references graphile_migrate.migrations,
            filename text not null, date timestamptz not null default now());
         CREATE TABLE graphile_migrate.current (filename text primary key default 'current.sql', content text not null,
            date timestamptz not null default now());
         INSERT INTO graphile_migrate.migrations VALUES ('{0}', NULL, '000001.sql', '2024-01-02 03:04:05Z'),
            ('{1}', '{0}', '000002-age.sql', '2024-01-02 03:04:06Z')",
        hashes[0], hashes[1]
    );
    case.keeps_text = true;
    case
}

fn node_pg_migrate() -> Case {
    let mut case = case(
        "node-pg-migrate",
        "public.pgmigrations",
        ["1700000000001_users.sql", "1700000000002_age.sql", "1700000000003_orders.sql"],
        "CREATE TABLE pgmigrations (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);
         INSERT INTO pgmigrations (name, run_on) VALUES ('1700000000001_users', '2024-01-02 03:04:05'),
            ('1700000000002_age', '2024-01-02 03:04:06')"
            .to_owned(),
    );
    for ((_, text), down) in case.files.iter_mut().zip(DOWN) {
        *text = format!("-- Up Migration\n{text}\n-- Down Migration\n{down}");
    }
    case
}

/// A database with data that the case's tool has brought to its second migration, a project with its files, and the ordinary
/// role that owns the database and may only look at the tool's table.
struct Taken {
    place: Place,
    role: Role,
    folder: String,
}

impl Taken {
    fn over(case: &Case) -> Self {
        let place = Place::new();
        let folder = match case.tool {
            "supabase" => "supabase/migrations",
            "prisma" => "prisma/migrations",
            _ => "migrations",
        };
        for (path, text) in &case.files {
            place.write(&format!("{folder}/{path}"), text);
        }
        for (path, text) in &case.beside {
            place.write(&format!("{folder}/{path}"), text);
        }
        let mut taken = Self { place, role: testkit::role(""), folder: folder.to_owned() };
        let convention = match case.tool {
            "rails" => Some("numbered"),
            // What names and texts alone do not tell.
            "sqlx" | "refinery" => Some(case.tool),
            _ => None,
        };
        let convention = convention.map(|name| format!("convention = \"{name}\"\n")).unwrap_or_default();
        taken.place.write(
            "cutover.toml",
            &format!("[project]\nname = \"shop\"\n[[migrations]]\npath = \"{folder}\"\n{convention}"),
        );
        taken.prepare(case);
        taken
    }

    fn prepare(&mut self, case: &Case) {
        let (database, role) = (self.place.database(), &self.role);
        database.give_to(role);
        database.run(&format!(
            "SET SESSION AUTHORIZATION {0}; {1} {2} RESET SESSION AUTHORIZATION;
             INSERT INTO users (mail, age) SELECT n || '@example.org', n FROM generate_series(1, 100) AS n",
            role.name, UP[0], UP[1]
        ));
        database.run(&case.made);
        let (schema, _) = case.table.split_once('.').unwrap();
        let usage = if schema == "public" {
            String::new()
        } else {
            format!("GRANT USAGE ON SCHEMA {schema} TO {};", role.name)
        };
        database.run(&format!("{usage} GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {}", role.name));
    }

    /// The command as the ordinary role.
    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.place.command(arguments);
        outcome(&command.env("CUTOVER_URL", self.place.database().url_as(&self.role)).output().unwrap())
    }

    /// All that the other tool keeps.
    fn digest(&self, case: &Case) -> String {
        self.place.database().value(&format!(
            "SELECT md5(string_agg(t::text || t.xmin::text || t.ctid::text, ',' ORDER BY t::text)) FROM {} AS t",
            case.table
        ))
    }
}

/// What the tool has applied is recorded, and all verbs go on from there.
fn goes_on(case: &Case) {
    let taken = Taken::over(case);
    let before = taken.digest(case);
    // To run what is applied once more would do twice what it does.
    let refused =
        format!("its table {} says so of 2 migrations: {}/{}", case.table, taken.folder, case.files[0].0);
    for verb in ["plan", "apply"] {
        says(
            &taken.run(&[verb]).ends_with(1),
            &["has applied here what is pending", &refused, "`cutover adopt`"],
        );
    }
    let report = taken.run(&["adopt", "--dry-run"]).ends_with(0);
    let applied = format!("2 files applied:\n  {}/{}", taken.folder, case.files[0].0);
    assert!(report.stdout.contains(&applied), "{}: {}", case.tool, report.stdout);
    assert!(report.stdout.contains(case.table), "{}: {}", case.tool, report.stdout);
    assert!(
        report.stdout.contains("and all of it agrees"),
        "{}: {}{}",
        case.tool,
        report.stdout,
        report.stderr
    );
    assert_eq!(
        report.stdout.contains("what was applied is not known"),
        !case.keeps_text,
        "{}: {}",
        case.tool,
        report.stdout
    );
    assert_eq!(taken.place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    says(&taken.run(&["adopt"]).ends_with(2), &["Record 2 migrations in database"]);
    let adopted = taken.run(&["adopt", "--yes"]).ends_with(0);
    let told = format!("recorded as applied, and not run: 2 migrations, from {}\n", case.table);
    assert!(adopted.stdout.ends_with(&told), "{}: {}", case.tool, adopted.stdout);
    assert_eq!(taken.digest(case), before, "{}", case.tool);
    let same = taken.run(&["diff"]).ends_with(0);
    assert!(same.stdout.contains("are the same"), "{}: {}", case.tool, same.stdout);
    taken.run(&["diff", "--replay"]).ends_with(0);
    let text = taken.run(&["report"]).ends_with(0).stdout;
    assert!(text.contains("recorded as applied without being run"), "{}: {text}", case.tool);
    for format in ["markdown", "html"] {
        let page = taken.run(&["report", "--format", format, "-o", "-"]).ends_with(0).stdout;
        assert!(page.contains("was recorded as applied, without being run"), "{}: {page}", case.tool);
        assert!(!page.contains("Everything planned was applied"), "{}: {page}", case.tool);
    }
    assert!(taken.run(&["adopt", "--yes"]).ends_with(0).stdout.contains("nothing to adopt"));
    taken.run(&["status", "--exit-code"]).ends_with(1);
    let plan = taken.run(&["plan"]).ends_with(0).stdout;
    assert!(plan.contains("orders") || plan.contains("000003"), "{}: {plan}", case.tool);
    taken.run(&["apply"]).ends_with(0);
    taken.run(&["status", "--exit-code"]).ends_with(0);
    taken.run(&["apply"]).ends_with(0);
    taken.run(&["verify"]).ends_with(0);
    assert_eq!(taken.place.database().value("SELECT count(*) FROM users JOIN orders ON false"), "0");
    taken.run(&["diff"]).ends_with(0);
    let kept = says_not_undone(&taken);
    assert!(kept.contains("was applied by run"), "{}: {kept}", case.tool);
    taken.run(&["revert", "--yes"]).ends_with(0);
    assert_eq!(taken.place.database().value("SELECT to_regclass('orders') IS NULL"), "t", "{}", case.tool);
    // And one that the other tool had applied.
    taken.run(&["revert", "--yes", "--allow", "data-loss"]).ends_with(0);
    assert_eq!(taken.place.database().value("SELECT count(*) FROM users"), "100", "{}", case.tool);
    taken.run(&["apply"]).ends_with(0);
    assert_eq!(taken.digest(case), before, "{}", case.tool);
}

macro_rules! each_tool {
    ($($tool:ident)*) => {
        mod verbs_go_on_from {
            $(#[test]
            fn $tool() {
                super::goes_on(&super::$tool());
            })*
        }
    };
}

each_tool! { flyway sqlx golang_migrate dbmate rails diesel refinery goose prisma supabase sqitch graphile node_pg_migrate }

fn says_not_undone(taken: &Taken) -> String {
    let refused = taken.run(&["adopt", "--undo", "--yes"]).ends_with(1);
    says(&refused, &["nothing was taken back"]);
    refused.stderr
}

const ROWS: &str = "SELECT string_agg(concat_ws(' ', version, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), attempts,
        tool, table_name), ',' ORDER BY version) FROM cutover.migration LEFT JOIN cutover.adoption USING (run)";

#[test]
fn a_record_says_from_where_and_when_and_can_be_taken_back() {
    let case = sqlx();
    let taken = Taken::over(&case);
    taken.run(&["adopt", "--yes"]).ends_with(0);
    let recorded =
        "1 2024-01-02 03:04:05 0 sqlx _sqlx_migrations,2 2024-01-02 03:04:06 0 sqlx _sqlx_migrations";
    assert_eq!(taken.place.database().value(ROWS), recorded);
    let shown = taken.run(&["status", "--show", "1"]).ends_with(0);
    assert!(shown.stdout.contains("CREATE TABLE users"), "{}", shown.stdout);
    let asked = taken.run(&["adopt", "--undo"]).ends_with(2);
    says(&asked, &["what was adopted from public._sqlx_migrations: 2 migrations?"]);
    let before = testkit::catalogue_dump(&taken.place.database().options(), &[]);
    let undone = taken.run(&["adopt", "--undo", "--yes"]).ends_with(0);
    assert_eq!(
        undone.stdout,
        "taken back: 2 migrations are not recorded any more; nothing else was changed\n"
    );
    assert_eq!(testkit::catalogue_dump(&taken.place.database().options(), &[]), before);
    assert_eq!(taken.place.database().value("SELECT count(*) FROM cutover.migration"), "0");
    assert_eq!(taken.place.database().value("SELECT count(*) FROM cutover.snapshot"), "0");
    assert_eq!(taken.place.database().value("SELECT count(*) FROM users"), "100");
    says(
        &taken.run(&["adopt", "--undo", "--yes"]).ends_with(1),
        &["nothing of project shop was adopted", "nothing was taken back"],
    );
    taken.run(&["adopt", "--yes"]).ends_with(0);
    assert_eq!(taken.place.database().value(ROWS), recorded);
    taken.run(&["apply"]).ends_with(0);
    assert!(says_not_undone(&taken).contains("was applied by run"));
    // What was taken over and reverted stands in the way; what was applied and reverted does not.
    taken.run(&["revert", "--yes"]).ends_with(0);
    taken.run(&["adopt", "--undo", "--yes"]).ends_with(0);
    taken.run(&["adopt", "--yes"]).ends_with(0);
    taken.run(&["revert", "--yes", "--allow", "data-loss"]).ends_with(0);
    let kept = says_not_undone(&taken);
    assert!(kept.contains("was taken over, and reverted since"), "{kept}");
}

#[test]
fn what_is_changed_missing_or_otherwise_there_is_accepted_by_its_name_alone() {
    let case = flyway();
    let taken = Taken::over(&case);
    taken.place.write("migrations/V1__users.sql", &format!("{}-- a remark\n", UP[0]));
    taken.place.database().run(
        "INSERT INTO flyway_schema_history VALUES (3, '1.5', 'gone', 'SQL', 'V1.5__gone.sql', 5, 'app', now(), 1, true),
            (4, E'x\\n\\x1b[31m', repeat('y', 200), 'SQL', repeat('z', 1000), NULL, '', 'infinity', 1, true);
         ALTER TABLE users DROP CONSTRAINT users_age_check; CREATE TABLE somebodys (n int)",
    );
    let refused = taken.run(&["adopt", "--yes"]).ends_with(1);
    assert!(refused.stdout.contains("there besides, made by none of them:\n"), "{}", refused.stdout);
    assert!(refused.stdout.contains("somebodys"), "{}", refused.stdout);
    assert!(!refused.stdout.contains('\u{1b}'), "{}", refused.stdout);
    says(
        &refused,
        &[
            "migrations/V1__users.sql was changed since it was applied: its checksum there is ",
            "V1.5__gone.sql is applied, and there is no file of it",
            "is none that Flyway writes",
            "not as the files make it: ",
            "nothing was recorded",
            "--allow adopt-changed --allow adopt-missing --allow adopt-differs",
        ],
    );
    assert_eq!(taken.place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    let two = ["adopt", "--yes", "--allow", "adopt-changed", "--allow", "adopt-missing"];
    says(&taken.run(&two).ends_with(1), &["not as the files make it", "--allow adopt-differs"]);
    let all = [&two[..], &["--allow", "adopt-differs", "--format", "json"]].concat();
    let adopted = taken.run(&all).ends_with(0);
    let document: serde_json::Value = serde_json::from_str(&adopted.stdout).unwrap();
    assert_eq!(document["recorded"], 2);
    assert_eq!(document["tool"], "flyway");
    assert_eq!(document["files"][0]["text"], "changed");
    assert_eq!(document["files"][2]["state"], "pending");
    assert_eq!(document["without_file"][0]["state"], "missing");
    assert_eq!(document["without_file"][1]["state"], "unknown");
    assert_eq!(document["catalogue"]["compared"], true);
    // What was accepted is what should be there.
    taken.run(&["diff"]).ends_with(0);
    taken.run(&["apply"]).ends_with(0);
}

#[test]
fn what_failed_there_is_settled_there() {
    for (case, spoil, words) in [
        (
            flyway(),
            "INSERT INTO flyway_schema_history VALUES (3, '2', 'orders', 'SQL', 'V2__orders.sql', 5, 'app', now(), 1, false)",
            "flyway repair",
        ),
        (sqlx(), "UPDATE _sqlx_migrations SET success = false WHERE version = 2", "delete its row"),
        (
            golang_migrate(),
            "UPDATE schema_migrations SET version = 10, dirty = true",
            "migrate force VERSION",
        ),
        (
            prisma(),
            "UPDATE _prisma_migrations SET finished_at = NULL WHERE id = 'c'",
            "prisma migrate resolve",
        ),
    ] {
        let taken = Taken::over(&case);
        taken.place.database().run(spoil);
        let all = [
            "adopt",
            "--yes",
            "--allow",
            "adopt-changed",
            "--allow",
            "adopt-missing",
            "--allow",
            "adopt-differs",
        ];
        let refused = taken.run(&all).ends_with(1);
        says(
            &refused,
            &["failed there, and what it left behind is not known", "nothing was recorded", words],
        );
        assert!(refused.stdout.contains("1 file failed there"), "{}", refused.stdout);
        assert_eq!(taken.place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    }
}

#[test]
fn flyways_undone_repeatable_and_baseline_migrations_are_as_flyway_has_them() {
    let case = flyway();
    let taken = Taken::over(&case);
    let view = "CREATE OR REPLACE VIEW old AS SELECT id FROM users;";
    taken.place.write("migrations/R__an_old_view.sql", view);
    taken.place.write("migrations/R__new_view.sql", "CREATE OR REPLACE VIEW new AS SELECT id FROM users;");
    let sum = crc32fast::hash(view.as_bytes()).cast_signed();
    taken.place.database().run(&format!(
        "SET SESSION AUTHORIZATION {}; {view} CREATE VIEW new AS SELECT id FROM users; RESET SESSION AUTHORIZATION;
         UPDATE flyway_schema_history SET type = 'BASELINE', version = '1.1', script = '<< Flyway Baseline >>', checksum = NULL
          WHERE installed_rank = 1;
         DELETE FROM flyway_schema_history WHERE installed_rank = 2;
         INSERT INTO flyway_schema_history VALUES
            (0, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', 'x', NULL, 'app', now(), 1, true),
            (3, '2', 'orders', 'SQL', 'V2__orders.sql', 5, 'app', now(), 1, true),
            (4, '2', 'orders', 'UNDO_SQL', 'U2__orders.sql', 5, 'app', now(), 1, true),
            (5, NULL, 'an old view', 'SQL', 'R__an_old_view.sql', 7, 'app', now(), 1, true),
            (6, NULL, 'an old view', 'SQL', 'R__an_old_view.sql', {sum}, 'app', now(), 1, true),
            (7, NULL, 'new view', 'SQL', 'R__new_view.sql', 7, 'app', now(), 1, true)",
        taken.role.name
    ));
    let report = taken.run(&["adopt", "--dry-run"]).ends_with(0).stdout;
    for words in [
        "3 files applied:\n  migrations/V1__users.sql\n  migrations/V1.1__age.sql at 2024-01-02T03:04:05Z\n  \
         migrations/R__an_old_view.sql at ",
        "1 file taken back there, and pending:\n  migrations/V2__orders.sql\n",
        "1 file pending:\n  migrations/R__new_view.sql (it was changed since, and is made anew)\n",
    ] {
        assert!(report.contains(words), "{words}\n{report}");
    }
    taken.run(&["adopt", "--yes"]).ends_with(0);
    taken.run(&["apply"]).ends_with(0);
    let applied = "SELECT string_agg(path, ',' ORDER BY path) FROM cutover.migration WHERE run NOT IN (SELECT run FROM cutover.adoption)";
    assert_eq!(taken.place.database().value(applied), "migrations/R__new_view.sql,migrations/V2__orders.sql");
    taken.run(&["status", "--exit-code"]).ends_with(0);
}

#[test]
fn files_that_mention_the_tools_own_table_keep_working() {
    let mut case = dbmate();
    let more = |case: &mut Case, place: usize, text: &str| {
        let (up, down) = case.files[place].1.split_once("-- migrate:down").unwrap();
        case.files[place].1 = format!("{up}{text}\n-- migrate:down{down}");
    };
    more(&mut case, 1, "ALTER TABLE schema_migrations ADD COLUMN note text DEFAULT 'old';");
    more(
        &mut case,
        2,
        "ALTER TABLE schema_migrations ALTER COLUMN note SET DEFAULT 'new'; INSERT INTO schema_migrations VALUES ('x') ON CONFLICT DO NOTHING;",
    );
    case.made += "; ALTER TABLE schema_migrations ADD COLUMN note text DEFAULT 'old'";
    let taken = Taken::over(&case);
    taken.place.database().run(&format!("ALTER TABLE schema_migrations OWNER TO {}", taken.role.name));
    let adopted = taken.run(&["adopt", "--yes"]).ends_with(0);
    assert!(adopted.stdout.contains("and all of it agrees"), "{}{}", adopted.stdout, adopted.stderr);
    taken.run(&["diff", "--replay"]).ends_with(0);
    taken.run(&["plan"]).ends_with(0);
    taken.run(&["apply"]).ends_with(0);
    assert_eq!(taken.place.database().value("SELECT note FROM schema_migrations WHERE version = 'x'"), "new");
    taken.run(&["diff", "--replay"]).ends_with(0);
    // A dump has that table too.
    let dump = testkit::catalogue_dump(&taken.place.database().options_as(&taken.role), &["cutover"]);
    let dump: String = dump.split_inclusive('\n').filter(|line| !line.starts_with('\\')).collect();
    taken.place.write("schema.sql", &dump);
    taken.run(&["diff", "schema.sql", "--schema", "public"]).ends_with(0);
    taken.run(&["revert", "--yes", "--allow", "rows-stay", "--allow", "revert-differs"]).ends_with(0);
}

#[test]
fn the_default_schema_of_flyway_is_where_names_lead() {
    let place = Place::new();
    place.write("flyway.conf", "flyway.defaultSchema=inv\nflyway.placeholders.kind=text\n");
    place.write("sql/V1__users.sql", "CREATE TABLE users (id int PRIMARY KEY, mail ${kind});\n");
    place.write("sql/V2__orders.sql", "CREATE TABLE orders (of int REFERENCES users);\n");
    // Flyway would make the schema, and without it names would lead to another one.
    says(
        &place.run(&["apply"]).ends_with(2),
        &[
            "flyway.conf:1 calls inv the default schema, and here names without a schema lead to public",
            "CREATE SCHEMA inv",
        ],
    );
    assert_eq!(place.database().value("SELECT to_regclass('public.users') IS NULL"), "t");
    place.run(&["apply", "--sandbox"]).ends_with(0);
    place.database().run(
        "CREATE SCHEMA inv; CREATE TABLE inv.users (id int PRIMARY KEY, mail text);
         CREATE TABLE inv.flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL,
            type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
            installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);
         INSERT INTO inv.flyway_schema_history VALUES (1, '1', 'users', 'SQL', 'V1__users.sql', NULL, 'me', now(), 1, true)",
    );
    // Without the settings it is said why nothing is there.
    let aside =
        |name: &str, to: &str| std::fs::rename(place.folder.join(name), place.folder.join(to)).unwrap();
    aside("flyway.conf", "elsewhere.conf");
    let unset = place.run(&["adopt", "--dry-run", "--var", "kind=text"]).ends_with(1);
    says(
        &unset,
        &["is in schema inv, and names without a schema lead to public here", "-csearch_path%3Dinv"],
    );
    aside("elsewhere.conf", "flyway.conf");
    let adopted = place.run(&["adopt", "--yes"]).ends_with(0);
    assert!(adopted.stdout.contains("and all of it agrees"), "{}", adopted.stdout);
    place.run(&["apply"]).ends_with(0);
    assert_eq!(place.database().value("SELECT to_regclass('inv.orders') IS NOT NULL"), "t");
    let shown = place.run(&["config", "show"]).ends_with(0).stdout;
    assert!(shown.contains("flyway.default_schema") && shown.contains("inv"), "{shown}");
}

#[test]
fn where_the_tool_never_was_its_table_is_said_to_be_missing_and_how_it_is_made() {
    let mut case = dbmate();
    case.files[1].1 = "-- migrate:up\nALTER TABLE schema_migrations ADD COLUMN note text;\n".to_owned();
    let place = Place::new();
    for (path, text) in &case.files {
        place.write(&format!("db/migrations/{path}"), text);
    }
    let refused = place.run(&["apply"]).ends_with(1);
    says(
        &refused,
        &[
            "needs table schema_migrations",
            "it is dbmate's own table, which dbmate makes and no migration does",
            "CREATE TABLE public.schema_migrations (version varchar PRIMARY KEY)",
        ],
    );
    place.database().run("CREATE TABLE public.schema_migrations (version varchar PRIMARY KEY)");
    place.run(&["apply"]).ends_with(0);
}

#[test]
fn a_view_of_the_tools_own_table_is_as_the_version_of_the_tool_made_that() {
    for type_name in ["varchar", "varchar(128)", "varchar(255)"] {
        let mut case = dbmate();
        let view = "CREATE VIEW versions AS SELECT version FROM schema_migrations;";
        let (up, down) = case.files[1].1.split_once("-- migrate:down").unwrap();
        case.files[1].1 = format!("{up}{view}\n-- migrate:down{down}");
        case.made = case.made.replace("character varying(128)", type_name);
        write!(case.made, "; {view}").unwrap();
        let taken = Taken::over(&case);
        let adopted = taken.run(&["adopt", "--yes"]).ends_with(0);
        assert!(adopted.stdout.contains("and all of it agrees"), "{type_name}: {}", adopted.stdout);
    }
}

#[test]
fn what_the_tool_took_back_after_its_adoption_is_refused() {
    let flyway_undo = "INSERT INTO flyway_schema_history SELECT 3, version, description, 'UNDO_SQL', 'U2__x.sql', NULL, 'me', now(), 1, true \
                       FROM flyway_schema_history WHERE installed_rank = 2";
    for (case, back) in [
        (dbmate(), "DELETE FROM schema_migrations WHERE version = '20240101000002'"),
        (golang_migrate(), "UPDATE schema_migrations SET version = 1"),
        (flyway(), flyway_undo),
    ] {
        let taken = Taken::over(&case);
        taken.run(&["adopt", "--yes"]).ends_with(0);
        taken.place.database().run(back);
        taken.place.database().run("ALTER TABLE users DROP COLUMN age");
        let path = format!("{}/{}", taken.folder, case.files[1].0);
        let told = taken.run(&["adopt", "--dry-run"]).ends_with(1);
        assert!(
            told.stdout.contains(&format!("  {path} ({} says so no more)\n", case.table)),
            "{}",
            told.stdout
        );
        says(
            &told,
            &[&format!("{path} was adopted, and"), "does not call it applied any more", "adopt --undo"],
        );
        taken.run(&["adopt", "--undo", "--yes"]).ends_with(0);
        let again = taken.run(&["adopt", "--yes"]).ends_with(0);
        assert!(again.stdout.contains("recorded as applied, and not run: 1 migration,"), "{}", again.stdout);
        taken.run(&["apply"]).ends_with(0);
    }
}

#[test]
fn what_the_tool_keeps_is_no_difference() {
    let taken = Taken::over(&dbmate());
    taken.run(&["adopt", "--yes"]).ends_with(0);
    taken.place.write("schema.sql", &format!("{}{}", UP[0], UP[1]));
    let same = taken.run(&["diff", "schema.sql", "--schema", "public", "--sql"]).ends_with(0);
    assert!(!same.stdout.contains("schema_migrations"), "{}", same.stdout);
    taken.place.write("schema.sql", UP[0]);
    let other = taken.run(&["diff", "schema.sql", "--schema", "public", "--sql"]).ends_with(1);
    assert!(
        other.stdout.contains("DROP COLUMN age") && !other.stdout.contains("schema_migrations"),
        "{}",
        other.stdout
    );
    says(
        &taken.run(&["adopt", "--from", "public.users"]).ends_with(2),
        &["public.users is no table of a tool that is known"],
    );
    // Nor is what becomes of it.
    taken.place.database().run("ALTER TABLE schema_migrations ADD COLUMN note text");
    taken.run(&["diff"]).ends_with(0);
}

#[test]
fn a_table_that_is_elsewhere_called_otherwise_or_not_alone_is_named() {
    let case = golang_migrate();
    let taken = Taken::over(&case);
    let database = taken.place.database();
    let role = &taken.role.name;
    // Another tool's table, for which there are no files here.
    database.run(&sqlx().made);
    database.run(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    says(
        &taken.run(&["adopt", "--dry-run"]).ends_with(0),
        &[
            "warning: there is public._sqlx_migrations of sqlx too, which the files of this project are not for",
        ],
    );
    // The same tool twice.
    database.run(
        "CREATE SCHEMA app; CREATE TABLE app.schema_migrations (version bigint, dirty boolean);
         INSERT INTO app.schema_migrations VALUES (1, false);
         CREATE TABLE app.moved (version bigint, dirty boolean); CREATE TABLE app.other (n int)",
    );
    says(
        &taken.run(&["adopt", "--dry-run"]).ends_with(2),
        &[
            "app.schema_migrations of golang-migrate, public._sqlx_migrations of sqlx, public.schema_migrations of golang-migrate",
            "--from SCHEMA.TABLE",
        ],
    );
    says(
        &taken.run(&["adopt", "--from", "app.schema_migrations"]).ends_with(2),
        &[
            "may not read app.schema_migrations",
            "GRANT USAGE ON SCHEMA app TO role_",
            "GRANT SELECT ON app.schema_migrations TO role_",
        ],
    );
    database.run(&format!(
        "GRANT USAGE ON SCHEMA app TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA app TO {role}"
    ));
    let one = taken.run(&["adopt", "--from", "app.schema_migrations", "--dry-run"]).ends_with(1);
    assert!(one.stdout.contains("1 file applied:\n  migrations/000001_users.up.sql\n"), "{}", one.stdout);
    let empty = taken.run(&["adopt", "--from", "moved", "--yes"]).ends_with(0);
    assert!(empty.stdout.ends_with("nothing to adopt: app.moved is empty\n"), "{}", empty.stdout);
    says(
        &taken.run(&["adopt", "--from", "app.other"]).ends_with(2),
        &["app.other is no table of a tool that is known"],
    );
    says(&taken.run(&["adopt", "--from", "nowhere"]).ends_with(2), &["there is no table nowhere here"]);
    let adopted = taken.run(&["adopt", "--from", "public.schema_migrations", "--yes"]).ends_with(0);
    assert!(adopted.stdout.contains("2 migrations, from public.schema_migrations"), "{}", adopted.stdout);
}

#[test]
fn without_a_table_or_with_rows_of_many_hands_it_is_told() {
    let place = Place::new();
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);");
    says(
        &place.run(&["adopt"]).ends_with(2),
        &[
            "there is no table of a tool that is known here",
            "Flyway, sqlx, golang-migrate",
            "cutover baseline",
        ],
    );
    place.database().run("CREATE TABLE schema_migrations (version bigint, inserted_at timestamp)");
    says(&place.run(&["adopt"]).ends_with(2), &["public.schema_migrations has other columns"]);
    // A row names two files.
    let place = Place::new();
    place.write(
        "cutover.toml",
        "[project]\nname = \"x\"\n[[migrations]]\npath = \"one\"\n[[migrations]]\npath = \"two\"\n",
    );
    place.write("one/1_a.up.sql", "CREATE TABLE a (n int);");
    place.write("two/1_b.up.sql", "CREATE TABLE b (n int);");
    place.database().run("CREATE TABLE schema_migrations (version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (1, false)");
    says(
        &place.run(&["adopt"]).ends_with(1),
        &["the row 1 names several files: one/1_a.up.sql, two/1_b.up.sql"],
    );
}

#[test]
fn a_history_of_ours_is_gone_on_with() {
    let case = flyway();
    let taken = Taken::over(&case);
    taken.run(&["adopt", "--yes"]).ends_with(0);
    taken.run(&["apply"]).ends_with(0);
    // Somebody ran the other tool once more.
    taken.place.write("migrations/V3__late.sql", "CREATE TABLE late (n int);");
    let sum = crc32fast::hash(b"CREATE TABLE late (n int);").cast_signed();
    taken.place.database().run(&format!(
        "SET SESSION AUTHORIZATION {}; CREATE TABLE late (n int); RESET SESSION AUTHORIZATION;
         INSERT INTO flyway_schema_history VALUES (3, '3', 'late', 'SQL', 'V3__late.sql', {sum}, 'app', now(), 1, true)",
        taken.role.name
    ));
    let report = taken.run(&["adopt", "--yes"]).ends_with(0).stdout;
    for words in [
        "1 file applied:\n  migrations/V3__late.sql",
        "3 files recorded by cutover already:\n",
        "1 migration, from",
    ] {
        assert!(report.contains(words), "{words}\n{report}");
    }
    taken.run(&["status", "--exit-code"]).ends_with(0);
    taken.run(&["diff"]).ends_with(0);
}

#[test]
fn without_server_programs_it_is_said_that_the_database_was_not_compared() {
    let case = sqlx();
    let taken = Taken::over(&case);
    let empty = taken.place.folder.join("nothing");
    std::fs::create_dir_all(&empty).unwrap();
    let mut command = taken.place.command_with(Some(empty), &["adopt", "--yes"]);
    let adopted =
        outcome(&command.env("CUTOVER_URL", taken.place.database().url_as(&taken.role)).output().unwrap())
            .ends_with(0);
    says(&adopted, &["whether the database is what the files make was not looked at: "]);
    taken.run(&["diff"]).ends_with(0);
}

#[test]
fn five_thousand_rows_are_taken_over() {
    let place = Place::new();
    let mut values = Vec::new();
    for number in 1..=5000 {
        let text = format!("CREATE TABLE t{number} (n int);\n");
        place.write(&format!("migrations/{number}_t.sql"), &text);
        values.push(format!("({number}, 't', now(), true, '\\x{}', 1)", hex(Sha384::digest(&text))));
    }
    place.write(
        "cutover.toml",
        "[project]\nname = \"x\"\n[[migrations]]\npath = \"migrations\"\nconvention = \"sqlx\"\n",
    );
    place.database().run(&format!(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL,
            success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL);
         INSERT INTO _sqlx_migrations VALUES {}",
        values.join(", ")
    ));
    // Nothing of it is there, and that is accepted.
    let adopted = place.run(&["adopt", "--yes", "--allow", "adopt-differs"]).ends_with(0);
    assert!(adopted.stdout.contains("… and 4950 more\n"), "{}", &adopted.stdout[..2000]);
    assert!(adopted.stdout.ends_with("5,000 migrations, from public._sqlx_migrations\n"));
    assert_eq!(place.database().value("SELECT count(*) FROM cutover.migration"), "5000");
    place.run(&["status", "--exit-code"]).ends_with(0);
}

/// A policy of the other tool's table would hide rows, and what they say is applied would be run once more.
#[test]
fn rows_that_a_policy_hides_are_an_error() {
    let case = flyway();
    let taken = Taken::over(&case);
    taken.place.database().run(
        "CREATE POLICY first ON flyway_schema_history USING (installed_rank = 1);
         ALTER TABLE flyway_schema_history ENABLE ROW LEVEL SECURITY",
    );
    let refused = taken.run(&["adopt", "--yes"]);
    assert_ne!(refused.code, 0);
    says(&refused, &["row-level security", "nothing was recorded"]);
}

/// Where a registry stands in a schema of others, the others' tables are compared all the same.
#[test]
fn a_registry_in_public_hides_nothing_of_public() {
    let mut case = sqitch();
    case.made = case.made.replace("CREATE SCHEMA sqitch;", "").replace("sqitch.", "public.");
    case.table = "public.changes";
    let taken = Taken::over(&case);
    taken.place.database().run("ALTER TABLE users DROP COLUMN age");
    says(&taken.run(&["adopt", "--yes"]).ends_with(1), &["not as the files make it: "]);
    taken
        .place
        .database()
        .run("ALTER TABLE users ADD COLUMN age int CHECK (age > 0); CREATE INDEX users_age ON users (age)");
    taken.run(&["adopt", "--yes"]).ends_with(0);
    taken.place.database().run("DROP TABLE users");
    taken.run(&["diff", "--replay"]).ends_with(1);
}
