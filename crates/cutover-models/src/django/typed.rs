//! What types columns have, as far as that can be told.

use std::collections::BTreeSet;

use super::build::{Builder, LONGEST};
use super::fields::{self, Kind, What};
use super::given::{Flag, Given};
use super::lineage::{self, Found, Member};
use super::q::{Described, Sort};
use super::slots::{From, Slot};
use crate::model::Aspect;
use crate::python::Expression;

/// A type, and what of it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) sql: String,
    pub(super) collation: Option<String>,
    pub(super) unstated: BTreeSet<Aspect>,
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

    fn not_made(mut self) -> Self {
        self.unstated.insert(Aspect::Making);
        self
    }

    fn array(mut self) -> Self {
        if !self.sql.is_empty() {
            self.sql += "[]";
        }
        self
    }
}

impl<'a> Builder<'_, 'a> {
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
                Err(()) => Typed::open("varchar", Aspect::Modifier).not_made(),
            },
            What::Decimal => match (given.number("max_digits"), given.number("decimal_places")) {
                (Ok(Some(digits)), Ok(Some(places))) => Typed::plain(&format!("numeric({digits}, {places})")),
                (Ok(None), Ok(None)) => Typed::plain("numeric"),
                _ => Typed::open("numeric", Aspect::Modifier).not_made(),
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
                Err(()) => typed.unstated.extend([Aspect::Collation, Aspect::Making]),
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
    pub(super) fn described(&self, at: usize, slots: &[Slot<'a>]) -> Vec<Described> {
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
}
