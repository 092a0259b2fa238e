//! What one file does to its session is nothing to the next one, and nothing to the records.

use cutover::apply::ApplyError;
use cutover::run::Outcome;
use testkit::{database, role};

use crate::support::{APPLIED, OBJECTS, apply, completes, failure, project};

/// Everything of a session that could be seen by the next file.
const LOOK: &str = "
INSERT INTO seen SELECT concat_ws('|', current_setting('search_path'), current_user, session_user,
  current_setting('statement_timeout'), current_setting('session_replication_role'),
  current_setting('standard_conforming_strings'), current_setting('row_security'), current_setting('DateStyle'),
  current_setting('default_transaction_read_only'), current_setting('default_transaction_isolation'),
  coalesce(current_setting('cutover_test.x', true), ''), currval_or_null(),
  (SELECT count(*) FROM pg_class WHERE relpersistence = 't'), (SELECT count(*) FROM pg_listening_channels()),
  (SELECT count(*) FROM pg_prepared_statements WHERE name !~ '^cutover_'), (SELECT count(*) FROM pg_cursors),
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()));";

const BASE: &str = "
CREATE TABLE seen (what text);
CREATE SEQUENCE counter;
CREATE FUNCTION currval_or_null() RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN RETURN currval('counter'); EXCEPTION WHEN OTHERS THEN RETURN 'none'; END $$;";

#[tokio::test]
async fn the_next_file_sees_nothing_of_it() {
    let database = database();
    let someone = role("");
    let meddling = format!(
        "SELECT nextval('counter');
         CREATE TEMP TABLE scratch (n int);
         CREATE TEMP TABLE pg_class (n int);
         LISTEN news;
         PREPARE p AS SELECT 1;
         DECLARE c CURSOR WITH HOLD FOR SELECT 1;
         SELECT pg_advisory_lock(1), pg_advisory_unlock_all();
         SELECT pg_advisory_lock(2);
         SET statement_timeout = '1h'; SET row_security = off; SET DateStyle = 'German'; SET cutover_test.x = 'y';
         SET session_replication_role = replica;
         SET backslash_quote = on;
         SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;
         SET default_transaction_read_only = on;
         SET search_path = '';
         SET ROLE {}",
        someone.name
    );
    let project = project(&[
        ("V1__base.sql", BASE),
        ("V2__look.sql", LOOK),
        ("V3__it's\\a_name.sql", &meddling),
        ("V4__look.sql", LOOK),
        (
            "V5__session_authorization.sql",
            &format!("SET SESSION AUTHORIZATION {}; SET LOCAL search_path = '';", someone.name),
        ),
        ("V6__look.sql", LOOK),
        (
            "V7__x.sql",
            "-- cutover: no-transaction\nSELECT set_config('search_path', '', false);\n\
             SELECT set_config('default_transaction_read_only', 'on', false);",
        ),
        ("V8__look.sql", LOOK),
    ]);
    completes(&project, &database.options()).await;
    assert_eq!(database.value(APPLIED), "1 2 3 4 5 6 7 8");
    let seen = database.rows("SELECT DISTINCT what FROM seen");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(database.value("SELECT count(*) FROM seen"), "4");
    assert_eq!(
        database.value("SELECT DISTINCT what FROM seen"),
        "\"$user\", public|postgres|postgres|0|origin|on|on|ISO, MDY|off|read committed||none|0|0|0|0|0"
    );
    // The records are the connected role's, with the texts as they are.
    let row =
        "SELECT concat_ws('|', role, name, path, statements) FROM cutover.migration WHERE version = '3'";
    assert_eq!(database.value(row), "postgres|it's\\a_name|V3__it's\\a_name.sql|18");
    drop(database);
}

#[tokio::test]
async fn tables_of_a_file_cannot_take_the_place_of_ours() {
    let database = database();
    let evil = "CREATE SCHEMA evil; CREATE TABLE evil.migration (x int); SET search_path = evil, public;
        CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
        CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
        CREATE TEMP TABLE migration (x int); SET search_path = evil, pg_temp, pg_catalog;";
    completes(&project(&[("V1__evil.sql", evil), ("V2__b.sql", "CREATE TABLE b ();")]), &database.options())
        .await;
    assert_eq!(database.value(APPLIED), "1 2");
    assert_eq!(database.value("SELECT count(*) FROM cutover.migration WHERE applied_at IS NULL"), "0");
}

/// Triggers run with the statements that fire them, so a plain INSERT may do anything to the session.
#[tokio::test]
async fn what_triggers_do_to_the_session_is_nothing_to_the_records() {
    let database = database();
    let someone = role("");
    let base = format!(
        "{BASE}
         CREATE SCHEMA evil;
         CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz 'epoch' $$;
         CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz 'epoch' $$;
         CREATE TABLE t (n int);
         CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $f$
         BEGIN
           PERFORM set_config('search_path', 'evil, pg_catalog', false);
           PERFORM set_config('standard_conforming_strings', 'off', false);
           CREATE TEMP TABLE left_by_a_trigger ();
           PERFORM pg_advisory_lock(3);
           EXECUTE 'SET ROLE {}';
           RETURN NULL;
         END $f$;
         CREATE TRIGGER meddle AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION meddle();",
        someone.name
    );
    let on_create_table = format!(
        "CREATE FUNCTION meddle_too() RETURNS event_trigger LANGUAGE plpgsql AS $f$
         BEGIN
           PERFORM set_config('search_path', 'evil, pg_catalog', false);
           EXECUTE 'SET ROLE {}';
         END $f$;
         CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION meddle_too();",
        someone.name
    );
    let project = project(&[
        ("V1__base.sql", &base),
        ("V2__look.sql", LOOK),
        ("V3__it's\\a_name.sql", "INSERT INTO t VALUES (1);"),
        ("V4__look.sql", LOOK),
        ("V5__event_trigger.sql", &on_create_table),
        ("V6__it's\\a_table.sql", "CREATE TABLE fires ();"),
        ("V7__look.sql", LOOK),
    ]);
    completes(&project, &database.options()).await;
    assert_eq!(database.value("SELECT count(DISTINCT what) FROM seen"), "1");
    assert_eq!(database.value("SELECT count(*) FROM seen"), "3");
    assert_eq!(
        database.value("SELECT count(*) FROM cutover.migration WHERE applied_at < now() - interval '1 hour'"),
        "0"
    );
    assert_eq!(
        database.value("SELECT path || role FROM cutover.migration WHERE version = '3'"),
        "V3__it's\\a_name.sqlpostgres"
    );
    drop(database);
}

#[tokio::test]
async fn transaction_control_is_refused_before_the_first_statement() {
    let cases = [
        (
            "CREATE TABLE a ();\nCOMMIT;\nCREATE TABLE b ();",
            "V1__x.sql:2:1: COMMIT inside a migration",
            "2 | COMMIT;\n  | ^",
        ),
        ("CREATE TABLE a ();\n  ROLLBACK;", "V1__x.sql:2:3: ROLLBACK inside a migration", "2 |   ROLLBACK"),
        (
            "CREATE TABLE a ();\nSAVEPOINT s;",
            "V1__x.sql:2:1: transaction control inside a migration",
            "2 | SAVEPOINT s",
        ),
        (
            "BEGIN;\nCREATE TABLE a ();\nCOMMIT;\nBEGIN;\nCOMMIT;",
            "V1__x.sql:1:1: BEGIN inside a migration",
            "1 | BEGIN",
        ),
        (
            "CREATE TABLE a ();\nPREPARE TRANSACTION 'x';",
            "V1__x.sql:2:1: transaction control",
            "2 | PREPARE TRANSACTION",
        ),
        ("CREATE TABLE a ();\nEND;", "V1__x.sql:2:1: COMMIT inside a migration", "2 | END"),
    ];
    let database = database();
    for (text, place, shown) in cases {
        let project = project(&[("V1__x.sql", text)]);
        let error = apply(&project, &database.options()).await.unwrap_err();
        assert!(matches!(error, ApplyError::Scripts(_)), "{text}: {error:?}");
        let said = error.to_string();
        assert!(
            said.contains(place) && said.contains(shown) && said.ends_with("nothing was done"),
            "{text}:\n{said}"
        );
    }
    assert_eq!(database.value(OBJECTS), "");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
}

/// COMMIT inside a procedure or a DO block cannot end our transaction either: the server refuses it there.
#[tokio::test]
async fn hidden_transaction_control_fails_and_is_rolled_back() {
    let database = database();
    let procedure =
        "CREATE TABLE a ();\nCREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;\nCALL p();";
    for text in [procedure, "CREATE TABLE a ();\nDO $$ BEGIN COMMIT; END $$;"] {
        let run = apply(&project(&[("V1__x.sql", text)]), &database.options()).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::FailedClean));
        assert!(failure(&run).contains("invalid transaction termination (2D000)"), "{}", failure(&run));
        assert_eq!(database.value(OBJECTS), "");
    }
}

/// The text is split under one rule for strings. Whatever the database says, the server reads it under the same.
#[tokio::test]
async fn a_string_cannot_hide_a_commit() {
    let database = database();
    let name = database.value("SELECT quote_ident(current_database())");
    database.run(&format!("ALTER DATABASE {name} SET standard_conforming_strings = off"));
    let text = "CREATE TABLE t (x text);\nINSERT INTO t VALUES ('a\\''); commit; create table sneaked (i int); --');\nSELECT 1 / 0;";
    let run = apply(&project(&[("V1__a.sql", text)]), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run));
    assert_eq!(database.value(OBJECTS), "", "nothing of it is there");
    assert_eq!(database.value("SELECT count(*) FROM cutover.migration"), "0");
}

/// Nor can it where code that ran before, in the same file, has changed what a text means: a trigger, a function, or a
/// SET that nobody recognised.
#[tokio::test]
async fn code_that_changes_how_text_is_read_cannot_bring_out_a_commit() {
    let setup = |setting: &str| {
        format!(
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM {setting}; RETURN NULL; END $f$;
             CREATE TABLE t (x text, y text);
             CREATE TRIGGER meddle AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION meddle()"
        )
    };
    let backslash = setup("set_config('standard_conforming_strings', 'off', false)");
    // The last byte of the letter and the backslash behind it are one character there.
    let encoding = setup("set_config('client_encoding', 'SJIS', false)");
    let hidden = "'); COMMIT; CREATE TABLE sneaked (i int); --')";
    let cases = [
        (&backslash, format!("INSERT INTO t VALUES ('', '');\nINSERT INTO t VALUES ('\\', {hidden};")),
        (
            &backslash,
            "INSERT INTO t VALUES ('', '');\nCOPY t FROM STDIN (NULL '\\', DELIMITER ';');\n1;2\n\\.\n"
                .to_owned(),
        ),
        (&encoding, format!("INSERT INTO t VALUES ('', '');\nINSERT INTO t VALUES (E'\u{3049}\\{hidden};")),
    ];
    for (n, (base, text)) in cases.iter().enumerate() {
        let database = database();
        database.run(base);
        // In the flush with the commit, and in one before it.
        for more in ["", &"SELECT 1;\n".repeat(70)] {
            let text = format!("{text}\n{more}SELECT 1 / 0;");
            let run = apply(&project(&[("V1__a.sql", &text)]), &database.options()).await.unwrap();
            assert_eq!(run.outcome, Some(Outcome::FailedClean), "{n}: {}", failure(&run));
            let said = failure(&run);
            assert!(said.contains("would read what follows otherwise than it is written"), "{n}: {said}");
            assert_eq!(
                database.value("SELECT to_regclass('sneaked') IS NULL AND NOT EXISTS (SELECT FROM t)"),
                "t"
            );
            assert_eq!(database.value("SELECT count(*) FROM cutover.migration"), "0");
        }
    }
}

/// What follows in the file would be garbled: other letters, other strings. The server may find nothing wrong with it.
#[tokio::test]
async fn code_that_changes_how_text_is_read_stops_its_file() {
    let base = "CREATE TABLE t (x text);
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $f$
        BEGIN PERFORM set_config('client_' || 'encoding', 'LATIN1', NEW.x = 'local'); RETURN NEW; END $f$;
        CREATE TABLE fires (x text);
        CREATE TRIGGER meddle BEFORE INSERT ON fires FOR EACH ROW EXECUTE FUNCTION meddle();
        CREATE FUNCTION meddle_at_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $f$
        BEGIN PERFORM set_config('client_' || 'encoding', 'LATIN1', true); END $f$;";
    let dynamic = "  DO $$ BEGIN EXECUTE 'SET client_' || 'encoding = LATIN1'; END $$;\n";
    let strings = "  DO $$ BEGIN EXECUTE 'SET standard_' || 'conforming_strings = off'; END $$;\n";
    let letters = "INSERT INTO t VALUES ('größe');\n";
    let many = "INSERT INTO t VALUES ('1');\n".repeat(70);
    let copied = "COPY t FROM STDIN;\ngröße\n\\.\n";
    let by_ddl = "CREATE EVENT TRIGGER at_ddl ON ddl_command_end WHEN TAG IN ('COMMENT') EXECUTE FUNCTION meddle_at_ddl();\n";
    let latin = "2:3: code that this statement runs has set client_encoding to LATIN1 and left it so";
    let cases = [
        // In the flush with the commit, across flushes, within one that comes before the commit.
        (format!("SELECT 1;\n{dynamic}{letters}"), latin),
        (format!("SELECT 1;\n{dynamic}{many}{letters}"), latin),
        (format!("SELECT 1;\n{dynamic}{letters}{many}"), latin),
        // Set back by hand behind what was garbled.
        (format!("SELECT 1;\n{dynamic}{letters}SET client_encoding = 'UTF8';"), latin),
        (format!("SELECT 1;\n{dynamic}{copied}"), latin),
        (format!("COPY fires FROM STDIN;\nlocal\n\\.\n{letters}"), "1:1: code that"),
        (format!("INSERT INTO fires VALUES ('local');\n{letters}"), "1:1: code that"),
        (
            format!("SELECT 1;\n{strings}INSERT INTO t VALUES ('a\\nb');"),
            "2:3: code that this statement runs has set standard_conforming_strings to off",
        ),
        (format!("{by_ddl}COMMENT ON TABLE t IS 'a';\nCOMMENT ON TABLE t IS 'größe';"), "2:1: code that"),
        // It would be refused, for a reason that misleads.
        (format!("SELECT 1;\n{strings}SELECT '\\';"), "2:3: code that"),
        // Only the part at hand.
        (format!("SELECT 1;\n-- cutover: new-transaction\n{dynamic}{letters}"), "3:3: code that"),
    ];
    for (text, place) in &cases {
        let database = database();
        database.run(base);
        let run = apply(&project(&[("V1__a.sql", text)]), &database.options()).await.unwrap();
        let said = failure(&run);
        assert_eq!(run.outcome, Some(Outcome::FailedClean), "{text}\n{said}");
        assert!(said.contains(&format!("V1__a.sql:{place}")), "{text}\n{said}");
        assert!(said.contains("hint: have that code set it back"), "{said}");
        assert_eq!(database.value("SELECT count(*) FROM t"), "0", "{text}");
        assert_eq!(database.value("SELECT obj_description('t'::regclass) IS NULL"), "t", "{text}");
        assert_eq!(database.value("SELECT count(*) FROM cutover.migration"), "0");
    }
}

/// What is set back in time, what nobody reads, and what another part of the file did is in nobody's way.
#[tokio::test]
async fn code_that_changes_how_text_is_read_and_sets_it_back_is_let_be() {
    let there = "PERFORM set_config('client_encoding', 'LATIN1', false);";
    let back = "PERFORM set_config('client_encoding', 'UTF8', false);";
    let letters = "INSERT INTO t VALUES ('größe')";
    let cases = [
        format!("DO $$ BEGIN {there} {back} END $$; {letters};"),
        format!("DO $$ BEGIN {there} END $$; SET client_encoding = 'UTF8'; {letters};"),
        format!("DO $$ BEGIN {there} END $$; INSERT INTO t VALUES ('gr\\u00f6\\u00dfe'::text);"),
        format!("DO $$ BEGIN {there} END $$;\n-- cutover: new-transaction\n{letters};"),
        format!("DO $$ BEGIN {there} END $$;\n-- cutover: no-transaction\n{letters};"),
    ];
    for text in cases {
        let database = database();
        database.run("CREATE TABLE t (x text)");
        completes(&project(&[("V1__größe.sql", &text)]), &database.options()).await;
        assert_eq!(database.value("SELECT count(*) FROM t"), "1");
        assert_eq!(database.value("SELECT path FROM cutover.migration"), "V1__größe.sql");
        if !text.contains("u00f6") {
            assert_eq!(database.value("SELECT x FROM t"), "größe", "{text}");
        }
    }
}

/// Small files are sent ahead. Code that nobody would look for there, that of a domain, does not reach the next one.
#[tokio::test]
async fn a_file_that_is_sent_ahead_is_read_as_it_is_written() {
    let database = database();
    database.run(
        "CREATE FUNCTION meddle(n int) RETURNS boolean LANGUAGE plpgsql AS $f$
         BEGIN PERFORM set_config('client_encoding', 'LATIN1', false); RETURN true; END $f$;
         CREATE DOMAIN number AS int CHECK (meddle(VALUE));
         CREATE TABLE t (a number) PARTITION BY LIST (a)",
    );
    let files = [
        ("V1__a.sql", "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);"),
        ("V2__b.sql", "COMMENT ON TABLE t IS 'größe';"),
        ("V3__größe.sql", "COMMENT ON COLUMN t.a IS 'größe';"),
    ];
    completes(&project(&files), &database.options()).await;
    assert_eq!(database.value("SELECT obj_description('t'::regclass)"), "größe");
    assert_eq!(database.value("SELECT col_description('t'::regclass, 1)"), "größe");
    assert_eq!(database.value("SELECT path FROM cutover.migration WHERE version = '3'"), "V3__größe.sql");
}

/// What a file does to the encoding of the client reaches neither its own record nor the next file.
#[tokio::test]
async fn a_changed_encoding_does_not_reach_the_record() {
    let database = database();
    database.run(
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT set_config('client_encoding', 'LATIN1', false) $$;
         CREATE TABLE t (x text)",
    );
    let files = [("V1__größe.sql", "SELECT f();"), ("V2__b.sql", "INSERT INTO t VALUES ('größe');")];
    completes(&project(&files), &database.options()).await;
    assert_eq!(database.value("SELECT path FROM cutover.migration WHERE version = '1'"), "V1__größe.sql");
    assert_eq!(database.value("SELECT x FROM t"), "größe");
}

/// A view may run anything; the next file must not see what it did.
#[tokio::test]
async fn code_behind_a_view_does_not_reach_the_next_file() {
    let database = database();
    database.run(
        "CREATE TABLE orders (n int);
         CREATE SCHEMA evil;
         CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
           PERFORM set_config('search_path', 'evil', false);
           CREATE TEMP TABLE orders (n int); RETURN 1; END $$;
         CREATE VIEW v AS SELECT f() AS x",
    );
    let files = [
        ("V1__a.sql", "CREATE TABLE copied AS SELECT x FROM v;"),
        ("V2__b.sql", "CREATE TABLE kept (n int);\nINSERT INTO orders VALUES (1), (2);"),
        ("V3__c.sql", "CREATE TABLE too AS (TABLE v);"),
        ("V4__d.sql", "CREATE TABLE here (n int);"),
    ];
    completes(&project(&files), &database.options()).await;
    assert_eq!(database.value("SELECT count(*) FROM public.orders"), "2");
    assert_eq!(database.value("SELECT to_regclass('public.here') IS NOT NULL"), "t");
    assert_eq!(database.value("SELECT to_regclass('public.kept') IS NOT NULL"), "t");
}

#[tokio::test]
async fn what_could_not_be_kept_is_refused_before_the_first_statement() {
    let long = format!(
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC {}SELECT 1 case; END; COMMIT; SELECT 1 end;",
        "-- a line of a body that is too long to be parsed\n".repeat(25_000)
    );
    let far = format!("BEGIN{}READ ONLY;\nSELECT 1;\nCOMMIT;", " ".repeat(300));
    let cases = [
        ("SET standard_conforming_strings = off;", "1:1: standard_conforming_strings must stay on"),
        ("SET/**/standard_conforming_strings = off;", "1:1: standard_conforming_strings must stay on"),
        (
            "SELECT set_config('standard_conforming_strings', 'off', false);",
            "1:1: standard_conforming_strings must stay on",
        ),
        ("SET NAMES 'LATIN1';", "1:1: client_encoding must stay UTF8"),
        (
            "SELECT pg_catalog.set_config('client_encoding', 'sjis', true);",
            "1:1: client_encoding must stay UTF8",
        ),
        ("SET search_path = cutover, public;", "1:19: schema cutover in search_path"),
        ("SELECT set_config('search_path', 'a, \"cutover\"', false);", "1:39: schema cutover in search_path"),
        (
            "PREPARE p AS DELETE FROM cutover.migration;",
            "1:26: relation cutover.migration: schema cutover holds",
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 case; END; CREATE TABLE b (); SELECT 1 end;",
            "1:1: the server reads 3 statements here",
        ),
        (
            "SET/**/search_path = app;\nCREATE INDEX CONCURRENTLY i ON a (n);",
            "1:1: a SET does not reach the other",
        ),
        (
            "CREATE TABLE a ();\n DROP SCHEMA cutover CASCADE;",
            "2:14: schema cutover holds the history and is not for",
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON cutover.migration EXECUTE FUNCTION f();",
            "1:35: trigger cutover.migration.t: schema cutover holds",
        ),
        ("CREATE INDEX CONCURRENTLY ON a (n);", "1:1: an index built concurrently needs a name"),
        (
            "SET search_path = app;\nCREATE INDEX CONCURRENTLY i ON a (n);",
            "1:1: a SET does not reach the other",
        ),
        (
            "CREATE TABLE a ();\nSET ROLE x;\n-- cutover: new-transaction\nCREATE TABLE b ();",
            "2:1: a SET does not reach the other",
        ),
        (
            "BEGIN ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE a ();\nCOMMIT;",
            "1:1: BEGIN with options inside a migration",
        ),
        ("BEGIN\n  ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;", "hint: write BEGIN alone"),
        (&long, "1:1: the server may read 4 statements here"),
        (&far, "1:1: BEGIN with options inside a migration"),
        ("BEGIN;\nSELECT 1;\nCOMMIT AND CHAIN;", "3:1: COMMIT with AND CHAIN"),
        ("BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;", "1:1: BEGIN inside a migration"),
        ("SELECT 'SELECT 1'\n  \\gexec\nSELECT 2;", "2:3: psql command `\\gexec` cannot be run"),
        (
            "CREATE VIEW cutover.v AS SELECT 1;",
            "1:13: view cutover.v: schema cutover holds the history, and nothing else",
        ),
    ];
    let database = database();
    for (text, said) in cases {
        let error =
            apply(&project(&[("V1__x.sql", text)]), &database.options()).await.unwrap_err().to_string();
        assert!(error.contains(said), "{text}:\n{error}");
    }
    let on = "SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\nSET NAMES 'utf8';\n\
              SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.dumped ();";
    completes(&project(&[("V1__x.sql", on)]), &database.options()).await;
}

/// An index of that name would otherwise be taken for ours after a crash.
#[tokio::test]
async fn a_taken_index_name_is_refused_and_leaves_no_open_statement() {
    let database = database();
    database.run("CREATE TABLE a (n int, m int)");
    database.run("CREATE INDEX i ON a (m)");
    let build = project(&[("V1__x.sql", "CREATE INDEX CONCURRENTLY i ON a (n);")]);
    let run = apply(&build, &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert!(failure(&run).contains("index i exists already"), "{}", failure(&run));
    assert_eq!(database.value("SELECT count(*) FROM cutover.unit"), "0");
    assert_eq!(database.value("SELECT count(*) FROM cutover.migration"), "0");
}

/// A trigger that a file makes where nobody sees it takes away the record of that very file: it fails with its file.
#[tokio::test]
async fn a_record_that_is_taken_away_takes_the_migration_with_it() {
    let eat = "CREATE FUNCTION eat() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';";
    let hidden = |table: &str| {
        format!(
            "CREATE TABLE b ();\nDO $$ BEGIN EXECUTE 'CREATE TRIGGER eat BEFORE INSERT ON cut' || 'over.{table} FOR EACH ROW \
             EXECUTE FUNCTION eat()'; END $$;\n"
        )
    };
    let by_event_trigger = format!(
        "{eat} CREATE FUNCTION meddle() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN
           IF to_regclass('b') IS NOT NULL THEN
             EXECUTE 'CREATE TRIGGER eat BEFORE INSERT ON cut' || 'over.migration FOR EACH ROW EXECUTE FUNCTION eat()';
           END IF; END $f$;
         CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION meddle();"
    );
    let cases = [
        (eat.to_owned(), hidden("migration")),
        (eat.to_owned(), hidden("unit") + "-- cutover: new-transaction\nCREATE TABLE c ();"),
        (eat.to_owned(), hidden("migration") + "-- cutover: new-transaction\nCREATE TABLE c ();"),
        (by_event_trigger, "CREATE TABLE b ();".to_owned()),
    ];
    for (n, (base, text)) in cases.iter().enumerate() {
        let database = database();
        let files = [("V1__a.sql", base.as_str()), ("V2__b.sql", text), ("V3__d.sql", "CREATE TABLE d ();")];
        let run = apply(&project(&files), &database.options()).await;
        if n == 2 {
            // The first part stands, recorded where the trigger is not; the file is never said to be applied.
            let said = failure(&run.unwrap());
            assert!(said.contains("its record in schema cutover was not written"), "{said}");
            assert!(said.contains("1 of 2 parts is applied and recorded"), "{said}");
            assert_eq!(database.value("SELECT to_regclass('c') IS NULL"), "t");
            continue;
        }
        let run = run.unwrap();
        let said = failure(&run);
        assert_eq!(run.outcome, Some(Outcome::FailedClean), "{said}");
        for part in [
            "V2__b.sql: its record in schema cutover was not written: a trigger there",
            "nothing of V2__b.sql is in the database",
        ] {
            assert!(said.contains(part), "{part:?} is not in\n{said}");
        }
        assert_eq!(database.value(APPLIED), "1");
        assert_eq!(database.value("SELECT to_regclass('b') IS NULL"), "t");
        let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname = 'eat'";
        assert_eq!(database.value(triggers), "0", "it went with the file");
    }
}
