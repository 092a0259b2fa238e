//! What migrations need, lock and work on, as plans carry it: the graph of the analysis in words.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{LockMode, ObjectKind, ObjectRef, Work, WorkKind};
use cutover_analysis::graph::{Conflicts, Graph, LateFate, Vertex};

use super::{Dependency, LockSummary, Step, StepState, WorkSummary};
use crate::plan::select;
use crate::project::Project;
use crate::script::Script;

/// The vertices of a project's migrations, in their order; those whose files were not read have only their label and
/// what they declare.
pub fn vertices<'a>(project: &Project, scripts: &'a BTreeMap<usize, Script>) -> Vec<Cow<'a, Vertex>> {
    let label = labels(project);
    let vertex = |place: usize| {
        let read = scripts.get(&place).map(|script| Cow::Borrowed(&script.vertex));
        read.unwrap_or_else(|| {
            let mut vertex = Vertex::default();
            label(place, &mut vertex);
            Cow::Owned(vertex)
        })
    };
    (0..project.migrations.len()).map(vertex).collect()
}

/// Gives a vertex what it has from the project, by its place: what it is called, with its folder where there are several
/// (`core/0001`), and what it is declared to need.
pub(crate) fn labels(project: &Project) -> impl Fn(usize, &mut Vertex) {
    let several = project.has_several_folders();
    move |place, vertex| {
        let migration = &project.migrations[place];
        let label = super::label(&migration.path, &migration.id.version);
        vertex.label = if several { format!("{}/{label}", migration.id.root) } else { label };
        let required = migration.claims.requires.iter();
        vertex.requires =
            required.filter_map(|text| select::find(project, text).ok()).map(|(place, _)| place).collect();
    }
}

/// Fills in what each step needs, and what it must not run beside.
pub(super) fn describe(project: &Project, steps: &mut [Step], scripts: &BTreeMap<usize, Script>) {
    // The steps are all migrations, or none where there is nothing to do.
    if steps.len() != project.migrations.len() {
        return;
    }
    let vertices = vertices(project, scripts);
    let graph = Graph::of(&vertices);
    let id = |place: usize| project.migrations[place].id.clone();
    for edge in &graph.edges {
        let why = edge.why.iter().map(ToString::to_string).collect();
        steps[edge.from].needs.push(Dependency { migration: id(edge.to), why });
    }
    // What a file that was not read creates, nobody knows.
    let all_read = scripts.len() == project.migrations.len();
    let known = |fate: LateFate| all_read || fate != LateFate::NoMigration;
    for late in graph.late.iter().filter(|late| known(late.fate)) {
        let object = &late.reference.object;
        let fate = match late.fate {
            LateFate::Later(to) => format!("{} creates it later", vertices[to].label),
            LateFate::NoMigration => "no migration creates it".to_owned(),
        };
        steps[late.from].late.push(format!("{object} ({}): {fate}", late.reference.why));
    }
    mark_new(steps, scripts);
    for conflict in Conflicts::of(&vertices).before.into_iter().flatten() {
        let dependency = Dependency { migration: id(conflict.to), why: vec![conflict.why.into()] };
        steps[conflict.from].conflicts.push(dependency);
    }
}

/// Marks what concerns relations that a migration of the same run makes.
fn mark_new(steps: &mut [Step], scripts: &BTreeMap<usize, Script>) {
    let mut made = MadeBefore::default();
    for (place, step) in
        steps.iter_mut().enumerate().filter(|(_, step)| !matches!(step.state, StepState::Applied { .. }))
    {
        made.mark(&mut step.locks, &mut step.work);
        if let Some(script) = scripts.get(&place) {
            made.learn(script);
        }
    }
}

/// Names of the relations that migrations of the same run make.
#[derive(Debug, Default)]
pub(super) struct MadeBefore(BTreeSet<String>);

impl MadeBefore {
    /// Marks what concerns them.
    pub(super) fn mark(&self, locks: &mut [LockSummary], work: &mut [WorkSummary]) {
        for lock in locks {
            lock.new = self.0.contains(&lock.relation);
        }
        for work in work {
            work.new = self.0.contains(&work.relation);
        }
    }

    /// Adds those of the next migration.
    pub(super) fn learn(&mut self, script: &Script) {
        for object in script.creates.iter().filter(|object| object.kind.family() == ObjectKind::Relation) {
            self.0.insert(name(object));
            // Later files may name it by the search path.
            self.0.insert(object.name.to_string());
        }
    }
}

/// The name of a relation as people write it.
fn name(relation: &ObjectRef) -> String {
    let schema = relation.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
    format!("{schema}{}", relation.name)
}

/// What of the bodies of a script's functions is not known.
pub(super) fn unseen(script: &Script) -> Vec<String> {
    script.vertex.unseen.iter().map(|(why, line)| format!("line {line}: {why}")).collect()
}

/// The locks of a script on what others use, strongest first.
pub(super) fn locks(script: &Script) -> Vec<LockSummary> {
    let mut locks: Vec<_> = script.vertex.locks.iter().collect();
    locks.sort_by_key(|lock| std::cmp::Reverse(lock.mode));
    locks.iter().map(|lock| lock_summary(&lock.relation, lock.mode, lock.line)).collect()
}

/// A lock that the statement on this line takes, not yet said to be on what is new.
pub(super) fn lock_summary(relation: &ObjectRef, mode: LockMode, line: u32) -> LockSummary {
    LockSummary { relation: name(relation), mode: mode.sql().to_owned(), line, new: false }
}

/// The work of a script on tables that were there before it.
pub(super) fn work(script: &Script) -> Vec<WorkSummary> {
    script.vertex.work.iter().map(|(work, line)| work_summary(work, *line)).collect()
}

/// Work of the statement on this line, not yet said to be on what is new.
pub(super) fn work_summary(work: &Work, line: u32) -> WorkSummary {
    WorkSummary {
        relation: name(&work.relation),
        kind: match work.kind {
            WorkKind::Scan => "scan",
            WorkKind::Reindex => "reindex",
            WorkKind::Rewrite => "rewrite",
            WorkKind::Empty => "empty",
        }
        .to_owned(),
        sure: work.sure,
        why: work.why.clone(),
        line,
        new: false,
    }
}

/// Work in words; none where it is not felt: the table is new, or a query may read it, which is what queries do.
pub fn felt_work(work: &WorkSummary) -> Option<String> {
    if work.new || !work.sure && work.kind == "scan" {
        return None;
    }
    let may = if work.sure { "" } else { "may " };
    let what = match (work.kind.as_str(), work.sure) {
        ("scan", true) => "reads all of",
        ("scan", false) => "read all of",
        ("reindex", true) => "builds indexes anew of",
        ("reindex", false) => "build indexes anew of",
        ("rewrite", true) => "rewrites",
        ("rewrite", false) => "rewrite",
        _ => "empties",
    };
    let joint = if work.sure { ": " } else { " " };
    Some(format!("{may}{what} {}{joint}{}", work.relation, work.why))
}

/// What clients of the relation wait for while it is held; empty where nobody who reads or writes rows does.
pub fn who_waits(lock: &LockSummary) -> &'static str {
    match LockMode::ALL.into_iter().find(|mode| mode.sql() == lock.mode) {
        Some(mode) if mode.blocks_reads() => "reads and writes wait",
        Some(mode) if mode.blocks_writes() => "writes wait",
        _ => "",
    }
}
