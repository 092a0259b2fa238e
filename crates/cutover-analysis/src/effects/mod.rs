//! What a statement does: objects, rules about transactions, session state.
//!
//! From the text alone: names are not resolved and no server is asked, so a function or type without a schema may
//! be PostgreSQL's own. One file a family of statements; `statement` is the one list of them.

mod alter_table;
mod beyond;
mod bodies;
mod builder;
mod chosen;
mod code;
mod context;
mod contract;
mod data;
mod destroys;
mod display;
mod fence;
mod foreign_keys;
pub mod implied;
mod lock_mode;
mod locks;
mod maintenance;
mod model;
pub(crate) mod names;
mod objects;
mod place;
mod reach;
mod relations;
mod renamed;
mod routines;
mod server;
mod server_wide;
mod session;
mod signature;
mod types;
mod unparsed;
pub(crate) mod walk;

use pg_query::NodeEnum;

pub use beyond::beyond;
pub use code::{Code, Kept, kept};
pub(crate) use context::is_ordinary;
pub use context::{
    CheckConstraint, Column, Context, DataType, Event, Follow, ForeignKey, Index, Name, Reaction, Relation,
};
pub use contract::{Call, Contract, Guards, Key, Passage, Raised, Returned, Shape, Unknown, Write, contract};
pub(crate) use data::is_harmless;
pub use destroys::{Destroys, destroys};
pub use fence::{Fenced, fenced};
pub use foreign_keys::{NewForeignKey, new_foreign_keys};
pub use lock_mode::LockMode;
pub use model::{
    Check, Control, Effects, Lock, ObjectKind, ObjectRef, Reference, Refusal, Reindexed, Retry, Setting,
    TEMPORARY_SCHEMA, Taking, TransactionRule, Work, WorkKind,
};
pub use reach::reaches_beyond;
pub use renamed::renamed_values;
pub use server_wide::{ServerWide, server_wide};
pub use signature::{RoutineAct, RoutineName, RoutineStatement, routine_statements};

pub(crate) use bodies::{Part, each_part as each_part_of_block, ends_transaction, made_at_run_time};
pub(crate) use locks::{Volatility, volatility, volatility_where};
pub(crate) use maintenance::is_set as is_option_set;
pub(crate) use names::from_text as name_in_text;
pub use place::place_of;
pub use smol_str::SmolStr;

use crate::sql::{ParseError, Parsed, SyntaxError, parse};
use builder::Builder;

/// What the statement does, if nothing is known of what it finds. If the text has several, what they do together.
pub fn effects(parsed: &Parsed) -> Effects {
    effects_in(parsed, &Context::EMPTY)
}

/// What the statement does to a database of which this is known. If the text has several statements, each finds what is
/// known before the first.
pub fn effects_in(parsed: &Parsed, known: &Context) -> Effects {
    placed(parsed, by_itself(parsed), known)
}

/// What one statement of several does to a database of which this is known.
pub(crate) fn effects_of(node: &NodeEnum, known: &Context) -> Effects {
    let mut builder = Builder::default();
    statement(node, &mut builder);
    locks::add(node, known, &mut builder);
    chosen::of_partitions(node, known, &mut builder);
    Effects { statements: 1, ..builder.finish() }
}

/// Whether an expression takes something from rows: columns, or a query.
pub fn reads_rows(expression: &str) -> bool {
    let Ok(parsed) = parse(&format!("SELECT ({expression}\n)")) else { return false };
    let is_query = expression.to_ascii_lowercase().contains("select");
    is_query || parsed.statements().any(|node| !walk::columns(node).is_empty())
}

/// What each statement of the blocks (`DO`) in a text does to a database of which this is known, as far as their text says it.
pub fn effects_in_blocks(sql: &str, known: &Context) -> Vec<Effects> {
    let mut all = Vec::new();
    let Ok(parsed) = parse(sql) else { return all };
    for node in parsed.statements() {
        if let NodeEnum::DoStmt(block) = node {
            // What is put together at run time is in no text.
            let _ = bodies::each_statement(block, &mut |node| all.push(effects_of(node, known)));
        }
    }
    all
}

/// What statements do whatever they find.
fn by_itself(parsed: &Parsed) -> Builder {
    let mut builder = Builder::default();
    for node in parsed.statements() {
        statement(node, &mut builder);
    }
    builder
}

/// With what depends on what they find.
fn placed(parsed: &Parsed, mut builder: Builder, known: &Context) -> Effects {
    for node in parsed.statements() {
        locks::add(node, known, &mut builder);
        chosen::of_partitions(node, known, &mut builder);
    }
    Effects { statements: parsed.statement_count(), ..builder.finish() }
}

/// What the text of a statement says by itself, whatever is known of the database: most of the work, which any thread
/// can do ahead of whoever knows what the statements before it left behind.
#[derive(Debug)]
pub struct Prepared(Kind);

#[derive(Debug)]
enum Kind {
    Tree(Parsed, Box<Builder>),
    /// No tree can be built.
    Keywords(Box<Effects>),
    Wrong(SyntaxError),
}

/// What is left of a [`Prepared`] statement. It is large, and in many pieces: best given back to the thread that made it.
#[derive(Debug)]
pub struct Spent(Option<Parsed>);

impl Spent {
    /// The tree, where there was one.
    pub(crate) fn parsed(&self) -> Option<&Parsed> {
        self.0.as_ref()
    }
}

impl Prepared {
    /// Reads the statement `sql`.
    pub fn of(sql: &str) -> Self {
        Self(match parse(sql) {
            Ok(parsed) => {
                let builder = by_itself(&parsed);
                Kind::Tree(parsed, Box::new(builder))
            }
            Err(ParseError::Syntax(error)) => Kind::Wrong(error),
            Err(ParseError::NotAnalysable(reason)) => {
                Kind::Keywords(Box::new(unparsed::effects(sql, reason)))
            }
        })
    }

    /// Lets somebody look at the tree of the statement and at what it does to a database of which this is known. Where there is
    /// no tree, nobody looks.
    ///
    /// # Errors
    /// Only for text that a server would refuse too.
    pub(crate) fn look(
        self,
        known: &Context,
        look: impl FnOnce(&Parsed, &Effects),
    ) -> Result<Spent, SyntaxError> {
        match self.0 {
            Kind::Tree(parsed, builder) => {
                let effects = placed(&parsed, *builder, known);
                look(&parsed, &effects);
                Ok(Spent(Some(parsed)))
            }
            Kind::Keywords(_) => Ok(Spent(None)),
            Kind::Wrong(error) => Err(error),
        }
    }

    /// What the statement does to a database of which this is known; what it leaves behind is known from then on.
    ///
    /// # Errors
    /// Only for text that a server would refuse too.
    pub fn effects(self, known: &mut Context) -> Result<(Effects, Spent), SyntaxError> {
        match self.0 {
            Kind::Tree(parsed, builder) => {
                let effects = placed(&parsed, *builder, known);
                known.learn(&parsed);
                Ok((effects, Spent(Some(parsed))))
            }
            Kind::Keywords(effects) => Ok((*effects, Spent(None))),
            Kind::Wrong(error) => Err(error),
        }
    }
}

/// What the statement `sql` does. Where no tree can be built ([`ParseError::NotAnalysable`]), as much as its keywords
/// say, with the reason in [`Effects::opaque`].
///
/// # Errors
/// Only for text that a server would refuse too.
pub fn effects_of_text(sql: &str) -> Result<Effects, SyntaxError> {
    effects_and_after(sql, &mut Context::default())
}

/// What the statement `sql` does to a database of which this is known, as [`effects_of_text`] says; what it leaves behind
/// is known from then on.
///
/// # Errors
/// Only for text that a server would refuse too.
pub fn effects_and_after(sql: &str, known: &mut Context) -> Result<Effects, SyntaxError> {
    Ok(Prepared::of(sql).effects(known)?.0)
}

/// Adds what one statement does.
fn statement(node: &NodeEnum, to: &mut Builder) {
    let known = relations::add(node, to)
        || alter_table::add(node, to)
        || objects::add(node, to)
        || routines::add(node, to)
        || types::add(node, to)
        || data::add(node, to)
        || maintenance::add(node, to)
        || server::add(node, to)
        || session::add(node, to);
    if !known {
        to.opaque("a statement whose effects are not known");
        to.session_state();
    }
}
