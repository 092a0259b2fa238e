//! The catalogue against a real server.

mod careful;
mod context;
mod diff;
mod digests;
mod erd;
mod generated;
mod said;
mod schema;
mod state;
mod steps;
mod versions;

use cutover_postgres::session::{Session, Startup};
use testkit::Database;

async fn session(database: &Database) -> Session {
    Session::connect(&database.options(), &Startup::default()).await.unwrap()
}

/// A name with everything in it that quoting can get wrong.
const HOSTILE: &str = "a \"b\"\nc';--.d";

/// [`HOSTILE`] as SQL spells it.
fn hostile() -> String {
    cutover_analysis::sql::quote_ident(HOSTILE)
}
