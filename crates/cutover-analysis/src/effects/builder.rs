//! Collects the effects of a statement.

use pg_query::protobuf::{Node, RangeVar, TypeName};

use super::lock_mode::LockMode;
use super::model::{
    Check, Control, Effects, Lock, ObjectKind, ObjectRef, Reference, Refusal, Retry, Setting, Taking,
    TransactionRule, Work, WorkKind,
};
use super::names;
use super::walk::{Found, Walk, find};
use crate::effects::SmolStr;

/// What the other table of a foreign key is needed for.
const FOREIGN_KEY: &str = "foreign key to it";

#[derive(Debug, Default)]
pub(super) struct Builder {
    effects: Effects,
}

impl Builder {
    /// The effects, without references to what the statement itself creates.
    pub(super) fn finish(mut self) -> Effects {
        let created = std::mem::take(&mut self.effects.creates);
        self.effects
            .references
            .retain(|reference| !created.iter().any(|own| is_same(own, &reference.object)));
        let mut seen: Vec<Reference> = Vec::with_capacity(self.effects.references.len());
        for reference in std::mem::take(&mut self.effects.references) {
            if !seen.iter().any(|known| known.object == reference.object) {
                seen.push(reference);
            }
        }
        self.effects.references = seen;
        // CREATE OR REPLACE creates and alters: it may have been there.
        let altered = std::mem::take(&mut self.effects.alters);
        let is_own =
            |relation: &ObjectRef| created.iter().any(|own| is_same(own, relation) && !altered.contains(own));
        let was_there = |relation: &ObjectRef| !relation.is_temporary() && !is_own(relation);
        self.effects.refers.retain(|table| !created.iter().any(|own| is_same(own, table)));
        self.effects.locks.retain(|lock| was_there(&lock.relation));
        self.effects.work.retain(|work| was_there(&work.relation));
        self.effects.reads.retain(was_there);
        self.effects.alters = altered;
        self.effects.creates = created;
        self.forget_what_bodies_make();
        self.effects
    }

    /// What a body makes itself it does not need; what it makes for the session alone nobody else has.
    fn forget_what_bodies_make(&mut self) {
        let made = std::mem::take(&mut self.effects.late_creates);
        self.effects.late.retain(|reference| !made.iter().any(|own| is_same(own, &reference.object)));
        self.effects.late_creates = made.into_iter().filter(|object| !object.is_temporary()).collect();
    }

    pub(super) fn creates(&mut self, object: ObjectRef) {
        self.effects.session_state |= object.is_temporary();
        self.effects.creates.push(object);
    }

    /// An object has another name afterwards, or is in another schema.
    pub(super) fn renames(&mut self, old: ObjectRef, new: ObjectRef) {
        self.drops(old.clone());
        self.creates(new.clone());
        self.effects.renames.push((old, new));
    }

    /// Nothing may be built on it.
    pub(super) fn takes(&mut self, object: ObjectRef, taking: Taking) {
        self.effects.takes.push((object, taking));
    }

    /// An index becomes a constraint's, and is called as that is.
    pub(super) fn takes_the_name(&mut self, index: ObjectRef, own: ObjectRef) {
        self.effects.renames.push((index, own));
    }

    /// The statement fails where what it creates first is there, unless it says otherwise.
    pub(super) fn must_be_new(&mut self, unless: bool) {
        self.effects.must_be_new = !unless;
        self.effects.leaves_it_there = true;
    }

    /// PostgreSQL chooses the name.
    pub(super) fn chooses(&mut self, object: ObjectRef) {
        if !object.is_temporary() {
            self.effects.chosen.push(object);
        }
    }

    pub(super) fn alters(&mut self, object: ObjectRef) {
        if !self.effects.alters.contains(&object) {
            self.effects.alters.push(object);
        }
    }

    pub(super) fn refers(&mut self, table: ObjectRef) {
        if !self.effects.refers.contains(&table) {
            self.effects.refers.push(table);
        }
    }

    /// A trigger gives the rows of a statement these names.
    pub(super) fn hands_over<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.effects.transitions.extend(names.map(SmolStr::new));
    }

    pub(super) fn drops(&mut self, object: ObjectRef) {
        self.effects.drops.push(object);
    }

    /// An object that has to be there, and that is not only read.
    pub(super) fn needs(&mut self, object: ObjectRef, why: &str) {
        self.handles(&object);
        self.needs_to_read(object, why);
    }

    /// Something is done to the object, or it is built on.
    pub(super) fn handles(&mut self, object: &ObjectRef) {
        let placed = object.schema.is_some() || object.kind == ObjectKind::Schema;
        if placed && !is_catalogue(object) && !self.effects.handles.contains(object) {
            self.effects.handles.push(object.clone());
        }
    }

    /// What a statement of a body touches and makes when it runs, and what it needs then, if it is said where it stands.
    pub(super) fn handles_as(&mut self, body: Self, needs: Option<&str>) {
        let effects = body.finish();
        for object in effects.touches() {
            self.handles(object);
        }
        self.searches_in(effects.searched_schemas);
        self.effects.disowns.extend(effects.disowns);
        if let Some(place) = needs {
            for Reference { object, why, .. } in effects.references {
                self.needs_late(object, &format!("{why} {place}"));
            }
        }
        self.effects.late_creates.extend(effects.creates);
    }

    /// An object that PostgreSQL looks for when it checks a body.
    pub(super) fn checks(&mut self, object: ObjectRef, why: &str) {
        if !is_catalogue(&object) && !self.effects.checked.iter().any(|known| known.object == object) {
            self.effects.checked.push(Reference { object, why: why.into(), by: None });
        }
    }

    /// The objects of a role are dropped or given away.
    pub(super) fn disowns(&mut self, role: ObjectRef) {
        self.effects.disowns.push(role);
    }

    /// A search path gets these schemas.
    pub(super) fn searches_in(&mut self, schemas: Vec<String>) {
        self.effects.searched_schemas.extend(schemas);
    }

    /// An object that has to be there for being read, or for a signature: nothing comes to depend on it.
    pub(super) fn needs_to_read(&mut self, object: ObjectRef, why: &str) {
        self.effects.references.push(Reference { object, why: why.into(), by: None });
    }

    /// The other table of a foreign key over some columns.
    pub(super) fn needs_parent(&mut self, parent: ObjectRef, table: &ObjectRef, columns: &[&str]) {
        let by = match columns {
            [column] => format!("{}.{column}", table.name),
            columns => format!("{}.({})", table.name, columns.join(", ")),
        };
        self.handles(&parent);
        self.effects.references.push(Reference {
            object: parent,
            why: FOREIGN_KEY.into(),
            by: Some(by.into()),
        });
    }

    /// An object that a body mentions.
    pub(super) fn needs_late(&mut self, object: ObjectRef, why: &str) {
        if !is_catalogue(&object) && !self.effects.late.iter().any(|known| known.object == object) {
            self.effects.late.push(Reference { object, why: why.into(), by: None });
        }
    }

    pub(super) fn late_opaque(&mut self, why: impl Into<String>) {
        self.effects.late_opaque.get_or_insert_with(|| why.into());
    }

    /// An object that is changed and has to be there.
    pub(super) fn changes(&mut self, object: ObjectRef, missing_ok: bool, why: &str) {
        if !missing_ok {
            self.needs(object.clone(), why);
        }
        self.alters(object);
    }

    pub(super) fn needs_relation(&mut self, kind: ObjectKind, relation: Option<&RangeVar>, why: &str) {
        if let Some(relation) = relation {
            self.needs(names::relation(kind, relation), why);
        }
    }

    pub(super) fn needs_named(&mut self, kind: ObjectKind, name: &[Node], why: &str) {
        if let Some(object) = names::object(kind, name).filter(|object| !is_catalogue(object)) {
            self.needs(object, why);
        }
    }

    pub(super) fn needs_type(&mut self, name: Option<&TypeName>, why: &str) {
        if let Some(object) = name.and_then(names::type_object) {
            self.needs(object, why);
        }
    }

    /// As [`needs_to_read`](Self::needs_to_read), of a type.
    pub(super) fn needs_type_to_read(&mut self, name: Option<&TypeName>, why: &str) {
        if let Some(object) = name.and_then(names::type_object) {
            self.needs_to_read(object, why);
        }
    }

    /// Everything a part of the statement mentions has to be there.
    pub(super) fn needs_all_in(&mut self, tree: &impl Walk, why: &str) -> Found {
        let mut found = find(tree);
        let in_query = why == "read";
        let lists = [
            (&mut found.writes, if in_query { "written" } else { why }),
            (&mut found.reads, why),
            (&mut found.routines, if in_query { "called" } else { why }),
            (&mut found.types, if in_query { "type in an expression" } else { why }),
        ];
        for (objects, why) in lists {
            objects.retain(|object| !is_catalogue(object));
            for object in objects.iter() {
                self.needs_to_read(object.clone(), why);
            }
        }
        for object in found.writes.iter().chain(&found.held) {
            self.handles(object);
        }
        found
    }

    /// Says why the effects may not be all; the first reason stays.
    pub(super) fn opaque(&mut self, why: impl Into<String>) {
        self.effects.opaque.get_or_insert_with(|| why.into());
    }

    pub(super) fn writes(&mut self, table: ObjectRef) {
        if !self.effects.writes.contains(&table) {
            self.effects.writes.push(table);
        }
    }

    pub(super) fn reads(&mut self, relation: ObjectRef) {
        if !is_catalogue(&relation) && !self.effects.reads.contains(&relation) {
            self.effects.reads.push(relation);
        }
    }

    /// A lock on a relation; of several the strongest counts.
    pub(super) fn locks(&mut self, relation: ObjectRef, mode: LockMode) {
        if is_catalogue(&relation) {
            return;
        }
        let relation = ObjectRef { kind: ObjectKind::Relation, table: None, ..relation };
        match self.effects.locks.iter_mut().find(|lock| lock.relation == relation) {
            Some(lock) => lock.mode = lock.mode.max(mode),
            None => self.effects.locks.push(Lock { relation, mode }),
        }
    }

    /// The relations that are locked so far.
    pub(super) fn locked(&self) -> impl Iterator<Item = &ObjectRef> {
        self.effects.locks.iter().map(|lock| &lock.relation)
    }

    pub(super) fn locks_more(&mut self, which: String) {
        if !self.effects.more_locks.contains(&which) {
            self.effects.more_locks.push(which);
        }
    }

    pub(super) fn works(&mut self, relation: ObjectRef, kind: WorkKind, sure: bool, why: String) {
        let relation = ObjectRef { kind: ObjectKind::Relation, table: None, ..relation };
        match self.effects.work.iter_mut().find(|work| work.relation == relation && work.kind == kind) {
            Some(known) if sure && !known.sure => (known.sure, known.why) = (sure, why),
            Some(_) => {}
            None => self.effects.work.push(Work { relation, kind, sure, why }),
        }
    }

    pub(super) fn session_state(&mut self) {
        self.effects.session_state = true;
    }

    pub(super) fn search_path(&mut self) {
        self.effects.sets_search_path = true;
        self.effects.session_state = true;
    }

    /// A setting gets a value.
    pub(super) fn sets(&mut self, setting: Setting) {
        if setting.name == "search_path" {
            self.searches_in(setting.values.clone().unwrap_or_default());
        }
        if !self.effects.settings.contains(&setting) {
            self.effects.settings.push(setting);
        }
    }

    pub(super) fn copy_from_stdin(&mut self) {
        self.effects.copy_from_stdin = true;
    }

    /// The server would refuse it; the first reason stays.
    pub(super) fn refused(&mut self, message: String, hint: String) {
        self.effects.refused.get_or_insert_with(|| Box::new(Refusal { message, hint }));
    }

    pub(super) fn forbidden(&mut self, what: &'static str, retry: Retry) {
        self.effects.transaction = TransactionRule::Forbidden { what };
        self.effects.retry = retry;
    }

    pub(super) fn forbidden_checkable(&mut self, what: &'static str, check: Check) {
        self.forbidden(what, Retry::Checkable(check));
    }

    /// Takes over the effects of an element of CREATE SCHEMA: what it creates without a schema is in that one, and
    /// so may be what it needs.
    pub(super) fn take_in_schema(&mut self, element: Self, schema: &str) {
        let mut effects = element.finish();
        let lists = [&mut effects.creates, &mut effects.alters, &mut effects.chosen];
        for object in lists.into_iter().flatten().filter(|object| object.schema.is_none()) {
            object.schema = Some(schema.into());
        }
        for object in effects.creates {
            self.creates(object);
        }
        for object in effects.alters {
            self.alters(object);
        }
        self.effects.chosen.append(&mut effects.chosen);
        let made = |reference: &Reference| {
            let within = ObjectRef { schema: Some(schema.into()), ..reference.object.clone() };
            reference.object.schema.is_none() && self.effects.creates.iter().any(|own| is_same(own, &within))
        };
        effects.references.retain(|reference| !made(reference));
        effects.refers.retain(|table| effects.references.iter().any(|reference| reference.object == *table));
        for table in std::mem::take(&mut effects.refers) {
            self.refers(table);
        }
        self.effects.references.append(&mut effects.references);
        for object in effects.handles {
            self.handles(&object);
        }
    }

    pub(super) fn control(&mut self, control: Control) {
        self.effects.transaction = TransactionRule::Control(control);
        self.effects.session_state = true;
    }
}

fn is_catalogue(object: &ObjectRef) -> bool {
    matches!(object.schema.as_deref(), Some("pg_catalog" | "information_schema"))
}

/// Whether `reference` means `created`, which may be of a narrower kind.
fn is_same(created: &ObjectRef, reference: &ObjectRef) -> bool {
    // A temporary object is found without its schema.
    let schema = created.schema == reference.schema || created.is_temporary() && reference.schema.is_none();
    let family = created.kind.family();
    // The table of an index is known in some places only, and its name is unique without it.
    let table = family == ObjectKind::Relation || created.table == reference.table;
    schema && table && created.name == reference.name && family == reference.kind.family()
}
