//! What the database says against pending migrations before the first of them runs: objects that they need and nobody
//! provides, objects that they create although they are there, or twice, and what is built on what they take. What code of the database may change in between is not
//! certain, and is not said to be.

use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use super::code::Code;
use super::existing::{self, AlreadyThere};
use super::ground::Ground;
use super::held::{self, Held};
use super::prerequisites::{self, Missing};
use super::twice::{self, CreatedTwice};
use crate::project::Project;

/// What was found.
#[derive(Debug, Default)]
pub struct Foresight {
    /// What pending migrations need and nobody provides.
    pub missing: Vec<Missing>,
    /// What they create although it is there.
    pub existing: Option<AlreadyThere>,
    /// What they create twice.
    pub twice: Option<CreatedTwice>,
    /// What they drop or give another type although something is built on it.
    pub held: Vec<Held>,
    /// Why something that looked like one of these is not named, where that is so.
    pub unsure: Option<String>,
}

/// Looks up what pending migrations need and create. `session` must have the search path the migrations will run with.
///
/// # Errors
/// As the server says.
pub async fn foresee(project: &Project, built: &Built, session: &mut Session) -> Result<Foresight, Failure> {
    let ground = Ground::ask(built, session).await?;
    let missing = prerequisites::missing(project, built, &ground, session).await?;
    let existing = existing::look(built, &ground, session).await?;
    let held = held::held(project, built, &ground, session).await?;
    let twice = twice::find(built, &ground);
    if missing.is_empty() && !existing.any() && !twice.any() && held.is_empty() {
        return Ok(Foresight::default());
    }
    let code = Code::of_database(session).await?;
    let limit = first_to_run_code(built, code.clone());
    let looked_like = missing.len() + held.len();
    let missing: Vec<Missing> = before(limit, missing);
    let held: Vec<Held> = before(limit, held);
    let (any_existing, any_twice) = (existing.any(), twice.any());
    let twice = twice.before(project, limit, |new| existing.has(new));
    let existing = existing.before(project, built, limit);
    let unsure = missing.len() + held.len() < looked_like
        || any_existing && existing.is_none()
        || any_twice && twice.is_none() && existing.is_none();
    Ok(Foresight {
        unsure: unsure.then(|| {
            format!(
                "what pending migrations lack, find there already, or find in the way, is not fully known: {}",
                code.words()
            )
        }),
        missing,
        existing,
        twice,
        held,
    })
}

/// What is found of the migrations before one.
fn before<T>(limit: usize, all: Vec<(usize, T)>) -> Vec<T> {
    all.into_iter().filter(|(index, _)| *index < limit).map(|(_, one)| one).collect()
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
