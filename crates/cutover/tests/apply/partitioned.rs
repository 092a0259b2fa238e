//! Partitioned tables: what PostgreSQL does with one partition after the other cannot be in a transaction, and what it
//! does not do at all is refused before the first statement.

use cutover::Project;
use cutover::script::Script;
use cutover_analysis::effects::Context;
use testkit::{Database, database};

use crate::support::{APPLIED, apply, completes, finished, project, session};

fn partitioned() -> Database {
    let database = database();
    database.run(
        "CREATE TABLE pt (a int) PARTITION BY RANGE (a);
         CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
         CREATE TABLE pt_rest PARTITION OF pt DEFAULT;
         CREATE INDEX pt_a ON pt (a)",
    );
    database
}

#[tokio::test]
async fn partitions_are_reindexed_and_clustered_outside_a_transaction() {
    let database = partitioned();
    let options = database.options();
    let version = session(&options).await.server_version_num();
    let mut commands = vec!["CREATE TABLE beside ()"];
    // Earlier versions have nothing of the kind.
    if version >= 140_000 {
        commands.extend(["REINDEX TABLE pt", "REINDEX INDEX pt_a"]);
    }
    if version >= 150_000 {
        commands.push("CLUSTER pt USING pt_a");
    }
    let node = "SELECT pg_relation_filenode('pt1_a_idx')";
    let before = database.value(node);
    let run = completes(&project(&[("V1__r.sql", &format!("{};", commands.join(";\n")))]), &options).await;
    assert_eq!(finished(&run), ["1"]);
    assert_eq!(database.value(node) != before, version >= 140_000);
    let names = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'i' AND relname ~ '^pt'";
    assert_eq!(database.value(names), "pt1_a_idx pt_rest_a_idx");
}

#[tokio::test]
async fn what_partitions_cannot_do_is_refused_before_the_first_statement() {
    let database = partitioned();
    let refused = [
        (
            "CREATE INDEX CONCURRENTLY pt_b ON pt (a)",
            "pt is partitioned: PostgreSQL builds no index on it concurrently",
            "write CREATE INDEX … ON ONLY pt (…), CREATE INDEX CONCURRENTLY on each partition",
        ),
        (
            "DROP INDEX CONCURRENTLY pt_a",
            "pt_a is an index of a partitioned table: PostgreSQL drops none concurrently",
            "leave out CONCURRENTLY",
        ),
        (
            "ALTER TABLE pt DETACH PARTITION pt1 CONCURRENTLY",
            "pt has a default partition, pt_rest: PostgreSQL detaches no partition of it concurrently",
            "leave out CONCURRENTLY, or detach the default partition first",
        ),
    ];
    for (statement, message, hint) in refused {
        let files = project(&[("V1__r.sql", &format!("CREATE TABLE before ();\n{statement};"))]);
        let error = apply(&files, &database.options()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("V1__r.sql:2:1: {message}")), "{error}");
        assert!(error.contains(&format!("hint: {hint}")), "{error}");
        assert_eq!(database.value("SELECT to_regclass('before') IS NULL"), "t");
        // The server says the same.
        let answer = session(&database.options()).await.execute(statement).await;
        assert!(answer.is_err(), "{statement}");
    }
    let detached = project(&[("V1__r.sql", "ALTER TABLE pt DETACH PARTITION pt1;")]);
    completes(&detached, &database.options()).await;
    assert_eq!(database.value(APPLIED), "1");
}

/// The locks of the last file, after what the files before it made.
fn locks(files: &Project) -> Vec<String> {
    let mut known = Context::of_empty_database(18);
    let mut scripts = files.migrations.iter().map(|file| Script::analyse_in(file, &files.vars, &mut known));
    let last = scripts.by_ref().last().unwrap();
    last.vertex
        .locks
        .iter()
        .map(|lock| {
            let schema = lock.relation.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
            format!("{schema}{} {}", lock.relation.name, lock.mode)
        })
        .collect()
}

#[test]
fn a_relation_has_one_name_in_a_plan() {
    let setup = ("V1__s.sql", "CREATE TABLE orders (id int); CREATE INDEX orders_id ON orders (id);");
    let text = "CREATE INDEX CONCURRENTLY orders_id2 ON orders (id);
        DROP INDEX CONCURRENTLY orders_id;
        ALTER TABLE public.orders ADD COLUMN n int;";
    let files = project(&[setup, ("V2__i.sql", text)]);
    assert_eq!(locks(&files), ["orders ACCESS EXCLUSIVE", "orders_id SHARE UPDATE EXCLUSIVE"]);
    // Another schema's is another one.
    let text = "LOCK TABLE orders; SELECT FROM other.orders";
    let files = project(&[setup, ("V2__i.sql", text)]);
    assert_eq!(locks(&files), ["orders ACCESS EXCLUSIVE", "other.orders ACCESS SHARE"]);
}
