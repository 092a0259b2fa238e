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
