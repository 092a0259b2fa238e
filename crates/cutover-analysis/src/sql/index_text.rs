//! The part of a CREATE INDEX that says what the index is, without its name and its table.

use super::lexer::Kind;
use super::tokens::{Token, Tokens};

/// What follows the table in a `CREATE INDEX`, from `USING` or the opening parenthesis on; `None` where the statement is
/// spelled in a way that this does not read (`ONLY (table)`, names as `U&"…"`).
pub fn index_definition(statement: &str) -> Option<&str> {
    let mut tokens = Tokens::new(statement).peekable();
    let mut word = |wanted: &str| tokens.next_if(|token| token.is(wanted)).is_some();
    if !word("CREATE") {
        return None;
    }
    word("UNIQUE");
    if !word("INDEX") {
        return None;
    }
    word("CONCURRENTLY");
    if word("IF") && !(word("NOT") && word("EXISTS")) {
        return None;
    }
    if !word("ON") {
        tokens.next_if(is_name)?;
        tokens.next_if(|token| token.is("ON"))?;
    }
    let _ = tokens.next_if(|token| token.is("ONLY"));
    tokens.next_if(is_name)?;
    while tokens.next_if(|token| token.kind == Kind::Dot).is_some() {
        tokens.next_if(is_name)?;
    }
    let _ = tokens.next_if(|token| token.text == "*");
    let first = tokens.next()?;
    (first.kind == Kind::Open || first.is("USING")).then(|| statement.get(first.at..))?
}

fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Word | Kind::QuotedIdentifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_index_is_stands_behind_its_table() {
        for (head, rest) in [
            ("CREATE INDEX i ON t ", "(a)"),
            (
                "create unique index concurrently if not exists \"ON\" on only public . \"t (x)\" ",
                "USING gin (a) WHERE b",
            ),
            ("/* CREATE INDEX x ON y (z) */ CREATE INDEX CONCURRENTLY ON t * ", "((a + 1)) -- ON\n"),
            ("CREATE INDEX i -- ON u (b)\n ON s.t", "(a)"),
        ] {
            let statement = [head, rest].concat();
            assert_eq!(index_definition(&statement), Some(rest), "{statement}");
        }
        for other in
            ["", "CREATE TABLE t (a int)", "CREATE INDEX i ON ONLY (t) (a)", "CREATE INDEX i ON U&\"t\" (a)"]
        {
            assert_eq!(index_definition(other), None, "{other}");
        }
    }
}
