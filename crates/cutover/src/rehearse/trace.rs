//! What statements do, seen while they do it: event triggers say what is made, changed, dropped and written anew, by whatever
//! code; the session's own locks and counters say the rest. Nothing of it is stored in the database: event triggers speak in
//! notices, which also come where the statement fails.

use std::collections::HashMap;

use cutover_analysis::effects::LockMode;
use cutover_postgres::session::{Failure, ServerMessage, Session};
use serde::Deserialize;

use super::model::{Object, Wrote};

/// What makes a notice one of ours.
const CODE: &str = "CUTTR";

/// Makes the event triggers, past those that the database has itself. In a schema of their own, which is not there when catalogues are compared: see [`REMOVE`].
pub(super) const INSTALL: &str = r#"
SET session_replication_role = replica;
CREATE SCHEMA cutover_trace;
GRANT USAGE ON SCHEMA cutover_trace TO PUBLIC;
CREATE FUNCTION cutover_trace.command() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET client_min_messages = notice AS $$
DECLARE seen text;
BEGIN
    SELECT json_agg(json_build_array(command_tag, object_type, object_identity, in_extension))::text INTO seen
      FROM pg_event_trigger_ddl_commands();
    IF seen IS NOT NULL THEN
        RAISE NOTICE USING ERRCODE = 'CUTTR', MESSAGE = '{"did":' || seen || '}';
    END IF;
END $$;
CREATE FUNCTION cutover_trace.dropped() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET client_min_messages = notice AS $$
DECLARE seen text;
BEGIN
    SELECT json_agg(json_build_array(object_type, object_identity, original))::text INTO seen
      FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary AND object_identity IS NOT NULL;
    IF seen IS NOT NULL THEN
        RAISE NOTICE USING ERRCODE = 'CUTTR', MESSAGE = '{"dropped":' || seen || '}';
    END IF;
END $$;
CREATE FUNCTION cutover_trace.rewritten() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET client_min_messages = notice AS $$
BEGIN
    RAISE NOTICE USING ERRCODE = 'CUTTR',
        MESSAGE = json_build_object('rewritten', pg_event_trigger_table_rewrite_oid()::int8)::text;
END $$;
CREATE EVENT TRIGGER cutover_trace_command ON ddl_command_end EXECUTE FUNCTION cutover_trace.command();
CREATE EVENT TRIGGER cutover_trace_dropped ON sql_drop EXECUTE FUNCTION cutover_trace.dropped();
CREATE EVENT TRIGGER cutover_trace_rewritten ON table_rewrite EXECUTE FUNCTION cutover_trace.rewritten();
RESET session_replication_role;
"#;

/// Takes them away again.
pub(super) const REMOVE: &str = "
SET session_replication_role = replica; DROP EVENT TRIGGER IF EXISTS cutover_trace_command; DROP EVENT TRIGGER IF EXISTS cutover_trace_dropped;
DROP EVENT TRIGGER IF EXISTS cutover_trace_rewritten; DROP SCHEMA IF EXISTS cutover_trace CASCADE";

/// What a notice of ours says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Notice {
    /// Command tag, kind, identity, in a script of an extension.
    Did(Vec<(String, Option<String>, Option<String>, bool)>),
    /// Kind, identity, whether it was named.
    Dropped(Vec<(String, String, bool)>),
    Rewritten(u32),
}

/// What event triggers said of a statement.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) created: Vec<Object>,
    pub(super) altered: Vec<Object>,
    pub(super) dropped: Vec<Object>,
    /// Those of them that were named, not taken along.
    pub(super) dropped_by_name: Vec<Object>,
    /// Object numbers.
    pub(super) rewritten: Vec<u32>,
}

impl Said {
    /// Reads what is ours among notices.
    pub(super) fn of(notices: &[ServerMessage]) -> Self {
        let mut said = Self::default();
        for notice in notices.iter().filter(|notice| notice.code == CODE) {
            match serde_json::from_str(&notice.message) {
                Ok(Notice::Did(all)) => all.into_iter().for_each(|one| said.did(one)),
                Ok(Notice::Dropped(all)) => {
                    for (kind, name, named) in all {
                        let object = Object { kind, name };
                        if named {
                            said.dropped_by_name.push(object.clone());
                        }
                        said.dropped.push(object);
                    }
                }
                Ok(Notice::Rewritten(oid)) => said.rewritten.push(oid),
                Err(error) => {
                    tracing::debug!(%error, message = %notice.message, "a notice of the trace cannot be read");
                }
            }
        }
        for list in [&mut said.created, &mut said.altered] {
            let mut seen = std::collections::HashSet::new();
            list.retain(|object| seen.insert(object.clone()));
        }
        let created = said.created.clone();
        said.altered.retain(|object| !created.contains(object));
        said
    }

    fn did(&mut self, (tag, kind, name, of_extension): (String, Option<String>, Option<String>, bool)) {
        if of_extension {
            return;
        }
        // Grants and default privileges name no object, or no kind that is one.
        let (Some(kind), Some(name)) = (kind, name) else { return };
        if name.starts_with("pg_temp.") {
            // It goes with the session.
            return;
        }
        let object = Object { kind: kind.to_lowercase(), name };
        let makes = tag.starts_with("CREATE ") || tag == "SELECT INTO" || tag == "IMPORT FOREIGN SCHEMA";
        if makes { self.created.push(object) } else { self.altered.push(object) }
    }
}

/// A relation, as it was when it was last looked at.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// Schema and name, quoted where they must be.
    pub(super) name: String,
    /// The same as they are stored.
    pub(super) stored: (String, String),
    /// `pg_class.relkind`.
    pub(super) kind: String,
    file: i64,
}

impl Relation {
    /// What clients name in queries.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p" | "v" | "m" | "f")
    }

    fn is_index(&self) -> bool {
        matches!(self.kind.as_str(), "i" | "I")
    }
}

/// The relations of a database by their numbers.
#[derive(Debug, Default)]
pub(super) struct Relations {
    known: HashMap<u32, Relation>,
    /// Those up to this number were there before the migration at hand.
    pub(super) newest: u32,
}

impl Relations {
    /// Reads those that have come since, or all.
    pub(super) async fn read(&mut self, session: &mut Session, all: bool) -> Result<(), Failure> {
        let rows = session.query_text(&Self::query(if all { 0 } else { self.newest })).await?.rows;
        if all {
            self.known.clear();
        }
        self.take(rows);
        Ok(())
    }

    /// The text that reads those above a number.
    pub(super) fn query(from: u32) -> String {
        format!(
            "SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.relkind,
                    c.relfilenode, n.nspname, c.relname
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE c.oid > {from} AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'cutover_trace')"
        )
    }

    /// Takes note of what that gave.
    pub(super) fn take(&mut self, rows: Vec<Vec<Option<String>>>) {
        for row in rows {
            let [Some(oid), Some(name), Some(kind), file, Some(schema), Some(plain)] = row.as_slice() else {
                continue;
            };
            let Ok(oid) = oid.parse() else { continue };
            let file = file.as_deref().and_then(|file| file.parse().ok()).unwrap_or_default();
            let stored = (schema.clone(), plain.clone());
            self.known.insert(oid, Relation { name: name.clone(), stored, kind: kind.clone(), file });
            self.newest = self.newest.max(oid);
        }
    }

    /// The one of this number.
    pub(super) fn get(&self, oid: u32) -> Option<&Relation> {
        self.known.get(&oid)
    }

    /// The number of the one of this name.
    pub(super) fn by_name(&self, schema: &str, name: &str) -> Option<u32> {
        let is_it = |relation: &Relation| relation.stored.0 == schema && relation.stored.1 == name;
        self.known.iter().find(|(_, relation)| is_it(relation)).map(|(oid, _)| *oid)
    }

    /// The table of this name, as it is shown.
    pub(super) fn tables_called(&self, name: &str) -> Option<&Relation> {
        self.known.values().find(|relation| relation.name == name)
    }
}

/// A lock or counters of a relation: number, mode, file, scans, rows inserted, updated, deleted.
type Row = (u32, String, Option<i64>, i64, i64, i64, i64);

/// The text that looks at what the session's transaction holds of what was there before.
pub(super) fn look(newest: u32) -> String {
    format!(
        "SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(l.relation::pg_catalog.int8, l.mode, c.relfilenode::pg_catalog.int8,
                coalesce(pg_catalog.pg_stat_get_xact_numscans(l.relation), 0), coalesce(pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation), 0),
                coalesce(pg_catalog.pg_stat_get_xact_tuples_updated(l.relation), 0), coalesce(pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation), 0))), '[]')
           FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
          WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
            AND l.relation >= 16384 AND l.relation <= {newest}"
    )
}

/// What a transaction holds and has counted, as far as it was looked at.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub(super) locks: HashMap<u32, LockMode>,
    pub(super) counts: HashMap<u32, [i64; 4]>,
    /// What was counted in a transaction may be counted still in the next one.
    pub(super) keeps_counts: bool,
}

/// What came with a statement.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// Locks that were not held, or not so strong.
    pub(super) locks: Vec<(u32, LockMode)>,
    /// Indexes with another file.
    pub(super) rebuilt: Vec<String>,
    /// Tables and materialized views with another file.
    pub(super) rewritten: Vec<String>,
    pub(super) scanned: Vec<String>,
    pub(super) wrote: Vec<Wrote>,
    /// Numbers of those with another file that were not emptied.
    pub(super) anew: Vec<u32>,
    /// Numbers of tables that are not there any more.
    pub(super) gone: Vec<u32>,
}

impl Holding {
    /// The strongest mode in which a relation is held.
    pub(super) fn mode(&self, oid: u32) -> Option<LockMode> {
        self.locks.get(&oid).copied()
    }

    /// The transaction has ended.
    pub(super) fn release(&mut self) {
        self.locks.clear();
        if !self.keeps_counts {
            self.counts.clear();
        }
    }

    /// Takes note of what a look has seen, and gives what is new.
    pub(super) fn take(&mut self, seen: &str, relations: &mut Relations) -> Came {
        let rows: Vec<Row> = serde_json::from_str(seen).unwrap_or_default();
        let mut came = Came::default();
        for (oid, mode, file, scans, inserted, updated, deleted) in rows {
            let Some(relation) = relations.known.get_mut(&oid) else { continue };
            if let Some(mode) = LockMode::ALL.into_iter().find(|known| known.in_catalogue() == mode) {
                let held = self.locks.get(&oid).copied();
                if held.is_none_or(|held| held < mode) {
                    self.locks.insert(oid, mode);
                    came.locks.retain(|(other, weaker)| *other != oid || *weaker > mode);
                    came.locks.push((oid, mode));
                }
            }
            if file.is_none()
                && matches!(relation.kind.as_str(), "r" | "p" | "m")
                && !came.gone.contains(&oid)
            {
                came.gone.push(oid);
            }
            let (mut is_anew, mut has_new_file) = (false, false);
            if let Some(file) = file.filter(|file| *file != relation.file) {
                relation.file = file;
                if relation.is_index() {
                    came.rebuilt.push(relation.name.clone());
                } else if matches!(relation.kind.as_str(), "r" | "m") {
                    came.rewritten.push(relation.name.clone());
                    // Who empties a table reads nothing of it; the rows of a materialized view come from elsewhere.
                    is_anew = relation.kind == "m";
                    has_new_file = true;
                }
            }
            let now = [scans, inserted, updated, deleted];
            let before = self.counts.insert(oid, now).unwrap_or_default();
            // It was handed over meanwhile.
            let before =
                if now.iter().zip(before).any(|(now, before)| *now < before) { [0; 4] } else { before };
            if is_anew || has_new_file && now[0] > before[0] {
                came.anew.push(oid);
            }
            // A relation that is held in several modes comes several times, with one and the same count.
            if now == before || !matches!(relation.kind.as_str(), "r" | "p" | "m") {
                continue;
            }
            if now[0] > before[0] {
                came.scanned.push(relation.name.clone());
            }
            let more = |at: usize| u64::try_from(now[at] - before[at]).unwrap_or_default();
            let wrote =
                Wrote { table: relation.name.clone(), inserted: more(1), updated: more(2), deleted: more(3) };
            if wrote.inserted + wrote.updated + wrote.deleted > 0 {
                came.wrote.push(wrote);
            }
        }
        came.locks.sort_by(|one, other| {
            let name = |oid: u32| relations.get(oid).map(|relation| relation.name.clone());
            name(one.0).cmp(&name(other.0))
        });
        came
    }
}
