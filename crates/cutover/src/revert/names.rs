//! What is called how on a throwaway server, by the numbers that PostgreSQL gives to objects: something that has another name
//! is the same all the same, with all that is in it.

use cutover_analysis::own_schemas;
use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::diff::{Change, What};
use cutover_analysis::effects::{ObjectKind, ObjectRef, SmolStr};
use cutover_analysis::schema::{Id, Schema, by_word};
use cutover_postgres::session::{Failure, Session};

use super::losses::Gone;
use crate::compare::rename::Rename;

/// Catalogue, number within it, and number of the column.
pub(super) type Key = (String, String, String);

/// What has a name.
#[derive(Debug, Clone)]
struct Named {
    id: Id,
    /// Its name follows that of a parent's.
    inherited: bool,
    /// The file that a table's rows are in.
    file: Option<String>,
}

/// All that can have another name, in all schemas but the system's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<Key, Named>);

/// Catalogue, number, column's number, kind, schema, table, name, whether it is inherited, the file of its rows.
const NAMES: &str = concat!(
    "
WITH relations AS (
    SELECT c.oid, c.relkind, c.relispartition, c.relname, n.nspname
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    "))
SELECT 'class', oid, 0, CASE relkind WHEN 'f' THEN 'foreign table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                     WHEN 'S' THEN 'sequence' ELSE 'table' END, nspname, NULL, relname, false, CASE WHEN relkind = 'r' THEN pg_catalog.pg_relation_filenode(oid) END
  FROM relations WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
UNION ALL
SELECT 'class', r.oid, 0, 'index', r.nspname, t.relname, r.relname, false, NULL
  FROM relations r JOIN pg_catalog.pg_index i ON i.indexrelid = r.oid JOIN relations t ON t.oid = i.indrelid
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = r.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'class', r.oid, a.attnum, 'column', r.nspname, r.relname, a.attname, a.attinhcount > 0, NULL
  FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
 WHERE r.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', k.oid, 0, 'constraint', r.nspname, r.relname, k.conname, k.coninhcount > 0, NULL
  FROM relations r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT 'trigger', t.oid, 0, 'trigger', r.nspname, r.relname, t.tgname, r.relispartition, NULL
  FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy', p.oid, 0, 'policy', r.nspname, r.relname, p.polname, false, NULL
  FROM relations r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 'type', t.oid, 0, CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, n.nspname, NULL, t.typname, false, NULL
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
 WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c') AND n.nspname !~ '^pg_'
   AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")
UNION ALL
SELECT 'schema', oid, 0, 'schema', NULL, NULL, nspname, false, NULL
  FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")"
);

impl Names {
    pub(crate) async fn read(session: &mut Session) -> Result<Self, Failure> {
        let rows = session.query_text(NAMES).await?.rows;
        Ok(Self(rows.into_iter().filter_map(named).collect()))
    }

    /// What is called so.
    fn key(&self, id: &Id) -> Option<&Key> {
        self.0.iter().find(|(_, named)| named.id == *id).map(|(key, _)| key)
    }

    /// How something is called here that has that name among others.
    fn of<'a>(&'a self, others: &Self, id: &Id) -> Option<&'a Id> {
        Some(&self.0.get(others.key(id)?)?.id)
    }

    /// Whether what has that name among others is here too, whatever it is called.
    pub(super) fn has(&self, others: &Self, id: &Id) -> bool {
        self.of(others, id).is_some()
    }

    /// What gives the names back that things had before; the schema is the one that these names are of. What stands in the way
    /// is put aside under a name of its own.
    pub(super) fn back_to(&self, before: &Self, schema: &Schema) -> Vec<Rename> {
        let schemas = |id: &Id| {
            let Some(name) = &id.schema else { return None };
            let namespace = Id::global(ObjectKind::Schema, name.clone());
            Some(before.of(self, &namespace).map_or_else(|| name.clone(), |id| id.name.clone()))
        };
        let renames = self.0.iter().filter_map(|(key, now)| {
            let then = before.0.get(key)?;
            let is_renamed = now.id.name != then.id.name && !now.inherited && !then.inherited;
            (is_renamed && schemas(&now.id) == then.id.schema && schema.objects.contains_key(&now.id))
                .then(|| Rename { object: now.id.clone(), to: then.id.name.clone() })
        });
        let mut renames: Vec<Rename> = renames.collect();
        let taken: Vec<Id> = renames
            .iter()
            .map(|rename| Id { name: rename.to.clone(), ..rename.object.clone() })
            .filter(|id| schema.objects.contains_key(id) && renames.iter().all(|other| other.object != *id))
            .collect();
        for (number, object) in taken.into_iter().enumerate() {
            renames.push(Rename { object, to: format!("cutover_aside_{}", number + 1).into() });
        }
        renames
    }

    /// What is in another schema than before, each with the one it was in, as that is called now; `sequences` or all else: those of
    /// columns go with their tables. The schema is the one that these names are of.
    pub(super) fn moved(&self, before: &Self, schema: &Schema, sequences: bool) -> Vec<(Id, SmolStr)> {
        let called = |name: &SmolStr| {
            let namespace = Id::global(ObjectKind::Schema, name.clone());
            self.of(before, &namespace).map_or_else(|| name.clone(), |id| id.name.clone())
        };
        let moved = self.0.iter().filter_map(|(key, now)| {
            use ObjectKind::{Domain, ForeignTable, MaterializedView, Sequence, Table, Type, View};
            let kinds = [Table, ForeignTable, View, MaterializedView, Type, Domain];
            let is_one = if sequences { now.id.kind == Sequence } else { kinds.contains(&now.id.kind) };
            let then = called(before.0.get(key)?.id.schema.as_ref()?);
            let is_moved = now.id.schema.as_ref() != Some(&then) && schema.objects.contains_key(&now.id);
            (is_one && is_moved).then(|| (now.id.clone(), then))
        });
        moved.collect()
    }

    /// What goes by changes from these names to others (`behind`, with what was there before), and holds something, perhaps, each as it is called `then`, when the way
    /// back begins. What has only another name does not go.
    pub(super) fn gone(
        &self,
        changes: &[Change],
        behind: Option<(&Self, &Schema)>,
        then: &Self,
    ) -> Vec<Gone> {
        let kinds = [ObjectKind::Table, ObjectKind::Column, ObjectKind::Sequence, ObjectKind::Extension];
        let stays = |id: &Id| behind.is_some_and(|(behind, _)| behind.has(self, id));
        let mut dropped: Vec<&Id> = changes
            .iter()
            .filter(|change| change.what == What::Dropped)
            .map(|change| &change.object)
            .filter(|id| kinds.contains(&id.kind) && !stays(id))
            .collect();
        // What is dropped and made anew by its name is another.
        let missing = behind.into_iter().flat_map(|(behind, before)| self.missing(behind, before));
        for id in missing.filter(|id| kinds.contains(&id.kind)) {
            if !dropped.contains(&id) {
                dropped.push(id);
            }
        }
        let with_table = |id: &Id| {
            let of = |table: &&Id| {
                table.kind == ObjectKind::Table
                    && Some(&table.name) == id.table.as_ref()
                    && table.schema == id.schema
            };
            dropped.iter().any(of)
        };
        let alone = dropped.iter().filter(|id| id.table.is_none() || !with_table(id));
        alone.map(|id| Gone { then: then.of(self, id).unwrap_or(id).clone(), ..self.one(id) }).collect()
    }

    /// What is here (`before` is all of that) and not there any more, whether there is another of that name or not.
    pub(super) fn missing<'a>(
        &'a self,
        behind: &'a Self,
        before: &'a Schema,
    ) -> impl Iterator<Item = &'a Id> {
        let missing = self.0.iter().filter(|(key, named)| {
            !named.inherited && !behind.0.contains_key(*key) && before.objects.contains_key(&named.id)
        });
        missing.map(|(_, named)| &named.id)
    }

    /// Something that is called so here.
    pub(super) fn one(&self, id: &Id) -> Gone {
        Gone { then: id.clone(), now: Some(id.clone()), key: self.key(id).cloned() }
    }

    /// Tables that are here and there and whose rows have been written anew in between, or thrown away, all of them.
    pub(super) fn rewritten<'a>(&'a self, behind: &'a Self) -> impl Iterator<Item = &'a Id> {
        self.0.iter().filter_map(|(key, named)| {
            let then = behind.0.get(key)?;
            (named.id.kind == ObjectKind::Table && named.file != then.file).then_some(&named.id)
        })
    }

    /// The relations of these numbers.
    pub(super) fn numbered<'a>(&'a self, numbers: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Id> {
        let key = |number: &String| ("class".to_owned(), number.clone(), "0".to_owned());
        numbers.iter().filter_map(move |number| Some(&self.0.get(&key(number))?.id))
    }

    /// All columns that a statement may mean by a name.
    pub(super) fn columns<'a>(&'a self, meant: &'a ObjectRef) -> impl Iterator<Item = &'a Id> {
        self.0.values().map(|named| &named.id).filter(move |id| {
            id.kind == ObjectKind::Column
                && id.name == meant.name
                && id.table == meant.table
                && (meant.schema.is_none() || id.schema == meant.schema)
        })
    }

    /// Finds what goes by ways back as it is called here, before any of them.
    pub(super) fn find<'a>(&self, gone: impl IntoIterator<Item = &'a mut Gone>) {
        for one in gone {
            if let Some(key) = &one.key {
                one.now = self.0.get(key).map(|named| named.id.clone());
            }
        }
    }
}

fn named(row: Vec<Option<String>>) -> Option<(Key, Named)> {
    let mut fields = row.into_iter();
    let mut next = || fields.next().flatten();
    let key = (next()?, next()?, next()?);
    let kind = by_word(&next()?)?;
    let (schema, table, name) = (next().map(Into::into), next().map(Into::into), next()?.into());
    let id = Id { kind, schema, table, name, arguments: None };
    Some((key, Named { id, inherited: next().as_deref() == Some("t"), file: next() }))
}
