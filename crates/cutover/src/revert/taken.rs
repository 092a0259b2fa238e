//! What down files take away: what their statements say, and what they were seen to do in the rehearsal, by the numbers of
//! tables and columns and by the locks that were held. Whether there is anything to be lost in the real database is another
//! matter.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Change, What};
use cutover_analysis::effects::{Code, Destroys, ObjectKind, ObjectRef, destroys, effects};
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql::{ParseError, parse};

use super::names::Names;
use super::rehearse::Way;
use crate::migration::Migration;
use crate::project::Project;
use crate::script::{Script, ScriptItem};

/// What the statements of a down file take away, as they say.
#[derive(Default)]
pub(super) struct Taken {
    /// Rows, in words.
    pub(super) losses: Vec<String>,
    /// Names of the tables whose rows these are.
    named: BTreeSet<String>,
    /// Names of all tables whose rows it deletes or changes.
    emptied: BTreeSet<String>,
    /// Names of all tables whose rows it writes.
    pub(super) written: BTreeSet<String>,
    /// What it drops by name.
    pub(super) drops: Vec<ObjectRef>,
    /// Columns that it gives a type.
    types: Vec<ObjectRef>,
    /// Those of them that it may not have met in the rehearsal.
    pub(super) perhaps: Vec<ObjectRef>,
    /// What it makes, for a moment or for good.
    pub(super) makes: Vec<ObjectRef>,
    /// It drops with CASCADE.
    pub(super) cascades: bool,
    /// What it runs for each row.
    pub(super) runs: Code,
    /// Its statements.
    pub(super) statements: Vec<String>,
    /// What else it runs, in words.
    pub(super) unknown: Vec<String>,
}

/// What the statements of a down file take away, unless the migration has made the tables itself.
pub(super) fn taken_away(project: &Project, migration: &Migration, down: &Migration) -> Taken {
    let forth = Script::analyse(migration, &project.vars);
    let back = Script::analyse(down, &project.vars);
    let mut taken = Taken::default();
    let mut rows = BTreeSet::new();
    for item in back.items(down, &project.vars) {
        // What cannot be read is told by the rehearsal, what is not understood by the server.
        let Ok(ScriptItem::Statement { text, line, .. }) = item else { continue };
        let destroyed = match parse(&text) {
            Ok(parsed) => {
                taken.makes.extend(effects(&parsed).creates);
                destroys(&parsed)
            }
            Err(ParseError::NotAnalysable(why)) => Destroys::unread(format!("line {line}, where {why}")),
            Err(ParseError::Syntax(_)) => continue,
        };
        taken.statements.push(text);
        taken.cascades |= destroyed.cascades;
        taken.emptied.extend(destroyed.rows.iter().map(|table| table.name.to_string()));
        taken.drops.extend(destroyed.drops);
        taken.types.extend(destroyed.types);
        taken.perhaps.extend(destroyed.perhaps);
        add_code(&mut taken.runs, destroyed.runs);
        taken.unknown.extend(destroyed.unknown.into_iter().map(|why| format!("line {line}: {why}")));
        let others: Vec<_> = destroyed.rows.into_iter().filter(|table| !forth.makes(table)).collect();
        taken.named.extend(others.iter().map(|table| table.name.to_string()));
        rows.extend(others.into_iter().map(|table| match &table.schema {
            Some(schema) => format!("{schema}.{}", table.name),
            None => table.name.to_string(),
        }));
    }
    taken.losses = rows.into_iter().map(|table| format!("rows of {table}, which {DELETES}")).collect();
    taken.written = back.writes.iter().map(|table| table.name.to_string()).collect();
    taken
}

/// Adds what more is run.
pub(super) fn add_code(to: &mut Code, more: Code) {
    to.writes.extend(more.writes);
    to.reads.extend(more.reads);
    to.fills.extend(more.fills);
    to.computes.extend(more.computes);
    to.calls.extend(more.calls);
    to.operators.extend(more.operators);
    to.types.extend(more.types);
    to.more = to.more.take().or(more.more);
}

/// What a way back does to rows.
const DELETES: &str = "its way back deletes or changes";

/// What was there before a down file had run in the rehearsal, and behind it.
pub(super) struct Tables<'a> {
    pub(super) before: &'a Schema,
    /// How it was called before, and behind.
    pub(super) names: &'a Names,
    pub(super) now: &'a Names,
    /// What should be changed by it.
    pub(super) wanted: &'a [Change],
    /// What was.
    pub(super) done: &'a [Change],
}

impl Tables<'_> {
    /// What the down file has done, and not what it should: it may drop more. `written` are the tables whose rows it wrote.
    pub(super) fn seen(&self, taken: &Taken, written: &BTreeSet<String>, file: &mut Way) {
        let Self { before, names, now, done, .. } = *self;
        file.changes = done.to_vec();
        file.gone = names.gone(done, Some((now, before)), names);
        file.rebuilt = types_of(done).filter(|id| !now.has(names, id)).cloned().collect();
        file.written = names.numbered(written).map(|id| names.one(id)).collect();
        let mut touched = self.written(taken, written);
        for table in
            names.rewritten(now).filter(|id| !self.is_own(id) && !taken.named.contains(id.name.as_str()))
        {
            touched.extend(self.rewritten(taken, table));
        }
        touched.retain(|(id, _)| file.gone.iter().all(|gone| gone.then != **id));
        file.touched = touched.into_iter().map(|(id, how)| (names.one(id), how)).collect();
    }

    /// Whether it is a table that the migration has made: its rows are the migration's own.
    fn is_own(&self, id: &Id) -> bool {
        self.wanted.iter().any(|one| one.object == *id && one.what == What::Dropped)
    }

    /// Tables whose rows it deletes or changes without saying so: in functions, triggers and rules.
    fn written<'a>(&'a self, taken: &Taken, written: &'a BTreeSet<String>) -> Vec<(&'a Id, &'static str)> {
        let written: Vec<&Id> = self.names.numbered(written).collect();
        let of_whole = |id: &Id| {
            let object = self.before.get(id);
            object.is_some_and(|object| object.needs.iter().any(|needed| written.contains(&needed)))
        };
        let only_added = |id: &Id| {
            let name: &str = &id.name;
            let reacts = taken.makes.iter().any(|made| {
                matches!(made.kind, ObjectKind::Trigger | ObjectKind::Rule)
                    && made.table.as_deref() == Some(name)
            });
            taken.written.contains(name) && !taken.emptied.contains(name) && !reacts
        };
        let others = written.iter().copied().filter(|id| {
            !self.is_own(id) && !only_added(id) && !of_whole(id) && !taken.named.contains(id.name.as_str())
        });
        others.map(|id| (id, DELETES)).collect()
    }

    /// What is lost of a table whose rows have been written anew: the values of columns that were given the type that they had, or
    /// all, unless what was changed of it explains that.
    fn rewritten<'a>(&'a self, taken: &'a Taken, table: &'a Id) -> Vec<(&'a Id, &'static str)> {
        let of = |id: &Id| id.table.as_ref() == Some(&table.name) && id.schema == table.schema;
        let has_type = |id: &Id| self.done.iter().any(|one| one.object == *id && has_another(one, &["type"]));
        let types = taken.types.iter().flat_map(|meant| self.names.columns(meant));
        let types: Vec<&Id> = types.filter(|id| of(id) && !has_type(id)).collect();
        if !types.is_empty() {
            return types.into_iter().map(|id| (id, "its way back computes anew")).collect();
        }
        let explains = |one: &Change| {
            let of_column = one.object.kind == ObjectKind::Column && of(&one.object);
            of_column && (one.what == What::Created || has_another(one, &["type"]))
                || one.object == *table && has_another(one, &["unlogged", "tablespace", "access method"])
        };
        if self.done.iter().any(explains) {
            return Vec::new();
        }
        vec![(table, "its way back writes anew or throws away")]
    }
}

/// Whether something has another value in one of these.
fn has_another(change: &Change, names: &[&str]) -> bool {
    let What::Altered { attributes } = &change.what else { return false };
    attributes.iter().any(|attribute| names.contains(&attribute.name.as_str()))
}

/// The types that are changed.
pub(super) fn types_of(changes: &[Change]) -> impl Iterator<Item = &Id> {
    changes.iter().map(|change| &change.object).filter(|id| id.kind == ObjectKind::Type)
}
