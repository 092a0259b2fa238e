//! What keeps a run from starting, all of it at once: nothing is written before this is known to be nothing.

use cutover_postgres::connect::ConnectOptions;

use super::error::ApplyError;
use super::{Request, backup, preflight};
use crate::hazard;
use crate::history::schema::Found;
use crate::plan::build::Built;
use crate::plan::select::SelectError;
use crate::project::Project;
use crate::verify;

/// Reasons not to start, in the order in which they are said.
#[derive(Default)]
pub(super) struct Refusals(Vec<ApplyError>);

impl Refusals {
    pub(super) fn note(&mut self, result: Result<(), ApplyError>) {
        self.0.extend(result.err());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the plan of a run says against it.
    pub(super) fn note_plan(&mut self, built: &Built, refused: Vec<SelectError>, request: &Request) {
        self.0.extend(refused.into_iter().map(ApplyError::Select));
        let errors: Vec<_> = built.script_errors(&request.allow).cloned().collect();
        if !errors.is_empty() {
            self.0.push(ApplyError::Scripts(errors));
        }
    }

    /// Adds what the server, the request and the checks say against it, and ends the run where anything does.
    ///
    /// What pending migrations lack, and where their names lead, is looked up where nothing else would look (our own schema is not there yet), where
    /// the run ends anyway, or where a kept plan says what must be found.
    pub(super) async fn complete(
        mut self,
        project: &Project,
        built: &Built,
        found: &Found,
        request: &Request,
        (options, run): (&ConnectOptions, &str),
    ) -> Result<(), ApplyError> {
        let mut checks = verify::prepare(project).err().unwrap_or_default();
        if !request.allow.iter().any(|code| code == hazard::UNPARSED) {
            checks.absorb(verify::unparsed(project));
        }
        // The configuration comes first, as in all other lists.
        if let Err(problems) = checks.into_result() {
            self.0.insert(0, ApplyError::Checks(problems));
        }
        self.note(preflight::may_write(found));
        self.note(backup::required(project, built, request.backup.as_ref()).map(drop));
        if found.version.is_none() || request.plan.is_some() || !self.0.is_empty() {
            self.0.extend(preflight::ready_yet(project, built, request, found, (options, run)).await?.0);
        }
        self.into_result()
    }

    /// The reasons so far as an error.
    pub(super) fn into_result(mut self) -> Result<(), ApplyError> {
        match self.0.len() {
            0 => Ok(()),
            1 => Err(self.0.remove(0)),
            _ => Err(ApplyError::Several(self.0)),
        }
    }
}
