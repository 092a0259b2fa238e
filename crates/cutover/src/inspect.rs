//! A read-only look at a project and its database: where each migration stands, and how files and history differ.
//! Takes no lock and writes nothing.

use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use crate::apply::{ApplyError, describe_difference};
use crate::history::records::{Difference, History};
use crate::history::schema::{self, Found};
use crate::history::{journal, records};
use crate::plan::Target;
use crate::plan::build::{self, Built, Read};
use crate::plan::select::{SelectError, Selection};
use crate::project::Project;
use crate::run::Run;

/// What was found.
#[derive(Debug)]
pub struct Inspection {
    /// The database, where one was asked.
    pub found: Option<Found>,
    /// The plan and the scripts behind it.
    pub built: Built,
    /// How applied files differ from the history.
    pub differences: Vec<Difference>,
    /// The same in words, edited files with a diff.
    pub described: Vec<String>,
}

/// A session for reading our own tables.
///
/// # Errors
/// As connecting does.
pub async fn connect(options: &ConnectOptions, wait: Option<Duration>) -> Result<Session, ApplyError> {
    let startup = Startup {
        application_name: "cutover".into(),
        settings: vec![("search_path".into(), schema::SEARCH_PATH.into())],
        wait,
    };
    Ok(Session::connect(options, &startup).await?)
}

/// Plans without a database: everything is pending.
///
/// # Errors
/// When the selection makes no sense.
pub fn files_only(project: &Project, selection: &Selection) -> Result<Inspection, ApplyError> {
    let built = build::build(project, History::default(), selection, None, Read::All)?;
    Ok(Inspection { found: None, built, differences: Vec::new(), described: Vec::new() })
}

/// Reads the history and plans against it.
///
/// # Errors
/// When the database cannot be read or the selection makes no sense or would be refused. Edited and deleted files are
/// not an error here: they are in the result.
pub async fn database(
    project: &Project,
    session: &mut Session,
    selection: &Selection,
    read: Read,
) -> Result<Inspection, ApplyError> {
    let (inspection, refused) = leniently(project, session, selection, read).await?;
    match refused.into_iter().next() {
        Some(refused) => Err(refused.into()),
        None => Ok(inspection),
    }
}

/// As [`database`], but shows what there is where a run would be refused, with the reasons of the refusal.
///
/// # Errors
/// When the database cannot be read or the selection names what does not exist.
pub async fn leniently(
    project: &Project,
    session: &mut Session,
    selection: &Selection,
    read: Read,
) -> Result<(Inspection, Vec<SelectError>), ApplyError> {
    let found = schema::look(session).await?;
    let history = match found.version {
        Some(_) => records::read(session, &project.name).await?,
        None => History::default(),
    };
    let differences = records::compare(&project.migrations, &history);
    let mut described = Vec::with_capacity(differences.len());
    for difference in &differences {
        described.push(describe_difference(project, difference, session).await?);
    }
    let target = Target {
        system_identifier: found.system_identifier.clone(),
        database: found.database.clone(),
        server_version_num: found.server_version_num,
    };
    let (built, refused) = build::build_leniently(project, history, selection, Some(target), read)?;
    let inspection = Inspection { found: Some(found), built, differences, described };
    Ok((inspection, refused))
}

/// A stored run: the one with this id, or the project's newest.
///
/// # Errors
/// When the database cannot be read.
pub async fn stored_run(
    session: &mut Session,
    project: &str,
    id: Option<&str>,
) -> Result<Option<Run>, ApplyError> {
    if schema::look(session).await?.version.is_none() {
        return Ok(None);
    }
    let id = match id {
        Some(id) => Some(id.to_owned()),
        None => journal::list_runs(session, project, 1).await?.into_iter().next().map(|line| line.id),
    };
    match id {
        Some(id) => Ok(journal::read_run(session, &id).await?),
        None => Ok(None),
    }
}
