//! SQL text: splitting a file into statements, PostgreSQL's own parser, quoting, where passwords stand.
//!
//! The only user of `pg_query`. Everything here is about text; what a statement does is for `effects`.

mod arguments;
mod columns;
pub(crate) mod conditions;
mod depth;
mod directive;
mod ffi;
pub(crate) mod flow;
mod headers;
mod index_text;
mod item;
mod keywords;
pub(crate) mod lexer;
mod parse;
mod passwords;
mod plpgsql;
pub(crate) mod progress;
mod psql;
mod quote;
mod routine;
mod splitter;
pub(crate) mod tokens;

pub use columns::{CopiedSecrets, KnownColumns, TableColumn};
pub use conditions::condition_name;
pub use directive::DIRECTIVES;
pub use index_text::index_definition;
pub use item::{Directive, Item, Place, Span, SplitError, Statement, Unterminated};
pub use parse::{LONGEST_ANALYSED, ParseError, Parsed, SyntaxError, parse};
pub use passwords::{may_show_passwords, names_a_secret, password_spans, passwords};
pub(crate) use plpgsql::{Branch, Declared, Piece, declared_types, plpgsql_body};
pub use psql::without_psql_variables;
pub use quote::{identifier_list, quote_ident, quote_literal, quote_qualified};
pub use routine::{RoutineBody, routine_body};
pub use splitter::Splitter;
pub use tokens::{with_database, without_comments};
