//! Defaults as values: PostgreSQL keeps them as they were written, so that one and the same value has several forms.

/// Whether both put the same into a column of one type.
pub(super) fn same(one: Option<&str>, other: Option<&str>) -> bool {
    one == other || value(one) == value(other)
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
fn value(default: Option<&str>) -> Option<Value> {
    let text = bare(default?);
    let lower = text.to_lowercase();
    if lower == "null" {
        return None;
    }
    // All three are when the transaction began.
    if matches!(lower.as_str(), "now()" | "transaction_timestamp()" | "current_timestamp") {
        return Some(Value::Expression("now()".to_owned()));
    }
    let items = text.strip_prefix("ARRAY[").and_then(|rest| rest.strip_suffix(']'));
    let constant = items.and_then(array).or_else(|| quoted(text));
    let is_plain = is_number(text) || matches!(lower.as_str(), "true" | "false");
    let constant = constant.or_else(|| is_plain.then_some(lower));
    Some(constant.map_or_else(|| Value::Expression(text.to_owned()), Value::Constant))
}

/// Without parentheses around it and casts behind it: what the column makes of it is the same.
fn bare(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let before = text;
        if let Some((value, data_type)) = text.rsplit_once("::") {
            let is_type = |c: char| {
                c.is_alphanumeric() || matches!(c, '_' | ' ' | '.' | '"' | '(' | ')' | ',' | '[' | ']')
            };
            // Of an expression, no more than the last part may be cast.
            let is_value = is_whole(value, '\'', '\'')
                || is_whole(value, '(', ')')
                || is_whole(value, 'A', ']')
                || is_number(value);
            if is_value && data_type.chars().all(is_type) || value.eq_ignore_ascii_case("null") {
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
fn array(items: &str) -> Option<String> {
    if items.trim().is_empty() {
        return Some("{}".to_owned());
    }
    let plain = |item: &str| {
        let Value::Constant(value) = value(Some(item))? else { return None };
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
    use super::same;

    #[test]
    fn one_value_may_be_written_in_several_ways() {
        for (one, other) in [
            ("ARRAY[]::text[]", "'{}'::text[]"),
            ("ARRAY['a'::text, 'b-c'::text]", "'{a,b-c}'::text[]"),
            ("ARRAY[1, 2]", "'{1,2}'::integer[]"),
            ("now()", "CURRENT_TIMESTAMP"),
            ("'active'::character varying", "'active'::text"),
            ("0", "'0'::bigint"),
            ("'-1'::integer", "(-1)"),
            ("'it''s'::text", "'it''s'::character varying(20)"),
        ] {
            assert!(same(Some(one), Some(other)), "{one} is {other}");
        }
        assert!(same(None, Some("NULL::character varying")));
    }

    #[test]
    fn other_values_are_others() {
        for (one, other) in [
            ("'{a}'::text[]", "'{}'::text[]"),
            ("now()", "clock_timestamp()"),
            ("'a'::text", "'A'::text"),
            ("('a'::text || 'b'::text)", "'a'::text"),
            ("lower('A'::text)", "'A'::text"),
            ("'now()'::text", "now()"),
            ("ARRAY['a,b'::text]", "'{a,b}'::text[]"),
            ("CURRENT_DATE", "CURRENT_TIMESTAMP"),
        ] {
            assert!(!same(Some(one), Some(other)), "{one} is not {other}");
        }
        assert!(!same(None, Some("''::text")));
    }
}
