//! A small project of each convention, from its files to the database.

use cutover::apply::ApplyError;
use cutover::run::Outcome;
use testkit::database;

use crate::support::{Folder, apply, completes, failure, finished, session, value};

/// Files of a project, and the versions that a run of it finishes.
struct Case {
    convention: &'static str,
    files: &'static [(&'static str, &'static str)],
    versions: &'static [&'static str],
}

/// Each makes a table `t` and an index on it, without a transaction where the tool can say so, and has a way back that
/// would undo it, where the tool has one.
const CASES: [Case; 14] = [
    Case {
        convention: "numbered",
        files: &[
            ("migrations/9_t.sql", "CREATE TABLE t (n int);"),
            ("migrations/10_i.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
        ],
        versions: &["9", "10"],
    },
    Case {
        convention: "flyway",
        files: &[
            ("sql/V1__t.sql", "CREATE TABLE t (n int);"),
            ("sql/U1__t.sql", "DROP TABLE t;"),
            ("sql/deep/V1.1__i.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
            ("sql/deep/V1.1__i.sql.conf", "executeInTransaction=false"),
        ],
        versions: &["1", "1.1"],
    },
    Case {
        convention: "golang-migrate",
        files: &[
            ("migrations/9_t.up.sql", "CREATE TABLE t (n int);"),
            ("migrations/9_t.down.sql", "DROP TABLE t;"),
            ("migrations/10_i.up.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
            ("migrations/10_i.down.sql", "DROP INDEX t_n;"),
        ],
        versions: &["9", "10"],
    },
    Case {
        convention: "sqlx",
        files: &[
            ("migrations/20260102030405_t.sql", "CREATE TABLE t (n int);"),
            (
                "migrations/20260102030406_i.sql",
                "-- no-transaction\nCREATE INDEX CONCURRENTLY t_n ON t (n);\nINSERT INTO t VALUES (1);",
            ),
        ],
        versions: &["20260102030405", "20260102030406"],
    },
    Case {
        convention: "sqlx",
        files: &[
            ("migrations/1_t.up.sql", "CREATE TABLE t (n int);"),
            ("migrations/1_t.down.sql", "DROP TABLE t;"),
            ("migrations/2_i.up.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY t_n ON t (n);"),
        ],
        versions: &["1", "2"],
    },
    Case {
        convention: "diesel",
        files: &[
            ("migrations/2026-01-02-030405_t/up.sql", "CREATE TABLE t (n int);"),
            ("migrations/2026-01-02-030405_t/down.sql", "DROP TABLE t;"),
            ("migrations/2026-01-02-030405-0000_i/up.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
            ("migrations/2026-01-02-030405-0000_i/metadata.toml", "run_in_transaction = false\n"),
        ],
        versions: &["20260102030405", "202601020304050000"],
    },
    Case {
        convention: "refinery",
        files: &[
            ("Cargo.toml", "[dependencies]\nrefinery = \"0.8\"\n"),
            ("migrations/V9__t.sql", "CREATE TABLE t (n int);"),
            ("migrations/U10__i.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
        ],
        versions: &["9", "10"],
    },
    Case {
        convention: "dbmate",
        files: &[
            (
                "db/migrations/20260102030405_t.sql",
                "-- migrate:up\nCREATE TABLE t (n int);\n\n-- migrate:down\nDROP TABLE t;\n",
            ),
            (
                "db/migrations/20260102030406_i.sql",
                "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY t_n ON t (n);\n-- migrate:down\nDROP INDEX t_n;\n",
            ),
        ],
        versions: &["20260102030405", "20260102030406"],
    },
    Case {
        convention: "goose",
        files: &[
            (
                "migrations/00001_t.sql",
                "-- +goose Up\n-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int AS $$\nBEGIN\n  RETURN 1;\nEND\n$$ LANGUAGE plpgsql;\n-- +goose StatementEnd\nCREATE TABLE t (n int);\n\n-- +goose Down\nDROP TABLE t;\n",
            ),
            (
                "migrations/00002_i.sql",
                "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY t_n ON t (n);\n-- +goose Down\nDROP INDEX t_n;\n",
            ),
        ],
        versions: &["00001", "00002"],
    },
    Case {
        convention: "node-pg-migrate",
        files: &[
            (
                "migrations/1591343909074_t.sql",
                "-- Up Migration\nCREATE TABLE t (n int);\n\n-- Down Migration\nDROP TABLE t;\n",
            ),
            ("migrations/1591343909075_i.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);\n"),
        ],
        versions: &["1591343909074_t", "1591343909075_i"],
    },
    Case {
        convention: "supabase",
        files: &[
            ("supabase/migrations/20260102030405_a_table.sql", "CREATE TABLE t (n int);"),
            ("supabase/migrations/20260102030405_b_index.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
        ],
        versions: &["20260102030405_a_table", "20260102030405_b_index"],
    },
    Case {
        convention: "prisma",
        files: &[
            ("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n"),
            ("prisma/migrations/20260102030405_a/migration.sql", "CREATE TABLE t (n int);"),
            ("prisma/migrations/20260102030405_a/down.sql", "DROP TABLE t;"),
            ("prisma/migrations/20260102030405_b/migration.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
        ],
        versions: &["20260102030405_a", "20260102030405_b"],
    },
    Case {
        convention: "sqitch",
        files: &[
            ("sqitch.plan", "%project=p\n\nzoo/t 2026 A <a>\nindex [zoo/t] 2026 A <a>\n"),
            ("deploy/zoo/t.sql", "-- Deploy p:zoo/t to pg\nBEGIN;\nCREATE TABLE t (n int);\nCOMMIT;\n"),
            ("revert/zoo/t.sql", "BEGIN;\nDROP TABLE t;\nCOMMIT;\n"),
            ("verify/zoo/t.sql", "BEGIN;\nSELECT n FROM t WHERE false;\nROLLBACK;\n"),
            ("deploy/index.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
        ],
        versions: &["zoo/t", "index"],
    },
    Case {
        convention: "graphile-migrate",
        files: &[
            (
                "migrations/committed/000001.sql",
                "--! Previous: -\n--! Hash: sha1:a\n\nCREATE TABLE t (n int);\n",
            ),
            (
                "migrations/committed/000002-index.sql",
                "--! Previous: sha1:a\n--! Hash: sha1:b\n--! Message: index\n\n--! no-transaction\nCREATE INDEX CONCURRENTLY t_n ON t (n);\n",
            ),
        ],
        versions: &["000001", "000002"],
    },
];

const THERE: &str = "SELECT coalesce(to_regclass('public.t')::text, '') || ' ' || coalesce(to_regclass('public.t_n')::text, '')";

#[tokio::test]
async fn a_project_of_each_convention_is_applied_once() {
    for Case { convention, files, versions } in CASES {
        let database = database();
        let folder = Folder::with(files);
        let project = folder.load();
        assert_eq!(project.roots[0].convention.name(), convention);
        let run = completes(&project, &database.options()).await;
        assert_eq!(finished(&run), versions, "{convention}");
        let mut session = session(&database.options()).await;
        assert_eq!(value(&mut session, THERE).await, "t t_n", "{convention}");
        let again = apply(&folder.load(), &database.options()).await.unwrap();
        assert_eq!(again.outcome, Some(Outcome::NothingToDo), "{convention}");
    }
    let known: Vec<&str> = cutover::project::conventions::all().iter().map(|one| one.name()).collect();
    assert!(known.iter().all(|name| CASES.iter().any(|case| case.convention == *name)), "{known:?}");
}

#[tokio::test]
async fn a_changed_way_back_is_no_change_of_what_was_applied() {
    let database = database();
    let up = "-- migrate:up\nCREATE TABLE t ();\n-- migrate:down\n";
    let folder =
        Folder::with(&[("cutover.toml", "[project]\nname = \"p\"\n"), ("db/migrations/1_t.sql", up)]);
    completes(&folder.load(), &database.options()).await;
    folder.write("db/migrations/1_t.sql", &format!("{up}DROP TABLE t;\n"));
    let again = apply(&folder.load(), &database.options()).await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo));
    folder.write("db/migrations/1_t.sql", "-- migrate:up\nCREATE TABLE t (n int);\n-- migrate:down\n");
    let error = apply(&folder.load(), &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::ChangedFiles(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("-CREATE TABLE t ();\n+CREATE TABLE t (n int);"), "{said}");
    assert!(!said.contains("migrate:"), "{said}");
}

#[tokio::test]
async fn errors_in_a_section_have_the_lines_of_the_file() {
    let database = database();
    let text = "-- about\n-- migrate:up\n\nCREATE TABLE t (n int);\nINSERT INTO t\n  SELECT nothing;\n-- migrate:down\nDROP TABLE t;\n";
    let folder = Folder::with(&[("db/migrations/1_t.sql", text)]);
    let run = apply(&folder.load(), &database.options()).await.unwrap();
    assert!(failure(&run).contains("db/migrations/1_t.sql:6:10"), "{}", failure(&run));
    assert!(failure(&run).contains("6 |   SELECT nothing;"), "{}", failure(&run));
    let text = "-- +goose Up\nCREATE TABLE t (n int);\n-- +goose Down\nDROP;\n-- +goose StatementBegin\n-- +goose StatementEnd\n";
    let wrong = text.replace("(n int)", "(n int,)");
    let folder = Folder::with(&[("migrations/1_t.sql", &wrong)]);
    let said = apply(&folder.load(), &database.options()).await.unwrap_err().to_string();
    assert!(said.contains("migrations/1_t.sql:2:23"), "{said}");
    // What is wrong below is no business of the way forward.
    folder.write("migrations/1_t.sql", text);
    completes(&folder.load(), &database.options()).await;
}

#[tokio::test]
async fn a_file_without_a_transaction_goes_on_behind_what_is_done() {
    let database = database();
    let folder = Folder::with(&[(
        "migrations/1_t.sql",
        "-- no-transaction\nCREATE TABLE t (n int UNIQUE);\nINSERT INTO t VALUES (1);\nINSERT INTO t SELECT 1/0;\n",
    )]);
    let run = apply(&folder.load(), &database.options()).await.unwrap();
    assert!(failure(&run).contains("1_t.sql:4:"), "{}", failure(&run));
    let mut session = session(&database.options()).await;
    assert_eq!(value(&mut session, "SELECT n FROM t").await, "1");
    folder.write(
        "migrations/1_t.sql",
        "-- no-transaction\nCREATE TABLE t (n int UNIQUE);\nINSERT INTO t VALUES (1);\nINSERT INTO t SELECT 2;\n\
         DO $$ BEGIN INSERT INTO t VALUES (3); COMMIT; INSERT INTO t VALUES (4); END $$;\n",
    );
    let request = cutover::apply::Request {
        allow: vec!["edited-unfinished".into()],
        ..cutover::apply::Request::default()
    };
    let run = crate::support::apply_with(&folder.load(), &database.options(), &request).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(value(&mut session, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t").await, "1 2 3 4");
}

#[tokio::test]
async fn a_plan_of_sqitch_goes_by_its_own_order() {
    let database = database();
    let config = ("cutover.toml", "[project]\nname = \"p\"\n");
    let folder = Folder::with(&[
        config,
        ("sqitch.plan", "%project=p\nzoo\nant [zoo]\n"),
        ("deploy/zoo.sql", "CREATE TABLE zoo ();"),
        ("deploy/ant.sql", "CREATE TABLE ant ();"),
    ]);
    completes(&folder.load(), &database.options()).await;
    // A change that is put in between comes too late, whatever it is called.
    folder.write("sqitch.plan", "%project=p\nzoo\nmid\nant [zoo]\n");
    folder.write("deploy/mid.sql", "CREATE TABLE mid ();");
    let said = apply(&folder.load(), &database.options()).await.unwrap_err().to_string();
    assert!(said.contains("deploy/mid.sql is pending below the highest applied version ant"), "{said}");
    // One that is reworked stays applied as it was, under the name of its tag.
    folder.write("sqitch.plan", "%project=p\nzoo\nant [zoo]\n@v1 2026 A <a>\nzoo [zoo@v1] 2026 A <a>\n");
    folder.remove("deploy/mid.sql");
    folder.write("deploy/zoo@v1.sql", "CREATE TABLE zoo ();");
    folder.write("deploy/zoo.sql", "ALTER TABLE zoo ADD n int;");
    let run = completes(&folder.load(), &database.options()).await;
    assert_eq!(finished(&run), ["zoo"]);
    let mut session = session(&database.options()).await;
    let rows = "SELECT string_agg(version || ' ' || path, ', ' ORDER BY seq, run) FROM cutover.migration";
    let rows = value(&mut session, rows).await;
    for part in ["=zoo deploy/zoo@v1.sql", "+2=zoo deploy/zoo.sql", "=ant deploy/ant.sql"] {
        assert!(rows.contains(part), "{rows}");
    }
    let again = apply(&folder.load(), &database.options()).await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo));
}
