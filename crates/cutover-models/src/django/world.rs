//! What names mean across the files: classes, constants, applications and settings.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::contrib;
use super::fields;
use crate::python::{Class, Expression, Module, Statement};

/// How far names are followed.
const DEEPEST: usize = 40;

/// How many steps one question may take: names may lead in circles, and more than one way.
const MOST_STEPS: u32 = 2_000;

/// All files.
pub(super) struct World<'a> {
    modules: &'a [Module],
    /// The parts of their paths, without endings and `__init__`.
    segments: Vec<Vec<String>>,
    /// Their applications.
    apps: Vec<String>,
    /// What applications say that is the key of a model that has none.
    auto_fields: BTreeMap<String, String>,
    /// What the settings say of that.
    pub(super) default_auto_field: Option<String>,
    /// The model of users, where settings are there: as they say, or Django's own.
    pub(super) auth_user_model: Option<String>,
    /// Where each class is, by its name.
    classes: BTreeMap<&'a str, Vec<ClassRef<'a>>>,
    /// Steps that are left.
    steps: Cell<u32>,
    /// Which classes are models, by where they are, as far as that was asked.
    pub(super) known_models: RefCell<BTreeMap<(usize, *const Class), bool>>,
}

/// A class and the file that it is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassRef<'a> {
    pub(super) file: usize,
    pub(super) class: &'a Class,
}

impl PartialEq for ClassRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && std::ptr::eq(self.class, other.class)
    }
}

/// Where an expression stands: names in it mean what they mean there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scope<'a> {
    pub(super) file: usize,
    pub(super) class: Option<&'a Class>,
}

impl<'a> From<ClassRef<'a>> for Scope<'a> {
    fn from(found: ClassRef<'a>) -> Self {
        Self { file: found.file, class: Some(found.class) }
    }
}

/// What a name means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning<'a> {
    /// A class of the files.
    Class(ClassRef<'a>),
    /// Something outside them, by its whole path.
    Outside(String),
}

impl<'a> World<'a> {
    /// The files, of which Django's own are the last.
    pub(super) fn new(modules: &'a [Module], default_auto_field: &str) -> Self {
        let segments: Vec<Vec<String>> = modules.iter().map(|module| segments_of(&module.path)).collect();
        let mut classes: BTreeMap<&str, Vec<ClassRef<'a>>> = BTreeMap::new();
        for (file, module) in modules.iter().enumerate() {
            for class in module.classes() {
                classes.entry(&class.name).or_default().push(ClassRef { file, class });
            }
        }
        let mut world = Self {
            modules,
            segments,
            apps: Vec::new(),
            auto_fields: BTreeMap::new(),
            default_auto_field: (!default_auto_field.is_empty()).then(|| default_auto_field.to_owned()),
            auth_user_model: None,
            classes,
            steps: Cell::new(MOST_STEPS),
            known_models: RefCell::default(),
        };
        world.read_apps();
        world.read_settings();
        world
    }

    /// The applications: what `apps.py` beside or above a file says, else the folder that its `models` are in.
    fn read_apps(&mut self) {
        let mut configured: Vec<(&[String], String)> = Vec::new();
        for (module, segments) in self.modules.iter().zip(&self.segments) {
            let Some(("apps", folder)) = segments.split_last().map(|(last, folder)| (last.as_str(), folder))
            else {
                continue;
            };
            let is_config = |class: &&Class| {
                class
                    .bases
                    .iter()
                    .any(|base| base.value.last_name().is_some_and(|name| name.ends_with("Config")))
            };
            let Some(config) = module.classes().find(is_config) else { continue };
            let text = |name: &str| config.value(name).and_then(Expression::text);
            let name = text("name").map(|name| name.rsplit('.').next().unwrap_or(name));
            let Some(label) = text("label").or(name).or(folder.last().map(String::as_str)) else { continue };
            configured.push((folder, label.to_owned()));
            if let Some(auto_field) = text("default_auto_field") {
                self.auto_fields.insert(label.to_owned(), auto_field.to_owned());
            }
        }
        let app = |segments: &Vec<String>| {
            let above = configured.iter().filter(|(folder, _)| segments.starts_with(folder));
            match above.max_by_key(|(folder, _)| folder.len()) {
                Some((_, label)) => label.clone(),
                None => app_of(segments),
            }
        };
        self.apps = self.segments.iter().map(app).collect();
    }

    fn read_settings(&mut self) {
        for module in self.modules {
            let text = |name: &str| module_value(module, name).and_then(Expression::text);
            let has_apps = module_value(module, "INSTALLED_APPS").is_some();
            if let Some(auto_field) = text("DEFAULT_AUTO_FIELD") {
                self.default_auto_field.get_or_insert_with(|| auto_field.to_owned());
            }
            if let Some(model) = text("AUTH_USER_MODEL") {
                self.auth_user_model = Some(model.to_owned());
            } else if has_apps && self.auth_user_model.is_none() {
                self.auth_user_model = Some("auth.User".to_owned());
            }
        }
    }

    /// All classes of the files, in their order.
    pub(super) fn all_classes(&self) -> impl Iterator<Item = ClassRef<'a>> {
        let modules = self.modules;
        modules
            .iter()
            .enumerate()
            .flat_map(|(file, module)| module.classes().map(move |class| ClassRef { file, class }))
            .flat_map(with_inner)
    }

    /// The path of a file.
    pub(super) fn path(&self, file: usize) -> &'a str {
        self.modules.get(file).map_or("", |module| module.path.as_str())
    }

    /// The application of a file; empty where its path does not tell.
    pub(super) fn app(&self, file: usize) -> &str {
        self.apps.get(file).map_or("", String::as_str)
    }

    /// Whether a file is one of Django's own.
    pub(super) fn is_contrib(&self, file: usize) -> bool {
        file >= self.modules.len().saturating_sub(contrib::FILES.len())
    }

    /// The field that is the key of a model that has none (`BigAutoField`), where that is said.
    pub(super) fn auto_field(&self, file: usize, app: &str) -> Option<&str> {
        if self.is_contrib(file) {
            return Some("AutoField");
        }
        let said = self.auto_fields.get(app).or(self.default_auto_field.as_ref())?;
        Some(said.rsplit('.').next().unwrap_or(said))
    }

    /// What a name means in a file.
    pub(super) fn meaning(&self, file: usize, name: &str) -> Meaning<'a> {
        self.steps.set(MOST_STEPS);
        self.follow(file, name, 0)
    }

    /// Whether another step may be taken.
    fn may_go_on(&self) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left > 0
    }

    fn follow(&self, file: usize, name: &str, depth: usize) -> Meaning<'a> {
        let outside = || Meaning::Outside(name.to_owned());
        let Some(module) = self.modules.get(file).filter(|_| depth < DEEPEST && self.may_go_on()) else {
            return outside();
        };
        if let Some(found) = inside(module, file, name) {
            return Meaning::Class(found);
        }
        let first = name.split('.').next().unwrap_or(name);
        if !module.imports.contains_key(first) {
            let stars = module.imports.iter().filter(|(known_as, _)| known_as.starts_with('*'));
            for (_, star) in stars {
                let path = format!("{star}.{name}");
                if let Some(found) = self.imported(file, &path, depth) {
                    return Meaning::Class(found);
                }
                if fields::by_path(&path).is_some() || path == "django.db.models.Model" {
                    return Meaning::Outside(path);
                }
            }
            return outside();
        }
        let path = module.meaning(name);
        match self.imported(file, &path, depth) {
            Some(found) => Meaning::Class(found),
            None => Meaning::Outside(path),
        }
    }

    /// A class by the path that it is imported from.
    fn imported(&self, file: usize, path: &str, depth: usize) -> Option<ClassRef<'a>> {
        self.absolute(file, path).into_iter().find_map(|path| {
            // `a.b.Outer.Inner`: the module is the longest beginning that is one.
            let (last, module) = path.split_last()?;
            if let Some(found) = self.in_module(module, last, depth) {
                return Some(found);
            }
            let (outer, module) = module.split_last()?;
            self.in_module(module, &format!("{outer}.{last}"), depth)
        })
    }

    fn in_module(&self, module: &[String], name: &str, depth: usize) -> Option<ClassRef<'a>> {
        if module.is_empty() {
            return None;
        }
        let files = || self.segments.iter().enumerate().filter(|(_, segments)| segments.ends_with(module));
        for (file, _) in files() {
            if let Meaning::Class(found) = self.follow(file, name, depth + 1) {
                return Some(found);
            }
        }
        // A package hands on what is in its files; which, its `__init__.py` says, which may not be there.
        let first = name.split('.').next().unwrap_or(name);
        let below = |found: &&ClassRef<'a>| {
            self.segments
                .get(found.file)
                .is_some_and(|segments| segments.windows(module.len()).any(|window| window == module))
        };
        let mut found = self.classes.get(first)?.iter().filter(below);
        match (found.next(), found.next()) {
            (Some(one), None) => inside(self.modules.get(one.file)?, one.file, name),
            _ => None,
        }
    }

    /// The paths that an import can mean, as they are from the root. `from . import a` and `from ..a import …` are not told apart by
    /// what is kept of them.
    fn absolute(&self, file: usize, path: &str) -> Vec<Vec<String>> {
        let rest = path.trim_start_matches('.');
        let dots = path.len() - rest.len();
        let names: Vec<String> = rest.split('.').map(str::to_owned).collect();
        if dots == 0 {
            return vec![names];
        }
        let Some(own) = self.segments.get(file) else { return Vec::new() };
        let is_package = self.path(file).ends_with("__init__.py");
        let above = |dots: usize| {
            let up = if is_package { dots.saturating_sub(1) } else { dots };
            let kept = own.len().checked_sub(up)?;
            Some(own.iter().take(kept).chain(&names).cloned().collect::<Vec<_>>())
        };
        let fewer = if dots > 1 { above(dots - 1) } else { None };
        above(dots).into_iter().chain(fewer).collect()
    }

    /// The value that a name has, and where that stands: from the class, the file, or where it is imported from.
    pub(super) fn value(&self, scope: Scope<'a>, name: &str) -> Option<(Scope<'a>, &'a Expression)> {
        self.steps.set(MOST_STEPS);
        self.value_at(scope, name, 0)
    }

    fn value_at(&self, scope: Scope<'a>, name: &str, depth: usize) -> Option<(Scope<'a>, &'a Expression)> {
        let module = self.modules.get(scope.file).filter(|_| depth < DEEPEST && self.may_go_on())?;
        if let Some((outer, last)) = name.rsplit_once('.') {
            let own = scope.class.and_then(|class| nested(class, outer));
            let found = match own {
                Some(class) => ClassRef { file: scope.file, class },
                None => match self.follow(scope.file, outer, depth + 1) {
                    Meaning::Class(found) => found,
                    Meaning::Outside(path) => return self.in_other_module(scope.file, &path, last, depth),
                },
            };
            return Some((found.into(), found.class.value(last)?));
        }
        if let Some(value) = scope.class.and_then(|class| class.value(name)) {
            return Some((scope, value));
        }
        if let Some(value) = module_value(module, name) {
            return Some((Scope { file: scope.file, class: None }, value));
        }
        if let Some(path) = module.imports.get(name) {
            let (module, last) = path.rsplit_once('.')?;
            let module = if module.chars().all(|c| c == '.') { path.as_str() } else { module };
            return self.in_other_module(scope.file, module, last, depth);
        }
        let mut stars = module.imports.iter().filter(|(known_as, _)| known_as.starts_with('*'));
        stars.find_map(|(_, star)| self.in_other_module(scope.file, star, name, depth))
    }

    fn in_other_module(
        &self,
        file: usize,
        module: &str,
        name: &str,
        depth: usize,
    ) -> Option<(Scope<'a>, &'a Expression)> {
        self.absolute(file, module).into_iter().find_map(|path| {
            let mut files = self.segments.iter().enumerate();
            files.find_map(|(other, segments)| {
                if path.is_empty() || other == file || !segments.ends_with(&path) {
                    return None;
                }
                self.value_at(Scope { file: other, class: None }, name, depth + 1)
            })
        })
    }

    /// What an expression is worth, where that can be told without running anything.
    pub(super) fn constant(&self, scope: Scope<'a>, expression: &Expression) -> Option<Expression> {
        self.steps.set(MOST_STEPS);
        self.constant_at(scope, expression, 0)
    }

    fn constant_at(&self, scope: Scope<'a>, expression: &Expression, depth: usize) -> Option<Expression> {
        if depth > DEEPEST || !self.may_go_on() {
            return None;
        }
        let inner = |expression: &Expression| self.constant_at(scope, expression, depth + 1);
        match expression {
            Expression::Text(_) | Expression::Number(_) | Expression::Flag(_) | Expression::Nothing => {
                Some(expression.clone())
            }
            Expression::Name(name) => self.named(scope, name, depth),
            Expression::List(items) => {
                items.iter().map(inner).collect::<Option<Vec<_>>>().map(Expression::List)
            }
            Expression::Operation(operator, left, right) => {
                calculated(operator, &inner(left)?, &inner(right)?)
            }
            Expression::Member(value, name) if name == "value" => inner(value),
            Expression::Call { .. } => match expression.call()? {
                ("_" | "gettext_lazy" | "gettext" | "ugettext_lazy" | "Value" | "str" | "int", [one])
                    if one.keyword.is_none() =>
                {
                    inner(&one.value)
                }
                // As a text: a number with a point is a float, which Django makes another decimal of.
                ("Decimal", [one]) => match inner(&one.value)? {
                    Expression::Text(number) if is_number(&number) => Some(Expression::Text(number)),
                    Expression::Number(number) if is_number(&number) && !number.contains('.') => {
                        Some(Expression::Text(number))
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn named(&self, scope: Scope<'a>, name: &str, depth: usize) -> Option<Expression> {
        let name = name.strip_suffix(".value").unwrap_or(name);
        if let Some(choices) = name.strip_suffix(".values") {
            return self.values(scope, choices, depth);
        }
        let (found, value) = self.value_at(scope, name, depth + 1)?;
        let value = self.constant_at(found, value, depth + 1);
        let is_choice = found.class.is_some_and(is_choices);
        match value {
            // `ACTIVE = "a", _("Active")`: the first is the value.
            Some(Expression::List(items)) if is_choice => items.into_iter().next(),
            None if is_choice => match self.value_at(scope, name, depth + 1)?.1 {
                Expression::List(items) => self.constant_at(found, items.first()?, depth + 1),
                _ => None,
            },
            value => value,
        }
    }

    /// The values of choices.
    fn values(&self, scope: Scope<'a>, choices: &str, depth: usize) -> Option<Expression> {
        let own = scope.class.and_then(|class| nested(class, choices));
        let found = match own {
            Some(class) => ClassRef { file: scope.file, class },
            None => match self.follow(scope.file, choices, depth + 1) {
                Meaning::Class(found) => found,
                Meaning::Outside(_) => return None,
            },
        };
        let names = found.class.body.iter().filter_map(|statement| match statement {
            Statement::Assign { target, value: Some(_), .. } if !target.starts_with('_') => Some(target),
            _ => None,
        });
        let values = names.map(|name| self.named(found.into(), name, depth + 1));
        is_choices(found.class).then(|| values.collect::<Option<Vec<_>>>().map(Expression::List)).flatten()
    }
}

/// Whether a class has choices of Django, or is an enumeration.
fn is_choices(class: &Class) -> bool {
    class.bases.iter().filter_map(|base| base.value.last_name()).any(|name| name.ends_with("Choices"))
}

pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.matches('.').count() < 2
        && !digits.ends_with('.')
}

/// Numbers that are counted together, and texts that are put together.
fn calculated(operator: &str, left: &Expression, right: &Expression) -> Option<Expression> {
    match (left, right) {
        (Expression::Number(left), Expression::Number(right)) => {
            let (left, right): (i64, i64) = (left.parse().ok()?, right.parse().ok()?);
            let number = match operator {
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                "**" => left.checked_pow(u32::try_from(right).ok()?),
                _ => None,
            }?;
            Some(Expression::Number(number.to_string()))
        }
        (Expression::Text(left), Expression::Text(right)) if operator == "+" => {
            Some(Expression::Text(format!("{left}{right}")))
        }
        (Expression::List(items), Expression::Number(times)) if operator == "*" => {
            let times = times.parse().ok().filter(|times| *times <= 32usize)?;
            Some(Expression::List((0..times).flat_map(|_| items.iter().cloned()).collect()))
        }
        (Expression::List(left), Expression::List(right)) if operator == "+" => {
            Some(Expression::List(left.iter().chain(right).cloned().collect()))
        }
        _ => None,
    }
}

/// The value of a name of a file.
fn module_value<'a>(module: &'a Module, name: &str) -> Option<&'a Expression> {
    module.statements.iter().rev().find_map(|statement| match statement {
        Statement::Assign { target, value, .. } if target == name => value.as_ref(),
        _ => None,
    })
}

/// A class of a file, `Outer.Inner`.
fn inside<'a>(module: &'a Module, file: usize, name: &str) -> Option<ClassRef<'a>> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let class = module.classes().find(|class| class.name == first)?;
    let class = match rest {
        Some(rest) => nested(class, rest)?,
        None => class,
    };
    Some(ClassRef { file, class })
}

/// A class with those that stand in it.
fn with_inner(found: ClassRef<'_>) -> Vec<ClassRef<'_>> {
    let mut all = vec![found];
    for statement in &found.class.body {
        if let Statement::Class(class) = statement {
            all.extend(with_inner(ClassRef { file: found.file, class }));
        }
    }
    all
}

/// A class inside a class.
fn nested<'a>(class: &'a Class, name: &str) -> Option<&'a Class> {
    name.split('.').try_fold(class, |class, name| class.inner(name))
}

fn segments_of(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".py").unwrap_or(path);
    let path = path.strip_suffix("__init__").unwrap_or(path);
    path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

/// The application of a file without `apps.py`: the folder above its `models`, else the one that it is in.
fn app_of(segments: &[String]) -> String {
    let models = segments.iter().rposition(|segment| segment == "models");
    let end = models.unwrap_or(segments.len().saturating_sub(1));
    segments.get(..end).and_then(<[_]>::last).cloned().unwrap_or_default()
}
