//! What `--full` proves, and that it finds what does not hold.

use cutover_postgres::connect::ConnectOptions;

use super::super::{Answer, Proof, Request, rehearse};
use super::support::{programs, project, rehearsed, request};
use crate::verify::SandboxProvider;

async fn proof(files: &[(&str, &str)]) -> Proof {
    proof_over("", files).await
}

/// Over what is there already.
async fn proof_over(ground: &str, files: &[(&str, &str)]) -> Proof {
    let database = testkit::database();
    database.run(ground);
    let (project, request) = (project(files), Request { full: true, ..request() });
    let found = Box::pin(rehearsed(&project, &database, &request)).await;
    assert_eq!(found.failed(), 0, "{:?}", found.migrations);
    found.proof.unwrap()
}

fn no(answer: &Answer) -> &str {
    match answer {
        Answer::No(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_goes_forth_and_back_and_forth_again_is_proven() {
    let files = [
        ("0001_a.up.sql", "CREATE TABLE a (n int PRIMARY KEY);"),
        ("0001_a.down.sql", "DROP TABLE a;"),
        ("0002_b.up.sql", "CREATE TABLE b (n int REFERENCES a); CREATE INDEX ON b (n);"),
        ("0002_b.down.sql", "DROP TABLE b;"),
    ];
    let proof = proof(&files).await;
    assert!(proof.holds() && proof.differs.is_empty(), "{proof:?}");
    for proven in &proof.migrations {
        assert_eq!(
            [&proven.rolled_back, &proven.reverted, &proven.again],
            [&Answer::Yes; 3],
            "{}",
            proven.path
        );
    }
}

#[tokio::test]
async fn a_way_back_is_found_out_where_there_is_no_file() {
    let proof =
        proof(&[("0001_a.sql", "CREATE TABLE a (n int);"), ("0002_b.sql", "CREATE INDEX i ON a (n);")]).await;
    let answers: Vec<_> = proof.migrations.iter().map(|proven| (&proven.reverted, &proven.again)).collect();
    assert_eq!(answers, [(&Answer::Yes, &Answer::Yes); 2]);
}

#[tokio::test]
async fn what_has_another_name_is_given_the_old_one() {
    let files = [
        ("0001_a.sql", "CREATE TABLE a (n int, m int); CREATE TYPE t AS ENUM ('x'); CREATE SCHEMA s;"),
        ("0002_column.sql", "ALTER TABLE a RENAME COLUMN n TO first;"),
        ("0003_table.sql", "ALTER TABLE a RENAME TO b; ALTER TABLE b ADD COLUMN l int;"),
        ("0004_schema.sql", "ALTER TABLE b SET SCHEMA s;"),
        ("0005_value.sql", "ALTER TYPE t RENAME VALUE 'x' TO 'y';"),
    ];
    let proof = proof(&files).await;
    for proven in &proof.migrations {
        assert_eq!([&proven.reverted, &proven.again], [&Answer::Yes; 2], "{}", proven.path);
    }
}

#[tokio::test]
async fn a_down_file_that_leaves_something_is_found() {
    let files = [
        ("0001_a.up.sql", "CREATE TABLE a (n int);"),
        ("0001_a.down.sql", "DROP TABLE a;"),
        ("0002_b.up.sql", "CREATE TABLE b (n int); CREATE TYPE IF_ANY AS ENUM ('x');"),
        ("0002_b.down.sql", "DROP TABLE b;"),
        ("0003_c.up.sql", "CREATE TABLE c (n int); CREATE INDEX IF NOT EXISTS on_a ON a (n);"),
        ("0003_c.down.sql", "DROP TABLE c;"),
    ];
    let proof = proof(&files).await;
    assert!(!proof.holds());
    assert_eq!(proof.migrations[0].reverted, Answer::Yes);
    assert!(no(&proof.migrations[1].reverted).contains("if_any"), "{proof:?}");
    // And so it cannot be applied again.
    assert!(no(&proof.migrations[1].again).contains("already exists"), "{proof:?}");
}

#[tokio::test]
async fn what_a_rollback_does_not_take_back_is_found() {
    let files = [
        ("0001_a.sql", "CREATE SEQUENCE s;"),
        ("0002_b.sql", "SELECT nextval('s');"),
        ("0003_c.sql", "SELECT pg_advisory_lock(4711);"),
        ("0004_d.sql", "PREPARE p AS SELECT 1;"),
        ("0005_e.sql", "CREATE INDEX CONCURRENTLY ON pg_temp.nothing (n);"),
    ];
    let proof = proof(&files[..4]).await;
    assert_eq!(proof.migrations[0].rolled_back, Answer::Yes);
    for (at, what) in [(1, "sequences"), (2, "advisory locks"), (3, "prepared statements")] {
        assert!(no(&proof.migrations[at].rolled_back).contains(what), "{:?}", proof.migrations[at]);
    }
}

/// A function that counts the rows of a table.
fn counts(name: &str, table: &str) -> String {
    format!(
        "CREATE FUNCTION {name}() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN\n RETURN (SELECT count(*) FROM {table}); END $$;"
    )
}

#[tokio::test]
async fn what_bodies_name_and_a_migration_takes_away_is_found() {
    let ground = format!(
        "CREATE TABLE a (n int); CREATE TABLE moved (n int); {} {} {}",
        counts("f", "a"),
        counts("g", "moved"),
        counts("broken", "never_there")
    );
    let files =
        [("0001_a.sql", "DROP TABLE a;"), ("0002_b.sql", "CREATE SCHEMA s; ALTER TABLE moved SET SCHEMA s;")];
    let proof = proof_over(&ground, &files).await;
    let told: Vec<_> = proof
        .unresolved
        .iter()
        .map(|one| (one.routine.as_str(), one.line, one.message.as_str(), one.hint.as_deref(), one.is_new))
        .collect();
    assert_eq!(
        told,
        [
            ("broken()", Some(2), "there is no table never_there", None, false),
            ("f()", Some(2), "there is no table a", None, true),
            ("g()", Some(2), "there is no table moved", Some("there is one in schema s"), true),
        ]
    );
    assert!(!proof.holds());
}

#[tokio::test]
async fn what_was_missing_before_does_not_fail() {
    let proof =
        proof_over(&counts("broken", "never_there"), &[("0001_a.sql", "CREATE TABLE a (n int);")]).await;
    let told: Vec<_> = proof.unresolved.iter().map(|one| (one.routine.as_str(), one.is_new)).collect();
    assert_eq!(told, [("broken()", false)]);
    assert!(proof.holds(), "{proof:?}");
}

#[tokio::test]
async fn what_a_later_migration_makes_is_there() {
    let function = counts("f", "a");
    // The last one mends what was wrong on the ground.
    let files = [
        ("0001_f.sql", function.as_str()),
        ("0002_a.sql", "CREATE TABLE a (n int); CREATE TABLE b (n int);"),
    ];
    let proof = proof_over(&counts("g", "b"), &files).await;
    assert_eq!(proof.unresolved, []);
    assert!(proof.holds(), "{proof:?}");
}

#[tokio::test]
async fn names_are_looked_for_where_the_role_that_migrates_does() {
    let database = testkit::database();
    database.run(&format!("CREATE SCHEMA app; CREATE TABLE app.a (n int); {}", counts("f", "a")));
    let options =
        ConnectOptions { options: Some("-csearch_path=app,public".to_owned()), ..database.options() };
    let sandbox = SandboxProvider::dev_url(database.server().options("postgres"));
    let request = Request { full: true, ..request() };
    let project = project(&[("0001_b.sql", "CREATE TABLE public.b (n int);")]);
    let found = Box::pin(rehearse(&project, Some(&options), &request, &sandbox, &programs())).await.unwrap();
    assert_eq!(found.proof.unwrap().unresolved, []);
}

/// Over a server of its own: what belongs to no schema is compared too, and given back what it was between passes.
#[allow(clippy::too_many_lines, reason = "most of it is a list of cases")]
#[tokio::test]
async fn what_belongs_to_no_schema_is_compared_and_given_back() {
    let database = testkit::database();
    database.run("CREATE TABLE t (n int); CREATE MATERIALIZED VIEW mv AS SELECT n FROM t");
    let sandbox = SandboxProvider::local(testkit::sandbox_options());
    let major: u32 =
        database.value("SELECT current_setting('server_version_num')::int / 10000").parse().unwrap();
    let name = database.name();
    let mut cases = vec![
        ("CREATE ROLE ar LOGIN; CREATE ROLE br".to_owned(), "DROP ROLE ar; DROP ROLE br".to_owned(), None),
        ("ALTER ROLE cr BYPASSRLS".to_owned(), "SELECT 1".to_owned(), Some("role cr is BYPASSRLS")),
        (
            "GRANT pg_read_all_data TO cr".replace("pg_read_all_data", "pg_monitor"),
            "SELECT 1".to_owned(),
            Some("cr is a member of pg_monitor"),
        ),
        (
            "ALTER ROLE cr SET search_path = \"a b\", public".to_owned(),
            "SELECT 1".to_owned(),
            Some("setting of cr: search_path="),
        ),
        (
            format!("ALTER DATABASE {name} SET search_path = 'app'"),
            "SELECT 1".to_owned(),
            Some("setting of the database: search_path=app"),
        ),
        (
            format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
            "SELECT 1".to_owned(),
            Some("not any more: CONNECT on the database for PUBLIC"),
        ),
        (
            "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC".to_owned(),
            "SELECT 1".to_owned(),
            Some("not any more: USAGE on language plpgsql for PUBLIC"),
        ),
        (
            "REFRESH MATERIALIZED VIEW mv WITH NO DATA".to_owned(),
            "SELECT 1".to_owned(),
            Some("not any more: the rows of materialized view public.mv"),
        ),
        (
            "CREATE ROLE er; GRANT CREATE ON TABLESPACE pg_default TO er".to_owned(),
            "REVOKE CREATE ON TABLESPACE pg_default FROM er; DROP ROLE er".to_owned(),
            None,
        ),
        (
            "DO $$ BEGIN CREATE ROLE fr SUPERUSER; END $$".to_owned(),
            "SELECT 1".to_owned(),
            Some("there now: role fr"),
        ),
        (
            "COMMENT ON ROLE cr IS 'other'".to_owned(),
            "SELECT 1".to_owned(),
            Some("there now: comment on role cr: other"),
        ),
        (
            "ALTER SYSTEM SET work_mem = '11MB'".to_owned(),
            "SELECT 1".to_owned(),
            Some("ALTER SYSTEM SET work_mem"),
        ),
    ];
    if major >= 15 {
        cases.push((
            "CREATE ROLE gr; GRANT SET ON PARAMETER work_mem TO gr".to_owned(),
            "DROP OWNED BY gr; DROP ROLE gr".to_owned(),
            None,
        ));
        cases.push((
            "GRANT SET ON PARAMETER work_mem TO cr".to_owned(),
            "SELECT 1".to_owned(),
            Some("SET on parameter work_mem for cr"),
        ));
    }
    cases.push(("ALTER ROLE cr RENAME TO dr".to_owned(), "ALTER ROLE dr RENAME TO cr".to_owned(), None));
    let role = format!("cr_{name}");
    database.run(&format!("CREATE ROLE {role}"));
    let texts: Vec<[(String, String); 2]> = cases
        .iter()
        .enumerate()
        .map(|(at, (up, down, _))| {
            let text = |text: &str| {
                format!("{};", text.replace("cr", &role).replace(&format!("{role}eate"), "create"))
            };
            [(format!("{at:04}_a.up.sql"), text(up)), (format!("{at:04}_a.down.sql"), text(down))]
        })
        .collect();
    let files: Vec<(&str, &str)> =
        texts.iter().flatten().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let request = Request { full: true, workload: Some(std::time::Duration::from_secs(5)), ..request() };
    let found =
        Box::pin(rehearse(&project(&files), Some(&database.options()), &request, &sandbox, &programs()))
            .await;
    database.run(&format!("DROP ROLE {role}"));
    let found = found.unwrap();
    let failed: Vec<_> = found.migrations.iter().filter_map(|traced| traced.failure.as_ref()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(found.workload.unwrap().failed.is_empty());
    let proof = found.proof.unwrap();
    assert_eq!((&proof.differs, &proof.not_proven), (&Vec::new(), &Vec::new()), "{proof:?}");
    for (proven, (up, _, wanted)) in proof.migrations.iter().zip(&cases) {
        match wanted {
            None => assert_eq!([&proven.reverted, &proven.again], [&Answer::Yes; 2], "{up}"),
            Some(words) => {
                let words = words.replace("cr", &role);
                assert!(no(&proven.reverted).contains(&words), "{up}: {words}: {proven:?}");
            }
        }
    }
}

/// What cannot be applied keeps nobody from looking at the bodies over the rest.
#[tokio::test]
async fn bodies_are_looked_at_over_what_could_be_applied() {
    let database = testkit::database();
    database.run(&format!("CREATE TABLE a (n int); {}", counts("f", "a")));
    let files = [("0001_a.sql", "DROP TABLE a;"), ("0002_b.sql", "SELECT 1 / 0;")];
    let request = Request { full: true, ..request() };
    let found = Box::pin(rehearsed(&project(&files), &database, &request)).await;
    let proof = found.proof.unwrap();
    let told: Vec<_> = proof.unresolved.iter().map(|one| (one.message.as_str(), one.is_new)).collect();
    assert_eq!(told, [("there is no table a", true)]);
    assert!(proof.not_proven[0].contains("without what they would make"), "{:?}", proof.not_proven);
}
