//! What is seen of statements.

use cutover_analysis::effects::{Context, Effects, LockMode};
use cutover_postgres::session::{Session, Startup};

use super::super::judge::{Seen, disagreements};
use super::super::trace::{self, Holding, Relations, Said};
use super::super::{Request, Traced, TracedStatement};
use super::support::{project, rehearsed, request};
use std::time::Duration;
use testkit::Database;

const SHOP: &str = "
CREATE SCHEMA app;
CREATE TABLE app.users (id bigint PRIMARY KEY, mail text);
CREATE TABLE app.orders (id bigint PRIMARY KEY, user_id bigint REFERENCES app.users, total int);
CREATE TABLE app.\"od\"\"d ;name\" (n int)";

fn shop() -> Database {
    testkit::database_from_template(SHOP, |database| database.run(SHOP))
}

fn names(objects: &[super::super::Object]) -> Vec<String> {
    objects.iter().map(|object| format!("{} {}", object.kind, object.name)).collect()
}

/// Table, mode and whether it waited.
fn locks(statement: &TracedStatement) -> Vec<(&str, &str, bool)> {
    let tables = statement.locks.iter().filter(|taken| !taken.relation.contains("key"));
    tables.map(|taken| (taken.relation.as_str(), taken.mode.short(), taken.waited)).collect()
}

fn statement(traced: &Traced, number: usize) -> &TracedStatement {
    &traced.statements[number]
}

#[tokio::test]
async fn what_code_makes_is_seen_too() {
    let database = shop();
    let sql = "DO $$ BEGIN
            EXECUTE 'CREATE TABLE app.' || 'made (id serial PRIMARY KEY)';
            ALTER TABLE app.orders ADD COLUMN note text;
            DROP TABLE app.\"od\"\"d ;name\";
        END $$;";
    let found = rehearsed(&project(&[("0001_code.sql", sql)]), &database, &request()).await;
    let code = statement(&found.migrations[0], 0);
    assert_eq!(names(&code.created), ["sequence app.made_id_seq", "table app.made", "index app.made_pkey"]);
    assert!(names(&code.altered).contains(&"table app.orders".to_owned()), "{:?}", code.altered);
    assert!(names(&code.dropped).contains(&"table app.\"od\"\"d ;name\"".to_owned()), "{:?}", code.dropped);
    assert_eq!(locks(code), [("app.\"od\"\"d ;name\"", "AX", false), ("app.orders", "AX", false)]);
    assert_eq!(found.disagreements, []);
}

#[tokio::test]
async fn locks_are_held_to_the_end_of_their_transaction_and_rewrites_and_scans_are_seen() {
    let database = shop();
    let sql = "ALTER TABLE app.users ADD COLUMN n int DEFAULT 1;
        ALTER TABLE app.orders ALTER COLUMN total TYPE text;
        -- cutover: new-transaction
        ALTER TABLE app.orders ADD CHECK (total <> '');";
    let found = rehearsed(&project(&[("0001_a.sql", sql)]), &database, &request()).await;
    let traced = &found.migrations[0];
    assert_eq!(traced.failure, None);
    assert_eq!(locks(statement(traced, 0)), [("app.users", "AX", false)]);
    assert_eq!(statement(traced, 1).rewritten, ["app.orders"]);
    assert_eq!(statement(traced, 2).scanned, ["app.orders"]);
    assert!(statement(traced, 0).rewritten.is_empty() && statement(traced, 0).scanned.is_empty());
    let held = |line| traced.locks.iter().find(|held| held.line == line && held.is_table).unwrap();
    let first = held(1);
    assert_eq!(first.mode, LockMode::AccessExclusive);
    assert!(first.to >= statement(traced, 1).to && first.to <= statement(traced, 2).from, "to its COMMIT");
    assert!(held(4).from >= first.to);
}

#[tokio::test]
async fn what_runs_concurrently_is_seen_while_it_waits_for_a_client() {
    let database = shop();
    let sql = "CREATE INDEX CONCURRENTLY by_total ON app.orders (total);
        DROP INDEX CONCURRENTLY app.by_total;";
    let found = rehearsed(&project(&[("0001_a.sql", sql)]), &database, &request()).await;
    let traced = &found.migrations[0];
    assert_eq!(traced.failure, None);
    for number in [0, 1] {
        assert_eq!(locks(statement(traced, number)), [("app.orders", "SUX", true)], "{number}");
    }
    assert_eq!(names(&statement(traced, 0).created), ["index app.by_total"]);
    assert_eq!(names(&statement(traced, 1).dropped), ["index app.by_total"]);
    let waited = traced.locks.iter().find_map(|held| held.waiting).unwrap();
    assert!(waited.to >= waited.from && waited.to <= traced.to);
}

#[tokio::test]
async fn what_is_called_like_something_that_is_gone_is_not_that() {
    let database = shop();
    // What a trigger of rows makes and reads is not in the statement that fires it.
    database.run(
        "CREATE FUNCTION app.fired() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN CREATE TABLE app.by_trigger AS SELECT * FROM app.users; ALTER TABLE app.users ADD COLUMN IF NOT EXISTS t int; RETURN NULL; END';
         CREATE TRIGGER fires AFTER INSERT ON app.orders EXECUTE FUNCTION app.fired()",
    );
    let sql = "INSERT INTO app.orders VALUES (1); DROP TABLE app.orders; CREATE TABLE app.orders (n int); CREATE UNIQUE INDEX ON app.orders (n);
        ALTER TABLE app.users RENAME TO people; CREATE TABLE app.copied AS SELECT * FROM app.people;
        DROP TRIGGER IF EXISTS nothing ON app.people; DROP VIEW IF EXISTS app.nothing;";
    let found = rehearsed(&project(&[("0001_a.sql", sql)]), &database, &request()).await;
    assert_eq!((found.failed(), found.disagreements), (0, Vec::new()));
}

#[tokio::test]
async fn a_file_that_fails_is_told_with_its_line_and_the_rest_goes_on() {
    let database = shop();
    let files = [
        ("0001_a.sql", "CREATE TABLE a (n int);\nINSERT INTO a VALUES (1);\nSELECT 1/0;"),
        ("0002_b.sql", "CREATE TABLE a (n int);"),
        ("0003_c.sql", "CREATE TABEL c (n int);"),
        (
            "0004_d.sql",
            "CREATE INDEX CONCURRENTLY users_mail_idx ON app.users (mail);\nSELECT nothing_of_it();",
        ),
    ];
    let found = rehearsed(&project(&files), &database, &request()).await;
    let failures: Vec<_> = found
        .migrations
        .iter()
        .map(|traced| traced.failure.as_ref().map(|failed| (failed.line, failed.partly)))
        .collect();
    assert_eq!(failures[3], Some((2, true)), "{:?}", found.migrations[3].failure);
    assert_eq!(failures, [Some((3, false)), None, Some((1, false)), Some((2, true))]);
    assert_eq!(found.failed(), 3);
    assert!(!found.is_clean(&[]));
    assert_eq!(
        database.value("SELECT to_regclass('a') IS NULL AND to_regclass('app.users_mail_idx') IS NULL"),
        "t"
    );
}

#[tokio::test]
async fn a_rewrite_that_no_rule_foresees_is_a_finding_of_the_trace() {
    let database = shop();
    // A small table may be written anew: nobody notices.
    let rows = "SELECT n FROM generate_series(1, 20000) n";
    database.run(&format!("INSERT INTO app.users (id) {rows}; INSERT INTO app.orders (id) {rows}; ANALYZE"));
    let sql = "DO $$ BEGIN EXECUTE format('ALTER TABLE app.%I ALTER COLUMN mail TYPE int USING 1', 'users'); END $$;
        ALTER TABLE app.orders ADD COLUMN key float DEFAULT random();";
    let found = rehearsed(&project(&[("0001_a.sql", sql)]), &database, &request()).await;
    let of = |code: &str| found.findings.iter().filter(|one| one.found.code == code).collect::<Vec<_>>();
    let [other] = of("any-other-rewrite")[..] else { panic!("{:?}", found.findings) };
    assert_eq!((other.found.line, other.found.seen_by), (1, crate::lint::Seen::Trace));
    assert!(other.found.message.contains("app.users"), "{}", other.found.message);
    // The other one is foreseen, and measured.
    let [foreseen] = of("volatile-default-rewrites")[..] else { panic!("{:?}", found.findings) };
    assert!(
        foreseen.measured.as_deref().unwrap().contains("wrote app.orders anew"),
        "{:?}",
        foreseen.measured
    );
}

/// What code puts together is told by what it did, also where nothing was announced: no event, or more notices than are kept.
#[tokio::test]
async fn what_code_does_without_an_event_is_found_too() {
    let database = shop();
    let rows = "SELECT n FROM generate_series(1, 20000) n";
    database.run(&format!(
        "INSERT INTO app.users (id) {rows}; INSERT INTO app.orders (id) {rows}; CREATE TABLE app.more AS {rows};
         CREATE TABLE app.old AS {rows}; CREATE TABLE app.emptied AS {rows}; CREATE TABLE app.known AS {rows};
         CREATE MATERIALIZED VIEW app.view AS {rows}; ANALYZE"
    ));
    let files = [
        ("0001_a.sql", "DO $$ BEGIN EXECUTE 'CLU' || 'STER app.users USING users_pkey'; END $$;"),
        ("0002_b.sql", "DO $$ BEGIN EXECUTE 'REF' || 'RESH MATERIALIZED VIEW app.view'; END $$;"),
        (
            "0003_c.sql",
            "DO $$ BEGIN FOR i IN 1..20000 LOOP RAISE NOTICE 'x'; END LOOP;
                 EXECUTE 'ALTER TA' || 'BLE app.orders ALTER total TYPE bigint'; END $$;",
        ),
        ("0004_d.sql", "DO $$ BEGIN EXECUTE 'CREATE IN' || 'DEX ON app.more (n)'; END $$;"),
        ("0005_e.sql", "DO $$ BEGIN EXECUTE 'DROP TA' || 'BLE app.old'; END $$;"),
        // Emptied, or said by the text: nothing more.
        ("0006_f.sql", "DO $$ BEGIN EXECUTE 'TRUN' || 'CATE app.emptied'; END $$;"),
        ("0007_g.sql", "-- cutover: allow drop-table nobody reads it\nDO $$ BEGIN DROP TABLE app.known; END $$;"),
        (
            "0008_h.sql",
            "DO $$ DECLARE t text; BEGIN FOR t IN SELECT evtname FROM pg_event_trigger LOOP EXECUTE 'DROP EVENT TRIGGER ' || t; END LOOP;
                 EXECUTE 'ALTER TA' || 'BLE app.more ALTER n TYPE bigint'; END $$;",
        ),
    ];
    let found = rehearsed(&project(&files), &database, &request()).await;
    assert_eq!(found.failed(), 0, "{:?}", found.migrations);
    let told: Vec<_> = found
        .findings
        .iter()
        .filter(|finding| finding.found.seen_by == crate::lint::Seen::Trace)
        .map(|finding| {
            format!("{} {} {}", &finding.found.path[..4], finding.found.code, finding.found.message)
        })
        .collect();
    assert_eq!(
        told,
        [
            "0001 any-other-rewrite app.users is written anew while nobody can use it",
            "0002 any-other-rewrite app.view is written anew while nobody can use it",
            "0003 any-other-rewrite app.orders is written anew while nobody can use it",
            "0004 create-index-blocks-writes app.more is kept by code from being written to, as by building an index",
            "0005 drop-table app.old is dropped by code",
            "0008 any-other-rewrite app.more is written anew while nobody can use it",
        ]
    );
}

/// A mutant: where the analysis says nothing of what was done, or says what was not done, that is told.
#[tokio::test]
async fn what_was_not_foreseen_is_told_and_what_was_foreseen_and_not_seen() {
    let database = shop();
    let startup = Startup::default();
    let mut session = Session::connect(&database.options(), &startup).await.unwrap();
    session.execute(trace::INSTALL).await.unwrap();
    let mut relations = Relations::default();
    relations.read(&mut session, true).await.unwrap();
    let known = crate::catalog::context(&mut session, vec!["public".to_owned()]).await.unwrap();
    let sql = "ALTER TABLE app.orders ALTER COLUMN total TYPE text";
    let look = trace::look(relations.newest);
    let outcomes = session.pipeline(&["BEGIN", sql, &look]).await;
    let mut holding = Holding::default();
    let seen = outcomes[2].result.as_ref().unwrap().scalar().unwrap().to_owned();
    let came = holding.take(&seen, &mut relations);
    let said = Said::of(&outcomes[1].notices);
    let told = |effects: &Effects, known: &Context| {
        disagreements(&Seen {
            effects,
            known,
            relations: &relations,
            holding: &holding,
            came: &came,
            said: &said,
            gone: &std::collections::HashSet::new(),
        })
    };
    let right = |sql: &str| cutover_analysis::effects::effects_and_after(sql, &mut known.clone()).unwrap();
    assert_eq!(told(&right(sql), &known), [""; 0]);
    assert_eq!(
        told(&Effects::default(), &known),
        [
            "ACCESS EXCLUSIVE on app.orders was taken and not foreseen",
            "app.orders was written anew and that was not foreseen",
            "app.orders was read as a whole and that was not foreseen",
        ]
    );
    assert_eq!(
        told(&right("ALTER TABLE app.users ALTER COLUMN mail TYPE int USING 1"), &known)[..2],
        [
            "ACCESS EXCLUSIVE on app.users was foreseen, none was taken",
            "app.users was to be written anew and was not",
        ]
    );
    session.close().await;
}

#[tokio::test]
async fn what_was_given_is_shown_nowhere() {
    let database = shop();
    let mut project = project(&[
        ("0001_a.sql", "ALTER TABLE app.users ADD COLUMN z text DEFAULT '${token}';"),
        (
            "0002_b.sql",
            "DO $$ BEGIN RAISE EXCEPTION 'no ${token}' USING HINT = 'yes ${token} password=SECRETtwenty'; END $$;",
        ),
        ("0003_c.sql", "SELECT nextval('${token}');"),
    ]);
    project.vars.insert_hidden("token", "toktoktok").unwrap();
    let found = rehearsed(&project, &database, &Request { full: true, ..request() }).await;
    assert_eq!(found.failed(), 2);
    let json = serde_json::to_string(&found).unwrap();
    assert!(!json.contains("toktoktok") && !json.contains("SECRETtwenty"), "{json}");
    assert!(json.contains("***"), "{json}");
}

#[tokio::test]
async fn clients_feel_who_holds_their_tables_and_what_breaks_their_statements() {
    let database = shop();
    database.run("INSERT INTO app.users SELECT n, n FROM generate_series(1, 10) n");
    let files = [
        // The statement goes on until both clients wait: no time is waited for.
        (
            "0001_hold.sql",
            "LOCK TABLE app.users IN ACCESS EXCLUSIVE MODE;
             DO $$ BEGIN
                 WHILE (SELECT count(*) < 2 FROM pg_locks WHERE relation = 'app.users'::regclass AND NOT granted
                           AND EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'BEGIN; LOCK TABLE app.users IN ROW%'))
                 LOOP
                     PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
                     EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'BEGIN; LOCK TABLE app.users IN ROW%');
                 END LOOP;
                 PERFORM pg_sleep(0.02);
             END $$;",
        ),
        ("0002_change.sql", "ALTER TABLE app.users ADD COLUMN more int;"),
    ];
    let request = Request { workload: Some(Duration::from_millis(10)), ..request() };
    let found = rehearsed(&project(&files), &database, &request).await;
    let workload = found.workload.as_ref().unwrap();
    let users: Vec<_> = workload.felt.iter().filter(|felt| felt.table == "app.users").collect();
    assert_eq!(users.len(), 2, "one that reads and one that writes: {workload:?}");
    for felt in &users {
        assert!(felt.blocked.iter().any(|blocked| blocked.during == "0001_hold.sql"), "{felt:?}");
    }
    let reader = users.iter().find(|felt| !felt.writes).unwrap();
    assert!(
        reader.errors.iter().any(|hurt| hurt.message.contains("cached plan must not change")),
        "{reader:?}"
    );
    assert!(workload.hurts() && !found.is_clean(&[]));
}

/// An error is told with the migration that has caused it, and nothing of the client's own doing is among them.
#[tokio::test]
async fn clients_name_who_broke_their_statements() {
    let database = shop();
    database.run("INSERT INTO app.users SELECT n, n FROM generate_series(1, 10) n");
    let files = [
        ("0001_a.sql", "ALTER TABLE app.users ADD CHECK (id > 0);"),
        ("0002_b.sql", "ALTER TABLE app.users ADD COLUMN more int;"),
        ("0003_c.sql", "ALTER TABLE app.orders ADD COLUMN more int;"),
        ("0004_d.sql", "ALTER TABLE app.users ADD CHECK (id > -1);"),
        ("0005_e.sql", "ALTER TABLE app.users RENAME TO people;"),
        ("0006_f.sql", "ALTER TABLE app.people ADD CHECK (id > -2);"),
    ];
    let request = Request { workload: Some(Duration::from_secs(5)), ..request() };
    let found = rehearsed(&project(&files), &database, &request).await;
    let workload = found.workload.as_ref().unwrap();
    let mut told: Vec<_> = workload
        .felt
        .iter()
        .flat_map(|felt| felt.errors.iter().map(move |hurt| (felt.table.as_str(), felt.writes, hurt)))
        .map(|(table, writes, hurt)| {
            let code = hurt.message.rsplit('(').next().unwrap_or_default();
            format!("{table} {writes} {} {code}", hurt.during)
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "app.orders false 0003_c.sql 0A000)",
            "app.users false 0002_b.sql 0A000)",
            "app.users false 0005_e.sql 42P01)",
            "app.users true 0005_e.sql 42P01)",
        ]
    );
}

/// Triggers are switched in partitions only where the table itself has such a trigger.
#[tokio::test]
async fn triggers_of_partitions_are_switched_with_those_of_their_table() {
    let database = shop();
    database.run(
        "CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TABLE app.none (n int) PARTITION BY LIST (n); CREATE TABLE app.none_1 PARTITION OF app.none FOR VALUES IN (1);
         CREATE TABLE app.one (n int) PARTITION BY LIST (n); CREATE TABLE app.one_1 PARTITION OF app.one FOR VALUES IN (1);
         CREATE TRIGGER t AFTER INSERT ON app.one FOR EACH ROW EXECUTE FUNCTION app.f();
         CREATE TABLE app.key (n bigint REFERENCES app.users) PARTITION BY LIST (n); CREATE TABLE app.key_1 PARTITION OF app.key FOR VALUES IN (1)",
    );
    let mut statements: Vec<String> = ["none", "one", "key"]
        .iter()
        .flat_map(|table| {
            ["ALL", "USER"].map(|which| format!("ALTER TABLE app.{table} DISABLE TRIGGER {which};\n"))
        })
        .collect();
    statements.push("ALTER TABLE app.one ENABLE TRIGGER t;\n".to_owned());
    let sql = statements.join("-- cutover: new-transaction\n");
    let found = rehearsed(&project(&[("0001_a.sql", &sql)]), &database, &request()).await;
    assert_eq!(found.migrations[0].failure, None);
    assert_eq!(found.disagreements, []);
    let key = statement(&found.migrations[0], 4);
    assert!(key.locks.iter().any(|taken| taken.relation == "app.key_1"), "{key:?}");
}

/// A file that ends its own session ends nobody else's rehearsal.
#[tokio::test]
async fn a_migration_that_ends_its_session_does_not_end_the_rehearsal() {
    let database = testkit::database();
    let files = [
        ("0001_a.sql", "CREATE TABLE a (n int);"),
        ("0002_b.sql", "ALTER TABLE a ADD m int; SELECT pg_terminate_backend(pg_backend_pid());"),
        ("0003_c.sql", "DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$;"),
        ("0004_d.sql", "CREATE TABLE b (n int);"),
    ];
    let request = Request { full: true, workload: Some(Duration::from_secs(1)), ..request() };
    let found = rehearsed(&project(&files), &database, &request).await;
    let failed: Vec<bool> = found.migrations.iter().map(|traced| traced.failure.is_some()).collect();
    assert_eq!(failed, [false, true, true, false], "{found:?}");
    let why = &found.migrations[1].failure.as_ref().unwrap().message;
    assert!(why.starts_with("it ended the session that it ran in"), "{why}");
    assert_eq!(found.migrations[3].statements[0].created.len(), 1);
}

/// Before 15 a session goes on counting over the end of a transaction.
#[tokio::test]
async fn what_an_earlier_migration_read_is_not_told_of_the_next() {
    let database = testkit::database();
    database.run("CREATE TABLE a (n int); INSERT INTO a VALUES (1)");
    let files = [
        ("0001_a.sql", "UPDATE a SET n = 2 WHERE n = 1;"),
        ("0002_b.sql", "ALTER TABLE a ADD m int;"),
        ("0003_c.sql", "ALTER TABLE a ADD o int;\n-- cutover: new-transaction\nALTER TABLE a ADD p int;"),
    ];
    let found = rehearsed(&project(&files), &database, &request()).await;
    let scanned = |traced: &Traced| {
        traced.statements.iter().any(|one| !one.scanned.is_empty() || !one.wrote.is_empty())
    };
    assert_eq!(found.migrations.iter().map(scanned).collect::<Vec<_>>(), [true, false, false], "{found:?}");
    assert!(found.disagreements.is_empty(), "{:?}", found.disagreements);
}
