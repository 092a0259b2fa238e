//! Code that runs for each row: triggers, rules, defaults, conditions, views, operators, casts. A rehearsal has no rows and runs
//! none of it, so it is asked of the database itself what hangs on that which a way back writes and reads, and whether it may
//! write rows.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{Code, Event, Kept, ObjectKind, ObjectRef, kept};
use cutover_analysis::ours::HISTORY;
use cutover_analysis::schema::Id;
use cutover_analysis::sql::{parse, quote_literal};
use cutover_postgres::session::{Failure, Session};

use super::losses::Gone;

/// PostgreSQL's own functions that run what they are given, or remove something.
const RUNS: &[&str] = &[
    "cursor_to_xml",
    "lo_unlink",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
];

/// Extensions whose functions in C run statements.
const RUNNERS: &[&str] = &["dblink", "pg_cron", "pg_background"];

/// What may write rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Writer {
    /// Of any table, in words.
    Any(String),
    /// Of that one, in words.
    Of(Id, String),
}

/// Something that runs, or that leads there.
#[derive(Debug, Default)]
struct Node {
    /// What people call it; nothing of what only leads there.
    label: String,
    /// It is known that it writes, of which table.
    writes: Option<Id>,
    /// What nobody can look into.
    is_unknown: bool,
    /// The definition of a function or rule.
    text: Option<String>,
}

/// All code of a database.
#[derive(Debug, Default)]
pub(super) struct Codes {
    nodes: BTreeMap<String, Node>,
    edges: BTreeMap<String, Vec<String>>,
    /// Schema, name and number of relations; functions, operators and domains with their keys.
    named: BTreeMap<(char, String), Vec<(String, String)>>,
    builtin: BTreeSet<String>,
    /// What ways back have made by then.
    own: Vec<(Kept, String, Code)>,
    /// Event triggers: event, command tags, key.
    on_commands: Vec<(String, Vec<String>, String)>,
}

impl Codes {
    pub(super) async fn read(session: &mut Session) -> Result<Self, Failure> {
        let mut codes = Self::default();
        let runners: Vec<String> = RUNNERS.iter().map(|name| quote_literal(name)).collect();
        let nodes = NODES.replace("{runners}", &runners.join(", ")).replace("{history}", HISTORY);
        for row in session.query_text(&nodes).await?.rows {
            let mut fields = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || fields.next().unwrap_or_default();
            let (key, schema, name, label, text, how) = (next(), next(), next(), next(), next(), next());
            let sort = key.chars().next().unwrap_or_default();
            codes.named.entry((sort, name)).or_default().push((schema, key.clone()));
            let node = Node {
                label,
                writes: None,
                is_unknown: how == "unknown",
                text: (!text.is_empty() && how != "harmless").then_some(text),
            };
            codes.nodes.insert(key, node);
        }
        for row in session.query_text(EDGES).await?.rows {
            let mut fields = row.into_iter().flatten();
            let (Some(from), Some(to)) = (fields.next(), fields.next()) else { continue };
            codes.edges.entry(from).or_default().push(to);
        }
        for row in session.query_text(KEYS).await?.rows {
            let mut fields = row.into_iter().flatten();
            let mut next = || fields.next().unwrap_or_default();
            let (key, from, label, schema, table, then) = (next(), next(), next(), next(), next(), next());
            // And so on with those that refer to these rows.
            codes.edges.entry(key.clone()).or_default().push(then);
            let writes = Some(Id::new(ObjectKind::Table, schema, table));
            codes.edges.entry(from).or_default().push(key.clone());
            codes.nodes.insert(key, Node { label, writes, ..Node::default() });
        }
        let builtin = "SELECT DISTINCT proname::text FROM pg_catalog.pg_proc WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace";
        codes.builtin = session.query_text(builtin).await?.rows.into_iter().flatten().flatten().collect();
        for row in session.query_text(ON_COMMANDS).await?.rows {
            let mut fields = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || fields.next().unwrap_or_default();
            let (key, event, tags) = (next(), next(), next());
            let tags = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
            codes.on_commands.push((event, tags, key));
        }
        Ok(codes)
    }

    /// What a way back of these statements may write besides what it says; from then on what it makes is known. `written` are
    /// tables that the rehearsal saw it write.
    pub(super) fn of_way(&mut self, statements: &[String], runs: &Code, written: &[&Gone]) -> Vec<Writer> {
        let parsed: Vec<_> = statements.iter().filter_map(|text| parse(text).ok()).collect();
        self.own.extend(parsed.iter().flat_map(kept));
        let mut walk = Walk { codes: self, seen: BTreeSet::new(), found: BTreeSet::new() };
        walk.code(runs, &[], true);
        for table in written.iter().filter_map(|gone| gone.now.as_ref()) {
            if !runs.writes.iter().any(|(named, _)| named.name == table.name) {
                let meant = ObjectRef::new(ObjectKind::Relation, table.schema.clone(), table.name.clone());
                for event in [Event::Insert, Event::Update, Event::Delete] {
                    walk.written(&meant, event, &[]);
                }
            }
        }
        for (event, tags, key) in &self.on_commands {
            if statements.iter().any(|text| fires(event, tags, text)) {
                walk.visit(key, &[]);
            }
        }
        walk.found.into_iter().collect()
    }

    fn called(&self, sort: char, object: &ObjectRef) -> impl Iterator<Item = &String> {
        let all = self.named.get(&(sort, object.name.to_string()));
        let is_meant = |schema: &str| object.schema.as_deref().is_none_or(|meant| meant == schema);
        all.into_iter().flatten().filter(move |(schema, _)| is_meant(schema)).map(|(_, key)| key)
    }
}

/// A walk through all that runs.
struct Walk<'a> {
    codes: &'a Codes,
    seen: BTreeSet<String>,
    found: BTreeSet<Writer>,
}

impl Walk<'_> {
    /// `path`: what leads there, in words; `at_once`: these are a way back's own statements, whose writes are known.
    fn code(&mut self, code: &Code, path: &[&str], at_once: bool) {
        if code.more.is_some() || !at_once && code.writes.iter().any(|(_, event)| *event != Event::Insert) {
            self.found.insert(Writer::Any(words(path)));
            return;
        }
        for (relation, event) in &code.writes {
            self.written(relation, *event, path);
        }
        for relation in &code.reads {
            self.each_called('r', relation, "", path);
            self.kept(path, |kept| matches!(kept, Kept::Read(view) if is(view, relation)));
        }
        for relation in &code.fills {
            self.each_called('m', relation, "", path);
        }
        for relation in &code.computes {
            self.each_called('w', relation, ":e", path);
        }
        for routine in &code.calls {
            self.call(routine, path, at_once);
        }
        for operator in &code.operators {
            self.each_called('o', &ObjectRef::new(ObjectKind::Operator, None, operator.clone()), "", path);
        }
        for domain in &code.types {
            self.each_called('z', domain, "", path);
        }
        if code.meets_rows() {
            self.visit("x", path);
        }
    }

    fn written(&mut self, relation: &ObjectRef, event: Event, path: &[&str]) {
        let letter = match event {
            Event::Insert => ":i",
            Event::Delete => ":d",
            Event::Update => ":u",
            Event::Truncate => ":t",
        };
        self.each_called('w', relation, letter, path);
        self.kept(
            path,
            |kept| matches!(kept, Kept::Written(table, events) if is(table, relation) && events.contains(&event)),
        );
    }

    fn call(&mut self, routine: &ObjectRef, path: &[&str], at_once: bool) {
        let keys: Vec<&String> = self.codes.called('f', routine).collect();
        let own = |kept: &Kept| matches!(kept, Kept::Routine(made) if is(made, routine));
        let is_own = self.codes.own.iter().any(|(kept, ..)| own(kept));
        for key in &keys {
            self.visit(key, path);
        }
        self.kept(path, own);
        let name = routine.name.as_str();
        let is_builtin = self.codes.builtin.contains(name)
            && routine.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
        if RUNS.contains(&name) && is_builtin || at_once && keys.is_empty() && !is_own && !is_builtin {
            let mut all: Vec<&str> = path.to_vec();
            let called = routine.to_string();
            all.push(&called);
            self.found.insert(Writer::Any(words(&all)));
        }
    }

    fn each_called(&mut self, sort: char, object: &ObjectRef, suffix: &str, path: &[&str]) {
        let codes = self.codes;
        for key in codes.called(sort, object) {
            self.visit(&format!("{key}{suffix}"), path);
        }
    }

    /// What ways back have made themselves.
    fn kept(&mut self, path: &[&str], is_meant: impl Fn(&Kept) -> bool) {
        let codes = self.codes;
        for (at, (kept, label, code)) in codes.own.iter().enumerate() {
            if is_meant(kept) && self.seen.insert(format!("own {at}")) {
                let mut path: Vec<&str> = path.to_vec();
                path.push(label);
                self.code(code, &path, false);
            }
        }
    }

    fn visit(&mut self, key: &str, path: &[&str]) {
        if !self.seen.insert(key.to_owned()) {
            return;
        }
        let codes = self.codes;
        let mut path: Vec<&str> = path.to_vec();
        if let Some(node) = codes.nodes.get(key) {
            if !node.label.is_empty() {
                path.push(&node.label);
            }
            if let Some(table) = &node.writes {
                self.found.insert(Writer::Of(table.clone(), words(&path)));
            }
            if node.is_unknown || node.text.as_deref().is_some_and(|text| !self.text(text, &path)) {
                self.found.insert(Writer::Any(words(&path)));
                return;
            }
        }
        for next in codes.edges.get(key).into_iter().flatten() {
            self.visit(next, &path);
        }
    }

    /// Looks into a definition; false where nothing can be said of it.
    fn text(&mut self, text: &str, path: &[&str]) -> bool {
        let Ok(parsed) = parse(text) else { return false };
        let all = kept(&parsed);
        for (_, _, code) in &all {
            self.code(code, path, false);
        }
        !all.is_empty()
    }
}

fn is(made: &ObjectRef, meant: &ObjectRef) -> bool {
    made.name == meant.name
        && (made.schema.is_none() || meant.schema.is_none() || made.schema == meant.schema)
}

fn words(path: &[&str]) -> String {
    path.join(", which runs ")
}

/// Whether an event trigger may be for a statement.
fn fires(event: &str, tags: &[String], text: &str) -> bool {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(8)
        .map(str::to_uppercase)
        .collect();
    let Some(first) = words.first() else { return false };
    if first == "DO" || first == "CALL" {
        return true;
    }
    let makes =
        ["ALTER", "COMMENT", "CREATE", "DROP", "GRANT", "IMPORT", "REFRESH", "REINDEX", "REVOKE", "SECURITY"];
    let is_tag = |tag: &String| {
        let mut tag = tag.split(' ');
        tag.next() == Some(first) && tag.next_back().is_none_or(|last| words.iter().any(|word| word == last))
    };
    let is_meant = match event {
        "sql_drop" => first == "DROP" || first == "ALTER",
        "table_rewrite" => first == "ALTER",
        "login" => false,
        _ => makes.contains(&first.as_str()),
    };
    is_meant && (tags.is_empty() || tags.iter().any(is_tag))
}

/// The worker's functions are among them: whoever schedules a job by one leaves it there. Key, schema, name, label, definition; `unknown` where nothing is known of it, `harmless` where it writes nothing.
const NODES: &str = "
WITH functions AS (
    SELECT p.oid, p.proname, n.nspname, l.lanname, p.prokind, p.provolatile, x.extname
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
      LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
      LEFT JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
     WHERE p.oid >= 16384 AND n.nspname NOT IN ('pg_catalog', 'information_schema', '{history}'))
SELECT 'f:' || oid, nspname, proname, 'routine ' || CASE WHEN nspname <> 'public' THEN nspname || '.' ELSE '' END || proname,
       CASE WHEN prokind IN ('f', 'p') AND lanname IN ('sql', 'plpgsql') THEN pg_catalog.pg_get_functiondef(oid) END,
       CASE WHEN prokind IN ('a', 'w') THEN 'harmless' WHEN lanname IN ('sql', 'plpgsql') THEN '' WHEN extname IN ({runners}) THEN 'unknown'
            WHEN extname IS NOT NULL OR provolatile <> 'v' AND lanname NOT IN ('c', 'internal') THEN 'harmless' ELSE 'unknown' END
  FROM functions
UNION ALL
SELECT CASE c.relkind WHEN 'm' THEN 'm:' ELSE 'r:' END || c.oid, n.nspname, c.relname, CASE WHEN c.relkind IN ('v', 'm') THEN 'view ' || c.relname ELSE '' END, NULL, ''
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.oid >= 16384 AND n.nspname NOT IN ('information_schema', '{history}')
UNION ALL
SELECT 'w:' || c.oid, n.nspname, c.relname, '', NULL, ''
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v') AND c.oid >= 16384 AND n.nspname NOT IN ('information_schema', '{history}')
UNION ALL
SELECT 't:' || t.oid, '', t.tgname, 'trigger ' || t.tgname || ' of ' || c.relname, NULL, ''
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'u:' || r.oid, '', r.rulename, 'rule ' || r.rulename || ' of ' || c.relname, pg_catalog.pg_get_ruledef(r.oid), ''
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class WHERE r.ev_type <> '1' AND c.oid >= 16384
UNION ALL
SELECT 'd:' || d.oid, '', a.attname, 'what is computed for column ' || c.relname || '.' || a.attname, NULL, ''
  FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE c.oid >= 16384
UNION ALL
SELECT 'c:' || k.oid, '', k.conname, 'constraint ' || k.conname, NULL, ''
  FROM pg_catalog.pg_constraint k WHERE k.contype = 'c' AND k.oid >= 16384
UNION ALL
SELECT 'i:' || i.indexrelid, '', c.relname, 'index ' || c.relname, NULL, ''
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AND i.indexrelid >= 16384
UNION ALL
SELECT 'p:' || p.oid, '', p.polname, 'policy ' || p.polname || ' of ' || c.relname, NULL, ''
  FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
UNION ALL
SELECT 'o:' || o.oid, n.nspname, o.oprname, 'operator ' || o.oprname, NULL, ''
  FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid >= 16384
UNION ALL
SELECT 'k:' || k.oid, '', '', 'the cast from ' || pg_catalog.format_type(k.castsource, NULL) || ' to ' || pg_catalog.format_type(k.casttarget, NULL), NULL, ''
  FROM pg_catalog.pg_cast k WHERE k.oid >= 16384 AND k.castfunc <> 0
UNION ALL
SELECT 'z:' || t.oid, n.nspname, t.typname, '', NULL, ''
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typelem = 0 AND t.oid >= 16384
UNION ALL
SELECT 'y:' || e.oid, '', e.evtname, 'event trigger ' || e.evtname, NULL, '' FROM pg_catalog.pg_event_trigger e";

/// What leads where. A relation that is written: `:i`, `:u`, `:d`, `:t`; whose conditions are computed for all rows: `:e`.
const EDGES: &str = "
WITH events (letter, bit, ev_type) AS (VALUES ('i', 4, '3'), ('d', 8, '4'), ('u', 16, '2'), ('t', 32, '')),
uses AS (
    SELECT d.classid, d.objid, CASE d.refclassid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'f:' WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN 'o:'
                                    WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN 'z:' ELSE 'r:' END || d.refobjid AS to, d.refclassid, d.refobjid
      FROM pg_catalog.pg_depend d
     WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass,
                            'pg_catalog.pg_type'::pg_catalog.regclass)
       AND d.refobjid >= 16384),
casts (key, type, other) AS (
    SELECT 'k:' || k.oid, t.type, t.other FROM pg_catalog.pg_cast k CROSS JOIN LATERAL (VALUES (castsource, casttarget), (casttarget, castsource)) t (type, other)
     WHERE k.oid >= 16384 AND k.castfunc <> 0),
domains AS (SELECT contypid, 'c:' || oid AS key FROM pg_catalog.pg_constraint WHERE contypid <> 0 AND contype = 'c')
SELECT 'w:' || t.tgrelid || ':' || e.letter, 't:' || t.oid FROM pg_catalog.pg_trigger t JOIN events e ON t.tgtype & e.bit <> 0
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
UNION ALL SELECT 't:' || oid, 'f:' || tgfoid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'w:' || r.ev_class || ':' || e.letter, 'u:' || r.oid FROM pg_catalog.pg_rewrite r JOIN events e ON e.ev_type = r.ev_type::text
           WHERE r.ev_enabled <> 'D' AND r.ev_class >= 16384
UNION ALL SELECT 'u:' || r.oid, u.to FROM pg_catalog.pg_rewrite r JOIN uses u ON u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND u.objid = r.oid
           WHERE r.ev_type <> '1' AND u.refclassid <> 'pg_catalog.pg_class'::pg_catalog.regclass
UNION ALL SELECT CASE c.relkind WHEN 'm' THEN 'm:' ELSE 'r:' END || c.oid, u.to
            FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
            JOIN uses u ON u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND u.objid = r.oid WHERE r.ev_type = '1' AND u.refobjid <> c.oid
UNION ALL SELECT 'w:' || c.oid || ':' || e.letter, 'w:' || u.refobjid || ':' || e.letter
            FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind = 'v' CROSS JOIN events e
            JOIN uses u ON u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND u.objid = r.oid AND u.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           WHERE r.ev_type = '1' AND u.refobjid <> c.oid
UNION ALL SELECT 'w:' || c.oid || ':' || e.letter, 'r:' || c.oid FROM pg_catalog.pg_class c CROSS JOIN events e WHERE c.relkind = 'v' AND c.oid >= 16384
UNION ALL SELECT 'w:' || d.adrelid || ':' || e.letter, 'd:' || d.oid
            FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            CROSS JOIN (VALUES ('i'), ('u'), ('e')) e (letter) WHERE e.letter = 'i' OR a.attgenerated <> ''
UNION ALL SELECT 'd:' || u.objid, u.to FROM uses u WHERE u.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
UNION ALL SELECT 'w:' || k.conrelid || ':' || e.letter, 'c:' || k.oid FROM pg_catalog.pg_constraint k CROSS JOIN (VALUES ('i'), ('u'), ('e')) e (letter)
           WHERE k.contype = 'c' AND k.conrelid <> 0
UNION ALL SELECT 'c:' || u.objid, u.to FROM uses u WHERE u.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
             AND u.refclassid <> 'pg_catalog.pg_class'::pg_catalog.regclass AND u.refclassid <> 'pg_catalog.pg_type'::pg_catalog.regclass
UNION ALL SELECT 'z:' || contypid, key FROM domains
UNION ALL SELECT 'w:' || a.attrelid || ':' || e.letter, d.key FROM pg_catalog.pg_attribute a JOIN domains d ON d.contypid = a.atttypid
            CROSS JOIN (VALUES ('i'), ('u'), ('e')) e (letter) WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'w:' || i.indrelid || ':' || e.letter, 'i:' || i.indexrelid FROM pg_catalog.pg_index i CROSS JOIN (VALUES ('i'), ('u'), ('e')) e (letter)
           WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AND i.indexrelid >= 16384
UNION ALL SELECT 'i:' || u.objid, u.to FROM uses u JOIN pg_catalog.pg_index i ON i.indexrelid = u.objid
           WHERE u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND u.refclassid <> 'pg_catalog.pg_class'::pg_catalog.regclass
UNION ALL SELECT 'w:' || p.polrelid || ':' || e.letter, 'p:' || p.oid FROM pg_catalog.pg_policy p CROSS JOIN events e
UNION ALL SELECT 'r:' || p.polrelid, 'p:' || p.oid FROM pg_catalog.pg_policy p
UNION ALL SELECT 'p:' || u.objid, u.to FROM uses u WHERE u.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
             AND u.refclassid <> 'pg_catalog.pg_class'::pg_catalog.regclass
UNION ALL SELECT 'w:' || inhparent || ':' || e.letter, 'w:' || inhrelid || ':' || e.letter
            FROM pg_catalog.pg_inherits CROSS JOIN (SELECT letter FROM events UNION ALL SELECT 'e') e
UNION ALL SELECT 'o:' || oid, 'f:' || oprcode::pg_catalog.oid FROM pg_catalog.pg_operator WHERE oid >= 16384
UNION ALL SELECT 'x', key FROM casts WHERE type < 16384 AND other < 16384
UNION ALL SELECT 'z:' || type, key FROM casts WHERE type >= 16384
UNION ALL SELECT 'r:' || a.attrelid, k.key FROM casts k JOIN pg_catalog.pg_attribute a ON a.atttypid = k.type WHERE k.type >= 16384 AND a.attnum > 0
UNION ALL SELECT 'w:' || a.attrelid || ':' || e.letter, k.key FROM casts k JOIN pg_catalog.pg_attribute a ON a.atttypid = k.type
            CROSS JOIN (VALUES ('i'), ('u'), ('e')) e (letter) WHERE k.type >= 16384 AND a.attnum > 0
UNION ALL SELECT 'k:' || oid, 'f:' || castfunc FROM pg_catalog.pg_cast WHERE oid >= 16384 AND castfunc <> 0
UNION ALL SELECT 'f:' || aggfnoid::pg_catalog.oid, 'f:' || f.oid FROM pg_catalog.pg_aggregate
            CROSS JOIN LATERAL (VALUES (aggtransfn::pg_catalog.oid), (aggfinalfn::pg_catalog.oid)) f (oid) WHERE aggfnoid::pg_catalog.oid >= 16384
UNION ALL SELECT 'y:' || oid, 'f:' || evtfoid FROM pg_catalog.pg_event_trigger";

/// Foreign keys that change or delete the rows that refer to those that are changed or deleted.
const KEYS: &str = "
SELECT 'g:' || k.oid || e.letter, 'w:' || k.confrelid || ':' || e.letter, 'foreign key ' || k.conname || ' of ' || c.relname, n.nspname::text, c.relname::text,
       'w:' || k.conrelid || CASE WHEN e.letter = 'd' AND k.confdeltype = 'c' THEN ':d' ELSE ':u' END
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN (VALUES ('d'), ('u')) e (letter)
 WHERE k.contype = 'f' AND CASE e.letter WHEN 'd' THEN k.confdeltype ELSE k.confupdtype END IN ('c', 'n', 'd')";

const ON_COMMANDS: &str = "
SELECT 'y:' || e.oid, e.evtevent::text, pg_catalog.array_to_string(e.evttags, ',')
  FROM pg_catalog.pg_event_trigger e
 WHERE e.evtenabled <> 'D' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass
                                            AND d.objid = e.oid AND d.deptype = 'e')";
