//! What of models could not be read, or was not run, is not in no model: what is there and may be said by it is held against nothing,
//! and nothing is dropped for it. Pure.

use cutover_analysis::models::{Models, Place, Unsaid};
use cutover_analysis::schema::Schema;

use super::decide;
use super::model::{Difference, NotCompared};

/// What a remark about that begins with.
const HELD: &str =
    "what could not be read here may say it, so that it is in no model or otherwise is not known";

/// What is named of it at most.
const NAMED: usize = 12;

/// A place of the models of which nothing was made, and what it may say.
#[derive(Debug, Clone)]
pub(super) struct Unmade {
    pub(super) place: Place,
    pub(super) says: Unsaid,
}

/// Those that were known when the models were read.
pub(super) fn of(models: &Models) -> Vec<Unmade> {
    let anything = || Unsaid { anything: true, ..Unsaid::default() };
    let unread = models.unread.iter().map(|place| Unmade { place: place.clone(), says: anything() });
    let unsaid = models.unsaid.iter();
    unread.chain(unsaid.map(|(place, says)| Unmade { place: place.clone(), says: says.clone() })).collect()
}

impl Unmade {
    /// Whether it may be why something is otherwise.
    fn may_say(&self, difference: &Difference, adds: bool) -> bool {
        let is_among = |names: &[String]| names.iter().any(|name| is_of(difference, name));
        let may_be_it = self.says.a_table && difference.code == "table-without-model";
        is_among(&self.says.otherwise)
            || adds && (self.says.anything || may_be_it || is_among(&self.says.more))
    }
}

/// Takes out what may be said where nothing was read, and says so.
pub(super) fn hold_back(
    unmade: &[Unmade],
    (expected, there): (&Schema, &Schema),
    differences: &mut Vec<Difference>,
) -> Vec<NotCompared> {
    let mut held: Vec<(&Place, Vec<String>)> = unmade.iter().map(|one| (&one.place, Vec::new())).collect();
    differences.retain(|difference| {
        let subject = &difference.subject;
        let is_only_in_model = subject.model.is_some() && subject.there.is_none();
        let adds = adds(difference, (expected, there));
        let may_say = |one: &Unmade| !is_only_in_model && one.may_say(difference, adds);
        let Some(at) = unmade.iter().position(may_say) else { return true };
        if let Some((_, names)) = held.get_mut(at) {
            names.push(named(difference));
        }
        false
    });
    let some = held.into_iter().filter(|(_, names)| !names.is_empty());
    some.map(|(place, names)| NotCompared {
        path: place.path.clone(),
        line: place.line,
        what: format!("{HELD}: {}", listed(&names)),
    })
    .collect()
}

/// Those of what is not compared that were held back here.
pub(super) fn held(not_compared: &[NotCompared]) -> Vec<NotCompared> {
    not_compared.iter().filter(|one| one.what.starts_with(HELD)).cloned().collect()
}

/// Whether there is more than the models say.
fn adds(difference: &Difference, (expected, there): (&Schema, &Schema)) -> bool {
    // What is a key takes no NULL.
    let is_key = || {
        let column = difference.subject.model.as_ref().and_then(|id| expected.get(id));
        difference.code == "column-null" && column.is_some_and(|column| !column.has("not null"))
    };
    decide::only_there(difference).is_some()
        || !decide::values_only_there(difference, expected, there).is_empty()
        || is_key()
}

/// Whether a difference is of the table or type of that name, in whatever schema.
fn is_of(difference: &Difference, name: &str) -> bool {
    let rest = difference.table.strip_suffix(name);
    rest.is_some_and(|schema| schema.is_empty() || schema.ends_with('.'))
}

/// What a difference is about, as decisions name it where they can.
fn named(difference: &Difference) -> String {
    decide::only_there(difference).map_or_else(
        || {
            let column = difference.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
            format!("{} of {}{column}", difference.code, difference.table)
        },
        decide::drop_name,
    )
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}
