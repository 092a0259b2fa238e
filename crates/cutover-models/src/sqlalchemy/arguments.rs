//! Constraints and indexes: `__table_args__`, what stands in `Table(…)`, and `Index(…)` beside the classes.

use super::columns::At;
use super::given::{self, Given};
use super::naming::Parts;
use super::{defaults, types};
use crate::model::{
    Aspect, Check, Column, Default, ForeignKey, Identity, Index, Models, Place, Table, Unique,
};
use crate::python::{Argument, Expression, keyword, positional};

fn text_of(at: At<'_>, value: &Expression) -> Option<String> {
    match at.known.value(at.module, value) {
        Expression::Text(text) => Some(text.clone()),
        Expression::Other(written) => at.known.formatted(at.module, at.class, written),
        _ => None,
    }
}

fn word(at: At<'_>, arguments: &[Argument], name: &str) -> Option<String> {
    keyword(arguments, name).and_then(|value| text_of(at, value))
}

fn is(arguments: &[Argument], name: &str) -> bool {
    keyword(arguments, name) == Some(&Expression::Flag(true))
}

fn is_deferred(at: At<'_>, arguments: &[Argument]) -> bool {
    word(at, arguments, "initially").is_some_and(|when| when.eq_ignore_ascii_case("deferred"))
}

/// A name, as a text or as an attribute of the class.
fn column_name(table: &Table, value: &Expression) -> Option<String> {
    let attribute = match value {
        Expression::Text(text) => return Some(text.clone()),
        Expression::Name(_) => value.last_name()?,
        _ => return None,
    };
    let label =
        |label: &str| label.rsplit_once('.').map_or(label == attribute, |(_, last)| last == attribute);
    let by_label = table.columns.iter().find(|column| label(&column.label));
    Some(by_label.map_or_else(|| attribute.to_owned(), |column| column.name.clone()))
}

/// `ForeignKey("users.id", …)` of a column.
pub(super) fn foreign_key(
    at: At<'_>,
    arguments: &[Argument],
    column: &mut Column,
    table: &mut Table,
    models: &mut Models,
) {
    let name = column.name.clone();
    let target =
        keyword(arguments, "column").or_else(|| positional(arguments).next().map(|first| &first.value));
    let target = target.map(|target| at.known.value(at.module, target));
    let Some(target) = target.and_then(target_of) else {
        let shown = target.map(Expression::shown).unwrap_or_default();
        column.unstated.insert(Aspect::ForeignKey);
        return models.unsupported(at.place(), format!("what the foreign key {name} points to: {shown}"));
    };
    let key = made(at, arguments, vec![name], &[target], table);
    open_actions(at, arguments, &key, table, models);
    table.foreign_keys.push(key);
}

/// What a foreign key does, and is not known.
fn open_actions(
    at: At<'_>,
    arguments: &[Argument],
    key: &ForeignKey,
    table: &mut Table,
    models: &mut Models,
) {
    for (word, aspect) in [
        ("ondelete", Aspect::OnDelete),
        ("onupdate", Aspect::OnUpdate),
        ("deferrable", Aspect::Deferrable),
        ("initially", Aspect::Deferrable),
    ] {
        if is_computed(at, arguments, &[word]) {
            table.unstated.insert(aspect);
            let shown = keyword(arguments, word).map(Expression::shown).unwrap_or_default();
            let what = format!("{word} of the foreign key {}: {shown}", key.columns.join(", "));
            models.unsupported(at.place(), what);
        }
    }
}

/// What a foreign key points to: schema, table and column. A class is `("", class, column)` until all are read.
type Target = (Option<String>, String, String);

/// Stands where a table is told by its class.
pub(super) const BY_CLASS: &str = "class:";

fn target_of(target: &Expression) -> Option<Target> {
    match target {
        Expression::Text(text) => {
            let (rest, column) = text.rsplit_once('.')?;
            Some(match rest.rsplit_once('.') {
                Some((schema, table)) => (Some(schema.to_owned()), table.to_owned(), column.to_owned()),
                None => (None, rest.to_owned(), column.to_owned()),
            })
        }
        // `User.id`, and `users.c.id` of a table.
        Expression::Name(name) => {
            let (class, column) = name.rsplit_once('.')?;
            let class = class.strip_suffix(".c").unwrap_or(class);
            let class = class.rsplit_once('.').map_or(class, |(_, last)| last);
            Some((None, format!("{BY_CLASS}{class}"), column.to_owned()))
        }
        _ => None,
    }
}

fn made(
    at: At<'_>,
    arguments: &[Argument],
    columns: Vec<String>,
    targets: &[Target],
    table: &Table,
) -> ForeignKey {
    let (schema, parent) =
        targets.first().map(|(schema, parent, _)| (schema.clone(), parent.clone())).unwrap_or_default();
    let own = word(at, arguments, "name");
    let parts = Parts { parent: &parent, ..Parts::of(table, &columns, own.as_deref()) };
    ForeignKey {
        name: at.known.naming.name("fk", parts),
        parent_schema: schema.or_else(|| at.known.schema.clone()),
        parent_columns: targets.iter().map(|(_, _, column)| column.clone()).collect(),
        on_delete: word(at, arguments, "ondelete").map(|word| word.to_ascii_uppercase()),
        on_update: word(at, arguments, "onupdate").map(|word| word.to_ascii_uppercase()),
        deferrable: is(arguments, "deferrable"),
        deferred: is_deferred(at, arguments),
        is_full: word(at, arguments, "match").is_some_and(|word| word.eq_ignore_ascii_case("full")),
        place: at.place(),
        columns,
        parent,
    }
}

/// `CheckConstraint("…", name=…)`.
pub(super) fn check(at: At<'_>, arguments: &[Argument], table: &mut Table, models: &mut Models) {
    let first =
        keyword(arguments, "sqltext").or_else(|| positional(arguments).next().map(|first| &first.value));
    let first = first.map(|first| at.known.value(at.module, first));
    let text = first.and_then(|first| match first {
        Expression::Text(text) => Some(text.clone()),
        other => defaults::sql(at.known, at.module, other),
    });
    let Some(expression) = text else {
        let shown = first.map(Expression::shown).unwrap_or_default();
        let what = format!("a check of {}: {shown}", table.name);
        let own = word(at, arguments, "name");
        let parts = Parts::of(table, &[], own.as_deref());
        let name = own.as_ref().and(at.known.naming.name("ck", parts));
        return unread(at, Aspect::Check, (name, what), table, models);
    };
    let own = word(at, arguments, "name");
    let parts = Parts::of(table, &[], own.as_deref());
    table.checks.push(Check { name: at.known.naming.name("ck", parts), expression, place: at.place() });
}

/// What stands in `__table_args__`.
pub(super) fn table_arguments(at: At<'_>, value: &Expression, table: &mut Table, models: &mut Models) {
    match at.known.value(at.module, value) {
        Expression::List(items) => {
            for item in items {
                table_arguments(at, item, table, models);
            }
        }
        Expression::Dictionary(pairs) => {
            let said =
                |(key, value): &(Expression, Expression)| Some((key.text()?.to_owned(), value.clone()));
            for (name, value) in pairs.iter().filter_map(said) {
                table_keyword(at, &name, &value, table, models);
            }
        }
        Expression::Call { function, arguments, line } => {
            let at = At { line: *line, ..at };
            part(at, function.last_name().unwrap_or_default(), arguments, table, models);
        }
        Expression::Operation(operator, left, right) if operator == "+" => {
            table_arguments(at, left, table, models);
            table_arguments(at, right, table, models);
        }
        Expression::Nothing => {}
        other => {
            table.unstated.extend([Aspect::Unique, Aspect::Check, Aspect::Index, Aspect::ForeignKey]);
            models.unsupported(at.place(), format!("what {} is made with: {}", table.name, other.shown()));
        }
    }
}

/// A keyword of `Table(…)`, or an entry of the dictionary in `__table_args__`.
pub(super) fn table_keyword(
    at: At<'_>,
    name: &str,
    value: &Expression,
    table: &mut Table,
    models: &mut Models,
) {
    match name {
        "schema" => table.schema = text_of(at, value).or(table.schema.take()),
        "comment" => table.comment = text_of(at, value),
        "autoload_with" | "autoload" if *value != Expression::Flag(false) => {
            let what = format!("what the database says of {}: its table is read from there", table.name);
            models.unsupported(at.place(), what);
            super::classes::open_to_all(table);
        }
        name if name.starts_with("postgresql_") => {
            models.unsupported(at.place(), format!("{name} of {}", table.name));
        }
        // What concerns other databases, or only the client.
        _ => {}
    }
}

/// One constraint or index of a table.
pub(super) fn part(at: At<'_>, kind: &str, arguments: &[Argument], table: &mut Table, models: &mut Models) {
    let Given { arguments, is_open } = given::of(at, arguments);
    let arguments = arguments.as_slice();
    let own = word(at, arguments, "name");
    if is_open {
        return part_with_more(at, kind, (own, arguments), table, models);
    }
    let columns = || -> Option<Vec<String>> {
        positional(arguments)
            .map(|argument| column_name(table, at.known.value(at.module, &argument.value)))
            .collect()
    };
    match kind {
        "UniqueConstraint" => {
            let columns = columns();
            unique_constraint(at, arguments, (own, columns), table, models);
        }
        "PrimaryKeyConstraint" => match columns() {
            Some(columns) => {
                for column in table.columns.iter_mut().filter(|column| columns.contains(&column.name)) {
                    column.not_null = true;
                    // As where the column says it itself: one that is alone numbers the rows.
                    let is_integer = matches!(column.data_type.as_str(), "integer" | "bigint" | "smallint");
                    let is_free = column.default == Default::None && column.identity.is_none();
                    let is_key = table.foreign_keys.iter().any(|key| key.columns.contains(&column.name));
                    if columns.len() == 1 && is_integer && is_free && !is_key {
                        column.identity = Some(Identity::Serial);
                    }
                }
                table.primary_key = columns;
                table.primary_key_name = own;
            }
            None => left_open(at, Aspect::PrimaryKey, "the primary key", table, models),
        },
        "ForeignKeyConstraint" => composite_key(at, arguments, table, models),
        "CheckConstraint" => check(at, arguments, table, models),
        "Index" => index(at, arguments, table, models),
        "ExcludeConstraint" => models.unsupported(at.place(), format!("{kind} of {}", table.name)),
        // What makes a part, or several.
        other => {
            table.unstated.extend([Aspect::Unique, Aspect::Check, Aspect::Index, Aspect::ForeignKey]);
            models.unsupported(at.place(), format!("{other} of {}", table.name));
        }
    }
}

/// A constraint or index that is made with something that is not known.
fn part_with_more(
    at: At<'_>,
    kind: &str,
    (own, arguments): (Option<String>, &[Argument]),
    table: &mut Table,
    models: &mut Models,
) {
    let (aspect, own) = match kind {
        "UniqueConstraint" => (Aspect::Unique, own),
        "PrimaryKeyConstraint" => (Aspect::PrimaryKey, None),
        "ForeignKeyConstraint" => (Aspect::ForeignKey, own),
        "CheckConstraint" => (Aspect::Check, own),
        "Index" => {
            let first = positional(arguments).next();
            (Aspect::Index, first.and_then(|first| text_of(at, &first.value)))
        }
        other => {
            table.unstated.extend([Aspect::Unique, Aspect::Check, Aspect::Index, Aspect::ForeignKey]);
            return models.unsupported(at.place(), format!("{other} of {}", table.name));
        }
    };
    let name = own.as_ref().map(|own| format!(" {own}")).unwrap_or_default();
    if aspect == Aspect::Index && own.is_none() {
        table.unstated.insert(Aspect::Unique);
    }
    unread(at, aspect, (own, format!("{kind}{name} of {}", table.name)), table, models);
}

/// Whether something is said in another way than by what can be read without running it.
fn is_computed(at: At<'_>, arguments: &[Argument], words: &[&str]) -> bool {
    words.iter().filter_map(|word| keyword(arguments, word)).any(|value| {
        match at.known.value(at.module, value) {
            Expression::Text(_) | Expression::Flag(_) | Expression::Nothing => false,
            Expression::Other(written) => at.known.formatted(at.module, at.class, written).is_none(),
            _ => true,
        }
    })
}

/// Leaves out what is not understood: what is called so, or all of that kind where its name is not known either.
fn unread(
    at: At<'_>,
    aspect: Aspect,
    (name, what): (Option<String>, String),
    table: &mut Table,
    models: &mut Models,
) {
    match name {
        Some(name) => {
            table.unread.insert(name);
        }
        None => {
            table.unstated.insert(aspect);
        }
    }
    models.unsupported(at.place(), what);
}

/// PostgreSQL makes one of what is said twice.
pub(super) fn add_unique(table: &mut Table, unique: Unique) {
    let is_same = |known: &Unique| known.name == unique.name && known.columns == unique.columns;
    if !table.uniques.iter().any(is_same) {
        table.uniques.push(unique);
    }
}

fn left_open(at: At<'_>, aspect: Aspect, what: &str, table: &mut Table, models: &mut Models) {
    table.unstated.insert(aspect);
    models.unsupported(at.place(), format!("{what} of {}", table.name));
}

fn unique_constraint(
    at: At<'_>,
    arguments: &[Argument],
    (own, columns): (Option<String>, Option<Vec<String>>),
    table: &mut Table,
    models: &mut Models,
) {
    let is_plain =
        !is_computed(at, arguments, &["name", "deferrable", "initially", "postgresql_nulls_not_distinct"])
            && keyword(arguments, "postgresql_include").is_none();
    let Some(columns) = columns.filter(|_| is_plain) else {
        let what = format!("a unique constraint of {}", table.name);
        return unread(at, Aspect::Unique, (own, what), table, models);
    };
    let parts = Parts::of(table, &columns, own.as_deref());
    let unique = Unique {
        name: at.known.naming.name("uq", parts),
        deferrable: is(arguments, "deferrable"),
        deferred: is_deferred(at, arguments),
        nulls_not_distinct: is(arguments, "postgresql_nulls_not_distinct"),
        place: at.place(),
        columns,
    };
    add_unique(table, unique);
}

fn composite_key(at: At<'_>, arguments: &[Argument], table: &mut Table, models: &mut Models) {
    let list = |place: usize, name: &str| -> Vec<Expression> {
        let value =
            positional(arguments).nth(place).map(|argument| &argument.value).or(keyword(arguments, name));
        match value.map(|value| at.known.value(at.module, value)) {
            Some(Expression::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    };
    let columns: Option<Vec<String>> =
        list(0, "columns").iter().map(|column| column_name(table, column)).collect();
    let targets: Option<Vec<Target>> = list(1, "refcolumns").iter().map(target_of).collect();
    match (columns, targets) {
        (Some(columns), Some(targets)) if !columns.is_empty() && columns.len() == targets.len() => {
            // A column that points to another does not number the rows.
            for column in table.columns.iter_mut().filter(|column| columns.contains(&column.name)) {
                column.identity = column.identity.filter(|own| *own != Identity::Serial);
            }
            let key = made(at, arguments, columns, &targets, table);
            open_actions(at, arguments, &key, table, models);
            table.foreign_keys.push(key);
        }
        _ => left_open(at, Aspect::ForeignKey, "a foreign key", table, models),
    }
}

/// `Index("name", "column", …)`.
pub(super) fn index(at: At<'_>, arguments: &[Argument], table: &mut Table, models: &mut Models) {
    let mut keys = positional(arguments);
    let first = keys.next().map(|first| &first.value);
    let own = first.and_then(|first| text_of(at, first));
    let is_named = first.is_some_and(|first| *first != Expression::Nothing);
    let keys: Vec<&Expression> = keys.map(|argument| &argument.value).collect();
    let sql: Option<Vec<String>> = keys.iter().map(|key| index_key(at, key, table)).collect();
    let condition = keyword(arguments, "postgresql_where").map(|value| condition(at, value, table));
    let sql = sql.filter(|sql| {
        !sql.is_empty() && is_named == own.is_some() && !has_options(at, arguments, sql, table)
    });
    let (Some(sql), false) = (sql, condition == Some(None)) else {
        let shown = own.clone().or_else(|| first.map(Expression::shown)).unwrap_or_default();
        let what = format!("the index {shown} of {}", table.name);
        if own.is_none() && is(arguments, "unique") {
            table.unstated.insert(Aspect::Unique);
        }
        return unread(at, Aspect::Index, (own, what), table, models);
    };
    let classes = match keyword(arguments, "postgresql_ops").map(|value| at.known.value(at.module, value)) {
        Some(Expression::Dictionary(pairs)) => pairs.clone(),
        _ => Vec::new(),
    };
    let with_class = |key: String| {
        let class =
            classes.iter().find(|(column, _)| column.text().map(types::ident).as_deref() == Some(&key));
        match class.and_then(|(_, class)| class.text()) {
            Some(class) => format!("{key} {class}"),
            None => key,
        }
    };
    let columns: Vec<String> = keys.iter().filter_map(|key| column_name(table, key)).collect();
    let parts = Parts::of(table, &columns, own.as_deref());
    let included = match keyword(arguments, "postgresql_include")
        .map(|value| at.known.value(at.module, value))
    {
        Some(Expression::List(items)) => items.iter().filter_map(|item| column_name(table, item)).collect(),
        _ => Vec::new(),
    };
    table.indexes.push(Index {
        name: at.known.naming.name("ix", parts),
        keys: sql.into_iter().map(with_class).collect(),
        unique: is(arguments, "unique"),
        method: word(at, arguments, "postgresql_using"),
        include: included,
        nulls_not_distinct: is(arguments, "postgresql_nulls_not_distinct"),
        condition: condition.flatten(),
        place: at.place(),
    });
}

/// Whether an index has something that is not read.
fn has_options(at: At<'_>, arguments: &[Argument], keys: &[String], table: &Table) -> bool {
    const READ: &[&str] = &[
        "unique",
        "postgresql_where",
        "postgresql_ops",
        "postgresql_include",
        "postgresql_using",
        "postgresql_nulls_not_distinct",
        // How it is made, and what only the client knows.
        "postgresql_concurrently",
        "info",
        "quote",
        "_table",
        "_column_flag",
    ];
    let value = |word: &str| keyword(arguments, word).map(|value| at.known.value(at.module, value));
    let is_other = arguments.iter().filter_map(|argument| argument.keyword.as_deref()).any(|word| {
        // Those of other databases are nothing here.
        !READ.contains(&word) && (word.starts_with("postgresql_") || word.starts_with('*'))
    });
    let classes = match value("postgresql_ops") {
        None | Some(Expression::Nothing) => true,
        Some(Expression::Dictionary(pairs)) => pairs.iter().all(|(key, class)| {
            class.text().is_some() && key.text().is_some_and(|key| keys.contains(&types::ident(key)))
        }),
        Some(_) => false,
    };
    let included = match value("postgresql_include") {
        None | Some(Expression::Nothing) => true,
        Some(Expression::List(items)) => items.iter().all(|item| column_name(table, item).is_some()),
        Some(_) => false,
    };
    is_other
        || !classes
        || !included
        || is_computed(at, arguments, &["unique", "postgresql_using", "postgresql_nulls_not_distinct"])
}

/// A key of an index as SQL.
fn index_key(at: At<'_>, key: &Expression, table: &Table) -> Option<String> {
    // A name is a column before it is anything else.
    if let Some(name) = column_name(table, key) {
        return Some(types::ident(&name));
    }
    let Expression::Call { function, arguments, .. } = key else { return None };
    // A column that is said where there is none yet: `func.lower(Column("email"))`.
    if matches!(function.last_name(), Some("Column" | "column")) {
        return Some(types::ident(positional(arguments).next()?.value.text()?));
    }
    let (of, method) = match function.as_ref() {
        Expression::Member(of, method) => (Some(of.as_ref().clone()), method.clone()),
        Expression::Name(name) => match name.rsplit_once('.') {
            Some((of, method)) => (Some(Expression::Name(of.to_owned())), method.to_owned()),
            None => (None, name.clone()),
        },
        _ => return None,
    };
    let suffix = match method.as_str() {
        "desc" => "DESC",
        "asc" => "ASC",
        "nulls_last" | "nullslast" => "NULLS LAST",
        "nulls_first" | "nullsfirst" => "NULLS FIRST",
        "text" | "literal_column" => {
            return text_of(at, &positional(arguments).next()?.value);
        }
        called if of.as_ref().is_some_and(|of| of.last_name() == Some("func")) => {
            let inner: Option<Vec<String>> =
                positional(arguments).map(|argument| function_argument(at, &argument.value, table)).collect();
            return Some(format!("{called}({})", inner?.join(", ")));
        }
        _ => return None,
    };
    // `users.c.name.desc()`, `desc("name")`.
    let of = match of.filter(|of| !matches!(of.last_name(), Some("sa" | "sqlalchemy"))) {
        Some(of) => of,
        None => positional(arguments).next()?.value.clone(),
    };
    Some(format!("{} {suffix}", index_key(at, &of, table)?))
}

/// What a function is called with: a text is one, and no column.
fn function_argument(at: At<'_>, value: &Expression, table: &Table) -> Option<String> {
    match value {
        Expression::Text(_) | Expression::Number(_) | Expression::Flag(_) => {
            defaults::sql(at.known, at.module, value)
        }
        _ => index_key(at, value, table),
    }
}

/// A condition as SQL: `text("…")`, or one about a column being NULL or not.
fn condition(at: At<'_>, value: &Expression, table: &Table) -> Option<String> {
    let value = at.known.value(at.module, value);
    if let Expression::Text(text) = value {
        return Some(text.clone());
    }
    let Expression::Call { function, arguments, .. } = value else {
        let name = column_name(table, value)?;
        return Some(types::ident(&name));
    };
    if let Some((of, method)) = function.name().and_then(|name| name.rsplit_once('.')) {
        let what = match positional(arguments).next().map(|argument| &argument.value) {
            Some(Expression::Nothing) => "NULL",
            Some(Expression::Flag(true)) => "TRUE",
            Some(Expression::Flag(false)) => "FALSE",
            _ => "",
        };
        let not = match method {
            "is_" => "",
            "isnot" | "is_not" => "NOT ",
            _ => return defaults::sql(at.known, at.module, value),
        };
        let column = types::ident(&column_name(table, &Expression::Name(of.to_owned()))?);
        return (!what.is_empty()).then(|| format!("{column} IS {not}{what}"));
    }
    defaults::sql(at.known, at.module, value)
}

/// Puts tables in the place of classes that foreign keys name, and types in the place of those that follow from them.
pub(super) fn resolve(models: &mut Models, labels: &[(String, usize)]) {
    let mut tables = std::mem::take(&mut models.tables);
    let by_class = |class: &str| labels.iter().find(|(known, _)| known == class).map(|(_, at)| *at);
    let mut found: Vec<(usize, usize, ForeignKey)> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        for (which, key) in table.foreign_keys.iter().enumerate() {
            let Some(class) = key.parent.strip_prefix(BY_CLASS) else { continue };
            let made = match by_class(class).and_then(|at| tables.get(at)) {
                Some(parent) => of_parent(key, parent),
                None => ForeignKey { parent: class.to_owned(), ..key.clone() },
            };
            found.push((at, which, made));
        }
    }
    for (at, which, made) in found {
        let key = tables.get_mut(at).and_then(|table| table.foreign_keys.get_mut(which));
        if let Some(key) = key {
            *key = made;
        }
    }
    models.tables = tables;
    types_of_keys(models);
}

/// A key that named a class, now that the table of that is known: its names, and those of columns, are those of the database.
fn of_parent(key: &ForeignKey, parent: &Table) -> ForeignKey {
    let column = |attribute: &String| {
        column_name(parent, &Expression::Name(attribute.clone())).unwrap_or_else(|| attribute.clone())
    };
    ForeignKey {
        name: key.name.as_ref().map(|name| name.replace(&key.parent, &parent.name)),
        parent_schema: parent.schema.clone(),
        parent: parent.name.clone(),
        parent_columns: key.parent_columns.iter().map(column).collect(),
        ..key.clone()
    }
}

/// A column that has no type but points to one that has.
fn types_of_keys(models: &mut Models) {
    // A key may point to a key: as often as there are tables at most.
    for _ in 0..models.tables.len() {
        let mut found: Vec<(usize, String, String)> = Vec::new();
        for (at, table) in models.tables.iter().enumerate() {
            for key in &table.foreign_keys {
                for (column, target) in key.columns.iter().zip(&key.parent_columns) {
                    let is_open = table.columns.iter().any(|own| {
                        own.name == *column && own.data_type.is_empty() && own.unstated.is_empty()
                    });
                    let parent = models
                        .tables
                        .iter()
                        .find(|parent| parent.name == key.parent && parent.schema == key.parent_schema);
                    let data_type = parent
                        .and_then(|parent| parent.columns.iter().find(|own| own.name == *target))
                        .map(|own| own.data_type.clone());
                    if let Some(data_type) = data_type.filter(|data_type| is_open && !data_type.is_empty()) {
                        found.push((at, column.clone(), data_type));
                    }
                }
            }
        }
        if found.is_empty() {
            break;
        }
        for (at, name, data_type) in found {
            let column = models
                .tables
                .get_mut(at)
                .and_then(|table| table.columns.iter_mut().find(|column| column.name == name));
            if let Some(column) = column {
                column.data_type.clone_from(&data_type);
            }
        }
    }
    let mut open: Vec<(Place, String)> = Vec::new();
    for column in models.tables.iter_mut().flat_map(|table| &mut table.columns) {
        if column.data_type.is_empty() && column.unstated.insert(Aspect::Type) {
            open.push((column.place.clone(), format!("the type of {}", column.label)));
        }
    }
    for (place, what) in open {
        models.unsupported(place, what);
    }
}
