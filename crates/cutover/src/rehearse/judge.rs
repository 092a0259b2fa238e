//! Where the trace and the analysis of the text do not agree about a statement: a mistake of cutover's, which is told and not
//! passed over. What the text cannot say (code that runs, rows that fire triggers) is not held against the analysis.

use std::collections::HashSet;

use cutover_analysis::effects::{Context, Effects, LockMode, Name, ObjectRef, WorkKind, effects_in_blocks};

use super::model::Object;
use super::trace::{Came, Holding, Relations, Said};

/// What is known of a statement when it has run.
pub(super) struct Seen<'a> {
    pub(super) effects: &'a Effects,
    /// Before the statement.
    pub(super) known: &'a Context,
    pub(super) relations: &'a Relations,
    /// Behind it.
    pub(super) holding: &'a Holding,
    pub(super) came: &'a Came,
    pub(super) said: &'a Said,
    /// Relations that the migration has dropped or renamed by then, by the names they had: what is called so now is another one.
    pub(super) gone: &'a HashSet<String>,
}

/// Every disagreement, in words.
pub(super) fn disagreements(seen: &Seen<'_>) -> Vec<String> {
    let mut words = Vec::new();
    seen.claimed_locks(&mut words);
    seen.claimed_work(&mut words);
    if seen.effects.opaque.is_none() && seen.effects.late_opaque.is_none() {
        seen.missed_locks(&mut words);
        seen.missed_work(&mut words);
        seen.missed_objects(&mut words);
    }
    words
}

/// What code has done to tables that were there before the first migration, and the text does not say: numbers of those that it has
/// written anew, dropped, and kept from being written to.
#[derive(Debug, Default)]
pub(super) struct ByCode {
    pub(super) anew: Vec<u32>,
    pub(super) gone: Vec<u32>,
    pub(super) held: Vec<u32>,
}

/// Finds it. `ground`: what was there has numbers up to this one.
pub(super) fn by_code(seen: &Seen<'_>, text: &str, ground: u32) -> ByCode {
    let runs_code = seen.effects.opaque.as_ref().is_some_and(|why| !why.starts_with("CASCADE"));
    if !runs_code {
        return ByCode::default();
    }
    let nothing = seen.came.anew.is_empty() && seen.came.gone.is_empty();
    if nothing && !seen.came.locks.iter().any(|(_, mode)| *mode == LockMode::Share) {
        return ByCode::default();
    }
    let blocks = effects_in_blocks(text, seen.known);
    let said = || std::iter::once(seen.effects).chain(&blocks);
    let stored = |oid: &u32| {
        let relation = seen.relations.get(*oid).filter(|_| *oid <= ground)?;
        (relation.is_table() && relation.kind != "v").then_some(&relation.stored)
    };
    let unsaid = |oids: &[u32], is_said: &dyn Fn(&(String, String)) -> bool| -> Vec<u32> {
        oids.iter().copied().filter(|oid| stored(oid).is_some_and(|stored| !is_said(stored))).collect()
    };
    let is_worked_on = |stored: &(String, String)| {
        said()
            .flat_map(|effects| &effects.work)
            .any(|work| work.kind == WorkKind::Rewrite && seen.is_of(&work.relation, stored))
    };
    let is_dropped = |stored: &(String, String)| {
        said().flat_map(|effects| &effects.drops).any(|object| seen.is_of(object, stored))
    };
    // What is said to be dropped takes its partitions along.
    let takes_along = seen.came.gone.iter().filter_map(stored).any(is_dropped);
    let held: Vec<u32> =
        (seen.came.locks.iter()).filter(|(_, mode)| *mode == LockMode::Share).map(|(oid, _)| *oid).collect();
    ByCode {
        anew: unsaid(&seen.came.anew, &is_worked_on),
        gone: unsaid(&seen.came.gone, &|stored| takes_along || is_dropped(stored)),
        held: unsaid(&held, &|stored| {
            let locks = said().flat_map(|effects| &effects.locks);
            locks.into_iter().any(|lock| lock.mode >= LockMode::Share && seen.is_of(&lock.relation, stored))
        }),
    }
}

impl Seen<'_> {
    /// The relation that a name means, where it was there before.
    fn found(&self, object: &ObjectRef) -> Option<(u32, Name)> {
        let name = self.known.resolve(object);
        let oid = self.relations.by_name(&name.schema, &name.name)?;
        let is_gone = self.relations.get(oid).is_some_and(|relation| self.gone.contains(&relation.name));
        (oid <= self.relations.newest && !is_gone).then_some((oid, name))
    }

    fn claimed_locks(&self, words: &mut Vec<String>) {
        // With IF EXISTS nothing is done to what is not there, and a lock that was taken to look is given back.
        if !self.effects.drops.is_empty() && !self.is_on_objects() {
            return;
        }
        for lock in self.effects.locks.iter().filter(|lock| lock.mode >= LockMode::ShareUpdateExclusive) {
            let Some((oid, name)) = self.found(&lock.relation) else { continue };
            let held = self.holding.mode(oid);
            if held.is_none_or(|held| held < lock.mode) {
                let was =
                    held.map_or_else(|| "none was taken".to_owned(), |held| format!("{} was", held.sql()));
                words.push(format!(
                    "{} on {}.{} was foreseen, {was}",
                    lock.mode.sql(),
                    name.schema,
                    name.name
                ));
            }
        }
    }

    /// Only of statements on objects: what rows set off is not in the text.
    fn missed_locks(&self, words: &mut Vec<String>) {
        if !self.is_on_objects() || !self.effects.more_locks.is_empty() {
            return;
        }
        for (oid, mode) in &self.came.locks {
            let Some(relation) = self.relations.get(*oid).filter(|relation| relation.is_table()) else {
                continue;
            };
            if self.gone.contains(&relation.name)
                || *mode < LockMode::RowExclusive
                || self.is_foreseen(&relation.stored, *mode)
            {
                continue;
            }
            words.push(format!("{} on {} was taken and not foreseen", mode.sql(), relation.name));
        }
    }

    fn is_foreseen(&self, relation: &(String, String), mode: LockMode) -> bool {
        self.effects.locks.iter().any(|lock| lock.mode >= mode && self.is_of(&lock.relation, relation))
    }

    /// Whether a name means a relation, or what it is a part of.
    fn is_of(&self, object: &ObjectRef, (schema, name): &(String, String)) -> bool {
        let meant = self.known.resolve(object);
        let mut at = vec![Name { schema: schema.as_str().into(), name: name.as_str().into() }];
        let mut depth = 0;
        while !at.is_empty() && depth < 20 {
            if at.contains(&meant) {
                return true;
            }
            let parents = at.iter().filter_map(|name| {
                let object = ObjectRef::new(
                    cutover_analysis::effects::ObjectKind::Relation,
                    Some(name.schema.clone()),
                    name.name.clone(),
                );
                Some(self.known.relation(&object)?.parents.clone())
            });
            at = parents.flatten().collect();
            depth += 1;
        }
        false
    }

    fn claimed_work(&self, words: &mut Vec<String>) {
        for work in self.effects.work.iter().filter(|work| work.sure) {
            let Some((oid, name)) = self.found(&work.relation) else { continue };
            let Some(relation) = self.relations.get(oid).filter(|relation| relation.is_table()) else {
                continue;
            };
            // A partitioned table has no rows of its own: its partitions are seen.
            if relation.kind == "p" {
                continue;
            }
            let (was_done, what) = match work.kind {
                WorkKind::Rewrite => (self.is_rewritten(oid, &relation.name), "was to be written anew"),
                WorkKind::Scan => (
                    self.came.scanned.contains(&relation.name) || self.is_rewritten(oid, &relation.name),
                    "was to be read as a whole",
                ),
                // An index that is made is no relation that was there; of a table without rows nothing is thrown away.
                WorkKind::Reindex | WorkKind::Empty => (true, ""),
            };
            if !was_done {
                words.push(format!("{}.{} {what} and was not", name.schema, name.name));
            }
        }
    }

    fn is_rewritten(&self, oid: u32, name: &str) -> bool {
        self.said.rewritten.contains(&oid) || self.came.rewritten.iter().any(|other| other == name)
    }

    fn missed_work(&self, words: &mut Vec<String>) {
        let is_foreseen = |stored: &(String, String), kinds: &[WorkKind]| {
            self.effects
                .work
                .iter()
                .any(|work| kinds.contains(&work.kind) && self.is_of(&work.relation, stored))
        };
        let named = |name: &String| {
            // What has another name by now is called otherwise in the text.
            let relation = self.relations.tables_called(name).filter(|_| !self.gone.contains(name));
            relation.map(|relation| relation.stored.clone())
        };
        for name in &self.came.rewritten {
            let Some(stored) = named(name) else { continue };
            if !is_foreseen(&stored, &[WorkKind::Rewrite, WorkKind::Empty]) {
                words.push(format!("{name} was written anew and that was not foreseen"));
            }
        }
        if !self.is_on_objects() {
            return;
        }
        for name in &self.came.scanned {
            let Some(stored) = named(name) else { continue };
            let is_read = self.effects.reads.iter().any(|read| self.is_of(read, &stored))
                || self.effects.writes.iter().any(|write| self.is_of(write, &stored));
            let any = [WorkKind::Scan, WorkKind::Reindex, WorkKind::Rewrite, WorkKind::Empty];
            if !is_read && !is_foreseen(&stored, &any) {
                words.push(format!("{name} was read as a whole and that was not foreseen"));
            }
        }
    }

    fn missed_objects(&self, words: &mut Vec<String>) {
        const LOOKED_AT: [&str; 12] = [
            "table",
            "view",
            "materialized view",
            "sequence",
            "index",
            "function",
            "procedure",
            "type",
            "schema",
            "trigger",
            "policy",
            "extension",
        ];
        if !self.is_on_objects() {
            return;
        }
        let is_looked_at = |object: &&Object| LOOKED_AT.contains(&object.kind.as_str());
        let Effects { creates, chosen, drops, .. } = self.effects;
        for object in self.said.created.iter().filter(is_looked_at) {
            let name = own_name(object);
            let is_it = |made: &ObjectRef| made.name.is_empty() || made.name == name;
            if !creates.iter().chain(chosen).any(is_it) {
                words.push(format!("{} {} was made and that was not foreseen", object.kind, object.name));
            }
        }
        for object in self.said.dropped_by_name.iter().filter(is_looked_at) {
            let name = own_name(object);
            if !drops.iter().any(|gone| gone.name.is_empty() || gone.name == name) {
                words.push(format!("{} {} was dropped and that was not foreseen", object.kind, object.name));
            }
        }
    }

    /// Whether the statement is on objects, not on rows: triggers of rows do what they want.
    fn is_on_objects(&self) -> bool {
        let Effects { creates, alters, drops, writes, .. } = self.effects;
        if !writes.is_empty() && creates.is_empty() && alters.is_empty() && drops.is_empty() {
            return false;
        }
        let Said { created, altered, dropped, .. } = self.said;
        [created, altered, dropped].iter().any(|list| !list.is_empty())
    }
}

/// The own name of an object as it is stored, by its identity: `users` of `app.users`, `f` of `app.f(integer)`, `t` of
/// `t on app.users`.
fn own_name(object: &Object) -> String {
    let identity = object.name.as_str();
    let end = match object.kind.as_str() {
        "trigger" | "policy" => outside_quotes(identity, " on ").unwrap_or(identity.len()),
        "function" | "procedure" => outside_quotes(identity, "(").unwrap_or(identity.len()),
        _ => identity.len(),
    };
    let mut rest = identity.get(..end).unwrap_or(identity);
    while let Some(at) = outside_quotes(rest, ".") {
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    match rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => rest.to_owned(),
    }
}

/// Where a text stands first that is in no quoted name.
fn outside_quotes(text: &str, wanted: &str) -> Option<usize> {
    let mut is_quoted = false;
    text.char_indices().find_map(|(at, c)| {
        is_quoted ^= c == '"';
        (!is_quoted && text.get(at..)?.starts_with(wanted)).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_own_name_is_found_in_its_identity() {
        for (kind, identity, name) in [
            ("table", "app.users", "users"),
            ("table", "\"a.b\".\"c\"\"d\"", "c\"d"),
            ("function", "app.f(integer,\"x(y\")", "f"),
            ("trigger", "\"t on x\" on app.users", "t on x"),
            ("schema", "app", "app"),
        ] {
            assert_eq!(own_name(&Object { kind: kind.into(), name: identity.into() }), name, "{identity}");
        }
    }
}
