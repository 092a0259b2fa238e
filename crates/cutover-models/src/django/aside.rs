//! What there is beside the classes of models: models that calls and functions make, fields that are added from outside, and the tables
//! of Django's own applications, of which no file says anything.

use super::build::Builder;
use super::lineage;
use super::world::{ClassRef, Scope, World};
use crate::model::{Models, Place};
use crate::python::{Expression, Function, Module, Statement};

/// Applications with the tables that they bring (`django/contrib/*/models.py`; those of others that are near it, in 2026).
static APPLICATIONS: &[(&str, &[&str])] = &[
    ("django.contrib.contenttypes", &["django_content_type"]),
    (
        "django.contrib.auth",
        &["django_content_type", "auth_permission", "auth_group", "auth_group_permissions"],
    ),
    ("django.contrib.admin", &["django_admin_log"]),
    ("django.contrib.sessions", &["django_session"]),
    ("django.contrib.sites", &["django_site"]),
    ("django.contrib.flatpages", &["django_flatpage", "django_flatpage_sites"]),
    ("django.contrib.redirects", &["django_redirect"]),
    ("rest_framework.authtoken", &["authtoken_token"]),
    ("taggit", &["taggit_tag", "taggit_taggeditem"]),
];

/// Those of users, unless the settings name another model for them.
static USERS: &[&str] = &["auth_user", "auth_user_groups", "auth_user_user_permissions"];

/// Managers that bring tables of their own application, and no column.
pub(super) static MANAGERS: &[&str] = &["TaggableManager", "ClusterTaggableManager"];

impl<'a> Builder<'_, 'a> {
    /// What is made by calls beside the classes, and in functions.
    pub(super) fn dynamic(&mut self, file: usize, module: &'a Module) {
        for statement in &module.statements {
            match statement {
                Statement::Function(function) => self.in_function(file, function),
                other => self.beside(file, other),
            }
        }
    }

    fn in_function(&mut self, file: usize, function: &'a Function) {
        for statement in &function.body {
            match statement {
                Statement::Class(class) => {
                    if lineage::is_model(self.world, ClassRef { file, class }) {
                        let what = format!("the model {} that {}() makes", class.name, function.name);
                        self.say(Scope { file, class: None }, class.line, what);
                    }
                }
                Statement::Function(inner) => self.in_function(file, inner),
                other => self.beside(file, other),
            }
        }
        if let Some(value) = function.returns.as_ref().filter(|value| self.is_made_model(file, value)) {
            let what = format!("a model that {}() makes: {}", function.name, value.shown());
            self.say(Scope { file, class: None }, function.line, what);
        }
    }

    fn beside(&mut self, file: usize, statement: &Statement) {
        let scope = Scope { file, class: None };
        match statement {
            Statement::Assign { target, value: Some(value), line, .. } if self.is_made_model(file, value) => {
                self.say(scope, *line, format!("the model {target} = {}", value.shown()));
            }
            Statement::Put { target, value, line } if self.is_made_model(file, value) => {
                self.say(scope, *line, format!("the model {} = {}", target.shown(), value.shown()));
            }
            // `Model.name = CharField(…)`
            Statement::Assign { target, value: Some(value), line, .. }
                if target.contains('.') && lineage::mentions_field(self.world, file, value, 0) =>
            {
                let owner = target.rsplit_once('.').map_or("", |(owner, _)| owner);
                self.widen(file, owner);
                self.say(scope, *line, format!("{target} = {}", value.shown()));
            }
            Statement::Bare(value @ Expression::Call { function, arguments, .. }, line) => {
                let name = function.shown();
                let is_added = name.ends_with(".add_to_class") || name.ends_with(".contribute_to_class");
                let is_set = name == "setattr" && lineage::mentions_field(self.world, file, value, 0);
                if is_added || is_set {
                    let owner = match arguments.first() {
                        Some(first) if is_set => first.value.shown(),
                        _ => name.rsplit_once('.').map_or("", |(owner, _)| owner).to_owned(),
                    };
                    self.widen(file, &owner);
                    let words = if is_set { value.shown() } else { format!("{name}(…)") };
                    self.say(scope, *line, words);
                } else if name.ends_with("class_prepared.connect") {
                    self.widened.push(None);
                    self.say(scope, *line, value.shown());
                } else if self.is_made_model(file, value) {
                    self.say(scope, *line, format!("a model: {}", value.shown()));
                }
            }
            _ => {}
        }
    }

    /// A model gets more columns; where it is not known which, it may be any.
    fn widen(&mut self, file: usize, owner: &str) {
        let of = self.class(file, owner);
        self.widened.push(of);
    }

    /// `type("Name", (models.Model,), {…})`
    fn is_made_model(&self, file: usize, value: &Expression) -> bool {
        let Some(("type", [_, bases, _])) = value.call() else { return false };
        let Expression::List(bases) = &bases.value else { return false };
        bases.iter().filter_map(Expression::name).any(|name| {
            name.ends_with("models.Model")
                || self.class(file, name).is_some_and(|found| lineage::is_model(self.world, found))
        })
    }
}

/// The tables of Django's own applications: those of `INSTALLED_APPS`, or all where models refer to one of them and no settings are
/// there. Which they are is known, and what they are is their applications' business.
pub(super) fn applications(world: &World<'_>, is_referred: bool, modules: &[Module], out: &mut Models) {
    let installed = modules.iter().find_map(|module| Some((module, line_of(module, "INSTALLED_APPS")?)));
    let (place, applications): (Place, Vec<&str>) = match installed {
        Some((module, line)) => {
            let said = said(modules);
            let is_there = |name: &&str| said.iter().any(|app| is_of(app, name));
            let names = APPLICATIONS.iter().map(|(name, _)| *name).filter(is_there);
            (Place::new(&module.path, line), names.collect())
        }
        None if is_referred || modules.iter().any(has_users) => {
            let is_it = |module: &&Module| {
                module.imports.values().any(|import| import.starts_with("django.contrib."))
            };
            let module = modules.iter().find(is_it).or(modules.first());
            let names = APPLICATIONS.iter().map(|(name, _)| *name);
            let path = module.map_or("", |module| module.path.as_str());
            (Place::new(path, 1), names.filter(|name| name.starts_with("django.")).collect())
        }
        None => return,
    };
    let mut tables: Vec<&str> = Vec::new();
    for (name, own) in APPLICATIONS.iter().filter(|(name, _)| applications.contains(name)) {
        tables.extend(*own);
        let is_own_user = world.auth_user_model.as_deref().is_none_or(|user| user == "auth.User");
        if *name == "django.contrib.auth" && is_own_user {
            tables.extend(USERS);
        }
    }
    tables.retain(|name| !out.tables.iter().any(|table| table.schema.is_none() && table.name == *name));
    tables.sort_unstable();
    tables.dedup();
    if !tables.is_empty() {
        out.unsupported(
            place,
            format!("tables of Django's own applications, where they are there: {}", tables.join(", ")),
        );
    }
    out.perhaps.extend(tables.into_iter().map(|table| (None, table.to_owned())));
}

/// Whether a file asks for the model of users.
fn has_users(module: &Module) -> bool {
    module.imports.values().any(|import| import.starts_with("django.contrib.auth.get_user_model"))
}

/// `django.contrib.auth`, also as `django.contrib.auth.apps.AuthConfig`.
fn is_of(said: &str, name: &str) -> bool {
    said.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(".apps."))
}

fn line_of(module: &Module, name: &str) -> Option<u32> {
    module.statements.iter().find_map(|statement| match statement {
        Statement::Assign { target, line, .. } if target == name => Some(*line),
        _ => None,
    })
}

/// All applications that lists of settings name: `INSTALLED_APPS`, and the lists that it is put together from.
fn said(modules: &[Module]) -> Vec<&str> {
    let mut found = Vec::new();
    for module in modules {
        for statement in &module.statements {
            if let Statement::Assign { target, value: Some(value), .. } = statement
                && target.ends_with("APPS")
            {
                texts(value, &mut found);
            }
        }
    }
    found
}

fn texts<'e>(value: &'e Expression, found: &mut Vec<&'e str>) {
    match value {
        Expression::Text(text) => found.push(text),
        Expression::List(items) => items.iter().for_each(|item| texts(item, found)),
        Expression::Operation(_, left, right) => {
            texts(left, found);
            texts(right, found);
        }
        _ => {}
    }
}
