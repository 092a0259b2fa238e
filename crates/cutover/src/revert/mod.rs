//! The way back of applied migrations: by their own down files, or by what undoes what they really changed, measured on a
//! throwaway server. What comes of it is rehearsed there first, and what would be lost is named.
//!
//! It changes no user's database itself: what it makes is a project of its own whose migrations are the ways back, applied as
//! any other; the record of each takes the history's row of what it reverts with it, in one transaction.

mod choose;
mod losses;
mod rehearse;

use std::fmt::Write as _;

use cutover_analysis::schema::Sql;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::apply::own_startup;
use crate::asking::AskError;
use crate::compare::SideError;
use crate::hazard::{DATA_LOSS, REVERT_DIFFERS, ROWS_STAY};
use crate::history::{records, schema};
use crate::migration::{Claims, Down, Migration, MigrationId, MigrationKind, Section, Source, Version};
use crate::plan::select::SelectError;
use crate::project::text::{checksums, hex};
use crate::project::{Design, MigrationRoot, Project, conventions};
use crate::text::{complaints, visible};
use crate::verify::SandboxProvider;

pub use choose::Which;

/// What is to be reverted, and what is accepted.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which migrations.
    pub which: Which,
    /// Codes of hazards that are accepted.
    pub allow: &'a [String],
    /// Where the ways back are found out and rehearsed.
    pub sandbox: &'a SandboxProvider,
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
    /// What is built on a throwaway server cannot be.
    #[error(transparent)]
    Side(#[from] SideError),
    /// The way back does not work there.
    #[error("rehearsed on a throwaway server: {0}\nnothing was changed")]
    Rehearsal(String),
    /// What it destroys, leaves, or makes otherwise was not accepted.
    #[error("{}\nnothing was changed\n  hint: {}", complaints(.0, "\n"), accept(.1))]
    Refused(Vec<String>, Vec<&'static str>),
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
    format!("{} accepts it", flags.join(" "))
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
    /// What is lost by it, in words.
    pub losses: Vec<String>,
    /// What it leaves as it is, in words.
    pub stays: Vec<String>,
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
    let history = match found.version {
        Some(_) => records::read(&mut session, &project.name).await?,
        None => records::History::default(),
    };
    session.close().await;
    let chosen = choose::chosen(project, &history, &request.which)?;
    let mut outlook = Outlook {
        database: found.database,
        backs: Vec::new(),
        project: project.clone(),
        remarks: Vec::new(),
    };
    if chosen.back.is_empty() {
        return Ok(outlook);
    }
    let rehearsed = rehearse::rehearse(project, &chosen, options, request.sandbox).await?;
    outlook.remarks = rehearsed.remarks;
    let mut losses = losses::Losses::of(options).await?;
    for one in rehearsed.backs {
        let lost = losses.of_changes(&one.changes).await?;
        outlook.backs.push(Back {
            migration: one.migration.id.clone(),
            path: one.migration.path.clone(),
            down: one.migration.down.as_ref().map(|down| down.path.clone()),
            text: one.text,
            losses: lost,
            stays: one.stays,
        });
    }
    losses.close().await;
    refuse(&outlook.backs, &rehearsed.differs, request.allow)?;
    outlook.project = going_back(project, &chosen, &history, &outlook.backs);
    Ok(outlook)
}

/// Refuses what was not accepted by its code.
fn refuse(backs: &[Back], differs: &[String], allow: &[String]) -> Result<(), RevertError> {
    let allowed = |code: &str| allow.iter().any(|allowed| allowed == code);
    let (mut words, mut codes) = (Vec::new(), Vec::new());
    let mut add = |code: &'static str, found: Vec<String>| {
        if !found.is_empty() && !allowed(code) {
            words.extend(found);
            codes.push(code);
        }
    };
    let of = |path: &str, what: &str, list: &[String]| -> Vec<String> {
        list.iter().map(|one| format!("{}: {what}{}", visible(path), visible(one))).collect()
    };
    add(
        DATA_LOSS,
        backs.iter().flat_map(|back| of(&back.path, "this would be lost: ", &back.losses)).collect(),
    );
    add(ROWS_STAY, backs.iter().flat_map(|back| of(&back.path, "", &back.stays)).collect());
    add(
        REVERT_DIFFERS,
        differs
            .iter()
            .map(|one| format!("behind the way back, not as it was before: {}", visible(one)))
            .collect(),
    );
    if codes.is_empty() { Ok(()) } else { Err(RevertError::Refused(words, codes)) }
}

/// The folder that the ways back are called to be in.
const ROOT: &str = "revert";

/// The project whose migrations are the ways back. Its name is another one for each time that a migration was applied, and
/// the same when it is gone on with after an interruption.
fn going_back(
    project: &Project,
    chosen: &choose::Chosen<'_>,
    history: &records::History,
    backs: &[Back],
) -> Project {
    let mut digest = Sha256::new();
    for back in backs {
        let run = history.get(&back.migration).map_or("", |row| row.run.as_str());
        digest.update(format!("{}\0{}\0{run}\0", back.migration.root, back.migration.version.key()));
    }
    let name = format!("{}~revert~{}", project.name, &hex(&digest.finalize())[..16]);
    let numbers = 1..;
    let migrations = chosen
        .back
        .iter()
        .zip(backs)
        .zip(numbers)
        .map(|((migration, back), number)| one_back(migration, back, number));
    Project {
        name,
        roots: vec![MigrationRoot { path: ROOT.to_owned(), convention: &conventions::Numbered }],
        design: Design::default(),
        stages: Vec::new(),
        migrations: migrations.collect(),
        claim_places: Vec::new(),
        checks: Vec::new(),
        check_files: Vec::new(),
        companions: Vec::new(),
        strays: Vec::new(),
        takes_back: Some(project.name.clone()),
        ..project.clone()
    }
}

fn one_back(migration: &Migration, back: &Back, number: u64) -> Migration {
    let text = format!("{} back", migration.id.version.text());
    let base = Migration {
        id: MigrationId { root: ROOT.to_owned(), version: Version::new(vec![number], text) },
        name: migration.name.clone(),
        kind: MigrationKind::Versioned,
        any_time: false,
        down: None,
        verify: None,
        stage: None,
        claims: Claims::default(),
        takes_back: Some(migration.id.clone()),
        ..migration.clone()
    };
    way_back(base, migration, &back.text)
}

/// `base` with the text of the way back of a migration: its down file, else `found`, what was found out.
fn way_back(base: Migration, migration: &Migration, found: &str) -> Migration {
    if let Some(Down { path, source, section, no_transaction, checksums }) = migration.down.clone() {
        return Migration { path, source, section, no_transaction, checksums, ..base };
    }
    let bytes = escaped(found).into_bytes();
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

/// The text with what looks like a placeholder written so that it is none.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (head, tail) = rest.split_at(at);
        before = head.chars().next_back().unwrap_or(before);
        escaped += head;
        let begins_a_name = tail[2..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if begins_a_name && before != '$' {
            escaped.push('$');
        }
        escaped += "${";
        before = '{';
        rest = &tail[2..];
    }
    escaped + rest
}

/// The statements as one text, for one transaction.
fn text_of(statements: &[Sql]) -> String {
    statements.iter().fold(String::new(), |mut text, statement| {
        let _ = writeln!(text, "{};", statement.text);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_looks_like_a_placeholder_is_written_as_none() {
        assert_eq!(escaped("a ${name} $${x}$$ ${\"a\": 1} $body$"), "a $${name} $${x}$$ ${\"a\": 1} $body$");
        assert_eq!(escaped("${a}${b}"), "$${a}$${b}");
        assert_eq!(escaped("none"), "none");
    }
}
