//! What the kinds share when they write SQL: statements with what is to be known of them, and what a change is given.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::secrets::is_hidden;
use super::super::{Id, Object, Schema, Value};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

/// The attribute that names what holds rows or values, is no object of what was read, and goes when the object is dropped:
/// partitions in other schemas, tables of an extension. It says nothing of the object itself, and is not compared.
pub(crate) const TAKES_ALONG: &str = "takes along";

/// Where a statement stands among transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// With those before and after it.
    #[default]
    Together,
    /// In a transaction of its own kind: the one before it ends first, so that its locks are gone or what it made can be used.
    NewTransaction,
    /// As [`Place::NewTransaction`], and what comes after it in another one again.
    Alone,
    /// Outside a transaction.
    Outside,
}

/// One statement of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sql {
    /// The text, without `;`.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// Codes of what it may destroy or cost: see [`hazards`].
    pub hazards: Vec<&'static str>,
    /// It comes after everything else that is made.
    #[serde(skip)]
    pub(crate) late: bool,
    /// It has a body that reads what is not there yet.
    #[serde(skip)]
    pub(crate) unread: bool,
}

/// Codes of hazards that a difference names itself.
pub mod hazards {
    /// Rows or values are lost.
    pub const DATA_LOSS: &str = "data-loss";
    /// From now on a crash of the server empties it, and standbys do not have it.
    pub const CRASH_LOSS: &str = "crash-loss";
    /// The table is written anew under a lock that keeps everybody out.
    pub const REWRITE: &str = "rewrite";
    /// Rows that are there may not fit: it fails then.
    pub const MAY_FAIL: &str = "may-fail";
    /// While it is gone, what needs it fails.
    pub const GAP: &str = "gap";
}

impl Sql {
    /// A statement that stands with others and of which nothing is to be known.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text)
    }

    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), place: Place::Together, hazards: Vec::new(), late: false, unread: false }
    }

    pub(crate) fn hazard(mut self, code: &'static str) -> Self {
        self.hazards.push(code);
        self
    }

    /// As `object` says what goes along with it: see [`TAKES_ALONG`].
    pub(crate) fn taking_along(self, object: &Object) -> Self {
        if object.has(TAKES_ALONG) { self.hazard(hazards::DATA_LOSS) } else { self }
    }

    /// The statement at another place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    pub(crate) fn late(mut self) -> Self {
        self.late = true;
        self
    }
}

/// What is known around an object that is made, changed or taken away.
#[derive(Clone)]
pub(crate) struct World<'a> {
    pub(crate) from: &'a Schema,
    pub(crate) to: &'a Schema,
    /// Tables in use are changed by forms that keep nobody out for long.
    pub(crate) safe: bool,
    /// Values of enums that are known to have got another name, old and new.
    pub(crate) renamed_values: &'a [(String, String)],
    /// What is made anew, and so is nobody's while it is made.
    pub(crate) remade: BTreeSet<&'a Id>,
}

impl World<'_> {
    /// Whether the table of a part was there before, so that it may have rows and users.
    pub(crate) fn is_in_use(&self, part: &Id) -> bool {
        self.safe && self.was_there(part)
    }

    /// Whether the table of a part is on both sides.
    pub(crate) fn was_there(&self, part: &Id) -> bool {
        super::WITH_PARTS.iter().any(|kind| {
            let whole =
                Id { kind: *kind, name: part.table.clone().unwrap_or_default(), table: None, ..part.clone() };
            let whole = Id { arguments: None, ..whole };
            self.from.objects.contains_key(&whole)
                && self.to.objects.contains_key(&whole)
                && !self.remade.contains(&whole)
        })
    }

    /// The table of a part, as it is to be.
    pub(crate) fn whole(&self, part: &Id) -> Option<(Id, &Object)> {
        super::WITH_PARTS.iter().find_map(|kind| {
            let id = Id::new(*kind, part.schema.clone()?, part.table.clone()?);
            self.to.objects.get(&id).or_else(|| self.from.objects.get(&id)).map(|object| (id, object))
        })
    }

    /// Whether what the table of a part has from another one changes along with that: it is a partition, or inherits, before
    /// and after.
    pub(crate) fn comes_along(&self, part: &Id) -> bool {
        let of = |schema: &Schema| -> Option<(String, Vec<String>)> {
            let partition = Self::partition_of(part).and_then(|id| schema.objects.get(&id));
            let parent = partition.and_then(|partition| partition.text("of")).unwrap_or_default().to_owned();
            let table = Id::new(ObjectKind::Table, part.schema.clone()?, part.table.clone()?);
            let parents = schema.objects.get(&table)?.list("inherits").to_vec();
            (!parent.is_empty() || !parents.is_empty()).then_some((parent, parents))
        };
        self.was_there(part) && of(self.from).is_some_and(|before| Some(before) == of(self.to))
    }

    /// That the table of a part is a partition, as an object.
    pub(crate) fn partition_of(part: &Id) -> Option<Id> {
        let (schema, table) = (part.schema.clone()?, part.table.clone()?);
        Some(Id::part(ObjectKind::Partition, schema, table.clone(), table))
    }

    pub(crate) fn is_partitioned(&self, part: &Id) -> bool {
        self.whole(part).is_some_and(|(_, table)| table.has("partition key"))
    }
}

/// From what to what.
pub(crate) type Values<'a> = (Option<&'a Value>, Option<&'a Value>);

/// An object that is otherwise on both sides.
pub(crate) struct Change<'a> {
    pub(crate) id: &'a Id,
    pub(crate) from: &'a Object,
    pub(crate) to: &'a Object,
    pub(crate) world: &'a World<'a>,
    /// What differs and has not been seen to.
    pub(crate) left: BTreeMap<&'a str, Values<'a>>,
    pub(crate) statements: Vec<Sql>,
    /// What is built on it must be taken away first and made again.
    pub(crate) frees: bool,
    /// Its statements make another object of its name, of which nothing has been said yet.
    pub(crate) anew: bool,
    /// It stays so much as it was that what is built on it as it is to be may be refused.
    pub(crate) kept: bool,
    /// It cannot be done, in words.
    pub(crate) impossible: Vec<String>,
}

impl<'a> Change<'a> {
    /// What an attribute was and is to be, if that differs; it counts as seen to.
    pub(crate) fn take(&mut self, attribute: &str) -> Option<Values<'a>> {
        self.left.remove(attribute)
    }

    pub(crate) fn push(&mut self, sql: impl Into<String>) {
        self.statements.push(Sql::new(sql));
    }
}

/// How objects of a kind are made, changed and taken away.
#[derive(Clone, Copy)]
pub(crate) struct Making {
    /// As DROP, COMMENT and ALTER name it: `TABLE app.users`.
    pub(crate) target: fn(&Id) -> String,
    /// As GRANT names it, where that is otherwise.
    pub(crate) grantee: Option<fn(&Id) -> String>,
    pub(crate) create: fn(&Id, &Object, &World<'_>) -> Vec<Sql>,
    /// Sees to differences; what is left then makes the object be taken away and made again, or cannot be done.
    pub(crate) change: fn(&mut Change<'_>),
    pub(crate) drop: fn(&Id, &Object, &World<'_>) -> Vec<Sql>,
    /// It holds nothing that is lost when it is taken away and made again.
    pub(crate) remade: bool,
}

/// A name with something behind it, cut so that PostgreSQL does not cut it.
pub(crate) fn suffixed(name: &str, suffix: &str) -> String {
    const LONGEST: usize = 63;
    let mut end = name.len().min(LONGEST - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", name.get(..end).unwrap_or_default())
}

/// A name for what is there for a while only, that nothing has.
pub(crate) fn free_name(name: &str, suffix: &str, is_taken: &dyn Fn(&str) -> bool) -> String {
    let numbered = (2_u32..).map(|number| suffixed(name, &format!("{suffix}_{number}")));
    let mut names = std::iter::once(suffixed(name, suffix)).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

/// What stands before the first space that is not within quotes.
pub(crate) fn first_word(text: &str) -> &str {
    let mut quoted = false;
    let end = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == ' ' && !quoted
    });
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// `DROP` of what [`Making::target`] says of the kind.
pub(crate) fn plain_drop(id: &Id, _: &Object, _: &World<'_>) -> Vec<Sql> {
    vec![Sql::new(format!("DROP {}", target(id)))]
}

/// As DROP, COMMENT and ALTER name an object.
pub(crate) fn target(id: &Id) -> String {
    (super::making_of(id.kind).target)(id)
}

/// A kind's word in upper case with the qualified name.
pub(crate) fn by_word(id: &Id) -> String {
    format!("{} {}", id.kind.word().to_uppercase(), id.name_sql())
}

/// As [`by_word`], for what is found by its arguments.
pub(crate) fn with_arguments(id: &Id) -> String {
    format!("{}({})", by_word(id), id.arguments.as_deref().unwrap_or_default())
}

/// `TRIGGER name ON table`.
pub(crate) fn on_table(id: &Id) -> String {
    format!("{} {} ON {}", id.kind.word().to_uppercase(), quote_ident(&id.name), id.table_sql())
}

/// Nothing of it can be changed in place.
pub(crate) fn never(_: &mut Change<'_>) {}

/// Elements that are gone and elements that are new.
pub(crate) fn lists<'a>(values: Values<'a>) -> (Vec<&'a str>, Vec<&'a str>) {
    let of = |value: Option<&'a Value>| -> Vec<&'a str> {
        match value {
            Some(Value::List(list)) => list.iter().map(String::as_str).collect(),
            Some(Value::Text(text)) => vec![text],
            _ => Vec::new(),
        }
    };
    let (from, to) = (of(values.0), of(values.1));
    let gone = from.iter().filter(|element| !to.contains(element)).copied().collect();
    let new = to.iter().filter(|element| !from.contains(element)).copied().collect();
    (gone, new)
}

/// The text of a value.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    value.map(Value::text)
}

/// Storage parameters `a=b`: `SET (…)` and `RESET (…)` behind `alter`.
pub(crate) fn storage_options(alter: &str, values: Values<'_>) -> Vec<Sql> {
    let (gone, new) = lists(values);
    let name = |option: &&str| option.split('=').next().unwrap_or_default().to_owned();
    let set: Vec<String> = new.iter().map(name).collect();
    let reset: Vec<String> = gone.iter().map(name).filter(|name| !set.contains(name)).collect();
    let mut statements = Vec::new();
    if !reset.is_empty() {
        statements.push(Sql::new(format!("{alter} RESET ({})", reset.join(", "))));
    }
    if !new.is_empty() {
        statements.push(Sql::new(format!("{alter} SET ({})", parameters(&new))));
    }
    statements
}

/// Storage parameters as WITH has them, the values quoted.
pub(crate) fn parameters<T: AsRef<str>>(options: &[T]) -> String {
    let quoted = options.iter().map(|option| match option.as_ref().split_once('=') {
        Some((name, value)) => format!("{name}={}", crate::sql::quote_literal(value)),
        None => option.as_ref().to_owned(),
    });
    quoted.collect::<Vec<_>>().join(", ")
}

/// Options of foreign objects `a=b`, as OPTIONS has them when something is made; not those whose values are not known.
pub(crate) fn foreign_options(options: &[String]) -> String {
    let known = options.iter().filter(|option| !is_hidden(option));
    let each: Vec<String> = known
        .map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            format!("{} {}", quote_ident(name), crate::sql::quote_literal(value))
        })
        .collect();
    if each.is_empty() { String::new() } else { format!(" OPTIONS ({})", each.join(", ")) }
}

/// `alter` with the options that are others, as OPTIONS has them when something is changed; none where nothing is known of them.
pub(crate) fn changed_foreign_options(alter: &str, values: Values<'_>) -> Option<Sql> {
    let (gone, new) = lists(values);
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
    let old_names: Vec<String> = gone.iter().map(|option| name(option)).collect();
    let new_names: Vec<String> = new.iter().map(|option| name(option)).collect();
    let mut parts = Vec::new();
    for option in new.iter().filter(|option| !is_hidden(option)) {
        let value = option.split_once('=').map_or("", |(_, value)| value);
        let verb = if old_names.contains(&name(option)) { "SET" } else { "ADD" };
        parts.push(format!("{verb} {} {}", quote_ident(&name(option)), crate::sql::quote_literal(value)));
    }
    for option in old_names.iter().filter(|option| !new_names.contains(option)) {
        parts.push(format!("DROP {}", quote_ident(option)));
    }
    (!parts.is_empty()).then(|| Sql::new(format!("{alter} OPTIONS ({})", parts.join(", "))))
}

/// What a kind's comments, owners and grants are, alike for all.
pub(crate) struct Common<'a> {
    pub(crate) id: &'a Id,
    pub(crate) target: String,
    pub(crate) grantee: String,
}

impl<'a> Common<'a> {
    pub(crate) fn of(id: &'a Id) -> Self {
        let making = super::making_of(id.kind);
        let grantee = making.grantee.map_or_else(|| (making.target)(id), |grantee| grantee(id));
        Self { id, target: (making.target)(id), grantee }
    }

    pub(crate) fn comment(&self, text: Option<&str>) -> Sql {
        let text = text.map_or_else(|| "NULL".to_owned(), crate::sql::quote_literal);
        Sql::new(format!("COMMENT ON {} IS {text}", self.target))
    }

    pub(crate) fn owner(&self, owner: &str) -> Sql {
        Sql::new(format!("ALTER {} OWNER TO {}", self.target, quote_ident(owner)))
    }

    /// `entry` is `SELECT TO reader WITH GRANT OPTION`.
    pub(crate) fn grant(&self, entry: &str) -> Sql {
        let (privilege, rest) = entry.split_once(" TO ").unwrap_or((entry, "PUBLIC"));
        Sql::new(format!("GRANT {} TO {rest}", self.privilege(privilege)))
    }

    pub(crate) fn revoke(&self, entry: &str) -> Sql {
        let (privilege, rest) = entry.split_once(" TO ").unwrap_or((entry, "PUBLIC"));
        let role = rest.strip_suffix(" WITH GRANT OPTION").unwrap_or(rest);
        Sql::new(format!("REVOKE {} FROM {role}", self.privilege(privilege)))
    }

    fn privilege(&self, privilege: &str) -> String {
        if self.id.kind == ObjectKind::Column {
            format!("{privilege} ({}) ON TABLE {}", quote_ident(&self.id.name), self.id.table_sql())
        } else {
            format!("{privilege} ON {}", self.grantee)
        }
    }
}
