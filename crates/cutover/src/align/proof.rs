//! Whether a migration that was written leads to what the models say: it is run on a throwaway server, behind the migrations that are
//! there, and what it makes is held against the models again.

use super::build::Built;
use super::model::Difference;
use super::{AlignError, hold};
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
}

/// Runs the migrations of `project`, and then those of `written`.
pub(super) async fn prove(
    built: &Built,
    (project, written): (&Project, &Project),
    keep: &[String],
    sandbox: &SandboxProvider,
) -> Result<Proof, AlignError> {
    let likeness = Likeness::of_version(built.schema.server_version / 10_000).with_roles_made();
    let mut replay =
        Replay::open_like(&likeness, sandbox).await.map_err(|trouble| AlignError::NoSandbox(trouble.0))?;
    let run = async {
        for (of, migration) in
            [project, written].iter().flat_map(|of| of.migrations.iter().map(move |one| (of, one)))
        {
            if let Err(failed) = replay.run(migration, &of.vars).await {
                return Ok(Proof { failed: Some(failed), ..Proof::default() });
            }
        }
        let schema = replay.schema().await?;
        Ok(Proof { still: hold(built, &schema, keep).differences, failed: None })
    };
    let proof = Box::pin(run).await;
    replay.finish().await;
    proof
}
