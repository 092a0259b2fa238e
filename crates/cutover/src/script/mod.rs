//! A migration file as statements and units, read as often as needed with bounded memory.
//!
//! [`Script::analyse`] reads the file once and says what it would do; [`Script::items`] streams it again for the apply.
//! Small files are kept in memory between the two. This module must not talk to a database.

mod ahead;
mod analysis;
mod control;
mod items;
mod listed;
mod looking;
mod own_schema;
mod parts;
mod reading;

use std::collections::HashMap;
use std::fmt;
use std::io;

use cutover_analysis::effects::{Context, ObjectKind, ObjectRef, Retry, Spent, Taking};
use cutover_analysis::graph::Vertex;
use cutover_analysis::sql::Splitter;

use self::ahead::Ahead;
use self::analysis::Analysis;
pub use self::items::Items;
use self::items::{Numbering, readable};
pub use self::listed::{Listed, MOST_LISTED};
pub use self::looking::{Broken, Looked, Pieces, look_through};
pub use self::parts::{Part, Parts};
use self::reading::Reading;
pub use self::reading::Texts;
use crate::migration::Migration;
use crate::plan::{UnitFailure, UnitState, UnitSummary};
use crate::secrets::Secrets;
use crate::source::{self, Opened, Vars};

/// Files up to this size keep their statements in memory between analysis and apply: 256 KiB.
const KEPT_IN_MEMORY: u64 = 256 << 10;

/// A place in a file that stops a migration before its first statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// Path relative to the project.
    pub path: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The source line, for the caret; empty where there is none to show.
    pub source_line: String,
    /// The code by which `--allow` lets it pass, where that is possible.
    pub code: Option<&'static str>,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)?;
        if !self.source_line.is_empty() {
            write!(f, "\n{}", crate::text::caret(self.line, self.column, &self.source_line))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ScriptError {}

/// One transaction of ours, or one statement outside a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Number of its first statement, counted from 0 over the statements that are sent.
    pub first: u32,
    /// How many statements.
    pub count: u32,
    /// Outside a transaction: what makes it so, and how its outcome can be learned after a crash.
    pub outside: Option<Outside>,
}

/// Why and how a statement runs outside a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// E.g. `CREATE INDEX CONCURRENTLY`.
    pub what: String,
    /// What may be done after an unknown outcome.
    pub retry: Retry,
    /// An error it ends with means that nothing of it is there.
    pub atomic: bool,
}

/// An object the file needs while it runs, with the line that needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The object.
    pub object: ObjectRef,
    /// Why, in words.
    pub why: String,
    /// Line of the statement in the text as it is sent, counted from 1.
    pub line: u32,
    /// Its column there, in characters, counted from 1.
    pub column: u32,
    /// No statement before it in the file runs code that may make it, but for scripts of extensions.
    pub certain: bool,
    /// How many of [`Script::news`] are of statements before it.
    pub news: usize,
}

/// An object that a statement creates, and that is there behind it in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// The object.
    pub object: ObjectRef,
    /// Line of the statement in the text as it is sent, counted from 1.
    pub line: u32,
    /// Its column there, in characters, counted from 1.
    pub column: u32,
    /// How many of [`Script::drops`] the statements before it in the file drop.
    pub drops: usize,
    /// It must not be there before: neither `IF NOT EXISTS` nor `OR REPLACE` is said.
    pub must_be_new: bool,
}

/// Something that is taken from what others may be built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Take {
    /// What is dropped, or gets another type.
    pub(crate) object: ObjectRef,
    /// Which of the two.
    pub(crate) taking: Taking,
    /// Line of the statement in the text as it is sent, counted from 1.
    pub(crate) line: u32,
    /// Its column there, in characters, counted from 1.
    pub(crate) column: u32,
    /// How much of the lists is of statements before it.
    pub(crate) before: Until,
    /// How much, with the statement itself.
    pub(crate) behind: Until,
    /// How many of [`Script::news`] are of statements before it.
    pub(crate) news: usize,
}

/// How many of [`Script::creates`], [`Script::alters`] and [`Script::drops`] there are up to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Until {
    pub(crate) creates: usize,
    pub(crate) alters: usize,
    pub(crate) drops: usize,
}

/// What a statement does to an object's being there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It makes it.
    Made(ObjectRef),
    /// It drops it.
    Dropped(ObjectRef),
    /// It gives it another name, or puts it into another schema.
    Renamed(ObjectRef, ObjectRef),
}

/// What a file does, found without running it.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Script {
    /// Statements that are sent (an outer BEGIN and COMMIT are not).
    pub statements: u32,
    /// Transactions and statements outside one, in order.
    pub units: Vec<Unit>,
    /// The text of each unit; empty where the whole file is one transaction, see [`Script::take_parts`].
    pub parts: Parts,
    /// Objects created, in order of first mention.
    pub creates: Vec<ObjectRef>,
    /// Objects altered.
    pub alters: Vec<ObjectRef>,
    /// Tables that new foreign keys of it point to: locked for the moment, and otherwise left as they are.
    pub refers: Vec<ObjectRef>,
    /// Objects dropped.
    pub drops: Vec<ObjectRef>,
    /// What its statements make, drop and rename, in their order; empty where they only make.
    pub(crate) course: Vec<Change>,
    /// Tables whose rows are written: their triggers run.
    pub writes: Vec<ObjectRef>,
    /// Objects needed that the file does not create itself before.
    pub needs: Vec<Need>,
    /// Relations, types, schemas and extensions that are there once it has run, in the order of its statements; as far as
    /// that can be known from outside, which may end with any extension among them.
    pub news: Vec<New>,
    /// What it drops without CASCADE, and columns that get another type, by statements before which none runs code that nobody has
    /// read or sets a search path.
    pub(crate) takes: Vec<Take>,
    /// It runs code that nobody has read, other than the scripts of the extensions among `news`.
    pub unread: bool,
    /// An object is dropped twice: the second time is not in `drops`.
    pub drops_again: bool,
    /// The same as the graph takes it, with locks and work, each with its line in the text as it is sent.
    pub vertex: Vertex,
    /// Why the effects are not fully known.
    pub opaque: Option<String>,
    /// The file sets the search path: names in it cannot be looked up from outside.
    pub sets_search_path: bool,
    /// The file may leave something behind in the session, or change what names mean in it.
    pub session_state: bool,
    /// Remarks on how it is run, e.g. that its outer transaction is replaced.
    pub notes: Vec<String>,
    /// What stops it.
    pub errors: Vec<ScriptError>,
    /// The passwords it sets, to be hidden wherever they stand.
    pub passwords: Secrets,
    /// What its first statements lock and work on, where that was asked for.
    listed: Vec<Listed>,
    /// What stops it where this role owns schema `cutover`.
    owned: Vec<(String, ScriptError)>,
    outer_transaction: bool,
    kept: Option<(Vec<ScriptItem>, Option<Vec<u8>>)>,
}

/// What the apply sends.
#[derive(Debug, Clone)]
pub enum ScriptItem {
    /// A statement with its number and unit.
    Statement {
        /// Text without the semicolon.
        text: String,
        /// Line of its first token.
        line: u32,
        /// Column of its first token, in characters.
        column: u32,
        /// It is a COPY … FROM STDIN: data follows.
        copy: bool,
        /// Which unit it belongs to.
        unit: usize,
    },
    /// Data of a COPY.
    CopyData(Vec<u8>),
    /// End of the data of a COPY.
    CopyEnd,
}

impl Script {
    /// Reads a migration and says what it would do to a database of which nothing is known. Everything that stops it is
    /// in [`Script::errors`].
    pub fn analyse(migration: &Migration, vars: &Vars) -> Self {
        Self::analyse_in(migration, vars, &mut Context::default())
    }

    /// Reads a migration and says what it would do to a database of which this is known; what it leaves behind is known
    /// from then on.
    pub fn analyse_in(migration: &Migration, vars: &Vars, known: &mut Context) -> Self {
        let reading = Reading::open(migration, vars, Texts::Kept);
        Self::analyse_read(migration, vars, known, (reading, Texts::Kept)).0
    }

    /// As [`analyse_in`](Self::analyse_in), of several migrations in their order: `each` gets the place of one in the list
    /// and a function that analyses it, and must call that once.
    pub fn analyse_all(
        migrations: &[&Migration],
        vars: &Vars,
        texts: Texts,
        mut each: impl FnMut(usize, &mut dyn FnMut(&mut Context) -> Self),
    ) {
        Ahead::of(migrations, vars, texts, |next| {
            let mut spent = Vec::new();
            for (place, migration) in migrations.iter().enumerate() {
                let mut reading = Some(next(std::mem::take(&mut spent)));
                each(place, &mut |known| {
                    let reading = reading.take().unwrap_or_else(|| Reading::open(migration, vars, texts));
                    let (script, left) = Self::analyse_read(migration, vars, known, (reading, texts));
                    spent = left;
                    script
                });
            }
        });
    }

    fn analyse_read(
        migration: &Migration,
        vars: &Vars,
        known: &mut Context,
        (reading, texts): (io::Result<Reading>, Texts),
    ) -> (Self, Vec<Spent>) {
        let mut spent = Vec::new();
        let mut analysis = Analysis::new(migration, Secrets::of(vars), known);
        analysis.is_listing = texts == Texts::Listed;
        match reading {
            Ok(mut reading) => {
                analysis.passed = reading.passed();
                if analysis.passed.is_none() {
                    analysis.kept = None;
                }
                analysis.read(&mut reading);
                spent = reading.into_spent();
            }
            Err(error) => analysis.error_in_file(1, 1, error.to_string(), None, String::new(), None),
        }
        let mut script = analysis.finish(vars);
        if !script.is_one_transaction() {
            script.take_parts(migration, vars);
        }
        (script, spent)
    }

    /// Reads the text of the units. Only needed for a file that is one transaction now and was several when it was
    /// begun: the others have it from the start.
    pub fn take_parts(&mut self, migration: &Migration, vars: &Vars) {
        let readable = self.errors.iter().all(|error| error.code.is_some());
        if !readable || self.parts.list.len() == self.units.len() {
            return;
        }
        match Parts::read(self, migration, vars) {
            Ok(mut parts) => {
                // A later statement may say of a text in an earlier one that it is a password.
                for part in &mut parts.list {
                    self.passwords.star_in(&mut part.excerpt);
                }
                self.parts = parts;
            }
            Err(why) => {
                let (path, source_line) = (migration.path.clone(), String::new());
                let error = ScriptError {
                    path,
                    line: 1,
                    column: 1,
                    message: why,
                    hint: None,
                    source_line,
                    code: None,
                };
                self.errors.push(error);
            }
        }
    }

    /// What the owner of schema `cutover` makes an error of the file: it drops, or gives away, all that this role owns.
    pub fn refuse_for_owner(&mut self, owner: &str) {
        let errors = self.owned.iter().filter(|(role, _)| role == owner).map(|(_, error)| error.clone());
        self.errors.extend(errors);
    }

    /// Streams the statements again, in order, with their units.
    pub fn items<'a>(&'a self, migration: &'a Migration, vars: &'a Vars) -> Items<'a> {
        if let Some((kept, _)) = &self.kept {
            return Items { items: Box::new(kept.iter().cloned().map(Ok)), passed: None };
        }
        match source::open(migration, vars) {
            Ok(Opened { reader, passed, .. }) => {
                let items = Numbering::new(self, Splitter::new(reader).map(readable));
                Items { items: Box::new(items), passed: Some(passed) }
            }
            Err(error) => Items { items: Box::new(std::iter::once(Err(error.to_string()))), passed: None },
        }
    }

    /// The compressed text of the migration, where it was kept since the analysis; `Err` where it must come from
    /// [`Items::text_as_read`].
    pub fn kept_text(&self) -> Option<Option<Vec<u8>>> {
        self.kept.as_ref().map(|(_, text)| text.clone())
    }

    /// The units as plans show them, each with what earlier runs made of it as `earlier` says.
    pub fn unit_summaries(
        &self,
        earlier: impl Fn(usize) -> (UnitState, Option<UnitFailure>),
    ) -> Vec<UnitSummary> {
        let summary = |(index, unit): (usize, &Unit)| {
            let (state, failure) = earlier(index);
            UnitSummary {
                transactional: unit.outside.is_none(),
                statements: unit.count,
                lines: self.parts.list.get(index).map(|part| part.lines),
                why: unit.outside.as_ref().map(|outside| outside.what.clone()),
                state,
                failure,
                finding: None,
            }
        };
        self.units.iter().enumerate().map(summary).collect()
    }

    /// Gives back the room that lists have for more.
    fn shrink(&mut self) {
        let Self { creates, alters, refers, drops, writes, needs, news, units, .. } = self;
        for list in [creates, alters, refers, drops, writes] {
            list.shrink_to_fit();
        }
        needs.shrink_to_fit();
        news.shrink_to_fit();
        units.shrink_to_fit();
    }

    /// Whether the file itself creates an object of this name.
    pub fn makes(&self, object: &ObjectRef) -> bool {
        self.creates.iter().any(|made| is_made(made, object))
    }

    /// What the file creates, by name.
    pub fn made(&self) -> Made<'_> {
        Made::of(&self.creates)
    }

    /// Whether the file is in memory, runs in one transaction of at most so many statements, and brings no data to copy.
    pub fn is_small(&self, statements: usize) -> bool {
        let plain = |item: &ScriptItem| matches!(item, ScriptItem::Statement { copy: false, .. });
        self.is_one_transaction()
            && usize::try_from(self.statements).is_ok_and(|count| count <= statements)
            && self.kept.as_ref().is_some_and(|(items, _)| items.iter().all(plain))
    }

    /// Whether the whole file runs in one transaction of ours.
    pub fn is_one_transaction(&self) -> bool {
        matches!(self.units.as_slice(), [] | [Unit { outside: None, .. }])
    }
}

/// Whether a name means an object that was made.
pub(crate) fn is_made(made: &ObjectRef, object: &ObjectRef) -> bool {
    same_name(made, object) && made.table == object.table
}

/// What a file creates, by name.
#[derive(Debug, Default)]
pub struct Made<'a>(HashMap<&'a str, Vec<&'a ObjectRef>>);

impl<'a> Made<'a> {
    /// These, by name.
    pub(crate) fn of(objects: &'a [ObjectRef]) -> Self {
        let mut made = Self::default();
        for object in objects {
            made.0.entry(object.name.as_str()).or_default().push(object);
        }
        made
    }

    /// Whether an object of this name is among it.
    pub fn has(&self, object: &ObjectRef) -> bool {
        self.called(&object.name).any(|made| is_made(made, object))
    }

    /// Whether an object belongs to a table that is among it.
    pub fn has_whole_of(&self, object: &ObjectRef) -> bool {
        let Some(table) = &object.table else { return false };
        self.called(table).any(|made| {
            matches!(made.kind, ObjectKind::Table | ObjectKind::ForeignTable) && schemas_agree(made, object)
        })
    }

    fn called(&self, name: &str) -> impl Iterator<Item = &ObjectRef> {
        self.0.get(name).into_iter().flatten().copied()
    }
}

/// Without a schema on one side the two may well be one object: what is not certain is not reported.
fn schemas_agree(one: &ObjectRef, other: &ObjectRef) -> bool {
    one.schema.is_none() || other.schema.is_none() || one.schema == other.schema
}

pub(crate) fn same_name(one: &ObjectRef, other: &ObjectRef) -> bool {
    one.name == other.name && one.kind.family() == other.kind.family() && schemas_agree(one, other)
}
