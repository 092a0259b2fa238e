//! Bodies that are texts: PostgreSQL looks into those in SQL, and for the types of variables into others, when the function is
//! made. What they read is made before where that can be; where it cannot, bodies are not checked, as in a dump.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::{Plan, Verb};
use super::order::Graph;
use crate::effects::{Effects, ObjectKind, ObjectRef, effects_of_text};
use crate::schema::{Id, Place, Schema, Sql};

/// What stands before the first of a transaction's functions whose body reads what is not there.
const UNCHECKED: &str = "\
-- What the next body reads is not there yet, or not on the usual search path: no body is checked up to the end of this transaction.
SET LOCAL check_function_bodies = off";

/// What is said of the bodies of functions that are made or changed, by the number of the action.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// Actions that must come before the body can be checked.
    needed: BTreeMap<usize, BTreeSet<usize>>,
    /// Bodies that are refused in any order, as far as is known.
    never: BTreeSet<usize>,
}

impl Bodies {
    /// The actions whose bodies cannot be checked, in this order.
    pub(super) fn unread(&self, graph: &Graph, order: &[usize]) -> BTreeSet<usize> {
        let places: BTreeMap<usize, usize> =
            order.iter().enumerate().map(|(at, leader)| (*leader, at)).collect();
        let place = |action: usize| places.get(&graph.leader(action)).copied();
        let comes_late = |(at, needed): &(&usize, &BTreeSet<usize>)| {
            needed.iter().any(|first| place(*first) > place(**at))
        };
        let late = self.needed.iter().filter(comes_late).map(|(at, _)| *at);
        late.chain(self.never.iter().copied()).collect()
    }
}

/// Whether the statement makes a function or a procedure, or replaces one.
pub(super) fn is_of_routine(text: &str) -> bool {
    let rest = text.strip_prefix("CREATE ").map(|rest| rest.strip_prefix("OR REPLACE ").unwrap_or(rest));
    rest.is_some_and(|rest| rest.starts_with("FUNCTION ") || rest.starts_with("PROCEDURE "))
}

/// The statements, with the setting before the first body of each transaction that cannot be checked.
pub(super) fn unchecked(statements: Vec<Sql>) -> Vec<Sql> {
    let mut all = Vec::with_capacity(statements.len());
    let mut is_off = false;
    for sql in statements {
        is_off &= sql.place == Place::Together;
        if sql.unread && !is_off {
            all.push(Sql::new(UNCHECKED).at(sql.place));
            is_off = true;
        }
        is_off &= sql.place != Place::Alone;
        all.push(sql);
    }
    all
}

/// The schemas in which there is something of a name, by its kind's family.
struct Names<'a>(BTreeMap<(ObjectKind, &'a str), Vec<&'a str>>);

impl<'a> Names<'a> {
    fn of(schema: &'a Schema) -> Self {
        let mut names: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for id in schema.objects.keys().filter(|id| id.table.is_none()) {
            if let Some(namespace) = &id.schema {
                names.entry((id.kind.family(), id.name.as_str())).or_default().push(namespace);
            }
        }
        Self(names)
    }

    fn schemas(&self, object: &ObjectRef) -> Vec<&'a str> {
        let named = families(object).filter_map(|family| self.0.get(&(family, object.name.as_str())));
        named.flatten().copied().collect()
    }

    fn has(&self, object: &ObjectRef) -> bool {
        let is_it = |schema: &&str| object.schema.as_deref().is_none_or(|named| named == *schema);
        self.schemas(object).iter().any(is_it)
    }
}

/// The rows of a table are a type too.
fn families(object: &ObjectRef) -> impl Iterator<Item = ObjectKind> {
    let family = object.kind.family();
    [Some(family), (family == ObjectKind::Type).then_some(ObjectKind::Relation)].into_iter().flatten()
}

/// What PostgreSQL looks for in a body when the function is made.
struct Body {
    mentioned: Vec<ObjectRef>,
    /// Where it looks for names without a schema.
    path: Vec<String>,
    is_sql: bool,
    /// It does not parse.
    is_dark: bool,
}

impl Body {
    fn of(definition: &str, effects: &Effects) -> Self {
        let is_sql = definition.contains("\n LANGUAGE sql");
        let looked_for = if is_sql { &effects.late } else { &effects.checked };
        let own_path = definition.lines().find_map(|line| line.strip_prefix(" SET search_path TO "));
        let names = |list: &str| -> Vec<String> {
            list.split(", ").map(|name| name.trim_matches(['\'', '"']).to_owned()).collect()
        };
        Self {
            mentioned: looked_for.iter().map(|reference| reference.object.clone()).collect(),
            path: own_path.map_or_else(|| vec!["public".to_owned()], names),
            is_sql,
            is_dark: is_sql && effects.late_opaque.is_some(),
        }
    }

    /// Whether PostgreSQL will not find something of it, in whatever order things are made.
    fn is_never_read(&self, from: &Names<'_>, to: &Names<'_>, schema: &Schema) -> bool {
        self.is_dark
            || self.mentioned.iter().any(|object| is_never_found(object, &self.path, from, to, schema))
    }
}

/// Of functions and types that are nowhere, most are PostgreSQL's own.
fn is_never_found(
    object: &ObjectRef,
    path: &[String],
    from: &Names<'_>,
    to: &Names<'_>,
    schema: &Schema,
) -> bool {
    let is_relation = object.kind.family() == ObjectKind::Relation;
    match object.schema.as_deref() {
        _ if object.name.starts_with("pg_") => false,
        Some(named) if named == "information_schema" || named.starts_with("pg_") => false,
        Some(named) => !to.has(object) && (from.has(object) || is_relation && schema.has_namespace(named)),
        None if !to.has(object) => is_relation || from.has(object),
        None => !to.schemas(object).iter().any(|there| path.iter().any(|one| one == there)),
    }
}

impl<'a> Plan<'a> {
    /// What a body mentions had better be there when the function is made, and when something is made that may call it.
    pub(super) fn connect_bodies(&mut self) {
        let routines: Vec<(usize, &'a Id)> = self.routines();
        if routines.is_empty() {
            return;
        }
        let (from, to) = (Names::of(self.world.from), Names::of(self.world.to));
        let makers = self.makers();
        let mut all = Bodies::default();
        for (at, id) in routines {
            let Some(definition) = self.world.to.get(id).and_then(|object| object.text("definition")) else {
                continue;
            };
            let Ok(effects) = effects_of_text(definition) else { continue };
            for reference in &effects.late {
                makers.of(&reference.object).into_iter().for_each(|first| self.graph.prefer(first, at));
            }
            let body = Body::of(definition, &effects);
            if body.is_never_read(&from, &to, self.world.to) {
                all.never.insert(at);
            }
            let mut needed: BTreeSet<usize> =
                body.mentioned.iter().flat_map(|object| makers.of(object)).collect();
            if body.is_sql {
                needed.extend(makers.signs(definition));
            }
            needed.remove(&at);
            for first in &needed {
                self.graph.prefer(*first, at);
            }
            self.connect_callers(id, &needed);
            all.needed.insert(at, needed);
        }
        self.bodies = all;
    }

    fn routines(&self) -> Vec<(usize, &'a Id)> {
        let is_routine = |id: &Id| matches!(id.kind, ObjectKind::Function | ObjectKind::Procedure);
        let numbered = self.actions.iter().enumerate();
        numbered
            .filter(|(_, (verb, id))| matches!(verb, Verb::Create | Verb::Alter) && is_routine(id))
            .map(|(at, (_, id))| (at, *id))
            .collect()
    }

    /// What is made with a function may run it: rows are checked, or a view is filled.
    fn connect_callers(&mut self, routine: &Id, needed: &BTreeSet<usize>) {
        let calls = |id: &Id| self.world.to.get(id).is_some_and(|object| object.needs.contains(routine));
        let callers: Vec<usize> = (self.actions.iter().enumerate())
            .filter(|(at, (verb, id))| *verb == Verb::Create && !needed.contains(at) && calls(id))
            .map(|(at, _)| at)
            .collect();
        for caller in callers {
            for first in needed {
                self.graph.prefer(*first, caller);
            }
        }
    }

    fn makers(&self) -> Makers<'a> {
        let mut makers = Makers::default();
        for (at, (verb, id)) in self.actions.iter().enumerate() {
            let is_made = *verb == Verb::Create;
            let named = match id.kind {
                ObjectKind::Operator if is_made => {
                    makers.signs.push((at, Some(&id.name)));
                    continue;
                }
                ObjectKind::Cast if is_made => {
                    makers.signs.push((at, None));
                    continue;
                }
                ObjectKind::Column if is_made || *verb == Verb::Alter && self.has_other_type(id) => {
                    (ObjectKind::Relation, id.table.as_deref().unwrap_or_default())
                }
                // What a function takes and gives does not change while it stays.
                _ if id.table.is_none() && (is_made || *verb == Verb::Alter && may_be_other_rows(id)) => {
                    (id.kind.family(), id.name.as_str())
                }
                _ => continue,
            };
            makers.by_name.entry(named).or_default().push((at, id.schema.as_deref()));
        }
        makers
    }

    fn has_other_type(&self, column: &Id) -> bool {
        let of = |schema: &'a Schema| schema.get(column).map(|object| object.text("type"));
        of(self.world.from) != of(self.world.to)
    }
}

/// Whether a change may give it other columns or values.
fn may_be_other_rows(id: &Id) -> bool {
    matches!(id.kind, ObjectKind::View | ObjectKind::Type | ObjectKind::Domain)
}

/// Actions after which something can be read, by what it is called.
#[derive(Default)]
struct Makers<'a> {
    by_name: BTreeMap<(ObjectKind, &'a str), Vec<(usize, Option<&'a str>)>>,
    /// Operators, and casts, which have no names.
    signs: Vec<(usize, Option<&'a str>)>,
}

impl<'a> Makers<'a> {
    fn of(&self, object: &ObjectRef) -> Vec<usize> {
        let named = families(object).filter_map(|family| self.by_name.get(&(family, object.name.as_str())));
        let is_it = |schema: Option<&str>| object.schema.is_none() || object.schema.as_deref() == schema;
        named.flatten().filter(|(_, schema)| is_it(*schema)).map(|(at, _)| *at).collect()
    }

    fn signs(&self, definition: &str) -> Vec<usize> {
        let is_there = |sign: Option<&str>| sign.is_none_or(|sign| definition.contains(sign));
        self.signs.iter().filter(|(_, sign)| is_there(*sign)).map(|(at, _)| *at).collect()
    }
}
