//! Defaults as values: PostgreSQL keeps them as they were written, so that one and the same value has several forms.

/// Whether both put the same into a column. Each comes with the type of the column on its side.
pub(super) fn same(one: Default<'_>, other: Default<'_>) -> bool {
    one.text == other.text || value(one) == value(other)
}

/// A default, and the type of its column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Default<'a> {
    pub(super) text: Option<&'a str>,
    pub(super) data_type: &'a str,
}

/// A default, in one form of all that mean the same.
#[derive(Debug, PartialEq)]
enum Value {
    /// This text, as the type of the column reads it.
    Constant(String),
    /// What this comes to.
    Expression(String),
}

/// What a default puts there. NULL is what a column without one has.
fn value(default: Default<'_>) -> Option<Value> {
    let text = bare(default.text?, default.data_type);
    let lower = text.to_lowercase();
    if lower == "null" {
        return None;
    }
    // All three are when the transaction began.
    if matches!(lower.as_str(), "now()" | "transaction_timestamp()" | "current_timestamp") {
        return Some(Value::Expression("now()".to_owned()));
    }
    let items = text.strip_prefix("ARRAY[").and_then(|rest| rest.strip_suffix(']'));
    let item_type = default.data_type.strip_suffix("[]").unwrap_or(default.data_type);
    let constant = items.and_then(|items| array(items, item_type)).or_else(|| quoted(text));
    let is_plain = is_number(text) || matches!(lower.as_str(), "true" | "false");
    let constant = constant.or_else(|| is_plain.then_some(lower));
    Some(constant.map_or_else(|| Value::Expression(text.to_owned()), Value::Constant))
}

/// Without parentheses around it and casts behind it that change nothing: to the type of the column, and of a text to a text. Any other
/// may make another value of it (`now()::date`, `1.5::integer`).
fn bare<'a>(text: &'a str, data_type: &str) -> &'a str {
    let mut text = text.trim();
    loop {
        let before = text;
        if let Some((value, cast)) = text.rsplit_once("::") {
            // Of an expression, no more than the last part may be cast.
            let is_value = is_whole(value, '\'', '\'')
                || is_whole(value, '(', ')')
                || is_whole(value, 'A', ']')
                || is_number(value);
            let is_null = value.eq_ignore_ascii_case("null");
            if is_value && changes_nothing(value, cast.trim(), data_type) || is_null {
                text = value.trim();
            }
        }
        if is_whole(text, '(', ')') {
            text = text.get(1..text.len().saturating_sub(1)).unwrap_or(text).trim();
        }
        if text == before {
            return text;
        }
    }
}

/// Whether a cast makes nothing else of a value than the column does.
fn changes_nothing(value: &str, cast: &str, data_type: &str) -> bool {
    let strings = ["text", "character varying"];
    let base = |name: &'_ str| name.split('(').next().unwrap_or(name).trim().to_owned();
    let is_of_column = cast == data_type || !cast.contains('(') && cast == base(data_type);
    let is_constant = is_whole(value, '\'', '\'') || is_number(value);
    // What a type without a length reads is what is written, but for lengths that are cut: those of the column are its own matter.
    let are_strings = strings.contains(&cast) && strings.contains(&base(data_type).as_str());
    is_of_column || is_constant && are_strings
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'))
}

/// Whether a text begins and ends so, and is one thing: `'it''s'`, `(a + b)`, `ARRAY[1]`, and not `'a' || 'b'`.
fn is_whole(text: &str, from: char, to: char) -> bool {
    if !text.starts_with(from)
        || !text.ends_with(to)
        || text.len() < 2
        || from == 'A' && !text.starts_with("ARRAY[")
    {
        return false;
    }
    let (mut depth, mut in_text) = (0_usize, false);
    let inner_end = text.len().saturating_sub(to.len_utf8());
    for (at, c) in text.char_indices() {
        match c {
            '\'' => in_text = !in_text,
            '(' | '[' if !in_text => depth += 1,
            ')' | ']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_between = at > 0 && at < inner_end;
        let is_outside = depth == 0 && !in_text;
        match from {
            // A quote that is there twice stands for one.
            '\'' if is_between
                && is_outside
                && !text.get(at + 1..).is_some_and(|rest| rest.starts_with('\'')) =>
            {
                return false;
            }
            '(' | 'A' if is_between && is_outside && depth == 0 && matches!(c, ')' | ']') => return false,
            _ => {}
        }
    }
    depth == 0 && !in_text
}

/// What is between quotes.
fn quoted(text: &str) -> Option<String> {
    let inner = text.get(1..text.len().saturating_sub(1)).filter(|_| is_whole(text, '\'', '\''))?;
    Some(inner.replace("''", "'"))
}

/// What is in `ARRAY[…]`, as `{…}`; nothing where an item is more than a plain value.
fn array(items: &str, data_type: &str) -> Option<String> {
    if items.trim().is_empty() {
        return Some("{}".to_owned());
    }
    let plain = |item: &str| {
        let Value::Constant(value) = value(Default { text: Some(item), data_type })? else { return None };
        let is_plain = !value.is_empty()
            && !value.eq_ignore_ascii_case("null")
            && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
        is_plain.then_some(value)
    };
    let items: Option<Vec<String>> = items.split(',').map(plain).collect();
    items.map(|items| format!("{{{}}}", items.join(",")))
}

#[cfg(test)]
mod tests {
    use super::{Default, same};

    fn are_same(one: Option<&str>, other: Option<&str>, data_type: &str) -> bool {
        same(Default { text: one, data_type }, Default { text: other, data_type })
    }

    #[test]
    fn one_value_may_be_written_in_several_ways() {
        for (one, other, data_type) in [
            ("ARRAY[]::text[]", "'{}'::text[]", "text[]"),
            ("ARRAY['a'::text, 'b-c'::text]", "'{a,b-c}'::text[]", "text[]"),
            ("ARRAY[1, 2]", "'{1,2}'::integer[]", "integer[]"),
            ("now()", "CURRENT_TIMESTAMP", "timestamp with time zone"),
            ("'active'::character varying", "'active'::text", "text"),
            ("'active'::character varying", "'active'::text", "character varying(20)"),
            ("0", "'0'::bigint", "bigint"),
            ("'-1'::integer", "(-1)", "integer"),
            ("'it''s'::text", "'it''s'::character varying", "character varying(20)"),
            ("'good'::public.mood", "'good'", "public.mood"),
        ] {
            assert!(are_same(Some(one), Some(other), data_type), "{one} is {other}");
        }
        assert!(are_same(None, Some("NULL::character varying"), "text"));
    }

    #[test]
    fn other_values_are_others() {
        for (one, other, data_type) in [
            ("'{a}'::text[]", "'{}'::text[]", "text[]"),
            ("now()", "clock_timestamp()", "timestamp with time zone"),
            ("'a'::text", "'A'::text", "text"),
            ("('a'::text || 'b'::text)", "'a'::text", "text"),
            ("lower('A'::text)", "'A'::text", "text"),
            ("'now()'::text", "now()", "text"),
            ("ARRAY['a,b'::text]", "'{a,b}'::text[]", "text[]"),
            ("CURRENT_DATE", "CURRENT_TIMESTAMP", "timestamp with time zone"),
            ("(now())::date", "now()", "timestamp with time zone"),
            ("(now())::timestamp(0) with time zone", "now()", "timestamp with time zone"),
            ("(random())::integer", "random()", "double precision"),
            ("(1.5)::integer", "1.5", "numeric"),
            ("'abcdef'::character varying(3)", "'abcdef'::text", "text"),
            ("' x'::character(5)", "' x'::text", "text"),
            ("'2000-01-01 10:00'::date", "'2000-01-01 10:00'::timestamp", "timestamp"),
        ] {
            assert!(!are_same(Some(one), Some(other), data_type), "{one} is not {other}");
        }
        assert!(!are_same(None, Some("''::text"), "text"));
    }
}
