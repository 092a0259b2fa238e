//! What the tests share.

use cutover::project::Overrides;
use cutover::{Project, migrate};
use std::path::Path;
use testkit::Database;

pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn builds() {
    let _ = Project::load(folder(), &Overrides::default());
    let database: Database = testkit::database();
    let _ = (migrate, database.url());
}
