//! Rehearsal: what is pending is applied to a copy of the database's schema on a throwaway server, and watched. The real
//! database is only read, and nothing of the copy stays.

mod error;
mod findings;
mod ground;
mod judge;
mod made;
mod model;
mod outside;
mod pass;
mod proof;
mod same_server;
mod starred;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod words;
mod workload;

use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::SandboxOptions;
use cutover_postgres::session::{Session, Startup};
use tokio::time::Instant;

pub use error::{MissingExtension, RehearseError};
pub use ground::GroundRequest;
pub use model::{
    Answer, Blocked, Disagreement, FORMAT_VERSION, Failed, Felt, Finding, Ground, Held, Hurt, LeftOut,
    MadeOf, Object, Proof, Proven, Rehearsal, Taken, Traced, TracedStatement, Unresolved, Waiting, Workload,
    Wrote,
};
pub use text::lines;

use self::ground::Base;
use self::made::Shared;
use self::pass::Pass;
use crate::inspect;
use crate::lint::Known;
use crate::migration::Migration;
use crate::plan::StepState;
use crate::plan::build::Read;
use crate::plan::select::Selection;
use crate::project::Project;
use crate::secrets::Secrets;
use crate::verify::SandboxProvider;

/// What is to be rehearsed, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which migrations.
    pub selection: Selection,
    /// What they find.
    pub ground: GroundRequest,
    /// Also prove that each leaves nothing when it is rolled back, that it can be reverted and applied again, and that what bodies
    /// mention exists.
    pub full: bool,
    /// Have clients work on the tables meanwhile; waits longer than this count as blocked.
    pub workload: Option<Duration>,
}

/// Rehearses what is pending in `target`, or everything where there is none. `programs`: where `pg_dump` is looked for.
///
/// # Errors
/// [`RehearseError`]: nothing was rehearsed. What migrations do wrong is no error: it is in the result.
pub async fn rehearse(
    project: &Project,
    target: Option<&ConnectOptions>,
    request: &Request,
    sandbox: &SandboxProvider,
    programs: &SandboxOptions,
) -> Result<Rehearsal, RehearseError> {
    // Large: it is not for the stack of whoever waits for it.
    Box::pin(all(project, target, request, (sandbox, true), programs)).await
}

/// `is_guarded`: nothing is run that would go beyond the copy on the database's own server.
async fn all(
    project: &Project,
    target: Option<&ConnectOptions>,
    request: &Request,
    (sandbox, is_guarded): (&SandboxProvider, bool),
    programs: &SandboxOptions,
) -> Result<Rehearsal, RehearseError> {
    let began = Instant::now();
    let asked = Asked::of(project, target, request).await?;
    if let Some(target) = target.filter(|_| is_guarded) {
        let again = if request.ground.replay { asked.applied.as_slice() } else { &[] };
        let run = [again, &asked.pending].concat();
        same_server::refuse(project, target, &run, request, sandbox).await?;
    }
    let base =
        ground::build(project, target, (&asked.applied, &asked.pending), &request.ground, sandbox, programs)
            .await?;
    let built = began.elapsed();
    let done = passes(project, &base, &asked, request, sandbox, target).await;
    let ground = base.ground.clone();
    base.scratch.finish().await;
    let mut rehearsal = done?;
    rehearsal.ground = Ground { took: built, ..ground };
    rehearsal.ground.remarks.splice(0..0, asked.remarks);
    rehearsal.database = target.map(|options| options.database.clone());
    starred::star(&mut rehearsal, &Secrets::of(&project.vars));
    rehearsal.took_in_all = began.elapsed();
    Ok(rehearsal)
}

/// What is asked for.
struct Asked<'a> {
    applied: Vec<&'a Migration>,
    pending: Vec<&'a Migration>,
    /// Their places in the project.
    places: Vec<usize>,
    remarks: Vec<String>,
}

impl<'a> Asked<'a> {
    async fn of(
        project: &'a Project,
        target: Option<&ConnectOptions>,
        request: &Request,
    ) -> Result<Self, RehearseError> {
        let inspection = match target {
            None => inspect::files_only(project, &request.selection)?,
            Some(options) => {
                let mut session = inspect::connect(options, None).await?;
                let inspection =
                    inspect::database(project, &mut session, &request.selection, Read::Pending).await;
                session.close().await;
                inspection?
            }
        };
        let places: Vec<usize> = inspection.built.pending().collect();
        let steps = inspection.built.plan.steps.iter().enumerate();
        let is_applied = |state: &StepState| matches!(state, StepState::Applied { .. });
        let applied =
            steps.filter(|(_, step)| is_applied(&step.state)).map(|(place, _)| &project.migrations[place]);
        Ok(Self {
            applied: applied.collect(),
            pending: places.iter().map(|place| &project.migrations[*place]).collect(),
            places,
            remarks: inspection.refused.iter().map(ToString::to_string).collect(),
        })
    }
}

async fn passes(
    project: &Project,
    base: &Base,
    asked: &Asked<'_>,
    request: &Request,
    sandbox: &SandboxProvider,
    target: Option<&ConnectOptions>,
) -> Result<Rehearsal, RehearseError> {
    let known = findings::known(target, &base.scratch).await?;
    let shared = Shared::before(project, &asked.pending, &base.scratch).await?;
    let copy = base.copy(sandbox).await?;
    let traced = traced(project, base, &copy, asked, known).await;
    let made = match (&traced, request.full) {
        (Ok(_), true) => proof::there_in(&copy, &shared.around).await.map(Some),
        _ => Ok(None),
    };
    copy.finish().await;
    let mut left = shared.take_back(&base.scratch).await?;
    let (mut rehearsal, made) = (traced?, made?);
    let applied: Vec<&Migration> = asked
        .pending
        .iter()
        .zip(&rehearsal.migrations)
        .filter(|(_, traced)| traced.failure.is_none())
        .map(|(migration, _)| *migration)
        .collect();
    if let Some(limit) = request.workload {
        let felt = workload::run(project, base, sandbox, &applied, &rehearsal, limit).await;
        left.extend(shared.take_back(&base.scratch).await?);
        rehearsal.workload = Some(felt?);
    }
    if let Some(made) = made {
        let proof = proof::prove(project, base, (sandbox, &shared), &made, &asked.pending, &applied).await;
        shared.take_back(&base.scratch).await?;
        let mut proof = proof?;
        left.dedup();
        if !left.is_empty() {
            proof.not_proven.push(format!(
                "what belongs to the whole server could not be given back what it was between passes, so that what is said here may \
                 be wrong: {}",
                left.join("; ")
            ));
        }
        rehearsal.proof = Some(proof);
    }
    Ok(rehearsal)
}

/// The pass that is watched.
async fn traced(
    project: &Project,
    base: &Base,
    copy: &crate::verify::sandbox::Scratch,
    asked: &Asked<'_>,
    known: Known,
) -> Result<Rehearsal, RehearseError> {
    let mut pass = Pass::begin(project, base, copy).await?;
    let mut migrations = Vec::with_capacity(asked.pending.len());
    for migration in &asked.pending {
        migrations.push(pass.migration(migration).await?);
    }
    let took = pass.elapsed();
    let mut rehearsal = Rehearsal {
        format_version: FORMAT_VERSION,
        project: project.name.clone(),
        database: None,
        server_version: server_version(copy).await?,
        ground: Ground::default(),
        migrations,
        findings: Vec::new(),
        disagreements: std::mem::take(&mut pass.disagreements),
        workload: None,
        proof: None,
        took,
        took_in_all: took,
    };
    rehearsal.findings = findings::all(project, &asked.places, &known, &rehearsal);
    pass.end().await?;
    Ok(rehearsal)
}

async fn server_version(copy: &crate::verify::sandbox::Scratch) -> Result<String, RehearseError> {
    let session = Session::connect(&copy.options, &Startup::default()).await?;
    let version = session.parameter("server_version").unwrap_or_default();
    session.close().await;
    Ok(version)
}
