//! What two pending migrations create, or one of them twice: the second statement would fail. Found before the first.
//!
//! Only what is certain is reported. What anything in between drops, renames or moves, or may, is not; nor what stands behind
//! code that nobody has read.

use std::collections::HashMap;
use std::fmt;

use cutover_analysis::effects::{ObjectKind, ObjectRef};

use super::build::Built;
use super::code::Code;
use super::existing::may_take_along;
use super::ground::{Ground, Runs};
use crate::places;
use crate::project::Project;
use crate::report::format::count;
use crate::script::New;
use crate::text::caret;

/// More of them are not named one by one.
const NAMED: usize = 10;

/// An object that is created although an earlier statement has created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// Path of the migration that creates it again.
    pub path: String,
    /// Line of its name there, counted from 1; of the statement where it is not written out.
    pub line: u32,
    /// Column there, in characters, counted from 1.
    pub column: u32,
    /// That line, for the caret; empty where there is none to show.
    pub source_line: String,
    /// The object, as `kind name`.
    pub object: String,
    /// Where it is created first, as `path:line:column`.
    pub first: String,
    /// Both stand in the same file.
    pub same_file: bool,
}

impl Repeated {
    /// The same in one line, without what to do.
    pub fn line(&self) -> String {
        let Self { path, line, column, object, first, .. } = self;
        format!("{path}:{line}:{column}: creates {object}, which {first} creates before")
    }
}

/// Objects that pending migrations create twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTwice {
    /// The first of them, in order.
    pub first: Vec<Repeated>,
    /// How many there are in all.
    pub count: usize,
}

impl fmt::Display for CreatedTwice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for repeated in &self.first {
            writeln!(f, "{}", repeated.line())?;
            if !repeated.source_line.is_empty() {
                writeln!(f, "{}", caret(repeated.line, repeated.column, &repeated.source_line))?;
            }
        }
        let more = self.count.saturating_sub(self.first.len());
        if more > 0 {
            writeln!(f, "… and {} more", count(more, "object", "objects"))?;
        }
        let whose = if self.first.iter().all(|repeated| repeated.same_file) { "statements" } else { "files" };
        write!(
            f,
            "  hint: one of the two {whose} must do without it or name it otherwise; write IF NOT EXISTS only where both mean the \
             same thing"
        )
    }
}

/// A statement that makes something, with the place of its migration.
type Made<'a> = (usize, &'a New);

/// What was found: the second statement, and the first.
pub(super) struct Found<'a>(Vec<(Made<'a>, Made<'a>)>);

impl Found<'_> {
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// What stays true of it where what runs from the migration at `limit` on is not known, and where `is_there` says what
    /// is in the database anyhow and is named for that.
    pub(super) fn before(
        &self,
        project: &Project,
        limit: usize,
        is_there: impl Fn(&New) -> bool,
    ) -> Option<CreatedTwice> {
        let mut certain = self.0.iter().filter(|((index, new), _)| *index < limit && !is_there(new));
        let first: Vec<Repeated> =
            certain.by_ref().take(NAMED).map(|(new, made)| describe(project, *new, *made)).collect();
        let count = first.len() + certain.count();
        (count > 0).then_some(CreatedTwice { first, count })
    }
}

fn describe(project: &Project, (index, new): Made<'_>, (earlier, made): Made<'_>) -> Repeated {
    let place = |index: usize, new: &New| {
        let migration = &project.migrations[index];
        places::of_name(migration, &project.vars, (new.line, new.column), &new.object)
    };
    let (at, before) = (place(index, new), place(earlier, made));
    let path = |index: usize| &project.migrations[index].path;
    Repeated {
        path: path(index).clone(),
        line: at.line,
        column: at.column,
        source_line: at.source_line,
        object: new.object.to_string(),
        first: format!("{}:{}:{}", path(earlier), before.line, before.column),
        same_file: index == earlier,
    }
}

/// What pending migrations create twice, from the files alone: what triggers of a database may do in between is not known.
pub fn created_twice(project: &Project, built: &Built) -> Option<CreatedTwice> {
    find(built, &Ground::default()).before(project, usize::MAX, |_| false)
}

/// Looks for what pending migrations create twice.
pub(super) fn find<'a>(built: &'a Built, ground: &'a Ground) -> Found<'a> {
    let mut walk =
        Walk { ground, moved: false, made: HashMap::new(), dropped: Vec::new(), found: Vec::new() };
    let mut code = Code::default();
    for index in built.pending() {
        let Some(script) = built.scripts.get(&index) else { continue };
        code.learn(script);
        if code.may_act(script) || script.sets_search_path {
            break;
        }
        walk.moved |= ground.is_moved_by(script);
        // What it creates may be there from the parts of it that are done.
        let begun =
            built.plan.steps.get(index).is_some_and(|step| built.history.begun(&step.migration).is_some());
        let known = ground.known_news(script, |runs| runs != Runs::Unread);
        let so_far = walk.dropped.len();
        walk.dropped.extend(&script.drops);
        for new in script.news.iter().take(known.unwrap_or(usize::MAX)).filter(|_| !begun) {
            // Where one is dropped twice, the list does not say between which statements.
            let (earliest, latest) =
                if script.drops_again { (0, script.drops.len()) } else { (new.drops, new.drops) };
            walk.meet((index, new), (so_far + earliest, so_far + latest));
        }
        if known.is_some() {
            break;
        }
    }
    Found(walk.found)
}

struct Walk<'a> {
    ground: &'a Ground,
    /// Names without a schema may lead elsewhere by now.
    moved: bool,
    /// What made it last and how many were dropped by then, by kind, schema and name.
    made: HashMap<(ObjectKind, &'a str, &'a str), (Made<'a>, usize)>,
    /// What is dropped so far, and in the rest of the file.
    dropped: Vec<&'a ObjectRef>,
    found: Vec<(Made<'a>, Made<'a>)>,
}

impl<'a> Walk<'a> {
    /// A statement makes something, after so many drops at the earliest and at the latest.
    fn meet(&mut self, (index, new): Made<'a>, (earliest, latest): (usize, usize)) {
        let object = &new.object;
        let follows_path =
            object.schema.is_none() && !matches!(object.kind, ObjectKind::Schema | ObjectKind::Extension);
        let Some(schema) = self.ground.schema_of(object).filter(|_| !(self.moved && follows_path)) else {
            return;
        };
        if object.name.is_empty() {
            return;
        }
        let key = (object.kind.family(), schema, object.name.as_str());
        if let Some((made, since)) = self.made.get(&key).copied()
            && new.must_be_new
        {
            let between = self.dropped.get(since..latest).unwrap_or_default();
            // Partitions go with the table that they are of, and nobody is asked here which these are.
            let is_whole =
                |drop: &ObjectRef| drop.kind == ObjectKind::Table && made.1.object.kind == ObjectKind::Table;
            let may_be_gone = |drop: &&ObjectRef| {
                is_whole(drop) || may_take_along(drop, &made.1.object) || may_take_along(drop, object)
            };
            if !between.iter().any(may_be_gone) {
                self.found.push(((index, new), made));
                return;
            }
        }
        self.made.insert(key, ((index, new), earliest));
    }
}
