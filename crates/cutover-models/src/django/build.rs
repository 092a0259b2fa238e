//! Tables of models.

use std::collections::BTreeSet;

use super::fields::{self, What};
use super::given::Given;
use super::lineage::{self, Found, Member, Members};
use super::world::{ClassRef, Meaning, Scope, World};
use super::{aside, contrib};
use crate::model::{Aspect, Models, Place, Table};
use crate::python::{Expression, Module, keyword};

/// The longest name of PostgreSQL (`max_name_length` in `django/db/backends/postgresql/operations.py`). Longer ones are shortened with
/// a hash.
pub(super) const LONGEST: usize = 63;

/// A model that is not abstract.
pub(super) struct Model<'a> {
    pub(super) found: ClassRef<'a>,
    pub(super) app: String,
    pub(super) schema: Option<String>,
    pub(super) table: String,
    pub(super) state: State,
    pub(super) members: Members<'a>,
}

/// Whether a model has a table that Django makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Table,
    Proxy,
    Unmanaged,
}

pub(super) struct Builder<'w, 'a> {
    pub(super) world: &'w World<'a>,
    pub(super) models: &'w [Model<'a>],
    pub(super) out: Models,
    /// Models of Django itself that something refers to.
    pub(super) used: BTreeSet<usize>,
    /// Models that get more columns from beside their classes; nothing inside where it may be any.
    pub(super) widened: Vec<Option<ClassRef<'a>>>,
}

/// What is open of a model that may be made of more than is known.
pub(super) const OPEN: [Aspect; 7] = [
    Aspect::Columns,
    Aspect::PrimaryKey,
    Aspect::Unique,
    Aspect::ForeignKey,
    Aspect::Check,
    Aspect::Index,
    Aspect::Comment,
];

/// What `Meta` says of a table.
const OF_META: [Aspect; 5] =
    [Aspect::Unique, Aspect::ForeignKey, Aspect::Check, Aspect::Index, Aspect::Comment];

/// The tables of all models.
pub(super) fn models(modules: &[Module], default_auto_field: &str) -> Models {
    let world = World::new(modules, default_auto_field);
    let mut out = Models::default();
    let found = all(&world, &mut out);
    let mut builder =
        Builder { world: &world, models: &found, out, used: BTreeSet::new(), widened: Vec::new() };
    for (file, module) in modules.iter().enumerate() {
        builder.dynamic(file, module);
    }
    for (at, model) in found.iter().enumerate() {
        if !world.is_contrib(model.found.file) {
            builder.model(at, model);
        }
    }
    let mut made = BTreeSet::new();
    while let Some(at) = builder.used.iter().copied().find(|at| !made.contains(at)) {
        made.insert(at);
        if let Some(model) = found.get(at) {
            builder.model(at, model);
        }
    }
    let is_referred = !builder.used.is_empty();
    let mut out = builder.out;
    let own = modules.len().saturating_sub(contrib::FILES.len());
    aside::applications(&world, is_referred, modules.get(..own).unwrap_or_default(), &mut out);
    out.unsupported.sort_by(|left, right| (&left.place, &left.what).cmp(&(&right.place, &right.what)));
    out.unsupported.dedup();
    out
}

/// All models that are not abstract, with their tables' names.
fn all<'a>(world: &World<'a>, out: &mut Models) -> Vec<Model<'a>> {
    let is_meant = |class: &ClassRef<'a>| {
        lineage::is_model(world, *class) && !lineage::is_abstract(world, *class) && !is_swapped(world, *class)
    };
    let is_perhaps =
        |class: &ClassRef<'_>| class.class.name != "Meta" && lineage::may_be_model(world, *class);
    for class in world.all_classes().filter(is_perhaps) {
        may_have(world, class, out);
    }
    let mut found = Vec::new();
    for class in world.all_classes().filter(is_meant) {
        let place = Place::new(world.path(class.file), class.class.line);
        let name = &class.class.name;
        let app = app_of(world, class);
        let table = table_of(world, class, &app);
        let state = state_of(world, class, out);
        if table.is_none() && state == State::Table {
            out.unnamed(place.clone(), format!("the name of the table of {name}: its model is left out"));
        }
        let (schema, table) = split_schema(table.as_deref().unwrap_or_default());
        let members = lineage::members(world, class);
        if lineage::is_conditional(world, class) {
            let what = format!("the model {name}: it, or what it is made from, stands below a condition");
            out.unsupported(place, what);
            if state == State::Table && !table.is_empty() {
                perhaps(&members, (schema, table), out);
            }
            continue;
        }
        found.push(Model { found: class, app, schema, table, state, members });
    }
    found
}

/// The table that there is if a class is a model. Nobody is told of it but where there is such a table.
fn may_have(world: &World<'_>, class: ClassRef<'_>, out: &mut Models) {
    if world.is_contrib(class.file) || lineage::is_abstract(world, class) {
        return;
    }
    let place = Place::new(world.path(class.file), class.class.line);
    match table_of(world, class, &app_of(world, class)) {
        Some(table) => out.may_have(place, split_schema(&table).1),
        None if class.class.inner("Meta").is_some() => {
            let what = format!("{}, which may be a model, and what its table is called", class.class.name);
            out.unnamed(place, what);
        }
        None => {}
    }
}

/// What `Meta` says of something: nothing where it says nothing, `Some(None)` where that cannot be told.
fn said(world: &World<'_>, class: ClassRef<'_>, option: &str) -> Option<Option<Expression>> {
    let (scope, value) = lineage::meta(world, class, option)?;
    Some(world.constant(scope, value))
}

fn app_of(world: &World<'_>, class: ClassRef<'_>) -> String {
    match said(world, class, "app_label") {
        Some(Some(Expression::Text(label))) => label,
        _ => world.app(class.file).to_owned(),
    }
}

/// Django makes no table for users where the settings name another model for them.
fn is_swapped(world: &World<'_>, class: ClassRef<'_>) -> bool {
    let is_user =
        said(world, class, "swappable") == Some(Some(Expression::Text("AUTH_USER_MODEL".to_owned())));
    let own = || format!("{}.{}", app_of(world, class), class.class.name);
    is_user && world.auth_user_model.as_ref().is_some_and(|label| !label.eq_ignore_ascii_case(&own()))
}

/// The name of a model's table, with its schema; nothing where that cannot be told.
fn table_of(world: &World<'_>, class: ClassRef<'_>, app: &str) -> Option<String> {
    match said(world, class, "db_table") {
        Some(Some(Expression::Text(table))) if !table.is_empty() => Some(table),
        Some(None) => None,
        _ if app.is_empty() => None,
        _ => Some(format!("{app}_{}", class.class.name.to_lowercase()))
            .filter(|table| table.chars().count() <= LONGEST),
    }
}

fn state_of(world: &World<'_>, class: ClassRef<'_>, out: &mut Models) -> State {
    match (said(world, class, "proxy"), said(world, class, "managed")) {
        (Some(Some(Expression::Flag(true))), _) => State::Proxy,
        (_, Some(Some(Expression::Flag(false)))) => State::Unmanaged,
        (_, managed) => {
            if managed == Some(None) {
                let place = Place::new(world.path(class.file), class.class.line);
                out.unsupported(place, format!("whether Django manages {}", class.class.name));
            }
            State::Table
        }
    }
}

/// The table of a model that there may be, and those between it and others.
fn perhaps(members: &Members<'_>, (schema, table): (Option<String>, String), out: &mut Models) {
    for member in &members.fields {
        let said = |name: &str| keyword(member.arguments, name);
        if kind_of(&member.found) == Some(What::Many) && said("through").is_none() {
            out.perhaps.push(match said("db_table").and_then(Expression::text) {
                Some(own) => split_schema(own),
                None => (schema.clone(), format!("{table}_{}", member.name)),
            });
        }
    }
    out.perhaps.push((schema, table));
}

/// `"schema"."table"`, also as `schema"."table`, which Django puts into quotes.
pub(super) fn split_schema(table: &str) -> (Option<String>, String) {
    let inner = table.strip_prefix('"').and_then(|table| table.strip_suffix('"')).unwrap_or(table);
    match inner.split_once("\".\"") {
        Some((schema, table)) => (Some(schema.to_owned()), table.to_owned()),
        None => (None, inner.to_owned()),
    }
}

impl<'a> Model<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.found.class.name
    }

    pub(super) fn lower(&self) -> String {
        self.name().to_lowercase()
    }
}

impl<'w, 'a> Builder<'w, 'a> {
    /// Remarks that something is not understood.
    pub(super) fn say(&mut self, scope: Scope<'a>, line: u32, what: impl Into<String>) {
        self.out.unsupported(self.place(scope, line), what);
    }

    pub(super) fn place(&self, scope: Scope<'a>, line: u32) -> Place {
        Place::new(self.world.path(scope.file), line)
    }

    pub(super) fn given<'g>(&self, member: &'g Member<'a>) -> Given<'g, 'a>
    where
        'w: 'g,
    {
        let kind = match &member.found {
            Found::Known(kind) | Found::Own { kind, .. } => Some(*kind),
            Found::Foreign(_) => None,
        };
        Given {
            world: self.world,
            scope: member.scope,
            arguments: member.arguments,
            order: fields::order(kind),
        }
    }

    /// A model's table and those between it and others.
    fn model(&mut self, at: usize, model: &'w Model<'a>) {
        if model.state != State::Table || model.table.is_empty() {
            return;
        }
        let scope: Scope<'a> = model.found.into();
        let is_there = |table: &Table| table.schema == model.schema && table.name == model.table;
        if self.out.tables.iter().any(is_there) {
            self.say(
                scope,
                model.found.class.line,
                format!("{}: another model has the table {} already", model.name(), model.table),
            );
            return;
        }
        let mut table = Table {
            schema: model.schema.clone(),
            name: model.table.clone(),
            label: format!("{}.{}", model.app, model.name()),
            place: self.place(scope, model.found.class.line),
            ..Table::default()
        };
        self.open_ends(&mut table, model);
        let slots = self.slots(at);
        for slot in &slots {
            if table.columns.iter().any(|column| column.name == slot.column) {
                self.say(
                    scope,
                    model.found.class.line,
                    format!("{}: another column is called {}", slot.name, slot.column),
                );
                continue;
            }
            self.column(&mut table, at, slot);
        }
        let described = self.described(at, &slots);
        self.computed(&mut table, &slots, &described);
        self.composite_key(&mut table, model, &described);
        self.meta(&mut table, model, &described);
        self.out.tables.push(table);
        self.many_to_many(at, model);
    }

    /// Bases and fields that are not known.
    fn open_ends(&mut self, table: &mut Table, model: &Model<'a>) {
        for (path, file, line) in &model.members.unknown {
            let scope = Scope { file: *file, class: None };
            self.say(
                scope,
                *line,
                format!("{path}, which {} is made from and which is not among the files", model.name()),
            );
            table.unstated.extend(OPEN);
        }
        for (what, file, line) in &model.members.remarks {
            self.say(Scope { file: *file, class: None }, *line, what.clone());
            // A manager of tags brings tables of their own, and no column.
            if aside::MANAGERS.iter().any(|manager| what.ends_with(manager)) {
                let tables = ["taggit_tag", "taggit_taggeditem"].map(|table| (None, table.to_owned()));
                self.out.perhaps.extend(tables);
            } else if !what.starts_with(lineage::ADDED) {
                table.unstated.insert(Aspect::Columns);
            }
            if [lineage::META, lineage::ADDED].iter().any(|of| what.starts_with(of)) {
                table.unstated.extend(OF_META);
            }
        }
        if self.widened.iter().any(|of| of.is_none_or(|of| of == model.found)) {
            table.unstated.insert(Aspect::Columns);
        }
    }

    /// The class that a name means, where it is one of the files.
    pub(super) fn class(&self, file: usize, name: &str) -> Option<ClassRef<'a>> {
        match self.world.meaning(file, name) {
            Meaning::Class(found) => Some(found),
            Meaning::Outside(_) => None,
        }
    }
}

/// What a field makes, where that is known.
pub(super) fn kind_of(found: &Found) -> Option<What> {
    match found {
        Found::Known(kind) | Found::Own { kind, .. } => Some(kind.what),
        Found::Foreign(_) => None,
    }
}
