//! One statement through PostgreSQL's own grammar.

use std::ffi::CString;

use pg_query::NodeEnum;
use pg_query::protobuf::ParseResult;
use prost::Message;

use super::{depth, ffi};

/// A longer text gets no tree: a tree takes about a hundred bytes a byte of text.
pub const LONGEST_ANALYSED: usize = 1024 * 1024;

/// The deepest tree that is decoded, in nested messages (an operator makes two). What recurses over a tree stays
/// well within the 2 MiB stack of a thread.
const DEEPEST: usize = 1_000;

/// A tree up to this depth is decoded on the caller's stack.
const SHALLOW: usize = 100;

/// Enough stack to decode the deepest tree in an unoptimised build.
const DECODING_STACK: usize = 32 * 1024 * 1024;

/// What PostgreSQL's parser says about wrong SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// PostgreSQL's message.
    pub message: String,
    /// Where, in bytes from the beginning of the text given.
    pub offset: usize,
}

/// Why there is no tree for a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is wrong: a server would refuse it too.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The text may be right, but is too long or too deeply nested to be analysed. Never a reason to stop a user.
    #[error("cannot be analysed: {0}")]
    NotAnalysable(String),
}

/// The tree of SQL text.
#[derive(Debug, Clone)]
pub struct Parsed {
    tree: ParseResult,
}

impl Parsed {
    /// How many statements the text has; 0 if it has only comments.
    pub fn statement_count(&self) -> usize {
        self.tree.stmts.len()
    }

    pub(crate) fn statements(&self) -> impl Iterator<Item = &NodeEnum> {
        self.tree.stmts.iter().filter_map(|raw| raw.stmt.as_ref()?.node.as_ref())
    }
}

/// Parses SQL text (usually one statement) with PostgreSQL 18's grammar.
///
/// # Errors
/// [`ParseError::Syntax`] where a server would refuse the text, [`ParseError::NotAnalysable`] for text beyond the
/// limits of the analysis.
pub fn parse(sql: &str) -> Result<Parsed, ParseError> {
    let text = CString::new(sql).map_err(|error| SyntaxError {
        message: "a NUL character cannot be part of SQL text".to_owned(),
        offset: error.nul_position(),
    })?;
    if sql.len() > LONGEST_ANALYSED {
        let reason = format!("the statement has {} bytes, more than {LONGEST_ANALYSED}", sql.len());
        return Err(ParseError::NotAnalysable(reason));
    }
    let tree = ffi::parse(&text, decode).map_err(|error| refused(sql, error))??;
    Ok(Parsed { tree })
}

fn refused(sql: &str, error: ffi::RawError) -> ParseError {
    if error.cursor == 0 && is_limit(&error) {
        return ParseError::NotAnalysable(limit_in_words(error.message));
    }
    let offset = byte_offset(sql, error.cursor);
    ParseError::Syntax(SyntaxError { message: error.message, offset })
}

/// What a limit of the library means to whoever wrote the statement.
fn limit_in_words(message: String) -> String {
    if message.contains("nested too deeply") || message.contains("stack depth") {
        "its expressions are nested too deeply (a long chain of operators counts as one level each)"
            .to_owned()
    } else {
        message
    }
}

/// The library's own limits; what a server says about the text has a position.
fn is_limit(error: &ffi::RawError) -> bool {
    error.function == "check_stack_depth" || error.function.starts_with("pg_query_")
}

/// `cursor` is in characters from 1; without one the error is put at the beginning.
fn byte_offset(sql: &str, cursor: usize) -> usize {
    let Some(characters) = cursor.checked_sub(1) else {
        return 0;
    };
    sql.char_indices().nth(characters).map_or(sql.len(), |(offset, _)| offset)
}

fn decode(bytes: &[u8]) -> Result<ParseResult, ParseError> {
    let nesting = depth::nesting(bytes);
    if nesting > DEEPEST {
        let reason = format!("its expressions are nested {nesting} levels deep, more than {DEEPEST}");
        return Err(ParseError::NotAnalysable(reason));
    }
    let decoded = if nesting <= SHALLOW {
        ParseResult::decode(bytes).map_err(|error| error.to_string())
    } else {
        decode_on_large_stack(bytes)
    };
    decoded.map_err(ParseError::NotAnalysable)
}

fn decode_on_large_stack(bytes: &[u8]) -> Result<ParseResult, String> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(DECODING_STACK)
            .spawn_scoped(scope, || ParseResult::decode(bytes).map_err(|error| error.to_string()))
            .map_err(|error| error.to_string())?
            .join()
            .map_err(|_| "the tree cannot be decoded".to_owned())?
    })
}
