//! What becomes of the values when a column gets another type: whether PostgreSQL assigns them of itself, and whether they
//! can be others then without anybody being told. It knows PostgreSQL's own types and domains over them; of others it takes
//! the worst.

use super::super::{Id, Schema};
use crate::effects::ObjectKind;

/// A type without its length or precision, that, and whether it is an array.
struct Parts<'a> {
    name: String,
    modifier: Option<&'a str>,
    is_array: bool,
}

/// Types among whose values PostgreSQL assigns in every direction (`pg_cast`, contexts `i` and `a`).
const FAMILIES: [&[&str]; 7] = [
    &["smallint", "integer", "bigint", "numeric", "real", "double precision"],
    &["date", "timestamp without time zone", "timestamp with time zone"],
    &["json", "jsonb"],
    &["bit", "bit varying"],
    &["inet", "cidr"],
    &["macaddr", "macaddr8"],
    &["time without time zone", "time with time zone"],
];

/// Anything is assigned to these, by its text.
const STRINGS: [&str; 3] = ["text", "character varying", "character"];

/// The type that a domain is over in the end; any other type itself.
pub(crate) fn base_type<'a>(name: &'a str, schema: &'a Schema) -> &'a str {
    let is_it = |id: &Id| id.kind == ObjectKind::Domain && id.name_sql() == name;
    match schema.objects.iter().find(|(id, _)| is_it(id)).and_then(|(_, domain)| domain.text("type")) {
        // Domains are over what was there before them: this ends.
        Some(over) => base_type(over, schema),
        None => name,
    }
}

/// Whether values of one type are assigned to the other without an expression.
pub(super) fn is_assigned(from: &str, to: &str) -> bool {
    let (from, to) = (parts(from), parts(to));
    if !to.is_array && STRINGS.contains(&to.name.as_str()) {
        return true;
    }
    let alike = |family: &&[&str]| family.contains(&from.name.as_str()) && family.contains(&to.name.as_str());
    from.is_array == to.is_array
        && (from.name == to.name || STRINGS.contains(&to.name.as_str()) || FAMILIES.iter().any(alike))
}

/// Types between which PostgreSQL casts by nothing but what is said here, in [`FAMILIES`] and of [`STRINGS`].
const KNOWN: [&str; 16] = [
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "real",
    "double precision",
    "boolean",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
    "time without time zone",
    "time with time zone",
    "interval",
    "uuid",
    "json",
    "jsonb",
];

/// Whether it is known that PostgreSQL has no cast from one type to the other (`pg_cast`), whatever the values are. Types with a list of
/// values, of which `is_enum` knows, are cast from and to strings alone.
pub(super) fn has_no_cast(from: &str, to: &str, is_enum: impl Fn(&str) -> bool) -> bool {
    let (old, new) = (parts(from), parts(to));
    let numbers = FAMILIES.first().copied().unwrap_or_default();
    let is_cast = match (old.name.as_str(), new.name.as_str()) {
        ("integer", new) => new == "boolean",
        ("boolean", new) => new == "integer",
        ("timestamp without time zone" | "interval", new) => new == "time without time zone",
        ("timestamp with time zone", new) => new.starts_with("time with"),
        ("time without time zone", new) => new == "interval",
        ("jsonb", "boolean") => true,
        ("jsonb", to) => numbers.contains(&to),
        _ => false,
    };
    let is_known = |name: &str| KNOWN.contains(&name) || is_enum(name);
    is_known(&old.name) && is_known(&new.name) && old.name != new.name && !is_cast && !is_assigned(from, to)
}

/// Whether the values stay as they are, so that PostgreSQL does not even look at them: more room, or another name of the same
/// (`prosupport` of the functions that cut to length, and casts without a function in `pg_cast`).
pub(super) fn keeps_values(from: &str, to: &str) -> bool {
    let (from, to) = (parts(from), parts(to));
    if from.is_array || to.is_array {
        return from.is_array == to.is_array && from.name == to.name && from.modifier == to.modifier;
    }
    let numbers = |modifier: Option<&str>| -> Option<Vec<i64>> {
        modifier?.split(',').map(|number| number.trim().parse().ok()).collect()
    };
    let (old, new) = (numbers(from.modifier), numbers(to.modifier));
    let is_longer = match (old.as_deref(), new.as_deref()) {
        (_, None) => to.modifier.is_none(),
        (Some([old]), Some([new])) => new >= old,
        _ => false,
    };
    let is_of = |names: &[&str]| names.contains(&to.name.as_str());
    match (from.name.as_str(), to.name.as_str()) {
        (old, new) if old == new && is_of(&["character varying", "bit varying"]) => is_longer,
        (old, new) if old == new && is_of(&TIMES) => is_longer || to.modifier == Some(FINEST),
        ("numeric", "numeric") => match (old.as_deref(), new.as_deref()) {
            (Some([before, point]), Some([after, same])) => after >= before && point == same,
            _ => to.modifier.is_none(),
        },
        ("text" | "xml", "character varying")
        | ("character varying" | "xml", "text")
        | ("bit", "bit varying") => to.modifier.is_none(),
        ("cidr", "inet") => true,
        _ => false,
    }
}

/// Whether values of both are compared by the same family of operators, so that keys may refer from one to the other.
pub(crate) fn are_compared(from: &str, to: &str) -> bool {
    let (from, to) = (parts(from), parts(to));
    let families: [&[&str]; 2] = [&["smallint", "integer", "bigint"], &["text", "character varying"]];
    let alike = |family: &&[&str]| family.contains(&from.name.as_str()) && family.contains(&to.name.as_str());
    from.is_array == to.is_array && (from.name == to.name || families.iter().any(alike))
}

/// What is kept with a precision behind the second.
const TIMES: [&str; 5] = [
    "timestamp without time zone",
    "timestamp with time zone",
    "time without time zone",
    "time with time zone",
    "interval",
];

/// The precision that times have without one.
const FINEST: &str = "6";

/// Whether assigned values may be rounded, cut or spelled otherwise. Whole numbers of fewer bytes are not: they fail.
pub(super) fn loses_values(from: &str, to: &str) -> bool {
    let (from, to) = (parts(from), parts(to));
    if from.name == to.name {
        return !keeps_length(&from, &to);
    }
    let whole = ["smallint", "integer", "bigint"];
    match (from.name.as_str(), to.name.as_str()) {
        // With a negative scale (15+) digits before the point are rounded too.
        (from, "numeric") if whole.contains(&from) => {
            to.modifier.is_some_and(|modifier| modifier.contains('-'))
        }
        (from, to) if whole.contains(&from) && whole.contains(&to) => false,
        ("smallint" | "integer", "double precision")
        | ("smallint" | "real", "real" | "double precision")
        | ("date", "timestamp without time zone" | "timestamp with time zone")
        | ("cidr", "inet")
        | ("macaddr", "macaddr8")
        | ("bit", "bit varying") => false,
        // Where clocks are put back, two instants have one reading; where they are put forward, a reading has none.
        // (Other pairs of times are among the rest.) Blanks at the end are no part of a `character`, and are of the others.
        ("character", _) => true,
        (_, "text" | "character varying") => to.modifier.is_some(),
        _ => true,
    }
}

/// Whether no value can be in the way, and none becomes equal to another one, though all are written anew: the types that
/// `pg_cast` widens to, and those that have one text for each value. The other side of a date is no timestamp's, and what is out of
/// range for a float fails.
pub(super) fn always_fits(from: &str, to: &str) -> bool {
    let (from, to) = (parts(from), parts(to));
    if from.is_array != to.is_array {
        return false;
    }
    match (from.name.as_str(), to.name.as_str()) {
        ("smallint", "integer" | "bigint" | "real" | "double precision")
        | ("integer", "bigint" | "double precision")
        | ("real", "double precision")
        | ("macaddr", "macaddr8") => true,
        ("character" | "character varying", "character") | ("character", "character varying") => {
            keeps_length(&from, &to)
        }
        ("smallint" | "integer" | "bigint", "numeric" | "text" | "character varying")
        | ("character", "text")
        | ("boolean" | "uuid" | "date", "text" | "character varying") => to.modifier.is_none(),
        (time, "text" | "character varying") => {
            TIMES.contains(&time) && time != "interval" && to.modifier.is_none()
        }
        (old, new) => old == new && from.modifier == to.modifier,
    }
}

/// Whether a length or precision is at least as much as it was.
fn keeps_length(from: &Parts<'_>, to: &Parts<'_>) -> bool {
    let numbers = |modifier: Option<&str>| -> Option<Vec<i64>> {
        modifier?.split(',').map(|number| number.trim().parse().ok()).collect()
    };
    match (numbers(from.modifier), numbers(to.modifier)) {
        (_, None) => to.modifier.is_none(),
        (None, Some(_)) => false,
        // Of numbers, those behind the point are rounded, and those before it fail.
        (Some(from), Some(to)) => match (&from[..], &to[..]) {
            ([_, before], [_, after]) | ([before], [after]) => after >= before,
            _ => false,
        },
    }
}

/// `timestamp(3) with time zone[]` taken apart.
fn parts(text: &str) -> Parts<'_> {
    let is_array = text.ends_with("[]");
    let text = text.trim_end_matches("[]");
    let bounds =
        text.find('(').and_then(|open| Some((open, text.rfind(')')?))).filter(|_| !text.ends_with('"'));
    let (name, modifier) = match bounds {
        Some((open, close)) if open < close => {
            let rest = text.get(close + 1..).unwrap_or_default();
            (format!("{}{rest}", text.get(..open).unwrap_or_default()), text.get(open + 1..close))
        }
        _ => (text.to_owned(), None),
    };
    Parts { name, modifier, is_array }
}

#[cfg(test)]
mod tests {
    use super::{is_assigned, loses_values};

    #[test]
    fn what_is_assigned_and_what_it_loses_is_known() {
        for (from, to, assigned, loses) in [
            ("character varying(10)", "character varying(3)", true, true),
            ("character varying(3)", "character varying(10)", true, false),
            ("integer", "bigint", true, false),
            ("bigint", "integer", true, false),
            ("bigint", "double precision", true, true),
            ("numeric(10,4)", "numeric(10,2)", true, true),
            ("numeric(10,2)", "numeric(8,2)", true, false),
            ("double precision", "integer", true, true),
            ("timestamp without time zone", "timestamp with time zone", true, true),
            ("timestamp with time zone", "timestamp without time zone", true, true),
            ("integer", "numeric(5,2)", true, false),
            ("integer", "numeric(5,-2)", true, true),
            ("timestamp(3) without time zone", "timestamp(0) without time zone", true, true),
            ("timestamp with time zone", "date", true, true),
            ("json", "jsonb", true, true),
            ("integer", "text", true, false),
            ("integer[]", "bigint[]", true, false),
            ("text", "integer", false, true),
            ("integer", "boolean", false, true),
            ("text", "text[]", false, true),
            ("app.mood", "app.temper", false, true),
        ] {
            assert_eq!(is_assigned(from, to), assigned, "{from} to {to}");
            assert_eq!(!assigned || loses_values(from, to), loses, "{from} to {to}");
        }
    }
}
