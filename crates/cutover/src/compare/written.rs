//! A difference as a migration file.

use cutover_analysis::diff::Diff;
use cutover_analysis::schema::Place;

use crate::text::visible;

/// The text of a migration that makes the first of the two into the second: statements with their hazards as comments, ended
/// transactions as directives, what it does not see to at its head. `from` and `to` are what the two are called.
#[must_use]
pub fn migration(found: &Diff, from: &str, to: &str) -> String {
    let mut text = format!("-- Makes {} into {}.\n", visible(from), visible(to));
    for left in &found.left {
        text += "-- Not seen to: ";
        text += &visible(&left.to_string());
        text.push('\n');
    }
    let mut ended = true;
    for statement in &found.statements {
        text.push('\n');
        if !statement.hazards.is_empty() {
            text += "-- hazard: ";
            text += &statement.hazards.join(", ");
            text.push('\n');
        }
        let begins_anew =
            matches!(statement.place, Place::NewTransaction | Place::Alone) || ended && text.contains(";\n");
        if begins_anew && statement.place != Place::Outside {
            text += "-- cutover: new-transaction\n";
        }
        text += &statement.text;
        text += ";\n";
        ended = statement.place == Place::Alone;
    }
    text
}
