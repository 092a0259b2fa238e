//! What depends on what among migrations, with the reason of each edge; which may run side by side.
//!
//! Pure: vertices come from whoever analysed the migrations, in the order they are applied in. The graph explains and
//! checks that order; it never changes it.

mod conflicts;
mod cycles;
mod index;
mod render;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::effects::{Effects, Lock, LockMode, ObjectKind, ObjectRef, Reference, TransactionRule, Work};

pub use conflicts::{Conflict, Conflicts};

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
    pub fn add(&mut self, mut effects: Effects, line: u32) {
        self.unnamed |= names_nothing(&effects);
        let mut seen = std::mem::take(&mut self.seen);
        self.add_bodies(&mut effects, &mut seen, line);
        let Effects {
            creates, chosen, alters, writes, refers, drops, references, reads, locks, work, ..
        } = effects;
        let own = std::mem::take(&mut self.creates);
        let is_own = |seen: &Seen, object: &ObjectRef| {
            seen.find(List::Creates, object, None, &own, |made| is_same(made, object)).is_some()
        };
        for reference in references {
            if is_own(&seen, &reference.object) {
                continue;
            }
            let (object, by) = (reference.object.clone(), reference.by.clone());
            seen.push_new(List::Needs, &object, by.as_deref(), &mut self.needs, reference, |known| {
                known.object == object && known.by == by
            });
        }
        for lock in locks {
            if is_own(&seen, &lock.relation) {
                continue;
            }
            let referred = refers.iter().any(|table| is_same(table, &lock.relation))
                && lock.mode == LockMode::ShareRowExclusive;
            self.add_lock(&mut seen, lock, referred, line);
        }
        for object in alters {
            if !is_own(&seen, &object) {
                seen.push_object(List::Alters, &mut self.alters, object);
            }
        }
        for work in work {
            if !is_own(&seen, &work.relation) {
                self.add_work(&mut seen, work, line);
            }
        }
        self.creates = own;
        for (list, from, to) in [
            (List::Creates, creates, &mut self.creates),
            (List::Chosen, chosen, &mut self.chosen),
            (List::Reads, reads, &mut self.reads),
            (List::Writes, writes, &mut self.writes),
            (List::Drops, drops, &mut self.drops),
        ] {
            for object in from {
                seen.push_object(list, to, object);
            }
        }
        for schema in effects.searched_schemas {
            if !self.searched.contains(&schema) {
                self.searched.push(schema);
            }
        }
        self.seen = seen;
        let alone = effects.opaque.or_else(|| match effects.transaction {
            TransactionRule::Forbidden { what } => Some(format!("{what} runs alone")),
            _ => effects.more_locks.first().map(|more| format!("it also locks {more}")),
        });
        for more in effects.more_locks {
            if !self.more_locks.contains(&more) {
                self.more_locks.push(more);
            }
        }
        if let Some(why) = alone {
            self.alone.get_or_insert(why);
        }
    }

    /// What the bodies of its functions need, and what the server looks for when it checks them.
    fn add_bodies(&mut self, effects: &mut Effects, seen: &mut Seen, line: u32) {
        for setting in effects.settings.iter().filter(|setting| setting.name == "check_function_bodies") {
            let on = ["on", "true", "yes", "1"];
            let value = setting.values.as_deref().unwrap_or_default().first();
            self.unchecked = !value.is_some_and(|value| on.contains(&value.to_ascii_lowercase().as_str()));
        }
        let looked_for = if self.unchecked { &mut effects.late } else { &mut effects.references };
        looked_for.append(&mut effects.checked);
        for object in effects.late_creates.drain(..) {
            seen.push_object(List::LateCreates, &mut self.late_creates, object);
        }
        if let Some(why) = effects.late_opaque.take()
            && !self.unseen.iter().any(|(known, _)| *known == why)
        {
            self.unseen.push((why, line));
        }
        for reference in effects.late.drain(..) {
            let (object, new) = (reference.object.clone(), reference.clone());
            seen.push_new(List::Late, &object, None, &mut self.late, new, |known| *known == reference);
        }
    }

    fn add_lock(&mut self, seen: &mut Seen, lock: Lock, referred: bool, line: u32) {
        let Lock { relation, mode } = lock;
        let new = VertexLock { relation: relation.clone(), mode, first: mode, line, referred };
        let same = |known: &VertexLock| known.relation == relation;
        if let Some(at) = seen.push_new(List::Locks, &relation, None, &mut self.locks, new, same) {
            let known = &mut self.locks[at];
            if mode > known.mode {
                (known.mode, known.line) = (mode, line);
            }
            known.referred &= referred;
        }
    }

    fn add_work(&mut self, seen: &mut Seen, work: Work, line: u32) {
        let (relation, kind) = (work.relation.clone(), work.kind);
        let same = |(known, _): &(Work, u32)| known.relation == relation && known.kind == kind;
        let new = (work.clone(), line);
        let known = seen.push_new(List::Work, &relation, None, &mut self.work, new, same);
        if let Some(known) = known.map(|at| &mut self.work[at])
            && work.sure
            && !known.0.sure
        {
            *known = (work, line);
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
struct Seen(HashMap<u64, u32>);

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
    fn key(list: List, object: &ObjectRef, by: Option<&str>) -> u64 {
        let mut hasher = DefaultHasher::new();
        let family = object.kind.family();
        let table = object.table.as_deref().filter(|_| family != ObjectKind::Relation);
        (list, family, object.name.as_str(), table, by).hash(&mut hasher);
        hasher.finish()
    }

    fn find<T>(
        &self,
        list: List,
        object: &ObjectRef,
        by: Option<&str>,
        all: &[T],
        same: impl Fn(&T) -> bool,
    ) -> Option<usize> {
        let first = usize::try_from(*self.0.get(&Self::key(list, object, by))?).ok()?;
        Some(first + all.get(first..)?.iter().position(same)?)
    }

    /// Adds what is not there yet; gives the place of what is.
    fn push_new<T>(
        &mut self,
        list: List,
        object: &ObjectRef,
        by: Option<&str>,
        all: &mut Vec<T>,
        new: T,
        same: impl Fn(&T) -> bool,
    ) -> Option<usize> {
        let key = Self::key(list, object, by);
        let first = *self.0.entry(key).or_insert(u32::try_from(all.len()).unwrap_or(u32::MAX));
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let known = all.get(first..).and_then(|rest| rest.iter().position(same));
        if known.is_none() {
            all.push(new);
        }
        known.map(|at| first + at)
    }

    fn push_object(&mut self, list: List, all: &mut Vec<ObjectRef>, object: ObjectRef) {
        let key = Self::key(list, &object, None);
        let first = *self.0.entry(key).or_insert(u32::try_from(all.len()).unwrap_or(u32::MAX));
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        if !all.get(first..).is_some_and(|rest| rest.contains(&object)) {
            all.push(object);
        }
    }
}

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

/// Why a migration comes after another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// It needs what the other creates.
    Object {
        /// What it is needed for, in words: `foreign key messages.conversation_id → conversations`.
        words: String,
        /// The object.
        object: ObjectRef,
    },
    /// `requires` says so.
    Declared,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object { words, .. } => f.write_str(words),
            Self::Declared => f.write_str("declared by requires"),
        }
    }
}

/// `from` needs `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Index of the migration that needs.
    pub from: usize,
    /// Index of the one that is needed. It is larger where what is needed comes too late.
    pub to: usize,
    /// All reasons, without repetitions.
    pub why: Vec<Why>,
}

/// Whether what a function will need is there when it may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LateFate {
    /// A later migration creates it.
    Later(usize),
    /// No migration creates it: the database has it already, or calls will fail.
    NoMigration,
}

/// A name in a function's body that no earlier migration provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The migration that makes the function.
    pub from: usize,
    /// What is named, and where.
    pub reference: Reference,
    /// What becomes of it.
    pub fate: LateFate,
}

/// What depends on what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// Edges, by `from`, then `to`.
    pub edges: Vec<Edge>,
    /// Names in bodies that nothing before satisfies.
    pub late: Vec<Late>,
    /// Needs that no migration satisfies: the database must have them.
    pub outside: Vec<(usize, Reference)>,
    /// Cycles, each as the vertices along it; an edge leads from each to the next, and from the last to the first.
    pub cycles: Vec<Vec<usize>>,
}

impl Graph {
    /// Finds the edges. Time is about proportional to the number of names.
    pub fn of<V: Borrow<Vertex>>(vertices: &[V]) -> Self {
        let vertices: Vec<&Vertex> = vertices.iter().map(Borrow::borrow).collect();
        let makers = index::Makers::of(&vertices);
        // What a name that PostgreSQL chose is in the end is not always known.
        let chooses = vertices.iter().any(|vertex| !vertex.chosen.is_empty());
        let made_by_bodies: BTreeSet<(ObjectKind, &str)> = vertices
            .iter()
            .flat_map(|vertex| &vertex.late_creates)
            .map(|object| (object.kind.family(), object.name.as_str()))
            .collect();
        let mut graph = Self::default();
        for (from, vertex) in vertices.iter().copied().enumerate() {
            let mut found: BTreeMap<usize, Vec<Why>> = BTreeMap::new();
            let mut outside = Vec::new();
            for reference in &vertex.needs {
                let Some(to) = makers.maker_for(from, &reference.object) else {
                    outside.push(reference);
                    continue;
                };
                // That a column of a table is meant adds nothing to that the table is.
                let is_part = reference.object.kind == ObjectKind::Column && found.contains_key(&to);
                if to != from && (!is_part || makers.makes(to, &reference.object)) {
                    let why = Why::Object { words: reference.words(), object: reference.object.clone() };
                    push_new(found.entry(to).or_insert_with(|| Vec::with_capacity(1)), why);
                }
            }
            for (schema, why) in schemas_of(vertex, &outside) {
                if let Some(to) = makers.maker_for(from, &schema).filter(|to| *to != from) {
                    found.entry(to).or_insert_with(|| vec![why]);
                }
            }
            for (schema, why) in searched(vertex) {
                if let Some(to) = makers.maker_for(from, &schema).filter(|to| *to < from) {
                    found.entry(to).or_insert_with(|| vec![why]);
                }
            }
            for &to in vertex.requires.iter().filter(|to| **to != from) {
                push_new(found.entry(to).or_default(), Why::Declared);
            }
            let unknown = |object: &ObjectRef| {
                chooses && may_be_chosen(object) || is_in_renamed_schema(object, from, &vertices, &makers)
            };
            let outside = outside
                .into_iter()
                .filter(|reference| is_worth_naming(&reference.object) && !unknown(&reference.object));
            graph.outside.extend(outside.map(|reference| (from, reference.clone())));
            graph.edges.extend(found.into_iter().map(|(to, why)| Edge { from, to, why }));
            let of_bodies =
                |object: &ObjectRef| made_by_bodies.contains(&(object.kind.family(), object.name.as_str()));
            graph.late.extend(late_of(from, vertex, &makers, &of_bodies));
        }
        graph.cycles = cycles::find(vertices.len(), &graph.edges);
        graph
    }

    /// What a migration needs directly.
    pub fn needed_by(&self, from: usize) -> impl Iterator<Item = &Edge> {
        let start = self.edges.partition_point(|edge| edge.from < from);
        self.edges.get(start..).unwrap_or_default().iter().take_while(move |edge| edge.from == from)
    }

    /// Migrations in waves: each needs only what earlier waves have, and within a wave the order of the migrations is
    /// kept. What is in a cycle, or needs what comes too late, is put where the order has it.
    pub fn waves(&self, vertices: usize) -> Vec<Vec<usize>> {
        let mut wave = vec![0_usize; vertices];
        for from in 0..vertices {
            let before = self.needed_by(from).filter(|edge| edge.to < from);
            wave[from] = before.map(|edge| wave[edge.to] + 1).max().unwrap_or(0);
        }
        let mut waves = vec![Vec::new(); wave.iter().max().map_or(0, |last| last + 1)];
        for (vertex, wave) in wave.into_iter().enumerate() {
            waves[wave].push(vertex);
        }
        waves
    }
}

fn late_of(
    from: usize,
    vertex: &Vertex,
    makers: &index::Makers<'_>,
    made_by_bodies: &dyn Fn(&ObjectRef) -> bool,
) -> Vec<Late> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for reference in vertex.late.iter().filter(|reference| seen.insert(reference.object.clone())) {
        let fate = match makers.maker_for(from, &reference.object) {
            Some(to) if to > from => LateFate::Later(to),
            None if is_worth_naming(&reference.object) && !made_by_bodies(&reference.object) => {
                LateFate::NoMigration
            }
            _ => continue,
        };
        found.push(Late { from, reference: reference.clone(), fate });
    }
    found
}

/// Schemas that what a migration makes, changes, or has from no migration is in, each once.
fn schemas_of(vertex: &Vertex, outside: &[&Reference]) -> Vec<(ObjectRef, Why)> {
    let objects = vertex
        .creates
        .iter()
        .map(|object| (object, "made in it"))
        .chain(vertex.alters.iter().map(|object| (object, "in it")))
        .chain(outside.iter().map(|reference| (&reference.object, "in it")));
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (object, how) in objects.filter(|(object, _)| !object.is_temporary() && !object.name.is_empty()) {
        let Some(schema) = object.schema.as_deref().filter(|schema| seen.insert(*schema)) else { continue };
        found.push(schema_for(schema, &format!("{object} {how}")));
    }
    found
}

/// Schemas that a migration looks for unqualified names in. They need not be there.
fn searched(vertex: &Vertex) -> impl Iterator<Item = (ObjectRef, Why)> + '_ {
    vertex.searched.iter().map(|schema| schema_for(schema, "in the search path"))
}

fn schema_for(schema: &str, why: &str) -> (ObjectRef, Why) {
    let object = ObjectRef::new(ObjectKind::Schema, None, schema);
    let words = format!("{object} ({why})");
    (object.clone(), Why::Object { words, object })
}

/// PostgreSQL may have chosen the name.
fn may_be_chosen(object: &ObjectRef) -> bool {
    matches!(object.kind, ObjectKind::Index | ObjectKind::Sequence | ObjectKind::Statistics)
}

/// What was in a schema before it got its name is not looked for under that name.
fn is_in_renamed_schema(
    object: &ObjectRef,
    from: usize,
    vertices: &[&Vertex],
    makers: &index::Makers<'_>,
) -> bool {
    let Some(schema) = &object.schema else { return false };
    let schema = ObjectRef::new(ObjectKind::Schema, None, schema.as_str());
    let maker = makers.maker_for(from, &schema);
    maker.is_some_and(|maker| vertices[maker].drops.iter().any(|object| object.kind == ObjectKind::Schema))
}

fn push_new(list: &mut Vec<Why>, why: Why) {
    if !list.contains(&why) {
        list.push(why);
    }
}

/// A function or type without a schema may be PostgreSQL's own, and roles are the cluster's.
fn is_worth_naming(object: &ObjectRef) -> bool {
    matches!(object.kind.family(), ObjectKind::Relation | ObjectKind::ForeignTable | ObjectKind::Schema)
        || object.schema.is_some()
}
