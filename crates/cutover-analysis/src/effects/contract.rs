//! What callers of a function are told of it beside its signature: the errors that its body raises, what it calls, reads and
//! writes, and what is in the JSON that it returns. What its text does not say is said to be unknown.

mod shape;
#[cfg(test)]
mod tests;

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, Node};

use super::walk;
use super::{Context, Event, ObjectRef, bodies, effects_of};
use crate::sql::conditions;
use crate::sql::flow::{Block, Flow, Handler, Raise, Step, plpgsql_flow};
use crate::sql::{Piece, parse};

pub use shape::{Key, Returned, Shape};

/// What a body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contract {
    /// Errors that it raises itself.
    pub raises: Vec<Raised>,
    /// Functions and procedures that it calls, with those of PostgreSQL.
    pub calls: Vec<Call>,
    /// Relations that it reads.
    pub reads: Vec<ObjectRef>,
    /// Relations whose rows it writes.
    pub writes: Vec<Write>,
    /// Objects that it makes, changes or drops.
    pub changes: Vec<ObjectRef>,
    /// What it returns, of one that returns JSON: each `RETURN`.
    pub returns: Vec<Returned>,
    /// What of it is not known.
    pub unknown: Vec<Unknown>,
}

/// An error that is raised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raised {
    /// What raises it: `RAISE`, `ASSERT`, `CASE without ELSE` or `INTO STRICT`.
    pub by: &'static str,
    /// Its SQLSTATE; none where that is found out when it is raised.
    pub code: Option<String>,
    /// The expression of the SQLSTATE, where that is found out when it is raised.
    pub code_from: Option<String>,
    /// Its message, in which `%` is a value.
    pub message: Option<String>,
    /// The expression of the message, where that is found out when it is raised.
    pub message_from: Option<String>,
    /// Its hint, where that is a constant.
    pub hint: Option<String>,
    /// The handlers around.
    pub guards: Guards,
}

/// A call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Schema, where the text names it, and name.
    pub routine: Option<ObjectRef>,
    /// With how many arguments.
    pub arguments: usize,
    /// The handlers around.
    pub guards: Guards,
}

/// Rows that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The relation.
    pub relation: ObjectRef,
    /// What is done to its rows; none where it is emptied, or that is not known.
    pub event: Option<Event>,
    /// The handlers around.
    pub guards: Guards,
}

/// Something that is not known of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// In words.
    pub why: String,
    /// The handlers around: what catches everything makes its errors known again.
    pub guards: Guards,
}

/// Blocks that catch errors around a place, the innermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards(Vec<Vec<Handler>>);

/// What becomes of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passage {
    /// Nothing catches it.
    Leaves,
    /// It is caught, and perhaps raised again; or its SQLSTATE is not known, and it may be one that is caught.
    Perhaps,
    /// It is caught.
    Caught,
}

impl Guards {
    /// What becomes of an error with this SQLSTATE, or with one that is not known.
    pub fn passage(&self, code: Option<&str>) -> Passage {
        let mut passage = Passage::Leaves;
        for handlers in &self.0 {
            // The first that fits is the one.
            let fits = |handler: &&Handler| {
                let catches = |condition: &String| conditions::catches(condition, code.unwrap_or_default());
                handler.conditions.iter().any(catches)
            };
            match handlers.iter().find(fits) {
                // With a code that is not known, another one may have been it.
                Some(handler)
                    if !handler.again && (code.is_some() || !handlers.iter().any(|one| one.again)) =>
                {
                    return Passage::Caught;
                }
                Some(_) => passage = Passage::Perhaps,
                None if code.is_none() && !handlers.is_empty() => passage = Passage::Perhaps,
                None => {}
            }
        }
        passage
    }

    fn of(blocks: &[Block], within: Option<usize>) -> Self {
        let around = std::iter::successors(within, |at| blocks.get(*at)?.around);
        Self(around.filter_map(|at| Some(blocks.get(at)?.handlers.clone())).collect())
    }
}

/// What a function or procedure promises, by the statement that makes it, as `pg_get_functiondef` prints it.
pub fn contract(definition: &str) -> Contract {
    let mut contract = Contract::default();
    match parse(definition) {
        Ok(parsed) => match parsed.statements().next() {
            Some(NodeEnum::CreateFunctionStmt(create)) => contract.read(create),
            _ => contract.not_known("it is not made by CREATE FUNCTION", &Guards::default()),
        },
        Err(error) => contract.not_known(format!("its text cannot be analysed: {error}"), &Guards::default()),
    }
    contract
}

impl Contract {
    fn read(&mut self, create: &CreateFunctionStmt) {
        let is_json = shape::is_json(create);
        if let Some(body) = create.sql_body.as_deref() {
            self.atomic(body, is_json);
            return;
        }
        let body = bodies::text_of(&create.options, "as").unwrap_or_default();
        let none = Guards::default();
        match bodies::language(&create.options).as_deref() {
            Some("plpgsql" | "sql") if body.len() > bodies::LONGEST => {
                self.not_known(format!("a body of {} bytes is not looked into", body.len()), &none);
            }
            Some("plpgsql") => match plpgsql_flow(&bodies::head(create), body) {
                Ok(flow) => self.flow(flow, is_json),
                Err(error) => self.not_known(format!("its body cannot be analysed: {error}"), &none),
            },
            Some("sql") => match parse(body) {
                Ok(parsed) => {
                    parsed.statements().for_each(|node| self.statement(node, &none));
                    if is_json && let Some(last) = parsed.statements().last() {
                        self.returns.extend(shape::of_statement(last));
                    }
                }
                Err(error) => self.not_known(format!("its body cannot be analysed: {error}"), &none),
            },
            Some(other) => self.not_known(format!("a body in {other} is not looked into"), &none),
            None => self.not_known("its language is not said", &none),
        }
    }

    /// `RETURN …` and `BEGIN ATOMIC … END`, which is a list of lists.
    fn atomic(&mut self, body: &Node, is_json: bool) {
        let mut statements = Vec::new();
        flat(body, &mut statements);
        for node in &statements {
            self.statement(node, &Guards::default());
        }
        if is_json && let Some(last) = statements.last() {
            self.returns.extend(shape::of_statement(last));
        }
    }

    fn not_known(&mut self, why: impl Into<String>, guards: &Guards) {
        let unknown = Unknown { why: why.into(), guards: guards.clone() };
        if !self.unknown.contains(&unknown) {
            self.unknown.push(unknown);
        }
    }

    fn flow(&mut self, flow: Flow, is_json: bool) {
        for (step, within) in flow.steps {
            let guards = Guards::of(&flow.blocks, within);
            match step {
                Step::Sql(piece, text) => self.sql(piece, &text, &guards),
                Step::Raise(raise) => self.raise(raise, guards),
                Step::Return(Some(text)) if is_json => self.returns.extend(shape::of_expression(&text)),
                Step::Return(None) if is_json => self.returns.push(Returned::default()),
                Step::Return(_) => {}
            }
        }
    }

    fn sql(&mut self, piece: Piece, text: &str, guards: &Guards) {
        let Some(statement) = piece.as_statement(text) else { return };
        let parsed = match parse(&statement) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.not_known(format!("a part of its body cannot be analysed: {error}"), guards);
                return;
            }
        };
        parsed.statements().for_each(|node| self.statement(node, guards));
        if piece == Piece::Executed {
            let constant = walk::constant(&parsed);
            match constant.as_deref().map(parse) {
                Some(Ok(parsed)) => parsed.statements().for_each(|node| self.statement(node, guards)),
                _ => self.not_known(
                    format!("it runs a statement that it makes at run time: EXECUTE {}", text.trim()),
                    guards,
                ),
            }
        }
    }

    fn statement(&mut self, node: &NodeEnum, guards: &Guards) {
        let found = match node {
            NodeEnum::CallStmt(call) => walk::find(&call.funccall),
            node => walk::find(node),
        };
        for (routine, arguments) in found.called.into_iter().zip(found.arguments) {
            add(&mut self.calls, Call { routine: Some(routine), arguments, guards: guards.clone() });
        }
        if let NodeEnum::DoStmt(_) = node {
            self.not_known("it runs a DO block, which is not looked into", guards);
        }
        found.reads.into_iter().for_each(|relation| add(&mut self.reads, relation));
        let effects = effects_of(node, &Context::EMPTY);
        let emptied = effects.writes.into_iter().filter(|relation| !found.writes.contains(relation));
        let emptied: Vec<_> = emptied.map(|relation| (relation, None)).collect();
        let written = found.changes.into_iter().map(|change| (change.relation, Some(change.event)));
        for (relation, event) in written.chain(emptied) {
            add(&mut self.writes, Write { relation, event, guards: guards.clone() });
        }
        let changed = [effects.creates, effects.alters, effects.drops];
        changed.into_iter().flatten().for_each(|object| add(&mut self.changes, object));
    }

    fn raise(&mut self, raise: Raise, guards: Guards) {
        let mut raised = Raised { by: raise.by, guards, ..Raised::default() };
        let constant = |text: &String| {
            let parsed = parse(&format!("SELECT {text}")).ok()?;
            walk::constant(&parsed)
        };
        let condition = raise.code.as_ref().map_or(raise.condition.clone(), constant);
        match condition.as_deref().map(conditions::raised) {
            Some(Some(code)) => raised.code = Some(code.to_owned()),
            // A name that is none is refused when it is raised.
            Some(None) => raised.code = Some("42704".to_owned()),
            None if raise.code.is_some() => raised.code_from = raise.code,
            None => raised.code = Some("P0001".to_owned()),
        }
        raised.message = raise.message.as_ref().map_or(raise.format.clone(), constant);
        if raised.message.is_none() {
            raised.message_from = raise.message;
        }
        if raised.message.is_none() && raised.message_from.is_none() {
            raised.message = match raise.by {
                "RAISE" => raise.condition.or_else(|| raised.code.clone()),
                _ => None,
            };
        }
        raised.hint = raise.hint.as_ref().and_then(constant);
        add(&mut self.raises, raised);
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, one: T) {
    if !list.contains(&one) {
        list.push(one);
    }
}

/// The statements of nested lists.
fn flat<'a>(node: &'a Node, to: &mut Vec<&'a NodeEnum>) {
    match node.node.as_ref() {
        Some(NodeEnum::List(list)) => list.items.iter().for_each(|item| flat(item, to)),
        Some(node) => to.push(node),
        None => {}
    }
}
