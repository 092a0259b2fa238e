//! From the steps of a run to tasks of a schedule: what each needs and excludes, from the graph of the analysis, and
//! what only the server knows: tables with triggers, large tables, its parallel workers.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::graph::{Conflicts, Graph, Vertex};
use cutover_postgres::session::{Failure, Session};

use super::super::in_order::Work;
use super::super::step::Step;
use super::schedule::Task;
use crate::plan::graph;

/// What the server says.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// Workers it may give to the building of an index.
    maintenance: usize,
    /// Workers it may give to a query.
    query: usize,
    /// Names of tables that are large enough for it to use workers.
    large: BTreeSet<String>,
    /// Names of views.
    views: BTreeSet<String>,
    /// Names of routines that are not the server's own.
    routines: BTreeSet<String>,
}

const WORKERS: &str = "
SELECT least(current_setting('max_parallel_maintenance_workers')::int, current_setting('max_parallel_workers')::int),
       least(current_setting('max_parallel_workers_per_gather')::int, current_setting('max_parallel_workers')::int)";

/// By what is known of tables without asking for a lock on them, as `pg_relation_size` would: pages by the last ANALYZE or
/// index build, rows by the statistics (8 MB, from which workers are used, hold some 50,000 and more of them). Partitioned
/// tables count as their largest partition.
const LARGE: &str = "
WITH RECURSIVE large (oid) AS (
  SELECT oid FROM pg_catalog.pg_class
   WHERE relkind IN ('r', 'm')
     AND (relpages >= pg_catalog.pg_size_bytes(current_setting('min_parallel_table_scan_size'))
                      / current_setting('block_size')::int8
          OR pg_catalog.pg_stat_get_live_tuples(oid) >= 50000)
  UNION SELECT i.inhparent FROM large JOIN pg_catalog.pg_inherits i ON i.inhrelid = large.oid)
SELECT c.relname::text FROM large JOIN pg_catalog.pg_class c USING (oid)";

const VIEWS: &str =
    "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm') AND oid >= 16384";

const ROUTINES: &str = "SELECT proname::text FROM pg_catalog.pg_proc WHERE oid >= 16384";

impl Server {
    /// Asks on a session of our own, with its search path.
    ///
    /// # Errors
    /// As the server says.
    pub(super) async fn look(session: &mut Session) -> Result<Self, Failure> {
        let workers = session.query(WORKERS, &[]).await?;
        let number = |column: usize| {
            workers.first().map_or(0, |row| usize::try_from(row.get::<_, i32>(column)).unwrap_or(0))
        };
        let (maintenance, query) = (number(0), number(1));
        let (large, views, routines) =
            (names(session, LARGE).await?, names(session, VIEWS).await?, names(session, ROUTINES).await?);
        Ok(Self { maintenance, query, large, views, routines })
    }

    /// Processes it may put to work on a migration: one, and the parallel workers of what can use them.
    fn weight(&self, vertex: &Vertex) -> usize {
        let is_large = |object: &ObjectRef| self.large.contains(&object.name);
        let builds = vertex.work.iter().any(|(work, _)| is_large(&work.relation));
        let reads = vertex.reads.iter().any(is_large);
        let workers = [(builds, self.maintenance), (reads, self.query)];
        1 + workers.into_iter().filter(|(used, _)| *used).map(|(_, workers)| workers).max().unwrap_or(0)
    }
}

async fn names(session: &mut Session, sql: &str) -> Result<BTreeSet<String>, Failure> {
    Ok(session.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// The tasks of steps, in their order.
pub(super) fn of(work: &Work<'_>, steps: &[Step<'_>], server: &Server) -> Vec<Task> {
    let place: BTreeMap<usize, usize> =
        steps.iter().enumerate().map(|(number, step)| (step.index, number)).collect();
    let mut vertices = graph::vertices(work.project, &work.built.scripts);
    for (index, vertex) in vertices.iter_mut().enumerate() {
        if !place.contains_key(&index) {
            *vertex = Vertex::default();
        }
    }
    mark_alone(work, steps, server, &mut vertices);
    for vertex in &mut vertices {
        // A body may be looked through when its function is made.
        vertex.needs.append(&mut vertex.late);
    }
    let Conflicts { before, mut waits } = Conflicts::of(&vertices);
    let mut tasks: Vec<Task> = steps
        .iter()
        .map(|step| Task {
            before: BTreeSet::new(),
            waits: std::mem::take(&mut waits[step.index]),
            alone: vertices[step.index].alone.is_some(),
            small: step.may_be_pipelined() && !work.has_preconditions(step.index),
            weight: server.weight(&vertices[step.index]),
        })
        .collect();
    let needed = Graph::of(&vertices).edges.into_iter().map(|edge| (edge.from, edge.to));
    let excluded = before.into_iter().flatten().map(|conflict| (conflict.from, conflict.to));
    for (from, to) in needed.chain(excluded) {
        // What comes too late, or is not part of the run, is waited for by nobody.
        if let (Some(&from), Some(&to)) = (place.get(&from), place.get(&to))
            && to < from
        {
            tasks[from].before.insert(to);
        }
    }
    tasks
}

/// Says what is to have the database for itself. What may run beside others is listed, not what may not: it makes new
/// things, or changes tables by name. All else may matter to a migration that does not name it.
fn mark_alone(work: &Work<'_>, steps: &[Step<'_>], server: &Server, vertices: &mut [Vertex]) {
    let made = Made::by(steps, server);
    for step in steps {
        let vertex = &mut vertices[step.index];
        let why = if step.open_unit.is_some() || !step.has_no_units() {
            Some("an earlier run began it")
        } else if work.has_preconditions(step.index) {
            Some("what must hold before it is measured")
        } else {
            made.why_alone(step, vertex)
        };
        if let Some(why) = why {
            vertex.alone.get_or_insert_with(|| why.to_owned());
        }
    }
}

/// What is there, or comes to be there in the run.
struct Made<'a> {
    /// Views, those of the run too.
    views: BTreeSet<&'a str>,
    /// Views and routines that are there before the migration that makes them, or are made by several.
    replaced: BTreeSet<&'a str>,
    /// Places of the steps that make something without saying in which schema: at most two, to tell one from several.
    unqualified: Vec<usize>,
}

impl<'a> Made<'a> {
    fn by(steps: &'a [Step<'_>], server: &'a Server) -> Self {
        let mut views: BTreeSet<&str> = server.views.iter().map(String::as_str).collect();
        let mut known: BTreeSet<&str> = views.iter().copied().collect();
        known.extend(server.routines.iter().map(String::as_str));
        let mut replaced = BTreeSet::new();
        for object in steps.iter().flat_map(|step| &step.script.creates) {
            let is_view = matches!(object.kind, ObjectKind::View | ObjectKind::MaterializedView);
            if is_view {
                views.insert(&object.name);
            }
            if (is_view || object.kind.family() == ObjectKind::Routine) && !known.insert(&object.name) {
                replaced.insert(object.name.as_str());
            }
        }
        let unqualified = steps.iter().filter(|step| step.script.creates.iter().any(follows_the_path));
        Self { views, replaced, unqualified: unqualified.map(|step| step.index).take(2).collect() }
    }

    fn why_alone(&self, step: &Step<'_>, vertex: &Vertex) -> Option<&'static str> {
        let by_view = |read: &ObjectRef| self.views.contains(read.name.as_str());
        let makes_a_schema = vertex.creates.iter().any(|object| object.kind == ObjectKind::Schema);
        if makes_a_schema && self.unqualified.iter().any(|index| *index != step.index) {
            // One may be called as the role is, or stand in a search path of anybody's making.
            Some("others may make in its schema what they name without one")
        } else if vertex.unnamed {
            Some("a statement does not name what it works on")
        } else if !vertex.drops.is_empty() {
            Some("what it drops may have been in the way of others")
        } else if !vertex.writes.iter().all(|table| step.script.makes(table)) {
            Some("keys, triggers and checks may tie the rows that it writes to others")
        } else if vertex.reads.iter().any(by_view) {
            Some("it reads what a view shows")
        } else if !vertex.creates.iter().all(|object| self.is_new_and_plain(object)) {
            Some("what it makes may matter to those that do not name it")
        } else if !vertex.alters.iter().all(is_part_of_a_table) {
            Some("what it changes may matter to those that do not name it")
        } else {
            None
        }
    }

    /// Whoever needs it names it.
    fn is_new_and_plain(&self, object: &ObjectRef) -> bool {
        match object.kind {
            ObjectKind::Schema | ObjectKind::Type | ObjectKind::Domain | ObjectKind::Sequence => true,
            ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Function
            | ObjectKind::Procedure
            | ObjectKind::Aggregate => !self.replaced.contains(object.name.as_str()),
            _ => is_part_of_a_table(object),
        }
    }
}

/// Where it is made depends on which schemas of the search path there are.
fn follows_the_path(object: &ObjectRef) -> bool {
    let is_placed = matches!(
        object.kind,
        ObjectKind::Table
            | ObjectKind::Relation
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Sequence
            | ObjectKind::ForeignTable
            | ObjectKind::Type
            | ObjectKind::Domain
            | ObjectKind::Function
            | ObjectKind::Procedure
            | ObjectKind::Aggregate
    );
    is_placed && object.schema.is_none()
}

/// A table, or what belongs to one by name.
fn is_part_of_a_table(object: &ObjectRef) -> bool {
    matches!(
        object.kind,
        ObjectKind::Table
            | ObjectKind::Relation
            | ObjectKind::Column
            | ObjectKind::Constraint
            | ObjectKind::Index
            | ObjectKind::Statistics
            | ObjectKind::Trigger
            | ObjectKind::Policy
    )
}
