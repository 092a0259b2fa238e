//! Everything a database is made of, read back.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Options, diff};
use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::graph::is_of_the_server;
use cutover_analysis::schema::{Id, Present, Schema};

use super::{HOSTILE, hostile, session};
use crate::catalog::{fingerprint, schema};

/// One object of each kind.
const EVERYTHING: &str = include_str!("everything.sql");

#[tokio::test]
async fn every_kind_is_read() {
    let database = testkit::database();
    database.run(EVERYTHING);
    let mut session = session(&database).await;
    let read = schema(&mut session, &[]).await.unwrap();
    let found: BTreeSet<&str> = read.objects.keys().map(|id| id.kind.word()).collect();
    // It is the server that a subscription keeps busy: it has a test of its own.
    let all: BTreeSet<&str> =
        cutover_analysis::schema::words().filter(|word| *word != "subscription").collect();
    assert_eq!(all.difference(&found).collect::<Vec<_>>(), Vec::<&&str>::new());
    let again = schema(&mut session, &[]).await.unwrap();
    assert_eq!(fingerprint(&read), fingerprint(&again));
    let saved = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&saved).unwrap(), read);
}

/// A saved schema may have been changed by hand, or cut.
#[tokio::test]
async fn a_saved_schema_that_is_not_as_written_is_an_error_or_compared_never_a_panic() {
    let database = testkit::database_from_template(EVERYTHING, |database| database.run(EVERYTHING));
    let read = schema(&mut session(&database).await, &[]).await.unwrap();
    let saved = serde_json::to_value(&read).unwrap();
    let read_again = |value: &serde_json::Value| serde_json::from_value::<Schema>(value.clone());
    let mut future = saved.clone();
    future["format_version"] = 2.into();
    let error = read_again(&future).unwrap_err().to_string();
    assert!(error.contains("version 2 of its form cannot be read"), "{error}");
    let mut unknown = saved.clone();
    unknown["objects"][0]["kind"] = "spaceship".into();
    let error = read_again(&unknown).unwrap_err().to_string();
    assert!(error.contains("no kind of object called \"spaceship\""), "{error}");
    let mut twice = saved.clone();
    let first = twice["objects"][0].clone();
    twice["objects"].as_array_mut().unwrap().push(first);
    let error = read_again(&twice).unwrap_err().to_string();
    assert!(error.contains("is there twice"), "{error}");
    let odd = [
        serde_json::json!(true),
        serde_json::json!(""),
        serde_json::json!(" "),
        serde_json::json!("ä\"'\n(=)"),
        serde_json::json!([]),
        serde_json::json!(["", "ä\" = WITH TO ("]),
    ];
    for value in odd {
        let mut changed = saved.clone();
        for object in changed["objects"].as_array_mut().unwrap() {
            let attributes = object.get_mut("attributes").and_then(serde_json::Value::as_object_mut);
            for (_, attribute) in attributes.into_iter().flatten() {
                *attribute = value.clone();
            }
        }
        let changed = read_again(&changed).unwrap();
        for (from, to) in [(&read, &changed), (&changed, &read)] {
            for safe in [true, false] {
                assert!(!diff(from, to, Options { safe }).is_empty());
            }
        }
        let nothing = Schema::empty(read.server_version, "");
        assert!(!diff(&nothing, &changed, Options::default()).is_empty());
        assert!(!diff(&changed, &nothing, Options::default()).is_empty());
    }
}

/// Whatever PostgreSQL counts as an object of its own, i.e. has a number in a catalogue, is read, or is named with the reason.
#[tokio::test]
async fn every_catalogue_of_objects_is_read_or_left_out_for_a_reason() {
    let database = testkit::database();
    let version = database.value("SHOW server_version_num").parse().unwrap();
    let asked =
        cutover_analysis::schema::Asked { schemas: &[], server_version: version, present: &Present::all() };
    let queries = cutover_analysis::schema::queries(&asked);
    let words: BTreeSet<&str> = queries.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let catalogues = database.rows(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid'
         WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' ORDER BY 1",
    );
    let missing: Vec<String> = catalogues
        .into_iter()
        .filter_map(|mut row| row.pop().flatten())
        .filter(|name| !words.contains(name.as_str()))
        .filter(|name| !cutover_analysis::schema::LEFT_OUT.iter().any(|(left, _)| left == name))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[tokio::test]
async fn every_catalogue_of_the_server_is_known_as_its_own() {
    let database = testkit::database();
    let names = database.value(
        "SELECT string_agg(relname, ' ') FROM pg_class
          WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')",
    );
    let is_known = |name: &&str| is_of_the_server(&ObjectRef::new(ObjectKind::Relation, None, *name));
    let unknown: Vec<&str> = names.split_whitespace().filter(|name| !is_known(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[tokio::test]
async fn hostile_names_and_partitions_are_read() {
    let database = testkit::database();
    let name = hostile();
    let escaped = &name[1..];
    database.run(&format!(
        "CREATE SCHEMA {name};
         CREATE TABLE {name}.{name} ({name} int NOT NULL, CONSTRAINT \"k{escaped} PRIMARY KEY ({name})) PARTITION BY RANGE ({name});
         CREATE TABLE {name}.part PARTITION OF {name}.{name} FOR VALUES FROM (1) TO (9);"
    ));
    let mut session = session(&database).await;
    let found = schema(&mut session, &[HOSTILE.to_owned()]).await.unwrap();
    let parent = Id::new(ObjectKind::Table, HOSTILE, HOSTILE);
    assert_eq!(found.get(&parent).unwrap().list("columns"), [HOSTILE]);
    let parts: Vec<&Id> = found.parts_of(&parent).map(|(id, _)| id).collect();
    let [column, key] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((column.kind, column.name.as_str()), (ObjectKind::Column, HOSTILE));
    // The index of a key is part of the key.
    assert_eq!((key.kind, key.name.as_str()), (ObjectKind::Constraint, format!("k{HOSTILE}").as_str()));
    let partition = found.get(&Id::part(ObjectKind::Partition, HOSTILE, "part", "part")).unwrap();
    assert_eq!(partition.text("bound"), Some("FOR VALUES FROM (1) TO (9)"));
    assert!(schema(&mut session, &["no such schema".to_owned()]).await.unwrap().objects.is_empty());
}
