//! Which migrations may not run at the same time although neither needs the other.
//!
//! Two kinds. Where the order matters (one changes, reads or writes what the other changes), they run one after the
//! other as the migrations are ordered. Where both only wait for one another's lock (new foreign keys to one parent), they
//! may overlap, as long as what is running could not wait in a circle: that is for the one who starts them to keep, with
//! [`Conflicts::waits`].

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};

use super::Vertex;
use crate::effects::{LockMode, ObjectKind, ObjectRef};

/// Why two migrations run one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conflict {
    /// Index of the later one.
    pub from: usize,
    /// Index of the earlier one.
    pub to: usize,
    /// In words: `both change table users`.
    pub why: String,
}

/// What must not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// For each migration, the nearest ones before it that it must not overlap; those further back follow from them.
    pub before: Vec<Vec<Conflict>>,
    /// For each migration, the relations it may wait for while another one has it locked.
    pub waits: Vec<Vec<String>>,
}

/// What is done to a thing; two of these exclude each other unless both are the same gentle one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Rows are read, or it must be there.
    Read,
    /// A foreign key points to it.
    Refer,
    /// Rows are written.
    Write,
    /// It is made, changed or dropped.
    Change,
}

impl Use {
    fn words(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Refer => "points to",
            Self::Write => "writes",
            Self::Change => "changes",
        }
    }

    fn excludes(self, other: Self) -> bool {
        // A new foreign key locks its parent against writes, and looks rows up there.
        self.max(other) >= Self::Write
    }
}

impl Conflicts {
    /// Finds them. Time is about proportional to the number of names.
    pub fn of<V: Borrow<Vertex>>(vertices: &[V]) -> Self {
        let mut found = Self::default();
        // By thing and use: the last migration that used it so.
        let mut last: HashMap<String, BTreeMap<Use, Vec<usize>>> = HashMap::new();
        let mut barrier: Option<usize> = None;
        for (from, vertex) in vertices.iter().map(Borrow::borrow).enumerate() {
            let mut before: BTreeMap<usize, String> = BTreeMap::new();
            if let Some(to) = barrier {
                let other: &Vertex = vertices[to].borrow();
                let why = other.alone.as_deref().unwrap_or_default();
                before.insert(to, format!("{}: {why}", other.label));
            }
            if let Some(why) = &vertex.alone {
                for to in barrier.map_or(0, |to| to + 1)..from {
                    before.entry(to).or_insert_with(|| why.clone());
                }
                barrier = Some(from);
            }
            for (thing, usage) in uses(vertex) {
                let known = last.entry(thing.clone()).or_default();
                for (other, migrations) in known.iter().filter(|(other, _)| usage.excludes(**other)) {
                    for &to in migrations.iter().filter(|to| **to != from) {
                        before.entry(to).or_insert_with(|| words(&thing, usage, *other));
                    }
                }
                // What this one excludes, later ones exclude through it.
                if usage >= Use::Write {
                    known.clear();
                }
                let migrations = known.entry(usage).or_default();
                if migrations.last() != Some(&from) {
                    migrations.push(from);
                }
            }
            let conflicts = before.into_iter().map(|(to, why)| Conflict { from, to, why });
            found.before.push(conflicts.collect());
            found.waits.push(waits(vertex));
        }
        found
    }
}

fn words(thing: &str, later: Use, earlier: Use) -> String {
    if later == earlier {
        format!("both {} {thing}", later.words().trim_end_matches('s'))
    } else {
        format!("one {} {thing}, the other {} it", later.words(), earlier.words())
    }
}

/// What stands for an object: the table of its parts, and for a name without a schema the name alone.
fn thing(object: &ObjectRef) -> String {
    let name =
        object.table.as_deref().filter(|_| object.kind != ObjectKind::Sequence).unwrap_or(&object.name);
    match object.kind.family() {
        ObjectKind::Relation
        | ObjectKind::ForeignTable
        | ObjectKind::Column
        | ObjectKind::Constraint
        | ObjectKind::Trigger
        | ObjectKind::Policy
        | ObjectKind::Rule
        // A relation is a type too.
        | ObjectKind::Type => name.to_owned(),
        other => format!("{} {name}", other.word()),
    }
}

/// Everything a migration touches, the strongest use of each. Schemas are left out of names: `users` and `app.users` are
/// taken for one, which costs at most a little patience.
fn uses(vertex: &Vertex) -> BTreeMap<String, Use> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    let mut add = |object: &ObjectRef, usage: Use| {
        if object.is_temporary() {
            return;
        }
        let known = uses.entry(thing(object)).or_insert(usage);
        *known = usage.max(*known);
    };
    for object in vertex.creates.iter().chain(&vertex.drops).chain(&vertex.alters) {
        // To make a table in a schema does not change the schema.
        add(object, Use::Change);
    }
    // An index has its table's namespace too, as what PostgreSQL chooses names for: whoever comes second gets another one.
    let named = vertex.creates.iter().filter(|object| object.kind == ObjectKind::Index);
    for object in named.chain(&vertex.chosen).filter(|object| !object.name.is_empty()) {
        add(&ObjectRef { table: None, ..object.clone() }, Use::Change);
    }
    for schema in &vertex.searched {
        add(&ObjectRef::new(ObjectKind::Schema, None, schema.as_str()), Use::Read);
    }
    for object in &vertex.writes {
        add(object, Use::Write);
    }
    for object in vertex.reads.iter().chain(vertex.needs.iter().map(|reference| &reference.object)) {
        add(object, Use::Read);
    }
    for lock in &vertex.locks {
        let usage = match lock.mode {
            _ if lock.referred => Use::Refer,
            LockMode::AccessShare | LockMode::RowShare => Use::Read,
            LockMode::RowExclusive => Use::Write,
            _ => Use::Change,
        };
        add(&lock.relation, usage);
    }
    uses
}

/// Relations on which this migration may wait for another one that only refers to them too.
fn waits(vertex: &Vertex) -> Vec<String> {
    let mut names: Vec<String> =
        vertex.locks.iter().filter(|lock| lock.referred).map(|lock| thing(&lock.relation)).collect();
    names.sort_unstable();
    names.dedup();
    names
}
