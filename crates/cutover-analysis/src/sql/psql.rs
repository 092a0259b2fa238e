//! SQL for a reader that is not the server: `psql` puts the values of its own variables in place of `:name`, `:'name'`,
//! `:"name"` and `:{?name}` before it sends a statement, and it has many variables of its own (`PORT`, `HOST`, `ERROR`),
//! some of which cannot be unset.

use std::borrow::Cow;

use super::lexer::{Kind, Scan, scan};

/// A statement that means the same to the server, in which `psql` finds no variable: behind a colon that would begin one
/// stands a space. Outside quotes and comments a colon stands alone between tokens (slices of arrays, `JSON_OBJECT`), so
/// that a space changes nothing; within them `psql` replaces nothing.
pub fn without_psql_variables(statement: &str) -> Cow<'_, str> {
    let bytes = statement.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        // What does not end is no statement, and is refused elsewhere.
        let Scan::Token { kind, len } = scan(rest, true) else { break };
        if kind == Kind::Other && rest.starts_with(b"::") {
            at += 2;
            continue;
        }
        at += len.max(1);
        let next = bytes.get(at).copied().unwrap_or(b' ');
        let begins = matches!(next, b'\'' | b'"' | b'{' | b'_' | 0x80..) || next.is_ascii_alphanumeric();
        if kind == Kind::Other && rest.starts_with(b":") && begins {
            out.push_str(statement.get(copied..at).unwrap_or_default());
            out.push(' ');
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(statement);
    }
    out.push_str(statement.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_that_would_begin_a_variable_is_kept_from_it() {
        let cases = [
            ("SELECT a[1:PORT]", "SELECT a[1: PORT]"),
            ("SELECT a[:HOST], b[1:2]", "SELECT a[: HOST], b[1: 2]"),
            ("SELECT JSON_OBJECT('a':'HOST', \"b\":\"c\")", "SELECT JSON_OBJECT('a': 'HOST', \"b\": \"c\")"),
            ("a::b[i:j]", "a::b[i: j]"),
            ("a[b::int:c]", "a[b::int: c]"),
            ("SELECT 1 /* :HOST */ :{?HOST} :é", "SELECT 1 /* :HOST */ : {?HOST} : é"),
        ];
        for (written, expected) in cases {
            assert_eq!(without_psql_variables(written), expected);
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        let same = [
            "SELECT ':HOST', \":HOST\", $$ :HOST $$, E'\\':HOST', U&':HOST' -- :HOST\n, 1::int, x::\"t\", f(a := 1), a[1 : n]",
            "SELECT ' :'",
            "x := :",
            "a[:]",
            "b::c::d",
            "",
        ];
        for text in same {
            assert_eq!(without_psql_variables(text), text);
        }
    }
}
