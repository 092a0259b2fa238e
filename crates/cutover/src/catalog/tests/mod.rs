//! The catalogue against a real server.

mod careful;
mod context;
mod diff;
mod digests;
mod erd;
mod generated;
mod moved;
mod said;
mod schema;
mod state;
mod steps;
mod versions;
mod ways;

use cutover_analysis::diff::Diff;
use cutover_analysis::schema::Place;
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

/// Runs the statements, together and apart as they ask for.
async fn apply(session: &mut Session, found: &Diff) -> Result<(), String> {
    let (mut open, mut alone) = (false, false);
    for statement in &found.statements {
        if open && (alone || statement.place != Place::Together) {
            session
                .execute("COMMIT")
                .await
                .map_err(|error| format!("COMMIT before {}: {error}", statement.text))?;
            open = false;
        }
        if !open && statement.place != Place::Outside {
            session.execute("BEGIN").await.map_err(|error| error.to_string())?;
            open = true;
        }
        alone = statement.place == Place::Alone;
        if let Err(error) = session.execute(&statement.text).await {
            let _ = session.execute("ROLLBACK").await;
            return Err(format!("{error}\n  in: {}", statement.text));
        }
    }
    if open {
        session.execute("COMMIT").await.map_err(|error| format!("COMMIT: {error}"))?;
    }
    Ok(())
}
