//! From differences to statements: what is taken away, changed, made and finished, what must be made anew along with it, and
//! in what order.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::bodies::{self, Bodies};
use super::gaps;
use super::order::Graph;
use super::privileges::{common_changes, common_creation, unwanted_defaults};
use super::{Attribute, Change, Left, Options, What, meanwhile, versions};
use crate::effects::ObjectKind;
use crate::schema::kinds::making::{self, Common, World};
use crate::schema::kinds::{self, column, constraint, making_of, table, type_change};
use crate::schema::{Id, Object, Schema, Sql, hazards, parent_of, secrets};

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Drop,
    Alter,
    Create,
    /// What comes when all of it is there.
    Finish,
}

/// What is done to which object.
pub(super) type Action<'a> = (Verb, &'a Id);

/// Attributes that say nothing of what an object is.
const COMMON: [&str; 4] = ["owner", "comment", "grants", "revoked"];

/// The statements that make `from` into `to`, and what none of them sees to.
pub(super) fn statements(
    from: &Schema,
    to: &Schema,
    changes: &[Change],
    options: Options,
    renamed_values: &[(String, String)],
) -> (Vec<Sql>, Vec<Left>) {
    let world = World { from, to, safe: options.safe, renamed_values, remade: BTreeSet::new() };
    let mut work = Work {
        world: &world,
        left: Vec::new(),
        altered: BTreeMap::new(),
        remade: BTreeSet::new(),
        needed_by: OnceCell::new(),
        redefined: BTreeSet::new(),
        changed: BTreeSet::new(),
        unmoved: BTreeSet::new(),
        kept: BTreeSet::new(),
        left_alone: BTreeSet::new(),
        freed: BTreeMap::new(),
    };
    work.alter(changes);
    work.remake();
    work.say_what_stays_own(changes);
    work.leave_alone(changes);
    let remaking = World { remade: work.remade.clone(), ..world.clone() };
    let mut plan = Plan::new(&work, &remaking, changes);
    plan.connect();
    plan.group();
    let statements = plan.statements();
    let left = work.left.iter().cloned().chain(std::mem::take(&mut plan.left)).collect();
    (statements, left)
}

/// What is changed in place and what must be made anew.
pub(super) struct Work<'a> {
    world: &'a World<'a>,
    pub(super) left: Vec<Left>,
    altered: BTreeMap<&'a Id, Vec<Sql>>,
    pub(super) remade: BTreeSet<&'a Id>,
    needed_by: OnceCell<FxHashMap<&'a Id, Vec<&'a Id>>>,
    /// What is another thing afterwards, not only somebody else's.
    redefined: BTreeSet<&'a Id>,
    /// What is made anew because it changes.
    changed: BTreeSet<&'a Id>,
    /// Partitions of what is partitioned in another way: they stay where they are.
    unmoved: BTreeSet<&'a Id>,
    /// What stays so much as it was that what is built on it as it is to be may be refused.
    kept: BTreeSet<&'a Id>,
    /// What is built on it, and is left alone.
    left_alone: BTreeSet<&'a Id>,
    /// What is made anew so that something else can be changed, and for what.
    pub(super) freed: BTreeMap<&'a Id, Vec<&'a Id>>,
}

impl<'a> Work<'a> {
    fn alter(&mut self, changes: &'a [Change]) {
        for change in changes {
            if self.stays_with_parent(&change.object) {
                self.unmoved.insert(&change.object);
                let what = "its parent is partitioned in another way, which no statement changes";
                self.left.push(Left { object: change.object.clone(), what: what.to_owned() });
                continue;
            }
            match &change.what {
                What::Altered { attributes } => self.alter_one(&change.object, attributes),
                What::Created => self.left.extend(cannot_be_made(&change.object, self.world)),
                What::Dropped => {}
            }
            self.say_what_is_too_new(change);
            self.say_what_is_hidden(&change.object);
        }
    }

    fn say_what_is_hidden(&mut self, id: &'a Id) {
        let wanted = self.world.to.get(id);
        let what = wanted.and_then(|wanted| secrets::not_given(self.world.from.get(id), wanted));
        self.left.extend(what.map(|what| Left { object: id.clone(), what }));
    }

    fn say_what_is_too_new(&mut self, change: &'a Change) {
        let (from, to) = (self.world.from, self.world.to);
        let id = &change.object;
        let Some(wanted) = to.get(id) else { return };
        let attributes: &[Attribute] = match &change.what {
            What::Altered { attributes } => attributes,
            _ => &[],
        };
        let said = versions::too_new(id, from.get(id), wanted, attributes, from.server_version);
        self.left.extend(said.into_iter().map(|what| Left { object: id.clone(), what }));
    }

    /// Whether it is a partition of a table that stays partitioned as it was, though it is to be partitioned in another way.
    fn stays_with_parent(&self, id: &Id) -> bool {
        let (from, to) = (self.world.from, self.world.to);
        let parents = [from, to].map(|schema| schema.get(id).and_then(parent_of));
        let is_other = |parent: &Id| {
            let key = |schema: &'a Schema| schema.get(parent).map(|table| table.text("partition key"));
            matches!((key(from), key(to)), (Some(before), Some(after)) if before != after)
        };
        let stays = |kind: &ObjectKind| {
            let (schema, table) = (id.schema.clone().unwrap_or_default(), id.name.clone());
            to.objects.contains_key(&Id::new(*kind, schema, table))
        };
        id.kind == ObjectKind::Partition
            && kinds::WITH_PARTS.iter().any(stays)
            && parents.iter().flatten().any(is_other)
    }

    fn alter_one(&mut self, id: &'a Id, attributes: &'a [Attribute]) {
        let (Some(from), Some(to)) = (self.world.from.get(id), self.world.to.get(id)) else { return };
        if attributes.iter().any(|attribute| !COMMON.contains(&attribute.name.as_str())) {
            self.redefined.insert(id);
        }
        let mut change = making::Change {
            id,
            from,
            to,
            world: self.world,
            left: attributes
                .iter()
                .map(|one| (one.name.as_str(), (one.from.as_ref(), one.to.as_ref())))
                .collect(),
            statements: Vec::new(),
            frees: false,
            anew: false,
            kept: false,
            impossible: Vec::new(),
        };
        let making = making_of(id.kind);
        (making.change)(&mut change);
        if change.anew {
            change.left.retain(|name, _| !["owner", "revoked", "grants", "comment"].contains(name));
            change.statements.extend(unwanted_defaults(id, to, self.world));
            change.statements.extend(common_creation(id, to, self.world.to));
        }
        common_changes(&mut change, self.world.to);
        let making::Change { left, statements, frees, kept, impossible, .. } = change;
        if kept {
            self.kept.insert(id);
        }
        if statements.is_empty()
            && secrets::not_given(Some(from), to).is_none()
            && left.is_empty()
            && impossible.is_empty()
            && !self.comes_along(id, attributes)
        {
            let words: Vec<String> = attributes.iter().map(ToString::to_string).collect();
            let what = format!("no statement changes {}", words.join("; "));
            self.left.push(Left { object: id.clone(), what });
        }
        self.left.extend(impossible.into_iter().map(|what| Left { object: id.clone(), what }));
        if !left.is_empty() {
            if making.remade || is_generated(self.world, id) {
                self.changed.insert(id);
                self.remade.insert(id);
                return;
            }
            let words: Vec<String> = attributes
                .iter()
                .filter(|one| left.contains_key(one.name.as_str()))
                .map(|one| format!("no statement changes {one}"))
                .collect();
            self.left.push(Left { object: id.clone(), what: words.join("; ") });
        }
        if frees {
            for held in self.held_by(id) {
                self.freed.entry(held).or_default().push(id);
                self.remade.insert(held);
            }
        }
        if !statements.is_empty() {
            self.altered.insert(id, statements);
        }
    }

    /// Whether something may change without a statement of its own: along with a parent's, or with what it belongs to.
    fn comes_along(&self, id: &Id, attributes: &[Attribute]) -> bool {
        let (from, to) = (self.world.from, self.world.to);
        let says = |attributes: &[&str]| {
            [from, to]
                .iter()
                .filter_map(|schema| schema.get(id))
                .any(|object| attributes.iter().any(|attribute| object.has(attribute)))
        };
        match id.kind {
            ObjectKind::Column | ObjectKind::Constraint => says(&["inherited"]),
            ObjectKind::Index => says(&["partition of"]),
            ObjectKind::Sequence => says(&["owned by"]),
            // They went with the parent's, or with being a partition.
            ObjectKind::Table => attributes.iter().all(|one| one.name == "triggers of parent"),
            _ => false,
        }
    }

    /// What is built on something so that it cannot be changed while that is there.
    fn held_by(&self, id: &Id) -> Vec<&'a Id> {
        let stays = |other: &Id| match id.kind {
            ObjectKind::Column => match other.kind {
                ObjectKind::Constraint => !self.is_reference_in_the_way(id, other),
                ObjectKind::Sequence | ObjectKind::Table | ObjectKind::Partition => true,
                // PostgreSQL makes these anew itself when the type of a column changes, from their text: which is no
                // longer the one that is wanted if it is to be another.
                ObjectKind::Index | ObjectKind::Statistics => self.same_definition(other),
                _ => false,
            },
            _ => matches!(other.kind, ObjectKind::Table | ObjectKind::Partition),
        };
        let mut held = Vec::new();
        for (other, object) in self.dependents(id) {
            if self.is_set_free(other) {
                continue;
            }
            if other.kind == ObjectKind::Column && !object.has("generated") {
                // A type's columns have defaults that are of the type too; those that are inherited change along.
                let along = id.kind != ObjectKind::Column || object.has("inherited");
                held.extend(along.then(|| self.held_by(other)).into_iter().flatten());
            } else if !stays(other) {
                held.push(other);
            } else if object.text("definition").is_some_and(|text| text.contains(" INCLUDE (")) {
                // PostgreSQL makes the key anew, but not the keys of others that refer to it.
                held.extend(
                    self.dependents(other)
                        .map(|(key, _)| key)
                        .filter(|key| key.kind == ObjectKind::Constraint),
                );
            }
        }
        held
    }

    /// Whether a key refers from or to a column whose values are compared otherwise while only one of the two is changed.
    fn is_reference_in_the_way(&self, column: &Id, key: &Id) -> bool {
        let (from, to) = (self.world.from, self.world.to);
        let definition = from.get(key).and_then(|object| object.text("definition"));
        let type_in = |schema: &'a Schema| schema.get(column).and_then(|object| object.text("type"));
        let is_other = match (type_in(from), type_in(to)) {
            // The type itself is made anew.
            (Some(before), Some(after)) if before == after => true,
            (Some(before), Some(after)) => !type_change::are_compared(
                type_change::base_type(before, from),
                type_change::base_type(after, to),
            ),
            _ => false,
        };
        is_other && definition.is_some_and(|text| text.starts_with("FOREIGN KEY"))
    }

    fn same_definition(&self, id: &Id) -> bool {
        let of = |schema: &'a Schema| schema.get(id).map(|object| object.text("definition"));
        of(self.world.to).is_none_or(|definition| Some(definition) == of(self.world.from))
    }

    /// Whether it is a generated column that keeps its values and becomes a plain one: it needs nothing any more then.
    pub(super) fn is_set_free(&self, id: &Id) -> bool {
        let is = |schema: &Schema| schema.get(id).map(|object| object.has("generated"));
        id.kind == ObjectKind::Column && is(self.world.from) == Some(true) && is(self.world.to) == Some(false)
    }

    fn dependents(&self, id: &Id) -> impl Iterator<Item = (&'a Id, &'a Object)> {
        let from = self.world.from;
        let all = self.needed_by().get(id).map_or(&[][..], Vec::as_slice);
        all.iter().filter_map(move |other| Some((*other, from.get(other)?)))
    }

    /// What needs each object; made when it is first asked for.
    fn needed_by(&self) -> &FxHashMap<&'a Id, Vec<&'a Id>> {
        self.needed_by.get_or_init(|| {
            let mut needed_by: FxHashMap<&Id, Vec<&Id>> = FxHashMap::default();
            for (id, object) in &self.world.from.objects {
                for needed in &object.needs {
                    needed_by.entry(needed).or_default().push(id);
                }
            }
            needed_by
        })
    }

    /// What needs something that is made anew is made anew too; what holds rows cannot be, and then neither the first.
    fn remake(&mut self) {
        let orphans = self.orphans();
        let mut roots = std::mem::take(&mut self.remade);
        roots.extend(&orphans);
        loop {
            let mut remade = BTreeSet::new();
            let mut held = Vec::new();
            for &root in &roots {
                match self.along_with(root) {
                    Ok(along) => remade.extend(along),
                    Err(holder) => held.push((root, holder)),
                }
            }
            if held.is_empty() {
                self.remade = remade;
                break;
            }
            let mut given_up = BTreeSet::new();
            for (root, holder) in held {
                roots.remove(root);
                given_up.extend(self.freed.get(root).into_iter().flatten().copied());
                self.cannot_be_remade(root, holder);
            }
            // What was only to make way for something that stays as it is stays too.
            let given_up = &given_up;
            self.freed.retain(|_, owners| {
                owners.retain(|owner| !given_up.contains(owner));
                !owners.is_empty()
            });
            roots.retain(|root| {
                self.freed.contains_key(root) || self.changed.contains(root) || orphans.contains(root)
            });
        }
        self.moved_columns();
        // What is only made anew because of others keeps no statement of its own.
        let remade = &self.remade;
        self.altered.retain(|id, _| !remade.contains(id));
    }

    /// What stays as it is, by its text, but needs something that goes: the same text means something else from then on.
    fn orphans(&self) -> BTreeSet<&'a Id> {
        let world = self.world;
        // What a partition or an heir has from its parent, and what follows from that, goes and stays with being one.
        let from_parent = |id: &Id| {
            world.from.get(id).is_some_and(|object| object.has("inherited") || object.has("partition of"))
        };
        let goes = |needed: &Id| {
            world.from.objects.contains_key(needed)
                && !world.to.objects.contains_key(needed)
                && !from_parent(needed)
        };
        let is_orphan = |id: &'a Id, object: &'a Object| {
            world.to.objects.contains_key(id)
                && !self.redefined.contains(id)
                && !from_parent(id)
                && self.can_be_remade(id)
                && object.needs.iter().any(goes)
        };
        world.from.objects.iter().filter(|(id, object)| is_orphan(id, object)).map(|(id, _)| id).collect()
    }

    /// Defaults, keys and indexes that are to be others, of what stays as it was: they may not fit that.
    fn leave_alone(&mut self, changes: &'a [Change]) {
        let world = self.world;
        for Change { object: id, what } in changes {
            let is_built =
                matches!(id.kind, ObjectKind::Default | ObjectKind::Constraint | ObjectKind::Index);
            let wanted = world.to.get(id).filter(|_| is_built && *what != What::Dropped);
            let stays = |needed: &&Id| {
                let of_whole = kinds::WITH_PARTS.contains(&needed.kind) && id.kind != ObjectKind::Default;
                self.kept.contains(*needed) && (needed.kind == ObjectKind::Column || of_whole)
            };
            if let Some(needed) = wanted.and_then(|object| object.needs.iter().find(stays)) {
                let what = format!("it is for {needed} as that is to be, which stays as it is");
                self.left.push(Left { object: id.clone(), what });
                self.left_alone.insert(id);
            }
        }
    }

    /// What a table must have to become an heir is its own from then on: only what comes from its parents is not.
    fn say_what_stays_own(&mut self, changes: &'a [Change]) {
        let world = self.world;
        let is_partition =
            |id: &Id| World::partition_of(id).is_some_and(|own| world.to.objects.contains_key(&own));
        for Change { object: id, what } in changes {
            let is_new = match what {
                What::Created => !world.comes_along(id),
                What::Altered { .. } if id.kind == ObjectKind::Constraint => {
                    let was_own = world.from.get(id).is_some_and(|object| !object.has("inherited"));
                    was_own || self.remade.contains(id) && !world.comes_along(id)
                }
                _ => false,
            };
            let is_only_inherited = world.to.get(id).is_some_and(|object| object.has("inherited"));
            if is_new && is_only_inherited && world.was_there(id) && !is_partition(id) {
                self.left.push(Left { object: id.clone(), what: column::ONLY_INHERITED.to_owned() });
            }
        }
    }

    /// A column that is made anew stands behind all others.
    fn moved_columns(&mut self) {
        let (from, to) = (self.world.from, self.world.to);
        let mut moved: BTreeMap<Id, Vec<&str>> = BTreeMap::new();
        for id in self.remade.iter().filter(|id| id.kind == ObjectKind::Column && to.get(id).is_some()) {
            if let Some((whole, _)) = self.world.whole(id) {
                moved.entry(whole).or_default().push(&id.name);
            }
        }
        for (whole, names) in moved {
            let Some((before, wanted)) = from.get(&whole).zip(to.get(&whole)) else { continue };
            let wanted = wanted.list("columns");
            let stays =
                |name: &&String| before.list("columns").contains(name) && !names.contains(&name.as_str());
            let last = wanted.iter().rposition(|name| stays(&name)).unwrap_or_default();
            let ahead =
                |name: &&&str| wanted.iter().position(|other| other == **name).is_some_and(|at| at < last);
            let known = self.left.iter().any(|left| left.object == whole);
            if !known && names.iter().any(|name| ahead(&name)) {
                let what =
                    format!("{}: {} made anew, and stands last then", table::COLUMN_ORDER, names.join(", "));
                self.left.push(Left { object: whole, what });
            }
        }
    }

    /// All that is made anew with an object, or what cannot be.
    fn along_with(&self, root: &'a Id) -> Result<BTreeSet<&'a Id>, &'a Id> {
        let mut along = BTreeSet::from([root]);
        let mut to_see = vec![root];
        while let Some(id) = to_see.pop() {
            for (other, _) in self.dependents(id) {
                // What goes anyway is gone by then, and so is what the other needs it for.
                if !self.world.to.objects.contains_key(other) || self.is_set_free(other) {
                    continue;
                }
                if !self.can_be_remade(other) {
                    return Err(other);
                }
                if along.insert(other) {
                    to_see.push(other);
                }
            }
        }
        Ok(along)
    }

    fn can_be_remade(&self, id: &Id) -> bool {
        let holds_nothing = || {
            is_generated(self.world, id) || self.world.from.get(id).is_some_and(|object| !object.has("type"))
        };
        making_of(id.kind).remade || id.kind == ObjectKind::Column && holds_nothing()
    }

    fn cannot_be_remade(&mut self, root: &'a Id, holder: &Id) {
        let owners = self.freed.remove(root).unwrap_or_default();
        for &id in &owners {
            self.altered.remove(id);
            let what = format!("{root} is in the way, and cannot be made anew because {holder} needs it");
            self.left.push(Left { object: id.clone(), what });
        }
        if owners.is_empty() || self.changed.contains(root) {
            let what = format!("to be made anew, and {holder} needs it: change that first");
            self.left.push(Left { object: root.clone(), what });
        }
    }
}

/// What is said of an object and is not read, so that it cannot be made either.
fn cannot_be_made(id: &Id, world: &World<'_>) -> Option<Left> {
    if id.kind == ObjectKind::Column {
        return column::cannot_be_filled(id, world).map(|what| Left { object: id.clone(), what });
    }
    if id.kind == ObjectKind::Subscription {
        let what = "how it connects may hold a password and is not read: make it by hand".to_owned();
        return Some(Left { object: id.clone(), what });
    }
    let options = world.to.get(id).filter(|_| id.kind == ObjectKind::UserMapping)?.list("option names");
    let what = format!("its options ({}): they may hold a password and are not read", options.join(", "));
    (!options.is_empty()).then(|| Left { object: id.clone(), what })
}

/// Whether it is a generated column before and after, whose values are computed anew.
fn is_generated(world: &World<'_>, id: &Id) -> bool {
    let is = |schema: &Schema| schema.get(id).is_some_and(|object| object.has("generated"));
    id.kind == ObjectKind::Column && is(world.from) && is(world.to)
}

/// Whether it is a base type.
pub(super) fn is_base(schema: &Schema, id: &Id) -> bool {
    id.kind == ObjectKind::Type && schema.get(id).and_then(|object| object.text("form")) == Some("base")
}

pub(super) fn needs(schema: &Schema, id: &Id, needed: &Id) -> bool {
    schema.get(id).is_some_and(|object| object.needs.contains(needed))
}

/// Tables with something that a foreign key needs.
fn referred(schema: &Schema) -> BTreeSet<(Option<&str>, &str)> {
    let is_key =
        |object: &Object| object.text("definition").is_some_and(|text| text.starts_with("FOREIGN KEY"));
    let keys =
        schema.objects.iter().filter(|(id, object)| id.kind == ObjectKind::Constraint && is_key(object));
    let needed = keys.flat_map(|(_, object)| &object.needs);
    needed
        .filter(|needed| matches!(needed.kind, ObjectKind::Constraint | ObjectKind::Index))
        .filter_map(|needed| Some((needed.schema.as_deref(), needed.table.as_deref()?)))
        .collect()
}

/// All actions, with their numbers in the graph.
pub(super) struct Plan<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) world: &'a World<'a>,
    pub(super) graph: Graph,
    pub(super) actions: Vec<Action<'a>>,
    numbers: BTreeMap<Action<'a>, usize>,
    finishing: BTreeMap<&'a Id, Vec<Sql>>,
    /// Tables that keys refer to.
    referred: BTreeSet<(Option<&'a str>, &'a str)>,
    pub(super) bodies: Bodies,
    /// What shows in the order only.
    pub(super) left: Vec<Left>,
}

impl<'a> Plan<'a> {
    fn new(work: &'a Work<'a>, world: &'a World<'a>, changes: &'a [Change]) -> Self {
        let mut actions: BTreeSet<(Verb, &'a Id)> = BTreeSet::new();
        for change in changes {
            match change.what {
                _ if work.unmoved.contains(&change.object) => false,
                _ if work.left_alone.contains(&change.object) => false,
                What::Created => actions.insert((Verb::Create, &change.object)),
                What::Dropped => actions.insert((Verb::Drop, &change.object)),
                What::Altered { .. } => false,
            };
        }
        let touched = |id: &&&Id| !work.left_alone.contains(*id);
        actions.extend(work.altered.keys().filter(touched).map(|id| (Verb::Alter, *id)));
        for id in work.remade.iter().filter(touched) {
            actions.insert((Verb::Drop, id));
            if world.to.objects.contains_key(*id) {
                actions.insert((Verb::Create, id));
            }
        }
        let created: Vec<&Id> = actions
            .iter()
            .filter(|(verb, _)| matches!(verb, Verb::Create | Verb::Alter))
            .map(|(_, id)| *id)
            .collect();
        actions.extend(created.into_iter().map(|id| (Verb::Finish, id)));
        let rank =
            |id: &Id| kinds::KINDS.iter().position(|kind| kind.kinds.contains(&id.kind)).unwrap_or_default();
        let mut actions: Vec<(Verb, &'a Id)> = actions.into_iter().collect();
        actions.sort_by_key(|(verb, id)| (*verb, rank(id), *id));
        let mut plan = Self {
            work,
            world,
            graph: Graph::default(),
            actions,
            numbers: BTreeMap::new(),
            finishing: BTreeMap::new(),
            referred: referred(world.from),
            bodies: Bodies::default(),
            left: Vec::new(),
        };
        for (at, action) in plan.actions.iter().enumerate() {
            let number = plan.graph.add(at);
            plan.numbers.insert(*action, number);
        }
        plan
    }

    pub(super) fn number(&self, verb: Verb, id: &Id) -> Option<usize> {
        self.numbers.get(&(verb, id)).copied()
    }

    pub(super) fn edge(&mut self, first: (Verb, &Id), second: (Verb, &Id)) {
        if let (Some(first), Some(second)) = (self.number(first.0, first.1), self.number(second.0, second.1))
        {
            self.graph.before(first, second);
        }
    }

    /// What one statement does is one group.
    fn group(&mut self) {
        for (at, (verb, id)) in self.actions.clone().into_iter().enumerate() {
            match verb {
                Verb::Drop => self.group_dropped(at, id),
                Verb::Create => self.group_created(at, id),
                Verb::Alter | Verb::Finish => {}
            }
        }
    }

    fn whole_with(&self, verb: Verb, id: &Id) -> Option<usize> {
        kinds::WITH_PARTS
            .iter()
            .find_map(|kind| self.number(verb, &Id::new(*kind, id.schema.clone()?, id.table.clone()?)))
    }

    fn group_dropped(&mut self, at: usize, id: &Id) {
        let Some(object) = self.world.from.get(id) else { return };
        if id.kind == ObjectKind::Partition && self.is_referred_to(object) {
            return;
        }
        if let Some(whole) = self.whole_with(Verb::Drop, id) {
            self.graph.join(at, whole, id.kind == ObjectKind::Constraint);
            return;
        }
        // The functions of a base type go with it.
        let base = object
            .needs
            .iter()
            .find(|needed| is_base(self.world.from, needed) && needs(self.world.from, needed, id));
        if let Some(number) = base.and_then(|base| self.number(Verb::Drop, base)) {
            self.graph.join(at, number, false);
            return;
        }
        // What a column takes with it.
        let taken = match id.kind {
            ObjectKind::Default | ObjectKind::Constraint | ObjectKind::Index => object
                .needs
                .iter()
                .filter(|needed| needed.table == id.table && needed.schema == id.schema)
                .collect(),
            ObjectKind::Sequence => object.needs.iter().collect::<Vec<&Id>>(),
            _ => return,
        };
        let column =
            taken.into_iter().filter(|needed| needed.kind == ObjectKind::Column).find_map(|column| {
                let number = self.number(Verb::Drop, column)?;
                let whole = self.whole_with(Verb::Drop, column);
                Some((whole.unwrap_or(number), whole.is_none()))
            });
        if let Some((whole, separable)) = column {
            // A default that goes with the same table needs the sequence as long as it is there.
            self.graph.join(at, whole, separable);
        }
    }

    /// Whether keys refer to the table that this is a partition of, or to one above that stays: it must be detached first then.
    fn is_referred_to(&self, partition: &Object) -> bool {
        let mut above = parent_of(partition);
        while let Some(table) = above {
            if self.number(Verb::Drop, &table).is_none()
                && self.referred.contains(&(table.schema.as_deref(), table.name.as_str()))
            {
                return true;
            }
            let own = Id { table: Some(table.name.clone()), kind: ObjectKind::Partition, ..table.clone() };
            above = self.world.from.get(&own).and_then(parent_of);
        }
        false
    }

    fn group_created(&mut self, at: usize, id: &Id) {
        if !matches!(id.kind, ObjectKind::Column | ObjectKind::Default | ObjectKind::Constraint) {
            return;
        }
        // What is made along with a table is valid.
        let definition = self.world.to.get(id).and_then(|object| object.text("definition"));
        if definition.is_some_and(|definition| definition.ends_with(" NOT VALID")) {
            return;
        }
        let table = [ObjectKind::Table, ObjectKind::ForeignTable].iter().find_map(|kind| {
            self.number(Verb::Create, &Id::new(*kind, id.schema.clone()?, id.table.clone()?))
        });
        if let Some(table) = table {
            self.graph.join(at, table, id.kind != ObjectKind::Column);
            return;
        }
        // Of a view's column only what is said of it is made.
        let column = Id { kind: ObjectKind::Column, ..id.clone() };
        if id.kind == ObjectKind::Default
            && self.world.to.get(&column).is_some_and(|column| column.has("type"))
            && let Some(column) = self.number(Verb::Create, &column)
        {
            self.graph.join(at, column, true);
        }
    }

    fn statements(&mut self) -> Vec<Sql> {
        let (mut order, _) = self.graph.order();
        gaps::shorten(&self.graph, &self.actions, &self.world.remade, &mut order);
        let unread = self.bodies.unread(&self.graph, &order);
        self.say_moved_columns(&order);
        let mut members: BTreeMap<usize, Vec<&'a Id>> = BTreeMap::new();
        for (at, (_, id)) in self.actions.iter().enumerate() {
            let leader = self.graph.leader(at);
            if leader != at {
                members.entry(leader).or_default().push(id);
            }
        }
        let mut statements: Vec<Sql> = Vec::new();
        let mut gone: BTreeMap<&Id, usize> = BTreeMap::new();
        let mut without = BTreeSet::new();
        for at in order {
            let Some((verb, id)) = self.actions.get(at).copied() else { continue };
            let along = members.remove(&at).unwrap_or_default();
            if verb == Verb::Drop && kinds::WITH_PARTS.contains(&id.kind) {
                without.insert((id.schema.as_deref(), id.name.as_str()));
            }
            let whole = id.table.as_deref().map(|table| (id.schema.as_deref(), table));
            let made = match verb {
                // It went with its table.
                Verb::Drop if whole.is_some_and(|whole| without.contains(&whole)) => Vec::new(),
                Verb::Drop => self.dropped(id),
                Verb::Alter => self.work.altered.get(id).cloned().unwrap_or_default(),
                Verb::Create => self.created(id, &along),
                Verb::Finish => self.finishing.remove(id).unwrap_or_default(),
            };
            if verb == Verb::Drop && self.world.remade.contains(id) && !made.is_empty() {
                gone.insert(id, statements.len());
            }
            if verb == Verb::Create
                && let Some(at) = gone.remove(id)
                && gaps::is_gap(&statements, at, &made)
                && let Some(drop) = statements.get_mut(at)
                && !drop.hazards.contains(&hazards::GAP)
            {
                drop.hazards.push(hazards::GAP);
            }
            for mut sql in made {
                sql.unread = unread.contains(&at) && bodies::is_of_routine(&sql.text);
                if sql.late && verb != Verb::Finish {
                    self.finishing.entry(id).or_default().push(Sql { late: false, ..sql });
                } else {
                    statements.push(sql);
                }
            }
        }
        bodies::unchecked(meanwhile::in_order(statements, self.world.from))
    }

    fn dropped(&self, id: &Id) -> Vec<Sql> {
        let Some(object) = self.world.from.get(id) else { return Vec::new() };
        // Of a view's column only what is said of it goes.
        if id.kind == ObjectKind::Column && !object.has("type") {
            let common = Common::of(id);
            let mut statements: Vec<Sql> =
                object.list("grants").iter().map(|entry| common.revoke(entry)).collect();
            statements.extend(object.has("comment").then(|| common.comment(None)));
            statements.extend(column::unset(id, object));
            return statements;
        }
        (making_of(id.kind).drop)(id, object, self.world)
    }

    fn created(&self, id: &Id, along: &[&'a Id]) -> Vec<Sql> {
        let (world, to) = (self.world, self.world.to);
        let Some(object) = to.get(id) else { return Vec::new() };
        let mut statements = match id.kind {
            ObjectKind::Table | ObjectKind::ForeignTable => self.created_table(id, object, along),
            ObjectKind::Column => {
                let default =
                    along.iter().find(|part| part.kind == ObjectKind::Default).and_then(|part| to.get(part));
                column::create_with(id, object, default.and_then(|default| default.text("expression")), world)
            }
            _ => (making_of(id.kind).create)(id, object, world),
        };
        for (id, object) in
            std::iter::once((id, object)).chain(along.iter().filter_map(|part| Some((*part, to.get(part)?))))
        {
            statements.extend(unwanted_defaults(id, object, world));
            statements.extend(common_creation(id, object, to));
        }
        if matches!(id.kind, ObjectKind::Constraint | ObjectKind::Index) {
            let said = table::said_of_index(id, &id.name, world);
            statements.extend(said.into_iter().map(Sql::late));
        }
        if is_base(to, id) {
            statements.iter_mut().skip(1).for_each(|sql| sql.late = true);
        }
        statements
    }

    fn created_table(&self, id: &Id, object: &Object, along: &[&'a Id]) -> Vec<Sql> {
        let to = self.world.to;
        let part = |kind: ObjectKind, name: &str| {
            along.iter().copied().find(|part| part.kind == kind && part.name == name)
        };
        let by_inheritance = |object: &Object| object.has("inherited");
        let inherits = object.has("inherits");
        let (mut inside, mut behind) = (Vec::new(), Vec::new());
        for name in object.list("columns") {
            let Some(column) = part(ObjectKind::Column, name) else { continue };
            let Some(what) = to.get(column) else { continue };
            let what = &*column::before_attached(column, what, to);
            let default = part(ObjectKind::Default, name)
                .and_then(|default| to.get(default))
                .and_then(|default| default.text("expression"));
            if inherits && by_inheritance(what) {
                behind.extend(default.map(|default| {
                    Sql::new(format!(
                        "ALTER TABLE ONLY {} ALTER COLUMN {} SET DEFAULT {default}",
                        id.name_sql(),
                        crate::sql::quote_ident(name)
                    ))
                }));
            } else if object.has("of type") {
                inside.extend(column::inline_of_type(column, what, default));
            } else {
                inside.push(column::inline(column, what, default));
            }
            behind.extend(column::settings(column, what));
        }
        let mut keys: Vec<(&Id, &Object)> = along
            .iter()
            .filter(|part| part.kind == ObjectKind::Constraint)
            .filter_map(|part| Some((*part, to.get(part)?)))
            .filter(|(_, what)| !(inherits && by_inheritance(what)))
            .collect();
        // As people write them: the primary key first, keys to others last.
        let place = |object: &Object| match object.text("definition") {
            Some(text) if text.starts_with("PRIMARY KEY") => 0,
            Some(text) if text.starts_with("FOREIGN KEY") => 3,
            Some(text) if text.starts_with("CHECK") => 2,
            _ => 1,
        };
        keys.sort_by_key(|(_, object)| place(object));
        inside.extend(keys.iter().map(|(key, what)| constraint::inline(key, what)));
        let said = keys.iter().filter_map(|(key, what)| Some((key, what.text("index comment")?)));
        behind.extend(said.map(|(key, text)| constraint::comment_on_index(key, Some(text))));
        let mut statements = table::create_with(id, object, &inside);
        statements.extend(behind);
        statements
    }
}
