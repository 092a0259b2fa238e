//! `fails`: a statement is refused with a SQLSTATE. Keys: `sql`; `sqlstate`, one or a list; `setup`, statements that
//! are run before it. Everything is rolled back. Deferred constraints are checked at once after the statement.

use super::scalar::{setup_failed, with_setup};
use super::{Check, Input};
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measured, Measuring, Mode, rolled_back, rows_text};
use crate::verify::{failure_text, statements};

#[derive(Debug)]
struct Fails {
    setup: Vec<String>,
    sql: String,
    sqlstates: Vec<String>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    let setup = statements::take_all(table, "setup");
    let sql = statements::require_one(table, "sql");
    if !table.has("sqlstate") {
        table.missing("sqlstate");
    }
    let mut sqlstates = Vec::new();
    for state in table.take_strings("sqlstate") {
        let text = state.get_ref();
        let right =
            text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        if !right {
            table.report(
                &state.span(),
                format!("{text:?} is no SQLSTATE: five digits or capital letters, e.g. 23505"),
                None,
            );
        }
        sqlstates.push(state.into_inner());
    }
    Box::new(Fails { setup, sql, sqlstates })
}

/// The measurement itself was kept from its end: a timeout or cancel, a lock, a deadlock, a lack of privileges.
pub(super) const NOT_THE_STATEMENT: [&str; 5] = ["57014", "55P03", "40P01", "40001", "42501"];

impl Check for Fails {
    fn describe(&self) -> (String, String) {
        (with_setup(&self.setup, &self.sql), format!("refused with {}", self.sqlstates.join(" or ")))
    }

    fn writes(&self) -> bool {
        true
    }

    fn in_psql(&self) -> Option<InPsql> {
        let Self { setup, sql, sqlstates } = self;
        Some(InPsql::Refused { setup: setup.clone(), sql: sql.clone(), sqlstates: sqlstates.clone() })
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let after = ["SET CONSTRAINTS ALL IMMEDIATE"];
            let outcome =
                rolled_back(ctx.session, ctx.limits, Mode::Write, &self.setup, &self.sql, &after).await?;
            if let Some((statement, failure)) = outcome.setup {
                return Ok(vec![setup_failed(&statement, &failure_text(&failure))]);
            }
            let answer = match outcome.result {
                Ok(done) => {
                    let rows = if done.columns.is_empty() {
                        String::new()
                    } else {
                        format!(", {}", rows_text(&done))
                    };
                    Measured::wrong(format!("it was accepted: {}{rows}", done.tag()))
                }
                Err(failure) => {
                    let Some(code) = failure.code() else { return Err(failure.into()) };
                    let text = failure_text(&failure);
                    if self.sqlstates.iter().any(|state| state == code) {
                        Measured::holds(text)
                    } else if NOT_THE_STATEMENT.contains(&code) {
                        Measured::unknown(text)
                    } else {
                        Measured::wrong(text)
                    }
                }
            };
            Ok(vec![answer])
        })
    }
}
