//! `empty`: tables of a database made by this run hold no rows. Key: `tables`.

use cutover_analysis::sql::quote_literal;

use super::{Check, Input};
use crate::verify::measure::{Ctx, Measured, Measuring, Trouble, read as read_rows};

#[derive(Debug)]
struct Empty {
    tables: Vec<String>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    Box::new(Empty { tables: take_tables(input) })
}

/// Takes the names of tables, at least one.
pub(super) fn take_tables(input: &mut Input<'_>) -> Vec<String> {
    let table = &mut *input.table;
    let present = table.has("tables");
    let tables: Vec<String> =
        table.take_strings("tables").into_iter().map(toml::Spanned::into_inner).collect();
    if !present || tables.is_empty() {
        table.missing("tables");
    }
    tables
}

/// The table a name means on this session, as SQL that means the same everywhere.
pub(super) async fn qualified(ctx: &mut Ctx<'_>, table: &str) -> Result<String, Trouble> {
    let sql = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass({})",
        quote_literal(table)
    );
    let done = read_rows(ctx.session, ctx.limits, &sql).await?;
    done.scalar().map(str::to_owned).ok_or_else(|| Trouble(format!("there is no table {table}")))
}

impl Check for Empty {
    fn describe(&self) -> (String, String) {
        (format!("rows of {}", self.tables.join(", ")), "no rows".to_owned())
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let mut filled = Vec::new();
            for table in &self.tables {
                let name = qualified(ctx, table).await?;
                let done = read_rows(ctx.session, ctx.limits, &format!("SELECT EXISTS (SELECT FROM {name})"))
                    .await?;
                if done.scalar() != Some("f") {
                    filled.push(table.as_str());
                }
            }
            let answer = if filled.is_empty() {
                Measured::holds("no rows")
            } else {
                Measured::wrong(format!("rows in {}", filled.join(", ")))
            };
            Ok(vec![answer])
        })
    }
}
