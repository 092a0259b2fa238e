//! What names mean across the files: classes, and what is assigned in modules.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::annotations::{self, Map};
use super::naming::Naming;
use crate::model::Place;
use crate::python::{Class, Expression, Function, Module, Statement, keyword};
use crate::source::Settings;

/// A class and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) module: &'a Module,
    pub(super) class: &'a Class,
}

/// All files.
pub(super) struct Known<'a> {
    pub(super) modules: &'a [Module],
    /// By name; where several are called so, the last one.
    classes: BTreeMap<&'a str, Vec<Found<'a>>>,
    pub(super) settings: &'a Settings,
    /// How constraints and indexes are called that have no name.
    pub(super) naming: Naming,
    /// The schema of tables that say none.
    pub(super) schema: Option<String>,
    /// What types of Python come to.
    pub(super) maps: Vec<Map<'a>>,
    /// Columns that number their rows also where they are one of several of a key (`autoincrement=True`).
    pub(super) numbering: RefCell<BTreeSet<Place>>,
}

/// The last part of what a name means in a module.
pub(super) fn last_of(module: &Module, name: &Expression) -> Option<String> {
    let meaning = module.meaning(name.name()?);
    Some(meaning.rsplit_once('.').map_or(meaning.as_str(), |(_, last)| last).to_owned())
}

/// Calls that make a base.
pub(super) const MADE_BASES: &[&str] = &["declarative_base", "automap_base", "generate_base"];

/// Names that are followed from one to the next at most.
const FOLLOWED: usize = 8;

impl<'a> Known<'a> {
    pub(super) fn of(modules: &'a [Module], settings: &'a Settings) -> Self {
        let mut classes: BTreeMap<&str, Vec<Found<'_>>> = BTreeMap::new();
        for module in modules {
            // Those of the module itself last: they are the ones that a name means first.
            let own = || module.classes();
            let inner = own().flat_map(|class| &class.body).filter_map(|statement| match statement {
                Statement::Class(class) => Some(class),
                _ => None,
            });
            for class in inner.chain(own()) {
                classes.entry(&class.name).or_default().push(Found { module, class });
            }
        }
        let mut known = Self {
            modules,
            classes,
            settings,
            naming: Naming::default(),
            schema: None,
            maps: Vec::new(),
            numbering: RefCell::default(),
        };
        known.maps = annotations::maps(&known);
        let metadata: Vec<_> = known.metadata().collect();
        for (module, arguments) in metadata {
            if let Some(convention) = keyword(arguments, "naming_convention") {
                let convention = known.value(module, convention);
                known.naming = Naming::of(convention);
            }
            let schema = keyword(arguments, "schema").map(|schema| known.value(module, schema));
            known.schema = schema.and_then(Expression::text).map(str::to_owned).or(known.schema);
        }
        // `SQLModel.metadata.naming_convention = {…}`
        for module in modules {
            for statement in &module.statements {
                if let Statement::Assign { target, value: Some(value), .. } = statement
                    && target.ends_with(".naming_convention")
                {
                    let convention = known.value(module, value);
                    known.naming = Naming::of(convention);
                }
            }
        }
        known
    }

    /// The same as [`Known::value`] of an expression of the files, with the module that it stands in.
    pub(super) fn assigned_value(
        &self,
        module: &'a Module,
        expression: &'a Expression,
    ) -> (&'a Module, &'a Expression) {
        let mut value = (module, expression);
        for _ in 0..FOLLOWED {
            let Some(next) = value.1.name().and_then(|name| self.assigned_in(value.0, name)) else { break };
            value = next;
        }
        value
    }

    /// The calls of `MetaData(…)`, wherever they are assigned.
    fn metadata(&self) -> impl Iterator<Item = (&'a Module, &'a [crate::python::Argument])> + use<'a> {
        self.modules.iter().flat_map(|module| {
            let inner = module.classes().flat_map(|class| &class.body);
            let values = module.statements.iter().chain(inner).filter_map(|statement| match statement {
                Statement::Assign { value: Some(value), .. } | Statement::Bare(value, _) => Some(value),
                _ => None,
            });
            values
                .filter_map(|value| {
                    // Also inside `declarative_base(metadata=MetaData(…))` and `SQLAlchemy(metadata=…)`.
                    let own =
                        value.call().filter(|(name, _)| *name == "MetaData").map(|(_, arguments)| arguments);
                    let inside = value.call().and_then(|(_, arguments)| keyword(arguments, "metadata"));
                    let inside = inside.and_then(Expression::call).filter(|(name, _)| *name == "MetaData");
                    own.or(inside.map(|(_, arguments)| arguments))
                })
                .map(move |arguments| (module, arguments))
        })
    }

    /// The class that a name means in a module: its own one, else one of that name anywhere.
    pub(super) fn class(&self, module: &Module, name: &str) -> Option<Found<'a>> {
        let meaning = module.meaning(name);
        let last = meaning.rsplit_once('.').map_or(meaning.as_str(), |(_, last)| last);
        let found = self.classes.get(last)?;
        let own = found
            .iter()
            .rev()
            .find(|found| std::ptr::eq(found.module, module) && !module.imports.contains_key(name));
        own.or(found.last()).copied()
    }

    /// The class that an expression names.
    pub(super) fn class_of(&self, module: &Module, expression: &Expression) -> Option<Found<'a>> {
        match expression {
            Expression::Name(name) | Expression::Text(name) => self.class(module, name),
            _ => None,
        }
    }

    /// What is assigned to a name in a module, or in the one that it is imported from; anything else as it is.
    pub(super) fn value<'e>(&'e self, module: &Module, expression: &'e Expression) -> &'e Expression
    where
        'a: 'e,
    {
        let mut value = expression;
        for _ in 0..FOLLOWED {
            let Expression::Name(name) = value else { return value };
            match self.assigned(module, name) {
                Some(next) => value = next,
                None => return value,
            }
        }
        value
    }

    fn assigned(&self, module: &Module, name: &str) -> Option<&'a Expression> {
        self.assigned_in(module, name).map(|(_, value)| value)
    }

    fn assigned_in(&self, module: &Module, name: &str) -> Option<(&'a Module, &'a Expression)> {
        let own = |module: &'a Module, name: &str| {
            let value = module.statements.iter().rev().find_map(|statement| match statement {
                Statement::Assign { target, value, .. } if target == name => value.as_ref(),
                _ => None,
            });
            value.map(|value| (module, value))
        };
        let here = self.modules.iter().find(|known| std::ptr::eq(*known, module));
        if let Some(value) = here.and_then(|module| own(module, name)) {
            return Some(value);
        }
        let meaning = module
            .imports
            .contains_key(name.split('.').next().unwrap_or(name))
            .then(|| module.meaning(name))?;
        let (from, last) = meaning.rsplit_once('.')?;
        // `from .base import MAX` of `app.models.user` is base.py: the last part has to be that of the file.
        let file = from.rsplit_once('.').map_or(from, |(_, last)| last);
        let is_it = |known: &&Module| {
            let stem = known.path.rsplit_once('/').map_or(known.path.as_str(), |(_, name)| name);
            stem.strip_suffix(".py") == Some(file) || stem == "__init__.py"
        };
        self.modules.iter().filter(is_it).find_map(|module| own(module, last))
    }

    /// A text with names in it, as `f"ix_{__tablename__}"`; nothing where one of them is not known.
    pub(super) fn formatted(&self, module: &Module, class: &str, written: &str) -> Option<String> {
        let rest = written.strip_prefix(['f', 'F'])?;
        let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''))?;
        let mut rest = rest.strip_prefix(quote)?.strip_suffix(quote)?;
        let mut text = String::new();
        while let Some(from) = rest.find(['{', '\\', quote]) {
            text += rest.get(..from)?;
            let (name, after) = rest.get(from..)?.strip_prefix('{')?.split_once('}')?;
            text += &self.within_text(module, class, name.trim())?;
            rest = after;
        }
        (!rest.contains('}')).then(|| text + rest)
    }

    fn within_text(&self, module: &Module, class: &str, name: &str) -> Option<String> {
        let name = crate::python::expression(name);
        let value = if name.last_name()? == "__tablename__" {
            self.class(module, class)?.class.value("__tablename__")?
        } else {
            self.value(module, &name)
        };
        match value {
            Expression::Text(text) | Expression::Number(text) => Some(text.clone()),
            other => super::defaults::value_of_enum(self, module, other),
        }
    }

    /// The function of the files that an expression names.
    pub(super) fn function(&self, module: &Module, expression: &Expression) -> Option<&'a Function> {
        let name = last_of(module, expression)?;
        let of = |module: &'a Module| {
            module.statements.iter().find_map(|statement| match statement {
                Statement::Function(function) if function.name == name => Some(function),
                _ => None,
            })
        };
        let own = self.modules.iter().find(|known| std::ptr::eq(*known, module)).and_then(of);
        own.or_else(|| self.modules.iter().find_map(of))
    }

    /// A class and what it is made from, nearest first, each once.
    pub(super) fn ancestry(&self, found: Found<'a>) -> Vec<Found<'a>> {
        let mut all: Vec<Found<'a>> = Vec::new();
        let mut waiting = vec![found];
        while let Some(found) = waiting.pop() {
            if all.iter().any(|known| std::ptr::eq(known.class, found.class)) {
                continue;
            }
            all.push(found);
            let bases = found.class.bases.iter().filter(|base| base.keyword.is_none());
            let mut parents: Vec<Found<'a>> =
                bases.filter_map(|base| self.parent(found.module, &base.value)).collect();
            parents.reverse();
            waiting.extend(parents);
        }
        all
    }

    /// The class that a base is: one of the files, also with something in brackets behind it, or the one that
    /// `Base = declarative_base(cls=…)` is made from.
    fn parent(&self, module: &'a Module, base: &'a Expression) -> Option<Found<'a>> {
        let base = match base {
            Expression::Subscript { value, .. } => value,
            other => other,
        };
        if let Some(found) = self.class_of(module, base) {
            return Some(found);
        }
        let (of, value) = self.assigned_value(module, base);
        let (name, arguments) = value.call()?;
        let is_made = MADE_BASES.contains(&name);
        is_made.then(|| keyword(arguments, "cls").and_then(|class| self.class_of(of, class))).flatten()
    }

    /// Whether a class is an enumeration, by what it is made from.
    pub(super) fn is_enum(&self, found: Found<'a>) -> bool {
        self.ancestry(found).iter().any(|one| {
            let named = one.class.bases.iter().filter_map(|base| base.value.last_name());
            named.into_iter().any(|name| matches!(name, "Enum" | "IntEnum" | "StrEnum" | "TextChoices"))
        })
    }
}
