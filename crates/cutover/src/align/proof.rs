//! Whether a migration that was written leads to what the models say: it is run on a throwaway server, behind the migrations that are
//! there, and what it makes is held against the models again. Then its way back is run, and has to leave what was there before.

use cutover_analysis::diff;
use cutover_analysis::schema::Schema;

use super::build::Built;
use super::model::Difference;
use super::write::{is_something, readable};
use super::{AlignError, hold};
use crate::compare::told;
use crate::project::Project;
use crate::verify::SandboxProvider;
use crate::verify::replay::{Likeness, Replay};

/// What a proof says.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// What is still otherwise.
    pub(super) still: Vec<Difference>,
    /// Why it could not be run to its end.
    pub(super) failed: Option<String>,
    /// The statements that lead back from what was reached.
    pub(super) undo: String,
    /// What the way back leaves otherwise than it was before, or why it cannot be gone.
    pub(super) back: Vec<String>,
}

/// What is run.
pub(super) struct Run<'a> {
    /// The migrations that are there.
    pub(super) project: &'a Project,
    /// What they make.
    pub(super) there: &'a Schema,
    /// What was written.
    pub(super) written: &'a Project,
    /// The statements that lead from a schema to what was there.
    pub(super) undo: &'a dyn Fn(&Schema) -> String,
}

/// Runs what is there, what was written, and the way back.
pub(super) async fn prove(
    built: &Built,
    run: &Run<'_>,
    keep: &[String],
    sandbox: &SandboxProvider,
) -> Result<Proof, AlignError> {
    let likeness = Likeness::of_version(built.schema.server_version / 10_000).with_roles_made();
    let mut replay =
        Replay::open_like(&likeness, sandbox).await.map_err(|trouble| AlignError::NoSandbox(trouble.0))?;
    let all = async {
        for of in [run.project, run.written] {
            if let Err(failed) = every(&mut replay, of).await {
                return Ok(Proof { failed: Some(failed), ..Proof::default() });
            }
        }
        let reached = replay.schema().await?;
        let still = hold(built, &reached, keep).differences;
        let undo = (run.undo)(&reached);
        let back = back(&mut replay, &undo, run.there).await?;
        Ok(Proof { still, failed: None, undo, back })
    };
    let proof = Box::pin(all).await;
    replay.finish().await;
    proof
}

/// Goes back; what is otherwise then, or why that fails.
async fn back(replay: &mut Replay, undo: &str, there: &Schema) -> Result<Vec<String>, AlignError> {
    // What was reached may be what was there.
    if !is_something(undo) {
        return Ok(Vec::new());
    }
    let gone = match readable("undo", &[("0001_undo.sql", undo)]) {
        Ok(undo) => every(replay, &undo).await,
        Err(error) => Err(error.to_string()),
    };
    Ok(match gone {
        Err(failed) => vec![format!("it cannot be gone: {failed}")],
        Ok(()) => told(&diff::without_column_order(diff::changes(there, &replay.schema().await?))),
    })
}

async fn every(replay: &mut Replay, of: &Project) -> Result<(), String> {
    for migration in &of.migrations {
        replay.run(migration, &of.vars).await?;
    }
    Ok(())
}
