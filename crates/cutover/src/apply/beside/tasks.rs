//! From the steps of a run to tasks of a schedule: what each needs and excludes, from the graph of the analysis, and
//! what only the server knows: tables with triggers, large tables, its parallel workers.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::ObjectRef;
use cutover_analysis::graph::{Conflicts, Graph, Vertex};
use cutover_postgres::session::{Failure, Session};

use super::super::in_order::Work;
use super::super::step::Step;
use super::schedule::Task;
use crate::plan::alone::Made;
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
        let is_large = |object: &ObjectRef| self.large.contains(object.name.as_str());
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
    let vertices = graph::vertices(work.project, &work.built.scripts);
    let mut vertices: Vec<Vertex> = vertices.into_iter().map(Cow::into_owned).collect();
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

/// Says what is to have the database for itself: what the files say ([`crate::plan::alone`]), and what this run knows.
fn mark_alone(work: &Work<'_>, steps: &[Step<'_>], server: &Server, vertices: &mut [Vertex]) {
    let made = Made::by(
        steps.iter().map(|step| (step.index, &step.script.vertex)),
        server.views.iter().map(String::as_str),
        server.routines.iter().map(String::as_str),
    );
    for step in steps {
        let vertex = &mut vertices[step.index];
        let why = if step.open_unit.is_some() || !step.has_no_units() {
            Some("an earlier run began it")
        } else if work.has_preconditions(step.index) {
            Some("what must hold before it is measured")
        } else if !work
            .project
            .migrations
            .get(step.index)
            .is_none_or(|migration| migration.kind.is_versioned())
        {
            Some("it stands behind all others of its folder, or for them")
        } else {
            made.why_alone(step.index, &step.script.vertex)
        };
        if let Some(why) = why {
            vertex.alone.get_or_insert_with(|| why.to_owned());
        }
    }
}
