//! What `verify.sql` asks beside definitions: whatever else a schema holds of an object. How triggers fire, collations, identities,
//! comments, privileges, and all of what no definition tells of: rules, sequences, domains, partitions, extensions.
//!
//! What the script is to find is what is there now, where that is as it should be. Where it is not, it is known what must not
//! be found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{self, Asked, Id, Object, Present, Schema};
use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::{Failure, Session};
use serde_json::{Map, Value, json};

use super::script::{self, Block, LeftOut};
use crate::catalog;
use crate::secrets::Secrets;

/// What is said of each object, as the server says it.
#[derive(Debug, Default)]
pub(super) struct Beside {
    rows: BTreeMap<Id, Map<String, Value>>,
    /// The major version that the queries are for.
    major: u32,
    /// A query for each family of kinds that has objects.
    families: Vec<(&'static [ObjectKind], String)>,
}

/// Which attributes of a kind are asked for.
enum Keys {
    /// All but these.
    But(&'static [&'static str]),
    /// These alone.
    Only(&'static [&'static str]),
}

impl Keys {
    /// Of a family of kinds; nothing where the script asks nothing of them. Owners are whoever restores a database, and options
    /// of foreign servers may hold passwords.
    fn of(kinds: &[ObjectKind]) -> Option<Self> {
        Some(match kinds.first()? {
            ObjectKind::Table => Self::But(&[
                "owner",
                "row security",
                "force row security",
                "columns",
                "foreign options",
                "takes along",
                "triggers of parent",
            ]),
            ObjectKind::Column => Self::But(&["type", "not null", "foreign options"]),
            ObjectKind::Constraint | ObjectKind::Index | ObjectKind::Trigger => {
                Self::But(&["owner", "definition", "invalid"])
            }
            ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Function
            | ObjectKind::Procedure
            | ObjectKind::Policy => Self::Only(&["comment", "grants", "revoked"]),
            ObjectKind::Type => Self::But(&["owner", "values", "takes along"]),
            ObjectKind::Default
            | ObjectKind::Subscription
            | ObjectKind::ForeignDataWrapper
            | ObjectKind::ForeignServer
            | ObjectKind::UserMapping => return None,
            _ => Self::But(&["owner", "takes along"]),
        })
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::But(names) => !names.contains(&name),
            Self::Only(names) => names.contains(&name),
        }
    }

    /// As a condition on `base`.
    fn condition(&self) -> String {
        let (names, how) = match self {
            Self::But(names) => (names, "NOT IN"),
            Self::Only(names) => (names, "IN"),
        };
        let names: Vec<String> = names.iter().map(|name| quote_literal(name)).collect();
        format!("base {how} ({})", names.join(", "))
    }
}

/// Whether nothing else in the script says that one of these is not there.
fn must_be_there(kind: ObjectKind) -> bool {
    let tables = [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::Column];
    !tables.contains(&kind) && script::DEFINITIONS.iter().all(|(known, _)| *known != kind)
}

/// Objects with what is asked of them, by the name that the schema has for it. Privileges are those besides what everybody has from
/// the beginning.
fn found(query: &str, condition: &str) -> String {
    format!(
        "SELECT q.\"@kind\" AS kind, q.\"@schema\" AS schema, q.\"@part_of\" AS part_of, q.\"@name\" AS name, q.\"@arguments\" AS arguments,
    (SELECT coalesce(jsonb_object_agg(base, value), '{{}}') FROM (
       SELECT regexp_replace(k.key, '(\\[\\]|\\?|\\{{\\}})$', '') AS base, CASE WHEN k.key LIKE '%{{}}' THEN
           (SELECT coalesce(jsonb_agg(x ORDER BY x), '[]') FROM (
              SELECT jsonb_array_elements_text(CASE jsonb_typeof(k.value) WHEN 'array' THEN k.value ELSE '[]' END)
              EXCEPT SELECT jsonb_array_elements_text(CASE jsonb_typeof(o.value) WHEN 'array' THEN o.value ELSE '[]' END)) l(x))
         WHEN k.key LIKE '%?' THEN NULLIF(k.value, 'false') ELSE k.value END AS value
       FROM jsonb_each(to_jsonb(q)) k, LATERAL (SELECT to_jsonb(q) -> CASE WHEN k.key LIKE '%grants{{}}' THEN replace(k.key, 'grants{{}}', 'revoked{{}}')
              ELSE replace(k.key, 'revoked{{}}', 'grants{{}}') END) o(value)
       WHERE k.key !~ '^[@#]') e WHERE value NOT IN ('null', '[]') AND {condition}) AS said
  FROM (
{query}
) AS q (\"@kind\", \"@schema\", \"@part_of\", \"@name\", \"@arguments\")"
    )
}

/// Reads what is said of the objects of these kinds.
pub(super) async fn read(session: &mut Session, kinds: &BTreeSet<ObjectKind>) -> Result<Beside, Failure> {
    let (server_version, present) = (session.server_version_num(), Present::all());
    let asked = Asked { schemas: &[], server_version, present: &present };
    let mut beside = Beside { major: server_version / 10_000, ..Beside::default() };
    for (of, query) in schema::query_each(&asked) {
        let Some(keys) = Keys::of(of).filter(|_| of.iter().any(|kind| kinds.contains(kind))) else {
            continue;
        };
        let query = found(&query, &keys.condition());
        let [rows] = catalog::read_all(session, [&query]).await?;
        for row in rows {
            let mut fields = catalog::Fields::new(row);
            let Some(kind) = schema::by_word(&fields.text()) else { continue };
            let (schema, table) = (fields.optional().map(Into::into), fields.optional().map(Into::into));
            let (name, arguments) = (fields.text().into(), fields.optional().map(Into::into));
            let said = serde_json::from_str(&fields.text()).unwrap_or_default();
            beside.rows.insert(Id { kind, schema, table, name, arguments }, said);
        }
        beside.families.push((of, query));
    }
    Ok(beside)
}

impl Beside {
    /// A block for each family of kinds, and what is not to be shown.
    pub(super) fn blocks(
        &self,
        expected: &Schema,
        live: &Schema,
        secrets: &Secrets,
    ) -> (Vec<Block>, Vec<LeftOut>) {
        let (mut blocks, mut left_out) = (Vec::new(), Vec::new());
        for (kinds, query) in &self.families {
            let Some(keys) = Keys::of(kinds) else { continue };
            let mut wanted = Vec::new();
            for (id, object) in expected.objects.iter().filter(|(id, _)| kinds.contains(&id.kind)) {
                let Some(want) = self.wanted((id, object), &keys, live) else { continue };
                if script::shows(secrets, &want.to_string()) {
                    left_out.push(LeftOut::secret(&format!("what else is said of {id}")));
                } else {
                    wanted.push(want);
                }
            }
            if !wanted.is_empty() {
                blocks.push(self.block(kinds, query, &Value::Array(wanted)));
            }
        }
        (blocks, left_out)
    }

    /// What is to be found of an object, `e`, and what must not be, `w`; nothing where nothing is to be asked.
    fn wanted(&self, (id, object): (&Id, &Object), keys: &Keys, live: &Schema) -> Option<Value> {
        let must = must_be_there(id.kind);
        let here = live.get(id);
        let (mut expected, mut wrong) = (Map::new(), Map::new());
        if let (Some(said), Some(here)) = (self.rows.get(id), here) {
            expected.clone_from(said);
            let names = object.attributes.keys().chain(here.attributes.keys());
            let differs = |name: &str| object.attributes.get(name) != here.attributes.get(name);
            for name in names.filter(|name| keys.has(name) && differs(name)) {
                expected.remove(name.as_str());
                wrong.insert(name.to_string(), said.get(name.as_str()).cloned().unwrap_or(Value::Null));
            }
        } else if !must {
            return None;
        }
        // Nothing is known of what is said of it where it is not there.
        let known = here.is_some();
        Some(json!({
            "k": id.kind.word(), "i": [id.schema, id.table, id.name, id.arguments], "n": id.to_string(), "m": must, "known": known,
            "e": expected, "w": wrong,
        }))
    }

    fn block(&self, kinds: &[ObjectKind], query: &str, wanted: &Value) -> Block {
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        let name = format!("what else is said of each {}", words.join(" or "));
        let major = self.major;
        let mut body = String::new();
        let _ = write!(
            body,
            "    IF pg_catalog.current_setting('server_version_num')::int / 10000 <> {major} THEN
      unasked := 'it was made on PostgreSQL {major}';
    ELSE
      FOR r IN SELECT x.w, f.said FROM jsonb_array_elements({}::jsonb) x(w) LEFT JOIN (
{query}
      ) f ON f.kind = x.w ->> 'k' AND jsonb_build_array(f.schema, f.part_of, f.name, f.arguments) = x.w -> 'i'
      LOOP
        IF r.said IS NULL THEN
          IF (r.w ->> 'm')::boolean THEN said := pg_catalog.concat_ws('; ', said, (r.w ->> 'n') || ' is not there'); END IF;
          CONTINUE;
        END IF;
        SELECT pg_catalog.string_agg(pg_catalog.format('%s is %s, %s', d.key, coalesce(r.said ->> d.key, 'not set'),
            CASE WHEN r.w -> 'w' ? d.key THEN 'which is not what the applied migrations make'
                 ELSE 'expected ' || coalesce(r.w -> 'e' ->> d.key, 'that it is not set') END), ', ' ORDER BY d.key) INTO v
          FROM (SELECT jsonb_object_keys(r.said) UNION SELECT jsonb_object_keys(r.w -> 'e') UNION SELECT jsonb_object_keys(r.w -> 'w')) d(key)
         WHERE (r.w ->> 'known')::boolean AND CASE WHEN r.w -> 'w' ? d.key THEN coalesce(r.said -> d.key, 'null') = r.w -> 'w' -> d.key
               ELSE r.said -> d.key IS DISTINCT FROM r.w -> 'e' -> d.key END;
        IF v IS NOT NULL THEN said := pg_catalog.concat_ws('; ', said, (r.w ->> 'n') || ': ' || v); END IF;
      END LOOP;
    END IF;",
            quote_literal(&wanted.to_string())
        );
        script::block(name, &body)
    }
}
