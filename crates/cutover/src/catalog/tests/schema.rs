//! Everything a database is made of, read back.

use std::collections::BTreeSet;

use super::session;
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
    let all: BTreeSet<&str> = cutover_analysis::schema::words().collect();
    assert_eq!(all.difference(&found).collect::<Vec<_>>(), Vec::<&&str>::new());
    let again = schema(&mut session, &[]).await.unwrap();
    assert_eq!(fingerprint(&read), fingerprint(&again));
    let saved = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<cutover_analysis::schema::Schema>(&saved).unwrap(), read);
}
