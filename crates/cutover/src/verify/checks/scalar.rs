//! `scalar`: a query returns one row with one value, compared as text. Keys: `sql`; `equals`, or `null = true` where
//! NULL is expected; `setup`, statements that are run before it and rolled back.

use super::{Check, Input};
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measured, Measuring, Mode, bounded, rolled_back, rows_text, value_text};
use crate::verify::preview::Reads;
use crate::verify::{failure_text, statements};

#[derive(Debug)]
struct Scalar {
    setup: Vec<String>,
    sql: String,
    /// `None` is NULL.
    equals: Option<String>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    let setup = statements::take_all(table, "setup");
    let sql = statements::require_one(table, "sql");
    let given = table.has("equals");
    let equals = table.take_scalar("equals");
    match (given, table.take_bool("null").unwrap_or(false)) {
        (true, true) => {
            let span = table.span_of("null");
            table.report(&span, "either equals or null, not both", None);
        }
        (false, false) => table.missing("equals, or null = true"),
        _ => {}
    }
    Box::new(Scalar { setup, sql, equals })
}

impl Check for Scalar {
    fn describe(&self) -> (String, String) {
        (with_setup(&self.setup, &self.sql), value_text(self.equals.as_deref()))
    }

    fn reads(&self) -> Reads {
        Reads::of(&self.sql)
    }

    fn writes(&self) -> bool {
        !self.setup.is_empty()
    }

    fn in_psql(&self) -> Option<InPsql> {
        let Self { setup, sql, equals } = self;
        Some(InPsql::Scalar { setup: setup.clone(), sql: sql.clone(), equals: equals.clone() })
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let mode = if self.setup.is_empty() { Mode::Read } else { Mode::Write };
            let outcome = rolled_back(ctx.session, ctx.limits, mode, &self.setup, &self.sql, &[]).await?;
            if let Some((statement, failure)) = outcome.setup {
                return Ok(vec![setup_failed(&statement, &failure_text(&failure))]);
            }
            let done = outcome.result?;
            let [row] = done.rows.as_slice() else {
                return Ok(vec![Measured::unknown(format!(
                    "one row is expected, found {}",
                    rows_text(&done)
                ))]);
            };
            let [value] = row.as_slice() else {
                return Ok(vec![Measured::unknown(format!("one column is expected, found {}", row.len()))]);
            };
            let found = value_text(value.as_deref());
            Ok(vec![if *value == self.equals { Measured::holds(found) } else { Measured::wrong(found) }])
        })
    }
}

/// A setup and the statement after it, as one text.
pub(super) fn with_setup(setup: &[String], sql: &str) -> String {
    let mut text = String::new();
    for statement in setup {
        text.push_str(statement);
        text.push_str(";\n");
    }
    text + sql
}

/// The answer where the setup failed: nothing is known of the statement itself.
pub(super) fn setup_failed(statement: &str, why: &str) -> Measured {
    Measured::unknown(format!("the setup failed: {why}; at: {}", bounded(statement.trim(), 120)))
}
