//! What statements cannot be made without a word from people: whether something that is in no model goes or stays or has another
//! name, and what the rows that are there get in a new column. Nothing of it is guessed. Pure.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::models::{Default, Models};
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql;
use serde::Serialize;

use super::compare::{said_of, takes_a_value};
use super::model::Difference;
use crate::compare::rename::{self, Rename};
use crate::secrets::without_passwords;

/// What was decided.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// What of all that is in no model goes, as [`what`] reads it.
    pub drop: Vec<String>,
    /// What of it stays, and counts as no difference.
    pub keep: Vec<String>,
    /// What rows that are there get.
    pub fills: Vec<Fill>,
    /// What has another name by now.
    pub renames: Vec<Rename>,
    /// Values of types that have another name by now.
    pub values: Vec<RenamedValue>,
}

/// A value of a type that has another name by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenamedValue {
    /// The value as decisions name it: `value mood.odd`.
    pub object: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

/// Something that has another name by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// An object.
    Object(Rename),
    /// A value of a type.
    Value(RenamedValue),
}

impl Renamed {
    /// Reads `column app.users.mail=email` or `value app.mood.odd=strange`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.trim_start().strip_prefix("value ") else {
            return Rename::parse(text).map(Self::Object);
        };
        let form = "a value is renamed by value TYPE.OLD=NEW, e.g. value mood.odd=strange";
        let (name, to) = rest.split_once('=').ok_or(form)?;
        let name = name.trim();
        let name = name.strip_prefix("public.").unwrap_or(name);
        let (_, from) = name.split_once('.').ok_or(form)?;
        // A type with its schema has one dot more; a value may have some.
        Ok(Self::Value(RenamedValue {
            object: format!("value {name}"),
            from: from.to_owned(),
            to: to.trim().to_owned(),
        }))
    }
}

/// What the rows that are there get in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The column, as decisions name it: `users.age`.
    pub column: String,
    /// An expression; nothing where there are no rows that need one.
    pub value: Option<String>,
}

/// What is still to be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "decide")]
pub enum Undecided {
    /// Whether something that is in no model goes.
    Drop {
        /// What, as `--drop` and `--keep` name it.
        object: String,
        /// What it is.
        what: String,
        /// What may be its new name, as `--rename` takes it.
        perhaps: Vec<String>,
    },
    /// What rows that are there get in a new column that takes no NULL.
    Fill {
        /// The column, as `--fill` names it.
        column: String,
        /// What it is.
        what: String,
        /// What the models' client puts there, if that is said.
        client: Option<String>,
    },
}

/// The word for a column whose rows need no value.
const NO_VALUE: &str = "none";

impl Fill {
    /// Reads `[SCHEMA.]TABLE.COLUMN=EXPRESSION`; `none` for an expression says that there are no rows.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "a value is written TABLE.COLUMN=EXPRESSION, e.g. users.age=0, or users.age=none where there are no rows";
        let (name, value) = text.split_once('=').ok_or(form)?;
        let name = name.trim();
        if !name.contains('.') {
            return Err(format!("{name:?} does not name a column; {form}"));
        }
        let column =
            name.strip_prefix("public.").filter(|rest| rest.contains('.')).unwrap_or(name).to_owned();
        let value = value.trim();
        if value == NO_VALUE {
            return Ok(Self { column, value: None });
        }
        let is_one = sql::parse(&format!("SELECT ({value}\n)")).map(|parsed| parsed.statement_count() == 1);
        match is_one {
            Ok(true) if !value.is_empty() => Ok(Self { column, value: Some(value.to_owned()) }),
            Ok(_) => Err(format!("{value:?} is no expression; {form}")),
            Err(error) => Err(format!("{value:?} is no expression: {error}; {form}")),
        }
    }
}

impl Fill {
    /// The value as it may stand behind DEFAULT, `=` and anywhere else.
    pub(super) fn expression(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        let is_simple = value.chars().all(|c| c.is_alphanumeric() || "_.'()".contains(c));
        // A comment in it ends with its line.
        let end = if value.contains("--") { "\n" } else { "" };
        Some(if is_simple { value.clone() } else { format!("({value}{end})") })
    }
}

/// Kinds of objects that may be in no model.
const KINDS: [&str; 6] = ["table", "column", "default", "constraint", "index", VALUE];

/// The kind of a value of a type, which is no object of its own.
const VALUE: &str = "value";

/// Reads what `--drop` and `--keep` name: `all`, a kind, or a kind and a name.
///
/// # Errors
/// What is wrong with it, in words.
pub fn what(text: &str) -> Result<String, String> {
    let text = text.trim();
    let kind = text.split_whitespace().next().unwrap_or_default();
    if text == "all" || KINDS.contains(&kind) {
        return Ok(text.to_owned());
    }
    let kinds = KINDS.join(", ");
    Err(format!("{text:?} is none of: all, a kind ({kinds}), a kind and a name (column users.mail)"))
}

/// Whether an object is meant by one of these: `all`, a kind of object, or a kind and a name as `drop_name` writes them.
pub(super) fn is_meant(object: &Id, by: &[String]) -> bool {
    let name = drop_name(object);
    by.iter().any(|one| names(one, object, &name))
}

fn names(one: &str, object: &Id, name: &str) -> bool {
    let one = one.trim();
    one == "all"
        || one == object.kind.word()
        || one == name
        || one.strip_prefix(object.kind.word()).is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.strip_prefix("public.").is_some_and(|rest| format!("{} {rest}", object.kind.word()) == name)
        })
}

/// Whether a value of a type is meant by one of these.
fn is_value_meant(name: &str, by: &[String]) -> bool {
    by.iter().any(|one| {
        matches!(one.trim(), "all" | VALUE)
            || one.trim() == name
            || one.trim().replacen("public.", "", 1) == name
    })
}

/// The values of a type that what is there has and the models have not, as decisions name them, each with itself.
pub(super) fn values_only_there(
    difference: &Difference,
    expected: &Schema,
    there: &Schema,
) -> Vec<(String, String)> {
    let Some(id) = difference.subject.there.as_ref().filter(|_| difference.code == "enum-values") else {
        return Vec::new();
    };
    let of =
        |schema: &Schema| schema.get(id).map(|object| object.list("values").to_vec()).unwrap_or_default();
    let wanted = of(expected);
    let gone = of(there).into_iter().filter(|value| !wanted.contains(value));
    let schema = id.schema.as_deref().filter(|schema| *schema != "public");
    let name = |value: &str| {
        let parts: Vec<&str> = [schema, Some(id.name.as_str()), Some(value)].into_iter().flatten().collect();
        format!("{VALUE} {}", parts.join("."))
    };
    gone.map(|value| (name(&value), value)).collect()
}

/// Whether the models have values of a type that what is there has not.
pub(super) fn has_new_values(difference: &Difference, expected: &Schema, there: &Schema) -> bool {
    let Some(id) = &difference.subject.there else { return false };
    let (Some(expected), Some(there)) = (expected.get(id), there.get(id)) else { return false };
    expected.list("values").iter().any(|value| !there.list("values").contains(value))
}

/// The values of a type that stay although no model has them.
pub(super) fn kept_values(
    difference: &Difference,
    expected: &Schema,
    there: &Schema,
    keep: &[String],
) -> Vec<String> {
    let gone = values_only_there(difference, expected, there).into_iter();
    gone.filter(|(name, _)| is_value_meant(name, keep)).map(|(_, value)| value).collect()
}

/// An object as decisions name it: `column users.mail`, `index app.idx_mail`.
pub(super) fn drop_name(object: &Id) -> String {
    let schema = object.schema.as_deref().filter(|schema| *schema != "public");
    let table = object.table.as_deref().filter(|_| object.is_part_of_a_table());
    let parts: Vec<&str> = [schema, table, Some(object.name.as_str())].into_iter().flatten().collect();
    format!("{} {}", object.kind.word(), parts.join("."))
}

/// Decisions that are about nothing.
pub(super) fn idle(
    decisions: &Decisions,
    differences: &[Difference],
    (expected, there): (&Schema, &Schema),
) -> Vec<String> {
    let objects: Vec<&Id> = differences.iter().filter_map(only_there).collect();
    let values: Vec<String> = differences
        .iter()
        .flat_map(|difference| values_only_there(difference, expected, there))
        .map(|(name, _)| name)
        .collect();
    let is_idle = |one: &&String| {
        // That a kind has nothing to decide is no mistake.
        let by = std::slice::from_ref(*one);
        one.contains(' ')
            && !objects.iter().any(|object| is_meant(object, by))
            && !values.iter().any(|name| is_value_meant(name, by))
    };
    let drops = decisions.drop.iter().filter(is_idle).map(|one| format!("--drop '{one}'"));
    let takes_value: BTreeSet<String> = differences
        .iter()
        .filter(|difference| matches!(difference.code, "column-missing" | "column-null"))
        .filter_map(|difference| difference.subject.model.as_ref().map(column_name))
        .collect();
    let fills = decisions.fills.iter().filter(|fill| !takes_value.contains(&fill.column));
    let fills = fills.map(|fill| format!("--fill '{}=…'", fill.column));
    let renamed = decisions.values.iter().filter(|one| !values.contains(&one.object));
    let renamed = renamed.map(|one| format!("--rename '{}={}'", one.object, one.to));
    drops.chain(fills).chain(renamed).collect()
}

/// What only what is there has, and models of its kind would have said.
pub(super) fn only_there(difference: &Difference) -> Option<&Id> {
    match (&difference.subject.model, &difference.subject.there) {
        (None, Some(there)) => Some(there),
        _ => None,
    }
}

/// What is still to be decided of these differences.
pub(super) fn undecided(
    models: &Models,
    (expected, there): (&Schema, &Schema),
    differences: &[Difference],
    decisions: &Decisions,
) -> Vec<Undecided> {
    let changes: Vec<Change> = differences.iter().filter_map(as_change).collect();
    let candidates = rename::candidates(there, expected, &changes);
    let perhaps = |object: &Id| -> Vec<String> {
        let alike: Vec<String> =
            candidates.iter().filter(|rename| rename.object == *object).map(ToString::to_string).collect();
        if alike.is_empty() { only_other(object, differences).into_iter().collect() } else { alike }
    };
    let mut undecided = Vec::new();
    for difference in differences {
        if let Some(object) = only_there(difference).filter(|object| !is_meant(object, &decisions.drop)) {
            undecided.push(Undecided::Drop {
                object: drop_name(object),
                what: super::wanted::told(difference),
                perhaps: perhaps(object),
            });
        }
        undecided.extend(of_values(difference, (expected, there), decisions));
        let new = difference.subject.model.as_ref().filter(|_| difference.code == "column-missing");
        // Rows that are there may have none.
        let needed = difference.subject.model.as_ref().filter(|id| {
            difference.code == "column-null" && expected.get(id).is_some_and(|object| object.has("not null"))
        });
        let is_known = |id: &Id| decisions.fills.iter().any(|fill| fill.column == column_name(id));
        let new = new.filter(|id| takes_a_value(expected, id));
        if let Some(id) = new.or(needed).filter(|id| !is_known(id)) {
            undecided.push(Undecided::Fill {
                column: column_name(id),
                what: format!("{} {}", column_name(id), expected.get(id).map(said_of).unwrap_or_default()),
                client: client_of(models, id),
            });
        }
    }
    // What turns out to be a new name needs no value any more.
    undecided.sort_by_key(|one| matches!(one, Undecided::Fill { .. }));
    undecided
}

/// The new name of a column, where it is the only one of its table that is in no model and there is one new one: whatever its type is.
fn only_other(object: &Id, differences: &[Difference]) -> Option<String> {
    let is_beside =
        |id: &&Id| id.kind == object.kind && id.schema == object.schema && id.table == object.table;
    let gone: Vec<&Id> = differences.iter().filter_map(only_there).filter(is_beside).collect();
    let new = differences
        .iter()
        .filter_map(|one| one.subject.model.as_ref().filter(|_| one.subject.there.is_none()));
    match (&gone[..], &new.filter(is_beside).collect::<Vec<_>>()[..]) {
        ([_], [new]) if object.kind == ObjectKind::Column => {
            Some(Rename { object: object.clone(), to: new.name.clone() }.to_string())
        }
        _ => None,
    }
}

/// Values that rows may have and the models have not.
fn of_values(
    difference: &Difference,
    (expected, there): (&Schema, &Schema),
    decisions: &Decisions,
) -> Vec<Undecided> {
    let gone = values_only_there(difference, expected, there);
    let is_decided = |name: &String| {
        is_value_meant(name, &decisions.drop)
            || is_value_meant(name, &decisions.keep)
            || decisions.values.iter().any(|one| one.object == *name)
    };
    let old = difference.subject.there.as_ref().and_then(|id| there.get(id));
    let is_new = |value: &&String| old.is_none_or(|object| !object.list("values").contains(value));
    let wanted = difference.subject.there.as_ref().and_then(|id| expected.get(id));
    let new: Vec<&String> =
        wanted.map(|object| object.list("values").iter().filter(is_new).collect()).unwrap_or_default();
    let perhaps = |name: &str| match (&gone[..], &new[..]) {
        ([_], [new]) => vec![format!("{name}={new}")],
        _ => Vec::new(),
    };
    let undecided = gone.iter().filter(|(name, _)| !is_decided(name));
    undecided
        .map(|(name, _)| Undecided::Drop {
            object: name.clone(),
            what: format!("{}; rows may have it", super::wanted::told(difference)),
            perhaps: perhaps(name),
        })
        .collect()
}

fn as_change(difference: &Difference) -> Option<Change> {
    let (object, what) = match (&difference.subject.model, &difference.subject.there) {
        (Some(model), None) => (model, What::Created),
        (None, Some(there)) => (there, What::Dropped),
        _ => return None,
    };
    Some(Change { object: object.clone(), what })
}

/// What the models' client puts into a column.
fn client_of(models: &Models, id: &Id) -> Option<String> {
    let table = models.tables.iter().find(|table| Some(table.name.as_str()) == id.table.as_deref())?;
    let column = table.columns.iter().find(|column| id.name == column.name)?;
    match &column.default {
        Default::Client(how) => Some(without_passwords(how)),
        _ => None,
    }
}

/// A column as `--fill` names it.
pub(super) fn column_name(id: &Id) -> String {
    let schema = id.schema.as_deref().filter(|schema| *schema != "public");
    let parts: Vec<&str> =
        [schema, id.table.as_deref(), Some(id.name.as_str())].into_iter().flatten().collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use cutover_analysis::effects::ObjectKind;
    use cutover_analysis::schema::Id;

    use super::{Fill, is_meant, what};

    #[test]
    fn what_is_meant_is_said_by_kind_or_by_name() {
        let column = Id::part(ObjectKind::Column, "public", "users", "mail");
        for one in ["all", "column", "column users.mail", "column public.users.mail"] {
            assert!(is_meant(&column, &[one.to_owned()]), "{one}");
        }
        for one in ["index", "column users.email", "columns", "users.mail"] {
            assert!(!is_meant(&column, &[one.to_owned()]), "{one}");
        }
        let index = Id { table: Some("users".into()), ..Id::new(ObjectKind::Index, "app", "idx") };
        assert!(is_meant(&index, &["index app.idx".to_owned()]));
        assert!(!is_meant(&index, &["index idx".to_owned()]));
    }

    #[test]
    fn what_is_named_begins_with_a_kind() {
        assert_eq!(what(" column users.mail ").unwrap(), "column users.mail");
        for wrong in ["", "check", "columns", "users.mail", "all columns", "column.users"] {
            let answer = what(wrong);
            assert!(answer.is_err(), "{wrong}: {answer:?}");
        }
    }

    #[test]
    fn a_value_for_rows_is_one_expression() {
        assert_eq!(Fill::parse("users.age=0").unwrap().value.as_deref(), Some("0"));
        assert_eq!(Fill::parse("app.users.age = none").unwrap().value, None);
        assert_eq!(Fill::parse("users.name='a=b'").unwrap().value.as_deref(), Some("'a=b'"));
        for wrong in [
            "users.age",
            "age=1",
            "users.age=",
            "users.age=1); DROP TABLE users; SELECT (1",
            "users.age=1 FROM x",
        ] {
            let parsed = Fill::parse(wrong);
            assert!(parsed.is_err(), "{wrong}: {parsed:?}");
        }
        assert_eq!(Fill::parse("users.age=1 -- why").unwrap().expression().as_deref(), Some("(1 -- why\n)"));
    }
}
