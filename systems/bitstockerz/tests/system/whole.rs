//! All 20 migrations, asked directly: tables, columns, keys, indexes, and every check of the project.

use std::collections::BTreeSet;

use cutover::run::{CheckResult, EventKind, Verdict};
use cutover::verify::VerifyRequest;
use testkit::{Database, role};

use crate::roadmap::{FOREIGN_KEYS, INDEXES, TABLES, tables};
use crate::support::{
    applied, applying, column, measured, not_held, seeded, sorted, system, tables_of, versions_without, whole,
};

fn count(database: &Database, condition: &str) -> String {
    database.value(&format!(
        "SELECT count(*) FROM pg_constraint WHERE {condition} AND connamespace = 'public'::regnamespace"
    ))
}

#[test]
fn all_twenty() {
    let database = whole();
    assert_eq!(applied(&database), versions_without(&[]));
    assert_eq!(tables_of(&database), sorted(tables()));
    assert_eq!(tables_of(&database).len(), 19);
    assert_eq!(count(&database, "contype = 'f'"), "26");
    assert_eq!(count(&database, "contype = 'f' AND confdeltype = 'r'"), "21");
    assert_eq!(count(&database, "contype = 'f' AND confdeltype = 'c'"), "3");
    assert_eq!(count(&database, "contype = 'f' AND confdeltype = 'n'"), "2");
    assert_eq!(count(&database, "contype = 'f' AND confupdtype = 'c'"), "26");
    assert_eq!(count(&database, "NOT convalidated"), "0");
    let keys = column(
        &database,
        "SELECT format('%s.%s %s %s', conrelid::regclass, attname, confrelid::regclass, confdeltype)
           FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
          WHERE contype = 'f' AND connamespace = 'public'::regnamespace",
    );
    let expected = FOREIGN_KEYS.map(|(column, table, deleted)| format!("{column} {table} {deleted}"));
    assert_eq!(keys, sorted(expected.to_vec()));
}

#[test]
fn columns_are_those_of_the_spec() {
    let database = whole();
    for (table, expected) in TABLES {
        let columns = database.value(&format!(
            "SELECT string_agg(CASE attidentity WHEN 'd' THEN attname || '#' ELSE attname || ' ' || format_type(atttypid, atttypmod)
                    || CASE WHEN attnotnull THEN '' ELSE '?' END END, ', ' ORDER BY attnum)
               FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        ));
        let short = columns
            .replace("character varying", "varchar")
            .replace("timestamp with time zone", "timestamptz");
        assert_eq!(short, expected, "{table}");
        let key = if table == "webauthn_credentials" { "credential_id" } else { "id" };
        let primary = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid";
        assert_eq!(
            database.value(&format!("{primary} = '{table}'::regclass")),
            format!("PRIMARY KEY ({key})")
        );
    }
}

#[test]
fn indexes_are_those_of_the_spec() {
    let indexes = column(
        &whole(),
        "SELECT CASE WHEN indisunique THEN 'unique ' ELSE '' END || indrelid::regclass || ' ('
                || (SELECT string_agg(pg_get_indexdef(indexrelid, n, true), ', ' ORDER BY n)
                      FROM generate_series(1, indnatts) n) || ')'
           FROM pg_index JOIN pg_class c ON c.oid = indrelid
          WHERE NOT indisprimary AND c.relnamespace = 'public'::regnamespace",
    );
    let plain: Vec<String> = indexes.iter().map(|index| index.replace("::text", "")).collect();
    assert_eq!(sorted(plain), sorted(INDEXES.map(str::to_owned).to_vec()));
}

/// Every check of the project and of the tool was measured and holds.
fn assert_all_hold(results: &[CheckResult]) {
    assert_eq!(not_held(results), []);
    let measured: BTreeSet<&str> =
        results.iter().map(|result| result.name.split(": ").next().unwrap_or_default()).collect();
    for check in &system().checks {
        let first = check.name.split(": ").next().unwrap();
        let precondition = check.when != cutover::project::When::After;
        assert!(precondition || measured.contains(first), "{} was not measured", check.name);
    }
}

#[tokio::test]
async fn every_check_holds_on_a_fresh_database() {
    let (project, database) = (system(), testkit::database());
    let run = applying(&project, &database.options()).with_optional().completes().await;
    let precondition = run.events.iter().find_map(|event| match &event.kind {
        EventKind::CheckDone(result) => Some(result),
        _ => None,
    });
    let precondition = precondition.expect("V0330's precondition was measured");
    assert_eq!(
        (precondition.name.as_str(), precondition.verdict),
        ("no run points to a missing job", Verdict::Holds)
    );
    let request = VerifyRequest { fresh: true, ..VerifyRequest::default() };
    assert_all_hold(&measured(&project, &database.options(), &request).await);
}

#[tokio::test]
async fn every_check_holds_on_a_seeded_database() {
    let database = seeded();
    for table in tables() {
        assert_ne!(database.value(&format!("SELECT count(*) FROM {table}")), "0", "{table} has rows");
    }
    let results = measured(&system(), &database.options(), &VerifyRequest::default()).await;
    assert_eq!(not_held(&results), []);
    // Only the checks of new databases are left out.
    assert!(results.iter().all(|result| result.kind != "empty"));
    assert!(results.len() > 100, "{}", results.len());
}

#[tokio::test]
async fn ordinary_owner_role() {
    let owner = role("");
    let database = testkit::database();
    database.give_to(&owner);
    let (project, options) = (system(), database.options_as(&owner));
    let run = applying(&project, &options).with_optional().completes().await;
    assert_eq!(run.role, owner.name);
    assert_eq!(
        database.value(&format!(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = '{}'",
            owner.name
        )),
        "f"
    );
    let owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace \
                  WHERE nspname IN ('public', 'cutover')";
    assert_eq!(column(&database, owners), [owner.name.as_str()]);
    let request = VerifyRequest { fresh: true, ..VerifyRequest::default() };
    assert_all_hold(&measured(&project, &options, &request).await);
}
