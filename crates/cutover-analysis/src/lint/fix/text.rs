//! Places in a statement's text, by its tokens.

use super::Edit;
use crate::lint::site::Site;
use crate::sql::lexer::Kind;
use crate::sql::tokens::{Token, Tokens};

/// Tokens of a statement, each with how many parentheses are open around it.
pub(super) struct Words<'a> {
    tokens: Vec<(Token<'a>, usize)>,
}

impl<'a> Words<'a> {
    pub(super) fn of(site: &'a Site<'_>) -> Self {
        Self::from(&site.statement.text, 0)
    }

    /// Those from a byte on; nothing before it counts as open.
    pub(super) fn from(text: &'a str, start: usize) -> Self {
        let mut open = 0_usize;
        let mut tokens = Vec::new();
        for token in Tokens::new(text).filter(|token| token.at >= start) {
            if token.kind == Kind::Close {
                open = open.saturating_sub(1);
            }
            tokens.push((token, open));
            if token.kind == Kind::Open {
                open += 1;
            }
        }
        Self { tokens }
    }

    fn outside(&self) -> impl Iterator<Item = (usize, &Token<'a>)> {
        self.tokens.iter().enumerate().filter(|(_, (_, open))| *open == 0).map(|(at, (token, _))| (at, token))
    }

    /// The place among the tokens of the first of these words that stands outside parentheses, from a place on.
    pub(super) fn find(&self, words: &[&str], from: usize) -> Option<usize> {
        let mut outside = self.outside().filter(|(at, _)| *at >= from);
        outside.find(|(_, token)| words.iter().any(|word| token.is(word))).map(|(at, _)| at)
    }

    pub(super) fn get(&self, place: usize) -> Option<&Token<'a>> {
        self.tokens.get(place).map(|(token, _)| token)
    }

    /// Whether the token at a place is this word.
    pub(super) fn is(&self, place: usize, word: &str) -> bool {
        self.get(place).is_some_and(|token| token.is(word))
    }

    /// The byte at which the token of a place begins.
    pub(super) fn start(&self, place: usize) -> Option<usize> {
        self.get(place).map(|token| token.at)
    }

    /// The byte behind the token of a place.
    pub(super) fn end(&self, place: usize) -> Option<usize> {
        self.get(place).map(|token| token.at + token.text.len())
    }

    /// The byte behind the last token.
    pub(super) fn last(&self) -> Option<usize> {
        self.end(self.tokens.len().checked_sub(1)?)
    }

    /// The place behind a name that may have a schema before it.
    pub(super) fn behind_name(&self, mut place: usize) -> usize {
        while self.get(place + 1).is_some_and(|token| token.kind == Kind::Dot) {
            place += 2;
        }
        place + 1
    }

    /// The place behind a list in parentheses, if one begins here.
    pub(super) fn behind_list(&self, place: usize) -> Option<usize> {
        let (token, open) = self.tokens.get(place)?;
        if token.kind != Kind::Open {
            return None;
        }
        let closes = |(token, at): &&(Token<'_>, usize)| token.kind == Kind::Close && at == open;
        let length = self.tokens.iter().skip(place).take_while(|pair| !closes(pair)).count();
        Some(place + length + 1)
    }

    /// The byte behind the element of a list outside parentheses that begins at the first token: before the comma, or at the end.
    pub(super) fn end_of_element(&self) -> Option<usize> {
        let comma = self.outside().find(|(_, token)| token.kind == Kind::Comma).map(|(at, _)| at);
        match comma {
            Some(at) => self.end(at.checked_sub(1)?),
            None => self.last(),
        }
    }
}

/// The word CONCURRENTLY, behind the token of a place.
pub(super) fn concurrently(words: &Words<'_>, place: Option<usize>) -> Result<Edit, String> {
    let at = place.and_then(|place| words.end(place)).ok_or_else(not_found)?;
    Ok(Edit { at: at..at, text: " CONCURRENTLY".to_owned() })
}

/// The statement is not written as it was expected to be.
pub(super) fn not_found() -> String {
    "the place in the text was not found".to_owned()
}

/// Whether running a statement asks for the time or number of its transaction, as far as its text says: in another transaction it gets
/// another one. What is only kept for later, as a default or in a function, asks for nothing.
pub fn asks_for_its_transaction(sql: &str) -> bool {
    const VALUES: [&str; 5] =
        ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME"];
    const CALLS: [&str; 4] = ["NOW", "TRANSACTION_TIMESTAMP", "TXID_CURRENT", "PG_CURRENT_XACT_ID"];
    let tokens: Vec<Token<'_>> = Tokens::new(sql).collect();
    let has = |word: &str| tokens.iter().any(|token| token.is(word));
    let runs = match tokens.first() {
        Some(first) if first.is("CREATE") => has("SELECT") && (has("TABLE") || has("MATERIALIZED")),
        Some(first) if first.is("ALTER") => has("ADD") || has("USING"),
        Some(first) => !first.is("COMMENT"),
        None => false,
    };
    let opens = |at: usize| tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Open);
    let asks = |(at, token): (usize, &Token<'_>)| {
        VALUES.iter().any(|word| token.is(word)) || CALLS.iter().any(|word| token.is(word)) && opens(at)
    };
    // What a block says is one token.
    let is_block = tokens.first().is_some_and(|first| first.is("DO"));
    let said_inside = || {
        let text = sql.to_ascii_uppercase();
        VALUES.iter().any(|word| text.contains(word))
            || CALLS.iter().any(|word| text.contains(&format!("{word}(")))
    };
    runs && (tokens.iter().enumerate().any(asks) || is_block && said_inside())
}

#[cfg(test)]
mod tests {
    use super::asks_for_its_transaction;

    #[test]
    fn what_asks_for_its_transaction() {
        for sql in [
            "INSERT INTO a SELECT now()",
            "UPDATE a SET t = current_timestamp",
            "ALTER TABLE a ADD t date DEFAULT CURRENT_DATE",
            "DO $$ BEGIN INSERT INTO a VALUES (now()); END $$",
            "CREATE TABLE b AS SELECT /* */ pg_catalog.now ()",
        ] {
            assert!(asks_for_its_transaction(sql), "{sql}");
        }
        for sql in [
            "CREATE TABLE a (t date DEFAULT now())",
            "ALTER TABLE a ALTER t SET DEFAULT now()",
            "CREATE FUNCTION f() RETURNS date LANGUAGE sql AS 'SELECT now()'",
            "SELECT now FROM a",
            "INSERT INTO a VALUES ('now()')",
            "COMMENT ON TABLE a IS 'now()'",
        ] {
            assert!(!asks_for_its_transaction(sql), "{sql}");
        }
    }
}
