//! What is known of one migration for the graph: all its statements together, each thing once.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::effects::{
    Effects, Lock, LockMode, ObjectKind, ObjectRef, Reference, SmolStr, TransactionRule, Work,
};

/// What is known of one migration; all its statements together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vertex {
    /// What people call it, e.g. `003`.
    pub label: String,
    /// Objects it creates and that are there after it.
    pub creates: Vec<ObjectRef>,
    /// What it makes under names that PostgreSQL chooses, as [`Effects::chosen`] has them.
    pub chosen: Vec<ObjectRef>,
    /// Objects it drops, also by renaming.
    pub drops: Vec<ObjectRef>,
    /// Objects it changes, as far as they are not its own.
    pub alters: Vec<ObjectRef>,
    /// Objects that must be there when it runs.
    pub needs: Vec<Reference>,
    /// Objects that its functions will need when they run.
    pub late: Vec<Reference>,
    /// What its functions make when they run.
    pub late_creates: Vec<ObjectRef>,
    /// Names that its triggers give the rows of a statement; any function may be theirs.
    pub transitions: Vec<SmolStr>,
    /// Why `late` may not be all, each with the line of its statement.
    pub unseen: Vec<(String, u32)>,
    /// Schemas that it looks for unqualified names in.
    pub searched: Vec<String>,
    /// Bodies of the functions to come are not looked into by the server: it has set `check_function_bodies`.
    pub unchecked: bool,
    /// Relations whose rows it reads.
    pub reads: Vec<ObjectRef>,
    /// Relations whose rows it writes.
    pub writes: Vec<ObjectRef>,
    /// Locks on relations that are not its own.
    pub locks: Vec<VertexLock>,
    /// What else it locks that cannot be named.
    pub more_locks: Vec<String>,
    /// Work on relations that are not its own, each with the line of its statement.
    pub work: Vec<(Work, u32)>,
    /// It takes locks that cannot be named, or does what is not fully known: nothing runs beside it.
    pub alone: Option<String>,
    /// One of its statements names nothing that it works on, and is no setting: what it is good for is not known by name.
    pub unnamed: bool,
    /// Vertices it declares to need.
    pub requires: Vec<usize>,
    seen: Seen,
}

impl Vertex {
    /// A migration that does nothing yet.
    pub fn called(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// Adds what the next statement of the migration does; it stands on this line of the file.
    pub fn add(&mut self, effects: &Effects, line: u32) {
        self.unnamed |= names_nothing(effects);
        let mut seen = std::mem::take(&mut self.seen);
        self.add_bodies(effects, &mut seen, line);
        let own = std::mem::take(&mut self.creates);
        let is_own = |seen: &Seen, object: &ObjectRef| {
            seen.find(List::Creates, (object, None), &own, |made| is_same(made, object)).is_some()
        };
        // The server looks for the types in a body when it checks that.
        let checked = if self.unchecked { &[][..] } else { &effects.checked };
        for reference in effects.references.iter().chain(checked) {
            let Reference { object, by, .. } = reference;
            if !is_own(&seen, object) {
                let same = |known: &Reference| known.object == *object && known.by == *by;
                let new = || reference.clone();
                seen.push_new(List::Needs, (object, by.as_deref()), &mut self.needs, new, same);
            }
        }
        for lock in &effects.locks {
            if is_own(&seen, &lock.relation) {
                continue;
            }
            let referred = lock.mode == LockMode::ShareRowExclusive
                && effects.refers.iter().any(|table| is_same(table, &lock.relation));
            self.add_lock(&mut seen, lock, referred, line);
        }
        for object in &effects.alters {
            if !is_own(&seen, object) {
                seen.push_object(List::Alters, &mut self.alters, object);
            }
        }
        for work in &effects.work {
            if !is_own(&seen, &work.relation) {
                self.add_work(&mut seen, work, line);
            }
        }
        self.creates = own;
        for (list, from, to) in [
            (List::Creates, &effects.creates, &mut self.creates),
            (List::Chosen, &effects.chosen, &mut self.chosen),
            (List::Reads, &effects.reads, &mut self.reads),
            (List::Writes, &effects.writes, &mut self.writes),
            (List::Drops, &effects.drops, &mut self.drops),
        ] {
            for object in from {
                seen.push_object(list, to, object);
            }
        }
        self.seen = seen;
        for (from, to) in
            [(&effects.searched_schemas, &mut self.searched), (&effects.more_locks, &mut self.more_locks)]
        {
            for text in from {
                if !to.contains(text) {
                    to.push(text.clone());
                }
            }
        }
        if self.alone.is_none() {
            self.alone = effects.opaque.clone().or_else(|| match effects.transaction {
                TransactionRule::Forbidden { what } => Some(format!("{what} runs alone")),
                _ => effects.more_locks.first().map(|more| format!("it also locks {more}")),
            });
        }
    }

    /// What the bodies of its functions need.
    fn add_bodies(&mut self, effects: &Effects, seen: &mut Seen, line: u32) {
        for setting in effects.settings.iter().filter(|setting| setting.name == "check_function_bodies") {
            let on = ["on", "true", "yes", "1"];
            let value = setting.values.as_deref().unwrap_or_default().first();
            self.unchecked = !value.is_some_and(|value| on.contains(&value.to_ascii_lowercase().as_str()));
        }
        for object in &effects.late_creates {
            seen.push_object(List::LateCreates, &mut self.late_creates, object);
        }
        for name in &effects.transitions {
            if !self.transitions.contains(name) {
                self.transitions.push(name.clone());
            }
        }
        if let Some(why) = &effects.late_opaque
            && !self.unseen.iter().any(|(known, _)| known == why)
        {
            self.unseen.push((why.clone(), line));
        }
        let unchecked = if self.unchecked { &effects.checked } else { &[][..] };
        for reference in effects.late.iter().chain(unchecked) {
            let new = || reference.clone();
            let same = |known: &Reference| known == reference;
            seen.push_new(List::Late, (&reference.object, None), &mut self.late, new, same);
        }
    }

    fn add_lock(&mut self, seen: &mut Seen, lock: &Lock, referred: bool, line: u32) {
        let Lock { relation, mode } = lock;
        let new = || VertexLock { relation: relation.clone(), mode: *mode, first: *mode, line, referred };
        let same = |known: &VertexLock| known.relation == *relation;
        if let Some(at) = seen.push_new(List::Locks, (relation, None), &mut self.locks, new, same) {
            let known = &mut self.locks[at];
            if *mode > known.mode {
                (known.mode, known.line) = (*mode, line);
            }
            known.referred &= referred;
        }
    }

    fn add_work(&mut self, seen: &mut Seen, work: &Work, line: u32) {
        let same = |(known, _): &(Work, u32)| known.relation == work.relation && known.kind == work.kind;
        let new = || (work.clone(), line);
        let known = seen.push_new(List::Work, (&work.relation, None), &mut self.work, new, same);
        if let Some(known) = known.map(|at| &mut self.work[at])
            && work.sure
            && !known.0.sure
        {
            *known = (work.clone(), line);
        }
    }

    /// No statement of the migration comes any more: frees what was kept for more of them.
    pub fn complete(&mut self) {
        self.seen = Seen::default();
        for list in [
            &mut self.creates,
            &mut self.chosen,
            &mut self.late_creates,
            &mut self.drops,
            &mut self.alters,
            &mut self.reads,
            &mut self.writes,
        ] {
            list.shrink_to_fit();
        }
        self.needs.shrink_to_fit();
        self.late.shrink_to_fit();
        self.locks.shrink_to_fit();
        self.work.shrink_to_fit();
    }
}

/// Where in the lists of a vertex an object first stands, so that nobody looks through all of them for each statement of a
/// long file.
#[derive(Debug, Clone, Default)]
struct Seen(FxHashMap<u64, u32>);

/// What is seen follows from the lists.
impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Seen {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum List {
    Creates,
    Needs,
    Locks,
    Alters,
    Work,
    Reads,
    Writes,
    Drops,
    Late,
    Chosen,
    LateCreates,
}

impl Seen {
    /// Equal for objects that may be one, see [`is_same`], within a list.
    fn key(list: List, (object, by): Sought<'_>) -> u64 {
        let mut hasher = FxHasher::default();
        let family = object.kind.family();
        let table = object.table.as_deref().filter(|_| family != ObjectKind::Relation);
        (list, family, object.name.as_str(), table, by).hash(&mut hasher);
        hasher.finish()
    }

    fn find<T>(&self, list: List, sought: Sought<'_>, all: &[T], same: impl Fn(&T) -> bool) -> Option<usize> {
        let first = usize::try_from(*self.0.get(&Self::key(list, sought))?).ok()?;
        Some(first + all.get(first..)?.iter().position(same)?)
    }

    /// Adds what is not there yet; gives the place of what is.
    fn push_new<T>(
        &mut self,
        list: List,
        sought: Sought<'_>,
        all: &mut Vec<T>,
        new: impl FnOnce() -> T,
        same: impl Fn(&T) -> bool,
    ) -> Option<usize> {
        let end = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let first = *self.0.entry(Self::key(list, sought)).or_insert(end);
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let known = all.get(first..).and_then(|rest| rest.iter().position(same));
        if known.is_none() {
            all.push(new());
        }
        known.map(|at| first + at)
    }

    fn push_object(&mut self, list: List, all: &mut Vec<ObjectRef>, object: &ObjectRef) {
        self.push_new(list, (object, None), all, || object.clone(), |known| known == object);
    }
}

/// An object, and the part of the statement that needs it.
type Sought<'a> = (&'a ObjectRef, Option<&'a str>);

fn names_nothing(effects: &Effects) -> bool {
    let Effects { creates, alters, refers, drops, writes, reads, references, locks, settings, .. } = effects;
    [creates, alters, refers, drops, writes, reads].into_iter().all(Vec::is_empty)
        && references.is_empty()
        && locks.is_empty()
        && settings.is_empty()
}

/// Whether two references certainly mean one object of a migration.
fn is_same(made: &ObjectRef, other: &ObjectRef) -> bool {
    made.kind.family() == other.kind.family()
        && made.name == other.name
        && (made.schema == other.schema || made.schema.is_none() || other.schema.is_none())
        && (made.kind.family() == ObjectKind::Relation || made.table == other.table)
}

/// A lock of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexLock {
    /// The relation.
    pub relation: ObjectRef,
    /// The strongest mode it is taken in.
    pub mode: LockMode,
    /// The mode it is first taken in.
    pub first: LockMode,
    /// Line of the statement that takes it in the strongest mode.
    pub line: u32,
    /// It is taken only because a new foreign key points there: the relation stays what it is.
    pub referred: bool,
}
