//! What earlier runs saw a statement outside a transaction fail with, and what the next run does about it, in words.

use cutover_analysis::effects::{Check, Retry};

use super::{Step, UnitFailure, UnitState};
use crate::history::records::History;
use crate::migration::MigrationId;
use crate::script::{Outside, Script};

/// What earlier runs made of one unit: where it stands, and the error it ended with where that was seen. A file that was
/// mended since an attempt that left nothing behind has another unit in its place: nothing is said of that one.
pub fn earlier(
    history: &History,
    id: &MigrationId,
    script: Option<&Script>,
    unit: usize,
) -> (UnitState, Option<UnitFailure>) {
    let part = script.and_then(|script| script.parts.list.get(unit));
    let outside = script.and_then(|script| script.units.get(unit)?.outside.as_ref());
    let is_it = |number: u32| usize::try_from(number) == Ok(unit);
    if let Some(failed) = history.failed(id).filter(|failed| is_it(failed.unit))
        && part.is_some_and(|part| part.digest == failed.digest)
    {
        let next = AS_IT_IS.to_owned();
        return (UnitState::Failed, Some(UnitFailure { next, ..failed.failure.clone() }));
    }
    let Some(begun) = history.begun(id) else { return (UnitState::Pending, None) };
    let row = begun.units.iter().find(|row| is_it(row.unit));
    let failure = row.and_then(|row| row.failure.clone()).map(|failure| {
        let next = after(outside, id);
        UnitFailure { next, ..failure }
    });
    (begun.state(unit), failure)
}

const AS_IT_IS: &str = "it is run again as it is";

/// What is done about a statement that failed and may have left something behind.
fn after(outside: Option<&Outside>, id: &MigrationId) -> String {
    match outside.map(|outside| &outside.retry) {
        Some(Retry::Idempotent) => AS_IT_IS.to_owned(),
        Some(Retry::Reindex(_) | Retry::Checkable(Check::IndexValid { .. })) => {
            "what it left behind is removed first, then it is run again".to_owned()
        }
        Some(Retry::Checkable(Check::PartitionDetached { .. })) => "it is finished".to_owned(),
        Some(Retry::Checkable(Check::IndexAbsent { .. })) => "what is left of it to do is done".to_owned(),
        _ => decide(id),
    }
}

/// What a person has to do about a statement of which nobody knows what is there.
pub(crate) fn decide(id: &MigrationId) -> String {
    format!(
        "look whether its effect is there, then say so with `cutover repair {version} --mark done` or `--mark not-done`",
        version = id.version
    )
}

/// What is known of a statement outside a transaction whose effect nobody knows: `CALL (part 2) …`.
pub(crate) fn open(what: &str, part: &str, failure: Option<&UnitFailure>) -> String {
    match failure {
        Some(failure) => {
            format!("{what} ({part}) {}, and what it did before that is not known", failure.happened())
        }
        None => format!("an earlier run began {what} ({part}) and never learned how it ended"),
    }
}

/// What is said of a step before it runs, one of whose statements failed in an earlier run.
pub(crate) fn of_step(step: &Step) -> Option<String> {
    let mut units = step.units.iter().zip(1..);
    let (what, number, failure) =
        units.find_map(|(unit, number)| Some((unit.why.as_deref()?, number, unit.failure.as_ref()?)))?;
    let part = if step.units.len() > 1 { format!(" (part {number})") } else { String::new() };
    Some(format!("{what}{part} {failure}"))
}
