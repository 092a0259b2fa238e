//! What INSERT and COPY put into columns whose names say that they hold secrets: what says so stands far from the values,
//! in the list of columns, or with the table.

use std::ops::Range;

use super::lexer::Kind;
use super::passwords::{is_harmless, names_a_secret};
use super::tokens::{Token, Tokens};

/// A column of a table, for statements that do not list the columns they fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// It is computed from others: COPY leaves it out.
    pub generated: bool,
}

/// The columns of a table, by its schema (where the statement names one) and name; none where they are not known.
pub type KnownColumns<'a> = dyn Fn(Option<&str>, &str) -> Option<Vec<TableColumn>> + 'a;

/// What is put into each column in turn: the column's name where it holds a secret.
type Secret = Vec<Option<String>>;

/// The literals, with their quotes, as ranges of bytes. Whatever stands in the expression for such a column counts, also
/// the arguments of functions.
pub(super) fn secret_values(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut tokens = Tokens::of_cut(text);
    while let Some(token) = tokens.next() {
        if token.is("insert") && tokens.next().is_some_and(|token| token.is("into")) {
            let secret = Target::read(&mut tokens).and_then(|target| target.listed).unwrap_or_default();
            if has_secrets(&secret) {
                values(&mut tokens, &secret, &mut found);
            }
        }
    }
    found
}

/// The same of one INSERT that does not list the columns, into a table whose columns are known.
pub(super) fn secret_values_of_known(text: &str, known: &KnownColumns<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut tokens = Tokens::new(text);
    let begins = ["insert", "into"].iter().all(|word| tokens.next().is_some_and(|token| token.is(word)));
    if begins
        && let Some(Target { schema, name, listed: None }) = Target::read(&mut tokens)
        && let Some(columns) = known(schema.as_deref(), &name)
    {
        let secret: Secret = columns.into_iter().map(|column| secret(column.name)).collect();
        if has_secrets(&secret) {
            values(&mut tokens, &secret, &mut found);
        }
    }
    found
}

/// How the data of a COPY is laid out, where secrets are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedSecrets {
    secret: Secret,
    delimiter: char,
    csv: bool,
}

impl CopiedSecrets {
    /// Of the statement; none where its data holds no secrets, as far as its columns are known.
    pub fn of(copy: &str, known: &KnownColumns<'_>) -> Option<Self> {
        let mut tokens = Tokens::new(copy);
        tokens.next().filter(|token| token.is("copy"))?;
        let Target { schema, name, listed } = Target::read(&mut tokens)?;
        let secret = if let Some(secret) = listed {
            secret
        } else {
            let columns = known(schema.as_deref(), &name)?.into_iter();
            columns.filter(|column| !column.generated).map(|column| secret(column.name)).collect()
        };
        if !has_secrets(&secret) {
            return None;
        }
        let (mut csv, mut delimiter) = (false, None);
        let mut options = tokens.peekable();
        while let Some(token) = options.next() {
            csv |= token.is("csv") || token.text == "'csv'";
            if token.is("delimiter") || token.is("delimiters") {
                let value = options.by_ref().find(|token| !token.is("as") && token.text.len() > 1);
                delimiter = value.and_then(|value| delimiter_of(value.text));
            }
        }
        Some(Self { secret, csv, delimiter: delimiter.unwrap_or(if csv { ',' } else { '\t' }) })
    }

    /// What a line of the data puts into secret columns, as it is written and as it is meant.
    pub fn in_line(&self, line: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (field, secret) in self.fields(line).into_iter().zip(&self.secret) {
            let Some(column) = secret else { continue };
            let quoted = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
            let (written, meant) = match quoted.filter(|_| self.csv) {
                Some(inner) => (inner, inner.replace("\"\"", "\"")),
                None if self.csv => (field, field.to_owned()),
                None => (field, unescaped(field)),
            };
            // The first line may repeat the names of the columns.
            let is_none = written.is_empty() || written == "\\N" || written.eq_ignore_ascii_case(column);
            if !is_none && !is_harmless(written) {
                found.push(written.to_owned());
                if meant != written {
                    found.push(meant);
                }
            }
        }
        found
    }

    fn fields<'d>(&self, line: &'d str) -> Vec<&'d str> {
        let (mut fields, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
        for (at, c) in line.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if !self.csv => escaped = true,
                '"' if self.csv => quoted = !quoted,
                c if c == self.delimiter && !quoted => {
                    fields.push(&line[start..at]);
                    start = at + c.len_utf8();
                }
                _ => {}
            }
        }
        fields.push(&line[start..]);
        fields
    }
}

/// The one character of a literal, `'|'` or `E'\t'`.
fn delimiter_of(literal: &str) -> Option<char> {
    let escapes = literal.starts_with(['e', 'E']);
    let inner = literal.trim_start_matches(['e', 'E']).trim_matches('\'');
    match inner.strip_prefix('\\').filter(|_| escapes) {
        Some("t") => Some('\t'),
        Some(inner) => inner.chars().next(),
        None => inner.chars().next(),
    }
}

/// A field of the text format without its backslashes, as far as these stand for the character behind them.
fn unescaped(field: &str) -> String {
    let mut meant = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => meant.extend(chars.next().map(|c| match c {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                other => other,
            })),
            c => meant.push(c),
        }
    }
    meant
}

fn secret(column: String) -> Option<String> {
    names_a_secret(&column).then_some(column)
}

fn has_secrets(secret: &Secret) -> bool {
    secret.iter().any(Option::is_some)
}

/// What stands behind INSERT INTO or COPY.
struct Target {
    schema: Option<String>,
    name: String,
    /// What goes into each of the columns that are listed; none where there is no list.
    listed: Option<Secret>,
}

impl Target {
    /// Reads to the end of the list, or of the name where there is none.
    fn read(tokens: &mut Tokens<'_>) -> Option<Self> {
        let is_name = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::QuotedIdentifier);
        let mut parts = vec![tokens.next().filter(is_name)?.name()];
        let mut ahead = tokens.clone();
        while ahead.next().is_some_and(|token| token.kind == Kind::Dot) {
            parts.push(ahead.next().filter(is_name)?.name());
            *tokens = ahead.clone();
        }
        let mut ahead = tokens.clone();
        if ahead.next().is_some_and(|token| token.is("as")) {
            ahead.next();
            *tokens = ahead;
        }
        let name = parts.pop()?;
        Some(Self { schema: parts.pop(), name, listed: list(tokens) })
    }
}

/// The columns between parentheses; a query may stand there too.
fn list(tokens: &mut Tokens<'_>) -> Option<Secret> {
    let mut ahead = tokens.clone();
    ahead.next().filter(|token| token.kind == Kind::Open)?;
    let inside = ahead.clone().next()?;
    let query = ["select", "values", "with", "table"].iter().any(|word| inside.is(word));
    if query || inside.kind == Kind::Open {
        return None;
    }
    *tokens = ahead;
    let mut columns = vec![None];
    for token in tokens.by_ref() {
        match token.kind {
            Kind::Close => return Some(columns),
            Kind::Comma => columns.push(None),
            Kind::Word | Kind::QuotedIdentifier => {
                if let (Some(last), Some(name)) = (columns.last_mut(), secret(token.name())) {
                    *last = Some(name);
                }
            }
            _ => {}
        }
    }
    None
}

/// Goes through the rows of VALUES or the list of a SELECT, to the end of the statement.
fn values(tokens: &mut Tokens<'_>, columns: &Secret, found: &mut Vec<Range<usize>>) {
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
            Kind::String if depth >= outer && columns.get(column).is_some_and(Option::is_some) => {
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

    fn known(schema: Option<&str>, name: &str) -> Option<Vec<TableColumn>> {
        let column = |name: &str, generated| TableColumn { name: name.to_owned(), generated };
        (schema.is_none_or(|schema| schema == "app") && name == "users")
            .then(|| vec![column("name", false), column("initial", true), column("api_key", false)])
    }

    #[track_caller]
    fn copied(copy: &str, line: &str, expected: &[&str]) {
        let found = CopiedSecrets::of(copy, &known).map(|copied| copied.in_line(line)).unwrap_or_default();
        assert_eq!(found, expected, "{copy}: {line}");
    }

    #[test]
    fn fields_of_secret_columns() {
        let listed = "COPY app.users (name, \"password\") FROM STDIN";
        copied(listed, "bob\ts1\textra", &["s1"]);
        copied(listed, "bo\\\tb\ts\\\\1", &["s\\\\1", "s\\1"]);
        copied(listed, "bob\t\\N", &[]);
        copied("copy u (pwd, n) from stdin (format csv)", "\"s1\",2", &["s1"]);
        copied(
            "COPY u (n, pwd) FROM stdin WITH (FORMAT 'csv', HEADER)",
            "\"a,\n\"\"b\",\"s\"\"1\"",
            &["s\"\"1", "s\"1"],
        );
        copied("COPY u (n, pwd) FROM stdin (FORMAT csv, HEADER)", "n,PWD", &[]);
        copied("COPY u (n, pwd) FROM stdin (DELIMITER '|')", "a\tb|s1", &["s1"]);
        copied("COPY u (n, pwd) FROM stdin DELIMITER AS E'\\t' CSV", "a,b\ts1", &["s1"]);
        copied("COPY password FROM STDIN", "s1", &[]);
        copied("COPY users (name) FROM STDIN (FORMAT csv)", "s1", &[]);
        // The columns of the table, but for computed ones.
        copied("COPY users FROM STDIN", "bob\ts1", &["s1"]);
        copied("COPY app.\"users\" FROM STDIN (FORMAT csv)", "bob,s1", &["s1"]);
        copied("COPY other.users FROM STDIN", "bob\ts1", &[]);
    }

    #[test]
    fn literals_for_columns_of_a_known_table() {
        let check = |sql: &str, expected: &[&str]| {
            let found: Vec<&str> =
                secret_values_of_known(sql, &known).into_iter().map(|span| &sql[span]).collect();
            assert_eq!(found, expected, "{sql}");
        };
        check("INSERT INTO users VALUES ('bob', DEFAULT, 's1'), ('eve', DEFAULT, E's2')", &["'s1'", "E's2'"]);
        check("insert into app.users as u select 'a', 'b', 's' from x", &["'s'"]);
        check("INSERT INTO users (name) VALUES ('a', 'b', 'c')", &[]);
        check("INSERT INTO users OVERRIDING SYSTEM VALUE VALUES ('a', 'b', 's')", &["'s'"]);
        check("INSERT INTO users (VALUES ('a', 'b', 's'))", &["'s'"]);
        check("INSERT INTO unknown VALUES ('a', 'b', 'c')", &[]);
        check("INSERT INTO users DEFAULT VALUES", &[]);
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
        check("INSERT INTO u (password) VALUES (1), ('never closed", &["'never closed"]);
    }
}
