//! What must not be shown, and the one rule for it. Every excerpt of a statement, message of the server, event, report
//! and record in the journal goes through here:
//!
//! - **Passwords in SQL**: literals after PASSWORD and its like (`OPTIONS (password '…')`), `password=` in connection
//!   strings, URLs with one, keys given to functions of `pgcrypto`, credentials in headers of HTTP, what commands of COPY …
//!   PROGRAM are given — see [`cutover_analysis::sql::password_spans`]; values for columns that hold secrets, also where
//!   only the table says which these are ([`Secrets::learn_knowing`], [`Secrets::learn_copied`]).
//! - **Values of placeholders** that come from outside the project's files ([`Vars::insert_hidden`]: a flag, the
//!   environment), from [`SHORTEST`] characters on: shorter ones (`dev`, `eu`) hide nothing and would star words
//!   everywhere. Where a placeholder's *name* says that it is secret, its value is hidden wherever it comes from.
//!
//! - **Passwords that stand again** elsewhere in the file, or in what the server says of it, without their keyword: what
//!   the first rule finds in a file is looked for in everything shown or stored of that file and its run
//!   ([`Secrets::learn`]), up to [`MOST_LEARNED`] different ones.
//!
//! A value that is the name of an object (a schema, a table, a role) is no secret: the catalogue shows it to everybody.
//!
//! A hidden text becomes as many stars as it has characters, line ends stay: places and carets stay true. What is left
//! as it is on purpose is the applied file in the history, which has no placeholders filled in.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use cutover_analysis::sql::{
    CopiedSecrets, KnownColumns, may_show_passwords, names_a_secret, password_spans, passwords,
};
use cutover_postgres::session::{Failure, Session};

use crate::project::Vars;
use crate::run::{Blocker, CheckResult, EventKind};
use crate::script::Script;
use crate::text;

/// Shorter values of placeholders are hidden only where the placeholder's name says so: 6 characters.
pub const SHORTEST: usize = 6;
/// Shorter ones are not hidden at all, for every other word would be starred: 3 characters.
pub(crate) const SHORTEST_NAMED: usize = 3;
/// A text that was cut may end within a secret: this many characters of one at its end are hidden too.
const SHORTEST_CUT: usize = 4;

/// So many passwords of files are looked for where nothing says that they are ones: each text that is shown is searched
/// for each of them, and a file may set millions of them.
pub const MOST_LEARNED: usize = 1_000;

/// Values that are shown nowhere. Empty ones still hide the passwords in SQL.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// In lower case: an identifier may come back folded. Longest first.
    values: Vec<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

/// The text with the passwords in it as stars. For texts that no placeholder was filled into.
pub fn without_passwords(text: &str) -> String {
    Secrets::default().star(text)
}

/// A whole text with the passwords that it shows as stars wherever they stand in it: most show none, and stay as they are.
pub(crate) fn starred(text: &str) -> Cow<'_, str> {
    if !may_show_passwords(text) {
        return Cow::Borrowed(text);
    }
    let mut secrets = Secrets::default();
    secrets.learn(text);
    Cow::Owned(secrets.star(text))
}

/// Whether the value of a placeholder is to be hidden.
pub fn is_hidden(name: &str, value: &str, from_outside: bool) -> bool {
    let shortest = if names_a_secret(name) { SHORTEST_NAMED } else { SHORTEST };
    let length = value.chars().count();
    length >= shortest && (from_outside || names_a_secret(name))
}

impl Secrets {
    /// The values of placeholders that are to be hidden.
    pub fn of(vars: &Vars) -> Self {
        let mut values = BTreeSet::new();
        for (name, value) in vars.hidden() {
            values.insert(value.to_ascii_lowercase());
            // A value with a quote in it may end its literal: the server then speaks of its pieces.
            let pieces = value.split(|c: char| !c.is_alphanumeric() && c != '_');
            let long = pieces.filter(|piece| is_hidden(name, piece, true));
            values.extend(long.map(str::to_ascii_lowercase));
        }
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// Passwords that a text (a statement, a whole file) shows: from now on they are hidden wherever they stand.
    pub fn learn(&mut self, text: &str) {
        self.learn_knowing(text, &|_, _| None);
    }

    /// The same, with what is known of the tables that it fills without listing their columns.
    pub fn learn_knowing(&mut self, text: &str, known: &KnownColumns<'_>) {
        for password in passwords(text, known) {
            self.add(password.to_ascii_lowercase());
        }
    }

    /// What lines of COPY data put into columns that hold secrets.
    pub fn learn_copied(&mut self, copied: &CopiedSecrets, data: &[u8]) {
        for line in String::from_utf8_lossy(data).lines() {
            if self.values.len() >= MOST_LEARNED {
                return;
            }
            for field in copied.in_line(line).into_iter().filter(|field| field.len() >= SHORTEST_CUT) {
                self.add(field.to_ascii_lowercase());
            }
        }
    }

    /// Everything that is hidden there is hidden here too.
    pub fn learn_from(&mut self, other: &Self) {
        for value in &other.values {
            self.add(value.clone());
        }
    }

    fn add(&mut self, value: String) {
        if self.values.len() < MOST_LEARNED && !self.values.contains(&value) {
            let at = self.values.partition_point(|known| known.len() >= value.len());
            self.values.insert(at, value);
        }
    }

    /// Takes back what names objects.
    pub fn spare<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        if self.values.is_empty() {
            return;
        }
        let names: Vec<String> = names.into_iter().map(str::to_ascii_lowercase).collect();
        self.values.retain(|value| !names.iter().any(|name| name.contains(value.as_str())));
    }

    /// Takes back what names objects in scripts.
    pub fn spare_objects<'a>(&mut self, scripts: impl IntoIterator<Item = &'a Script>) {
        if self.values.is_empty() {
            return;
        }
        for script in scripts {
            let needs = script.needs.iter().map(|need| &need.object);
            let objects = script.creates.iter().chain(&script.alters).chain(&script.drops).chain(needs);
            let names = objects.flat_map(|object| {
                [Some(object.name.as_str()), object.schema.as_deref(), object.table.as_deref()]
            });
            self.spare(names.flatten());
        }
    }

    /// Takes back what names objects in the database: schemas, relations, roles, types, routines. Asks only where there
    /// is something to take back.
    ///
    /// # Errors
    /// As the server says.
    pub async fn spare_known(&mut self, session: &mut Session) -> Result<(), Failure> {
        if self.values.is_empty() {
            return Ok(());
        }
        let known = "SELECT v FROM pg_catalog.unnest($1::pg_catalog.text[]) AS v
             WHERE EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE pg_catalog.lower(nspname::pg_catalog.text) = v)
                OR EXISTS (SELECT FROM pg_catalog.pg_class WHERE pg_catalog.lower(relname::pg_catalog.text) = v)
                OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE pg_catalog.lower(rolname::pg_catalog.text) = v)
                OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE pg_catalog.lower(typname::pg_catalog.text) = v)
                OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pg_catalog.lower(proname::pg_catalog.text) = v)";
        let rows = session.query(known, &[&self.values]).await?;
        let known: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        self.values.retain(|value| !known.contains(value));
        Ok(())
    }

    /// The text with everything secret in it as stars.
    pub fn star(&self, text: &str) -> String {
        let spans = self.spans(text);
        if spans.is_empty() {
            return text.to_owned();
        }
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        for span in spans {
            // Spans of passwords and of values may overlap.
            let start = span.start.max(at);
            if start >= span.end {
                continue;
            }
            shown.push_str(&text[at..start]);
            shown.extend(
                text[start..span.end].chars().map(|c| if matches!(c, '\n' | '\r') { c } else { '*' }),
            );
            at = span.end;
        }
        shown.push_str(&text[at..]);
        shown
    }

    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = password_spans(text);
        if self.values.is_empty() {
            return spans;
        }
        // Lower case in ASCII alone keeps every offset.
        let lower = text.to_ascii_lowercase();
        for value in &self.values {
            spans.extend(lower.match_indices(value.as_str()).map(|(at, _)| at..at + value.len()));
            let ends = value.char_indices().map(|(end, _)| end).skip(SHORTEST_CUT);
            if let Some(end) = ends.filter(|end| lower.ends_with(&value[..*end])).last() {
                spans.push(lower.len() - end..lower.len());
            }
        }
        spans.sort_by_key(|span| (span.start, span.end));
        spans
    }

    /// As [`star`](Self::star), in place.
    pub fn star_in(&self, text: &mut String) {
        if !self.spans(text).is_empty() {
            *text = self.star(text);
        }
    }

    /// As [`text::locate`], with the line as it may be shown. The whole statement counts: the line alone does not say that
    /// what it holds is a password.
    pub fn locate(&self, statement: &str, offset: usize, line: u32, column: u32) -> (u32, u32, String) {
        let (at_line, at_column, source_line) = text::locate(statement, offset, line, column);
        let starred = self.star(statement);
        let number = usize::try_from(at_line.saturating_sub(line)).unwrap_or(0);
        let Some(shown) = starred.split('\n').nth(number) else {
            return (at_line, at_column, self.star(&source_line));
        };
        // What stands before the statement on its first line is not known: blanks keep the caret in place.
        let padding = source_line.chars().count().saturating_sub(shown.chars().count());
        (at_line, at_column, format!("{}{shown}", " ".repeat(padding)))
    }

    /// Stars what an event holds of statements, messages and queries. Names of objects and paths stay.
    pub fn star_event(&self, kind: &mut EventKind) {
        match kind {
            EventKind::Notice { message, .. } => self.star_in(message),
            EventKind::StepFailed { message, state, .. } => {
                self.star_in(message);
                self.star_in(state);
            }
            EventKind::LockWaiting { blockers, .. } => {
                for blocker in blockers {
                    self.star_blocker(blocker);
                }
            }
            EventKind::CheckDone(result) => self.star_answer(result),
            _ => {}
        }
    }

    /// Stars the query of a session in the way.
    pub fn star_blocker(&self, blocker: &mut Blocker) {
        self.star_in(&mut blocker.query);
    }

    /// Stars the answer of a check.
    pub fn star_answer(&self, result: &mut CheckResult) {
        for text in [&mut result.name, &mut result.measured, &mut result.expected, &mut result.found] {
            self.star_in(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[(&str, &str)]) -> Secrets {
        let mut vars = Vars::new();
        for (name, value) in values {
            vars.insert_hidden(*name, *value).unwrap();
        }
        Secrets::of(&vars)
    }

    #[test]
    fn values_from_outside_are_starred_wherever_they_stand() {
        let secrets = secrets(&[("a", "Hunter2x")]);
        assert_eq!(secrets.star("INSERT 'Hunter2x', hunter2x"), "INSERT '********', ********");
        assert_eq!(secrets.star("cut: Hunter"), "cut: ******");
        assert_eq!(secrets.star("cut: Hun"), "cut: Hun");
    }

    #[test]
    fn short_values_hide_nothing_unless_their_name_says_so() {
        assert_eq!(secrets(&[("env", "prod")]).star("in production"), "in production");
        assert_eq!(secrets(&[("db_password", "abc")]).star("'abc'"), "'***'");
        assert_eq!(secrets(&[("db_password", "a")]).star("a b"), "a b");
    }

    #[test]
    fn a_password_of_a_file_is_starred_wherever_it_stands_again() {
        let mut secrets = Secrets::default();
        secrets.learn("CREATE ROLE a PASSWORD 'Hunter2x'");
        assert_eq!(
            secrets.star("COMMENT ON ROLE a IS 'has hunter2x'"),
            "COMMENT ON ROLE a IS 'has ********'"
        );
        let mut more = Secrets::default();
        more.learn("ALTER ROLE a PASSWORD 'tenant'");
        more.learn_from(&secrets);
        more.spare(["tenant_a"]);
        assert_eq!(more.star("tenant_a Hunter2x"), "tenant_a ********");
    }

    #[test]
    fn values_of_the_file_are_hidden_only_by_name() {
        let mut vars = Vars::new();
        vars.insert("region", "frankfurt").unwrap();
        vars.insert("admin_password", "in-the-file").unwrap();
        assert_eq!(Secrets::of(&vars).star("frankfurt in-the-file"), "frankfurt ***********");
    }

    #[test]
    fn a_value_that_breaks_out_of_its_literal_is_hidden_in_pieces() {
        let secrets = secrets(&[("a", "it's-topsecret")]);
        assert_eq!(
            secrets.star("syntax error at or near \"topsecret\""),
            "syntax error at or near \"*********\""
        );
    }

    #[test]
    fn names_of_objects_are_no_secrets() {
        let mut secrets = secrets(&[("schema", "tenant_a"), ("key", "abcdef123")]);
        secrets.spare(["Tenant_A", "users"]);
        assert_eq!(secrets.star("tenant_a.users abcdef123"), "tenant_a.users *********");
    }

    #[test]
    fn a_line_of_a_statement_knows_what_stands_before_it() {
        let statement = "CREATE ROLE a PASSWORD\n  'S3cret' BOGUS";
        let offset = statement.find("BOGUS").unwrap();
        let (line, column, shown) = Secrets::default().locate(statement, offset, 4, 3);
        assert_eq!((line, column, shown.as_str()), (5, 12, "  '******' BOGUS"));
        let (line, column, shown) = Secrets::default().locate("ALTER USER a PASSWORD 'é3' X", 28, 1, 5);
        assert_eq!((line, column, shown.as_str()), (1, 32, "    ALTER USER a PASSWORD '**' X"));
    }

    #[test]
    fn places_stay_where_they_are() {
        let cases = [
            ("url = \"postgres://u:S3@CRET@h:1/db\" # x", "url = \"postgres://u:*******@h:1/db\" # x"),
            ("url = \"host=h password=S3 user=u\"", "url = \"host=h password=** user=u\""),
            ("a = \"postgres://h/db?password=abc&x=1\"", "a = \"postgres://h/db?password=***&x=1\""),
            ("PASSWORD = \"abc\"", "PASSWORD = \"***\""),
            ("postgres://host/db", "postgres://host/db"),
            ("postgres://u@host:5432/db", "postgres://u@host:5432/db"),
        ];
        for (text, shown) in cases {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
