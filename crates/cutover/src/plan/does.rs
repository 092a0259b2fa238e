//! What a migration does as a whole: a rename is neither something new nor something gone, what it makes for its own use and
//! takes away again is nothing, and what it drops and makes again is another one in its place.

use std::collections::HashMap;

use cutover_analysis::effects::{ObjectKind, ObjectRef, SmolStr};

use super::build::names;
use crate::script::{Change, Made, Script, same_name};

/// What a migration does, in words as a plan has them, whatever its statements do one by one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Does {
    pub(crate) creates: Vec<String>,
    /// What belongs to tables that it creates itself.
    pub(crate) parts: Vec<String>,
    pub(crate) drops: Vec<String>,
    /// `table a to b`, `column t.a to b`.
    pub(crate) renames: Vec<String>,
    /// What it drops and makes again under the same name.
    pub(crate) replaces: Vec<String>,
    /// All that is there behind it and was not before.
    pub(crate) made: Vec<ObjectRef>,
    /// What it makes, under each name that it has on the way, also where it is gone again.
    pub(crate) own: Vec<ObjectRef>,
    /// What it was called before, and behind it.
    pub(crate) renamed: Vec<(ObjectRef, ObjectRef)>,
}

impl Does {
    /// Of what a file does.
    pub(crate) fn of(script: &Script) -> Self {
        if script.course.is_empty() {
            let made = script.made();
            let (parts, creates): (Vec<&ObjectRef>, Vec<&ObjectRef>) =
                script.creates.iter().partition(|object| made.has_whole_of(object));
            let (creates, parts) = (names(&creates), names(&parts));
            return Self {
                creates,
                parts,
                made: script.creates.clone(),
                own: script.creates.clone(),
                ..Self::default()
            };
        }
        let mut things = Things::default();
        for change in &script.course {
            match change {
                Change::Made(object) => things.create(object),
                Change::Dropped(object) => things.drop(object),
                Change::Renamed(old, new) => things.rename(old, new),
            }
        }
        things.told()
    }

    /// Whether nothing that was there before goes, or has another name.
    pub(crate) fn keeps_all(&self) -> bool {
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
    /// What the file makes, under each name.
    own: Vec<ObjectRef>,
    /// Places of what belongs to tables, by the names that those have had.
    of_tables: HashMap<SmolStr, Vec<usize>>,
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
        if let Some(table) = &thing.now.table {
            self.of_tables.entry(table.clone()).or_default().push(self.all.len());
        }
        self.called.entry(thing.now.name.clone()).or_default().push(self.all.len());
        self.all.push(thing);
    }

    fn create(&mut self, object: &ObjectRef) {
        if self.place(object, true).is_none() {
            self.own.push(object.clone());
            self.push(Thing { now: object.clone(), before: None, is_there: true });
        }
    }

    fn drop(&mut self, object: &ObjectRef) {
        match self.place(object, true) {
            Some(place) => {
                if let Some(thing) = self.all.get_mut(place) {
                    thing.is_there = false;
                }
                self.parts_of(object, |part| part.is_there = false);
            }
            None if self
                .place(object, false)
                .and_then(|place| self.all.get(place)?.before.as_ref())
                .is_some() => {}
            None => {
                let before = Some(object.clone());
                self.push(Thing { now: object.clone(), before, is_there: false });
                self.parts_of(object, |part| part.is_there = false);
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
            if thing.before.is_none() {
                self.own.push(thing.now.clone());
            }
            if let Some(place) = self.place_of_name(old, new) {
                self.called.entry(new.name.clone()).or_default().push(place);
            }
        } else {
            self.push(Thing { now: new.clone(), before: Some(old.clone()), is_there: true });
        }
        self.parts_of(old, |part| {
            part.now.table = Some(new.name.clone());
            if part.now.schema.is_some() && new.schema.is_some() {
                part.now.schema.clone_from(&new.schema);
            }
        });
        if let Some(places) = self.of_tables.get(&old.name).filter(|_| old.name != new.name).cloned() {
            self.of_tables.entry(new.name.clone()).or_default().extend(places);
        }
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

    fn parts_of(&mut self, table: &ObjectRef, each: impl Fn(&mut Thing)) {
        if table.kind.family() != ObjectKind::Relation {
            return;
        }
        for place in self.of_tables.get(&table.name).into_iter().flatten() {
            let Some(thing) = self.all.get_mut(*place) else { continue };
            let of = &thing.now;
            if of.table.as_ref() == Some(&table.name)
                && (of.schema.is_none() || table.schema.is_none() || of.schema == table.schema)
            {
                each(thing);
            }
        }
    }

    fn told(self) -> Does {
        let mut does = Does { own: self.own, ..Does::default() };
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
        let made = Made::of(&does.made);
        let is_another =
            |made: &&ObjectRef| replaced.iter().any(|gone| is_same(made, gone) || is_index_of(made, gone));
        let new = does.made.iter().filter(|made| !is_another(made));
        let (parts, creates): (Vec<&ObjectRef>, Vec<&ObjectRef>) =
            new.partition(|object| made.has_whole_of(object));
        (does.creates, does.parts) = (names(&creates), names(&parts));
        does.drops = names(&dropped.iter().collect::<Vec<_>>());
        does.replaces = names(&replaced.iter().collect::<Vec<_>>());
        does.renames = does.renamed.iter().map(|(from, to)| renamed(from, to)).collect();
        does
    }
}

/// Whether an index is that of a constraint.
fn is_index_of(index: &ObjectRef, constraint: &ObjectRef) -> bool {
    index.kind == ObjectKind::Index
        && constraint.kind == ObjectKind::Constraint
        && index.name == constraint.name
        && index.table == constraint.table
}

/// `column t.a to b`; with the schema, and the table, where it is now in another one.
fn renamed(from: &ObjectRef, to: &ObjectRef) -> String {
    let stays = from.schema == to.schema && from.table == to.table;
    let new = if stays { to.name.to_string() } else { to.named() };
    let kind = if from.kind == ObjectKind::Relation { "" } else { from.kind.word() };
    format!("{kind} {} to {new}", from.named()).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::select::Selection;
    use crate::project::Project;

    fn does(sql: &str) -> Does {
        let project = Project::embedded("p", &[("V1__a.sql", sql.as_bytes())]).unwrap();
        Does::of(&Script::analyse(&project.migrations[0], &project.vars))
    }

    #[test]
    fn a_rename_is_neither_new_nor_gone() {
        let one = does(
            "ALTER TABLE public.users RENAME COLUMN fullname TO full_name; ALTER TABLE public.tags RENAME TO labels;
             ALTER TABLE labels RENAME TO words; ALTER TABLE a SET SCHEMA s;",
        );
        assert_eq!(
            one.renames,
            ["column public.users.fullname to full_name", "table public.tags to words", "table a to s.a"]
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

    /// What it is called at the end is what it makes, also where a constraint gives its name to an index.
    #[test]
    fn what_is_made_under_another_name_is_told_by_its_last_one() {
        let one = does(
            "CREATE UNIQUE INDEX x__new ON public.t (a); DROP INDEX public.y; ALTER INDEX public.x__new RENAME TO x;
             CREATE UNIQUE INDEX k__new ON public.t (b);
             ALTER TABLE public.t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE USING INDEX k__new;
             CREATE UNIQUE INDEX n__new ON public.t (c); ALTER TABLE public.t ADD CONSTRAINT n UNIQUE USING INDEX n__new;",
        );
        assert_eq!(one.creates, ["index public.x", "index public.n", "constraint public.t.n"], "{one:?}");
        assert_eq!(
            (one.drops, one.replaces),
            (vec!["index public.y".to_owned()], vec!["constraint public.t.k".to_owned()])
        );
        assert!(one.renames.is_empty());
    }

    /// Who reads a plan is not told that a column goes which only has another name.
    #[test]
    fn a_plan_says_what_is_renamed() {
        let sql = "ALTER TABLE public.o RENAME COLUMN old_name TO new_name; ALTER TABLE a RENAME TO b;
                   ALTER INDEX i RENAME TO j; ALTER TYPE t RENAME TO u; ALTER TABLE b RENAME CONSTRAINT k TO l; DROP VIEW v;";
        let project = Project::embedded("p", &[("V1__a.sql", sql.as_bytes())]).unwrap();
        let plan = crate::inspect::files_only(&project, &Selection::default()).unwrap().built.plan;
        let text = crate::report::text::plan_lines(&plan, crate::report::text::TextStyle::PLAIN);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let renames = "renames column public.o.old_name to new_name, a to b, index i to j, type t to u, constraint b.k to l; drops view v";
        assert!(words.contains(renames) && !words.contains("creates"), "{text}");
        assert_eq!(plan.steps[0].drops, ["view v"]);
        let json = serde_json::to_value(&plan).unwrap();
        assert_eq!(json["steps"][0]["renames"][0], "column public.o.old_name to new_name");
    }
}
