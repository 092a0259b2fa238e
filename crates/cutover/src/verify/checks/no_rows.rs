//! `no_rows`: a query returns no rows. Keys: `sql`, or `file` (relative to the project) with one statement.

use super::{Check, Input};
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measured, Measuring, read as read_rows, rows_text};
use crate::verify::preview::Reads;
use crate::verify::statements;

#[derive(Debug)]
struct NoRows {
    sql: String,
}

pub(super) fn of(sql: String) -> Box<dyn Check> {
    Box::new(NoRows { sql })
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    let span = table.span_of("file");
    let Some(file) = table.take_string("file") else { return of(statements::require_one(table, "sql")) };
    if table.has("sql") {
        let span = table.span_of("sql");
        table.take_string("sql");
        table.report(&span, "either sql or file, not both", None);
        return of(String::new());
    }
    match read_file(input, &file) {
        Ok(text) => of(statements::one(input.table, &span, &text).unwrap_or_default()),
        Err(why) => {
            input.table.report(&span, why, None);
            of(String::new())
        }
    }
}

fn read_file(input: &Input<'_>, file: &str) -> Result<String, String> {
    let path = input.project.root.join(file);
    let real = path.canonicalize().map_err(|error| format!("cannot read {file}: {error}"))?;
    if !real.starts_with(&input.project.root) {
        return Err(format!("{file} is outside the project"));
    }
    std::fs::read_to_string(real).map_err(|error| format!("cannot read {file}: {error}"))
}

impl Check for NoRows {
    fn describe(&self) -> (String, String) {
        (self.sql.clone(), "no rows".to_owned())
    }

    fn reads(&self) -> Reads {
        Reads::of(&self.sql)
    }

    fn in_psql(&self) -> Option<InPsql> {
        Some(InPsql::NoRows(self.sql.clone()))
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let done = read_rows(ctx.session, ctx.limits, &self.sql).await?;
            if done.columns.is_empty() && done.tag().split(' ').next() != Some("SELECT") {
                return Ok(vec![Measured::unknown(format!(
                    "this is no query: the server answered {}",
                    done.tag()
                ))]);
            }
            let found = rows_text(&done);
            let none = done.rows.is_empty() && done.rows_dropped == 0;
            Ok(vec![if none { Measured::holds(found) } else { Measured::wrong(found) }])
        })
    }
}
