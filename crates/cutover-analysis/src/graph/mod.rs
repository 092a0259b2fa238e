//! What depends on what among migrations, with the reason of each edge; which may run side by side.
//!
//! Pure: vertices come from whoever analysed the migrations, in the order they are applied in. The graph explains and
//! checks that order; it never changes it.

mod conflicts;
mod cycles;
mod index;
mod render;

use std::collections::{BTreeMap, BTreeSet};

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
}

impl Vertex {
    /// Adds what the next statement of the migration does; it stands on this line of the file.
    pub fn add(&mut self, mut effects: Effects, line: u32) {
        self.unnamed |= names_nothing(&effects);
        self.add_bodies(&mut effects, line);
        let Effects {
            creates, chosen, alters, writes, refers, drops, references, reads, locks, work, ..
        } = effects;
        let own: Vec<ObjectRef> = self.creates.clone();
        let is_own = |object: &ObjectRef| own.iter().any(|made| is_same(made, object));
        for reference in references.into_iter().filter(|reference| !is_own(&reference.object)) {
            if !self.needs.iter().any(|known| known.object == reference.object && known.by == reference.by) {
                self.needs.push(reference);
            }
        }
        for lock in locks.into_iter().filter(|lock| !is_own(&lock.relation)) {
            let referred = refers.iter().any(|table| is_same(table, &lock.relation))
                && lock.mode == LockMode::ShareRowExclusive;
            self.add_lock(lock, referred, line);
        }
        for (from, to) in [
            (creates, &mut self.creates),
            (chosen, &mut self.chosen),
            (reads, &mut self.reads),
            (writes, &mut self.writes),
            (drops, &mut self.drops),
        ] {
            extend(to, from);
        }
        extend(&mut self.alters, alters.into_iter().filter(|object| !is_own(object)).collect());
        for schema in effects.searched_schemas {
            if !self.searched.contains(&schema) {
                self.searched.push(schema);
            }
        }
        for work in work.into_iter().filter(|work| !is_own(&work.relation)) {
            self.add_work(work, line);
        }
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
    fn add_bodies(&mut self, effects: &mut Effects, line: u32) {
        for setting in effects.settings.iter().filter(|setting| setting.name == "check_function_bodies") {
            let on = ["on", "true", "yes", "1"];
            let value = setting.values.as_deref().unwrap_or_default().first();
            self.unchecked = !value.is_some_and(|value| on.contains(&value.to_ascii_lowercase().as_str()));
        }
        let looked_for = if self.unchecked { &mut effects.late } else { &mut effects.references };
        looked_for.append(&mut effects.checked);
        extend(&mut self.late_creates, std::mem::take(&mut effects.late_creates));
        if let Some(why) = effects.late_opaque.take()
            && !self.unseen.iter().any(|(known, _)| *known == why)
        {
            self.unseen.push((why, line));
        }
        for reference in effects.late.drain(..) {
            if !self.late.contains(&reference) {
                self.late.push(reference);
            }
        }
    }

    fn add_lock(&mut self, lock: Lock, referred: bool, line: u32) {
        match self.locks.iter_mut().find(|known| known.relation == lock.relation) {
            Some(known) => {
                if lock.mode > known.mode {
                    (known.mode, known.line) = (lock.mode, line);
                }
                known.referred &= referred;
            }
            None => self.locks.push(VertexLock {
                relation: lock.relation,
                mode: lock.mode,
                first: lock.mode,
                line,
                referred,
            }),
        }
    }

    fn add_work(&mut self, work: Work, line: u32) {
        let same = |(known, _): &&mut (Work, u32)| known.relation == work.relation && known.kind == work.kind;
        match self.work.iter_mut().find(same) {
            Some(known) if work.sure && !known.0.sure => *known = (work, line),
            Some(_) => {}
            None => self.work.push((work, line)),
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

fn extend(list: &mut Vec<ObjectRef>, more: Vec<ObjectRef>) {
    for object in more {
        if !list.contains(&object) {
            list.push(object);
        }
    }
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
    pub fn of(vertices: &[Vertex]) -> Self {
        let makers = index::Makers::of(vertices);
        // What a name that PostgreSQL chose is in the end is not always known.
        let chooses = vertices.iter().any(|vertex| !vertex.chosen.is_empty());
        let made_by_bodies: BTreeSet<(ObjectKind, &String)> = vertices
            .iter()
            .flat_map(|vertex| &vertex.late_creates)
            .map(|object| (object.kind.family(), &object.name))
            .collect();
        let mut graph = Self::default();
        for (from, vertex) in vertices.iter().enumerate() {
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
                    push_new(found.entry(to).or_default(), why);
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
                chooses && may_be_chosen(object) || is_in_renamed_schema(object, from, vertices, &makers)
            };
            let outside = outside
                .into_iter()
                .filter(|reference| is_worth_naming(&reference.object) && !unknown(&reference.object));
            graph.outside.extend(outside.map(|reference| (from, reference.clone())));
            graph.edges.extend(found.into_iter().map(|(to, why)| Edge { from, to, why }));
            let of_bodies =
                |object: &ObjectRef| made_by_bodies.contains(&(object.kind.family(), &object.name));
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
    vertices: &[Vertex],
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
