//! What the database says against migrations before the first of them runs: what they lack, and what they create although it
//! is there. Whatever is not certain stops nothing.

use cutover::apply::{ApplyError, Request};
use cutover::inspect;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::run::Outcome;
use cutover_postgres::connect::ConnectOptions;
use testkit::proxy::{Direction, Message, When};
use testkit::{Proxy, database};

use crate::cuts::run_async;
use crate::support::{APPLIED, apply, apply_with, completes, failure, project};

/// What `plan` says would stop a run, and what it remarks; the run itself says the same.
pub(crate) async fn said(before: &str, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let database = database();
    database.run(before);
    let options = database.options();
    let files = project(files);
    let mut session = inspect::connect(&options, None).await.unwrap();
    let mut inspection =
        inspect::database(&files, &mut session, &Selection::default(), Read::Pending).await.unwrap();
    session.close().await;
    inspect::look_closer(&files, &options, &mut inspection).await.unwrap();
    // What lint says of the same files is another matter.
    let allow = [
        "rename-table",
        "rename-column",
        "rename-schema",
        "drop-table",
        "drop-schema",
        "drop-column",
        "type-change-rewrites",
        "type-change-breaks-prepared-statements",
    ];
    let request = Request { allow: allow.map(str::to_owned).to_vec(), ..Request::default() };
    let stops: Vec<String> = inspection.stops(&request.allow).map(|stop| stop.text).collect();
    if stops.is_empty() {
        let run = apply_with(&files, &options, &request).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    } else {
        let error = apply_with(&files, &options, &request).await.unwrap_err();
        assert!(
            matches!(
                error,
                ApplyError::Missing(_)
                    | ApplyError::AlreadyThere(_)
                    | ApplyError::CreatedTwice(_)
                    | ApplyError::Held(_)
            ),
            "{error:?}"
        );
        assert_eq!(error.to_string(), format!("{}\nnothing was done", stops.join("\n\n")));
        assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    }
    (stops, inspection.built.plan.notes)
}

/// Stops with exactly this, but for places in the text.
pub(crate) async fn stops(before: &str, files: &[(&str, &str)], parts: &[&str]) {
    let (stops, _) = said(before, files).await;
    let said = stops.join("\n");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(!parts.is_empty() || stops.is_empty(), "{said}");
}

#[tokio::test]
async fn what_an_earlier_migration_drops_is_not_there_for_a_later_one() {
    let there = "CREATE TABLE a (n int PRIMARY KEY); CREATE TABLE b (n int); CREATE SCHEMA s; CREATE TABLE s.c (n int)";
    for (drop, need, said) in [
        (
            "DROP TABLE a",
            "CREATE TABLE x (n int REFERENCES a)",
            "1:34: needs table a (foreign key to it), which V1__a.sql drops before",
        ),
        (
            "ALTER TABLE b RENAME TO d",
            "CREATE INDEX ON b (n)",
            "needs relation b (indexed), which V1__a.sql drops before",
        ),
        (
            "DROP TABLE IF EXISTS public.a",
            "ALTER TABLE public.a ADD m int",
            "needs table public.a (altered), which V1__a.sql drops before",
        ),
        (
            "CREATE TABLE e (n int); DROP TABLE s.c; ALTER SCHEMA s RENAME TO t",
            "ALTER TABLE s.c ADD m int",
            "needs table s.c (altered), which V1__a.sql drops before",
        ),
        (
            "DROP TABLE s.c; DROP SCHEMA s",
            "COMMENT ON SCHEMA s IS 'x'",
            "needs schema s (altered), which V1__a.sql drops before",
        ),
    ] {
        stops(
            there,
            &[("V1__a.sql", drop), ("V2__b.sql", need)],
            &["V2__b.sql:", said, "hint: this one must come before"],
        )
        .await;
    }
    // Made by one pending migration, dropped by the next.
    let files = [
        ("V1__a.sql", "CREATE TABLE x (n int);"),
        ("V2__b.sql", "DROP TABLE x;"),
        ("V3__c.sql", "ALTER TABLE x ADD m int;"),
    ];
    stops("", &files, &["V3__c.sql:1:13: needs table x (altered), which V2__b.sql drops before"]).await;
    let again = [&files[..], &[("V4__d.sql", "CREATE TABLE x (n int);")]].concat();
    stops("", &again, &["hint: V4__d.sql creates it again, but comes after this one"]).await;
}

#[tokio::test]
async fn what_may_be_there_again_or_still_stops_nothing() {
    let there = "CREATE TABLE a (n int); CREATE TABLE b (n int); CREATE TABLE p (n int PRIMARY KEY, o int); \
                 CREATE INDEX p_o ON p (o)";
    for files in [
        // Made again, by the same file or another one.
        &[("V1__a.sql", "DROP TABLE a; CREATE TABLE a (m int);"), ("V2__b.sql", "ALTER TABLE a ADD o int;")]
            [..],
        &[
            ("V1__a.sql", "DROP TABLE a;"),
            ("V2__b.sql", "CREATE TABLE public.a (m int);"),
            ("V3__c.sql", "ALTER TABLE a ADD o int;"),
        ],
        &[
            ("V1__a.sql", "ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a;"),
            ("V2__b.sql", "ALTER TABLE a ADD o int;"),
        ],
        // The name of what goes along with something.
        &[("V1__a.sql", "ALTER TABLE p DROP CONSTRAINT p_pkey; CREATE TABLE p_pkey (n int);")],
        &[("V1__a.sql", "ALTER TABLE p DROP COLUMN o;"), ("V2__b.sql", "CREATE VIEW p_o AS SELECT 1;")],
        // A temporary one of that name.
        &[
            ("V1__a.sql", "CREATE TEMP TABLE a (n int); DROP TABLE a;"),
            ("V2__b.sql", "ALTER TABLE a ADD o int;"),
        ],
        // Routines are told apart by their arguments.
        &[
            (
                "V1__a.sql",
                "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1';",
            ),
            ("V2__b.sql", "DROP FUNCTION f(int);"),
            ("V3__c.sql", "ALTER FUNCTION f(text) IMMUTABLE;"),
        ],
        // Code that nobody reads makes it.
        &[
            ("V1__a.sql", "DROP TABLE a;"),
            ("V2__b.sql", "DO $$ BEGIN EXECUTE 'CREATE TABLE a (n int)'; END $$;"),
            ("V3__c.sql", "ALTER TABLE a ADD o int;"),
        ],
    ] {
        stops(there, files, &[]).await;
    }
    // Behind the one that is dropped stands another one of that name.
    let database = database();
    database.run("CREATE SCHEMA first; CREATE TABLE first.a (n int); CREATE TABLE public.a (n int)");
    database.run(&format!("ALTER DATABASE {} SET search_path = first, public", database.name()));
    let files = project(&[("V1__a.sql", "DROP TABLE a;"), ("V2__b.sql", "ALTER TABLE a ADD o int;")]);
    completes(&files, &database.options()).await;
    assert_eq!(database.value("SELECT count(o) FROM public.a"), "0");
}

/// An event trigger, and a trigger, that make a table for each that is made or written to.
const MAKERS: &str = "CREATE TABLE log (n int);
    CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS
      $$ BEGIN IF to_regclass('public.made') IS NULL THEN EXECUTE 'CREATE TABLE public.made (n int)'; END IF; END $$;
    CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS made (n int)'; RETURN new; END $$;";

#[tokio::test]
async fn what_triggers_of_the_database_make_is_not_called_missing() {
    let later = [("V1__a.sql", "CREATE TABLE a (n int);"), ("V2__b.sql", "ALTER TABLE made ADD m int;")];
    stops("", &later, &["V2__b.sql:1:13: needs table made (altered), which does not exist"]).await;
    let event = format!("{MAKERS} CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION audit()");
    let (stopped, notes) = said(&event, &later).await;
    assert_eq!(stopped, Vec::<String>::new());
    let unsure = "what pending migrations lack, find there already, or find in the way, is not fully known: event trigger of this database (watch), \
                  whose functions may make and drop things";
    assert_eq!(notes, [unsure]);
    // One that makes nothing keeps nothing from being known.
    let harmless = "CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NOTIFY ddl; END';
                    CREATE EVENT TRIGGER told ON ddl_command_end EXECUTE FUNCTION tell()";
    stops(harmless, &later, &["needs table made (altered), which does not exist"]).await;
    let written =
        [("V1__a.sql", "INSERT INTO log VALUES (1);"), ("V2__b.sql", "ALTER TABLE made ADD m int;")];
    let row = format!(
        "{MAKERS} CREATE TRIGGER followed BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION follow()"
    );
    stops(&row, &written, &[]).await;
    // Nothing is written before: it does not run.
    let (stopped, _) = said(&row, &written[1..]).await;
    assert_eq!(stopped.len(), 1);
}

#[tokio::test]
async fn what_is_there_already_is_named_with_a_way_to_take_it_over() {
    let files = [
        ("V1__a.sql", "CREATE TABLE a (n int);\nCREATE TYPE mood AS ENUM ('good');"),
        ("V2__b.sql", "ALTER TABLE a ADD m int; CREATE INDEX a_m ON a (m); CREATE VIEW v AS SELECT 1 AS n;"),
        ("V3__c.sql", "CREATE SCHEMA s; CREATE TABLE s.c (n int);"),
    ];
    let made: Vec<&str> = files.iter().map(|(_, text)| *text).collect();
    let parts = [
        "V1__a.sql:1:14: creates table a, which is in the database already\n  |\n1 | CREATE TABLE a (n int);\n  |              ^\n",
        "V1__a.sql:2:13: creates type mood, which",
        "V2__b.sql:1:39: creates index a_m, which",
        "creates view v, which",
        "V3__c.sql:1:15: creates schema s, which",
        "creates table s.c, which",
    ];
    let everything = [
        &parts[..],
        &["nothing of project p is recorded in this database", "`cutover baseline 3` compares it"],
    ]
    .concat();
    stops(&made.join(";"), &files, &everything).await;
    let first = [&parts[..4], &["`cutover baseline 2` compares it"]].concat();
    stops(&made[..2].join(";"), &files, &first).await;
    // That another table is dropped before says nothing of this one.
    let other = [("V1__a.sql", "DROP TABLE a; CREATE TABLE b (n int)")];
    stops("CREATE TABLE a (n int); CREATE TABLE b (n int)", &other, &["creates table b, which"]).await;
    // Not even the first is there as a whole.
    stops("CREATE TABLE a (n int)", &files, &[parts[0], "`cutover baseline VERSION` compares it"]).await;
}

#[tokio::test]
async fn with_a_history_it_is_the_one_migration() {
    let database = database();
    completes(&project(&[("V1__a.sql", "CREATE TABLE a (n int);")]), &database.options()).await;
    database.run("CREATE TABLE b (n int)");
    let files =
        project(&[("V1__a.sql", "CREATE TABLE a (n int);"), ("V2__b.sql", "CREATE TABLE b (n int);")]);
    let error = apply(&files, &database.options()).await.unwrap_err().to_string();
    assert!(
        error.starts_with("V2__b.sql:1:14: creates table b, which is in the database already\n"),
        "{error}"
    );
    assert!(
        error.contains("`cutover baseline 2` records it as applied; otherwise drop or rename what is there"),
        "{error}"
    );
    assert!(error.ends_with("\nnothing was done"), "{error}");
    assert_eq!(database.value("SELECT count(*) FROM cutover.run"), "1");
}

#[tokio::test]
async fn what_is_not_certainly_in_the_way_stops_nothing() {
    let there = "CREATE TABLE a (n int, o serial); CREATE INDEX a_n ON a (n); CREATE VIEW v AS SELECT n FROM a;
                 CREATE TABLE parent (n int) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF parent FOR VALUES IN (1);
                 CREATE TYPE t AS ENUM ('x'); CREATE SCHEMA s; CREATE TABLE s.c (n int); CREATE SEQUENCE q;
                 CREATE SCHEMA other; CREATE TABLE other.x (n int);";
    for text in [
        "CREATE TABLE IF NOT EXISTS a (n int); CREATE INDEX IF NOT EXISTS a_n ON a (n); CREATE OR REPLACE VIEW v AS SELECT n FROM a",
        "CREATE SEQUENCE IF NOT EXISTS q; CREATE SCHEMA IF NOT EXISTS s; CREATE TABLE x (n int)",
        "CREATE TEMP TABLE a (n int); CREATE INDEX a_n ON a (n); CREATE VIEW v AS SELECT n FROM a",
        "DROP VIEW v; DROP TABLE a; CREATE TABLE a (n int); CREATE INDEX a_n ON a (n); CREATE SEQUENCE a_o_seq",
        "ALTER TABLE a RENAME TO b; CREATE TABLE a (n int)",
        "ALTER TABLE a SET SCHEMA s; CREATE TABLE a (n int)",
        "ALTER TABLE a DROP COLUMN o; CREATE SEQUENCE a_o_seq",
        "DROP TABLE parent; CREATE TABLE part (n int)",
        "DROP TYPE t; CREATE TABLE t (n int)",
        "DROP TABLE s.c; CREATE TABLE s.c (n int)",
        "ALTER SCHEMA s RENAME TO r; CREATE SCHEMA s; CREATE TABLE s.c (n int)",
        "DROP SCHEMA s CASCADE; CREATE SCHEMA s CREATE TABLE c (n int)",
        "SET search_path = s, public; CREATE TABLE a (n int)",
        "DO $$ BEGIN EXECUTE 'DROP VIEW v'; EXECUTE 'DROP TABLE a'; END $$; CREATE TABLE a (n int)",
    ] {
        stops(there, &[("V1__a.sql", text)], &[]).await;
        // The same in several files.
        if let Some((first, second)) = text.rsplit_once("; ")
            && !text.starts_with("SET")
            && !text.starts_with("CREATE TEMP")
        {
            stops(there, &[("V1__a.sql", first), ("V2__b.sql", second)], &[]).await;
        }
    }
    // Things are made in the first schema of the path that exists, and found in all.
    let database = database();
    database.run("CREATE SCHEMA first; CREATE TABLE public.a (n int)");
    database.run(&format!("ALTER DATABASE {} SET search_path = first, public", database.name()));
    completes(&project(&[("V1__a.sql", "CREATE TABLE a (n int)")]), &database.options()).await;
    assert_eq!(database.value(APPLIED), "1");
}

#[tokio::test]
async fn what_two_files_create_is_named_with_both() {
    let files = [
        ("V1__a.sql", "CREATE SCHEMA app;\nCREATE TABLE app.x (n int);"),
        ("V2__b.sql", "CREATE TABLE y (n int);"),
        ("V3__c.sql", "SELECT 1;\n  CREATE TABLE app.x (m int);"),
    ];
    let said = "V3__c.sql:2:16: creates table app.x, which V1__a.sql:2:14 creates before\n  |\n2 |   CREATE TABLE app.x (m int);\n  |                ^\n  \
                hint: one of the two files must do without it";
    stops("", &files, &[said]).await;
    for (first, second, said) in [
        (
            "CREATE TABLE a (n int)",
            "CREATE VIEW public.a AS SELECT 1",
            "creates view public.a, which V1__a.sql:1:14",
        ),
        (
            "CREATE TABLE IF NOT EXISTS a (n int)",
            "CREATE TABLE a (n int)",
            "creates table a, which V1__a.sql:1:28",
        ),
        (
            "CREATE TABLE a (n int); CREATE INDEX i ON a (n)",
            "CREATE INDEX i ON a (n)",
            "creates index i, which V1",
        ),
        ("CREATE TYPE t AS ENUM ('a')", "CREATE DOMAIN t AS int", "creates domain t, which V1"),
        ("CREATE SCHEMA s", "CREATE SCHEMA s", "creates schema s, which V1"),
        ("CREATE EXTENSION hstore", "CREATE EXTENSION hstore", "creates extension hstore, which V1"),
        (
            "DROP TABLE IF EXISTS a; CREATE TABLE a (n int)",
            "CREATE TABLE a (n int); DROP TABLE a",
            "creates table a, which V1__a.sql:1:38",
        ),
        // PostgreSQL's own extensions drop nothing.
        (
            "CREATE TABLE a (n int)",
            "CREATE EXTENSION citext; CREATE TABLE a (n citext)",
            "creates table a, which V1",
        ),
    ] {
        stops("", &[("V1__a.sql", first), ("V2__b.sql", second)], &["V2__b.sql:1:", said]).await;
    }
    let same = [("V1__a.sql", "CREATE TABLE a (n int);\nCREATE TABLE a (n int);")];
    stops("", &same, &["V1__a.sql:2:14: creates table a, which V1__a.sql:1:14", "one of the two statements"])
        .await;
    // What is there already is said to be that alone.
    let (stopped, _) = said_of_two("CREATE TABLE a (n int)", "CREATE TABLE a (n int)").await;
    assert_eq!(stopped.len(), 1, "{stopped:?}");
    assert!(!stopped[0].contains("creates before"), "{stopped:?}");
    let many: Vec<(String, &str)> =
        (1..=12).map(|n| (format!("V{n}__x.sql"), "CREATE TABLE a (n int);")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    stops("", &many, &["V11__x.sql:1:14: creates table a, which V1__x.sql:1:14", "… and 1 object more\n"])
        .await;
}

async fn said_of_two(before: &str, text: &str) -> (Vec<String>, Vec<String>) {
    said(before, &[("V1__a.sql", text), ("V2__b.sql", text)]).await
}

#[tokio::test]
async fn what_may_be_gone_in_between_is_not_called_created_twice() {
    let path = "SET search_path = s, public; ";
    for (first, second) in [
        ("CREATE TABLE a (n int)", "DROP TABLE a; CREATE TABLE a (m int)"),
        ("CREATE TABLE a (n int)", "CREATE TABLE IF NOT EXISTS a (m int)"),
        ("CREATE VIEW a AS SELECT 1", "CREATE OR REPLACE VIEW a AS SELECT 1"),
        ("CREATE TABLE a (n int); ALTER TABLE a RENAME TO b", "CREATE TABLE a (m int)"),
        (
            "CREATE SCHEMA s; CREATE TABLE s.a (n int); DROP TABLE s.a; DROP SCHEMA s",
            "CREATE SCHEMA s; CREATE TABLE s.a (n int)",
        ),
        (
            "CREATE TABLE a (n int); CREATE INDEX i ON a (n); ALTER TABLE a DROP COLUMN n",
            "CREATE INDEX i ON a ((1))",
        ),
        ("CREATE TABLE a (n int); DO $$ BEGIN DROP TABLE a; END $$", "CREATE TABLE a (n int)"),
        (
            "CREATE TABLE p (n int) PARTITION BY LIST (n); CREATE TABLE a PARTITION OF p DEFAULT; DROP TABLE p",
            "CREATE TABLE a (n int)",
        ),
        ("CREATE SCHEMA s; CREATE TABLE s.a (n int)", "CREATE TABLE public.a (n int)"),
        ("CREATE TABLE a (n int)", "CREATE TEMP TABLE a (n int)"),
        ("CREATE TABLE a (n int)", "CREATE SCHEMA s; SET search_path = s; CREATE TABLE a (n int)"),
        (
            "CREATE TABLE a (n int); DROP TABLE a; CREATE TABLE a (n int); DROP TABLE a",
            "CREATE TABLE a (n int)",
        ),
    ] {
        stops("", &[("V1__a.sql", first), ("V2__b.sql", second)], &[]).await;
        if !second.starts_with(path) {
            stops("", &[("V1__a.sql", &format!("{first}; {second}"))], &[]).await;
        }
    }
    // A schema that comes to stand first in the search path takes what is made from then on.
    let files = [
        ("V1__a.sql", "CREATE TABLE a (n int)"),
        ("V2__b.sql", "CREATE SCHEMA first; CREATE TABLE a (n int)"),
    ];
    for there in ["", "CREATE TABLE public.a (n int)"] {
        let database = database();
        database.run(there);
        database.run(&format!("ALTER DATABASE {} SET search_path = first, public", database.name()));
        completes(&project(&files[usize::from(!there.is_empty())..]), &database.options()).await;
        assert_eq!(
            database
                .value("SELECT to_regclass('first.a') IS NOT NULL AND to_regclass('public.a') IS NOT NULL"),
            "t"
        );
    }
}

/// An extension that is there runs nothing; what PostgreSQL brings drops nothing, and makes what nobody has listed.
#[tokio::test]
async fn behind_an_extension_what_is_certain_is_said() {
    let needs = [("V1__a.sql", "CREATE EXTENSION IF NOT EXISTS citext;\nALTER TABLE nowhere ADD n int;")];
    let missing = "V1__a.sql:2:13: needs table nowhere (altered), which does not exist";
    stops("CREATE EXTENSION citext", &needs, &[missing]).await;
    let creates = [
        ("V1__a.sql", "CREATE EXTENSION IF NOT EXISTS citext;\nCREATE TABLE a (n int);"),
        ("V2__b.sql", "CREATE TABLE b (n int);"),
    ];
    let parts = ["V1__a.sql:2:14: creates table a, which is", "V2__b.sql:1:14: creates table b, which is"];
    let tables = "CREATE TABLE a (n int); CREATE TABLE b (n int);";
    stops(&format!("CREATE EXTENSION citext; {tables}"), &creates, &parts).await;
    stops(tables, &creates, &parts).await;
    let again = [("V1__a.sql", "CREATE EXTENSION citext;")];
    let said = "V1__a.sql:1:18: creates extension citext, which is in the database already";
    stops("CREATE EXTENSION citext", &again, &[said]).await;
    // It brings the type.
    stops(
        "CREATE TABLE t (n int)",
        &[("V1__a.sql", "CREATE EXTENSION citext; CREATE TABLE x (n citext)")],
        &[],
    )
    .await;
    let brings = [(
        "V1__a.sql",
        "CREATE EXTENSION pg_stat_statements;\nCREATE VIEW v AS SELECT * FROM pg_stat_statements_info;",
    )];
    stops("", &brings, &[]).await;
    // One that is dropped before is made anew.
    let anew = [
        ("V1__a.sql", "DROP EXTENSION citext;"),
        ("V2__b.sql", "CREATE EXTENSION IF NOT EXISTS citext; CREATE TABLE x (n citext)"),
    ];
    stops("CREATE EXTENSION citext", &anew, &[]).await;
}

/// A file of which parts are done finds what they made, and goes on.
#[tokio::test]
async fn what_a_part_of_the_file_has_made_is_in_nobodys_way() {
    let database = database();
    database.run("CREATE TABLE switch AS SELECT 0 AS n");
    let text = "CREATE TABLE a (n int);\n-- cutover: new-transaction\nCREATE TABLE b AS SELECT 1 / n AS n FROM switch;";
    let files = project(&[("V1__a.sql", text)]);
    apply(&files, &database.options()).await.unwrap();
    database.run("UPDATE switch SET n = 1");
    completes(&files, &database.options()).await;
    assert_eq!(database.value(APPLIED), "1");
}

/// A run that looks while another one is at work waits for it, and finds nothing to do.
#[test]
fn what_another_run_makes_meanwhile_was_not_there_before() {
    let files = project(&[("V1__a.sql", "CREATE TABLE a (n int)")]);
    let ready = || {
        let database = database();
        let proxy = Proxy::start(database.server());
        (database, proxy)
    };
    let (first, proxy) = ready();
    run_async(completes(&files, &proxy.server().options(first.name())));
    // The first session finds no history; the second looks what the files would find.
    let is_look = |message: &Message| message.connection == 1 && message.direction == Direction::Frontend;
    let looked: Vec<Message> = proxy.messages().into_iter().filter(is_look).collect();
    assert!(looked.len() > 2, "{looked:?}");
    for message in looked {
        let (database, proxy) = ready();
        let hold = proxy.hold(message.point(When::Before));
        let through = proxy.server().options(database.name());
        let ended = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| run_async(apply(&files, &through)));
            hold.wait_reached();
            run_async(completes(&files, &database.options()));
            hold.release();
            waiting.join().unwrap()
        });
        let ended = ended.unwrap_or_else(|error| panic!("{message:?}: {error}"));
        assert_eq!(ended.outcome, Some(Outcome::NothingToDo), "{message:?}");
    }
}

/// What `plan` finds while a run is at work is not said to have been there before. Held before each of its questions in turn.
#[test]
fn what_a_run_makes_while_a_plan_looks_was_not_there_before() {
    let before = project(&[("V1__a.sql", "CREATE TABLE a (n int)")]);
    let files = project(&[("V1__a.sql", "CREATE TABLE a (n int)"), ("V2__b.sql", "CREATE TABLE b (n int)")]);
    for with_history in [false, true] {
        let ready = || {
            let database = database();
            if with_history {
                run_async(completes(&before, &database.options()));
            }
            let proxy = Proxy::start(database.server());
            (database, proxy)
        };
        let plan = |options: ConnectOptions| {
            run_async(async {
                let mut session = inspect::connect(&options, None).await.unwrap();
                let selection = Selection::default();
                let read = inspect::database(&files, &mut session, &selection, Read::Pending).await;
                let mut inspection = read.unwrap();
                inspect::look_closer(&files, &options, &mut inspection).await.unwrap();
                let stops: Vec<String> = inspection.stops(&[]).map(|stop| stop.text).collect();
                (stops, inspection.built.plan.notes)
            })
        };
        let (first, proxy) = ready();
        assert_eq!(plan(proxy.server().options(first.name())), (Vec::new(), Vec::new()));
        // The first session reads the history, the second looks: what is bound is about to be run.
        let is_look = |message: &Message| {
            message.direction == Direction::Frontend
                && message.connection == 1
                && matches!(message.tag, b'B' | b'Q')
        };
        let looked: Vec<Message> = proxy.messages().into_iter().filter(is_look).collect();
        let mut told = 0;
        for message in looked {
            let (database, proxy) = ready();
            let hold = proxy.hold(message.point(When::Before));
            let through = proxy.server().options(database.name());
            let (stops, notes) = std::thread::scope(|scope| {
                let planning = scope.spawn(|| plan(through));
                hold.wait_reached();
                run_async(completes(&files, &database.options()));
                hold.release();
                planning.join().unwrap()
            });
            assert_eq!(stops, Vec::<String>::new(), "{message:?}");
            told += usize::from(notes.iter().any(|note| note.starts_with("another run has gone on")));
        }
        assert!(told > 0, "some of them must have found the tables there");
    }
}
