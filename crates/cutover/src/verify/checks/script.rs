//! `script`: the statements of a file succeed. Made by the tool itself, of scripts with which a migration's own tool
//! verifies it; everything is rolled back, and an error says that what the migration made is not there.

use super::Check;
use super::fails::NOT_THE_STATEMENT;
use crate::verify::failure_text;
use crate::verify::measure::{Ctx, Measured, Measuring, Mode, bounded, rolled_back};

#[derive(Debug)]
struct Script {
    path: String,
    /// Statements with the lines they begin in.
    statements: Vec<(u32, String)>,
}

pub(super) fn of(path: &str, statements: Vec<(u32, String)>) -> Box<dyn Check> {
    Box::new(Script { path: path.to_owned(), statements })
}

impl Check for Script {
    fn describe(&self) -> (String, String) {
        (self.path.clone(), "no error".to_owned())
    }

    fn writes(&self) -> bool {
        true
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let Some(((_, last), before)) = self.statements.split_last() else {
                return Ok(vec![Measured::unknown("the script has no statements")]);
            };
            let setup: Vec<String> = before.iter().map(|(_, text)| text.clone()).collect();
            let outcome = rolled_back(ctx.session, ctx.limits, Mode::Write, &setup, last, &[]).await?;
            let failed = match (outcome.setup, outcome.result) {
                (Some((statement, failure)), _) => Some((statement, failure)),
                (None, Err(failure)) => Some((last.clone(), failure)),
                (None, Ok(_)) => None,
            };
            let Some((statement, failure)) = failed else {
                return Ok(vec![Measured::holds("no error")]);
            };
            let Some(code) = failure.code() else { return Err(failure.into()) };
            let line =
                self.statements.iter().find(|(_, text)| *text == statement).map_or(1, |(line, _)| *line);
            let said = format!(
                "{}:{line}: {}; at: {}",
                self.path,
                failure_text(&failure),
                bounded(statement.trim(), 120)
            );
            let kept_from_it = NOT_THE_STATEMENT.contains(&code);
            Ok(vec![if kept_from_it { Measured::unknown(said) } else { Measured::wrong(said) }])
        })
    }
}
