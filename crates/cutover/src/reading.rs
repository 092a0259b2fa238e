//! The terms under which a server reads our texts: how it tells where strings, and so statements, end. A text was cut into
//! statements under these terms; code that ran since (a trigger, a function) may have changed them in the session. Under
//! other terms a string could end somewhere else and what stands in it become statements of its own, a COMMIT among
//! them. So whoever sends a text that can be read in two ways behind somebody's code sets the terms first, in a message
//! of its own: the server reads a message before it runs any of it.
//!
//! That keeps a text from becoming several. What a text of a file means is not ours to restore: code that bends the terms
//! and leaves them so has the rest of its file read otherwise than it stands there. The server reports both of them as
//! soon as they change, so that the run can stop ([`Reported`]).

use cutover_analysis::sql::without_comments;
use cutover_postgres::session::StatementOutcome;

use crate::text::visible;

/// Sets the terms for the rest of the transaction.
pub(crate) const TERMS: &str =
    "SET LOCAL standard_conforming_strings = on; SET LOCAL client_encoding = 'UTF8'";

/// Whether there are terms under which the text is several statements. That takes a semicolon, and a backslash: only
/// that one is an escape or not, or the second byte of a character in some encodings.
pub(crate) fn is_ambiguous(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr(b'\\', bytes).is_some() && memchr::memchr(b';', bytes).is_some()
}

/// Whether the text reads otherwise under another encoding of the client's.
pub(crate) fn depends_on_encoding(text: &str) -> bool {
    !text.is_ascii()
}

/// Whether there are terms under which the server reads the text otherwise.
pub(crate) fn depends_on_terms(text: &str) -> bool {
    depends_on_encoding(text) || depends_on_strings(text)
}

/// Whether a backslash may be an escape or not.
fn depends_on_strings(text: &str) -> bool {
    memchr::memchr(b'\\', text.as_bytes()).is_some()
}

/// Statements that run no code of anybody's, where no event trigger does: told by their first words, after which nothing
/// in them is run. All others may bend the terms.
pub(crate) fn is_quiet(text: &str) -> bool {
    const QUIET: [&str; 14] = [
        "COMMENT ON ",
        "CREATE FUNCTION ",
        "CREATE OR REPLACE FUNCTION ",
        "CREATE OR REPLACE PROCEDURE ",
        "CREATE OR REPLACE VIEW ",
        "CREATE PROCEDURE ",
        "CREATE SEQUENCE ",
        "CREATE TRIGGER ",
        "CREATE TYPE ",
        "CREATE VIEW ",
        "GRANT ",
        "REVOKE ",
        "SET LOCAL ",
        "SET SEARCH_PATH ",
    ];
    let start =
        without_comments(text, 64).split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    QUIET.iter().any(|words| start.starts_with(words))
}

/// Whether these texts can be sent at once, one after the other: none of them can bend the terms, or none that follows depends
/// on them.
pub(crate) fn may_go_together<'t>(texts: impl IntoIterator<Item = &'t str>) -> bool {
    let mut may_be_bent = false;
    texts.into_iter().all(|text| {
        let is_read_alike = !may_be_bent || !depends_on_terms(text);
        may_be_bent |= !is_quiet(text);
        is_read_alike
    })
}

/// The terms as the session of a run or a replay begins with them.
const GIVEN: [(&str, &str); 2] = [(STRINGS, "on"), (ENCODING, "UTF8")];
const STRINGS: &str = "standard_conforming_strings";
const ENCODING: &str = "client_encoding";

/// Settings to begin a session with that is to run texts of files; the encoding is every session's.
pub(crate) fn given() -> (String, String) {
    (STRINGS.to_owned(), "on".to_owned())
}

/// A term that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bent {
    /// The setting.
    pub(crate) name: &'static str,
    /// What it is now.
    pub(crate) value: String,
    /// Number of the statement that ran when it changed.
    pub(crate) by: usize,
}

impl Bent {
    /// Why nothing is run behind it.
    pub(crate) fn because(&self) -> String {
        let Self { name, value, .. } = self;
        let value = visible(value);
        format!(
            "code that this statement runs has set {name} to {value} and left it so; the server would read what follows \
             otherwise than it is written"
        )
    }
}

/// What the server has reported of the terms since they were as they should be.
#[derive(Debug, Default)]
pub(crate) struct Reported(Vec<Bent>);

impl Reported {
    /// Takes note of what changed while statement `by` ran.
    pub(crate) fn take(&mut self, by: usize, parameters: &[(String, String)]) {
        for (name, given) in GIVEN {
            let Some((_, value)) = parameters.iter().find(|(changed, _)| changed == name) else { continue };
            self.0.retain(|bent| bent.name != name);
            if value != given {
                self.0.push(Bent { name, value: value.clone(), by });
            }
        }
    }

    /// What would have the server read this text otherwise than it stands there.
    pub(crate) fn misreads(&self, text: &str) -> Option<&Bent> {
        self.0.iter().find(|bent| match bent.name {
            ENCODING => depends_on_encoding(text),
            _ => depends_on_strings(text),
        })
    }

    /// The same for a COPY from the client, whose data is not known yet: its strings are its own, the encoding is not.
    pub(crate) fn misreads_copy(&self, text: &str) -> Option<&Bent> {
        self.0.iter().find(|bent| bent.name == ENCODING).or_else(|| self.misreads(text))
    }
}

/// Texts for one flush, with [`TERMS`] in front of those that need them.
#[derive(Default)]
pub(crate) struct Flush<'t> {
    texts: Vec<&'t str>,
    /// Which of them are the caller's.
    given: Vec<bool>,
}

impl<'t> Flush<'t> {
    /// Adds a text, behind the terms where it `needs` them.
    pub(crate) fn push(&mut self, text: &'t str, needs: bool) {
        if needs {
            self.texts.push(TERMS);
            self.given.push(false);
        }
        self.texts.push(text);
        self.given.push(true);
    }

    /// What is to be sent.
    pub(crate) fn texts(&self) -> &[&'t str] {
        &self.texts
    }

    /// The outcomes of the caller's texts. Where the terms could not be set, the transaction has failed or the connection
    /// is gone, and the text behind them says so.
    pub(crate) fn outcomes(&self, outcomes: Vec<StatementOutcome>) -> Vec<StatementOutcome> {
        let mut given = self.given.iter();
        outcomes.into_iter().filter(|_| given.next().copied().unwrap_or(true)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_several_statements_is_ambiguous() {
        assert!(is_ambiguous("INSERT INTO t VALUES ('\\', '); COMMIT; --')"));
        assert!(!is_ambiguous("INSERT INTO t VALUES ('\\', 'a')"));
        assert!(!is_ambiguous("DO $$ BEGIN NULL; END $$"));
    }

    fn report(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn a_term_is_bent_until_it_is_set_back_and_for_what_it_changes_alone() {
        let mut reported = Reported::default();
        reported.take(0, &report("TimeZone", "UTC"));
        assert_eq!(reported.misreads("'\\ö'"), None);
        reported.take(1, &report("client_encoding", "LATIN1"));
        reported.take(2, &report("standard_conforming_strings", "on"));
        assert_eq!(reported.misreads("'\\'"), None);
        assert_eq!(reported.misreads("'ö'").map(|bent| (bent.by, bent.value.as_str())), Some((1, "LATIN1")));
        assert!(reported.misreads_copy("COPY t FROM STDIN").is_some());
        reported.take(3, &report("client_encoding", "UTF8"));
        assert_eq!(reported.misreads("'ö'"), None);
        reported.take(4, &report("standard_conforming_strings", "off"));
        assert_eq!(reported.misreads("'ö'"), None);
        assert_eq!(reported.misreads("'\\'").map(|bent| bent.by), Some(4));
        assert_eq!(reported.misreads_copy("COPY t FROM STDIN"), None);
    }

    #[test]
    fn what_could_be_misread_behind_code_does_not_go_with_it() {
        assert!(may_go_together(["SELECT f()", "SELECT 1"]));
        assert!(may_go_together(["COMMENT ON TABLE t IS 'ö'", "SELECT f('ö')"]));
        assert!(!may_go_together(["SELECT f()", "COMMENT ON TABLE t IS 'ö'"]));
        assert!(!may_go_together(["DO $$ $$", "SELECT '\\'"]));
    }

    #[test]
    fn what_may_run_code_is_not_quiet() {
        for quiet in
            ["comment on table t is 'ö'", "CREATE  OR\nREPLACE FUNCTION f() …", "/* x */ GRANT ALL ON t TO a"]
        {
            assert!(is_quiet(quiet), "{quiet}");
        }
        for other in [
            "SELECT f()",
            "DO $$ $$",
            "CREATE TABLE a AS SELECT f()",
            "SET client_encoding = x",
            "INSERT INTO t",
        ] {
            assert!(!is_quiet(other), "{other}");
        }
    }

    #[test]
    fn terms_stand_in_front_of_what_needs_them() {
        let mut flush = Flush::default();
        flush.push("a", false);
        flush.push("b", true);
        assert_eq!(flush.texts(), ["a", TERMS, "b"]);
        assert_eq!(flush.given, [true, false, true]);
    }
}
