//! `columns`: a table has so many columns, or these and no others. Keys: `table`; `count`, `names` (in their order), or
//! both.

use cutover_analysis::sql::quote_literal;

use super::{Check, Input};
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measured, Measuring, read as read_rows};

#[derive(Debug)]
struct Columns {
    table: String,
    count: Option<usize>,
    names: Vec<String>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    let of = table.take_string("table").unwrap_or_else(|| {
        table.missing("table");
        String::new()
    });
    let count = table.take_integer("count").map(|count| {
        usize::try_from(count).unwrap_or_else(|_| {
            let span = table.span_of("count");
            table.report(&span, "a number of columns cannot be negative", None);
            0
        })
    });
    let names: Vec<String> = table.take_strings("names").into_iter().map(toml::Spanned::into_inner).collect();
    if count.is_none() && names.is_empty() {
        table.missing("count");
    }
    Box::new(Columns { table: of, count, names })
}

fn columns(names: &[String]) -> String {
    let number = names.len();
    let word = if number == 1 { "column" } else { "columns" };
    format!("{number} {word}: {}", names.join(", "))
}

impl Check for Columns {
    fn describe(&self) -> (String, String) {
        let expected = match (self.count, self.names.as_slice()) {
            (Some(1), []) => "1 column".to_owned(),
            (Some(count), []) => format!("{count} columns"),
            (_, names) => columns(names),
        };
        (format!("columns of {}", self.table), expected)
    }

    fn in_psql(&self) -> Option<InPsql> {
        let Self { table, count, names } = self;
        Some(InPsql::Columns { table: table.clone(), count: *count, names: names.clone() })
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let sql = format!(
                "SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass({})
                    AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
                quote_literal(&self.table)
            );
            let done = read_rows(ctx.session, ctx.limits, &sql).await?;
            let found: Vec<String> =
                done.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
            if found.is_empty() {
                super::empty::qualified(ctx, &self.table).await?;
            }
            let counted = self.count.is_none_or(|count| count == found.len());
            let named = self.names.is_empty() || self.names == found;
            let text = columns(&found);
            Ok(vec![if counted && named { Measured::holds(text) } else { Measured::wrong(text) }])
        })
    }
}
