//! Which stages are reached, and what still waits.

use crate::history::records::History;
use crate::migration::Migration;
use crate::project::Project;

/// Which stages are reached, by index. With `up_to` all up to that one; otherwise by the history: a stage is reached
/// when all its migrations that are neither optional nor deferred are applied. A stage without such migrations is
/// reached with the last stage before it that has some.
pub fn reached(project: &Project, history: &History, up_to: Option<usize>) -> Vec<bool> {
    if let Some(last) = up_to {
        return (0..project.stages.len()).map(|stage| stage <= last).collect();
    }
    let mut before = true;
    let mut reached = Vec::with_capacity(project.stages.len());
    for stage in 0..project.stages.len() {
        let needed: Vec<&Migration> = project
            .migrations
            .iter()
            .filter(|migration| migration.stage == Some(stage) && !waits_on_purpose(migration, history))
            .collect();
        if !needed.is_empty() {
            before = needed.iter().all(|migration| history.get(&migration.id).is_some());
        }
        reached.push(before);
    }
    reached
}

fn waits_on_purpose(migration: &Migration, history: &History) -> bool {
    let claims = &migration.claims;
    history.get(&migration.id).is_none()
        && (claims.optional || claims.deferred || history.deferred.contains(&migration.id))
}

/// Why a migration is not applied, in words with its name; `None` when it is.
pub(crate) fn waiting(migration: &Migration, history: &History) -> Option<String> {
    if history.get(&migration.id).is_some() {
        return None;
    }
    let claims = &migration.claims;
    let why = if history.begun(&migration.id).is_some() {
        "begun and not finished"
    } else if claims.deferred || history.deferred.contains(&migration.id) {
        "deferred"
    } else if claims.optional {
        "optional and not applied"
    } else {
        "pending"
    };
    Some(format!("{} is {why}", migration.file_name()))
}
