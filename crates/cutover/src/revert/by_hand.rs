//! What none of the migrations makes and a way back takes along all the same: what it drops by name where it is there, what hangs
//! on that, what is attached to tables that go, and columns elsewhere that hold values of what goes.

use cutover_analysis::own_schemas;
use std::collections::BTreeSet;

use cutover_analysis::diff::What;
use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::schema::{Id, Schema, by_word};
use cutover_analysis::sql::quote_literal;

use super::RevertError;
use super::losses::{Found, Losses, holds_sql};
use super::rehearse::Way;
use crate::catalog::needing;

/// Something that is there: where PostgreSQL keeps it, and what it is called.
struct There {
    catalogue: String,
    number: String,
    column: String,
    id: Id,
}

impl Losses {
    /// What a down file drops by name that none of the migrations makes, and what goes with that.
    pub(super) async fn dropped_by_hand(
        &mut self,
        meant: &ObjectRef,
        way: &Way,
        there: &Schema,
        found: &mut Found,
    ) -> Result<(), RevertError> {
        if meant.kind == ObjectKind::Database {
            let name = quote_literal(&meant.name);
            let sql = format!("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {name})");
            if self.session.query_text(&sql).await?.scalar() == Some("t") {
                found.lost.push(format!("{meant} and all that is in it"));
            }
            return Ok(());
        }
        for one in self.named(meant).await? {
            let family = one.id.kind.family();
            let is_made = |id: &Id| {
                id.kind.family() == family
                    && id.name == one.id.name
                    && id.schema == one.id.schema
                    && (id.table.is_none() || one.id.table.is_none() || id.table == one.id.table)
            };
            let told = format!("{} and ", one.id);
            let is_told = found.lost.iter().any(|lost| lost.starts_with(&told));
            if there.objects.keys().any(is_made) {
                continue;
            }
            if !is_told {
                found.lost.push(format!("{}, which none of the migrations makes", one.id));
            }
            if way.cascades {
                for along in self.along(&one).await? {
                    found.lost.push(format!("{along}, which goes with {} by CASCADE", one.id));
                }
            }
        }
        Ok(())
    }

    /// All that a statement may mean by a name.
    async fn named(&mut self, meant: &ObjectRef) -> Result<Vec<There>, RevertError> {
        let family = meant.kind.family().word();
        let sql = format!(
            "WITH named AS ({NAMED}) SELECT catalogue, number, part, kind, namespace, of_table, name FROM named WHERE name = {} AND family = {}",
            quote_literal(&meant.name),
            quote_literal(family)
        );
        let rows = self.session.query_text(&sql).await?.rows;
        let all = rows.into_iter().filter_map(|row| {
            let mut fields = row.into_iter();
            let mut next = || fields.next().flatten();
            let (catalogue, number, column, kind) = (next()?, next()?, next()?, by_word(&next()?)?);
            let (schema, table, name) = (next().map(Into::into), next().map(Into::into), next()?.into());
            Some(There { catalogue, number, column, id: Id { kind, schema, table, name, arguments: None } })
        });
        let is_meant = |one: &There| {
            (meant.schema.is_none() || one.id.schema == meant.schema)
                && (meant.table.is_none() || one.id.table == meant.table)
        };
        Ok(all.filter(is_meant).collect())
    }

    /// What PostgreSQL drops with something, as far as people made it.
    async fn along(&mut self, one: &There) -> Result<Vec<String>, RevertError> {
        let There { catalogue, number, column, .. } = one;
        let sql = format!(
            "WITH RECURSIVE gone (classid, objid, objsubid) AS (
               SELECT 'pg_catalog.{catalogue}'::pg_catalog.regclass::pg_catalog.oid, {number}::pg_catalog.oid, {column}
               UNION
               SELECT x.* FROM gone g CROSS JOIN LATERAL (
                 SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d
                  WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
                 UNION ALL
                 SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d
                  WHERE d.classid = g.classid AND d.objid = g.objid AND d.objsubid = g.objsubid AND d.deptype = 'i') x)
             SELECT DISTINCT replace(i.type, 'table column', 'column') || ' ' || pg_catalog.regexp_replace(i.identity, '^public\\.', '')
               FROM gone g CROSS JOIN LATERAL pg_catalog.pg_identify_object(g.classid, g.objid, g.objsubid) i
              WHERE i.type IN ('table', 'table column', 'view', 'materialized view', 'foreign table', 'sequence', 'function', 'procedure', 'aggregate',
                               'trigger', 'policy', 'type', 'operator', 'cast', 'publication', 'event trigger', 'server', 'user mapping')
                AND (g.classid, g.objid) <> ('pg_catalog.{catalogue}'::pg_catalog.regclass::pg_catalog.oid, {number}::pg_catalog.oid)
                AND NOT (g.objsubid > 0 AND EXISTS (SELECT FROM gone w WHERE w.classid = g.classid AND w.objid = g.objid AND w.objsubid = 0))
                AND NOT (i.type = 'type' AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = g.classid AND d.objid = g.objid AND d.deptype IN ('i', 'a')))
              ORDER BY 1"
        );
        Ok(self.session.query_text(&sql).await?.rows.into_iter().flatten().flatten().collect())
    }

    /// What somebody attached to tables that go.
    pub(super) async fn attached(
        &mut self,
        way: &Way,
        there: &Schema,
        found: &mut Found,
    ) -> Result<(), RevertError> {
        let goes = |id: &Id| way.gone.iter().any(|gone| gone.now.as_ref() == Some(id));
        let tables = way.gone.iter().filter_map(|gone| gone.now.as_ref());
        let tables: Vec<Id> = tables.filter(|id| id.kind == ObjectKind::Table).cloned().collect();
        for table in tables {
            let sql = ATTACHED.replace("{table}", &quote_literal(&table.table_sql()));
            for row in self.session.query_text(&sql).await?.rows {
                let mut fields = row.into_iter().flatten();
                let (Some(word), Some(schema), Some(name)) = (fields.next(), fields.next(), fields.next())
                else {
                    continue;
                };
                let Some(kind) = by_word(&word) else { continue };
                let words = match kind {
                    ObjectKind::Partition => {
                        let part = Id::part(kind, schema.clone(), name.clone(), name.clone());
                        let partition = Id::new(ObjectKind::Table, schema, name);
                        if there.objects.contains_key(&part) || goes(&partition) {
                            continue;
                        }
                        format!("{partition}, which is a partition of {table} by now")
                    }
                    ObjectKind::Publication => {
                        let publication = Id::global(kind, name);
                        let (text, quoted) = (table.table_sql(), table.name_sql());
                        let is_known = there.get(&publication).is_some_and(|object| {
                            let lists = |one: &String| one.starts_with(&text) || one.starts_with(&quoted);
                            object.needs.contains(&table) || object.list("tables").iter().any(lists)
                        });
                        if is_known {
                            continue;
                        }
                        format!("that {table} is in {publication}, which none of the migrations says")
                    }
                    _ => {
                        let part = Id::part(kind, schema, table.name.clone(), name);
                        if there.objects.contains_key(&part) {
                            continue;
                        }
                        format!("{part}, which none of the migrations makes, with its table")
                    }
                };
                found.lost.push(words);
            }
        }
        Ok(())
    }

    /// What somebody made that needs what a way back drops, or a column whose type it changes: without CASCADE it fails there.
    pub(super) async fn in_the_way(
        &mut self,
        way: &Way,
        there: &Schema,
        gone: &BTreeSet<Id>,
    ) -> Result<Vec<String>, RevertError> {
        if way.cascades || !way.unknown.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = BTreeSet::new();
        for change in &way.changes {
            let is_typed = matches!(&change.what, What::Altered { attributes } if attributes.iter().any(|one| one.name == "type"));
            let id = &change.object;
            let is_gone = change.what == What::Dropped;
            let is_taken = match id.kind {
                ObjectKind::Column => is_typed || is_gone,
                ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView => is_gone,
                _ => false,
            };
            if !is_taken {
                continue;
            }
            let column = if id.kind == ObjectKind::Column { id.name.to_string() } else { String::new() };
            let asked = [(id.table_sql(), column)];
            for one in needing(&mut self.session, &asked).await? {
                if is_typed && !one.holds_types() {
                    continue;
                }
                let (needs, name) = (one.id, one.whole);
                let is_made = |known: &Id| {
                    known.kind.family() == needs.kind.family()
                        && known.name == needs.name
                        && known.schema == needs.schema
                        && known.table == needs.table
                };
                let of_table = |id: &Id| {
                    id.kind.family() == ObjectKind::Relation && id.schema == needs.schema && id.name == name
                };
                let goes = gone.iter().any(of_table)
                    || way.changes.iter().any(|one| one.what == What::Dropped && of_table(&one.object))
                    || way.drops.iter().any(|meant| meant.name == needs.name || meant.name == name);
                if !goes && !there.objects.keys().any(is_made) {
                    found.insert(format!("{needs}, which none of the migrations makes, needs {id}"));
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Columns elsewhere whose values have a column or an attribute within them that goes.
    pub(super) async fn within_values(&mut self, column: &Id, found: &mut Found) -> Result<(), RevertError> {
        let sql = format!(
            "WITH RECURSIVE uses (oid) AS (
               SELECT reltype FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass({})
               UNION
               SELECT t.oid FROM uses u, LATERAL (
                   SELECT oid FROM pg_catalog.pg_type WHERE typelem = u.oid
                   UNION ALL SELECT oid FROM pg_catalog.pg_type WHERE typbasetype = u.oid
                   UNION ALL SELECT rngtypid FROM pg_catalog.pg_range WHERE rngsubtype = u.oid
                   UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
                              WHERE a.atttypid = u.oid AND NOT a.attisdropped AND c.reltype <> 0) t)
             SELECT n.nspname::text, c.relname::text, a.attname::text
               FROM uses u JOIN pg_catalog.pg_attribute a ON a.atttypid = u.oid AND a.attnum > 0 AND NOT a.attisdropped
               JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm') JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              ORDER BY 1, 2, 3",
            quote_literal(&column.table_sql())
        );
        for row in self.session.query_text(&sql).await?.rows {
            let mut fields = row.into_iter().flatten();
            let (Some(schema), Some(table), Some(name)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let user = Id::part(ObjectKind::Column, schema, table, name);
            let question = holds_sql(&user).unwrap_or_default();
            if self.holds(&user, &question).await? {
                found.lost.push(format!("perhaps values in {user}, of whose type {column} is a part"));
            } else {
                found.emptied.push(user);
            }
        }
        Ok(())
    }
}

/// All that can be dropped by name.
const NAMED: &str = concat!(
    "
WITH spaces AS (SELECT oid, nspname::text FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")),
relations AS (SELECT c.oid, c.relkind, c.relname::text, s.nspname FROM pg_catalog.pg_class c JOIN spaces s ON s.oid = c.relnamespace),
usual (catalogue, number, kind, space, name) AS (
    SELECT 'pg_type', t.oid, CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, t.typnamespace, t.typname FROM pg_catalog.pg_type t
      LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid WHERE t.typtype IN ('e', 'd', 'r', 'b') AND t.typelem = 0 OR c.relkind = 'c'
    UNION ALL SELECT 'pg_proc', oid, CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, pronamespace, proname FROM pg_catalog.pg_proc
    UNION ALL SELECT 'pg_collation', oid, 'collation', collnamespace, collname FROM pg_catalog.pg_collation
    UNION ALL SELECT 'pg_conversion', oid, 'conversion', connamespace, conname FROM pg_catalog.pg_conversion
    UNION ALL SELECT 'pg_operator', oid, 'operator', oprnamespace, oprname FROM pg_catalog.pg_operator
    UNION ALL SELECT 'pg_opclass', oid, 'operator class', opcnamespace, opcname FROM pg_catalog.pg_opclass
    UNION ALL SELECT 'pg_opfamily', oid, 'operator family', opfnamespace, opfname FROM pg_catalog.pg_opfamily
    UNION ALL SELECT 'pg_statistic_ext', oid, 'statistics', stxnamespace, stxname FROM pg_catalog.pg_statistic_ext
    UNION ALL SELECT 'pg_ts_config', oid, 'text search configuration', cfgnamespace, cfgname FROM pg_catalog.pg_ts_config
    UNION ALL SELECT 'pg_ts_dict', oid, 'text search dictionary', dictnamespace, dictname FROM pg_catalog.pg_ts_dict),
plain (catalogue, number, kind, name) AS (
    SELECT 'pg_namespace', oid, 'schema', nspname FROM spaces
    UNION ALL SELECT 'pg_extension', oid, 'extension', extname FROM pg_catalog.pg_extension
    UNION ALL SELECT 'pg_foreign_server', oid, 'server', srvname FROM pg_catalog.pg_foreign_server
    UNION ALL SELECT 'pg_foreign_data_wrapper', oid, 'foreign data wrapper', fdwname FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_language', oid, 'language', lanname FROM pg_catalog.pg_language
    UNION ALL SELECT 'pg_publication', oid, 'publication', pubname FROM pg_catalog.pg_publication
    UNION ALL SELECT 'pg_event_trigger', oid, 'event trigger', evtname FROM pg_catalog.pg_event_trigger),
parts (catalogue, number, part, kind, relation, name) AS (
    SELECT 'pg_class', a.attrelid, a.attnum, 'column', a.attrelid, a.attname FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT 'pg_trigger', oid, 0, 'trigger', tgrelid, tgname FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'pg_policy', oid, 0, 'policy', polrelid, polname FROM pg_catalog.pg_policy
    UNION ALL SELECT 'pg_constraint', oid, 0, 'constraint', conrelid, conname FROM pg_catalog.pg_constraint WHERE conrelid <> 0 AND contype <> 'n'
    UNION ALL SELECT 'pg_rewrite', oid, 0, 'rule', ev_class, rulename FROM pg_catalog.pg_rewrite WHERE ev_type <> '1')
SELECT 'relation' AS family, 'pg_class' AS catalogue, oid AS number, 0 AS part,
       CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table'
                    WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END AS kind, nspname AS namespace, NULL AS of_table, relname AS name
  FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'i', 'I')
UNION ALL
SELECT CASE WHEN kind IN ('function', 'procedure', 'aggregate') THEN 'routine' WHEN kind = 'domain' THEN 'type' ELSE kind END, catalogue, number, 0, kind, s.nspname, NULL,
       name FROM usual JOIN spaces s ON s.oid = space
UNION ALL
SELECT kind, catalogue, number, 0, kind, NULL, NULL, name FROM plain
UNION ALL
SELECT kind, catalogue, number, part, kind, r.nspname, r.relname, name FROM parts JOIN relations r ON r.oid = relation WHERE r.relkind IN ('r', 'p', 'v', 'f', 'c')"
);

/// What is a table's, with kind, schema and name.
const ATTACHED: &str = "
WITH it AS (SELECT c.oid, n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = pg_catalog.to_regclass({table}) AND NOT c.relispartition)
SELECT 'column', nspname, attname::text FROM it JOIN pg_catalog.pg_attribute ON attrelid = oid WHERE attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'trigger', nspname, tgname FROM it JOIN pg_catalog.pg_trigger ON tgrelid = it.oid WHERE NOT tgisinternal
UNION ALL SELECT 'policy', nspname, polname FROM it JOIN pg_catalog.pg_policy ON polrelid = it.oid
UNION ALL SELECT 'rule', nspname, rulename FROM it JOIN pg_catalog.pg_rewrite ON ev_class = it.oid WHERE ev_type <> '1'
UNION ALL SELECT 'publication', it.nspname, p.pubname FROM it JOIN pg_catalog.pg_publication_rel r ON r.prrelid = it.oid JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
UNION ALL SELECT 'partition', n.nspname, c.relname FROM it JOIN pg_catalog.pg_inherits h ON h.inhparent = it.oid
            JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition";
