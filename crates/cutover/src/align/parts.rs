//! Constraints and indexes of a table: matched by what they are, since names are often nobody's choice.

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::models::{Aspect, Column, Over, Place, Table, over};
use cutover_analysis::schema::{Id, Schema};

use super::compare::{At, shown};
use super::model::Subject;

/// A constraint or index of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    kind: Kind,
    id: Id,
    name: String,
    /// What it is, without its name.
    definition: String,
    /// What it is made over.
    over: Over,
}

impl Part {
    fn new(kind: Kind, id: Id, definition: String) -> Self {
        let name = id.name.to_string();
        let over = over(&definition).unwrap_or_default();
        Self { kind, id, name, definition, over }
    }
}

/// What it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    PrimaryKey,
    Unique,
    ForeignKey,
    Check,
    Index,
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::PrimaryKey => "primary-key",
            Self::Unique => "unique",
            Self::ForeignKey => "foreign-key",
            Self::Check => "check",
            Self::Index => "index",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::PrimaryKey => "primary key",
            Self::Unique => "unique constraint",
            Self::ForeignKey => "foreign key",
            Self::Check => "check",
            Self::Index => "index",
        }
    }

    fn aspect(self) -> Aspect {
        match self {
            Self::PrimaryKey => Aspect::PrimaryKey,
            Self::Unique => Aspect::Unique,
            Self::ForeignKey => Aspect::ForeignKey,
            Self::Check => Aspect::Check,
            Self::Index => Aspect::Index,
        }
    }
}

fn parts(schema: &Schema, table: &Id) -> Vec<Part> {
    let part = |id: &Id, text: &str| {
        if id.kind == ObjectKind::Index {
            let (unique, definition) = without_name(text)?;
            let kind = if unique { Kind::Unique } else { Kind::Index };
            return Some(Part::new(kind, id.clone(), definition));
        }
        let kind = match text.split(' ').next()? {
            "PRIMARY" => Kind::PrimaryKey,
            "UNIQUE" => Kind::Unique,
            "FOREIGN" => Kind::ForeignKey,
            "CHECK" => Kind::Check,
            _ => return None,
        };
        Some(Part::new(kind, id.clone(), text.to_owned()))
    };
    let mine = schema
        .parts_of(table)
        .filter(|(id, _)| matches!(id.kind, ObjectKind::Constraint | ObjectKind::Index));
    // An index that is not valid keeps nothing unique, and nobody uses it.
    let valid = mine.filter(|(_, object)| !object.has("invalid"));
    valid.filter_map(|(id, object)| part(id, object.text("definition")?)).collect()
}

/// An index without its name: `USING btree (a DESC)`; and whether it is unique.
fn without_name(definition: &str) -> Option<(bool, String)> {
    let (unique, rest) = match definition.strip_prefix("CREATE UNIQUE INDEX ") {
        Some(rest) => (true, rest),
        None => (false, definition.strip_prefix("CREATE INDEX ")?),
    };
    let at = rest.find(" USING ")?;
    Some((unique, rest.get(at + 1..)?.to_owned()))
}

/// A unique index over plain columns does what a constraint does: as one would write that.
fn as_constraint(part: &Part) -> String {
    part.definition
        .strip_prefix("USING btree ")
        .map_or_else(|| part.definition.clone(), |rest| format!("UNIQUE {rest}"))
}

/// A definition with its columns in one order.
fn sorted(definition: &str) -> String {
    let own = columns(definition);
    let mut names: Vec<&str> = own.trim_start_matches('(').trim_end_matches(')').split(", ").collect();
    names.sort_unstable();
    definition.replacen(own, &names.join(", "), 1)
}

/// The columns and the parent of a foreign key, without what happens when the parent goes.
fn without_actions(definition: &str) -> &str {
    let end = definition
        .find(" ON DELETE ")
        .or_else(|| definition.find(" ON UPDATE "))
        .or_else(|| definition.find(" DEFERRABLE"));
    let end = [" ON DELETE ", " ON UPDATE ", " DEFERRABLE", " NOT VALID", " MATCH "]
        .iter()
        .filter_map(|word| definition.find(word))
        .chain(end)
        .min();
    end.and_then(|end| definition.get(..end)).unwrap_or(definition)
}

/// What happens when the parent goes, in words.
fn actions(definition: &str) -> String {
    let rest = definition.get(without_actions(definition).len()..).unwrap_or_default().trim();
    if rest.is_empty() { "NO ACTION".to_owned() } else { rest.to_owned() }
}

/// What a model leaves open of the actions of a foreign key counts as alike.
fn open_actions(at: &At<'_>, text: &str) -> String {
    let mut text = text.to_owned();
    let words = [(Aspect::OnDelete, " ON DELETE "), (Aspect::OnUpdate, " ON UPDATE ")];
    for (aspect, word) in words {
        if let (true, Some(from)) = (at.leaves_open(aspect), text.find(word)) {
            let rest = text.get(from + word.len()..).unwrap_or_default();
            let end = ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"]
                .iter()
                .find(|action| rest.starts_with(**action));
            let end = from + word.len() + end.map_or(0, |action| action.len());
            text.replace_range(from..end.min(text.len()), "");
        }
    }
    if at.leaves_open(Aspect::Deferrable) {
        text = text.replace(" DEFERRABLE", "").replace(" INITIALLY DEFERRED", "");
    }
    // Whether old rows are known to hold it is no matter of models.
    text.replace(" NOT VALID", "")
}

/// Whether the models say, or decide, what a part is called.
fn is_named(table: &Table, name: &str) -> bool {
    let is = |own: &Option<String>| own.as_deref() == Some(name);
    is(&table.primary_key_name)
        || table.uniques.iter().any(|one| is(&one.name))
        || table.indexes.iter().any(|one| is(&one.name))
        || table.foreign_keys.iter().any(|one| is(&one.name))
        || table.checks.iter().any(|one| is(&one.name))
}

/// Where the models say it: by its name, or by its first column.
fn place_of(table: &Table, part: &Part) -> Place {
    let by_name = || {
        let uniques = table.uniques.iter().map(|one| (&one.name, &one.place));
        let indexes = table.indexes.iter().map(|one| (&one.name, &one.place));
        let keys = table.foreign_keys.iter().map(|one| (&one.name, &one.place));
        let checks = table.checks.iter().map(|one| (&one.name, &one.place));
        let mut all = uniques.chain(indexes).chain(keys).chain(checks);
        all.find(|(name, _)| name.as_deref() == Some(&part.name)).map(|(_, place)| place.clone())
    };
    let by_column = || {
        let own = columns(&part.definition);
        let mentioned = |name: &str| {
            own.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '"'))
                .any(|word| word.trim_matches('"') == name)
        };
        table.columns.iter().find(|column| mentioned(&column.name)).map(|column| column.place.clone())
    };
    by_name().or_else(by_column).unwrap_or_else(|| table.place.clone())
}

/// Whether the models leave it open: all of its kind, or what is of its kind over the only column that it is over.
fn is_open(at: &At<'_>, part: &Part) -> bool {
    let aspect = part.kind.aspect();
    let column = match (part.over.columns.first(), part.over.columns.len()) {
        (Some(name), 1) => at.table.columns.iter().find(|column| column.name == *name),
        _ => None,
    };
    at.leaves_open(aspect) || column.is_some_and(|column| at.leaves_column_open(column, aspect))
}

/// Whether a column has been built with a type that is only a guess: what is computed from it is then written otherwise.
fn is_guessed(at: &At<'_>, column: &Column) -> bool {
    let is_refused = at
        .open
        .and_then(|open| open.columns.get(&column.name))
        .is_some_and(|open| open.contains(&Aspect::Type));
    is_refused || (column.unstated.contains(&Aspect::Type) && !column.data_type.is_empty())
}

/// Whether two parts may be the same but for the guessed type of a column that both are computed from.
fn same_over_a_guess(guessed: &[&str], one: &Part, other: &Part) -> bool {
    let is_over = |part: &Part, name: &str| part.over.is_computed && part.over.columns.contains(name);
    one.kind == other.kind && guessed.iter().any(|name| is_over(one, name) && is_over(other, name))
}

pub(super) fn compare(at: &mut At<'_>) {
    let mut model = parts(at.expected, &at.id);
    let mut there = parts(at.there, &at.id);
    model.retain(|part| !is_open(at, part));
    there.retain(|part| !is_open(at, part));
    let same = |one: &Part, other: &Part| one.kind == other.kind && one.definition == other.definition;
    // By name and definition first, so that of two that are alike each finds its own.
    pair(&mut model, &mut there, |one, other| one.name == other.name && same(one, other));
    for (one, other) in pair(&mut model, &mut there, same) {
        renamed(at, &one, &other);
    }
    over_guesses(at, &mut model, &mut there);
    let alike = |one: &Part, other: &Part| {
        one.kind == Kind::Unique && other.kind == Kind::Unique && as_constraint(one) == as_constraint(other)
    };
    for (one, other) in pair(&mut model, &mut there, alike) {
        if at.leaves_open(Aspect::UniqueForm) {
            renamed(at, &one, &other);
            continue;
        }
        let kind =
            |part: &Part| if part.definition.starts_with("UNIQUE") { "a constraint" } else { "an index" };
        let said = (Some(kind(&one).to_owned()), Some(kind(&other).to_owned()));
        let what = format!("what keeps {} unique", columns(&one.definition));
        at.differs("index", None, said, &place_of(at.table, &one), &what);
        at.about(Subject::both(one.id, other.id));
    }
    // The same columns in another order keep the same rows out.
    let reordered = |one: &Part, other: &Part| {
        let is_meant = matches!(one.kind, Kind::PrimaryKey | Kind::Unique) && one.kind == other.kind;
        is_meant && sorted(&as_constraint(one)) == sorted(&as_constraint(other))
    };
    for (one, other) in pair(&mut model, &mut there, reordered) {
        let said = (Some(one.definition.clone()), Some(other.definition.clone()));
        let what = format!("the order of the columns of the {} {}", one.kind.word(), one.name);
        at.differs("index", None, said, &place_of(at.table, &one), &what);
        at.about(Subject::both(one.id, other.id));
    }
    same_keys(at, &mut model, &mut there);
    let one_form = |one: &Part, other: &Part| {
        one.kind == other.kind && as_constraint(one) == bare_index(&as_constraint(other))
    };
    if at.leaves_open(Aspect::IndexForm) {
        for (one, other) in pair(&mut model, &mut there, one_form) {
            at.told.push(format!(
                "what the index {} of {} includes and is stored with",
                other.name,
                shown(at.table)
            ));
            renamed(at, &one, &other);
        }
    }
    // One and the same primary key, or what is called the same.
    let meant = |one: &Part, other: &Part| {
        one.kind == other.kind && (one.kind == Kind::PrimaryKey || one.name == other.name)
    };
    for (one, other) in pair(&mut model, &mut there, meant) {
        if is_of_base(at, &other) {
            continue;
        }
        let what = format!("the {} {}", one.kind.word(), one.name);
        let said = (Some(one.definition.clone()), Some(other.definition.clone()));
        at.differs(one.kind.code(), None, said, &place_of(at.table, &one), &what);
        at.about(Subject::both(one.id, other.id));
    }
    on_one_side(at, &model, there);
}

/// Takes those out that may be the same but for a type that is only a guess.
fn over_guesses(at: &At<'_>, model: &mut Vec<Part>, there: &mut Vec<Part>) {
    let guessed: Vec<&str> = at
        .table
        .columns
        .iter()
        .filter(|column| is_guessed(at, column))
        .map(|column| column.name.as_str())
        .collect();
    let by_guess = |one: &Part, other: &Part| same_over_a_guess(&guessed, one, other);
    pair(model, there, |one, other| one.name == other.name && by_guess(one, other));
    pair(model, there, by_guess);
}

/// Foreign keys of the same columns to the same parent.
fn same_keys(at: &mut At<'_>, model: &mut Vec<Part>, there: &mut Vec<Part>) {
    let keys = |one: &Part, other: &Part| {
        let is_key = one.kind == Kind::ForeignKey && other.kind == Kind::ForeignKey;
        is_key && without_actions(&one.definition) == without_actions(&other.definition)
    };
    for (one, other) in pair(model, there, keys) {
        if open_actions(at, &one.definition) != open_actions(at, &other.definition) {
            let said = (Some(actions(&one.definition)), Some(actions(&other.definition)));
            let what = format!("the foreign key {}", columns(&one.definition));
            let column = only_column(&one.definition);
            at.differs("foreign-key-action", column.as_deref(), said, &place_of(at.table, &one), &what);
            at.about(Subject::both(one.id.clone(), other.id.clone()));
        }
        renamed(at, &one, &other);
    }
}

/// What is on one side alone.
fn on_one_side(at: &mut At<'_>, model: &[Part], mut there: Vec<Part>) {
    for part in model {
        let what = format!("the {} {} is not there", part.kind.word(), part.name);
        at.differs(
            part.kind.code(),
            None,
            (Some(part.definition.clone()), None),
            &place_of(at.table, part),
            &what,
        );
        at.about(Subject::of_model(part.id.clone()));
    }
    // What could not be read or built on this side is not held against the other.
    there.retain(|part| !is_left_out(at, part));
    for part in &there {
        if has_no_words(at, part) {
            let kind = if part.kind == Kind::Unique { "unique index" } else { "index" };
            at.told.push(format!("the {kind} {} of {}: {}", part.name, shown(at.table), part.definition));
            continue;
        }
        let what = format!("the {} {} is in no model", part.kind.word(), part.name);
        let place = place_of(at.table, part);
        at.differs(part.kind.code(), None, (None, Some(part.definition.clone())), &place, &what);
        at.about(Subject::of_there(part.id.clone()));
    }
}

/// Whether a part of the other side belongs to one that could not be read or built.
fn is_left_out(at: &At<'_>, part: &Part) -> bool {
    let is_key = |names: &Vec<String>| {
        let list = cutover_analysis::models::list(names);
        part.kind == Kind::ForeignKey && columns(&part.definition) == format!("({list})")
    };
    is_of_base(at, part)
        || at.table.unread.contains(&part.name)
        || at.open.is_some_and(|open| open.names.contains(&part.name) || open.keys.iter().any(is_key))
}

/// Whether a part is about a column that no model says: a base that is not among the files may have both.
fn is_of_base(at: &At<'_>, part: &Part) -> bool {
    let is_own = |name: &str| at.table.columns.iter().any(|column| column.name == name.trim_matches('"'));
    let inner = || columns(&part.definition).trim_start_matches('(').trim_end_matches(')');
    let over = &part.over.columns;
    let is_over_own =
        if over.is_empty() { inner().split(", ").all(is_own) } else { over.iter().all(|name| is_own(name)) };
    at.leaves_open(Aspect::Columns) && !is_over_own
}

/// An index without what it includes and is stored with.
fn bare_index(definition: &str) -> String {
    let columns = columns(definition);
    let end = definition.find(columns).map_or(definition.len(), |from| from + columns.len());
    let rest = definition.get(end..).unwrap_or_default();
    let condition = rest.find(" WHERE ").and_then(|from| rest.get(from..)).unwrap_or_default();
    format!("{}{condition}", definition.get(..end).unwrap_or_default())
}

/// Whether a part is an index over expressions or over some of the rows, and models like these cannot say that.
fn has_no_words(at: &At<'_>, part: &Part) -> bool {
    let columns = columns(&part.definition);
    let has_expression = columns.get(1..).unwrap_or_default().contains('(');
    part.definition.starts_with("USING ")
        && (has_expression && at.leaves_open(Aspect::IndexForm)
            || part.definition.contains(" WHERE ") && at.leaves_open(Aspect::IndexPart))
}

/// Takes those out that belong together.
fn pair(
    model: &mut Vec<Part>,
    there: &mut Vec<Part>,
    together: impl Fn(&Part, &Part) -> bool,
) -> Vec<(Part, Part)> {
    let mut pairs = Vec::new();
    model.retain(|one| match there.iter().position(|other| together(one, other)) {
        Some(at) => {
            pairs.push((one.clone(), there.remove(at)));
            false
        }
        None => true,
    });
    pairs
}

fn renamed(at: &mut At<'_>, one: &Part, other: &Part) {
    if one.name != other.name && is_named(at.table, &one.name) {
        let what = format!("the name of the {} {}", one.kind.word(), columns(&one.definition));
        let said = (Some(one.name.clone()), Some(other.name.clone()));
        at.differs("name", None, said, &place_of(at.table, one), &what);
        at.about(Subject::renamed(one.id.clone(), other.id.clone()));
    }
}

/// The columns, as the definition has them.
fn columns(definition: &str) -> &str {
    let from = definition.find('(').unwrap_or(0);
    let rest = definition.get(from..).unwrap_or_default();
    let mut depth = 0_usize;
    let end = rest.char_indices().find_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth == 0).then_some(at + c.len_utf8())
    });
    end.and_then(|end| rest.get(..end)).unwrap_or(definition)
}

fn only_column(definition: &str) -> Option<String> {
    let inner = columns(definition).strip_prefix('(')?.strip_suffix(')')?;
    (!inner.contains(',')).then(|| inner.trim_matches('"').to_owned())
}
