//! What differs between two tables, in words that name the thing and both sides.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Column, Constraint, Identity, Index, Policy, Table, Trigger};

/// What a difference is about, with the object's name where it is one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aspect {
    /// Something of the table itself.
    Table,
    /// A column.
    Column(String),
    /// The order of the columns.
    ColumnOrder,
    /// A constraint.
    Constraint(String),
    /// An index.
    Index(String),
    /// A trigger.
    Trigger(String),
    /// A policy.
    Policy(String),
    /// A comment, of the table or anything in it.
    Comment,
}

/// Who has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Only the first.
    First,
    /// Only the second.
    Second,
    /// Both, and they differ.
    Both,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub aspect: Aspect,
    /// Who has it.
    pub side: Side,
    /// In words, both sides named.
    pub text: String,
}

/// How the two sides are called in texts, e.g. `the design` and `the database`.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a>(pub &'a str, pub &'a str);

/// What differs, in words; empty when the tables are alike. Names of the tables themselves are not compared.
pub fn diff_table(first: &Table, second: &Table) -> Vec<String> {
    differences(first, second, Sides("the first", "the second"))
        .into_iter()
        .map(|difference| difference.text)
        .collect()
}

/// What differs, with what it is about.
pub fn differences(first: &Table, second: &Table, sides: Sides<'_>) -> Vec<Difference> {
    let mut found = Found { sides, differences: Vec::new() };
    found.table(first, second);
    found.columns(&first.columns, &second.columns);
    found.named("constraint", &first.constraints, &second.constraints, Aspect::Constraint);
    found.named("index", &first.indexes, &second.indexes, Aspect::Index);
    found.named("trigger", &first.triggers, &second.triggers, Aspect::Trigger);
    found.named("policy", &first.policies, &second.policies, Aspect::Policy);
    found.differences
}

/// A part of a table that has a name.
trait Part {
    fn name(&self) -> &str;
    /// Everything but its name and comment.
    fn definition(&self) -> String;
    fn comment(&self) -> Option<&str>;
}

impl Part for Constraint {
    fn name(&self) -> &str {
        &self.name
    }

    fn definition(&self) -> String {
        // pg_get_constraintdef says NOT VALID itself where it may stand; older majors leave it out for some kinds.
        let says = self.definition.contains("NOT VALID");
        let suffix = if self.validated || says { "" } else { " (not validated)" };
        format!("{}{suffix}", self.definition)
    }

    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

impl Part for Index {
    fn name(&self) -> &str {
        &self.name
    }

    fn definition(&self) -> String {
        format!("{}{}", self.definition, if self.valid { "" } else { " (invalid)" })
    }

    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

impl Part for Trigger {
    fn name(&self) -> &str {
        &self.name
    }

    fn definition(&self) -> String {
        let enabled = match self.enabled.as_str() {
            "O" => "",
            "D" => " (disabled)",
            "R" => " (enabled for replication)",
            _ => " (always enabled)",
        };
        format!("{}{enabled}", self.definition)
    }

    fn comment(&self) -> Option<&str> {
        None
    }
}

impl Part for Policy {
    fn name(&self) -> &str {
        &self.name
    }

    fn definition(&self) -> String {
        self.definition.clone()
    }

    fn comment(&self) -> Option<&str> {
        None
    }
}

struct Found<'a> {
    sides: Sides<'a>,
    differences: Vec<Difference>,
}

impl Found<'_> {
    fn add(&mut self, aspect: Aspect, side: Side, text: String) {
        self.differences.push(Difference { aspect, side, text });
    }

    /// One property that both sides have.
    fn property(&mut self, aspect: &Aspect, what: &str, first: &str, second: &str) {
        if first != second {
            let Sides(a, b) = self.sides;
            self.add(aspect.clone(), Side::Both, format!("{what}: {first} in {a}, {second} in {b}"));
        }
    }

    fn optional(&mut self, aspect: &Aspect, what: &str, first: Option<&str>, second: Option<&str>) {
        let side = match (first, second) {
            (Some(_), None) => Side::First,
            (None, Some(_)) => Side::Second,
            (a, b) if a == b => return,
            _ => Side::Both,
        };
        let Sides(a, b) = self.sides;
        let shown = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), str::to_owned);
        self.add(aspect.clone(), side, format!("{what}: {} in {a}, {} in {b}", shown(first), shown(second)));
    }

    fn table(&mut self, first: &Table, second: &Table) {
        let kind = |table: &Table| format!("{:?}", table.kind).to_lowercase();
        let yes = |value: bool| if value { "on" } else { "off" };
        let list = |values: &[String]| (!values.is_empty()).then(|| values.join(", "));
        let at = &Aspect::Table;
        self.property(at, "kind of table", &kind(first), &kind(second));
        self.property(at, "unlogged", yes(first.unlogged), yes(second.unlogged));
        self.optional(at, "partition key", first.partition_key.as_deref(), second.partition_key.as_deref());
        self.optional(
            at,
            "partition bound",
            first.partition_bound.as_deref(),
            second.partition_bound.as_deref(),
        );
        self.optional(at, "parents", list(&first.parents).as_deref(), list(&second.parents).as_deref());
        self.optional(
            at,
            "storage parameters",
            list(&first.options).as_deref(),
            list(&second.options).as_deref(),
        );
        self.property(at, "row-level security", yes(first.row_security), yes(second.row_security));
        let (forced, other) = (first.force_row_security, second.force_row_security);
        self.property(at, "row-level security for the owner", yes(forced), yes(other));
        let identity = |table: &Table| match table.replica_identity.as_str() {
            "d" => "default".to_owned(),
            "n" => "nothing".to_owned(),
            "f" => "full".to_owned(),
            "i" => "an index".to_owned(),
            other => other.to_owned(),
        };
        self.property(at, "replica identity", &identity(first), &identity(second));
        self.optional(&Aspect::Comment, "comment", first.comment.as_deref(), second.comment.as_deref());
    }

    fn columns(&mut self, first: &[Column], second: &[Column]) {
        let Sides(a, b) = self.sides;
        let others: BTreeMap<&str, &Column> =
            second.iter().map(|column| (column.name.as_str(), column)).collect();
        for column in first {
            match others.get(column.name.as_str()) {
                Some(other) => self.column(column, other),
                None => self.missing("column", &column.name, &describe(column), Side::First, Aspect::Column),
            }
        }
        let known = |name: &str| first.iter().any(|column| column.name == name);
        for column in second.iter().filter(|column| !known(&column.name)) {
            self.missing("column", &column.name, &describe(column), Side::Second, Aspect::Column);
        }
        let order = |columns: &[Column], in_other: &dyn Fn(&str) -> bool| {
            let names = columns.iter().map(|column| column.name.clone()).filter(|name| in_other(name));
            names.collect::<Vec<_>>()
        };
        let (here, there) = (order(first, &|name| others.contains_key(name)), order(second, &known));
        if here != there {
            let text = format!("order of columns: {} in {a}, {} in {b}", here.join(", "), there.join(", "));
            self.add(Aspect::ColumnOrder, Side::Both, text);
        }
    }

    fn column(&mut self, first: &Column, second: &Column) {
        let at = &Aspect::Column(first.name.clone());
        let what = |property: &str| format!("column {}, {property}", first.name);
        let null = |column: &Column| if column.not_null { "NOT NULL" } else { "NULL" };
        self.property(at, &what("type"), &first.type_name, &second.type_name);
        self.property(at, &what("nullability"), null(first), null(second));
        self.optional(at, &what("default"), first.default.as_deref(), second.default.as_deref());
        let (one, other) = (first.identity.as_ref().map(identity), second.identity.as_ref().map(identity));
        self.optional(at, &what("identity"), one.as_deref(), other.as_deref());
        self.optional(at, &what("generated"), first.generated.as_deref(), second.generated.as_deref());
        self.optional(at, &what("collation"), first.collation.as_deref(), second.collation.as_deref());
        let comment = what("comment");
        self.optional(&Aspect::Comment, &comment, first.comment.as_deref(), second.comment.as_deref());
    }

    fn missing(
        &mut self,
        kind: &str,
        name: &str,
        definition: &str,
        side: Side,
        aspect: fn(String) -> Aspect,
    ) {
        let Sides(a, b) = self.sides;
        let (has, has_not) = if side == Side::First { (a, b) } else { (b, a) };
        self.add(
            aspect(name.to_owned()),
            side,
            format!("{kind} {name} is in {has}, not in {has_not}: {definition}"),
        );
    }

    fn named<P: Part>(&mut self, kind: &str, first: &[P], second: &[P], aspect: fn(String) -> Aspect) {
        let others: BTreeMap<&str, &P> = second.iter().map(|part| (part.name(), part)).collect();
        for part in first {
            let name = part.name();
            let Some(other) = others.get(name) else {
                self.missing(kind, name, &part.definition(), Side::First, aspect);
                continue;
            };
            let what = format!("{kind} {name}");
            self.property(&aspect(name.to_owned()), &what, &part.definition(), &other.definition());
            self.optional(&Aspect::Comment, &format!("{what}, comment"), part.comment(), other.comment());
        }
        let known = |name: &str| first.iter().any(|part| part.name() == name);
        for part in second.iter().filter(|part| !known(part.name())) {
            self.missing(kind, part.name(), &part.definition(), Side::Second, aspect);
        }
    }
}

fn identity(identity: &Identity) -> String {
    format!("{} ({})", if identity.always { "always" } else { "by default" }, identity.sequence)
}

/// A column in one line.
fn describe(column: &Column) -> String {
    let mut text = column.type_name.clone();
    if column.not_null {
        text.push_str(" NOT NULL");
    }
    for (word, value) in
        [("DEFAULT", &column.default), ("GENERATED", &column.generated), ("COLLATE", &column.collation)]
    {
        if let Some(value) = value {
            let _ = write!(text, " {word} {value}");
        }
    }
    if let Some(value) = &column.identity {
        let _ = write!(text, " IDENTITY {}", identity(value));
    }
    text
}
