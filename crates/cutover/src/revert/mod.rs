//! The way back of applied migrations: by their own down files, or by what undoes what they really changed, measured on a
//! throwaway server. What comes of it is rehearsed there first, and what would be lost is named.
//!
//! It changes no user's database itself: what it makes is a project of its own whose migrations are the ways back, applied as
//! any other; the record of each takes the history's row of what it reverts with it, in one transaction.

mod by_hand;
mod choose;
mod code;
pub(crate) mod losses;
pub(crate) mod names;
mod rehearse;
mod shown;
mod taken;
pub(crate) mod undo;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use cutover_analysis::schema::{Id, Sql};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::apply::own_startup;
use crate::asking::AskError;
use crate::compare::SideError;
use crate::hazard::{DATA_LOSS, REVERT_DIFFERS, ROWS_STAY};
use crate::history::{HistoryError, records, schema};
use crate::migration::{
    Claims, Down, Migration, MigrationId, MigrationKind, Section, Source, Version, WayBack,
};
use crate::plan::select::{self, SelectError};
use crate::project::text::{checksums, hex};
use crate::project::{Design, MigrationRoot, Project, TakesBack, Vars, conventions};
use crate::report::format::count;
use crate::secrets::Secrets;
use crate::text::{complaints, visible};
use crate::verify::SandboxProvider;

pub use choose::Which;

/// Stands for all migrations whose down file fails when it is rehearsed.
pub const FAILING: &str = "failing";

/// Stands for all migrations.
pub const EVERY: &str = "all";

/// What is to be reverted, and what is accepted.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which migrations.
    pub which: Which,
    /// Codes of hazards that are accepted.
    pub allow: &'a [String],
    /// Versions that are gone back by what undoes them and not by their down files; [`FAILING`] means all whose down file fails
    /// when it is rehearsed, [`EVERY`] all.
    pub derive: &'a [String],
    /// Where the ways back are found out and rehearsed.
    pub sandbox: &'a SandboxProvider,
    /// What is not accepted is named in [`Outlook::missing`], what would fail in [`Outlook::misfits`], and neither is an error.
    pub only_look: bool,
}

/// Why nothing is reverted.
#[derive(Debug, Error)]
pub enum RevertError {
    /// The database did not do what was asked of it.
    #[error("{}", .0.told("nothing was changed"))]
    Asked(AskError),
    /// No such migration or stage.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A migration that was named is not applied, or has no way back.
    #[error("{0}\nnothing was changed")]
    Not(String),
    /// What is kept needs what is to be reverted.
    #[error("{0}\nnothing was changed")]
    Stands(String),
    /// What is built on a throwaway server cannot be.
    #[error(transparent)]
    Side(#[from] SideError),
    /// What is applied cannot be replayed there.
    #[error("rehearsed on a throwaway server: {0}\nnothing was changed")]
    Rehearsal(String),
    /// Ways back do not work there.
    #[error(transparent)]
    Fails(Failures),
    /// What it destroys, leaves, or makes otherwise was not accepted.
    #[error("{}\nnothing was changed\n  hint: {}", complaints(.0, "\n"), accept(.1))]
    Refused(Vec<String>, Vec<&'static str>),
    /// They do not fit the rows that are there, or what somebody made is in their way.
    #[error(
        "these ways back would fail:\n{}\nnothing was changed\n  hint: mend the rows, or drop what is in the way, first; or write a down file \
         that sees to it",
        complaints(.0, "\n")
    )]
    Misfits(Vec<String>),
}

impl<E> From<E> for RevertError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Asked(error.into())
    }
}

fn accept(codes: &[&str]) -> String {
    let flags: Vec<String> = codes.iter().map(|code| format!("--allow {code}")).collect();
    let derive = if codes.contains(&REVERT_DIFFERS) {
        "; --derive VERSION goes back by what undoes a migration in place of its down file"
    } else {
        ""
    };
    format!("{} accepts it; --dry-run shows every way back{derive}", flags.join(" "))
}

/// The ways back that fail when they are rehearsed: all of them, as each is to be mended.
#[derive(Debug)]
pub struct Failures {
    /// The migration's path and what fails, in the order of the ways back.
    pub failing: Vec<(String, String)>,
    /// How many ways back there are.
    pub of: usize,
    /// How many of them, behind the last failing one, were not tried.
    pub untried: usize,
    /// What may be done, in words.
    pub hints: Vec<String>,
}

impl std::error::Error for Failures {}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failing, of, untried, hints } = self;
        let fail = if failing.len() == 1 { "fails" } else { "fail" };
        writeln!(
            f,
            "rehearsed on a throwaway server, {} of {} {fail}:",
            failing.len(),
            count(*of, "way back", "ways back")
        )?;
        for (path, why) in failing {
            writeln!(f, "{}: {why}", visible(path))?;
        }
        if *untried > 0 {
            let were = if *untried == 1 { "was" } else { "were" };
            writeln!(f, "{untried} below {were} not tried: what is there before could not be made")?;
        }
        f.write_str("nothing was changed")?;
        hints.iter().try_for_each(|hint| write!(f, "\n  hint: {hint}"))
    }
}

/// The way back of one migration.
#[derive(Debug, Clone)]
pub struct Back {
    /// The migration.
    pub migration: MigrationId,
    /// Its path.
    pub path: String,
    /// Its own down file, relative to the project; none where it was found out what undoes it.
    pub down: Option<String>,
    /// The statements, without placeholders filled in where it is a down file.
    pub text: String,
    /// The same as people may see it, with everything secret in it as stars.
    pub shown: String,
    /// What is lost by it, in words.
    pub losses: Vec<String>,
    /// What it leaves as it is, in words.
    pub stays: Vec<String>,
    /// Tables and columns that go by it and held nothing. Where that is accepted to be lost they are none.
    pub emptied: Vec<Id>,
}

/// What would be done.
#[derive(Debug)]
pub struct Outlook {
    /// Name of the database.
    pub database: String,
    /// The ways back, in the order to go them.
    pub backs: Vec<Back>,
    /// The project whose migrations they are; nothing where nothing is to be reverted.
    pub project: Project,
    /// Remarks for people.
    pub remarks: Vec<String>,
    /// What is otherwise behind all ways back than it was before, in words.
    pub differs: Vec<String>,
    /// What would fail on what is there, in words; nothing is done where anything would.
    pub misfits: Vec<String>,
    /// Codes of hazards that would have to be accepted and are not.
    pub missing: Vec<&'static str>,
}

/// Finds out the ways back, rehearses them, and refuses what was not accepted. Changes nothing.
///
/// # Errors
/// See [`RevertError`].
pub async fn look(
    project: &Project,
    options: &ConnectOptions,
    request: &Request<'_>,
) -> Result<Outlook, RevertError> {
    let mut session = Session::connect(options, &own_startup("revert", None)).await?;
    let found = schema::look(&mut session).await?;
    let known = known(project, found.version, &mut session).await?;
    let mut remarks = Vec::new();
    let project = as_applied(project, &known.history, &mut session, &mut remarks).await?;
    let accepts_loss = request.allow.iter().any(|code| code == DATA_LOSS);
    let project = without_downs(project, request.derive)?;
    let chosen = choose::chosen(&project, &known, &request.which, accepts_loss)?;
    remarks.extend(chosen.remarks.iter().cloned());
    remarks.extend(known.backs.all_begun().filter(|(_, begun)| begun.done() > 0).map(|(_, begun)| {
        let parts = match begun.done() {
            1 => "its first part is done already and is".to_owned(),
            done => format!("its first {done} parts are done already and are"),
        };
        format!("{} is begun: {parts} not run again", visible(&begun.path))
    }));
    let secrets = shown::secrets_of(&project, &chosen, &mut session).await?;
    session.close().await;
    let base = (found.database, remarks, &secrets);
    let looked = Box::pin(tried(&project, options, request, (&chosen, &known.history), base)).await;
    looked.map_err(|error| error.starred(&secrets))
}

/// What comes of the ways back of what was chosen.
async fn tried(
    project: &Project,
    options: &ConnectOptions,
    request: &Request<'_>,
    (chosen, history): (&choose::Chosen<'_>, &records::History),
    (database, remarks, secrets): (String, Vec<String>, &Secrets),
) -> Result<Outlook, RevertError> {
    let starred = |mut words: Vec<String>| {
        for text in &mut words {
            secrets.star_in(text);
        }
        words
    };
    let accepts_loss = request.allow.iter().any(|code| code == DATA_LOSS);
    let mut outlook = Outlook {
        database,
        backs: Vec::new(),
        project: project.clone(),
        remarks,
        differs: Vec::new(),
        misfits: Vec::new(),
        missing: Vec::new(),
    };
    if chosen.back.is_empty() {
        return Ok(outlook);
    }
    let derives = request.derive.iter().any(|version| version == FAILING);
    let mut rehearsed = rehearse::rehearse(project, chosen, options, request.sandbox, derives).await?;
    if !rehearsed.failing.is_empty() {
        return Err(RevertError::Fails(failures(project, &rehearsed, &request.which)));
    }
    outlook.remarks.extend(rehearsed.remarks);
    outlook.remarks = starred(outlook.remarks);
    if rehearsed.other_major {
        // Each version words definitions in its own way.
        rehearsed.there.objects.values_mut().for_each(|object| object.attributes.clear());
    }
    let mut losses = losses::Losses::of(options).await?;
    let (mut gone, mut misfits) = (BTreeSet::new(), Vec::new());
    for one in rehearsed.backs {
        let (migration, is_file) = (one.migration, one.is_file);
        let way = one.into_way();
        let found = losses.of_way(&way, &rehearsed.there, &mut gone).await?;
        let mut fails = losses.misfits(&way).await?;
        fails.extend(losses.in_the_way(&way, &rehearsed.there, &gone).await?);
        misfits.extend(fails.into_iter().map(|why| format!("{}: {why}", visible(&migration.path))));
        outlook.backs.push(Back {
            migration: migration.id.clone(),
            path: migration.path.clone(),
            down: migration.down.as_ref().filter(|_| is_file).map(|down| down.path.clone()),
            shown: secrets.star(&way.text),
            text: way.text,
            losses: starred(found.lost.into_iter().chain(way.losses).collect()),
            stays: starred(way.stays),
            emptied: if accepts_loss { Vec::new() } else { found.emptied },
        });
    }
    losses.close().await;
    if !misfits.is_empty() && !request.only_look {
        return Err(RevertError::Misfits(misfits));
    }
    outlook.misfits = starred(misfits);
    outlook.differs = starred(rehearsed.differs);
    if let Some((words, codes)) = outlook.refused(request.allow) {
        if !request.only_look {
            return Err(RevertError::Refused(words, codes));
        }
        outlook.missing = codes;
    }
    outlook.project = going_back(project, chosen, history, &outlook.backs);
    Ok(outlook)
}

async fn known(
    project: &Project,
    version: Option<i32>,
    session: &mut Session,
) -> Result<choose::Known, RevertError> {
    let Some(version) = version else {
        let (history, backs) = (records::History::default(), records::History::default());
        return Ok(choose::Known { history, backs, recorded: BTreeSet::new() });
    };
    Ok(choose::Known {
        history: records::read(session, &project.name).await?,
        backs: records::read(session, &project_name(&project.name)).await?,
        recorded: records::recorded(session, &project.name, version).await?,
    })
}

/// The project without the down files that are not to be gone by.
fn without_downs(mut project: Project, derive: &[String]) -> Result<Project, SelectError> {
    for version in derive.iter().filter(|version| *version != FAILING) {
        if version == EVERY {
            project.migrations.iter_mut().for_each(|migration| migration.down = None);
            continue;
        }
        let (at, _) = select::find(&project, version)?;
        project.migrations[at].down = None;
    }
    Ok(project)
}

/// What fails, and what may be done about it.
fn failures(project: &Project, rehearsed: &rehearse::Rehearsal<'_>, which: &Which) -> Failures {
    let of = rehearsed.backs.len();
    let failing = &rehearsed.failing;
    let mut hints = Vec::new();
    let above = |first: &rehearse::Failing<'_>| {
        rehearsed.backs.iter().position(|back| back.migration.id == first.migration.id)
    };
    let is_in_order = matches!(which, Which::All | Which::To(_) | Which::Last(_));
    if let Some(first) = failing.first().filter(|_| is_in_order)
        && let Some(above @ 1..) = above(first)
    {
        let version = select::called(project, &first.migration.id);
        let what = count(above, "migration", "migrations");
        hints.push(format!("`cutover revert --to {version}` reverts the {what} above the first of them"));
    }
    let derivable: Vec<_> = failing.iter().filter(|one| one.can_be_derived).collect();
    match derivable.as_slice() {
        [] => {}
        [one] if failing.len() == 1 => hints.push(format!(
            "--derive {} goes back by what undoes it, which works, in place of its down file",
            select::called(project, &one.migration.id)
        )),
        _ => hints.push(format!(
            "--derive {FAILING} goes back by what undoes the migration where a down file fails, which works for {} of them; \
             --derive VERSION for one, --derive {EVERY} for all migrations",
            derivable.len()
        )),
    }
    let failing = failing.iter().map(|one| (one.migration.path.clone(), one.why.clone())).collect();
    Failures { failing, of, untried: rehearsed.untried, hints }
}

/// The project with the texts that were applied, where its files are others by now: it is their effects that are there.
async fn as_applied(
    project: &Project,
    history: &records::History,
    session: &mut Session,
    remarks: &mut Vec<String>,
) -> Result<Project, RevertError> {
    let mut project = project.clone();
    for migration in &mut project.migrations {
        let Some(row) = history.get(&migration.id) else { continue };
        if row.checksum == migration.checksums.normalised {
            continue;
        }
        let kept = records::kept(session, &project.name, &migration.id).await?;
        let Some(text) = kept.and_then(|kept| kept.text) else {
            let why = format!(
                "{} was edited after it was applied, and the text that was applied was too large to be kept: put the file back first",
                migration.path
            );
            return Err(RevertError::Not(why));
        };
        remarks.push(format!(
            "{} was edited after it was applied: its way back is that of the text that was applied",
            migration.path
        ));
        let bytes = text.into_bytes();
        migration.checksums = checksums(&bytes).unwrap_or_else(|_| migration.checksums.clone());
        migration.source = Source::Embedded(bytes.into());
        migration.section = Section::WHOLE;
    }
    Ok(project)
}

impl Outlook {
    /// What was not accepted, and by which codes it would be.
    fn refused(&self, allow: &[String]) -> Option<(Vec<String>, Vec<&'static str>)> {
        let (mut words, mut codes) = (Vec::new(), Vec::new());
        let mut add = |code: &'static str, found: Vec<String>| {
            if !found.is_empty() && !allow.iter().any(|allowed| allowed == code) {
                words.extend(found);
                codes.push(code);
            }
        };
        let of = |path: &str, what: &str, list: &[String]| -> Vec<String> {
            list.iter().map(|one| format!("{}: {what}{}", visible(path), visible(one))).collect()
        };
        let backs = &self.backs;
        add(
            DATA_LOSS,
            backs.iter().flat_map(|back| of(&back.path, "this would be lost: ", &back.losses)).collect(),
        );
        add(ROWS_STAY, backs.iter().flat_map(|back| of(&back.path, "", &back.stays)).collect());
        add(REVERT_DIFFERS, self.differs.iter().map(|one| visible(one)).collect());
        (!codes.is_empty()).then_some((words, codes))
    }
}

/// What the version of a way back ends with, behind that of its migration.
pub(crate) const BACK: &str = " back";

/// The folder that the ways back are called to be in.
const ROOT: &str = "revert";

/// The name of the project that the ways back of a project belong to.
pub fn project_name(project: &str) -> String {
    format!("{project}{SUFFIX}")
}

/// Whether a project of this name is one of ways back.
pub fn is_project_name(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

/// What people call a project: one of ways back by what it leads back.
pub fn shown_name(name: &str) -> String {
    name.strip_suffix(SUFFIX).map_or_else(|| name.to_owned(), |project| format!("{project} (ways back)"))
}

const SUFFIX: &str = "~revert";

/// The ways back of a project that are begun and not finished, in words: nothing else is applied or reverted until they are.
/// The history must be there.
///
/// # Errors
/// As the server says.
pub(crate) async fn begun(project: &str, session: &mut Session) -> Result<Vec<String>, HistoryError> {
    let paths = records::begun_paths(session, &project_name(project)).await?;
    let words = |path: &String| {
        format!(
            "a way back is begun and not finished: {}; `cutover revert` of its migration goes on with it",
            visible(path)
        )
    };
    Ok(paths.iter().map(words).collect())
}

/// What the way back of an applied migration is known by: another one for each time that it was applied, and the same when it
/// is gone on with after an interruption, whatever else is reverted with it.
fn key_of(row: &records::Applied) -> String {
    let (id, run) = (&row.id, &row.run);
    let known = Sha256::digest(format!("{}\0{}\0{run}", id.root, id.version.key()));
    hex(&known)[..16].to_owned()
}

/// The project whose migrations are the ways back.
fn going_back(
    project: &Project,
    chosen: &choose::Chosen<'_>,
    history: &records::History,
    backs: &[Back],
) -> Project {
    let both = chosen.back.iter().zip(backs);
    let migrations = both.filter_map(|(migration, back)| {
        let key = key_of(history.get(&migration.id)?);
        Some(one_back(migration, back, key, &project.vars))
    });
    Project {
        name: project_name(&project.name),
        roots: vec![MigrationRoot { path: ROOT.to_owned(), convention: &conventions::Numbered }],
        design: Design::default(),
        stages: Vec::new(),
        migrations: migrations.collect(),
        claim_places: Vec::new(),
        checks: Vec::new(),
        check_files: Vec::new(),
        companions: Vec::new(),
        strays: Vec::new(),
        takes_back: Some(TakesBack { project: project.name.clone(), history: history.digest() }),
        ..project.clone()
    }
}

fn one_back(migration: &Migration, back: &Back, key: String, vars: &Vars) -> Migration {
    let text = format!("{}{BACK}", migration.id.version.text());
    let base = Migration {
        id: MigrationId { root: ROOT.to_owned(), version: Version::named(key, 1, text) },
        name: migration.name.clone(),
        kind: MigrationKind::Versioned,
        any_time: true,
        down: None,
        verify: None,
        stage: None,
        claims: Claims::default(),
        takes_back: Some(Box::new(WayBack { of: migration.id.clone(), emptied: back.emptied.clone() })),
        ..migration.clone()
    };
    way_back(base, migration, migration.down.as_deref().filter(|_| back.down.is_some()), &back.text, vars)
}

/// `base` with the text of the way back of a migration: its down file, else `found`, what was found out.
pub(crate) fn way_back(
    base: Migration,
    migration: &Migration,
    down: Option<&Down>,
    found: &str,
    vars: &Vars,
) -> Migration {
    if let Some(Down { path, source, section, no_transaction, checksums }) = down.cloned() {
        return Migration { path, source, section, no_transaction, checksums, ..base };
    }
    let bytes = shown::with_placeholders(found, vars).into_bytes();
    // It was made here: it is UTF-8 without NUL.
    let checksums = checksums(&bytes).unwrap_or_else(|_| base.checksums.clone());
    Migration {
        path: format!("what undoes {}", migration.path),
        source: Source::Embedded(bytes.into()),
        section: Section::WHOLE,
        no_transaction: false,
        checksums,
        ..base
    }
}

/// The statements as one text, for one transaction.
pub(crate) fn text_of(statements: &[Sql]) -> String {
    statements.iter().fold(String::new(), |mut text, statement| {
        let _ = writeln!(text, "{};", statement.text);
        text
    })
}
