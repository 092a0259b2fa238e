//! What statements cannot be made without a word from people: whether something that is in no model goes or stays or has another
//! name, and what the rows that are there get in a new column. Nothing of it is guessed. Pure.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::models::{Default, Models};
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql;
use serde::Serialize;

use super::compare::takes_a_value;
use super::model::Difference;
use crate::compare::rename::{self, Rename};

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
}

/// What the rows that are there get in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The column.
    pub column: Id,
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
        let parts: Vec<&str> = name.trim().split('.').collect();
        let column = match parts[..] {
            [table, column] => Id::part(ObjectKind::Column, "public", table, column),
            [schema, table, column] => Id::part(ObjectKind::Column, schema, table, column),
            _ => return Err(format!("{name:?} does not name a column\n{form}")),
        };
        let value = value.trim();
        if value == NO_VALUE {
            return Ok(Self { column, value: None });
        }
        let is_one = sql::parse(&format!("SELECT ({value}\n)")).map(|parsed| parsed.statement_count() == 1);
        match is_one {
            Ok(true) if !value.is_empty() => Ok(Self { column, value: Some(value.to_owned()) }),
            Ok(_) => Err(format!("{value:?} is no expression\n{form}")),
            Err(error) => Err(format!("{value:?} is no expression: {error}\n{form}")),
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
const KINDS: [&str; 5] = ["table", "column", "default", "constraint", "index"];

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

/// An object as decisions name it: `column users.mail`, `index app.idx_mail`.
pub(super) fn drop_name(object: &Id) -> String {
    let schema = object.schema.as_deref().filter(|schema| *schema != "public");
    let table = object.table.as_deref().filter(|_| object.is_part_of_a_table());
    let parts: Vec<&str> = [schema, table, Some(object.name.as_str())].into_iter().flatten().collect();
    format!("{} {}", object.kind.word(), parts.join("."))
}

/// Decisions that are about nothing.
pub(super) fn idle(decisions: &Decisions, differences: &[Difference]) -> Vec<String> {
    let objects: Vec<&Id> = differences.iter().filter_map(only_there).collect();
    let is_idle = |one: &&String| {
        // That a kind has nothing to decide is no mistake.
        one.contains(' ') && !objects.iter().any(|object| is_meant(object, std::slice::from_ref(one)))
    };
    let drops = decisions.drop.iter().filter(is_idle).map(|one| format!("--drop '{one}'"));
    let takes_value: BTreeSet<&Id> = differences
        .iter()
        .filter(|difference| matches!(difference.code, "column-missing" | "column-null"))
        .filter_map(|difference| difference.subject.model.as_ref())
        .collect();
    let fills = decisions.fills.iter().filter(|fill| !takes_value.contains(&fill.column));
    let fills = fills.map(|fill| format!("--fill '{}=…'", column_name(&fill.column)));
    drops.chain(fills).collect()
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
    let mut undecided = Vec::new();
    for difference in differences {
        if let Some(object) = only_there(difference).filter(|object| !is_meant(object, &decisions.drop)) {
            let perhaps = candidates.iter().filter(|rename| rename.object == *object);
            undecided.push(Undecided::Drop {
                object: drop_name(object),
                what: super::wanted::told(difference),
                perhaps: perhaps.map(ToString::to_string).collect(),
            });
        }
        let new = difference.subject.model.as_ref().filter(|_| difference.code == "column-missing");
        let is_known = |id: &Id| decisions.fills.iter().any(|fill| fill.column == *id);
        if let Some(id) = new.filter(|id| takes_a_value(expected, id) && !is_known(id)) {
            undecided.push(Undecided::Fill {
                column: column_name(id),
                what: format!("{} {}", column_name(id), difference.model.as_deref().unwrap_or_default()),
                client: client_of(models, id),
            });
        }
    }
    // What turns out to be a new name needs no value any more.
    undecided.sort_by_key(|one| matches!(one, Undecided::Fill { .. }));
    undecided
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
        Default::Client(how) => Some(how.clone()),
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
