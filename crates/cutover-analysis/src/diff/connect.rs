//! Which action comes before which, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::Left;
use super::actions::{Action, Plan, Verb, is_base, needs};
use crate::effects::ObjectKind;
use crate::schema::kinds::{self, constraint, sequence, table};
use crate::schema::{Id, Object, Schema, parent_of};

/// An object, and the columns that it is inherited from: they change together.
fn inherited_from<'a>(schema: &'a Schema, id: &'a Id) -> Vec<&'a Id> {
    let mut all = vec![id];
    let mut at = 0;
    while let Some(next) = all.get(at).copied() {
        at += 1;
        let object =
            schema.get(next).filter(|object| next.kind == ObjectKind::Column && object.has("inherited"));
        for parent in object.into_iter().flat_map(|object| &object.needs) {
            if parent.kind == ObjectKind::Column && parent.table != next.table && !all.contains(&parent) {
                all.push(parent);
            }
        }
    }
    all
}

/// A sequence is given to its column when both are there.
fn is_given_last(id: &Id, needed: &Id) -> bool {
    id.kind == ObjectKind::Sequence && matches!(needed.kind, ObjectKind::Column | ObjectKind::Table)
}

impl<'a> Plan<'a> {
    /// Which comes before which.
    pub(super) fn connect(&mut self) {
        let (from, to) = (self.world.from, self.world.to);
        for (verb, id) in self.actions.clone() {
            match verb {
                Verb::Drop => {
                    let successor = sequence::taken_over(self.world, id);
                    if let Some(column) = successor {
                        self.edge((Verb::Alter, column), (Verb::Drop, id));
                    }
                    let needed = from.get(id).into_iter().flat_map(|object| &object.needs);
                    for needed in needed.filter(|needed| Some(*needed) != successor) {
                        if self.is_own_of_heir(id, needed, from) {
                            continue;
                        }
                        self.edge((Verb::Drop, id), (Verb::Drop, needed));
                        // A column changes with those that inherit it, and a sequence whatever uses it.
                        let is_inherited =
                            |id: &Id| id.kind == ObjectKind::Column && id.table != needed.table;
                        if needed.kind == ObjectKind::Sequence
                            || needed.kind == ObjectKind::Column && is_inherited(id)
                        {
                            continue;
                        }
                        // What a table is as a whole changes beside its parts, and a schema beside what is in it.
                        let of_whole = needed.kind == ObjectKind::Schema
                            || id.table.is_some() && kinds::WITH_PARTS.contains(&needed.kind);
                        for changed in inherited_from(from, needed).into_iter().filter(|_| !of_whole) {
                            self.edge((Verb::Drop, id), (Verb::Alter, changed));
                        }
                    }
                    self.edge((Verb::Drop, id), (Verb::Create, id));
                }
                Verb::Create => self.connect_creation(id),
                Verb::Alter => {
                    for needed in to.get(id).into_iter().flat_map(|object| &object.needs) {
                        if is_given_last(id, needed) {
                            continue;
                        }
                        self.edge((Verb::Create, needed), (Verb::Alter, id));
                        self.edge((Verb::Alter, needed), (Verb::Alter, id));
                    }
                    let set_free = self.work.is_set_free(id);
                    for needed in from.get(id).into_iter().flat_map(|object| &object.needs) {
                        if set_free || !self.work.remade.contains(needed) {
                            self.edge((Verb::Alter, id), (Verb::Drop, needed));
                        }
                        if set_free && !needs(to, id, needed) {
                            self.edge((Verb::Alter, id), (Verb::Alter, needed));
                        }
                    }
                }
                Verb::Finish => {
                    self.edge((Verb::Create, id), (Verb::Finish, id));
                    self.edge((Verb::Alter, id), (Verb::Finish, id));
                    for needed in to.get(id).into_iter().flat_map(|object| &object.needs) {
                        self.edge((Verb::Create, needed), (Verb::Finish, id));
                        if matches!(id.kind, ObjectKind::Constraint | ObjectKind::Index) {
                            self.edge((Verb::Alter, needed), (Verb::Finish, id));
                        }
                    }
                }
            }
        }
        self.connect_freed();
        self.connect_sequences();
        self.connect_default_privileges();
        self.connect_with_parent();
        self.connect_own();
        self.connect_inheritance();
        self.connect_keys();
        self.connect_names();
        self.connect_parts();
        self.connect_bodies();
        self.connect_detached();
        self.connect_columns();
    }

    /// What is made anew so that something else can be changed is gone meanwhile.
    fn connect_freed(&mut self) {
        let work = self.work;
        for (held, owners) in &work.freed {
            for owner in owners {
                self.edge((Verb::Drop, held), (Verb::Alter, owner));
                self.edge((Verb::Alter, owner), (Verb::Create, held));
            }
        }
    }

    /// A key refers to the first index that fits: to none of those that go.
    fn connect_keys(&mut self) {
        let mut attached: Vec<(usize, usize)> = Vec::new();
        let mut gone: BTreeMap<(Option<&str>, &str), Vec<usize>> = BTreeMap::new();
        for (at, (verb, id)) in self.actions.iter().enumerate() {
            if *verb == Verb::Drop && matches!(id.kind, ObjectKind::Constraint | ObjectKind::Index) {
                let table = id.table.as_deref().unwrap_or_default();
                gone.entry((id.schema.as_deref(), table)).or_default().push(at);
            }
        }
        for (at, (verb, id)) in self.actions.iter().enumerate() {
            let Some(key) = self.world.to.get(id).filter(|_| *verb == Verb::Create) else { continue };
            if !key.text("definition").is_some_and(|text| text.starts_with("FOREIGN KEY")) {
                continue;
            }
            let indexes = key.needs.iter();
            let indexes =
                indexes.filter(|one| matches!(one.kind, ObjectKind::Constraint | ObjectKind::Index));
            let tables: BTreeSet<_> = indexes
                .map(|one| (one.schema.as_deref(), one.table.as_deref().unwrap_or_default()))
                .collect();
            let parents: Vec<String> = key.needs.iter().map(Id::name_sql).collect();
            attached.extend(self.attached_to(&parents).into_iter().map(|first| (first, at)));
            for first in tables.iter().flat_map(|table| gone.get(table).into_iter().flatten()) {
                let is_key = |(_, other): &Action<'_>| {
                    let text = self.world.from.get(other).and_then(|object| object.text("definition"));
                    text.is_some_and(|text| !text.starts_with("FOREIGN KEY") && !text.starts_with("CHECK"))
                };
                if self.actions.get(*first).is_some_and(is_key) {
                    self.graph.before(*first, at);
                }
            }
        }
        for (first, at) in attached {
            self.graph.before(first, at);
        }
    }

    /// The actions that attach indexes of partitions to those of that name: an index is valid when all are.
    fn attached_to(&self, parents: &[String]) -> Vec<usize> {
        let mut all = Vec::new();
        for (at, (verb, id)) in self.actions.iter().enumerate() {
            let parent = self.world.to.get(id).and_then(|object| object.text("partition of"));
            if *verb == Verb::Finish && parent.is_some_and(|parent| parents.iter().any(|one| one == parent)) {
                all.push(at);
                all.extend(self.attached_to(&[id.name_sql()]));
            }
        }
        all
    }

    /// A sequence has the owner of the table that it belongs to.
    fn connect_sequences(&mut self) {
        for (verb, id) in self.actions.clone() {
            if id.kind != ObjectKind::Sequence || !matches!(verb, Verb::Alter | Verb::Finish) {
                continue;
            }
            let needed = self.world.to.get(id).into_iter().flat_map(|object| &object.needs);
            for column in needed.filter(|needed| needed.kind == ObjectKind::Column) {
                if let Some((table, _)) = self.world.whole(column) {
                    self.edge((Verb::Alter, &table), (verb, id));
                }
            }
        }
    }

    /// What is granted by default from now on is not granted on what is made along with it.
    fn connect_default_privileges(&mut self) {
        let of_defaults = |id: &Id| id.kind == ObjectKind::DefaultPrivileges;
        let numbered = || self.actions.iter().enumerate();
        let changed: Vec<usize> = numbered()
            .filter(|(_, (verb, id))| matches!(verb, Verb::Create | Verb::Alter) && of_defaults(id))
            .map(|(at, _)| at)
            .collect();
        let made: Vec<usize> = numbered()
            .filter(|(_, (verb, id))| *verb == Verb::Create && !of_defaults(id) && id.table.is_none())
            .map(|(at, _)| at)
            .collect();
        for at in changed {
            for first in &made {
                self.graph.before(*first, at);
            }
        }
    }

    /// What a partition or an heir has from its parent, and is to have as its own, goes with the parent's and is made then.
    fn connect_with_parent(&mut self) {
        for (verb, id) in self.actions.clone() {
            if verb != Verb::Create || !matches!(id.kind, ObjectKind::Index | ObjectKind::Constraint) {
                continue;
            }
            let Some(before) = self
                .world
                .from
                .get(id)
                .filter(|object| object.has("inherited") || object.has("partition of"))
            else {
                continue;
            };
            let by_name = |other: &Id| {
                before.has("inherited")
                    && other.kind == id.kind
                    && other.name == id.name
                    && other.table != id.table
            };
            let parents: Vec<usize> = self
                .actions
                .iter()
                .enumerate()
                .filter(|(_, (verb, other))| {
                    *verb == Verb::Drop && (before.needs.contains(*other) || by_name(other))
                })
                .map(|(at, _)| at)
                .collect();
            let Some(at) = self.number(verb, id) else { continue };
            for parent in parents {
                self.graph.before(parent, at);
            }
        }
    }

    /// New columns of a table come in their order, unless one is computed from another that stands behind it.
    fn connect_columns(&mut self) {
        for (_, created) in self.created_columns() {
            for pair in created.windows(2) {
                if let [first, second] = pair {
                    self.graph.prefer_strongly(*first, *second);
                }
            }
        }
    }

    /// The actions that make columns of each table, in the order of the columns.
    fn created_columns(&self) -> Vec<(Id, Vec<usize>)> {
        let mut tables: BTreeSet<Id> = BTreeSet::new();
        for (verb, id) in &self.actions {
            if *verb == Verb::Create && id.kind == ObjectKind::Column {
                tables.extend(self.world.whole(id).map(|(table, _)| table));
            }
        }
        let created = |table: Id| {
            let (namespace, object) = (table.schema.clone()?, self.world.to.get(&table)?);
            let columns = object.list("columns").iter();
            let numbers = columns
                .map(|name| Id::part(ObjectKind::Column, namespace.clone(), table.name.clone(), name.clone()))
                .filter_map(|column| self.number(Verb::Create, &column))
                .collect();
            Some((table, numbers))
        };
        tables.into_iter().filter_map(created).collect()
    }

    /// New columns stand in the order in which they are made.
    pub(super) fn say_moved_columns(&mut self, order: &[usize]) {
        let places: BTreeMap<usize, usize> =
            order.iter().enumerate().map(|(at, leader)| (*leader, at)).collect();
        let place = |action: &usize| places.get(&self.graph.leader(*action)).copied();
        for (table, created) in self.created_columns() {
            let says = |left: &Left| left.object == table && left.what.starts_with(table::COLUMN_ORDER);
            let is_known = self.work.left.iter().any(says);
            if !is_known && !created.is_sorted_by_key(place) {
                let what = format!(
                    "{}: one is computed from another that is to stand behind it, and is added when that is there",
                    table::COLUMN_ORDER
                );
                self.left.push(Left { object: table, what });
            }
        }
    }

    /// What a partition has from its parent changes along with it while it is attached: one that is put in again, e.g. for
    /// other bounds, is taken out when all of that is done; one that is taken out for good or for another parent, before.
    fn connect_detached(&mut self) {
        let mut by_table: BTreeMap<(Option<&str>, &str), Vec<Action<'a>>> = BTreeMap::new();
        let mut attached: BTreeMap<(Option<&str>, Option<&str>), Vec<&'a Id>> = BTreeMap::new();
        let parent = |object: &'a Object| (object.text("schema of parent"), object.text("name of parent"));
        for (verb, id) in &self.actions {
            match id.kind {
                ObjectKind::Column | ObjectKind::Constraint | ObjectKind::Index if *verb != Verb::Finish => {
                    let table = id.table.as_deref().unwrap_or_default();
                    by_table.entry((id.schema.as_deref(), table)).or_default().push((*verb, id));
                }
                ObjectKind::Partition if *verb == Verb::Create => {
                    if let Some(object) = self.world.to.get(id) {
                        attached.entry(parent(object)).or_default().push(id);
                    }
                }
                _ => {}
            }
        }
        for (verb, id) in self.actions.clone() {
            let Some(object) = self.world.from.get(id) else { continue };
            if id.kind != ObjectKind::Partition || verb != Verb::Drop || !self.world.was_there(id) {
                continue;
            }
            for other in attached.get(&parent(object)).into_iter().flatten() {
                self.edge((Verb::Drop, id), (Verb::Create, other));
            }
            let again = self.world.to.get(id).is_some_and(|wanted| parent(wanted) == parent(object));
            let (schema, table) = parent(object);
            let tables = [(id.schema.as_deref(), id.name.as_str()), (schema, table.unwrap_or_default())];
            for part in tables.iter().flat_map(|table| by_table.get(table).cloned().unwrap_or_default()) {
                if again {
                    self.edge(part, (Verb::Drop, id));
                } else {
                    self.edge((Verb::Drop, id), part);
                }
            }
        }
    }

    fn connect_creation(&mut self, id: &'a Id) {
        if let Some(column) = sequence::taking_over(self.world, id) {
            self.edge((Verb::Create, id), (Verb::Alter, column));
        }
        for needed in self.world.to.get(id).into_iter().flat_map(|object| &object.needs) {
            if is_given_last(id, needed) {
                continue;
            }
            // A base type begins as a name, which its functions need, and is there when they are.
            if is_base(self.world.to, id) && needed.kind == ObjectKind::Function {
                continue;
            }
            if is_base(self.world.to, needed) && !needs(self.world.to, needed, id) {
                self.edge((Verb::Finish, needed), (Verb::Create, id));
            }
            if self.is_before_parent(needed, id) || self.is_own_of_heir(id, needed, self.world.to) {
                continue;
            }
            self.edge((Verb::Create, needed), (Verb::Create, id));
            for changed in inherited_from(self.world.to, needed) {
                if id.kind == ObjectKind::Default && self.only_fills(changed) {
                    self.edge((Verb::Create, id), (Verb::Alter, changed));
                } else {
                    self.edge((Verb::Alter, changed), (Verb::Create, id));
                }
            }
        }
    }

    /// Whether a partition's key is made before its parent's, and then before those above too.
    fn is_before_parent(&mut self, parent: &Id, key: &Id) -> bool {
        let (world, to) = (self.world, self.world.to);
        let is_first = to.get(key).is_some_and(|object| constraint::is_named_by_hand(key, object, world));
        if !is_first || !constraint::is_parent_of(parent, key, world) {
            return false;
        }
        let mut above = Some(parent);
        while let Some(next) = above {
            self.edge((Verb::Create, key), (Verb::Create, next));
            let mut needed = to.get(next).into_iter().flat_map(|object| &object.needs);
            above = needed.find(|needed| constraint::is_parent_of(needed, next, world));
        }
        true
    }

    /// Whether a column is to have a value in each row and is otherwise what it was: its default comes first, so that rows that
    /// are put in meanwhile have it.
    fn only_fills(&self, column: &Id) -> bool {
        let Some((before, after)) = self.world.from.get(column).zip(self.world.to.get(column)) else {
            return false;
        };
        let same = |attribute: &&str| before.attributes.get(*attribute) == after.attributes.get(*attribute);
        !before.has("not null")
            && after.has("not null")
            && ["type", "collation", "generated", "identity"].iter().all(same)
    }

    /// A name is free when what has it is gone.
    fn connect_names(&mut self) {
        fn space(id: &Id) -> (ObjectKind, Option<&str>, Option<&str>, &str) {
            let table = id.table.as_deref().filter(|_| id.is_part_of_a_table());
            // Keys are indexes too, and tables are types.
            let family = match id.kind.family() {
                ObjectKind::Constraint => {
                    return (ObjectKind::Relation, id.schema.as_deref(), None, &id.name);
                }
                ObjectKind::Type => ObjectKind::Relation,
                other => other,
            };
            (family, id.schema.as_deref(), table, &id.name)
        }
        let dropped: Vec<(usize, &Id)> = self
            .actions
            .iter()
            .enumerate()
            .filter(|(_, (verb, _))| *verb == Verb::Drop)
            .map(|(at, (_, id))| (at, *id))
            .collect();
        let mut by_name: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, id) in dropped {
            by_name.entry(space(id)).or_default().push(at);
        }
        for (at, (verb, id)) in self.actions.iter().enumerate() {
            if *verb == Verb::Create {
                for first in by_name.get(&space(id)).into_iter().flatten() {
                    self.graph.before(*first, at);
                }
            }
        }
    }

    /// Partitions are attached when both have their keys and indexes; a table is finished when its parts are there.
    fn connect_parts(&mut self) {
        let mut by_table: BTreeMap<(Option<&str>, &str), Vec<Action<'a>>> = BTreeMap::new();
        for (verb, id) in &self.actions {
            if let Some(table) = &id.table
                && *verb != Verb::Drop
                && id.kind != ObjectKind::Partition
            {
                by_table.entry((id.schema.as_deref(), table)).or_default().push((*verb, id));
            }
        }
        for (verb, id) in self.actions.clone() {
            let wholes: Vec<Id> = match (verb, id.kind) {
                (Verb::Create, ObjectKind::Partition) => {
                    let Some(object) = self.world.to.get(id) else { continue };
                    [
                        Some(Id::new(
                            ObjectKind::Table,
                            id.schema.clone().unwrap_or_default(),
                            id.name.clone(),
                        )),
                        parent_of(object),
                    ]
                    .into_iter()
                    .flatten()
                    .collect()
                }
                (Verb::Finish, ObjectKind::Table | ObjectKind::MaterializedView) => vec![id.clone()],
                (Verb::Finish, ObjectKind::Index) => Vec::new(),
                _ => continue,
            };
            for whole in wholes {
                for (part_verb, part) in
                    by_table.get(&(whole.schema.as_deref(), whole.name.as_str())).cloned().unwrap_or_default()
                {
                    if part_verb == Verb::Finish
                        || matches!(part.kind, ObjectKind::Trigger | ObjectKind::Policy | ObjectKind::Rule)
                    {
                        continue;
                    }
                    if part_verb == Verb::Create && self.is_missing_in(part, id) {
                        self.edge((verb, id), (part_verb, part));
                    } else {
                        self.edge((part_verb, part), (verb, id));
                    }
                }
            }
        }
        self.connect_triggers_of_parents();
        // Indexes are attached behind the partitions of their tables.
        for (verb, id) in self.actions.clone() {
            if verb == Verb::Finish && id.kind == ObjectKind::Index {
                let table = id.table.clone().unwrap_or_default();
                let partition = Id::part(
                    ObjectKind::Partition,
                    id.schema.clone().unwrap_or_default(),
                    table.clone(),
                    table,
                );
                self.edge((Verb::Create, &partition), (Verb::Finish, id));
            }
        }
    }

    /// What is said of a parent's trigger in a partition is said when both are there.
    fn connect_triggers_of_parents(&mut self) {
        let triggers: Vec<Action<'a>> = self
            .actions
            .iter()
            .filter(|(verb, id)| id.kind == ObjectKind::Trigger && matches!(verb, Verb::Create | Verb::Alter))
            .copied()
            .collect();
        for (verb, id) in self.actions.clone() {
            let says = || self.world.to.get(id).is_some_and(|table| table.has("triggers of parent"));
            if verb != Verb::Finish || id.kind != ObjectKind::Table || !says() {
                continue;
            }
            let (schema, name) = (id.schema.clone().unwrap_or_default(), id.name.clone());
            let partition = Id::part(ObjectKind::Partition, schema, name.clone(), name);
            self.edge((Verb::Create, &partition), (verb, id));
            for trigger in &triggers {
                self.edge(*trigger, (verb, id));
            }
        }
    }

    /// Whether a partition is not to have its parent's index: attaching it makes all that are there.
    fn is_missing_in(&self, index: &Id, partition: &Id) -> bool {
        let has_it = |(id, object): (&Id, &Object)| {
            id.kind == ObjectKind::Index
                && id.table.as_ref() == Some(&partition.name)
                && id.schema == partition.schema
                && object.needs.contains(index)
        };
        index.kind == ObjectKind::Index
            && partition.kind == ObjectKind::Partition
            && (index.table.as_ref(), &index.schema) != (Some(&partition.name), &partition.schema)
            && !self.world.to.objects.iter().any(has_it)
    }
}
