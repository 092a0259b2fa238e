//! Taking over a database from another migration tool, by that tool's own table: what it says is applied is recorded as
//! applied, without being run. It looks first and says what it sees, then a person is asked, and what is recorded is what was
//! looked at. It can be taken back while nothing was applied since.
//!
//! It must not write anything of the other tool's, nor anything but our own records.

mod catalogue;
mod matching;
mod notice;
mod record;
mod report;
mod tables;
pub mod tools;
mod undo;

use std::collections::BTreeSet;

use cutover_analysis::effects::{Context, ObjectRef};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use thiserror::Error;

use self::catalogue::{Basis, Found};
use self::matching::{Matching, Standing};
use self::tables::Row;
use self::tools::Sum;
use crate::apply::{may_write, pooler};
use crate::asking::AskError;
use crate::catalog;
use crate::clock::Clock;
use crate::compare::{self, drift};
use crate::hazard::{self, ADOPT_CHANGED, ADOPT_DIFFERS, ADOPT_MISSING};
use crate::history::records::History;
use crate::history::{records, schema};
use crate::inspect;
use crate::migration::Migration;
use crate::project::Project;
use crate::recording::{self, Entry, RecordError};
use crate::script::{Script, Texts};
use crate::text::{complaints, visible};
use crate::verify::SandboxProvider;

pub use notice::Unadopted;
pub(crate) use notice::unadopted;
pub(crate) use record::tables_of;
pub use record::{Recorded, record};
pub use report::{Catalogue, FileLine, Report, RowLine};
pub use tables::{Kind, TablePlace};
pub use undo::{TakenBack, UndoOutlook, look_at_undo, undo};

#[cfg(test)]
mod tests;

/// Why nothing was recorded.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// Nothing of it is about another tool.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no table of a tool that is known.
    #[error("{}\nnothing was recorded\n  hint: {}", no_table(.named.as_deref(), .other.as_deref()), no_table_hint(.named.is_some()))]
    NoTable {
        /// The name that was asked for.
        named: Option<String>,
        /// Tables of such names that are nobody's.
        other: Option<String>,
    },
    /// There are tables of several tools, or several of one.
    #[error("there are tables of several tools here: {}\nnothing was recorded\n  hint: --from SCHEMA.TABLE says which", .0.join(", "))]
    SeveralTables(Vec<String>),
    /// The role may not read the other tool's table.
    #[error("role {role} may not read {table}\nnothing was recorded\n  hint: {grant}")]
    Unreadable {
        /// The table.
        table: String,
        /// The role.
        role: String,
        /// What would let it.
        grant: String,
    },
    /// The project does not say what to ask the table for.
    #[error("{0}\nnothing was recorded")]
    NotAsked(String),
    /// A row names more than one file.
    #[error("the row {row} names several files: {}\nnothing was recorded\n  hint: each version has one file, in one folder", .files.join(", "))]
    SeveralFiles {
        /// The row, as people know it.
        row: String,
        /// Paths.
        files: Vec<String>,
    },
    /// What keeps it from being recorded: each in words, and what to do.
    #[error("{}\nnothing was recorded\n  hint: {}", complaints(.0, "\n"), .1)]
    Refused(Vec<String>, String),
    /// It cannot be taken back, and why.
    #[error("{}\nnothing was taken back\n  hint: {}", complaints(.0, "\n"), .1)]
    NotTakenBack(Vec<String>, &'static str),
    /// A record cannot be written.
    #[error("the schema cannot be written: {0}\nnothing was recorded")]
    Written(#[from] serde_json::Error),
}

impl<E> From<E> for AdoptError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Record(error.into())
    }
}

fn no_table(named: Option<&str>, other: Option<&str>) -> String {
    match (named, other) {
        (Some(named), None) => format!("there is no table {named} here that can be read"),
        (Some(named), Some(other)) => {
            format!("{named} is no table of a tool that is known: {other} has other columns")
        }
        (None, Some(other)) => {
            format!("there is no table of a tool that is known: {other} has other columns")
        }
        (None, None) => "there is no table of a tool that is known here".to_owned(),
    }
}

fn no_table_hint(named: bool) -> String {
    let known: Vec<&str> = tools::all().iter().map(|tool| tool.about().called).collect();
    let else_ = if named { "" } else { "; --from SCHEMA.TABLE where it is called otherwise" };
    format!(
        "known are the tables of {}{else_}; without one, `cutover baseline` records what is there already",
        known.join(", ")
    )
}

/// What is adopted by whom.
pub struct Request<'a> {
    /// The table, as `schema.table` or `table`; none where it is to be found.
    pub from: Option<&'a str>,
    /// Codes of hazards that are accepted.
    pub allow: &'a [String],
    /// Where what the files make is built, to be compared.
    pub sandbox: &'a SandboxProvider,
    /// Who runs it, in words.
    pub operator: String,
    /// Name and version of the program.
    pub tool: String,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// What an adoption would record, as it was looked at.
#[derive(Debug)]
pub struct Outlook {
    /// What is to be told.
    pub report: Report,
    /// What is not as it should be and was accepted, in words.
    pub accepted: Vec<String>,
    place: TablePlace,
    rows: Vec<Row>,
    matching: Matching,
    chosen: Vec<Entry>,
    /// What it was compared with; none where there is nothing to record, or it could not be built.
    basis: Option<Basis>,
    found: Found,
    /// Places of migrations that were adopted and that the table does not call applied any more.
    gone: Vec<usize>,
    /// Why it may not be recorded, with what to do.
    refused: Option<(Vec<String>, String)>,
    server: schema::Found,
}

impl Outlook {
    /// Number of migrations that would be recorded.
    pub fn recorded(&self) -> usize {
        self.chosen.len()
    }

    /// The table that it is adopted from.
    pub fn table(&self) -> &TablePlace {
        &self.place
    }

    /// Whether it may be recorded.
    ///
    /// # Errors
    /// [`AdoptError::Refused`], and whatever keeps this role from writing here.
    pub fn may_be_recorded(&self) -> Result<(), AdoptError> {
        if let Some((why, hint)) = &self.refused {
            return Err(AdoptError::Refused(why.clone(), hint.clone()));
        }
        if !self.chosen.is_empty() {
            may_write(&self.server)?;
        }
        Ok(())
    }
}

/// Looks at what would be recorded. Writes nothing and takes no lock. What keeps it from being recorded is part of what it
/// gives: see [`Outlook::may_be_recorded`].
///
/// # Errors
/// See [`AdoptError`]: whatever keeps it from being told.
pub async fn look(
    project: &Project,
    options: &ConnectOptions,
    request: &Request<'_>,
) -> Result<Outlook, AdoptError> {
    hazard::all_known(request.allow).map_err(RecordError::NotAllowed)?;
    let mut session = inspect::connect(options, None).await?;
    let server = schema::look(&mut session).await?;
    pooler::refuse(&server, &mut session, options, "adopt").await?;
    let (place, mut remarks) = tables::find(&mut session, project, request.from).await?;
    let Sight { history, rows, matching, gone } = sight(project, &place, &server, &mut session).await?;
    let chosen = chosen(project, &rows, &matching, &history)?;
    let mut basis = None;
    let mut found = Found::default();
    if !chosen.is_empty() {
        let applied = applied(project, &chosen, &history);
        match Basis::build(project, &place, &applied, options, request.sandbox).await? {
            Ok(built) => {
                found = built.compare(catalog::schema(&mut session, &[]).await?, &place);
                remarks.extend(built.remark());
                basis = Some(built);
            }
            Err(why) => {
                remarks.push(format!("whether the database is what the files make was not looked at: {why}"));
            }
        }
    }
    if !found.differing.is_empty() {
        remarks.extend(elsewhere(&place, drift::first_schema(options).await?));
    }
    session.close().await;
    let mut report = Report::new(project, &server, &place, &rows, &matching, &history);
    for path in gone.iter().map(|index| &project.migrations[*index].path) {
        if let Some(file) = report.files.iter_mut().find(|file| file.path == *path) {
            file.why = Some(format!("{} says so no more", report.table));
        }
    }
    report.catalogue = Catalogue::new(basis.is_some(), &found);
    report.remarks = remarks;
    let mut outlook = Outlook {
        report,
        accepted: Vec::new(),
        place,
        rows,
        matching,
        chosen,
        basis,
        found,
        gone,
        refused: None,
        server,
    };
    outlook.judge(project, &history, request.allow);
    Ok(outlook)
}

/// Says where names without a schema lead if that is not the schema of the tool's table, which is a usual reason for all to be
/// otherwise.
fn elsewhere(place: &TablePlace, current: Option<String>) -> Option<String> {
    let current = current.unwrap_or_default();
    let is_usual = place.tool.0.owns_schema() || place.schema == current;
    (!is_usual).then(|| {
        let schema = &place.schema;
        format!(
            "{} is in schema {schema}, and names without a schema lead to {} here: where the files are meant for {schema}, let the \
             search path begin with it (options=-csearch_path%3D{schema} in the URL, or ALTER ROLE … SET search_path) before \
             anything is accepted",
            place.name(),
            if current.is_empty() { "none" } else { &current },
        )
    })
}

/// The tool that an object is the table of, among those whose files a project may have, with the statement that makes it.
pub(crate) fn tool_of_table(project: &Project, object: &ObjectRef) -> Option<(&'static str, String)> {
    let roots = || project.roots.iter().map(|root| root.convention.name());
    let is_of = |tool: &&&dyn tools::Tool, own: bool| {
        let conventions = tool.conventions();
        let conventions = if own { conventions.get(..1).unwrap_or_default() } else { conventions };
        tool.tables().contains(&object.name.as_str()) && roots().any(|root| conventions.contains(&root))
    };
    let found = tools::all().iter().find(|tool| is_of(tool, true));
    let tool = found.or_else(|| tools::all().iter().find(|tool| is_of(tool, false)))?;
    let schema = object.schema.as_deref().unwrap_or("public");
    Some((tool.about().called, tool.make(schema, &object.name).join("; ")))
}

/// What the database says, at one time.
#[derive(Debug, PartialEq, Eq)]
struct Sight {
    history: History,
    rows: Vec<Row>,
    matching: Matching,
    gone: Vec<usize>,
}

async fn sight(
    project: &Project,
    place: &TablePlace,
    server: &schema::Found,
    session: &mut Session,
) -> Result<Sight, AdoptError> {
    let history = match server.version {
        Some(_) => records::read(session, &project.name).await?,
        None => History::default(),
    };
    let rows = tables::rows(session, project, place).await?;
    let matching = matching::matching(project, place, &rows)?;
    let adopted = match server.version {
        Some(version) => records::adopted(session, &project.name, version).await?,
        None => BTreeSet::new(),
    };
    let is_gone = |(index, standing): (usize, &Standing)| {
        let is_none = matches!(standing, Standing::Pending | Standing::TakenBack(_));
        (is_none && adopted.contains(&project.migrations[index].id)).then_some(index)
    };
    let gone = matching.standings.iter().enumerate().filter_map(is_gone).collect();
    Ok(Sight { history, rows, matching, gone })
}

/// The places of migrations that are applied there and not recorded here, each with its row.
fn places<'a>(
    project: &'a Project,
    matching: &'a Matching,
    history: &'a History,
) -> impl Iterator<Item = (usize, Option<usize>)> + 'a {
    let standings = matching.standings.iter().enumerate();
    standings.filter_map(|(index, standing)| match standing {
        Standing::Applied { row, .. } if history.get(&project.migrations[index].id).is_none() => {
            Some((index, *row))
        }
        _ => None,
    })
}

fn chosen(
    project: &Project,
    rows: &[Row],
    matching: &Matching,
    history: &History,
) -> Result<Vec<Entry>, RecordError> {
    let places: Vec<(usize, Option<usize>)> = places(project, matching, history).collect();
    let migrations: Vec<&Migration> = places.iter().map(|(index, _)| &project.migrations[*index]).collect();
    let mut known = Context::EMPTY;
    let mut chosen = Vec::with_capacity(places.len());
    Script::analyse_all(&migrations, &project.vars, Texts::Kept, |place, analyse| {
        let (index, row) = places[place];
        let applied_at = row.and_then(|row| rows[row].at_micros);
        let entry = recording::entry(project, index, &analyse(&mut known));
        chosen.push(entry.map(|entry| Entry { applied_at, ..entry }));
    });
    chosen.into_iter().collect()
}

/// What would be applied then, in the project's order.
fn applied<'a>(project: &'a Project, chosen: &[Entry], history: &History) -> Vec<&'a Migration> {
    let is_chosen = |index: usize| chosen.binary_search_by_key(&index, |one| one.index).is_ok();
    let all = project.migrations.iter().enumerate();
    all.filter(|(index, migration)| is_chosen(*index) || history.get(&migration.id).is_some())
        .map(|(_, migration)| migration)
        .collect()
}

impl Outlook {
    /// Says what stands in the way, but for what is allowed.
    fn judge(&mut self, project: &Project, history: &History, allow: &[String]) {
        let unsettled = self.unsettled(project, history);
        if !unsettled.is_empty() {
            let hint =
                format!("settle it with {} first: {}", self.place.called(), self.place.tool.0.settle());
            self.refused = Some((unsettled, hint));
            return;
        }
        if !self.gone.is_empty() {
            let tool = self.place.called();
            let lines = self.gone.iter().map(|index| {
                format!(
                    "{} was adopted, and {tool} does not call it applied any more: taken back there, it seems, while cutover's \
                     history has it",
                    visible(&project.migrations[*index].path)
                )
            });
            let hint = format!(
                "`cutover adopt --undo`, as long as cutover has applied nothing since, and adopt again; otherwise let {tool} apply \
                 it again"
            );
            self.refused = Some((lines.collect(), hint));
            return;
        }
        // With nothing to record, rows without a file are said the first time alone.
        if self.chosen.is_empty() && !history.is_empty() {
            return;
        }
        let lists = [
            (self.changed(project, history), ADOPT_CHANGED),
            (self.missing(), ADOPT_MISSING),
            (
                self.found.differing.iter().map(|one| compare::not_as("the files make it", one)).collect(),
                ADOPT_DIFFERS,
            ),
        ];
        let found = lists.into_iter().filter(|(list, _)| !list.is_empty());
        let (accepted, refused): (Vec<_>, Vec<_>) =
            found.partition(|(_, code)| allow.iter().any(|allowed| allowed == code));
        self.accepted = accepted.into_iter().flat_map(|(list, _)| list).collect();
        if refused.is_empty() {
            return;
        }
        let flags: Vec<String> = refused.iter().map(|(_, code)| format!("--allow {code}")).collect();
        let hint = format!(
            "bring files and database back to what was applied, or accept that with {}",
            flags.join(" ")
        );
        self.report.refused = refused.iter().map(|(_, code)| (*code).to_owned()).collect();
        self.refused = Some((refused.into_iter().flat_map(|(list, _)| list).collect(), hint));
    }

    /// What failed there, or is half applied here.
    fn unsettled(&self, project: &Project, history: &History) -> Vec<String> {
        let mut found = Vec::new();
        for (index, standing) in self.matching.standings.iter().enumerate() {
            let migration = &project.migrations[index];
            if let Standing::Failed(_) = standing {
                found.push(format!(
                    "{} failed there, and what it left behind is not known",
                    visible(&migration.path)
                ));
            } else if history.begun(&migration.id).is_some() && matches!(standing, Standing::Applied { .. }) {
                found.push(format!(
                    "{} is applied in part by cutover: finish it with `cutover apply`",
                    visible(&migration.path)
                ));
            }
        }
        let failed =
            self.matching.fileless.iter().filter(|one| self.rows[one.row].state == tools::State::Failed);
        found.extend(failed.map(|one| {
            format!(
                "{} failed there, and what it left behind is not known; no file is of that row",
                visible(&self.rows[one.row].label)
            )
        }));
        found
    }

    /// Files that are not what was applied.
    fn changed(&self, project: &Project, history: &History) -> Vec<String> {
        let standings = self.matching.standings.iter().enumerate();
        standings
            .filter(|(index, _)| history.get(&project.migrations[*index].id).is_none())
            .filter_map(|(index, standing)| match standing {
                Standing::Applied { row: Some(row), sum: Sum::Changed(now) } => Some(format!(
                    "{} was changed since it was applied: its checksum there is {}, that of the file {now}",
                    visible(&project.migrations[index].path),
                    visible(self.rows[*row].checksum.as_deref().unwrap_or_default()),
                )),
                _ => None,
            })
            .collect()
    }

    /// Rows of which there is no file.
    fn missing(&self) -> Vec<String> {
        let of = self.place.called();
        let fileless = self.matching.fileless.iter();
        fileless
            .map(|one| {
                let label = visible(&self.rows[one.row].label);
                if one.known {
                    format!("{label} is applied, and there is no file of it")
                } else {
                    format!("the row {label} is none that {of} writes, and of no file")
                }
            })
            .collect()
    }
}
