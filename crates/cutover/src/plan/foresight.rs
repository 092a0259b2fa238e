//! What the database says against pending migrations before the first of them runs: objects that they need and nobody
//! provides, and objects that they create although they are there. What code of the database may change in between is not
//! certain, and is not said to be.

use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use super::code::Code;
use super::existing::{self, AlreadyThere};
use super::prerequisites::{self, Missing};
use crate::project::Project;

/// What was found.
#[derive(Debug, Default)]
pub struct Foresight {
    /// What pending migrations need and nobody provides.
    pub missing: Vec<Missing>,
    /// What they create although it is there.
    pub existing: Option<AlreadyThere>,
    /// Why something that looked like one of these is not named, where that is so.
    pub unsure: Option<String>,
}

/// Looks up what pending migrations need and create. `session` must have the search path the migrations will run with.
///
/// # Errors
/// As the server says.
pub async fn foresee(project: &Project, built: &Built, session: &mut Session) -> Result<Foresight, Failure> {
    let missing = prerequisites::missing(project, built, session).await?;
    let existing = existing::look(built, session).await?;
    if missing.is_empty() && !existing.any() {
        return Ok(Foresight::default());
    }
    let code = Code::of_database(session).await?;
    let limit = first_to_run_code(built, code.clone());
    let looked_like = missing.len();
    let missing: Vec<Missing> =
        missing.into_iter().filter(|(index, _)| *index < limit).map(|(_, missing)| missing).collect();
    let any_existing = existing.any();
    let existing = existing.before(project, built, limit);
    let unsure = missing.len() < looked_like || any_existing && existing.is_none();
    Ok(Foresight {
        unsure: unsure.then(|| {
            format!(
                "what pending migrations lack, or find there already, is not fully known: {}",
                code.words()
            )
        }),
        missing,
        existing,
    })
}

/// The place of the first migration that may run code of the database, or of another one, that nobody has read.
fn first_to_run_code(built: &Built, mut code: Code) -> usize {
    let mut scripts = built.pending().filter_map(|index| Some((index, built.scripts.get(&index)?)));
    let first = scripts.find(|(_, script)| {
        code.learn(script);
        code.may_act(script)
    });
    first.map_or(usize::MAX, |(index, _)| index)
}
