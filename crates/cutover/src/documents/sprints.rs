//! The plan sprint by sprint, where stages are sprints.

use std::collections::BTreeSet;

use serde::Serialize;

use super::migrations::{MigrationNote, StageNote};
use super::tables::TableNote;

/// A sprint: a stage, what it needs from earlier ones, and the tables it makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct SprintNote {
    pub(super) stage: StageNote,
    pub(super) needs: Vec<SprintNeed>,
    pub(super) tables: Vec<TableNote>,
}

/// What a sprint needs from before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct SprintNeed {
    /// The migration that makes it; none where no file of the project does.
    pub(super) migration: Option<String>,
    /// The sprint that this one belongs to.
    pub(super) sprint: Option<String>,
    /// Why it is needed: reasons of the graph, or that the plan says so.
    pub(super) why: Vec<String>,
}

/// Whether any stage is a sprint.
pub(super) fn are_sprints(stages: &[StageNote]) -> bool {
    stages.iter().any(|stage| stage.kind.eq_ignore_ascii_case("sprint"))
}

pub(super) fn sprints(
    stages: &[StageNote],
    migrations: &[MigrationNote],
    tables: &[TableNote],
) -> Vec<SprintNote> {
    if !are_sprints(stages) {
        return Vec::new();
    }
    let note = |stage: &StageNote| {
        let members: Vec<&MigrationNote> =
            migrations.iter().filter(|one| stage.migrations.contains(&one.label)).collect();
        let own: BTreeSet<&str> = members.iter().map(|one| one.label.as_str()).collect();
        let mut needs: Vec<SprintNeed> = Vec::new();
        for need in
            members.iter().flat_map(|one| &one.needs).filter(|need| !own.contains(need.label.as_str()))
        {
            add(&mut needs, migrations, Some(&need.label), &need.why);
        }
        for object in &stage.uses {
            let name = object.trim_start_matches("table ").trim();
            let made =
                tables.iter().find(|table| table.name == name).and_then(|table| table.migration.as_deref());
            add(&mut needs, migrations, made, &[format!("uses {object}")]);
        }
        let made =
            tables.iter().filter(|table| table.migration.as_deref().is_some_and(|label| own.contains(label)));
        SprintNote { stage: stage.clone(), needs, tables: made.cloned().collect() }
    };
    stages.iter().map(note).collect()
}

/// One need a migration, with all its reasons.
fn add(needs: &mut Vec<SprintNeed>, migrations: &[MigrationNote], label: Option<&str>, why: &[String]) {
    let known =
        label.and_then(|label| needs.iter_mut().find(|need| need.migration.as_deref() == Some(label)));
    if let Some(known) = known {
        known.why.extend(why.iter().cloned());
        return;
    }
    let of = |label: &str| migrations.iter().find(|one| one.label == label);
    needs.push(SprintNeed {
        migration: label.map(str::to_owned),
        sprint: label.and_then(of).and_then(|one| one.stage.clone()),
        why: why.to_vec(),
    });
}
