//! What the analysis of statements can use of a database: tables with what decides about locks and work.
//!
//! A few plain queries in one snapshot, without expressions being printed but those of check constraints.

use cutover_analysis::own_schemas;
use std::collections::BTreeMap;

use cutover_analysis::effects::{
    CheckConstraint, Column, Context, DataType, Event, Follow, ForeignKey, Index, Name, Reaction, Relation,
    SmolStr,
};
use cutover_postgres::session::{Failure, Session};

use super::{Fields, read_all};

const RELATIONS: &str = concat!(
    "
SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relpersistence = 'u',
       c.relispartition AND pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT',
       (SELECT json_agg(a.attname ORDER BY k.at) FROM pg_partitioned_table p
         CROSS JOIN LATERAL unnest(p.partattrs::int2[]) WITH ORDINALITY k(attnum, at)
          LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.attnum AND k.attnum <> 0
         WHERE p.partrelid = c.oid AND c.relkind = 'p')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't'
   AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")"
);

const COLUMNS: &str = "
SELECT a.attrelid, a.attname, nullif(n.nspname, 'pg_catalog'), coalesce(e.typname, t.typname), a.atttypmod,
       e.oid IS NOT NULL, a.attnotnull,
       CASE WHEN a.attcollation <> t.typcollation THEN (SELECT collname FROM pg_collation WHERE oid = a.attcollation) END,
       a.attgenerated <> ''
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
  JOIN pg_namespace n ON n.oid = coalesce(e.typnamespace, t.typnamespace)
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace NOT IN ('pg_catalog'::regnamespace,
       (SELECT oid FROM pg_namespace WHERE nspname = 'information_schema'))
 ORDER BY a.attrelid, a.attnum";

const CONSTRAINTS: &str = "
SELECT k.conrelid, k.conname, k.contype, k.convalidated, k.confrelid,
       CASE k.contype WHEN 'c' THEN pg_get_constraintdef(k.oid) END,
       (SELECT string_agg(a.attname, E'\\n' ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY u (attnum, n)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
       (SELECT string_agg(a.attname, E'\\n' ORDER BY u.n) FROM unnest(k.confkey) WITH ORDINALITY u (attnum, n)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum),
       k.confdeltype, k.confupdtype
  FROM pg_constraint k WHERE k.conrelid <> 0 AND k.contype IN ('c', 'f')
   -- Not those that a key to a partitioned table has for each of its partitions.
   AND NOT EXISTS (SELECT FROM pg_constraint whole WHERE whole.oid = k.conparentid AND whole.conrelid = k.conrelid)
 ORDER BY k.conrelid, k.conname";

const INDEXES: &str = "
SELECT i.indrelid, c.relname,
       (SELECT string_agg(coalesce(a.attname, ''), E'\\n' ORDER BY u.n)
          FROM unnest(i.indkey) WITH ORDINALITY u (attnum, n)
          LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum AND u.attnum > 0
         WHERE u.n <= i.indnkeyatts),
       (SELECT string_agg(a.attname, E'\\n') FROM pg_attribute a
         WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND NOT a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
           AND (a.attnum = ANY (i.indkey) OR EXISTS (SELECT FROM pg_depend d
             WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
               AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum))),
       i.indexprs IS NOT NULL OR i.indpred IS NOT NULL,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')),
       i.indisprimary, i.indisunique,
       i.indisvalid AND NOT i.indisexclusion AND c.relam = (SELECT m.oid FROM pg_am m WHERE m.amname = 'btree')
         AND NOT EXISTS (SELECT FROM unnest(i.indoption::int2[]) o WHERE o <> 0)
         AND NOT EXISTS (SELECT FROM pg_opclass o WHERE o.oid = ANY (i.indclass) AND NOT o.opcdefault)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid ORDER BY i.indrelid, c.relname";

const PARENTS: &str = "SELECT inhrelid, inhparent FROM pg_inherits ORDER BY inhrelid, inhseqno";

const READ: &str = "
SELECT DISTINCT r.ev_class, d.refobjid FROM pg_rewrite r
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
 WHERE d.refobjid <> r.ev_class ORDER BY 1, 2";

const TYPED: &str = "
SELECT c.oid, n.nspname, t.typname FROM pg_class c
  JOIN pg_type t ON t.oid = c.reloftype JOIN pg_namespace n ON n.oid = t.typnamespace WHERE c.reloftype <> 0";

// Version 12 has no word for what a partition's trigger is a copy of, but calls such a trigger internal.
const REACTIONS: &str = "
SELECT t.tgrelid, t.tgname, false, t.tgtype & 1 <> 0, t.tgtype::int FROM pg_trigger t
 WHERE NOT t.tgisinternal AND coalesce((to_jsonb(t) ->> 'tgparentid')::oid, 0) = 0
UNION ALL
SELECT r.ev_class, r.rulename, true, false, CASE r.ev_type WHEN '3' THEN 4 WHEN '4' THEN 8 WHEN '2' THEN 16 ELSE 0 END
  FROM pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.ev_type <> '1'
 ORDER BY 1, 3, 2";

const STATISTICS: &str = "
SELECT s.stxrelid, n.nspname, s.stxname FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace ORDER BY 1, 2, 3";

const DOMAINS: &str = "
SELECT n.nspname, t.typname, t.typnotnull OR EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid)
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE t.typtype = 'd' AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

const SESSION: &str = "
SELECT current_setting('server_version_num')::int / 10000, current_setting('TimeZone') IN ('UTC', 'Etc/UTC', 'GMT')";

/// What is known of the database's tables. `search_path`: where the migrations' unqualified names are looked for.
///
/// # Errors
/// As the server says.
pub async fn context(session: &mut Session, search_path: Vec<String>) -> Result<Context, Failure> {
    let [relations, columns, constraints, indexes, parents, read, typed, reactions, statistics, domains, own] =
        read_all(
            session,
            [
                RELATIONS,
                COLUMNS,
                CONSTRAINTS,
                INDEXES,
                PARENTS,
                READ,
                TYPED,
                REACTIONS,
                STATISTICS,
                DOMAINS,
                SESSION,
            ],
        )
        .await?;
    let mut found = Found::default();
    for row in relations {
        let mut row = Fields::new(row);
        let oid = row.text();
        found.names.insert(oid.clone(), Name { schema: row.text().into(), name: row.text().into() });
        let (partitioned, unlogged, is_default) = (row.flag(), row.flag(), row.flag());
        // An expression has no name: then the key is not known.
        let key = row.optional().and_then(|key| serde_json::from_str::<Vec<Option<SmolStr>>>(&key).ok());
        let partition_key = key.and_then(|key| key.into_iter().collect::<Option<_>>()).unwrap_or_default();
        let relation = Relation {
            columns_known: true,
            partitioned,
            partition_key,
            unlogged,
            is_default,
            ..Relation::default()
        };
        found.relations.insert(oid, relation);
    }
    found.columns(columns);
    found.constraints(constraints);
    found.indexes(indexes);
    found.links(parents, |relation, other| relation.parents.push(other));
    found.links(read, |relation, other| relation.reads.push(other));
    for row in typed {
        let mut row = Fields::new(row);
        let Some(relation) = found.relations.get_mut(&row.text()) else { continue };
        relation.of_type = Some(Name { schema: row.text().into(), name: row.text().into() });
    }
    found.reactions(reactions);
    for row in statistics {
        let mut row = Fields::new(row);
        let Some(relation) = found.relations.get_mut(&row.text()) else { continue };
        relation.statistics.push(Name { schema: row.text().into(), name: row.text().into() });
    }
    let mut context = found.into_context();
    for row in domains {
        let mut row = Fields::new(row);
        context.domains.insert(Name { schema: row.text().into(), name: row.text().into() }, row.flag());
    }
    for row in own {
        let mut row = Fields::new(row);
        context.server_major = row.text().parse().unwrap_or(0);
        context.utc = Some(row.flag());
    }
    context.search_path = search_path;
    context.complete = true;
    Ok(context)
}

/// Relations by object id, while they are put together.
#[derive(Default)]
struct Found {
    names: BTreeMap<String, Name>,
    relations: BTreeMap<String, Relation>,
}

impl Found {
    fn columns(&mut self, rows: Vec<Vec<Option<String>>>) {
        for row in rows {
            let mut row = Fields::new(row);
            let Some(relation) = self.relations.get_mut(&row.text()) else { continue };
            let name = row.text();
            let (schema, type_name, modifier) =
                (row.optional(), row.text(), row.text().parse().unwrap_or(-1));
            let data_type = DataType {
                schema: schema.map(SmolStr::from),
                modifiers: modifiers(&type_name, modifier),
                name: type_name.into(),
                array: row.flag(),
            };
            relation.columns.push(Column {
                name: name.into(),
                data_type,
                not_null: row.flag(),
                collation: row.optional().map(SmolStr::from),
                generated: row.flag(),
            });
        }
    }

    fn constraints(&mut self, rows: Vec<Vec<Option<String>>>) {
        for row in rows {
            let mut row = Fields::new(row);
            let (oid, name, kind) = (row.text(), row.text(), row.text());
            let (valid, parent, definition) = (row.flag(), row.text(), row.text());
            let parent = self.names.get(&parent).cloned();
            let Some(relation) = self.relations.get_mut(&oid) else { continue };
            if kind == "c" {
                relation.checks.push(CheckConstraint::of_definition(name, &definition, valid));
            } else if let Some(parent) = parent {
                let (columns, parent_columns) = (names(&row.text()), names(&row.text()));
                let (on_delete, on_update) = (Follow::of_letter(&row.text()), Follow::of_letter(&row.text()));
                relation.foreign_keys.push(ForeignKey {
                    name: name.into(),
                    parent,
                    columns,
                    parent_columns,
                    on_delete,
                    on_update,
                });
            }
        }
    }

    fn indexes(&mut self, rows: Vec<Vec<Option<String>>>) {
        for row in rows {
            let mut row = Fields::new(row);
            let Some(relation) = self.relations.get_mut(&row.text()) else { continue };
            let name = row.text();
            let columns = row.text();
            let columns =
                columns.split('\n').map(|column| (!column.is_empty()).then(|| SmolStr::new(column)));
            let mut others = names(&row.text());
            others.sort();
            let (computed, constraint, primary) = (row.flag(), row.flag(), row.flag());
            let (unique, ordinary) = (row.flag(), row.flag());
            relation.indexes.push(Index {
                name: name.into(),
                columns: columns.collect(),
                others,
                computed,
                unique,
                ordinary,
                constraint,
                primary,
            });
        }
    }

    fn reactions(&mut self, rows: Vec<Vec<Option<String>>>) {
        for row in rows {
            let mut row = Fields::new(row);
            let Some(relation) = self.relations.get_mut(&row.text()) else { continue };
            let (name, is_rule, for_rows) = (row.text(), row.flag(), row.flag());
            let on = Event::of_bits(row.text().parse().unwrap_or(0));
            relation.reactions.push(Reaction { name: name.into(), is_rule, for_rows, on });
        }
    }

    fn links(&mut self, rows: Vec<Vec<Option<String>>>, add: impl Fn(&mut Relation, Name)) {
        for row in rows {
            let mut row = Fields::new(row);
            let (oid, other) = (row.text(), row.text());
            if let (Some(relation), Some(other)) = (self.relations.get_mut(&oid), self.names.get(&other)) {
                add(relation, other.clone());
            }
        }
    }

    fn into_context(self) -> Context {
        let Self { names, mut relations } = self;
        let mut context = Context::EMPTY;
        for (oid, name) in names {
            if let Some(relation) = relations.remove(&oid) {
                context.insert(&name, relation);
            }
        }
        context
    }
}

/// Names of columns, each on a line of its own.
fn names(lines: &str) -> Vec<SmolStr> {
    lines.split('\n').filter(|name| !name.is_empty()).map(SmolStr::new).collect()
}

/// A type's modifiers as they are written, from the one number that stores them; empty where there are none.
///
/// Source: `typmodout` functions of PostgreSQL's types.
fn modifiers(type_name: &str, stored: i32) -> Vec<i32> {
    if stored < 0 {
        return Vec::new();
    }
    match type_name {
        "varchar" | "bpchar" => vec![stored - 4],
        "numeric" => {
            let stored = stored - 4;
            // The scale has eleven bits, and a sign since version 15.
            let scale = ((stored & 0x7ff) ^ 1024) - 1024;
            vec![(stored >> 16) & 0xffff, scale]
        }
        _ => vec![stored],
    }
}
