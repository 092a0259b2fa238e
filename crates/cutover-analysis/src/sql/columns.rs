//! What INSERT and COPY put into columns whose names say that they hold secrets: what says so stands far from the values,
//! in the list of columns.

use std::ops::Range;

use super::lexer::Kind;
use super::passwords::names_a_secret;
use super::tokens::{Token, Tokens};

/// The literals, with their quotes, as ranges of bytes. Whatever stands in the expression for such a column counts, also
/// the arguments of functions.
pub(super) fn secret_values(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next() {
        if token.is("insert")
            && let Some(columns) = column_list(&mut tokens).filter(|columns| columns.contains(&true))
        {
            values(&mut tokens, &columns, &mut found);
        }
    }
    found
}

/// The fields that a line of COPY data puts into secret columns: what stands in them is not to be shown.
pub fn copied_secrets<'d>(copy: &str, line: &'d str) -> Vec<&'d str> {
    let mut tokens = Tokens::new(copy);
    let columns = match tokens.next() {
        Some(first) if first.is("copy") => named_columns(&mut tokens).unwrap_or_default(),
        _ => return Vec::new(),
    };
    if !columns.contains(&true) {
        return Vec::new();
    }
    let delimiter = if tokens.any(|token| token.is("csv") || token.text == "'csv'") { ',' } else { '\t' };
    let fields = line.split(delimiter).zip(columns).filter(|(_, is_secret)| *is_secret);
    fields.map(|(field, _)| field.trim_matches('"')).filter(|field| !field.is_empty()).collect()
}

/// Whether a COPY names a column that holds secrets.
pub fn copies_secrets(copy: &str) -> bool {
    let mut tokens = Tokens::new(copy);
    tokens.next().is_some_and(|first| first.is("copy"))
        && named_columns(&mut tokens).is_some_and(|columns| columns.contains(&true))
}

/// Which of the columns between the parentheses behind `INTO name` hold secrets.
fn column_list(tokens: &mut Tokens<'_>) -> Option<Vec<bool>> {
    tokens.next().filter(|token| token.is("into"))?;
    named_columns(tokens)
}

/// The same behind the name alone.
fn named_columns(tokens: &mut Tokens<'_>) -> Option<Vec<bool>> {
    let is_name = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::QuotedIdentifier | Kind::Dot);
    let open = tokens.find(|token| !is_name(token)).filter(|token| token.kind == Kind::Open);
    open?;
    let mut columns = vec![false];
    for token in tokens.by_ref() {
        match token.kind {
            Kind::Close => return Some(columns),
            Kind::Comma => columns.push(false),
            Kind::Word | Kind::QuotedIdentifier => {
                if let Some(last) = columns.last_mut() {
                    *last |= names_a_secret(&token.name());
                }
            }
            _ => {}
        }
    }
    None
}

/// Goes through the rows of VALUES or the list of a SELECT, to the end of the statement.
fn values(tokens: &mut Tokens<'_>, columns: &[bool], found: &mut Vec<Range<usize>>) {
    let Some(first) =
        tokens.find(|token| token.is("values") || token.is("select") || token.kind == Kind::Semicolon)
    else {
        return;
    };
    if first.kind == Kind::Semicolon {
        return;
    }
    // How many parentheses stand around a row.
    let outer = usize::from(first.is("values"));
    let (mut depth, mut column) = (0_usize, 0_usize);
    for token in tokens.by_ref() {
        match token.kind {
            Kind::Semicolon if depth == 0 => return,
            Kind::Open => {
                depth += 1;
                column = if outer == 1 && depth == 1 { 0 } else { column };
            }
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Comma if depth == outer => column += 1,
            Kind::Word
                if depth == 0 && ["from", "where", "returning", "on"].iter().any(|word| token.is(word)) =>
            {
                return;
            }
            // The next arm of a UNION, or the rows of another one.
            Kind::Word if depth == 0 && token.is("select") => column = 0,
            Kind::String if depth >= outer && columns.get(column) == Some(&true) => {
                found.push(token.at..token.at + token.text.len());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &[&str]) {
        let found: Vec<&str> = secret_values(sql).into_iter().map(|span| &sql[span]).collect();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn fields_of_secret_columns() {
        let text = "COPY app.users (name, \"password\") FROM STDIN";
        assert!(copies_secrets(text) && !copies_secrets("COPY users (name) FROM STDIN (FORMAT csv)"));
        assert_eq!(copied_secrets(text, "bob\ts1\textra"), ["s1"]);
        assert_eq!(copied_secrets("copy u (pwd, n) from stdin (format csv)", "\"s1\",2"), ["s1"]);
        assert!(copied_secrets("COPY password FROM STDIN", "s1").is_empty());
    }

    #[test]
    fn literals_of_secret_columns() {
        check(
            "INSERT INTO app.users (name, password) VALUES ('bob', 's1'), ('eve', E's2');",
            &["'s1'", "E's2'"],
        );
        check("insert into u (\"api_key\", n) /* a */ values ('k', 'n'); SELECT 'x'", &["'k'"]);
        check("INSERT INTO u (n, pwd) SELECT 'a', 's' FROM t WHERE x = 'y'", &["'s'"]);
        check(
            "INSERT INTO u (n, passwd) VALUES (f('a', 'b'), crypt('s', 'md5')) ON CONFLICT DO NOTHING",
            &["'s'", "'md5'"],
        );
        check("WITH a AS (SELECT 'x') INSERT INTO u (n, secret) VALUES ('a', $q$s$q$)", &["$q$s$q$"]);
        check("INSERT INTO u (a, b) VALUES ('a', 'b')", &[]);
        check("INSERT INTO password VALUES ('a')", &[]);
        check("INSERT INTO u (password", &[]);
    }
}
