//! The terms under which a server reads our texts: how it tells where strings, and so statements, end. A text was cut into
//! statements under these terms; code that ran since (a trigger, a function) may have changed them in the session. Under
//! other terms a string could end somewhere else and what stands in it become statements of its own, a COMMIT among
//! them. So whoever sends a text that can be read in two ways behind somebody's code sets the terms first, in a message
//! of its own: the server reads a message before it runs any of it.

use cutover_postgres::session::StatementOutcome;

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

    #[test]
    fn terms_stand_in_front_of_what_needs_them() {
        let mut flush = Flush::default();
        flush.push("a", false);
        flush.push("b", true);
        assert_eq!(flush.texts(), ["a", TERMS, "b"]);
        assert_eq!(flush.given, [true, false, true]);
    }
}
