//! A read-only look at a project and its database: where each migration stands, and how files and history differ.
//! Takes no lock and writes nothing.

use std::time::Duration;

use cutover_analysis::effects::{Context, Retry};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};

use crate::adopt::{self, Unadopted};
use crate::apply::{ApplyError, search_path};
use crate::catalog;
use crate::hazard;
use crate::history::differences::{self, Difference};
use crate::history::journal::Failed;
use crate::history::records::{History, Kept};
use crate::history::schema::{self, Found};
use crate::history::{journal, records};
use crate::lint::{self, AtApply, of_run};
use crate::migration::MigrationId;
use crate::plan::build::{self, Built, Read};
use crate::plan::existing::AlreadyThere;
use crate::plan::file::Surroundings;
use crate::plan::foresight::{self, Foresight};
use crate::plan::held::Held;
use crate::plan::prerequisites::Missing;
use crate::plan::select::{SelectError, Selection, find_in_history};
use crate::plan::twice::{self, CreatedTwice, Repeated};
use crate::plan::{failures, prerequisites};
use crate::project::{Problem, Problems, Project};
use crate::repair::{self, Finding};
use crate::revert;
use crate::run::Run;
use crate::text;
use crate::verify::{self, Precondition};

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
    /// Why a run of the selection would be refused.
    pub refused: Vec<SelectError>,
    /// Ways back that are begun and not finished, in words: a run is refused until they are.
    pub begun_back: Vec<String>,
    /// What is wrong with checks and claims: a run would not start.
    checks: Problems,
    /// SQL of checks that does not parse: a run would not start unless that is allowed, see [`verify::unparsed`].
    unparsed: Problems,
    /// What is probably wrong, and is for the server to say: see [`verify::doubts`].
    doubts: Vec<Problem>,
    /// That their search path leads to our own tables, where [`look_closer`] was asked.
    pub search_path: Option<String>,
    /// What pending migrations need and nobody provides, where [`look_closer`] was asked.
    pub missing: Vec<Missing>,
    /// What they create although it is there, where [`look_closer`] was asked.
    pub existing: Option<AlreadyThere>,
    /// That another tool has applied them, where [`look_closer`] was asked.
    pub unadopted: Option<Unadopted>,
    /// What they create twice, where [`look_closer`] was asked.
    pub twice: Option<CreatedTwice>,
    /// What they drop or give another type although something is built on it, where [`look_closer`] was asked.
    pub held: Vec<Held>,
    /// Statements whose end is not recorded and of which the catalogue cannot say either what became of them, where
    /// [`look_at_open`] was asked: the migration, the unit from 0, and why, where there is something to tell.
    unsettled: Vec<(MigrationId, u32, Option<String>)>,
    /// Whether what lint calls an error stops a run.
    stops_at_errors: bool,
    /// Their preconditions, where [`look_closer`] was asked.
    pub preconditions: Vec<Precondition>,
}

/// Something that would stop a run before its first statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// In words, with its place, one or more lines.
    pub text: String,
    /// What was asked for, the configuration, or the role and the server it is asked of are wrong; otherwise it is the
    /// files, the history and the objects in the database that say no.
    pub configuration: bool,
}

impl Inspection {
    fn new(project: &Project, found: Option<Found>, built: Built, refused: Vec<SelectError>) -> Self {
        let checks = verify::prepare(project).err().unwrap_or_default();
        let doubts = if checks.0.is_empty() { verify::doubts(project) } else { Vec::new() };
        Self {
            found,
            built,
            differences: Vec::new(),
            described: Vec::new(),
            refused,
            begun_back: Vec::new(),
            checks,
            unparsed: verify::unparsed(project),
            doubts,
            search_path: None,
            missing: Vec::new(),
            existing: None,
            unadopted: None,
            twice: None,
            held: Vec::new(),
            unsettled: Vec::new(),
            stops_at_errors: project.lint.apply == AtApply::Error,
            preconditions: Vec::new(),
        }
    }

    /// Statements outside a transaction that an earlier run began, whose end nobody saw and the catalogue cannot tell.
    fn undecided(&self) -> impl Iterator<Item = String> + '_ {
        self.built.pending().filter_map(|index| {
            let step = self.built.plan.steps.get(index)?;
            let open = self.built.history.begun(&step.migration)?.open()?;
            let unit = self.built.scripts.get(&index)?.units.get(usize::try_from(open.unit).ok()?)?;
            let unsettled =
                self.unsettled.iter().find(|(id, unit, _)| *id == step.migration && *unit == open.unit);
            let is_open = |retry: &Retry| match retry {
                Retry::Checkable(_) => unsettled.is_some(),
                retry => *retry == Retry::Unknown,
            };
            let outside = unit.outside.as_ref().filter(|outside| is_open(&outside.retry))?;
            let why = unsettled.and_then(|(_, _, why)| why.as_ref());
            let why = why.map_or_else(String::new, |why| format!("; {why}"));
            let open =
                failures::open(&outside.what, &format!("part {}", open.unit + 1), open.failure.as_ref());
            Some(format!("{}: {open}{why}\n  hint: {}", step.path, failures::decide(&step.migration)))
        })
    }

    /// What is probably wrong and does not stop a run, also what is `allowed`.
    pub fn doubts<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = &'a Problem> + 'a {
        let unparsed = self.unparsed.0.iter().filter(|_| allowed.iter().any(|code| code == hazard::UNPARSED));
        unparsed.chain(&self.doubts)
    }

    /// What is wrong with checks and claims and would stop a run, but for what `allowed` accepts.
    pub fn wrong_checks<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = &'a Problem> + 'a {
        let unparsed =
            self.unparsed.0.iter().filter(|_| !allowed.iter().any(|code| code == hazard::UNPARSED));
        self.checks.0.iter().chain(unparsed)
    }

    /// Everything that would stop a run of this plan before its first statement, but for what `allowed` accepts.
    pub fn stops<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = Stop> + 'a {
        let differences = self.differences.iter().zip(&self.described);
        let changed = differences
            .filter(move |(difference, _)| difference.is_refused(allowed))
            .map(|(_, described)| described.clone());
        let scripts = self.built.script_errors(allowed).map(ToString::to_string);
        let existing = self.existing.iter().map(ToString::to_string);
        let twice = self.twice.iter().map(ToString::to_string);
        let is_accepted = allowed.iter().any(|code| code == hazard::NOT_ADOPTED);
        let unadopted = self.unadopted.iter().filter(move |_| !is_accepted).map(ToString::to_string);
        let missing = self.missing.iter().map(ToString::to_string);
        let held = self.held.iter().map(ToString::to_string);
        let missing = unadopted.chain(missing).chain(existing).chain(twice).chain(held);
        let preconditions = self.preconditions.iter().filter(|one| one.stops()).map(ToString::to_string);
        let checks = self.wrong_checks(allowed).map(ToString::to_string);
        let refused = self
            .refused
            .iter()
            .map(|error| Stop { text: error.to_string(), configuration: error.is_of_the_request() });
        let stop = |configuration: bool| move |text: String| Stop { text, configuration };
        let linted = of_run::stops(&self.built.plan, self.stops_at_errors, allowed);
        let others = changed.chain(self.undecided()).chain(scripts).chain(missing).chain(preconditions);
        let others = others.chain(linted);
        let path = self.search_path.iter().cloned();
        checks.chain(path).map(stop(true)).chain(refused).chain(others.map(stop(false)))
    }
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
        ..Startup::default()
    };
    Ok(Session::connect(options, &startup).await?)
}

/// What failed in the project's newest run. `session` reads our own tables.
///
/// # Errors
/// When the database cannot be read.
pub async fn last_failures(
    session: &mut Session,
    project: &str,
    inspection: &Inspection,
) -> Result<Vec<Failed>, ApplyError> {
    match inspection.found.as_ref().and_then(|found| found.version) {
        Some(_) => Ok(journal::last_failures(session, project).await?),
        None => Ok(Vec::new()),
    }
}

/// Plans without a database: everything is pending.
///
/// # Errors
/// When the selection names what does not exist.
pub fn files_only(project: &Project, selection: &Selection) -> Result<Inspection, ApplyError> {
    let (mut built, refused) =
        build::build_leniently(project, History::default(), selection, None, Read::All, Context::EMPTY)?;
    for missing in prerequisites::created_too_late(project, &built) {
        built.plan.notes.push(format!(
            "{}:{}: needs {}, which {} creates, and that comes later: it must be in the database before",
            missing.path,
            missing.line,
            missing.object,
            missing.created_by.unwrap_or_default()
        ));
    }
    let twice = twice::created_twice(project, &built);
    let repeated = twice.iter().flat_map(|twice| &twice.first).map(Repeated::line);
    built.plan.notes.extend(repeated);
    Ok(Inspection::new(project, None, built, refused))
}

/// Reads the history and plans against it. What a run would refuse is no error here: it is in the result.
///
/// # Errors
/// When the database cannot be read or the selection names what does not exist.
pub async fn database(
    project: &Project,
    session: &mut Session,
    selection: &Selection,
    read: Read,
) -> Result<Inspection, ApplyError> {
    let found = schema::look(session).await?;
    let history = match found.version {
        Some(_) => records::read(session, &project.name).await?,
        None => History::default(),
    };
    let mut differences = differences::compare(project, &history);
    if found.version.is_some() {
        differences::look_elsewhere(project, &history, session, &mut differences).await?;
    }
    let mut described = Vec::with_capacity(differences.len());
    for difference in &differences {
        described.push(differences::describe(project, difference, session).await?);
    }
    // What a run would do if these were accepted: it would not run a file again that only has another number now.
    let renumbered = differences::renumberings(&differences);
    let history = history.renumbered(&renumbered);
    let target = found.target();
    let known = known(project, &history, session).await?;
    let (built, refused) = build::build_leniently(project, history, selection, Some(target), read, known)?;
    let mut built = built.renumbering(renumbered).guarding(&found);
    let mut begun_back = Vec::new();
    if found.version.is_some() {
        begun_back = revert::begun(&project.name, session).await?;
    }
    built.plan.notes.extend(begun_back.iter().cloned());
    let inspection = Inspection::new(project, Some(found), built, refused);
    Ok(Inspection { differences, described, begun_back, ..inspection })
}

/// What the database has, where any migration may be pending: what those lock and work on depends on it.
///
/// # Errors
/// When the catalogue cannot be read.
pub(crate) async fn known(
    project: &Project,
    history: &History,
    session: &mut Session,
) -> Result<Context, Failure> {
    if project.migrations.iter().all(|migration| history.get(&migration.id).is_some()) {
        return Ok(Context::EMPTY);
    }
    catalog::context(session, Vec::new()).await
}

/// What the database is, and how sessions begin in it, for a plan that is kept: what changes after this moment is found
/// when the plan is applied. Looked at on a session that begins as those of migrations do.
///
/// # Errors
/// When the database cannot be read.
pub async fn surroundings(
    options: &ConnectOptions,
    wait: Option<Duration>,
) -> Result<Surroundings, ApplyError> {
    let startup =
        Startup { application_name: "cutover".to_owned(), settings: Vec::new(), wait, ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let terms = catalog::terms(&mut session).await?;
    let objects = catalog::state(&mut session).await?;
    session.close().await;
    Ok(Surroundings { terms, objects })
}

/// Looks up what pending migrations need, and measures their preconditions as far as that can be done now. Reads alone,
/// on a session of its own that has the search path migrations run with. Where another run has recorded anything since the
/// history was read, what is found may be its doing: nothing is said of it but that.
///
/// # Errors
/// When the database cannot be read.
pub async fn look_closer(
    project: &Project,
    options: &ConnectOptions,
    inspection: &mut Inspection,
) -> Result<(), ApplyError> {
    if inspection.built.pending().next().is_none() {
        return Ok(());
    }
    let mut session = Session::connect(options, &only_reading()).await?;
    inspection.search_path = search_path::complaint(&mut session, project).await?;
    let Foresight { missing, existing, twice, held, unsure } =
        foresight::foresee(project, &inspection.built, &mut session).await?;
    (inspection.missing, inspection.existing, inspection.twice) = (missing, existing, twice);
    inspection.held = held;
    inspection.unadopted = adopt::unadopted(project, &inspection.built, &mut session).await;
    inspection.built.plan.notes.extend(unsure);
    of_run::look(project, &mut inspection.built, &mut session).await?;
    // Checks that are written wrong are said already.
    inspection.preconditions =
        verify::preview(project, &inspection.built, &mut session).await.unwrap_or_default();
    session.close().await;
    let anything = !inspection.missing.is_empty()
        || inspection.existing.is_some()
        || inspection.unadopted.is_some()
        || inspection.twice.is_some()
        || !inspection.held.is_empty()
        || inspection.preconditions.iter().any(Precondition::stops);
    if anything && has_moved(project, options, inspection).await? {
        (inspection.existing, inspection.unadopted, inspection.twice) = (None, None, None);
        inspection.missing.clear();
        inspection.held.clear();
        inspection.preconditions.clear();
        inspection.built.plan.notes.push(MOVED.to_owned());
    }
    Ok(())
}

/// What lint finds in what is pending, against what is there, with files that come late. Reads alone.
///
/// # Errors
/// When the database cannot be read.
pub async fn lint(
    project: &Project,
    options: &ConnectOptions,
    wait: Option<Duration>,
) -> Result<lint::Found, ApplyError> {
    let mut session = connect(options, wait).await?;
    let mut inspection = database(project, &mut session, &Selection::default(), Read::Pending).await?;
    session.close().await;
    let mut session = Session::connect(options, &only_reading()).await?;
    let before = std::mem::take(&mut inspection.built.before);
    let pending = lint::pending(project, &inspection.built, before, &mut session).await?;
    session.close().await;
    let mut found = pending.found;
    for refused in &inspection.refused {
        if let SelectError::OutOfOrder { paths, highest } = refused {
            found.add_out_of_order(project, paths, highest);
        }
    }
    Ok(found)
}

/// How a session begins that only looks, and finds what sessions of migrations find.
fn only_reading() -> Startup {
    let settings = vec![("default_transaction_read_only".to_owned(), "on".to_owned())];
    Startup { application_name: "cutover".to_owned(), settings, ..Startup::default() }
}

/// What is said where a run has recorded anything while its database was looked at.
const MOVED: &str = "another run has gone on while this was looked at: what pending migrations lack, or find there already, is not \
                     known; plan again once it has ended";

/// Whether the history is not what it was when it was read. What a run does is recorded with it, or before it.
async fn has_moved(
    project: &Project,
    options: &ConnectOptions,
    inspection: &Inspection,
) -> Result<bool, ApplyError> {
    let mut session = connect(options, None).await?;
    let built = &inspection.built;
    let known = inspection.found.as_ref().is_some_and(|found| found.version.is_some());
    let moved = match schema::is_there(&mut session).await? {
        true if known => {
            let now = records::read(&mut session, &project.name).await?;
            now.renumbered(&built.renumbered) != built.history
        }
        there => there != known,
    };
    session.close().await;
    Ok(moved)
}

/// Looks what is known of statements outside a transaction that were begun and whose end is not recorded, as `repair` does,
/// and says so with the parts of their files. `session` reads our own tables.
///
/// # Errors
/// When the database cannot be read.
pub async fn look_at_open(
    project: &Project,
    options: &ConnectOptions,
    session: &mut Session,
    inspection: &mut Inspection,
) -> Result<(), ApplyError> {
    let built = &mut inspection.built;
    for (id, unit, finding) in repair::findings(project, options, &built.history, session).await? {
        let steps = built.plan.steps.iter_mut().filter(|step| step.migration == id);
        let index = usize::try_from(unit).unwrap_or(usize::MAX);
        for unit in steps.filter_map(|step| step.units.get_mut(index)) {
            unit.finding = Some(finding.to_string());
        }
        if let Finding::Unknown(why) = finding {
            inspection.unsettled.push((id, unit, why));
        }
    }
    Ok(())
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
    let id = if let Some(id) = id {
        Some(id.to_owned())
    } else {
        let both = [project, &revert::project_name(project)];
        journal::list_runs(session, &both, 1).await?.into_iter().next().map(|line| line.id)
    };
    match id {
        Some(id) => Ok(journal::read_run(session, &id).await?),
        None => Ok(None),
    }
}

/// The text of a migration that is applied or begun, by its version as [`find_in_history`] takes it; its file need not
/// be there any more.
///
/// # Errors
/// When the database cannot be read, or the history knows no such migration, or several.
pub async fn kept_text(session: &mut Session, project: &str, version: &str) -> Result<Kept, ApplyError> {
    let unknown = || SelectError::NotApplied {
        version: version.to_owned(),
        suggestion: None,
        known: text::known_list([]),
    };
    if schema::look(session).await?.version.is_none() {
        return Err(unknown().into());
    }
    let history = records::read(session, project).await?;
    let id = find_in_history(&history, version)?;
    Ok(records::kept(session, project, id).await?.ok_or_else(unknown)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[(&str, &str)]) -> Inspection {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
        files_only(&Project::embedded("p", &files).unwrap(), &Selection::default()).unwrap()
    }

    #[test]
    fn a_reference_and_a_row_are_no_alterations() {
        let inspection = look(&[
            ("V1__a.sql", "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE log (n int);"),
            (
                "V2__b.sql",
                "CREATE TABLE orders (u int REFERENCES users, o int);\nINSERT INTO orders SELECT 1, 2;\n\
                 ALTER TABLE orders ADD FOREIGN KEY (o) REFERENCES orders;\nINSERT INTO log VALUES (1);",
            ),
            ("V3__c.sql", "ALTER TABLE users ADD boss int REFERENCES users; TRUNCATE log;"),
        ]);
        let step = |at: usize| {
            let step = &inspection.built.plan.steps[at];
            [&step.alters, &step.references, &step.writes].map(|list| list.join(", "))
        };
        assert_eq!(step(0), ["", "", ""]);
        assert_eq!(step(1), ["", "table users", "log"]);
        assert_eq!(step(2), ["table users", "", "table log"]);
    }

    #[test]
    fn an_object_is_listed_once() {
        let inspection = look(&[
            ("V1__a.sql", "CREATE TABLE app.users (id int); CREATE TABLE log (n int);"),
            (
                "V2__b.sql",
                "CREATE INDEX i ON app.users (id); ALTER TABLE app.users ADD m int; COMMENT ON COLUMN app.users.m IS 'x';\n\
                 INSERT INTO log VALUES (1); TRUNCATE log; ALTER TABLE app.users ADD o int;",
            ),
        ]);
        let step = &inspection.built.plan.steps[1];
        let is_of_users = |object: &&String| object.ends_with("app.users");
        let users: Vec<&String> = step.alters.iter().filter(is_of_users).collect();
        assert_eq!(users, ["table app.users"], "{:?}", step.alters);
        assert_eq!(step.writes, ["table log"]);
    }

    #[test]
    fn files_without_statements_and_needs_that_come_later_are_noted() {
        let inspection = look(&[
            ("V1__a.sql", "-- to come\n"),
            ("V2__b.sql", "BEGIN;\nCOMMIT;\n"),
            ("V3__c.sql", "CREATE TABLE c (n int\n  REFERENCES d);"),
            ("V4__d.sql", "CREATE TABLE d (n int PRIMARY KEY);"),
        ]);
        let plan = &inspection.built.plan;
        let expected = [
            vec!["it has no statements: a run that accepts it only records it as applied"],
            vec![
                "its outer BEGIN … COMMIT is replaced by cutover's own transaction",
                "it has no statements: a run that accepts it only records it as applied",
            ],
        ];
        assert_eq!([&plan.steps[0].notes, &plan.steps[1].notes], [&expected[0], &expected[1]]);
        let later = "V3__c.sql:2: needs table d, which V4__d.sql creates, and that comes later: it must be in the database before";
        assert_eq!(plan.notes, [later]);
        let stops: Vec<String> = inspection.stops(&[]).map(|stop| stop.text).collect();
        assert_eq!(stops.len(), 2, "{stops:?}");
        for (stop, path) in stops.iter().zip(["V1__a.sql", "V2__b.sql"]) {
            assert!(stop.starts_with(&format!("{path}:1:1: it has no statements\n")), "{stop}");
            assert!(stop.contains("hint: write its statements, delete the file, or"), "{stop}");
            assert!(stop.contains("`--allow empty-migration` records it as applied"), "{stop}");
        }
        assert_eq!(inspection.stops(&["empty-migration".to_owned()]).count(), 0);
    }

    #[test]
    fn errors_in_files_have_their_column_and_their_whole_line() {
        let inspection = look(&[
            ("V1__a.sql", "SELECT 1;\n  \\echo 'x'\nSELECT 2; SELEC 3; SELECT 4;\n"),
            ("V2__b.sql", "-- cutover: new-transacton\nSELECT 1;\nSELECT 'open;\n"),
        ]);
        let said: Vec<String> = inspection.stops(&[]).map(|stop| stop.text).collect();
        let begin = |at: usize, expected: &str| assert!(said[at].starts_with(expected), "{}", said[at]);
        begin(
            0,
            "V1__a.sql:2:3: psql command `\\echo 'x'` cannot be run: only SQL is sent to the server\n  |\n2 |   \\echo 'x'\n  |   ^\n",
        );
        begin(
            1,
            "V1__a.sql:3:11: syntax error at or near \"SELEC\"\n  |\n3 | SELECT 2; SELEC 3; SELECT 4;\n  |           ^\n",
        );
        begin(2, "V2__b.sql:1:1: unknown directive \"new-transacton\"");
        assert!(said[2].contains("1 | -- cutover: new-transacton\n  | ^"), "{}", said[2]);
        begin(3, "V2__b.sql:3:8: a string that is not terminated");
        assert!(said[3].contains("3 | SELECT 'open;\n  |        ^"), "{}", said[3]);
        assert_eq!(said.len(), 4, "{said:#?}");
        // What is allowed by its code is no stop.
        let allowed = ["unparsed".to_owned()];
        assert_eq!(inspection.stops(&allowed).count(), 3);
    }
}
