//! What `Meta` says of a table: its comment, what is unique, indexes and constraints.

use cutover_analysis::sql::quote_ident;

use super::build::{Builder, Model};
use super::given::{Given, texts};
use super::lineage;
use super::q::{Described, Language};
use super::world::{Meaning, Scope};
use crate::model::{Aspect, Check, Index, Table, Unique};
use crate::python::{Argument, Expression, positional};

/// How deep lists are followed.
const DEEPEST: usize = 10;

/// Classes of indexes with their access methods (`suffix` in `django/contrib/postgres/indexes.py`).
static INDEXES: &[(&str, Option<&str>)] = &[
    ("Index", None),
    ("BTreeIndex", None),
    ("GinIndex", Some("gin")),
    ("GistIndex", Some("gist")),
    ("BrinIndex", Some("brin")),
    ("HashIndex", Some("hash")),
    ("SpGistIndex", Some("spgist")),
    ("BloomIndex", Some("bloom")),
];

/// What indexes and constraints may say and what makes no difference here.
static HARMLESS: &[&str] = &["name", "violation_error_message", "violation_error_code"];

/// One item of a list of `Meta`: where it stands, and what it is.
type Item<'a> = (Scope<'a>, &'a Expression);

impl<'w, 'a> Builder<'w, 'a> {
    pub(super) fn meta(&mut self, table: &mut Table, model: &Model<'a>, described: &[Described]) {
        let said = |option: &str| lineage::meta(self.world, model.found, option);
        let comment = said("db_table_comment");
        let together = said("unique_together");
        let index_together = said("index_together");
        let (indexes, constraints) = (said("indexes"), said("constraints"));
        let others = ["db_tablespace", "swappable"].map(|option| (option, said(option)));
        let line = model.found.class.line;
        if let Some((scope, value)) = comment {
            match self.world.constant(scope, value) {
                Some(Expression::Text(text)) => table.comment = Some(text).filter(|text| !text.is_empty()),
                _ => {
                    table.unstated.insert(Aspect::Comment);
                    self.say(scope, line, format!("the comment of the table of {}", model.name()));
                }
            }
        }
        for (option, value) in others {
            // Which model of users is used is known.
            let value = value.filter(|(_, value)| value.text() != Some("AUTH_USER_MODEL"));
            if let Some((scope, value)) = value {
                self.say(scope, line, format!("{option} of {}: {}", model.name(), value.shown()));
            }
        }
        if let Some((scope, value)) = together {
            self.together(table, model, described, (scope, value), true);
        }
        if let Some((scope, value)) = index_together {
            self.together(table, model, described, (scope, value), false);
        }
        for item in self.items(table, model, indexes, &[Aspect::Index], "indexes") {
            self.index(table, model, described, item);
        }
        let aspects = [Aspect::Unique, Aspect::Check, Aspect::Index];
        for item in self.items(table, model, constraints, &aspects, "constraints") {
            self.constraint(table, model, described, item);
        }
    }

    /// The items of a list, also where it is put together from those of bases.
    fn items(
        &mut self,
        table: &mut Table,
        model: &Model<'a>,
        said: Option<Item<'a>>,
        aspects: &[Aspect],
        option: &str,
    ) -> Vec<Item<'a>> {
        let Some((scope, value)) = said else { return Vec::new() };
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        self.flatten((scope, value), option, &mut found, &mut unknown, 0);
        for shown in unknown {
            table.unstated.extend(aspects.iter().copied());
            self.say(scope, model.found.class.line, format!("{option} of {}: {shown}", model.name()));
        }
        found
    }

    fn flatten(
        &self,
        (scope, value): Item<'a>,
        option: &str,
        found: &mut Vec<Item<'a>>,
        unknown: &mut Vec<String>,
        depth: usize,
    ) {
        if depth > DEEPEST {
            unknown.push(value.shown());
            return;
        }
        match value {
            Expression::List(items) => {
                for item in items {
                    match item {
                        Expression::Call { .. } => found.push((scope, item)),
                        Expression::Other(text) if text.starts_with('*') => {
                            let name = text.trim_start_matches('*').trim();
                            self.by_name((scope, item), name, option, found, unknown, depth);
                        }
                        item => self.flatten((scope, item), option, found, unknown, depth + 1),
                    }
                }
            }
            Expression::Operation(operator, left, right) if operator == "+" => {
                for side in [left, right] {
                    self.flatten((scope, side), option, found, unknown, depth + 1);
                }
            }
            Expression::Name(name) => self.by_name((scope, value), name, option, found, unknown, depth),
            Expression::Call { .. } if depth > 0 => found.push((scope, value)),
            other => unknown.push(other.shown()),
        }
    }

    /// What `X.Meta.indexes` or another name stands for.
    fn by_name(
        &self,
        (scope, value): Item<'a>,
        name: &str,
        option: &str,
        found: &mut Vec<Item<'a>>,
        unknown: &mut Vec<String>,
        depth: usize,
    ) {
        let owner = name.strip_suffix(option).and_then(|name| name.strip_suffix(".Meta."));
        let inner = match owner.map(|owner| self.world.meaning(scope.file, owner)) {
            Some(Meaning::Class(class)) => lineage::meta(self.world, class, option),
            Some(Meaning::Outside(_)) => None,
            None => self.world.value(scope, name),
        };
        match inner {
            Some((_, inner)) if std::ptr::eq(inner, value) => unknown.push(name.to_owned()),
            Some(inner) => self.flatten(inner, option, found, unknown, depth + 1),
            // A base that is known and says nothing.
            None if owner.is_some_and(|owner| self.class(scope.file, owner).is_some()) => {}
            None => unknown.push(name.to_owned()),
        }
    }

    /// `unique_together` and `index_together`: one list of fields, or several.
    fn together(
        &mut self,
        table: &mut Table,
        model: &Model<'a>,
        described: &[Described],
        (scope, value): Item<'a>,
        is_unique: bool,
    ) {
        let language = Language { world: self.world, fields: described };
        let columns = |names: &[String]| -> Option<Vec<String>> {
            names.iter().map(|name| Some(language.field(name)?.column.clone())).collect()
        };
        let groups = match self.world.constant(scope, value) {
            Some(Expression::List(items)) => match texts(&Expression::List(items.clone())) {
                Some(names) if !names.is_empty() => Some(vec![names]),
                _ => items.iter().map(texts).collect::<Option<Vec<_>>>(),
            },
            Some(Expression::Nothing) => Some(Vec::new()),
            _ => None,
        };
        let groups: Option<Vec<Vec<String>>> =
            groups.and_then(|groups| groups.iter().map(|names| columns(names)).collect());
        let (line, place) = (model.found.class.line, table.place.clone());
        let Some(groups) = groups else {
            let (aspect, option) = if is_unique {
                (Aspect::Unique, "unique_together")
            } else {
                (Aspect::Index, "index_together")
            };
            table.unstated.insert(aspect);
            self.say(scope, line, format!("{option} of {}: {}", model.name(), value.shown()));
            return;
        };
        for columns in groups.into_iter().filter(|columns| !columns.is_empty()) {
            if is_unique {
                table.uniques.push(Unique { columns, place: place.clone(), ..Unique::default() });
            } else {
                let keys = columns.iter().map(|column| quote_ident(column)).collect();
                table.indexes.push(Index { keys, place: place.clone(), ..Index::default() });
            }
        }
    }

    fn given_of<'g>(&self, (scope, value): Item<'a>) -> Option<(Given<'g, 'a>, u32)>
    where
        'w: 'g,
        'a: 'g,
    {
        let Expression::Call { arguments, line, .. } = value else { return None };
        Some((Given { world: self.world, scope, arguments, order: &[] }, *line))
    }

    fn index(&mut self, table: &mut Table, model: &Model<'a>, described: &[Described], item: Item<'a>) {
        let Some((given, line)) = self.given_of(item) else { return };
        let label = format!("an index of {}: {}", model.name(), item.1.shown());
        let class = item.1.call().map(|(name, _)| name).unwrap_or_default();
        let method = INDEXES.iter().find(|(known, _)| *known == class).map(|(_, method)| *method);
        let language = Language { world: self.world, fields: described };
        let is_own = match item.1 {
            Expression::Call { function, .. } => {
                function.name().is_some_and(|name| self.class(item.0.file, name).is_some())
            }
            _ => false,
        };
        let known = ["fields", "condition", "include", "opclasses", "db_tablespace"];
        let made = method.filter(|_| !is_own && only(given.arguments, &known)).and_then(|method| {
            Some(Index {
                name: name_of(given, model)?,
                keys: keys(&language, given)?,
                unique: false,
                method: method.map(str::to_owned),
                include: columns(&language, given, "include")?,
                condition: condition(&language, given, "condition")?,
                place: self.place(item.0, line),
                ..Index::default()
            })
        });
        if let Some(index) = made {
            table.indexes.push(index);
        } else {
            let fields = given.constant("fields").as_ref().and_then(texts);
            let alone = match fields.as_deref() {
                Some([one]) => language.field(one.trim_start_matches('-')).map(|field| field.column.clone()),
                _ => None,
            };
            let name = name_of(given, model).flatten();
            let column = alone.filter(|_| name.is_none());
            let column = column.and_then(|name| table.columns.iter_mut().find(|one| one.name == name));
            match column {
                // One without a name, over one column, is another one of that column.
                Some(column) => drop(column.unstated.insert(Aspect::Index)),
                None => unread(table, name, &[Aspect::Index]),
            }
            self.say(item.0, line, label);
        }
    }

    fn constraint(&mut self, table: &mut Table, model: &Model<'a>, described: &[Described], item: Item<'a>) {
        let Some((given, line)) = self.given_of(item) else { return };
        let language = Language { world: self.world, fields: described };
        let place = self.place(item.0, line);
        let class = item.1.call().map(|(name, _)| name).unwrap_or_default();
        let (is_made, aspects): (bool, &[Aspect]) = match class {
            "CheckConstraint" => {
                let check = ["condition", "check"].into_iter().find(|name| given.get(name).is_some());
                let sql = check.and_then(|name| condition(&language, given, name).flatten());
                let name = name_of(given, model);
                let is_made = match (sql, name, only(given.arguments, &["condition", "check"])) {
                    (Some(expression), Some(name), true) => {
                        table.checks.push(Check { name, expression, place });
                        true
                    }
                    _ => false,
                };
                (is_made, &[Aspect::Check])
            }
            "UniqueConstraint" => {
                let is_made = unique(table, &language, given, model, place).is_some();
                (is_made, &[Aspect::Unique, Aspect::Index])
            }
            "ExclusionConstraint" => (false, &[Aspect::Unique, Aspect::Index]),
            _ => (false, &[Aspect::Unique, Aspect::Check, Aspect::Index]),
        };
        if !is_made {
            unread(table, name_of(given, model).flatten(), aspects);
            self.say(item.0, line, format!("a constraint of {}: {}", model.name(), item.1.shown()));
        }
    }
}

/// Leaves out what is not understood: what is called so, or all of that kind where its name is not known either.
fn unread(table: &mut Table, name: Option<String>, aspects: &[Aspect]) {
    match name {
        Some(name) => drop(table.unread.insert(name)),
        None => table.unstated.extend(aspects),
    }
}

/// Whether no other keywords are given.
fn only(arguments: &[Argument], known: &[&str]) -> bool {
    arguments.iter().all(|argument| match argument.keyword.as_deref() {
        None => true,
        Some(keyword) => known.contains(&keyword) || HARMLESS.contains(&keyword),
    })
}

/// The name with what it says of its model (`_format_names` in `django/db/models/options.py`); one with a hash is left open.
fn name_of(given: Given<'_, '_>, model: &Model<'_>) -> Option<Option<String>> {
    let name = given.text("name").ok()?;
    Some(name.map(|name| {
        let name = name.replace("%(app_label)s", &model.app.to_lowercase());
        name.replace("%(class)s", &model.lower()).replace("%%", "%")
    }))
}

/// The columns of an argument that is a list of fields; `None` where that cannot be told.
fn columns(language: &Language<'_, '_>, given: Given<'_, '_>, name: &str) -> Option<Vec<String>> {
    match given.get(name) {
        None | Some(Expression::Nothing) => Some(Vec::new()),
        Some(_) => {
            let names = texts(&given.constant(name)?)?;
            names.iter().map(|name| Some(language.field(name)?.column.clone())).collect()
        }
    }
}

fn condition(language: &Language<'_, '_>, given: Given<'_, '_>, name: &str) -> Option<Option<String>> {
    match given.get(name) {
        None | Some(Expression::Nothing) => Some(None),
        Some(value) => {
            // A condition may stand beside the class, under a name.
            let value = match value {
                Expression::Name(name) => {
                    let (scope, value) = given.world.value(given.scope, name)?;
                    return language.condition(scope, value).map(Some);
                }
                value => value,
            };
            language.condition(given.scope, value).map(Some)
        }
    }
}

/// Its keys: fields, with `-` before those that go down, or expressions.
fn keys(language: &Language<'_, '_>, given: Given<'_, '_>) -> Option<Vec<String>> {
    let classes = match given.get("opclasses") {
        None => Vec::new(),
        Some(_) => texts(&given.constant("opclasses")?)?,
    };
    let mut keys: Vec<String> = positional(given.arguments)
        .map(|argument| language.key(given.scope, &argument.value))
        .collect::<Option<_>>()?;
    if given.get("fields").is_some() {
        for (at, name) in texts(&given.constant("fields")?)?.iter().enumerate() {
            let (name, order) = name.strip_prefix('-').map_or((name.as_str(), ""), |name| (name, " DESC"));
            let column = quote_ident(&language.field(name)?.column);
            let class = classes.get(at).filter(|class| !class.is_empty());
            let class = class.map(|class| format!(" {class}")).unwrap_or_default();
            keys.push(format!("{column}{class}{order}"));
        }
    }
    (!keys.is_empty()).then_some(keys)
}

/// `UniqueConstraint`: a constraint, or an index where it is more than one can say (`_unique_sql` and `_create_unique_sql` in
/// `django/db/backends/base/schema.py`).
fn unique(
    table: &mut Table,
    language: &Language<'_, '_>,
    given: Given<'_, '_>,
    model: &Model<'_>,
    place: crate::model::Place,
) -> Option<()> {
    let known = ["fields", "condition", "deferrable", "include", "opclasses", "nulls_distinct"];
    if !only(given.arguments, &known) {
        return None;
    }
    let name = name_of(given, model)?;
    let condition = condition(language, given, "condition")?;
    let include = columns(language, given, "include")?;
    let nulls_not_distinct = match given.get("nulls_distinct") {
        None => false,
        Some(_) => match given.constant("nulls_distinct")? {
            Expression::Flag(false) => true,
            Expression::Flag(true) | Expression::Nothing => false,
            _ => return None,
        },
    };
    let has_classes = given.get("opclasses").is_some();
    let is_index = condition.is_some()
        || !include.is_empty()
        || has_classes
        || positional(given.arguments).next().is_some();
    if is_index {
        let keys = keys(language, given)?;
        let unique = Index {
            name,
            keys,
            unique: true,
            include,
            condition,
            nulls_not_distinct,
            place,
            ..Index::default()
        };
        table.indexes.push(unique);
        return Some(());
    }
    let (deferrable, deferred) = match given.get("deferrable") {
        None | Some(Expression::Nothing) => (false, false),
        Some(value) => match value.last_name() {
            Some("DEFERRED") => (true, true),
            Some("IMMEDIATE") => (true, false),
            _ => return None,
        },
    };
    let columns = columns(language, given, "fields")?;
    if columns.is_empty() {
        return None;
    }
    table.uniques.push(Unique { name, columns, deferrable, deferred, nulls_not_distinct, place });
    Some(())
}
