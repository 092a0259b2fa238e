//! What a migration does as a whole: a rename is neither something new nor something gone, what it makes for its own use and
//! takes away again is nothing, and what it drops and makes again is another one in its place.

use std::collections::HashMap;

use cutover_analysis::effects::{ObjectKind, ObjectRef, SmolStr, effects, only_renames};
use cutover_analysis::schema::Id;
use cutover_analysis::sql::parse;

use crate::inspect::Inspection;
use crate::migration::Migration;
use crate::plan::Step;
use crate::plan::build::names;
use crate::project::{Project, Vars};
use crate::script::{Script, ScriptItem, same_name};

/// What a migration does, in words as a plan has them, where it differs from what its statements do one by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Does {
    pub(super) creates: Vec<String>,
    /// What belongs to tables that it creates itself.
    pub(super) parts: Vec<String>,
    pub(super) drops: Vec<String>,
    /// `table a to b`.
    pub(super) renames: Vec<String>,
    /// What it drops and makes again under the same name.
    pub(super) replaces: Vec<String>,
    /// All that is there behind it and was not before.
    made: Vec<ObjectRef>,
    /// What it was called before, and behind it.
    renamed: Vec<(ObjectRef, ObjectRef)>,
}

/// Where a table comes from.
pub(super) struct Origin {
    /// The place of the migration that creates it.
    pub(super) created: Option<usize>,
    /// The places of those that gave it another name, each with the name before: the first of them first.
    pub(super) renamed: Vec<(usize, Id)>,
}

/// What each migration does, in their order.
pub(super) fn all(project: &Project, files: &Inspection) -> Vec<Does> {
    let steps = files.built.plan.steps.iter().zip(&project.migrations).enumerate();
    steps
        .map(|(place, (step, migration))| {
            Does::of(step, migration, files.built.scripts.get(&place), &project.vars)
        })
        .collect()
}

/// The last migration that creates a table of this name, and what has renamed it since.
pub(super) fn origin(all: &[Does], table: &Id) -> Origin {
    let (mut id, mut renamed) = (table.clone(), Vec::new());
    for (place, does) in all.iter().enumerate().rev() {
        if let Some((from, _)) = does.renamed.iter().find(|(_, to)| is_table(to, &id)) {
            id.name = from.name.clone();
            id.schema = from.schema.clone().or(id.schema);
            renamed.insert(0, (place, id.clone()));
        } else if does.made.iter().any(|made| is_table(made, &id)) {
            return Origin { created: Some(place), renamed };
        }
    }
    Origin { created: None, renamed }
}

fn is_table(object: &ObjectRef, table: &Id) -> bool {
    object.kind.family() == ObjectKind::Relation
        && object.name == table.name
        && object.schema.as_ref().is_none_or(|schema| Some(schema) == table.schema.as_ref())
}

impl Does {
    /// What it changes of what was there before it. An index that it has made itself and that becomes a constraint's is none of that.
    pub(super) fn changes(step: &Step) -> Vec<&str> {
        let is_own = |object: &&String| !step.creates.contains(object) && !step.parts.contains(object);
        step.alters.iter().filter(is_own).map(String::as_str).collect()
    }

    fn of(step: &Step, migration: &Migration, script: Option<&Script>, vars: &Vars) -> Self {
        // Without a drop nothing is renamed and nothing is for a while.
        if step.drops.is_empty() {
            return Self {
                creates: step.creates.clone(),
                parts: step.parts.clone(),
                made: script.map(|script| script.creates.clone()).unwrap_or_default(),
                ..Self::default()
            };
        }
        let mut things = Things::default();
        let script = Script::analyse(migration, vars);
        for item in script.items(migration, vars) {
            let Ok(ScriptItem::Statement { text, .. }) = item else { continue };
            let Ok(parsed) = parse(&text) else { continue };
            let effects = effects(&parsed);
            match (only_renames(&parsed), effects.drops.as_slice(), effects.creates.as_slice()) {
                (true, [old], [new]) => things.rename(old, new),
                (_, drops, creates) => {
                    for object in drops {
                        things.drop(object);
                    }
                    for object in creates {
                        things.create(object);
                    }
                }
            }
        }
        things.told()
    }

    /// Whether nothing that was there before goes, or has another name.
    pub(super) fn keeps_all(&self) -> bool {
        self.drops.is_empty() && self.renames.is_empty() && self.replaces.is_empty()
    }
}

/// An object that statements speak of.
struct Thing {
    /// What it is called now, or was when it went.
    now: ObjectRef,
    /// What it was called before the file, where it was there.
    before: Option<ObjectRef>,
    is_there: bool,
}

/// What the statements of a file have done until now.
#[derive(Default)]
struct Things {
    all: Vec<Thing>,
    /// Places by the names of now.
    called: HashMap<SmolStr, Vec<usize>>,
}

/// Whether both name one object. What an index is of need not be said.
fn is_same(one: &ObjectRef, other: &ObjectRef) -> bool {
    same_name(one, other) && (!one.kind.is_part_of_a_table() || one.table == other.table)
}

impl Things {
    fn place(&self, object: &ObjectRef, is_there: bool) -> Option<usize> {
        let is_it = |place: &usize| {
            self.all
                .get(*place)
                .is_some_and(|thing| thing.is_there == is_there && is_same(&thing.now, object))
        };
        self.called.get(&object.name)?.iter().copied().find(is_it)
    }

    fn push(&mut self, thing: Thing) {
        self.called.entry(thing.now.name.clone()).or_default().push(self.all.len());
        self.all.push(thing);
    }

    fn create(&mut self, object: &ObjectRef) {
        if self.place(object, true).is_none() {
            self.push(Thing { now: object.clone(), before: None, is_there: true });
        }
    }

    fn drop(&mut self, object: &ObjectRef) {
        match self.place(object, true) {
            Some(place) => {
                if let Some(thing) = self.all.get_mut(place) {
                    thing.is_there = false;
                }
                self.parts_of(object).for_each(|part| part.is_there = false);
            }
            None if self
                .place(object, false)
                .and_then(|place| self.all.get(place)?.before.as_ref())
                .is_some() => {}
            None => {
                let before = Some(object.clone());
                self.push(Thing { now: object.clone(), before, is_there: false });
                self.parts_of(object).for_each(|part| part.is_there = false);
            }
        }
    }

    fn rename(&mut self, old: &ObjectRef, new: &ObjectRef) {
        if let Some(thing) = self.place(old, true).and_then(|place| self.all.get_mut(place)) {
            thing.now = ObjectRef {
                kind: thing.now.kind,
                table: thing.now.table.clone(),
                schema: new.schema.clone().or_else(|| thing.now.schema.clone()),
                ..new.clone()
            };
            if let Some(place) = self.place_of_name(old, new) {
                self.called.entry(new.name.clone()).or_default().push(place);
            }
        } else {
            self.push(Thing { now: new.clone(), before: Some(old.clone()), is_there: true });
        }
        self.parts_of(old).for_each(|part| {
            part.now.table = Some(new.name.clone());
            if part.now.schema.is_some() && new.schema.is_some() {
                part.now.schema.clone_from(&new.schema);
            }
        });
    }

    /// Takes the place of what has just been given another name from where the old one led to.
    fn place_of_name(&mut self, old: &ObjectRef, new: &ObjectRef) -> Option<usize> {
        let all = &self.all;
        let places = self.called.get_mut(&old.name)?;
        let at = places.iter().position(|place| {
            all.get(*place).is_some_and(|thing| thing.is_there && is_same(&thing.now, new))
        })?;
        Some(places.swap_remove(at))
    }

    fn parts_of<'a>(&'a mut self, table: &'a ObjectRef) -> impl Iterator<Item = &'a mut Thing> {
        let is_whole = table.kind.family() == ObjectKind::Relation;
        self.all.iter_mut().filter(move |thing| {
            let of = &thing.now;
            is_whole
                && of.table.as_ref() == Some(&table.name)
                && (of.schema.is_none() || table.schema.is_none() || of.schema == table.schema)
        })
    }

    fn told(self) -> Does {
        let mut does = Does::default();
        let mut gone: Vec<ObjectRef> = Vec::new();
        for thing in self.all {
            match (thing.before, thing.is_there) {
                (None, true) => does.made.push(thing.now),
                (Some(before), true)
                    if !is_same(&before, &thing.now) || before.schema != thing.now.schema =>
                {
                    does.renamed.push((before, thing.now));
                }
                (Some(before), false) => gone.push(before),
                _ => {}
            }
        }
        let (replaced, dropped): (Vec<_>, Vec<_>) =
            gone.into_iter().partition(|gone| does.made.iter().any(|made| is_same(made, gone)));
        let mut script = Script::default();
        script.creates.clone_from(&does.made);
        let made = script.made();
        let new = does.made.iter().filter(|made| !replaced.iter().any(|gone| is_same(made, gone)));
        let (parts, creates): (Vec<&ObjectRef>, Vec<&ObjectRef>) =
            new.partition(|object| made.has_whole_of(object));
        (does.creates, does.parts) = (names(&creates), names(&parts));
        does.drops = names(&dropped.iter().collect::<Vec<_>>());
        does.replaces = names(&replaced.iter().collect::<Vec<_>>());
        does.renames = does.renamed.iter().map(|(from, to)| renamed(from, to)).collect();
        does
    }
}

fn renamed(from: &ObjectRef, to: &ObjectRef) -> String {
    let name = |object: &ObjectRef| {
        let text = object.to_string();
        text.strip_prefix(object.kind.word()).unwrap_or(&text).trim_start().to_owned()
    };
    let kind = if from.kind == ObjectKind::Relation { "" } else { from.kind.word() };
    format!("{kind} {} to {}", name(from), name(to)).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn does(sql: &str) -> Does {
        let project = Project::embedded("p", &[("V1__a.sql", sql.as_bytes())]).unwrap();
        let files = crate::inspect::files_only(&project, &crate::plan::select::Selection::default()).unwrap();
        all(&project, &files).remove(0)
    }

    #[test]
    fn a_rename_is_neither_new_nor_gone() {
        let one = does(
            "ALTER TABLE public.users RENAME COLUMN fullname TO full_name; ALTER TABLE public.tags RENAME TO labels;
             ALTER TABLE labels RENAME TO words; ALTER TABLE a SET SCHEMA s;",
        );
        assert_eq!(
            one.renames,
            [
                "column public.users.fullname to public.users.full_name",
                "table public.tags to public.words",
                "table a to s.a"
            ]
        );
        assert!(one.creates.is_empty() && one.drops.is_empty() && one.replaces.is_empty(), "{one:?}");
    }

    #[test]
    fn what_is_made_for_a_while_is_nothing_and_what_is_made_again_is_another() {
        let one = does(
            "ALTER TABLE t ADD CONSTRAINT n CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t ALTER a SET NOT NULL;
             ALTER TABLE t DROP CONSTRAINT n; ALTER TABLE t DROP CONSTRAINT f;
             ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u ON DELETE CASCADE;
             CREATE INDEX i_new ON t (a); DROP INDEX i; ALTER INDEX i_new RENAME TO i;
             CREATE TABLE x_new (a int PRIMARY KEY); ALTER TABLE x_new RENAME TO x; CREATE INDEX y ON x (a);
             CREATE TABLE scratch (a int); CREATE INDEX z ON scratch (a); DROP TABLE scratch; DROP VIEW v;",
        );
        assert_eq!(one.replaces, ["constraint t.f", "index i"]);
        assert_eq!((one.creates, one.drops), (vec!["table x".to_owned()], vec!["view v".to_owned()]));
        assert!(
            one.parts.contains(&"index y".to_owned())
                && one.parts.iter().all(|part| !part.contains("scratch"))
        );
    }
}
