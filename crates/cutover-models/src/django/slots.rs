//! Which columns a model has, what they are called and where they come from.

use super::build::{Builder, Model, State, kind_of};
use super::fields::What;
use super::given::Flag;
use super::lineage::{self, Found, Member};
use super::world::ClassRef;
use crate::python::{Expression, keyword};

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

impl<'a> Builder<'_, 'a> {
    /// The columns of a model, in the order of Django: what it makes by itself is before what the model says.
    pub(super) fn slots(&self, at: usize) -> Vec<Slot<'a>> {
        let Some(model) = self.models.get(at) else { return Vec::new() };
        let mut slots = Vec::new();
        let mut has_key = model.members.fields.iter().any(|member| match kind_of(&member.found) {
            Some(What::Composite) => true,
            _ => self.given(member).flag("primary_key", false) == Flag::Yes,
        });
        let mut promoted = None;
        for (parent, explicit) in self.links(at, model) {
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

    /// The bases with tables, each with the field that says the link to it, where one does.
    fn links(&self, at: usize, model: &Model<'a>) -> Vec<(usize, Option<String>)> {
        let parents = model.members.parents.iter().filter_map(|parent| self.at_class(*parent));
        let link = |parent: usize| {
            let explicit = model.members.fields.iter().find(|member| {
                let given = self.given(member);
                given.flag("parent_link", false) == Flag::Yes
                    && self.target(at, given).is_ok_and(|target| target == parent)
            });
            (parent, explicit.map(|member| member.name.clone()))
        };
        parents.map(link).collect()
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
        let name = keyword(member.arguments, "name").and_then(Expression::text);
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
}
