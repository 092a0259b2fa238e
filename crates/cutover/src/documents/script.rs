//! What `verify.sql` measures: the objects that the applied migrations make, and each declared check that needs nothing of
//! cutover. Every measurement is a block of its own that undoes what it did, says what it found, and counts what does not hold.

use std::collections::BTreeMap;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Object, Schema};
use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::{Failure, Session};
use serde::Serialize;

use super::tables::is_table;
use crate::catalog;
use crate::plan::handover;
use crate::secrets::Secrets;
use crate::verify::Prepared;
use crate::verify::in_psql::InPsql;

/// What a block counts in: a setting of our own, local to the transaction.
const COUNTER: &str = "cutover_verify.failed";

/// The script's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Script {
    /// What psql is told before anything else.
    pub(super) psql: String,
    /// The search path of sessions of this project, as the server says it.
    pub(super) search_path: String,
    /// Statements that begin each of the two transactions.
    pub(super) begin_objects: String,
    pub(super) begin_checks: String,
    /// Statements that fail where something does not hold.
    pub(super) objects: Vec<Block>,
    pub(super) checks: Vec<Block>,
    /// Checks that only cutover can measure.
    pub(super) left_out: Vec<LeftOut>,
}

/// A measurement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Block {
    pub(super) name: String,
    pub(super) sql: String,
}

/// A check or a table that is not in the script.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    pub(super) name: String,
    pub(super) why: String,
}

impl LeftOut {
    fn secret(name: &str) -> Self {
        Self { name: name.to_owned(), why: "its text holds what is not to be shown".to_owned() }
    }
}

/// Definitions are read as they were: with every name qualified.
const BEGIN_OBJECTS: &str = "SET LOCAL statement_timeout = '60s'";
const BEGIN_CHECKS: &str = "BEGIN;
SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = '60s';
SET LOCAL standard_conforming_strings = on;";

impl Script {
    pub(super) fn of(sides: &Spelled<'_>, search_path: &str, secrets: &Secrets) -> Self {
        let path = quote_literal(search_path);
        let (objects, left_out) = sides.objects(secrets);
        Self {
            psql: handover::PSQL.to_owned(),
            search_path: search_path.to_owned(),
            begin_objects: format!("{};\n{BEGIN_OBJECTS};", catalog::BEGIN_READING.replace("; ", ";\n")),
            begin_checks: format!(
                "{BEGIN_CHECKS}\nSELECT pg_catalog.set_config('search_path', {path}, true) IS NULL AS ignored \\gset"
            ),
            objects,
            left_out,
            ..Self::default()
        }
    }

    /// Adds the checks that are to be measured now.
    pub(super) fn with_checks<'a>(
        mut self,
        checks: impl Iterator<Item = &'a Prepared>,
        secrets: &Secrets,
    ) -> Self {
        for check in checks {
            let shows = |text: &String| secrets.star(text) != *text;
            let asked = check.check.in_psql();
            if asked.as_ref().is_some_and(|asked| asked.texts().into_iter().any(shows)) {
                self.left_out.push(LeftOut::secret(&check.name));
                continue;
            }
            match asked.and_then(|asked| body(&asked)) {
                None => {
                    let why = format!("only cutover can measure it (kind {})", check.kind);
                    self.left_out.push(LeftOut { name: check.name.clone(), why });
                }
                Some(body) => {
                    self.checks.push(Block { name: check.name.clone(), sql: measured(&check.name, &body) });
                }
            }
        }
        self
    }
}

/// A block around what sets `said` to what is wrong.
fn measured(name: &str, body: &str) -> String {
    let name = quote_literal(name);
    let text = format!(
        "DECLARE
  said text; n bigint := 0; v text; is_null boolean; plan jsonb; names text[]; r record;
BEGIN
  BEGIN
{body}
    RAISE EXCEPTION USING ERRCODE = 'CVEND', MESSAGE = 'what it did is undone';
  EXCEPTION
    WHEN SQLSTATE 'CVEND' THEN NULL;
    WHEN OTHERS THEN said := 'could not be measured: ' || SQLERRM || ' (' || SQLSTATE || ')';
  END;
  IF said IS NULL THEN
    RAISE INFO 'holds: %', {name};
  ELSE
    RAISE WARNING 'does not hold: %: %', {name}, said;
    PERFORM pg_catalog.set_config('{COUNTER}', (pg_catalog.current_setting('{COUNTER}')::int + 1)::text, true);
  END IF;
END"
    );
    let tag = tag(&text);
    format!("DO {tag} {text} {tag};")
}

/// A dollar quote that does not stand in the text.
fn tag(text: &str) -> String {
    let numbered = |n: u32| if n == 0 { "$cutover$".to_owned() } else { format!("$cutover{n}$") };
    (0..u32::MAX).map(numbered).find(|tag| !text.contains(tag.as_str())).unwrap_or_default()
}

/// One statement as a literal that is executed.
fn execute(statement: &str) -> String {
    format!("    EXECUTE {};\n", quote_literal(statement))
}

/// What measures a check; none where it is no plain query.
fn body(asked: &InPsql) -> Option<String> {
    let all = |setup: &[String]| setup.iter().map(|one| execute(one)).collect::<String>();
    let whole = "    PERFORM pg_catalog.set_config('row_security', 'off', true);\n";
    Some(match asked {
        InPsql::NoRows(sql) => format!(
            "{whole}    FOR r IN EXECUTE {} LOOP n := n + 1; END LOOP;
    IF n > 0 THEN said := n || ' rows'; END IF;",
            quote_literal(sql)
        ),
        InPsql::Scalar { setup, sql, equals } => {
            if !is_query(sql) {
                return None;
            }
            let wrapped = format!(
                "SELECT pg_catalog.format('%s', q.v), q.v IS NULL, pg_catalog.count(*) OVER () FROM ({sql}\n) AS q(v)"
            );
            let wrong = match equals {
                Some(value) => format!("is_null OR v <> {}", quote_literal(value)),
                None => "NOT is_null".to_owned(),
            };
            let reading = if setup.is_empty() { whole } else { "" };
            format!(
                "{reading}{}    EXECUTE {} INTO v, is_null, n;
    IF n IS DISTINCT FROM 1 THEN said := 'one row is expected, found ' || coalesce(n, 0);
    ELSIF {wrong} THEN said := 'found ' || CASE WHEN is_null THEN 'NULL' ELSE v END; END IF;",
                all(setup),
                quote_literal(&wrapped)
            )
        }
        InPsql::Refused { setup, sql, sqlstates } => {
            let states: Vec<String> = sqlstates.iter().map(|state| quote_literal(state)).collect();
            format!(
                "{}    BEGIN
  {}      SET CONSTRAINTS ALL IMMEDIATE;
      said := 'it was accepted';
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE <> ALL (ARRAY[{}]) THEN said := SQLERRM || ' (' || SQLSTATE || ')'; END IF;
    END;",
                all(setup),
                execute(sql),
                states.join(", ")
            )
        }
        InPsql::Explained { sql, index, no_sort } => {
            let sorts = "pg_catalog.jsonb_path_exists(plan, '$.**.\"Node Type\" ? (@ == \"Sort\" || @ == \"Incremental Sort\")')";
            format!(
                "    PERFORM pg_catalog.set_config('enable_seqscan', 'off', true), pg_catalog.set_config('enable_bitmapscan', 'off', true);
    EXECUTE {} INTO plan;
    IF NOT pg_catalog.jsonb_path_exists(plan, '$.**.\"Index Name\" ? (@ == $name)', pg_catalog.jsonb_build_object('name', {}::text))
      THEN said := 'another plan: ' || plan; {}END IF;",
                quote_literal(&format!("EXPLAIN (COSTS off, FORMAT JSON) {sql}")),
                quote_literal(index),
                if *no_sort { format!("ELSIF {sorts} THEN said := 'it sorts'; ") } else { String::new() }
            )
        }
        InPsql::Columns { table, count, names } => {
            let counted = count.map(|count| format!("coalesce(pg_catalog.cardinality(names), 0) <> {count}"));
            let listed: Vec<String> = names.iter().map(|name| quote_literal(name)).collect();
            let named = (!names.is_empty())
                .then(|| format!("names IS DISTINCT FROM ARRAY[{}]::text[]", listed.join(", ")));
            let wrong: Vec<String> = counted.into_iter().chain(named).collect();
            format!(
                "    SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) INTO names FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = pg_catalog.to_regclass({}) AND a.attnum > 0 AND NOT a.attisdropped;
    IF {} THEN said := 'columns: ' || coalesce(pg_catalog.array_to_string(names, ', '), 'none'); END IF;",
                quote_literal(table),
                wrong.join(" OR ")
            )
        }
        InPsql::Relations(names) => {
            let listed: Vec<String> = names.iter().map(|name| quote_literal(name)).collect();
            format!(
                "    SELECT pg_catalog.string_agg(t, ', ') INTO v FROM pg_catalog.unnest(ARRAY[{}]::text[]) t WHERE pg_catalog.to_regclass(t) IS NULL;
    IF v IS NOT NULL THEN said := 'missing: ' || v; END IF;",
                listed.join(", ")
            )
        }
        InPsql::ForeignKeys { condition } => FOREIGN_KEYS.replace("{condition}", condition),
    })
}

/// Every key is looked at, and every row that refers to something. Rows of partitioned tables are in their partitions.
const FOREIGN_KEYS: &str = "    PERFORM pg_catalog.set_config('row_security', 'off', true);
    FOR r IN
      SELECT pg_catalog.format('%I.%I', cn.nspname, c.relname) AS child, pg_catalog.format('%I.%I', pn.nspname, p.relname) AS parent,
             c.relkind = 'p' AS child_parts, p.relkind = 'p' AS parent_parts, k.conname, k.convalidated,
             (SELECT pg_catalog.string_agg(pg_catalog.format('p.%I = c.%I', pa.attname, ca.attname), ' AND ')
                FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) AS l (att, ref)
                JOIN pg_catalog.pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = l.att
                JOIN pg_catalog.pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = l.ref) AS pairs,
             (SELECT pg_catalog.string_agg(pg_catalog.format('c.%I IS NOT NULL', a.attname), ' AND ')
                FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS filled
        FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
        JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
       WHERE k.contype = 'f' AND k.conparentid = 0 AND {condition}
    LOOP
      IF NOT r.convalidated THEN said := pg_catalog.concat_ws('; ', said, r.conname || ' is not validated'); END IF;
      EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM %s%s c WHERE %s AND NOT EXISTS (SELECT FROM %s%s p WHERE %s)',
        CASE WHEN r.child_parts THEN '' ELSE 'ONLY ' END, r.child, r.filled,
        CASE WHEN r.parent_parts THEN '' ELSE 'ONLY ' END, r.parent, r.pairs) INTO n;
      IF n > 0 THEN said := pg_catalog.concat_ws('; ', said, n || ' rows of ' || r.child || ' refer to nothing by ' || r.conname); END IF;
    END LOOP;";

/// Whether a statement may stand in FROM.
fn is_query(sql: &str) -> bool {
    let word = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let word: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
    ["select", "values", "with", "table"].contains(&word.to_ascii_lowercase().as_str())
}

/// What the applied migrations make, in the words of both sides: a schema words some expressions otherwise than the server
/// does, so that those of a restored database are the same.
pub(super) struct Spelled<'a> {
    pub(super) expected: &'a Schema,
    pub(super) live: &'a Schema,
    /// Definitions as the server words them, of what is there.
    pub(super) raw: &'a BTreeMap<Id, String>,
}

impl Spelled<'_> {
    /// A block for each table with its columns, each index, constraint and trigger, and what is not to be shown.
    fn objects(&self, secrets: &Secrets) -> (Vec<Block>, Vec<LeftOut>) {
        let mut blocks = Vec::new();
        for table in self.expected.objects.keys().filter(|id| is_table(id)) {
            blocks.push(self.table(table));
            blocks.extend(self.expected.parts_of(table).filter_map(|(id, object)| self.part(id, object)));
        }
        let is_secret = |block: &Block| secrets.star(&block.sql) != block.sql;
        let left_out: Vec<LeftOut> = blocks
            .iter()
            .filter(|block| is_secret(block))
            .map(|block| LeftOut::secret(&block.name))
            .collect();
        blocks.retain(|block| !is_secret(block));
        (blocks, left_out)
    }

    /// The same as the server words it, where it is there and as it should be.
    fn raw(&self, id: &Id) -> Option<&String> {
        self.raw.get(id).filter(|_| self.live.get(id) == self.expected.get(id))
    }

    /// The columns of a table, in their order, as one text a column.
    fn table(&self, table: &Id) -> Block {
        let part = |kind, name: &str| {
            Id::part(kind, table.schema.clone().unwrap_or_default(), table.name.clone(), name)
        };
        let names = self.expected.get(table).map_or(&[][..], |object| object.list("columns"));
        let line = |name: &String| {
            let column = self.expected.get(&part(ObjectKind::Column, name))?;
            let id = part(ObjectKind::Default, name);
            let default = self.expected.get(&id).and_then(|object| object.text("expression"));
            let default = default.map(|default| self.raw(&id).map_or(default, String::as_str));
            let not_null = if column.has("not null") { " NOT NULL" } else { "" };
            let default = default.map_or_else(String::new, |default| format!(" DEFAULT {default}"));
            Some(quote_literal(&format!(
                "{name} {}{not_null}{default}",
                column.text("type").unwrap_or_default()
            )))
        };
        let lines: Vec<String> = names.iter().filter_map(line).collect();
        let body = COLUMNS
            .replace("{table}", &quote_literal(&table.table_sql()))
            .replace("{lines}", &lines.join(", "));
        let name = table.to_string();
        Block { sql: measured(&name, &body), name }
    }

    fn part(&self, id: &Id, object: &Object) -> Option<Block> {
        let definition = object.text("definition")?.to_owned();
        let mut wordings: Vec<String> = vec![quote_literal(&definition)];
        wordings.extend(self.raw(id).filter(|raw| **raw != definition).map(|raw| quote_literal(raw)));
        let table = quote_literal(&id.table_sql());
        let own = quote_literal(&id.name);
        let found = match id.kind {
            ObjectKind::Index => format!(
                "pg_catalog.pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END INTO v
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = pg_catalog.to_regclass({table}) AND c.relname = {own}"
            ),
            ObjectKind::Constraint => format!(
                "pg_catalog.pg_get_constraintdef(k.oid) INTO v FROM pg_catalog.pg_constraint k
     WHERE k.conrelid = pg_catalog.to_regclass({table}) AND k.conname = {own}"
            ),
            ObjectKind::Trigger => format!(
                "pg_catalog.pg_get_triggerdef(t.oid) INTO v FROM pg_catalog.pg_trigger t
     WHERE t.tgrelid = pg_catalog.to_regclass({table}) AND t.tgname = {own} AND NOT t.tgisinternal"
            ),
            _ => return None,
        };
        let body = format!(
            "    SELECT {found};
    IF v IS NULL THEN said := 'it is not there'; ELSIF v <> ALL (ARRAY[{}]) THEN said := v; END IF;",
            wordings.join(", ")
        );
        let name = id.to_string();
        Some(Block { sql: measured(&name, &body), name })
    }
}

const COLUMNS: &str = "    SELECT pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
             || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
             || coalesce(' DEFAULT ' || CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, '')
             ORDER BY a.attnum) INTO names
      FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = pg_catalog.to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped;
    IF names IS DISTINCT FROM ARRAY[{lines}]::text[] THEN said := coalesce(pg_catalog.array_to_string(names, ', '), 'it is not there'); END IF;";

/// Definitions of what is there, as the server words them.
const RAW: &str = "
SELECT 'constraint', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'index', n.nspname, t.relname, c.relname, pg_get_indexdef(c.oid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
UNION ALL
SELECT 'trigger', n.nspname, c.relname, g.tgname, pg_get_triggerdef(g.oid)
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal
UNION ALL
SELECT 'default', n.nspname, c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid)
  FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum";

/// Reads definitions as the server words them.
pub(super) async fn raw(session: &mut Session) -> Result<BTreeMap<Id, String>, Failure> {
    let [rows] = catalog::read_all(session, [RAW]).await?;
    let mut raw = BTreeMap::new();
    for row in rows {
        let mut fields = catalog::Fields::new(row);
        let kind = match fields.text().as_str() {
            "constraint" => ObjectKind::Constraint,
            "index" => ObjectKind::Index,
            "trigger" => ObjectKind::Trigger,
            _ => ObjectKind::Default,
        };
        let (schema, table, name) = (fields.text(), fields.text(), fields.text());
        raw.insert(Id::part(kind, schema, table, name), fields.text());
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_quote() {
        assert_eq!(tag("a $cutover$ b"), "$cutover1$");
        let block = measured("a'b$cutover$", "    NULL;");
        assert!(block.starts_with("DO $cutover1$ ") && block.ends_with(" $cutover1$;"), "{block}");
        assert!(block.contains("'a''b$cutover$'"));
    }

    #[test]
    fn only_queries_stand_in_from() {
        assert!(
            is_query("  (SELECT 1)") && is_query("values (1)") && is_query("WITH a AS (SELECT 1) TABLE a")
        );
        assert!(!is_query("SHOW search_path") && !is_query("EXPLAIN SELECT 1") && !is_query("selected"));
    }
}
