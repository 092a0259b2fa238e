//! What the catalogue says of a database is what the statements that made it taught.

use cutover_analysis::effects::{Context, Relation};
use cutover_analysis::sql::{Item, Splitter, parse};
use cutover_postgres::session::{Session, Startup};

use super::super::context;

const SETUP: &str = include_str!("../../../../cutover-analysis/facts/postgres_locks.sql");

/// What both ways of learning know.
fn comparable(mut context: Context) -> Context {
    for relation in context.relations.values_mut() {
        let Relation {
            foreign_keys, checks, indexes, columns, columns_known, reads, reactions, of_type, ..
        } = relation;
        foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
        checks.sort_by(|a, b| a.name.cmp(&b.name));
        indexes.sort_by(|a, b| a.name.cmp(&b.name));
        reads.sort();
        reactions.sort_by(|a, b| (a.is_rule, &a.name).cmp(&(b.is_rule, &b.name)));
        // The statement names a type without its schema.
        for column in columns.iter_mut() {
            column.data_type.schema = None;
        }
        // The columns of a view are not looked for in its query, nor those of a type.
        if !reads.is_empty() || of_type.is_some() {
            columns.clear();
            *columns_known = false;
        }
    }
    context.utc = None;
    context
}

#[tokio::test]
async fn the_catalogue_teaches_what_the_statements_did() {
    let database = testkit::database();
    let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
    let mut learnt = Context::EMPTY;
    for item in Splitter::new(SETUP.as_bytes()) {
        let Item::Statement(statement) = item.unwrap() else { continue };
        // Roles are the cluster's, and this database is one of many.
        if statement.text.starts_with("CREATE ROLE") {
            continue;
        }
        learnt.learn(&parse(&statement.text).unwrap());
        session.execute(&statement.text).await.unwrap();
    }
    let found = context(&mut session, Vec::new()).await.unwrap();
    learnt.complete = true;
    learnt.server_major = found.server_major;
    let (found, learnt) = (comparable(found), comparable(learnt));
    for (name, relation) in &learnt.relations {
        assert_eq!(found.relations.get(name), Some(relation), "{name:?}");
    }
    assert_eq!(found, learnt);
    assert!(found.relations.len() > 20);
}
