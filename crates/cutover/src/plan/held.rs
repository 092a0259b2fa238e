//! What pending migrations drop, or give another type, although something in the database is built on it: PostgreSQL refuses that, and
//! what ran before it is committed by then. Found before the first statement.
//!
//! Only what is certain is reported: what an earlier statement drops, makes anew, renames or changes may not be in the way any
//! more, and behind anything that may drop whatever it likes the server has the last word.

use std::collections::HashMap;
use std::fmt;

use cutover_analysis::effects::{ObjectKind, ObjectRef, Taking};
use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use super::code::Code;
use super::existing::is_uncertain;
use super::ground::{Ground, Runs};
use crate::catalog::{Needing, needing};
use crate::places;
use crate::project::Project;
use crate::report::format::count;
use crate::script::{Script, Take, Until};
use crate::text::caret;

/// More of what is in the way of one statement is counted, not named.
const NAMED: usize = 5;

/// A statement that PostgreSQL would refuse, as something is built on what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Path of the migration.
    pub path: String,
    /// Line of the name, counted from 1; of the statement where it is not written out.
    pub line: u32,
    /// Column there, in characters, counted from 1.
    pub column: u32,
    /// That line, for the caret; empty where there is none to show.
    pub source_line: String,
    /// What is dropped, or gets another type, as `kind name`.
    pub object: String,
    /// It gets another type; otherwise it is dropped.
    pub retyped: bool,
    /// What is built on it and in the way, as `kind name`.
    pub by: Vec<String>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, object, retyped, by, .. } = self;
        let does = if *retyped { "changes the type of" } else { "drops" };
        let more = by.len().saturating_sub(NAMED);
        let more =
            if more > 0 { format!(" and {} more", count(more, "object", "objects")) } else { String::new() };
        let named = by.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let (it, is) = if by.len() == 1 { ("it", "is") } else { ("them", "are") };
        write!(
            f,
            "{path}:{line}:{column}: {does} {object}, and {named}{more} {is} built on it: PostgreSQL refuses that"
        )?;
        if !self.source_line.is_empty() {
            write!(f, "\n{}", caret(*line, *column, &self.source_line))?;
        }
        let then = if *retyped {
            format!(
                "drop {it} before this statement and make {it} again behind it, here or in a migration of its own"
            )
        } else {
            format!(
                "drop {it} before this statement, or make {it} do without it, here or in a migration before this one"
            )
        };
        write!(f, "\n  hint: {then}")
    }
}

struct Candidate<'a> {
    /// Index of the migration in the project.
    index: usize,
    take: &'a Take,
}

/// Which migration, and which place in the lists of it, is the first to mention a name.
#[derive(Default)]
struct Mentions<'a> {
    created: HashMap<&'a str, (usize, usize)>,
    altered: HashMap<&'a str, (usize, usize)>,
    dropped: HashMap<&'a str, (usize, usize)>,
}

impl<'a> Mentions<'a> {
    fn learn(&mut self, index: usize, script: &'a Script) {
        let lists = [
            (&mut self.created, &script.creates),
            (&mut self.altered, &script.alters),
            (&mut self.dropped, &script.drops),
        ];
        for (mentions, list) in lists {
            for (place, object) in list.iter().enumerate() {
                mentions.entry(object.name.as_str()).or_insert((index, place));
            }
        }
    }

    /// Whether anything of this name came, went or was renamed before a place in the lists of a migration.
    fn has_moved(&self, name: &str, index: usize, until: &Until) -> bool {
        is_before(&self.created, name, (index, until.creates))
            || is_before(&self.dropped, name, (index, until.drops))
    }

    /// Whether it was changed, too.
    fn has_touched(&self, name: &str, index: usize, until: &Until) -> bool {
        self.has_moved(name, index, until) || is_before(&self.altered, name, (index, until.alters))
    }

    /// Whether a statement takes what is in the database now.
    fn finds(&self, index: usize, take: &Take) -> bool {
        let ObjectRef { schema, table, name, .. } = &take.object;
        let mut names = schema.iter().chain(table).chain([name]);
        !names.any(|name| self.has_moved(name, index, &take.before))
    }

    /// Whether what needs it is as the database has it when the statement runs; what the statement itself drops goes along.
    fn leaves(&self, needing: &Needing, Candidate { index, take }: &Candidate<'_>) -> bool {
        let (name, whole) = (&needing.id.name, &needing.whole);
        // A constraint, or a column, may have gone along with something else of its table.
        let stays = if needing.holds_types() {
            !self.has_moved(whole, *index, &take.behind)
        } else {
            !self.has_touched(whole, *index, &take.behind)
        };
        stays && !self.has_touched(name, *index, &take.behind)
    }
}

fn is_before(mentions: &HashMap<&str, (usize, usize)>, name: &str, place: (usize, usize)) -> bool {
    mentions.get(name).is_some_and(|first| *first < place)
}

/// Looks up what is in the way of pending migrations; each with the migration's place. `session` must have the search path the
/// migrations will run with.
///
/// # Errors
/// As the server says.
pub(super) async fn held(
    project: &Project,
    built: &Built,
    ground: &Ground,
    session: &mut Session,
) -> Result<Vec<(usize, Held)>, Failure> {
    let is_any = |index: usize| built.scripts.get(&index).is_some_and(|script| !script.takes.is_empty());
    if !built.pending().any(is_any) {
        return Ok(Vec::new());
    }
    let mut mentions = Mentions::default();
    let candidates = candidates(built, ground, &mut mentions);
    let asked: Vec<_> = candidates.iter().map(|candidate| asked(&candidate.take.object)).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let mut by: Vec<Vec<String>> = vec![Vec::new(); candidates.len()];
    for one in needing(session, &asked).await? {
        if let (Some(candidate), Some(by)) = (candidates.get(one.of), by.get_mut(one.of))
            && (candidate.take.taking != Taking::Type || one.holds_types())
            && mentions.leaves(&one, candidate)
        {
            by.push(one.id.to_string());
        }
    }
    let found = candidates.iter().zip(by).filter(|(_, by)| !by.is_empty());
    Ok(found.map(|(candidate, by)| (candidate.index, describe(project, candidate, by))).collect())
}

/// What takes something that is there, up to where that is not certain any more.
fn candidates<'a>(built: &'a Built, ground: &Ground, mentions: &mut Mentions<'a>) -> Vec<Candidate<'a>> {
    let mut code = Code::default();
    let mut moved = false;
    let mut candidates = Vec::new();
    for index in built.pending() {
        let Some(script) = built.scripts.get(&index) else { continue };
        code.learn(script);
        if code.may_act(script) {
            break;
        }
        moved |= ground.is_moved_by(script);
        mentions.learn(index, script);
        let known = ground.known_news(script, |runs| runs != Runs::Unread);
        // Of what is done of it already something may be built on what it took.
        let begun =
            built.plan.steps.get(index).is_some_and(|step| built.history.begun(&step.migration).is_some());
        let is_certain = |take: &&Take| {
            known.is_none_or(|known| take.news < known)
                && (take.object.schema.is_some() || !moved)
                && mentions.finds(index, take)
        };
        if !begun {
            let takes = script.takes.iter().filter(is_certain);
            candidates.extend(takes.map(|take| Candidate { index, take }));
        }
        if known.is_some() || is_uncertain(script) {
            break;
        }
    }
    candidates
}

/// The relation as SQL, and the column.
fn asked(object: &ObjectRef) -> (String, String) {
    let (relation, column) = match (&object.table, object.kind) {
        (Some(table), ObjectKind::Column) => (table, object.name.to_string()),
        _ => (&object.name, String::new()),
    };
    let relation = match &object.schema {
        Some(schema) => quote_qualified(schema, relation),
        None => quote_ident(relation),
    };
    (relation, column)
}

fn describe(project: &Project, candidate: &Candidate<'_>, by: Vec<String>) -> Held {
    let migration = &project.migrations[candidate.index];
    let Take { object, taking, line, column, .. } = candidate.take;
    let place = places::of_name(migration, &project.vars, (*line, *column), object);
    Held {
        path: migration.path.clone(),
        line: place.line,
        column: place.column,
        source_line: place.source_line,
        object: object.to_string(),
        retyped: *taking == Taking::Type,
        by,
    }
}
