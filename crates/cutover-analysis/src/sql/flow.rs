//! What a PL/pgSQL body raises, what it catches, and what it returns.

use serde_json::{Map, Value};

use super::plpgsql::{Piece, executed, piece, with_tree};

/// `ERROR`, as the library numbers levels: what is below only speaks.
const ERROR: i64 = 21;

/// What happens in a body, each with the block whose handlers catch its errors.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) steps: Vec<(Step, Option<usize>)>,
    pub(crate) blocks: Vec<Block>,
}

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Step {
    /// SQL is run.
    Sql(Piece, String),
    /// An error is raised.
    Raise(Raise),
    /// A value is returned: an expression, or none where it is a variable's.
    Return(Option<String>),
}

/// An error that is raised; texts of `code`, `message` and `hint` are expressions.
#[derive(Debug, Default)]
pub(crate) struct Raise {
    /// The statement that raises it.
    pub(crate) by: &'static str,
    /// The condition, where it is said by its name or SQLSTATE.
    pub(crate) condition: Option<String>,
    /// `USING ERRCODE`
    pub(crate) code: Option<String>,
    /// The format, in which each `%` is a value.
    pub(crate) format: Option<String>,
    /// `USING MESSAGE`, or the message of `ASSERT`.
    pub(crate) message: Option<String>,
    /// `USING HINT`
    pub(crate) hint: Option<String>,
}

/// A block that catches errors.
#[derive(Debug)]
pub(crate) struct Block {
    /// The block around it that catches errors too.
    pub(crate) around: Option<usize>,
    pub(crate) handlers: Vec<Handler>,
}

/// `WHEN condition OR condition THEN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handler {
    pub(crate) conditions: Vec<String>,
    /// It may raise again what it has caught.
    pub(crate) again: bool,
}

/// Finds what happens in a body. `head` is all of `CREATE FUNCTION` before `AS`, with PostgreSQL's own types only.
///
/// # Errors
/// Why it cannot be found, in words.
pub(crate) fn plpgsql_flow(head: &str, body: &str) -> Result<Flow, String> {
    with_tree(head, body, |tree| {
        let mut reading = Reading::default();
        reading.read("", tree);
        reading.flow
    })
}

#[derive(Default)]
struct Reading {
    flow: Flow,
    /// The block whose handlers catch what comes.
    within: Option<usize>,
    /// For each handler that what comes is in, whether it raises again.
    again: Vec<bool>,
}

impl Reading {
    fn read(&mut self, kind: &str, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.read("", item)),
            Value::Object(fields) => self.fields(kind, fields),
            _ => {}
        }
    }

    fn fields(&mut self, kind: &str, fields: &Map<String, Value>) {
        if kind == "PLpgSQL_stmt_block" && fields.contains_key("exceptions") {
            self.catching(fields);
            return;
        }
        self.itself(kind, fields);
        for (key, inner) in fields {
            if let Some(text) = executed(key, inner).and_then(Value::as_str) {
                self.step(Step::Sql(Piece::Executed, text.to_owned()));
            }
            self.read(key, inner);
        }
    }

    /// What a node is by itself.
    fn itself(&mut self, kind: &str, fields: &Map<String, Value>) {
        if let Some((piece, text)) = piece(fields) {
            self.step(Step::Sql(piece, text));
        }
        let built_in =
            |by, condition: &str| Raise { by, condition: Some(condition.to_owned()), ..Raise::default() };
        match kind {
            "PLpgSQL_stmt_raise" => self.raise(fields),
            "PLpgSQL_stmt_assert" => {
                let message = fields.get("message").and_then(expression);
                self.step(Step::Raise(Raise { message, ..built_in("ASSERT", "assert_failure") }));
            }
            "PLpgSQL_stmt_case" if !fields.contains_key("have_else") => {
                self.step(Step::Raise(built_in("CASE without ELSE", "case_not_found")));
            }
            "PLpgSQL_stmt_execsql" | "PLpgSQL_stmt_dynexecute" if fields.contains_key("strict") => {
                for condition in ["no_data_found", "too_many_rows"] {
                    self.step(Step::Raise(built_in("INTO STRICT", condition)));
                }
            }
            "PLpgSQL_stmt_return" => {
                self.step(Step::Return(fields.get("expr").and_then(expression)));
            }
            _ => {}
        }
    }

    fn step(&mut self, step: Step) {
        self.flow.steps.push((step, self.within));
    }

    /// A block with handlers: they catch what its body raises, and not what they raise themselves.
    fn catching(&mut self, fields: &Map<String, Value>) {
        let around = self.within;
        let block = self.flow.blocks.len();
        self.flow.blocks.push(Block { around, handlers: Vec::new() });
        self.within = Some(block);
        if let Some(body) = fields.get("body") {
            self.read("", body);
        }
        self.within = around;
        let list = &fields["exceptions"]["PLpgSQL_exception_block"]["exc_list"];
        for handler in list.as_array().into_iter().flatten() {
            let handler = &handler["PLpgSQL_exception"];
            self.again.push(false);
            self.read("", &handler["action"]);
            let again = self.again.pop().unwrap_or_default();
            let conditions = handler["conditions"].as_array().into_iter().flatten();
            let name = |one: &Value| Some(one["PLpgSQL_condition"]["condname"].as_str()?.to_owned());
            let handler = Handler { conditions: conditions.filter_map(name).collect(), again };
            if let Some(block) = self.flow.blocks.get_mut(block) {
                block.handlers.push(handler);
            }
        }
    }

    fn raise(&mut self, fields: &Map<String, Value>) {
        if fields.get("elog_level").and_then(Value::as_i64).is_some_and(|level| level < ERROR) {
            return;
        }
        let text = |key: &str| Some(fields.get(key)?.as_str()?.to_owned());
        let option = |number: i64| {
            let options = fields.get("options").and_then(Value::as_array).into_iter().flatten();
            let mut options = options.map(|option| &option["PLpgSQL_raise_option"]);
            // The library leaves out what is 0.
            options
                .find(|option| option["opt_type"].as_i64().unwrap_or(0) == number)
                .and_then(|option| expression(&option["expr"]))
        };
        let mut raise = Raise {
            by: "RAISE",
            condition: text("condname"),
            code: option(0),
            format: text("message"),
            message: option(1),
            hint: option(3),
        };
        let says_nothing = raise.condition.is_none()
            && raise.code.is_none()
            && raise.format.is_none()
            && raise.message.is_none();
        let is_caught_one =
            raise.code.as_deref().is_some_and(|code| code.trim().eq_ignore_ascii_case("sqlstate"));
        match self.again.last_mut() {
            Some(again) if says_nothing || is_caught_one => *again = true,
            _ => {
                if says_nothing {
                    raise.condition = Some("stacked_diagnostics_accessed_without_active_handler".to_owned());
                }
                self.step(Step::Raise(raise));
            }
        }
    }
}

/// The text of an expression.
fn expression(value: &Value) -> Option<String> {
    Some(value["PLpgSQL_expr"]["query"].as_str()?.to_owned())
}
