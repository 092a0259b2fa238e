//! Python as far as models are written in it: classes, assignments, calls and values, each with its line. Read with tree-sitter's
//! grammar, and never run.

mod expression;
mod module;

pub(crate) use expression::{Argument, Expression, keyword, positional};
pub(crate) use module::{Class, Function, Module, Statement, expression, parse};
