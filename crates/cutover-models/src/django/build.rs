//! Tables of models.

use std::collections::BTreeSet;

use super::fields::{self, Kind, What};
use super::given::{Flag, Given};
use super::lineage::{self, Found, Member, Members};
use super::q::{self, Described, Language, Sort};
use super::world::{ClassRef, Meaning, Scope, World};
use crate::model::{Aspect, Check, Column, Default, Identity, Index, Models, Place, Table, Unique};
use crate::python::{Expression, Module, Statement};
use cutover_analysis::sql::{quote_ident, quote_literal};

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

/// A column of a model.
#[derive(Debug, Clone)]
pub(super) struct Slot<'a> {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) from: From<'a>,
    pub(super) is_key: bool,
}

/// Where a column comes from.
#[derive(Debug, Clone)]
pub(super) enum From<'a> {
    /// `id`, where no field is the key.
    Auto,
    /// A base with a table.
    Parent(usize),
    /// A field.
    Member(Member<'a>),
    /// `order_with_respect_to`.
    Order,
}

/// A type, and what of it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) sql: String,
    pub(super) collation: Option<String>,
    pub(super) unstated: BTreeSet<Aspect>,
}

pub(super) struct Builder<'w, 'a> {
    pub(super) world: &'w World<'a>,
    pub(super) models: &'w [Model<'a>],
    pub(super) out: Models,
    /// Models of Django itself that something refers to.
    pub(super) used: BTreeSet<usize>,
}

/// The tables of all models.
pub(super) fn models(modules: &[Module], default_auto_field: &str) -> Models {
    let world = World::new(modules, default_auto_field);
    let mut out = Models::default();
    let found = all(&world, &mut out);
    let mut builder = Builder { world: &world, models: &found, out, used: BTreeSet::new() };
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
    let mut out = builder.out;
    out.unsupported.sort_by(|left, right| (&left.place, &left.what).cmp(&(&right.place, &right.what)));
    out.unsupported.dedup();
    out
}

/// All models that are not abstract, with their tables' names.
fn all<'a>(world: &World<'a>, out: &mut Models) -> Vec<Model<'a>> {
    let mut found = Vec::new();
    for class in world.all_classes() {
        if !lineage::is_model(world, class) || lineage::is_abstract(world, class) {
            continue;
        }
        let place = Place::new(world.path(class.file), class.class.line);
        let said = |option: &str| {
            let (scope, value) = lineage::meta(world, class, option)?;
            Some(world.constant(scope, value))
        };
        let app = match said("app_label") {
            Some(Some(Expression::Text(label))) => label,
            _ => world.app(class.file).to_owned(),
        };
        let name = &class.class.name;
        // Django makes no table for users where the settings name another model for them.
        let is_user = said("swappable") == Some(Some(Expression::Text("AUTH_USER_MODEL".to_owned())));
        let is_label = |label: &String| label.eq_ignore_ascii_case(&format!("{app}.{name}"));
        if is_user && world.auth_user_model.as_ref().is_some_and(|label| !is_label(label)) {
            continue;
        }
        let table = match said("db_table") {
            Some(Some(Expression::Text(table))) if !table.is_empty() => Some(table),
            Some(None) => None,
            _ if app.is_empty() => None,
            _ => Some(format!("{app}_{}", name.to_lowercase()))
                .filter(|table| table.chars().count() <= LONGEST),
        };
        let state = match (said("proxy"), said("managed")) {
            (Some(Some(Expression::Flag(true))), _) => State::Proxy,
            (_, Some(Some(Expression::Flag(false)))) => State::Unmanaged,
            (_, managed) => {
                if managed == Some(None) {
                    out.unsupported(place.clone(), format!("whether Django manages {name}"));
                }
                State::Table
            }
        };
        if table.is_none() && state == State::Table {
            out.unsupported(place, format!("the name of the table of {name}: its model is left out"));
        }
        let (schema, table) = split_schema(table.as_deref().unwrap_or_default());
        let members = lineage::members(world, class);
        found.push(Model { found: class, app, schema, table, state, members });
    }
    found
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

    /// Fields that are added by a call beside the class.
    fn dynamic(&mut self, file: usize, module: &Module) {
        for statement in &module.statements {
            let Statement::Bare(Expression::Call { function, .. }, line) = statement else { continue };
            let name = function.shown();
            if name.ends_with(".add_to_class") || name.ends_with(".contribute_to_class") {
                self.say(Scope { file, class: None }, *line, format!("{name}(…)"));
            }
        }
    }

    /// The columns of a model, in the order of Django: what it makes by itself is before what the model says.
    pub(super) fn slots(&self, at: usize) -> Vec<Slot<'a>> {
        let Some(model) = self.models.get(at) else { return Vec::new() };
        let mut slots = Vec::new();
        let mut has_key = model.members.fields.iter().any(|member| match kind_of(&member.found) {
            Some(What::Composite) => true,
            _ => self.given(member).flag("primary_key", false) == Flag::Yes,
        });
        let mut links: Vec<(usize, Option<String>)> = Vec::new();
        for parent in &model.members.parents {
            let Some(parent) = self.at_class(*parent) else { continue };
            let explicit = model.members.fields.iter().find(|member| {
                let given = self.given(member);
                given.flag("parent_link", false) == Flag::Yes
                    && self.target(at, given).is_ok_and(|target| target == parent)
            });
            links.push((parent, explicit.map(|member| member.name.clone())));
        }
        let mut promoted = None;
        for (parent, explicit) in links {
            let is_key = !has_key;
            has_key = true;
            match explicit {
                Some(name) => promoted = promoted.or(is_key.then_some(name)),
                None => {
                    let name = self.models.get(parent).map(Model::lower).unwrap_or_default() + "_ptr";
                    let column = format!("{name}_id");
                    slots.push(Slot { name, column, from: From::Parent(parent), is_key });
                }
            }
        }
        if !has_key {
            let (name, column) = ("id".to_owned(), "id".to_owned());
            slots.push(Slot { name, column, from: From::Auto, is_key: true });
        }
        for member in &model.members.fields {
            slots.extend(self.slot(member, promoted.as_ref()));
        }
        if lineage::meta(self.world, model.found, "order_with_respect_to").is_some() {
            let name = "_order".to_owned();
            slots.push(Slot { column: name.clone(), name, from: From::Order, is_key: false });
        }
        slots
    }

    fn slot(&self, member: &Member<'a>, promoted: Option<&String>) -> Option<Slot<'a>> {
        let given = self.given(member);
        let is_reference = match &member.found {
            Found::Foreign(path) => path.ends_with("ForeignKey") || path.ends_with("OneToOneField"),
            _ => matches!(kind_of(&member.found), Some(What::Foreign | What::OneToOne)),
        };
        if matches!(kind_of(&member.found), Some(What::Many | What::Composite | What::Nothing)) {
            return None;
        }
        let name = crate::python::keyword(member.arguments, "name").and_then(Expression::text);
        let name = name.unwrap_or(&member.name).to_owned();
        let column = match given.text("db_column") {
            Ok(Some(column)) => column,
            _ if is_reference => format!("{name}_id"),
            _ => name.clone(),
        };
        let is_key = given.flag("primary_key", false) == Flag::Yes || promoted == Some(&member.name);
        Some(Slot { name, column, from: From::Member(member.clone()), is_key })
    }

    /// The model of a class; that which a proxy is of.
    pub(super) fn at_class(&self, class: ClassRef<'a>) -> Option<usize> {
        let mut class = class;
        for _ in 0..self.models.len() {
            let at = self.models.iter().position(|model| model.found == class)?;
            let model = self.models.get(at)?;
            if model.state != State::Proxy {
                return Some(at);
            }
            class = *model.members.parents.first()?;
        }
        None
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
            table.unstated.extend([
                Aspect::Columns,
                Aspect::PrimaryKey,
                Aspect::Unique,
                Aspect::ForeignKey,
                Aspect::Check,
                Aspect::Index,
                Aspect::Comment,
            ]);
        }
        for (what, file, line) in &model.members.remarks {
            self.say(Scope { file: *file, class: None }, *line, what.clone());
            table.unstated.insert(Aspect::Columns);
        }
    }

    /// The key that a model has that says none.
    pub(super) fn auto_key(&mut self, model: &Model<'a>) -> (Typed, Option<Identity>) {
        let said = self.world.auto_field(model.found.file, &model.app).and_then(fields::by_name);
        if let Some(Kind { what: What::Auto(sql), .. }) = said {
            return (Typed::plain(sql), Some(Identity::ByDefault));
        }
        self.say(
            model.found.into(),
            model.found.class.line,
            format!("the type of the key of {}: DEFAULT_AUTO_FIELD is not known", model.name()),
        );
        (Typed::unknown("bigint"), Some(Identity::ByDefault))
    }

    /// The type of a column, without remarks.
    pub(super) fn typed(&self, at: usize, slot: &Slot<'a>, depth: usize) -> Typed {
        if depth > LONGEST {
            return Typed::unknown("");
        }
        match &slot.from {
            From::Order => Typed::plain("integer"),
            From::Auto => {
                let Some(model) = self.models.get(at) else { return Typed::unknown("") };
                let said = self.world.auto_field(model.found.file, &model.app).and_then(fields::by_name);
                match said {
                    Some(Kind { what: What::Auto(sql), .. }) if model.members.unknown.is_empty() => {
                        Typed::plain(sql)
                    }
                    Some(Kind { what: What::Auto(sql), .. }) => Typed::unknown(sql),
                    _ => Typed::unknown("bigint"),
                }
            }
            From::Parent(parent) => {
                self.key_of(*parent, None, depth + 1).map_or(Typed::unknown(""), |(_, typed)| typed)
            }
            From::Member(member) => self.typed_member(at, member, depth),
        }
    }

    fn typed_member(&self, at: usize, member: &Member<'a>, depth: usize) -> Typed {
        let given = self.given(member);
        match &member.found {
            Found::Foreign(_) => Typed::unknown(""),
            Found::Own { data_type: Some(data_type), .. } => Typed::plain(data_type),
            Found::Own { kind, .. } => {
                let mut typed = self.typed_kind(at, kind, given, depth);
                typed.unstated.extend([Aspect::Type, Aspect::Modifier]);
                typed
            }
            Found::Known(kind) => self.typed_kind(at, kind, given, depth),
        }
    }

    fn typed_kind(&self, at: usize, kind: &Kind, given: Given<'_, 'a>, depth: usize) -> Typed {
        let mut typed = match kind.what {
            What::Plain(sql) | What::Auto(sql) | What::Positive(sql) => Typed::plain(sql),
            What::Text(length) => match given.number("max_length") {
                Ok(said) => match said.or(length) {
                    Some(length) => Typed::plain(&format!("varchar({length})")),
                    None => Typed::plain("varchar"),
                },
                Err(()) => Typed::open("varchar", Aspect::Modifier),
            },
            What::Decimal => match (given.number("max_digits"), given.number("decimal_places")) {
                (Ok(Some(digits)), Ok(Some(places))) => Typed::plain(&format!("numeric({digits}, {places})")),
                (Ok(None), Ok(None)) => Typed::plain("numeric"),
                _ => Typed::open("numeric", Aspect::Modifier),
            },
            What::Array => self.inner_type(at, given, "base_field", depth).array(),
            What::Generated => self.inner_type(at, given, "output_field", depth),
            What::Foreign | What::OneToOne => match self.target(at, given) {
                Ok(target) => {
                    let field = given.text("to_field").ok().flatten();
                    self.key_of(target, field.as_deref(), depth + 1)
                        .map_or(Typed::unknown(""), |(_, typed)| typed)
                }
                Err(_) => Typed::unknown(""),
            },
            What::Many | What::Composite | What::Nothing => Typed::unknown(""),
        };
        if given.is_open() {
            typed.unstated.extend([Aspect::Type, Aspect::Modifier]);
        }
        if matches!(kind.what, What::Text(_) | What::Plain("text")) {
            match given.text("db_collation") {
                Ok(collation) => typed.collation = collation,
                Err(()) => drop(typed.unstated.insert(Aspect::Collation)),
            }
        }
        typed
    }

    /// The type of a field that is an argument of another.
    fn inner_type(&self, at: usize, given: Given<'_, 'a>, name: &str, depth: usize) -> Typed {
        let Some(Expression::Call { function, arguments, .. }) = given.get(name) else {
            return Typed::unknown("");
        };
        let order = |kind: &Kind| fields::order(Some(kind));
        match lineage::field_of(self.world, given.scope.file, function) {
            Some(Found::Known(kind)) if depth < LONGEST => {
                self.typed_kind(at, kind, Given { arguments, order: order(kind), ..given }, depth + 1)
            }
            Some(Found::Own { data_type: Some(data_type), .. }) => Typed::plain(&data_type),
            _ => Typed::unknown(""),
        }
    }

    /// The column of a model that others refer to, and its type.
    pub(super) fn key_of(&self, at: usize, field: Option<&str>, depth: usize) -> Option<(String, Typed)> {
        if depth > LONGEST {
            return None;
        }
        let slots = self.slots(at);
        let slot = match field {
            Some(field) => slots.iter().find(|slot| slot.name == field || slot.column == field)?,
            None => slots.iter().find(|slot| slot.is_key)?,
        };
        Some((slot.column.clone(), self.typed(at, slot, depth + 1)))
    }

    /// The columns as conditions need them.
    fn described(&self, at: usize, slots: &[Slot<'a>]) -> Vec<Described> {
        slots
            .iter()
            .map(|slot| {
                let typed = self.typed(at, slot, 0);
                let is_known = !typed.unstated.contains(&Aspect::Type);
                let null = match &slot.from {
                    From::Member(member) => self.given(member).flag("null", false) != Flag::No,
                    _ => false,
                };
                Described {
                    field: slot.name.clone(),
                    column: slot.column.clone(),
                    sort: if is_known { Sort::of(&typed.sql) } else { Sort::Other },
                    is_nullable: null,
                    is_key: slot.is_key,
                }
            })
            .collect()
    }

    /// A column with what belongs to it alone.
    fn column(&mut self, table: &mut Table, at: usize, slot: &Slot<'a>) {
        let Some(model) = self.models.get(at) else { return };
        let typed = self.typed(at, slot, 0);
        let mut column = Column {
            name: slot.column.clone(),
            label: format!("{}.{}", model.name(), slot.name),
            place: table.place.clone(),
            data_type: typed.sql.clone(),
            not_null: true,
            collation: typed.collation.clone(),
            unstated: typed.unstated.clone(),
            ..Column::default()
        };
        let mut traits = Traits { is_unique: false, is_indexed: false };
        match &slot.from {
            From::Order => {}
            From::Auto => {
                let (_, identity) = self.auto_key(model);
                column.identity = identity;
                if !model.members.unknown.is_empty() {
                    column.unstated.extend([Aspect::Identity, Aspect::Default, Aspect::Nullable]);
                }
            }
            From::Parent(parent) => {
                traits = Traits { is_unique: true, is_indexed: true };
                self.parent_link(table, at, &mut column, *parent);
            }
            From::Member(member) => {
                column.place = self.place(member.scope, member.line);
                traits = self.said_of(table, at, slot, member, &mut column);
            }
        }
        if slot.is_key {
            table.primary_key = vec![slot.column.clone()];
        } else if traits.is_unique {
            let place = column.place.clone();
            table.uniques.push(Unique { columns: vec![slot.column.clone()], place, ..Unique::default() });
        } else if traits.is_indexed {
            let place = column.place.clone();
            table.indexes.push(Index { keys: vec![quote_ident(&slot.column)], place, ..Index::default() });
        }
        if slot.is_key || traits.is_unique || traits.is_indexed {
            self.like_index(table, &mut column);
        }
        table.columns.push(column);
    }

    /// The second index of texts, for `LIKE` (`_create_like_index_sql` in `django/db/backends/postgresql/schema.py`).
    pub(super) fn like_index(&mut self, table: &mut Table, column: &mut Column) {
        let class = match column.data_type.as_str() {
            "" => {
                column.unstated.insert(Aspect::Index);
                return;
            }
            array if array.contains('[') => return,
            text if text.starts_with("varchar") => "varchar_pattern_ops",
            text if text.starts_with("text") => "text_pattern_ops",
            _ => return,
        };
        if let Some(collation) = column.collation.as_deref().filter(|name| !is_deterministic(name)) {
            // None where it is not deterministic, since Django 4.2.
            let what = format!(
                "whether the collation {collation} is deterministic, and {} has an index for LIKE",
                column.label
            );
            column.unstated.insert(Aspect::Index);
            self.out.unsupported(column.place.clone(), what);
            return;
        }
        table.indexes.push(Index {
            keys: vec![format!("{} {class}", quote_ident(&column.name))],
            place: column.place.clone(),
            ..Index::default()
        });
    }

    /// What a field says of its column.
    fn said_of(
        &mut self,
        table: &mut Table,
        at: usize,
        slot: &Slot<'a>,
        member: &Member<'a>,
        column: &mut Column,
    ) -> Traits {
        let given = self.given(member);
        let (scope, line) = (member.scope, member.line);
        let kind = match &member.found {
            Found::Known(kind) | Found::Own { kind, .. } => Some(*kind),
            Found::Foreign(_) => None,
        };
        self.remarks(member, column);
        let what = kind.map(|kind| kind.what);
        if what == Some(What::Foreign) || what == Some(What::OneToOne) {
            self.reference(table, at, column, member);
        }
        let null = given.flag("null", kind.is_some_and(|kind| kind.name == "NullBooleanField"));
        match null {
            Flag::Yes => column.not_null = slot.is_key,
            Flag::No => {}
            Flag::Unknown => {
                column.unstated.insert(Aspect::Nullable);
                self.say(scope, line, format!("whether {} takes NULL", column.label));
            }
        }
        if what == Some(What::Generated) && !slot.is_key {
            column.not_null = false;
        }
        if let Some(What::Auto(_)) = what {
            column.identity = Some(Identity::ByDefault);
        }
        if let Some(What::Positive(_)) = what {
            table.checks.push(Check {
                name: None,
                expression: format!("{} >= 0", quote_ident(&slot.column)),
                place: column.place.clone(),
            });
        }
        match given.text("db_comment") {
            Ok(comment) => column.comment = comment.filter(|comment| !comment.is_empty()),
            Err(()) => {
                column.unstated.insert(Aspect::Comment);
                self.say(scope, line, format!("the comment of {}", column.label));
            }
        }
        if what != Some(What::Generated) {
            self.default(given, line, column);
        }
        self.traits(table, given, kind, line, column)
    }

    /// Whether a field is unique or has an index.
    fn traits(
        &mut self,
        table: &mut Table,
        given: Given<'_, 'a>,
        kind: Option<&'static Kind>,
        line: u32,
        column: &mut Column,
    ) -> Traits {
        let is_one_to_one = kind.is_some_and(|kind| kind.what == What::OneToOne);
        let unique = if is_one_to_one { Flag::Yes } else { given.flag("unique", false) };
        let indexed = given.flag("db_index", kind.is_some_and(|kind| kind.is_indexed));
        if unique == Flag::Unknown {
            column.unstated.extend([Aspect::Unique, Aspect::Index]);
            self.say(given.scope, line, format!("whether {} is unique", column.label));
        }
        if indexed == Flag::Unknown {
            column.unstated.insert(Aspect::Index);
            self.say(given.scope, line, format!("whether {} has an index", column.label));
        }
        if given.flag("primary_key", false) == Flag::Unknown {
            table.unstated.insert(Aspect::PrimaryKey);
            self.say(given.scope, line, format!("whether {} is the primary key", column.label));
        }
        if given.text("db_column").is_err() {
            table.unstated.insert(Aspect::Columns);
            self.say(given.scope, line, format!("the name of the column of {}", column.label));
        }
        Traits { is_unique: unique == Flag::Yes, is_indexed: indexed == Flag::Yes }
    }

    /// What of a field is not understood.
    fn remarks(&mut self, member: &Member<'a>, column: &mut Column) {
        let given = self.given(member);
        let (scope, line) = (member.scope, member.line);
        let label = column.label.clone();
        let is_whole = match &member.found {
            Found::Foreign(path) => {
                self.say(scope, line, format!("the type of {label}: {path}"));
                false
            }
            Found::Own { .. } => {
                self.say(scope, line, format!("the type of {label}: its class says some of it by itself"));
                false
            }
            Found::Known(_) if given.is_open() => {
                self.say(scope, line, format!("arguments of {label} that are unpacked"));
                false
            }
            Found::Known(kind) => {
                let is_reference = matches!(kind.what, What::Foreign | What::OneToOne);
                if !is_reference && column.data_type.is_empty() {
                    self.say(scope, line, format!("the type of {label}"));
                } else if column.unstated.contains(&Aspect::Modifier) && !is_reference {
                    self.say(scope, line, format!("the length of {label}"));
                }
                if column.unstated.contains(&Aspect::Collation) && !is_reference {
                    self.say(scope, line, format!("the collation of {label}"));
                }
                true
            }
        };
        if is_whole {
            return;
        }
        column.unstated.extend([Aspect::Modifier, Aspect::Default, Aspect::Collation, Aspect::Identity]);
        if given.get("null").is_none() {
            column.unstated.insert(Aspect::Nullable);
        }
        // What a field makes is over its own column: what else the model says of the table holds.
        column.unstated.extend([Aspect::Unique, Aspect::Index, Aspect::Check, Aspect::ForeignKey]);
    }

    /// `default=` is of Django, `db_default=` (since Django 5.0) of the database.
    fn default(&mut self, given: Given<'_, 'a>, line: u32, column: &mut Column) {
        let is_now = |name: &str| given.flag(name, false) == Flag::Yes;
        if let Some(said) = given.get("default") {
            column.default = Default::Client(said.shown());
        } else if let Some(name) = ["auto_now", "auto_now_add"].into_iter().find(|name| is_now(name)) {
            column.default = Default::Client(name.to_owned());
        }
        let Some(said) = given.get("db_default") else { return };
        let language = Language { world: self.world, fields: &[] };
        let constant = given.constant("db_default");
        let sort = Sort::of(&column.data_type);
        let sql = match (&constant, said) {
            (Some(Expression::Nothing), _) => {
                column.default = Default::None;
                return;
            }
            (Some(Expression::Text(text)), _) if matches!(column.data_type.as_str(), "uuid" | "inet") => {
                Some(quote_literal(text))
            }
            (Some(Expression::List(items)), _) if items.is_empty() && column.data_type.ends_with(']') => {
                Some("'{}'".to_owned())
            }
            (Some(Expression::List(items)), _) if items.is_empty() && column.data_type == "jsonb" => {
                Some("'[]'::jsonb".to_owned())
            }
            (None, Expression::Dictionary(pairs)) if pairs.is_empty() && column.data_type == "jsonb" => {
                Some("'{}'::jsonb".to_owned())
            }
            (Some(constant), _) => q::literal(sort, constant),
            (None, said) => language.expression(given.scope, said).map(|sql| format!("({sql})")),
        };
        match sql {
            Some(sql) => column.default = Default::Sql(sql),
            None => {
                column.unstated.insert(Aspect::Default);
                self.say(given.scope, line, format!("the default of {}: {}", column.label, said.shown()));
            }
        }
    }

    /// `GeneratedField`, since Django 5.0.
    fn computed(&mut self, table: &mut Table, slots: &[Slot<'a>], described: &[Described]) {
        let language = Language { world: self.world, fields: described };
        for slot in slots {
            let From::Member(member) = &slot.from else { continue };
            if kind_of(&member.found) != Some(What::Generated) {
                continue;
            }
            let given = self.given(member);
            let Some(column) = table.columns.iter_mut().find(|column| column.name == slot.column) else {
                continue;
            };
            let sql = given.get("expression").and_then(|value| match value {
                Expression::Text(name) => language.field(name).map(|field| quote_ident(&field.column)),
                value => language.expression(given.scope, value),
            });
            match (sql, given.flag("db_persist", false)) {
                (Some(sql), persist @ (Flag::Yes | Flag::No)) => {
                    column.generated = Some((sql, persist == Flag::Yes));
                }
                _ => {
                    column.unstated.insert(Aspect::Default);
                    self.say(member.scope, member.line, format!("what {} is computed from", slot.name));
                }
            }
        }
    }

    /// `CompositePrimaryKey`, since Django 5.2.
    fn composite_key(&mut self, table: &mut Table, model: &Model<'a>, described: &[Described]) {
        let composite = |member: &&Member<'a>| kind_of(&member.found) == Some(What::Composite);
        let Some(member) = model.members.fields.iter().find(composite) else { return };
        let language = Language { world: self.world, fields: described };
        let columns: Option<Vec<String>> = crate::python::positional(member.arguments)
            .map(|argument| Some(language.field(argument.value.text()?)?.column.clone()))
            .collect();
        match columns {
            Some(columns) if !columns.is_empty() => table.primary_key = columns,
            _ => {
                table.unstated.insert(Aspect::PrimaryKey);
                self.say(member.scope, member.line, format!("the primary key of {}", model.name()));
            }
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

/// Whether a column is unique or has an index.
pub(super) struct Traits {
    pub(super) is_unique: bool,
    pub(super) is_indexed: bool,
}

impl Typed {
    pub(super) fn plain(sql: &str) -> Self {
        Self { sql: sql.to_owned(), ..Self::default() }
    }

    fn open(sql: &str, aspect: Aspect) -> Self {
        Self { unstated: BTreeSet::from([aspect]), ..Self::plain(sql) }
    }

    pub(super) fn unknown(sql: &str) -> Self {
        Self::open(sql, Aspect::Type)
    }

    fn array(mut self) -> Self {
        if !self.sql.is_empty() {
            self.sql += "[]";
        }
        self
    }
}

/// What a field makes, where that is known.
pub(super) fn kind_of(found: &Found) -> Option<What> {
    match found {
        Found::Known(kind) | Found::Own { kind, .. } => Some(kind.what),
        Found::Foreign(_) => None,
    }
}

/// Collations that PostgreSQL brings with it are all deterministic.
fn is_deterministic(name: &str) -> bool {
    matches!(name, "C" | "POSIX" | "default" | "ucs_basic" | "unicode" | "C.UTF-8" | "C.utf8")
        || name.ends_with("-x-icu")
        || name.as_bytes().get(2) == Some(&b'_')
}
