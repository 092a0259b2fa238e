//! What `verify.sql` measures: the objects that the applied migrations make, and each declared check that needs nothing of
//! cutover. Every measurement is a block of its own that undoes what it did, says what it found, and counts what does not hold.

use std::collections::BTreeMap;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Object, Schema};
use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::{Failure, Session};
use serde::Serialize;

use super::beside::Beside;
use super::tables::is_table;
use crate::catalog;
use crate::plan::handover;
use crate::secrets::{SHORTEST_NAMED, Secrets};
use crate::verify::Prepared;
use crate::verify::in_psql::InPsql;

/// What a block counts in what does not hold: a setting of our own, local to the transaction.
const COUNTER: &str = "cutover_verify.failed";
/// The same for what could not be measured.
const UNMEASURED: &str = "cutover_verify.not_measured";

/// By which a server says that somebody may not, or that it cannot now: nothing is known of what was asked then.
const NOT_MEASURED: &str = "'42501', '25006', '55P03', '57014', '53100', '53200', '53300', '54001'";

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
    pub(super) fn secret(name: &str) -> Self {
        let why = "its text holds what is not to be shown, or may be a password; `cutover verify` and `cutover diff` measure it";
        Self { name: name.to_owned(), why: why.to_owned() }
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
            let asked = check.check.in_psql();
            let hides = |asked: &InPsql| asked.texts().into_iter().any(|text| shows(secrets, text));
            if asked.as_ref().is_some_and(hides) {
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

/// Whether a text shows what is secret. What is shorter than the shortest hidden value is none: rows that a check brings have a
/// password of a letter.
pub(super) fn shows(secrets: &Secrets, text: &str) -> bool {
    let starred = secrets.star(text);
    let (mut run, mut differs) = (0, false);
    for (was, is) in text.chars().zip(starred.chars()) {
        (run, differs) = if is == '*' { (run + 1, differs || was != is) } else { (0, false) };
        if differs && run >= SHORTEST_NAMED {
            return true;
        }
    }
    text.chars().count() != starred.chars().count()
}

/// A block around what sets `said` to what is wrong.
fn measured(name: &str, body: &str) -> String {
    let name = quote_literal(name);
    let text = format!(
        "#variable_conflict use_column
DECLARE
  said text; unasked text; unmeasured text; n bigint := 0; v text; is_null boolean; plan jsonb; names text[]; r record;
BEGIN
  BEGIN
{body}
    RAISE EXCEPTION USING ERRCODE = 'CVEND', MESSAGE = 'what it did is undone';
  EXCEPTION
    WHEN SQLSTATE 'CVEND' THEN NULL;
    WHEN OTHERS THEN
      IF SQLSTATE IN ({NOT_MEASURED}) THEN unmeasured := SQLERRM || ' (' || SQLSTATE || ')';
      ELSE said := 'asking for it fails: ' || SQLERRM || ' (' || SQLSTATE || ')'; END IF;
  END;
  IF unmeasured IS NOT NULL THEN
    RAISE WARNING 'not measured: %: %', {name}, unmeasured;
    PERFORM pg_catalog.set_config('{UNMEASURED}', (pg_catalog.current_setting('{UNMEASURED}')::int + 1)::text, true);
  ELSIF unasked IS NOT NULL THEN
    RAISE INFO 'not asked: %: %', {name}, unasked;
  ELSIF said IS NULL THEN
    RAISE INFO 'holds: %', {name};
  ELSE
    RAISE WARNING 'does not hold: %: %', {name}, said;
    PERFORM pg_catalog.set_config('{COUNTER}', (pg_catalog.current_setting('{COUNTER}')::int + 1)::text, true);
  END IF;
END"
    );
    let tag = tag(&text);
    format!("DO {tag}\n{text} {tag};")
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
      IF SQLSTATE <> ALL (ARRAY[{}]) AND SQLSTATE IN ({NOT_MEASURED}) THEN RAISE; END IF;
      IF SQLSTATE <> ALL (ARRAY[{}]) THEN said := SQLERRM || ' (' || SQLSTATE || ')'; END IF;
    END;",
                all(setup),
                execute(sql),
                states.join(", "),
                states.join(", ")
            )
        }
        InPsql::Explained { sql, index, no_sort } => {
            let sorts = "pg_catalog.jsonb_path_exists(plan, '$.**.\"Node Type\" ? (@ == \"Sort\" || @ == \"Incremental Sort\")')";
            format!(
                "    PERFORM pg_catalog.set_config('enable_seqscan', 'off', true), pg_catalog.set_config('enable_bitmapscan', 'off', true);
    EXECUTE {} INTO plan;
    IF NOT pg_catalog.jsonb_path_exists(plan, '$.**.\"Index Name\" ? (@ == $name)', pg_catalog.jsonb_build_object('name', {}::text))
      THEN said := 'another plan: ' || plan::text; {}END IF;",
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
    /// What else the server says.
    pub(super) beside: &'a Beside,
}

impl Spelled<'_> {
    /// A block for each table with its columns, for each of its parts, for what else it has, and for whatever else can be told
    /// by a definition; and what is not to be shown.
    fn objects(&self, secrets: &Secrets) -> (Vec<Block>, Vec<LeftOut>) {
        let mut found = Vec::new();
        for (table, object) in self.expected.objects.iter().filter(|(id, _)| is_table(id)) {
            found.push(self.table(table, object, secrets));
            let parts = self.expected.parts_of(table);
            found.extend(parts.filter_map(|(id, object)| self.defined(id, object, secrets)));
            found.push(Ok(self.nothing_else(table)));
        }
        let others = self.expected.objects.iter().filter(|(id, _)| id.table.is_none());
        for (id, object) in others {
            found.extend(self.defined(id, object, secrets));
            if matches!(id.kind, ObjectKind::View | ObjectKind::MaterializedView) {
                found.push(Ok(self.nothing_else(id)));
            }
        }
        let (mut blocks, mut left_out) = (Vec::new(), Vec::new());
        for one in found {
            match one {
                Ok(block) => blocks.push(block),
                Err(hidden) => left_out.push(hidden),
            }
        }
        let (more, hidden) = self.beside.blocks(self.expected, self.live, secrets);
        blocks.extend(more);
        left_out.extend(hidden);
        (blocks, left_out)
    }

    /// The same as the server words it, where it is there and as it should be.
    fn raw(&self, id: &Id) -> Option<&String> {
        self.raw.get(id).filter(|_| self.live.get(id) == self.expected.get(id))
    }

    /// The columns of a table, in their order, as one text a column, and whether rows are hidden.
    fn table(&self, table: &Id, object: &Object, secrets: &Secrets) -> Result<Block, LeftOut> {
        let part = |kind, name: &str| {
            Id::part(kind, table.schema.clone().unwrap_or_default(), table.name.clone(), name)
        };
        let line = |name: &String| {
            let column = self.expected.get(&part(ObjectKind::Column, name))?;
            let id = part(ObjectKind::Default, name);
            let default = self.expected.get(&id).and_then(|object| object.text("expression"));
            let default = default.map(|default| self.raw(&id).map_or(default, String::as_str));
            let not_null = if column.has("not null") { " NOT NULL" } else { "" };
            let default = default.map_or_else(String::new, |default| format!(" DEFAULT {default}"));
            Some(format!("{name} {}{not_null}{default}", column.text("type").unwrap_or_default()))
        };
        let lines: Vec<String> = object.list("columns").iter().filter_map(line).collect();
        if lines.iter().any(|line| shows(secrets, line)) {
            return Err(LeftOut::secret(&table.to_string()));
        }
        let flag = |name: &str| if object.has(name) { "true" } else { "false" };
        let body = COLUMNS
            .replace("{table}", &quote_literal(&table.table_sql()))
            .replace("{row_security}", flag("row security"))
            .replace("{forced}", flag("force row security"))
            .replace("{lines}", &texts(lines.into_iter()));
        Ok(block(table.to_string(), &body))
    }

    /// Whatever a definition tells of; an index or the like also in the schema's own words.
    fn defined(&self, id: &Id, object: &Object, secrets: &Secrets) -> Option<Result<Block, LeftOut>> {
        let (_, definitions) =
            DEFINITIONS.iter().find(|(kind, _)| *kind == id.kind && id.kind != ObjectKind::Default)?;
        let in_words = matches!(id.kind, ObjectKind::Index | ObjectKind::Constraint | ObjectKind::Trigger);
        let mut wordings: Vec<&str> = object.text("definition").filter(|_| in_words).into_iter().collect();
        wordings.extend(self.raw(id).map(String::as_str).filter(|raw| !wordings.contains(raw)));
        if wordings
            .iter()
            .copied()
            .chain(self.raw.get(id).map(String::as_str))
            .any(|text| shows(secrets, text))
        {
            return Some(Err(LeftOut::secret(&id.to_string())));
        }
        let or_wrong = if let Some(last) = wordings.last().copied() {
            let differs = DIFFERS.replace("{expected}", &quote_literal(last));
            let wordings = texts(wordings.into_iter().map(str::to_owned));
            format!("ELSIF v <> ALL (ARRAY[{wordings}]::text[]) THEN {differs}; ")
        } else if let Some(wrong) = self.raw.get(id) {
            let words = quote_literal("it is not what the applied migrations make");
            format!("ELSIF v = {} THEN said := {words}; ", quote_literal(wrong))
        } else if self.live.objects.contains_key(id) {
            // Nothing that a definition tells of, such as a type that is no enumeration.
            return None;
        } else {
            String::new()
        };
        let is = |name: Option<&str>| name.map_or_else(|| "NULL".to_owned(), quote_literal);
        let body = format!(
            "    SELECT q.definition INTO v FROM ({definitions}) AS q (schema, part_of, name, arguments, definition)
     WHERE q.schema = {} AND q.part_of::text IS NOT DISTINCT FROM {} AND q.name = {} AND q.arguments IS NOT DISTINCT FROM {};
    IF v IS NULL THEN said := 'it is not there'; {or_wrong}END IF;",
            is(id.schema.as_deref()),
            is(id.table.as_deref()),
            quote_literal(&id.name),
            is(id.arguments.as_deref()),
        );
        Some(Ok(block(id.to_string(), &body)))
    }

    /// That a table or a view has no other parts than those.
    fn nothing_else(&self, table: &Id) -> Block {
        let parts = self.expected.parts_of(table).map(|(id, _)| id.name.to_string());
        let body =
            OTHERS.replace("{table}", &quote_literal(&table.table_sql())).replace("{names}", &texts(parts));
        block(format!("nothing else on {table}"), &body)
    }
}

pub(super) fn block(name: String, body: &str) -> Block {
    Block { sql: measured(&name, body), name }
}

fn texts(texts: impl Iterator<Item = String>) -> String {
    texts.map(|text| quote_literal(&text)).collect::<Vec<_>>().join(", ")
}

/// Where a definition first differs from what is expected.
const DIFFERS: &str = "SELECT pg_catalog.format('%sfound %s, expected %s', CASE WHEN l.n > 1 THEN 'line ' || l.n || ': ' END,
        coalesce(pg_catalog.btrim(l.found), 'nothing'), coalesce(pg_catalog.btrim(l.expected), 'nothing')) INTO said
      FROM ROWS FROM (pg_catalog.unnest(pg_catalog.string_to_array(v, E'\\n')), pg_catalog.unnest(pg_catalog.string_to_array({expected}, E'\\n'))) WITH ORDINALITY l (found, expected, n)
     WHERE l.found IS DISTINCT FROM l.expected ORDER BY l.n LIMIT 1";

const COLUMNS: &str = "    SELECT pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
             || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
             || coalesce(' DEFAULT ' || CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, '')
             ORDER BY a.attnum) INTO names
      FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = pg_catalog.to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped;
    SELECT c.relrowsecurity = {row_security} AND c.relforcerowsecurity = {forced} INTO is_null
      FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass({table});
    IF names IS DISTINCT FROM ARRAY[{lines}]::text[] THEN said := CASE WHEN names IS NULL THEN 'it is not there' ELSE coalesce(NULLIF(pg_catalog.concat_ws('; ',
        (SELECT 'found ' || pg_catalog.string_agg(f, ', ') FROM pg_catalog.unnest(names) f WHERE f <> ALL (ARRAY[{lines}]::text[])),
        (SELECT 'expected ' || pg_catalog.string_agg(e, ', ') FROM pg_catalog.unnest(ARRAY[{lines}]::text[]) e WHERE e <> ALL (names))), ''),
        'columns in another order: ' || pg_catalog.array_to_string(names, ', ')) END;
    ELSIF NOT is_null THEN said := 'row security is not enabled as it should be, or not forced'; END IF;";

/// Parts of a table that nobody declares. Keys have an index of their name.
const OTHERS: &str = "    SELECT pg_catalog.string_agg(p.name, ', ') INTO v FROM (
      SELECT c.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = pg_catalog.to_regclass({table})
      UNION SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = pg_catalog.to_regclass({table}) AND contype IN ('p', 'u', 'x', 'c', 'f') AND conparentid = 0
      UNION SELECT tgname FROM pg_catalog.pg_trigger WHERE tgrelid = pg_catalog.to_regclass({table}) AND NOT tgisinternal
      UNION SELECT rulename FROM pg_catalog.pg_rewrite WHERE ev_class = pg_catalog.to_regclass({table}) AND rulename <> '_RETURN'
      UNION SELECT polname FROM pg_catalog.pg_policy WHERE polrelid = pg_catalog.to_regclass({table})) AS p (name)
     WHERE p.name <> ALL (ARRAY[{names}]::text[]);
    IF v IS NOT NULL THEN said := 'also there: ' || v; END IF;
    SELECT pg_catalog.string_agg(DISTINCT k.conname, ', ') INTO v FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
     WHERE t.tgrelid = pg_catalog.to_regclass({table}) AND t.tgisinternal AND t.tgenabled = 'D';
    IF v IS NOT NULL THEN said := pg_catalog.concat_ws('; ', said, 'not kept, for their triggers are disabled: ' || v); END IF;";

/// Definitions as the server words them: schema, table of what is a part of one, name, arguments, definition.
pub(super) const DEFINITIONS: [(ObjectKind, &str); 10] = [
    (
        ObjectKind::Constraint,
        "SELECT n.nspname, c.relname, k.conname, NULL::text, pg_get_constraintdef(k.oid)
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace",
    ),
    (
        ObjectKind::Index,
        "SELECT n.nspname, t.relname, c.relname, NULL::text, pg_get_indexdef(c.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace",
    ),
    (
        ObjectKind::Trigger,
        "SELECT n.nspname, c.relname, g.tgname, NULL::text, pg_get_triggerdef(g.oid)
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal",
    ),
    (
        ObjectKind::Default,
        "SELECT n.nspname, c.relname, a.attname, NULL::text, pg_get_expr(d.adbin, d.adrelid)
      FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum",
    ),
    (
        ObjectKind::Policy,
        "SELECT n.nspname, c.relname, p.polname, NULL::text,
           format('%s %s TO %s USING %s CHECK %s', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, p.polcmd,
                  (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ' ORDER BY r::regrole::text) FROM unnest(p.polroles) r),
                  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace",
    ),
    (
        ObjectKind::View,
        "SELECT n.nspname, NULL::name, c.relname, NULL::text, pg_get_viewdef(c.oid) || coalesce(' WITH ' || array_to_string(c.reloptions, ', '), '')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v'",
    ),
    (
        ObjectKind::MaterializedView,
        "SELECT n.nspname, NULL::name, c.relname, NULL::text, pg_get_viewdef(c.oid)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm'",
    ),
    (
        ObjectKind::Function,
        "SELECT n.nspname, NULL::name, p.proname,
           coalesce((SELECT string_agg(format_type(a.t, NULL), ', ' ORDER BY a.i) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i)), ''),
           pg_get_functiondef(p.oid)
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'w') AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    ),
    (
        ObjectKind::Procedure,
        "SELECT n.nspname, NULL::name, p.proname,
           coalesce((SELECT string_agg(format_type(a.t, NULL), ', ' ORDER BY a.i) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i)), ''),
           pg_get_functiondef(p.oid)
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind = 'p'",
    ),
    (
        ObjectKind::Type,
        "SELECT n.nspname, NULL::name, t.typname, NULL::text, (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e'",
    ),
];

/// Reads definitions as the server words them.
pub(super) async fn raw(session: &mut Session) -> Result<BTreeMap<Id, String>, Failure> {
    let mut raw = BTreeMap::new();
    let all = catalog::read_all(session, DEFINITIONS.map(|(_, sql)| sql)).await?;
    for ((kind, _), rows) in DEFINITIONS.iter().zip(all) {
        for row in rows {
            let mut fields = catalog::Fields::new(row);
            let schema = fields.optional().map(Into::into);
            let table = fields.optional().map(Into::into);
            let (name, arguments) = (fields.text().into(), fields.optional().map(Into::into));
            let definition = fields.text();
            raw.insert(Id { kind: *kind, schema, table, name, arguments }, definition);
        }
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
        assert!(block.starts_with("DO $cutover1$\n") && block.ends_with(" $cutover1$;"), "{block}");
        assert!(block.contains("'a''b$cutover$'"));
    }

    #[test]
    fn a_letter_is_no_secret_and_a_word_is_one() {
        let none = Secrets::default();
        let insert = |value: &str| {
            format!("INSERT INTO users (email, password_hash) VALUES ('a@b.invalid', '{value}')")
        };
        assert!(!shows(&none, &insert("x")) && !shows(&none, "SELECT 2 * 3 *** 4"));
        assert!(shows(&none, &insert("hunter2")) && shows(&none, &insert("a**")));
    }

    #[test]
    fn only_queries_stand_in_from() {
        assert!(
            is_query("  (SELECT 1)") && is_query("values (1)") && is_query("WITH a AS (SELECT 1) TABLE a")
        );
        assert!(!is_query("SHOW search_path") && !is_query("EXPLAIN SELECT 1") && !is_query("selected"));
    }
}
