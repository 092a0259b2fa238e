//! `unchanged`: tables hold exactly the rows they held before the run, by count and digest. Key: `tables`.
//!
//! Figures are taken by the apply before its first statement. Measured at any other time there is nothing to compare
//! with, and the check is skipped.

use super::empty::take_tables;
use super::{Check, Input};
use crate::catalog;
use crate::run::Verdict;
use crate::verify::measure::{Ctx, Measured, Measuring};

#[derive(Debug)]
struct Unchanged {
    tables: Vec<String>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    Box::new(Unchanged { tables: take_tables(input) })
}

impl Check for Unchanged {
    fn describe(&self) -> (String, String) {
        (format!("row count and digest of {}", self.tables.join(", ")), "as before the run".to_owned())
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let wider = ctx.wider()?;
            let before = &wider.request.figures;
            let (known, unknown): (Vec<&String>, Vec<&String>) =
                self.tables.iter().partition(|table| before.iter().any(|figure| figure.table == **table));
            let mut answers = Vec::new();
            if before.is_empty() {
                return Ok(vec![Measured::new(
                    Verdict::Skipped,
                    "nothing to compare with: a run takes figures of tables that are there before its first statement",
                )]);
            }
            for table in unknown {
                answers.push(
                    Measured::new(Verdict::Skipped, "it was not there before the run").of(table.as_str()),
                );
            }
            // One snapshot for all, so that rows moving between them cannot be missed.
            let names: Vec<String> = known.into_iter().cloned().collect();
            let now = catalog::digests(wider.options, &names).await?;
            for (table, now) in names.iter().zip(now) {
                let Some(was) = before.iter().find(|figure| figure.table == *table) else { continue };
                let text = |rows: u64, digest: &str| {
                    format!("{rows} {}, digest {digest}", if rows == 1 { "row" } else { "rows" })
                };
                let found = text(now.rows, &now.digest);
                let same = was.rows == now.rows && was.digest == now.digest;
                let answer = if same { Measured::holds(found) } else { Measured::wrong(found) };
                answers.push(answer.of(table.as_str()).expecting(text(was.rows, &was.digest)));
            }
            Ok(answers)
        })
    }

    fn tables_before(&self) -> &[String] {
        &self.tables
    }
}
