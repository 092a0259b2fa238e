//! What depends on what among migrations, with the reason of each edge; which may run side by side.
//!
//! Pure: vertices come from whoever analysed the migrations, in the order they are applied in. The graph explains and
//! checks that order; it never changes it.

mod conflicts;
mod cycles;
mod index;
mod render;
mod system;
mod vertex;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use crate::effects::{ObjectKind, ObjectRef, Reference};

pub use conflicts::{Conflict, Conflicts};
pub use system::is_of_the_server;
pub use vertex::{Vertex, VertexLock};

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
            .chain(
                vertices
                    .iter()
                    .flat_map(|vertex| &vertex.transitions)
                    .map(|name| (ObjectKind::Relation, name.as_str())),
            )
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

/// A function or type without a schema may be PostgreSQL's own, as its catalogues are, and roles are the cluster's.
fn is_worth_naming(object: &ObjectRef) -> bool {
    let family = object.kind.family();
    let is_said = matches!(family, ObjectKind::Relation | ObjectKind::ForeignTable | ObjectKind::Schema)
        || object.schema.is_some();
    is_said && !is_of_the_server(object)
}
