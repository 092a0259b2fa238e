//! Which migrations may not run at the same time although neither needs the other.
//!
//! Two kinds. Where the order matters (one changes, reads or writes what the other changes), they run one after the
//! other as the migrations are ordered. Where both only wait for one another's lock (new foreign keys to one parent), they
//! may overlap, as long as what is running could not wait in a circle: that is for the one who starts them to keep, with
//! [`Conflicts::waits`].

use std::borrow::Borrow;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use smol_str::{SmolStr, format_smolstr};

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
    pub why: SmolStr,
}

/// What must not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// For each migration, the nearest ones before it that it must not overlap; those further back follow from them.
    pub before: Vec<Vec<Conflict>>,
    /// For each migration, the relations it may wait for while another one has it locked.
    pub waits: Vec<Vec<SmolStr>>,
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

    /// It excludes every other use; else it is excluded by such ones alone. A new foreign key locks its parent against
    /// writes, and looks rows up there.
    fn is_strong(self) -> bool {
        self >= Self::Write
    }
}

/// The last migrations that used a thing, and how.
#[derive(Default)]
struct Last {
    /// The last one that excludes all others.
    strong: Option<(Use, u32)>,
    /// Those after it, none of which excludes another.
    gentle: Vec<(Use, u32)>,
}

impl Last {
    fn excluded_by(&self, usage: Use) -> impl Iterator<Item = (Use, usize)> {
        let gentle = if usage.is_strong() { self.gentle.as_slice() } else { &[] };
        self.strong.iter().chain(gentle).map(|(usage, migration)| (*usage, *migration as usize))
    }

    fn add(&mut self, usage: Use, migration: usize) {
        let migration = u32::try_from(migration).unwrap_or(u32::MAX);
        if usage.is_strong() {
            // What this one excludes, later ones exclude through it.
            *self = Self { strong: Some((usage, migration)), gentle: Vec::new() };
        } else {
            self.gentle.push((usage, migration));
        }
    }
}

impl Conflicts {
    /// Finds them. Time is about proportional to the number of names.
    pub fn of<V: Borrow<Vertex>>(vertices: &[V]) -> Self {
        let mut found = Self::default();
        let mut last: FxHashMap<Thing<'_>, Last> = FxHashMap::default();
        // The last one that runs alone, and what is said of it to those after it.
        let mut barrier: Option<(usize, SmolStr)> = None;
        for (from, vertex) in vertices.iter().map(Borrow::borrow).enumerate() {
            let mut before: BTreeMap<usize, SmolStr> = BTreeMap::new();
            before.extend(barrier.clone());
            if let Some(why) = &vertex.alone {
                let after = barrier.map_or(0, |(to, _)| to + 1);
                let shared = SmolStr::new(why);
                for to in after..from {
                    before.entry(to).or_insert_with(|| shared.clone());
                }
                barrier = Some((from, format_smolstr!("{}: {why}", vertex.label)));
            }
            for (thing, usage) in uses(vertex) {
                let known = last.entry(thing).or_default();
                for (other, to) in known.excluded_by(usage) {
                    before.entry(to).or_insert_with(|| words(thing, usage, other));
                }
                known.add(usage, from);
            }
            let conflicts = before.into_iter().map(|(to, why)| Conflict { from, to, why });
            found.before.push(conflicts.collect());
            found.waits.push(waits(vertex));
        }
        found
    }
}

/// What stands for an object: the table of its parts, and for a name without a schema the name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Thing<'a> {
    /// Its family; that of relations for all that is known by a relation's name.
    kind: ObjectKind,
    name: &'a str,
}

impl std::fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.kind != ObjectKind::Relation {
            write!(f, "{} ", self.kind.word())?;
        }
        f.write_str(self.name)
    }
}

impl<'a> Thing<'a> {
    fn of(object: &'a ObjectRef) -> Self {
        let table = object.table.as_deref().filter(|_| object.kind != ObjectKind::Sequence);
        Self::called(object.kind, table.unwrap_or(&object.name))
    }

    fn called(kind: ObjectKind, name: &'a str) -> Self {
        let kind = match kind.family() {
            ObjectKind::Relation
            | ObjectKind::ForeignTable
            | ObjectKind::Column
            | ObjectKind::Constraint
            | ObjectKind::Trigger
            | ObjectKind::Policy
            | ObjectKind::Rule
            // A relation is a type too.
            | ObjectKind::Type => ObjectKind::Relation,
            other => other,
        };
        Self { kind, name }
    }
}

fn words(thing: Thing<'_>, later: Use, earlier: Use) -> SmolStr {
    if later == earlier {
        format_smolstr!("both {} {thing}", later.words().trim_end_matches('s'))
    } else {
        format_smolstr!("one {} {thing}, the other {} it", later.words(), earlier.words())
    }
}

/// Everything a migration touches, the strongest use of each. Schemas are left out of names: `users` and `app.users` are
/// taken for one, which costs at most a little patience.
fn uses(vertex: &Vertex) -> Vec<(Thing<'_>, Use)> {
    let mut uses = Uses::default();
    // To make a table in a schema does not change the schema.
    uses.of_all(vertex.creates.iter().chain(&vertex.drops).chain(&vertex.alters), Use::Change);
    uses.of_all(&vertex.writes, Use::Write);
    uses.of_all(vertex.reads.iter().chain(vertex.needs.iter().map(|reference| &reference.object)), Use::Read);
    for lock in &vertex.locks {
        let usage = match lock.mode {
            _ if lock.referred => Use::Refer,
            LockMode::AccessShare | LockMode::RowShare => Use::Read,
            LockMode::RowExclusive => Use::Write,
            _ => Use::Change,
        };
        uses.of_all([&lock.relation], usage);
    }
    // An index has its table's namespace too, as what PostgreSQL chooses names for: whoever comes second gets another one.
    let named = vertex.creates.iter().filter(|object| object.kind == ObjectKind::Index).chain(&vertex.chosen);
    for object in named.filter(|object| !object.name.is_empty() && !object.is_temporary()) {
        uses.add(Thing::called(object.kind, &object.name), Use::Change);
    }
    for schema in &vertex.searched {
        uses.add(Thing::called(ObjectKind::Schema, schema), Use::Read);
    }
    // Of each thing the strongest use stays.
    uses.0.sort_unstable_by(|(one, used), (other, also)| one.cmp(other).then(also.cmp(used)));
    uses.0.dedup_by_key(|(thing, _)| *thing);
    uses.0
}

/// Uses of things, several of one among them.
#[derive(Default)]
struct Uses<'a>(Vec<(Thing<'a>, Use)>);

impl<'a> Uses<'a> {
    fn add(&mut self, thing: Thing<'a>, usage: Use) {
        self.0.push((thing, usage));
    }

    fn of_all(&mut self, objects: impl IntoIterator<Item = &'a ObjectRef>, usage: Use) {
        for object in objects.into_iter().filter(|object| !object.is_temporary()) {
            self.add(Thing::of(object), usage);
        }
    }
}

/// Relations on which this migration may wait for another one that only refers to them too.
fn waits(vertex: &Vertex) -> Vec<SmolStr> {
    let referred = vertex.locks.iter().filter(|lock| lock.referred);
    let mut names: Vec<SmolStr> =
        referred.map(|lock| format_smolstr!("{}", Thing::of(&lock.relation))).collect();
    names.sort_unstable();
    names.dedup();
    names
}
