//! What a rehearsal begins with.

use cutover_postgres::session::{Session, Startup};

use super::super::{GroundRequest, MadeOf, RehearseError, Request, rehearse};
use super::support::{programs, project, rehearsed, request};
use crate::verify::SandboxProvider;

#[tokio::test]
async fn the_real_database_is_only_read() {
    let database = testkit::database();
    database.run("CREATE TABLE a (n int); INSERT INTO a VALUES (1); CREATE SEQUENCE s");
    let before = testkit::catalogue_dump(&database.options(), &[]);
    let files = [("0001_a.sql", "DROP TABLE a; CREATE TABLE b (n int); SELECT nextval('s');")];
    let request = Request { full: true, workload: Some(std::time::Duration::from_secs(1)), ..request() };
    let found = rehearsed(&project(&files), &database, &request).await;
    assert_eq!(found.failed(), 0);
    assert_eq!(testkit::catalogue_dump(&database.options(), &[]), before);
    assert_eq!(database.value("SELECT n FROM a"), "1");
    assert_eq!(database.value("SELECT is_called FROM s"), "f");
}

#[tokio::test]
async fn what_is_applied_is_there_and_only_the_rest_is_rehearsed() {
    let database = testkit::database();
    let files =
        [("0001_a.sql", "CREATE TABLE a (n int);"), ("0002_b.sql", "ALTER TABLE a ADD COLUMN m int;")];
    crate::migrate(&project(&files[..1]), &database.url()).await.unwrap();
    for replay in [false, true] {
        let ground = GroundRequest { replay, ..GroundRequest::default() };
        let found = rehearsed(&project(&files), &database, &Request { ground, ..request() }).await;
        assert_eq!(found.ground.made_of, if replay { MadeOf::Replay } else { MadeOf::Dump });
        let paths: Vec<&str> = found.migrations.iter().map(|traced| traced.path.as_str()).collect();
        assert_eq!((paths, found.failed(), found.ground.tables), (vec!["0002_b.sql"], 0, 1));
    }
}

/// On a server of its own: it lets its catalogues be written, so that it has an extension that no server has.
#[tokio::test]
async fn a_missing_extension_is_named_and_left_out_when_told_to() {
    let server = testkit::private_server(&[("allow_system_table_mods", "on")]);
    let mut session = Session::connect(&server.options("postgres"), &Startup::default()).await.unwrap();
    let text = "CREATE SCHEMA geo; CREATE TABLE a (n int);
        INSERT INTO pg_extension SELECT (jsonb_populate_record(x, '{\"oid\": 99999, \"extname\": \"nowhere_to_be_found\"}')).*
          FROM pg_extension x WHERE extname = 'plpgsql'";
    session.execute(text).await.unwrap();
    session.close().await;
    let project = project(&[("0001_a.sql", "ALTER TABLE a ADD COLUMN m int;")]);
    let sandbox = SandboxProvider::dev_url(server.options("postgres"));
    let rehearsed = async |ground| {
        let request = Request { ground, ..request() };
        rehearse(&project, Some(&server.options("postgres")), &request, &sandbox, &programs()).await
    };
    let error = rehearsed(GroundRequest::default()).await.unwrap_err();
    let RehearseError::MissingExtensions(missing) = &error else { panic!("{error}") };
    assert_eq!(missing[0].name, "nowhere_to_be_found");
    assert!(error.to_string().contains("--without-missing"), "{error}");
    let found = rehearsed(GroundRequest { without_missing: true, ..GroundRequest::default() }).await.unwrap();
    assert!(
        found.ground.left_out.iter().any(|one| one.what.contains("nowhere_to_be_found")),
        "{:?}",
        found.ground
    );
    assert_eq!(found.failed(), 0);
}

#[tokio::test]
async fn a_sample_has_what_its_rows_refer_to_and_not_much_more_than_asked_for() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE users (id int PRIMARY KEY, boss int REFERENCES users, \"odd name\" text);
         CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int NOT NULL REFERENCES users,
             twice int GENERATED ALWAYS AS (user_id * 2) STORED);
         CREATE MATERIALIZED VIEW many AS SELECT count(*) FROM orders;
         INSERT INTO users SELECT n, nullif(1000 - n, n) FROM generate_series(1, 999) n;
         INSERT INTO orders (user_id) SELECT 1 + n % 999 FROM generate_series(1, 5000) n; REFRESH MATERIALIZED VIEW many",
    );
    let ground = GroundRequest { sample: Some(100), ..GroundRequest::default() };
    let sql = "DO $$ BEGIN
                 ASSERT (SELECT count(*) FROM orders) = 100, 'orders';
                 ASSERT (SELECT count(*) FROM users) BETWEEN 100 AND 300, 'users';
                 ASSERT NOT EXISTS (SELECT FROM orders o WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = o.user_id));
                 ASSERT (SELECT last_value FROM orders_id_seq) = 5000;
               END $$; REFRESH MATERIALIZED VIEW many;";
    let found =
        rehearsed(&project(&[("0001_a.sql", sql)]), &database, &Request { ground, ..request() }).await;
    assert_eq!(found.migrations[0].failure, None);
    assert!((200..=400).contains(&found.ground.rows), "{:?}", found.ground);
}

/// On a server of its own: roles belong to the whole server.
#[tokio::test]
async fn a_role_may_do_in_the_rehearsal_what_it_may_do_there() {
    let role = testkit::role("");
    let database = testkit::database();
    database.run(&format!(
        "CREATE SCHEMA own AUTHORIZATION {0}; CREATE SCHEMA others; CREATE TABLE others.t (n int);
         ALTER ROLE {0} SET search_path = own, \"a, \"\"b\"; ALTER ROLE {0} IN DATABASE {1} SET datestyle = 'ISO, DMY';
         ALTER DATABASE {1} SET statement_timeout = '17s'; GRANT CREATE ON DATABASE {1} TO {0};
         REVOKE TEMP ON DATABASE {1} FROM PUBLIC",
        role.name,
        database.name()
    ));
    let files = [
        (
            "0001_own.sql",
            "CREATE TABLE mine (n int); COMMENT ON TABLE own.mine IS 'found by the search path of the role';",
        ),
        ("0002_others.sql", "ALTER TABLE others.t ADD COLUMN m int;"),
        (
            "0003_settings.sql",
            "CREATE SCHEMA made; DO $$ BEGIN
                 ASSERT current_setting('search_path') = 'own, \"a, \"\"b\"', current_setting('search_path');
                 ASSERT current_setting('datestyle') = 'ISO, DMY' AND current_setting('statement_timeout') = '17s', 'settings';
             END $$;",
        ),
        ("0004_temp.sql", "CREATE TEMP TABLE t (n int);"),
    ];
    let sandbox = SandboxProvider::local(testkit::sandbox_options());
    let options = database.options_as(&role);
    // pg_dump reads as the role: what it may not read at all it cannot dump.
    database.run(&format!("GRANT USAGE ON SCHEMA others TO {0}; GRANT SELECT ON others.t TO {0}", role.name));
    let found = rehearse(&project(&files), Some(&options), &request(), &sandbox, &programs()).await;
    let found = found.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.migrations[0].failure, None);
    let refused = found.migrations[1].failure.as_ref().unwrap();
    assert!(refused.message.contains("must be owner"), "{}", refused.message);
    assert_eq!(found.migrations[2].failure, None, "what the role may make, under its settings");
    let refused = found.migrations[3].failure.as_ref().unwrap();
    assert!(refused.message.contains("permission denied to create temporary tables"), "{}", refused.message);
}

#[tokio::test]
async fn a_server_that_cannot_start_says_what_was_looked_for() {
    let database = testkit::database();
    let nowhere = cutover_postgres::sandbox::SandboxOptions {
        bin_dir: Some("/nonexistent".into()),
        ..testkit::sandbox_options()
    };
    let sandbox = SandboxProvider::local(nowhere);
    let files = [("0001_a.sql", "SELECT 1;")];
    let error =
        rehearse(&project(&files), Some(&database.options()), &request(), &sandbox, &programs()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("/nonexistent") && error.contains("no initdb"), "{error}");
    let sandbox = SandboxProvider::dev_url(database.server().options("postgres"));
    let nothing = cutover_postgres::sandbox::SandboxOptions {
        bin_dir: Some("/nonexistent".into()),
        ..testkit::sandbox_options()
    };
    let error = rehearse(&project(&files), Some(&database.options()), &request(), &sandbox, &nothing).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("pg_dump") && error.contains("--replay"), "{error}");
}

/// On a server of its own, and on one that is not: what belongs to the whole server is made in each pass, and taken back.
#[tokio::test]
async fn roles_and_the_name_of_the_database_are_those_that_are_meant() {
    let database = testkit::database();
    let role = format!("made_{}", database.name());
    let first = format!("CREATE ROLE {role}; CREATE SCHEMA s AUTHORIZATION {role};");
    let second = format!(
        "GRANT CONNECT ON DATABASE {0} TO {role}; ALTER DATABASE {0} SET statement_timeout = '30s';",
        database.name()
    );
    let files = [
        ("0001_a.up.sql", first.as_str()),
        ("0001_a.down.sql", &format!("DROP SCHEMA s; DROP ROLE {role};")),
        ("0002_b.up.sql", second.as_str()),
        ("0002_b.down.sql", &format!("REVOKE CONNECT ON DATABASE {} FROM {role};", database.name())),
    ];
    let request = Request { full: true, workload: Some(std::time::Duration::from_secs(1)), ..request() };
    let found = rehearsed(&project(&files), &database, &request).await;
    assert_eq!(found.failed(), 0, "{:?}", found.migrations);
    assert_eq!(found.proof.as_ref().unwrap().differs, [""; 0]);
    assert_eq!(database.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")), "0");
}

#[tokio::test]
async fn a_sample_is_what_it_is_there() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE p (\"x\ny\" int, b text, PRIMARY KEY (\"x\ny\", b));
         CREATE TABLE c (a int, b text, at timestamp, took interval, f float8, FOREIGN KEY (a, b) REFERENCES p);
         INSERT INTO p VALUES (1, 'e''\\'), (2, 'b'); INSERT INTO c VALUES (1, 'e''\\', '2024-03-04', '-1 day 02:00', 0.1234567890123456)",
    );
    database.run(&format!(
        "ALTER DATABASE {0} SET datestyle = 'SQL, DMY'; ALTER DATABASE {0} SET intervalstyle = 'sql_standard';
         ALTER DATABASE {0} SET extra_float_digits = -3",
        database.name()
    ));
    let ground = GroundRequest { sample: Some(1), ..GroundRequest::default() };
    let sql = "DO $$ BEGIN
        ASSERT (SELECT at = timestamp '2024-03-04' AND took = interval '-1 day' + interval '02:00' AND f = 0.1234567890123456 FROM c), 'values';
        ASSERT (SELECT count(*) FROM p JOIN c ON p.b = c.b) = 1, 'parent';
    END $$;";
    let found =
        rehearsed(&project(&[("0001_a.sql", sql)]), &database, &Request { ground, ..request() }).await;
    assert_eq!(found.migrations[0].failure, None, "{:?}", found.ground);
}

/// What would reach another server is not brought along, or not run.
#[tokio::test]
async fn nothing_reaches_another_server() {
    let database = testkit::database();
    let other = testkit::database();
    other.run("CREATE TABLE far (n int)");
    let server = database.server();
    database.run(&format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{}', dbname '{}');
         CREATE USER MAPPING FOR CURRENT_USER SERVER away OPTIONS (user 'postgres', password '{}');
         CREATE FOREIGN TABLE far (n int) SERVER away",
        server.port,
        other.name(),
        server.password.reveal()
    ));
    database.run("INSERT INTO far VALUES (1)");
    let files = [
        ("0001_far.sql", "INSERT INTO far VALUES (2);"),
        ("0002_sub.sql", "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p;"),
        ("0003_emptied.sql", "CREATE TABLE a (n int); DO $$ BEGIN TRUNCATE a; END $$;"),
    ];
    let found = rehearsed(&project(&files), &database, &Request { full: true, ..request() }).await;
    let failed = |at: usize| found.migrations[at].failure.as_ref().map(|failed| failed.message.as_str());
    assert!(failed(0).unwrap().contains("user mapping not found"), "{:?}", failed(0));
    assert!(failed(1).unwrap().contains("not rehearsed"), "{:?}", failed(1));
    assert_eq!((failed(2), other.value("SELECT string_agg(n::text, ',') FROM far")), (None, "1".to_owned()));
    assert!(found.ground.remarks.iter().any(|remark| remark.contains("user mappings")), "{:?}", found.ground);
}

/// What belongs to the whole server would be changed for real: nothing of that is run on the database's own.
#[tokio::test]
async fn the_databases_own_server_is_not_for_what_goes_beyond_a_database() {
    let database = testkit::database();
    database.run("CREATE TABLE t (n int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let own = SandboxProvider::dev_url(database.server().options("postgres"));
    let role = format!("never_{}", database.name());
    let rehearsed = async |files: &[(&str, &str)], request: &Request, sandbox: &SandboxProvider| {
        rehearse(&project(files), Some(&database.options()), request, sandbox, &programs()).await
    };
    let made = format!("CREATE TABLE u (n int);\nCREATE ROLE {role};");
    for text in [
        &made,
        "DO $$ BEGIN EXECUTE 'SELECT 1'; END $$;",
        "ALTER SYSTEM SET work_mem = '11MB';",
        "SELECT f();",
    ] {
        let error = rehearsed(&[("0001_a.sql", text)], &request(), &own).await.unwrap_err();
        assert!(matches!(error, RehearseError::SameServer { .. }), "{text}: {error}");
        assert!(
            error.to_string().contains("0001_a.sql:") && error.to_string().contains("--dev-url"),
            "{error}"
        );
    }
    assert_eq!(database.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")), "0");
    let fine =
        [("0001_a.up.sql", "ALTER TABLE t ADD COLUMN m int;"), ("0001_a.down.sql", "DO $$ BEGIN END $$;")];
    assert_eq!(rehearsed(&fine, &request(), &own).await.unwrap().failed(), 0);
    let back = rehearsed(&fine, &Request { full: true, ..request() }, &own).await.unwrap_err();
    assert!(back.to_string().contains("0001_a.down.sql:1"), "{back}");
    let other = testkit::private_server(&[]);
    let elsewhere = SandboxProvider::dev_url(other.options("postgres"));
    assert_eq!(rehearsed(&[("0001_a.sql", &made)], &request(), &elsewhere).await.unwrap().failed(), 0);
}

/// Rows that a foreign key to come refers to are among the sample; where they are nowhere the key says so.
#[tokio::test]
async fn a_sample_has_what_keys_to_come_refer_to() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int, q int);
         INSERT INTO p SELECT n FROM generate_series(1, 2000) n; INSERT INTO c SELECT n, 1000 + n, 2000 + n FROM generate_series(1, 500) n",
    );
    let ground = GroundRequest { sample: Some(50), ..GroundRequest::default() };
    let files = [
        ("0001_a.sql", "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p;"),
        ("0002_b.sql", "ALTER TABLE c ADD CONSTRAINT l FOREIGN KEY (q) REFERENCES p (id);"),
    ];
    let found = rehearsed(&project(&files), &database, &Request { ground, ..request() }).await;
    assert_eq!(found.migrations[0].failure, None, "{:?}", found.ground);
    let failed = found.migrations[1].failure.as_ref().unwrap();
    assert!(failed.message.contains("violates foreign key"), "{}", failed.message);
    assert!(failed.hint.as_deref().unwrap().contains("measured over some of the rows"), "{:?}", failed.hint);
}
