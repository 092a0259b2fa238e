//! `foreign_keys`: every foreign key is validated and no row refers to nothing. Keys: `schemas` or `tables` (of the
//! referring side); without either the schemas of the search path.
//!
//! Orphans are looked for even where the catalogue says a key is validated: a restore, a disabled trigger or
//! `session_replication_role` can leave some behind. The first of their keys are named; values of columns whose names say
//! that they are secret are stars.

use cutover_analysis::sql::{names_a_secret, quote_ident, quote_literal};
use cutover_postgres::Row;
use cutover_postgres::session::Failure;

use super::{Check, Input};
use crate::report::format::count;
use crate::text::visible;
use crate::verify::claim::Claim;
use crate::verify::failure_text;
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measured, Measuring, Trouble, read as read_rows, value_text};
use crate::verify::preview::Reads;

#[derive(Debug)]
struct ForeignKeys {
    schemas: Vec<String>,
    tables: Vec<String>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    let mut take =
        |key: &str| table.take_strings(key).into_iter().map(toml::Spanned::into_inner).collect::<Vec<_>>();
    let (schemas, tables) = (take("schemas"), take("tables"));
    if !schemas.is_empty() && !tables.is_empty() {
        let span = table.span_of("tables");
        table.report(&span, "either schemas or tables, not both", None);
    }
    Box::new(ForeignKeys { schemas, tables })
}

/// A foreign key and the query that finds its orphans.
struct Key {
    name: String,
    validated: bool,
    /// `None` for keys over periods, whose rule is no equality.
    orphans: Option<Orphans>,
}

/// The queries that find the orphans of a key.
struct Orphans {
    /// Counts them.
    count: String,
    /// Gives the first [`NAMED`] of their keys, each once.
    keys: String,
    /// The columns of a key.
    columns: Vec<String>,
}

/// How many keys without a referenced row are named.
const NAMED: usize = 3;

impl ForeignKeys {
    /// A condition on the constraint `k`.
    fn filter(&self) -> String {
        let list = |values: &[String]| {
            values.iter().map(|value| quote_literal(value)).collect::<Vec<_>>().join(", ")
        };
        if !self.tables.is_empty() {
            return format!(
                "k.conrelid IN (SELECT pg_catalog.to_regclass(t)::oid FROM unnest(ARRAY[{}]::text[]) t)",
                list(&self.tables)
            );
        }
        if !self.schemas.is_empty() {
            return format!(
                "k.connamespace IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY (ARRAY[{}]::text[]))",
                list(&self.schemas)
            );
        }
        "k.connamespace IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY (pg_catalog.current_schemas(false)))".to_owned()
    }

    /// Schemas and tables that are named and do not exist: nothing would be measured of them.
    async fn unknown_names(&self, ctx: &mut Ctx<'_>) -> Result<Vec<String>, Trouble> {
        let mut unknown = Vec::new();
        for (names, function) in [(&self.tables, "to_regclass"), (&self.schemas, "to_regnamespace")] {
            for name in names {
                // A schema is named as it is stored, a table as SQL spells it.
                let spelled = if function == "to_regclass" { name.clone() } else { quote_ident(name) };
                let sql = format!("SELECT pg_catalog.{function}({}) IS NOT NULL", quote_literal(&spelled));
                if read_rows(ctx.session, ctx.limits, &sql).await?.scalar() != Some("t") {
                    unknown.push(name.clone());
                }
            }
        }
        Ok(unknown)
    }

    async fn keys(&self, ctx: &mut Ctx<'_>) -> Result<Vec<Key>, Trouble> {
        let sql = LIST.replace("{filter}", &self.filter());
        let rows = ctx.session.query(&sql, &[]).await?;
        let key = |row: &Row| {
            let (child, parent): (String, String) = (row.get(0), row.get(4));
            let name: String = row.get(1);
            let (columns, referenced, operators): (Vec<String>, Vec<String>, Vec<String>) =
                (row.get(8), row.get(9), row.get(10));
            let pairs: Vec<Pair> = columns
                .iter()
                .zip(&referenced)
                .zip(&operators)
                .map(|((column, referenced), operator)| Pair {
                    column: format!("c.{}", quote_ident(column)),
                    referenced: format!("r.{}", quote_ident(referenced)),
                    operator: operator.clone(),
                })
                .collect();
            // Rows of a partitioned table are in its partitions; those of tables that inherit are not bound by the key.
            let only = |table: &str, partitioned: bool| {
                if partitioned { table.to_owned() } else { format!("ONLY {table}") }
            };
            let (child_rows, parent_rows) = (only(&child, row.get(3)), only(&parent, row.get(5)));
            let of_key = || orphans(&child_rows, &parent_rows, &pairs, row.get(6), columns.clone());
            let orphans = (!row.get::<_, bool>(7)).then(of_key);
            Key { name: format!("{child}.{}", quote_ident(&name)), validated: row.get(2), orphans }
        };
        Ok(rows.iter().map(key).collect())
    }
}

/// Foreign keys with the columns on both sides and the operators that compare them.
const LIST: &str = "
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), k.conname::text, k.convalidated, c.relkind = 'p',
       pg_catalog.format('%I.%I', rn.nspname, r.relname), r.relkind = 'p', k.confmatchtype = 'f',
       coalesce((pg_catalog.to_jsonb(k) ->> 'conperiod')::bool, false), p.columns, p.referenced, p.operators
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class r ON r.oid = k.confrelid JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
 CROSS JOIN LATERAL (
   SELECT pg_catalog.array_agg(a.attname::text ORDER BY l.n) AS columns, pg_catalog.array_agg(ra.attname::text ORDER BY l.n) AS referenced,
          pg_catalog.array_agg(pg_catalog.format('OPERATOR(%I.%s)', opn.nspname, o.oprname) ORDER BY l.n) AS operators
     FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey), pg_catalog.unnest(k.conpfeqop))
          WITH ORDINALITY AS l (att, ref, op, n)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = l.att
     JOIN pg_catalog.pg_attribute ra ON ra.attrelid = k.confrelid AND ra.attnum = l.ref
     JOIN pg_catalog.pg_operator o ON o.oid = l.op
     JOIN pg_catalog.pg_namespace opn ON opn.oid = o.oprnamespace) p
 WHERE k.contype = 'f' AND k.conparentid = 0 AND {filter}
 ORDER BY 1, 2";

/// A referring column, the referenced one, and the operator between them (referenced side first).
struct Pair {
    column: String,
    referenced: String,
    operator: String,
}

/// The queries that find orphans. MATCH SIMPLE leaves rows with any NULL alone, MATCH FULL only those with nothing but.
fn orphans(child: &str, parent: &str, pairs: &[Pair], match_full: bool, columns: Vec<String>) -> Orphans {
    let join = |parts: Vec<String>, word: &str| parts.join(word);
    let not_null = pairs.iter().map(|pair| format!("{} IS NOT NULL", pair.column)).collect();
    let equal =
        pairs.iter().map(|pair| format!("{} {} {}", pair.referenced, pair.operator, pair.column)).collect();
    let bound = join(not_null, if match_full { " OR " } else { " AND " });
    let rows = format!(
        "FROM {child} c WHERE ({bound}) AND NOT EXISTS (SELECT FROM {parent} r WHERE {})",
        join(equal, " AND ")
    );
    let names = || pairs.iter().map(|pair| pair.column.clone()).collect::<Vec<_>>().join(", ");
    let texts = pairs.iter().map(|pair| format!("{}::pg_catalog.text", pair.column)).collect();
    Orphans {
        count: format!("SELECT pg_catalog.count(*) {rows}"),
        keys: format!(
            "SELECT {} {rows} GROUP BY {names} ORDER BY {names} LIMIT {NAMED}",
            join(texts, ", "),
            names = names()
        ),
        columns,
    }
}

impl Orphans {
    /// How many there are, and the first of their keys; `None` where there is none.
    async fn find(&self, ctx: &mut Ctx<'_>) -> Result<Option<String>, Failure> {
        let done = read_rows(ctx.session, ctx.limits, &self.count).await?;
        let number = match done.scalar().unwrap_or("?") {
            "0" => return Ok(None),
            "1" => "1 orphan".to_owned(),
            many => format!("{many} orphans"),
        };
        // That some are there is known: what they are is told where the server says it in time.
        let Ok(done) = read_rows(ctx.session, ctx.limits, &self.keys).await else { return Ok(Some(number)) };
        let keys: Vec<String> = done.rows.iter().map(|row| self.key_text(row)).collect();
        Ok(Some(if keys.is_empty() { number } else { format!("{number}, with {}", keys.join(" / ")) }))
    }

    fn key_text(&self, row: &[Option<String>]) -> String {
        let value = |(column, value): (&String, &Option<String>)| {
            let shown = value_text(value.as_deref());
            let secret = value.is_some() && names_a_secret(column);
            let shown = if secret { "*".repeat(shown.chars().count()) } else { shown };
            format!("{} = {shown}", visible(column))
        };
        self.columns.iter().zip(row).map(value).collect::<Vec<_>>().join(", ")
    }
}

impl Check for ForeignKeys {
    fn describe(&self) -> (String, String) {
        let of = match (self.schemas.as_slice(), self.tables.as_slice()) {
            ([], []) => "the search path's schemas".to_owned(),
            (schemas, []) => format!("schemas {}", schemas.join(", ")),
            (_, tables) => tables.join(", "),
        };
        (
            format!(
                "each foreign key of {of}: pg_constraint.convalidated, and rows without a referenced row"
            ),
            "all validated, no orphans".to_owned(),
        )
    }

    fn reads(&self) -> Reads {
        let tables = self.tables.iter().filter_map(|table| Claim::parse(table).ok());
        Reads { objects: tables.map(|table| table.reference()).collect(), ..Reads::default() }
    }

    fn in_psql(&self) -> Option<InPsql> {
        Some(InPsql::ForeignKeys { condition: self.filter() })
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let unknown = self.unknown_names(ctx).await?;
            if !unknown.is_empty() {
                return Err(Trouble(format!("there is no {}", unknown.join(", "))));
            }
            let keys = self.keys(ctx).await?;
            let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
            for key in &keys {
                if !key.validated {
                    wrong.push(format!("{} is not validated", key.name));
                }
                match &key.orphans {
                    None => unknown
                        .push(format!("{} is over periods, whose orphans are not looked for", key.name)),
                    Some(orphans) => match orphans.find(ctx).await {
                        Ok(None) => {}
                        Ok(Some(found)) => wrong.push(format!("{} has {found}", key.name)),
                        Err(failure) => unknown.push(format!("{}: {}", key.name, failure_text(&failure))),
                    },
                }
            }
            let number = count(keys.len(), "foreign key", "foreign keys");
            let answer = match (wrong.is_empty(), unknown.is_empty()) {
                (true, true) => Measured::holds(format!("{number}, all validated, no orphans")),
                (true, false) => Measured::unknown(format!("{number}: {}", unknown.join("; "))),
                (false, _) => {
                    wrong.extend(unknown);
                    Measured::wrong(format!("{number}: {}", wrong.join("; ")))
                }
            };
            Ok(vec![answer])
        })
    }
}
