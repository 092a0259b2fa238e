//! The tables that a run touched as a diagram: Mermaid and SVG, from the run's own document.

mod svg;

use std::fmt::Write as _;

use super::escape;
use crate::erd::Erd;
use crate::run::{EventKind, Run};

pub(crate) use svg::file;
pub(super) use svg::markup;

/// The diagram of a run; none where no table was touched, or what it left is not known.
pub(super) fn of(run: &Run) -> Option<&Erd> {
    run.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::SchemaLeft { erd } => erd.as_ref(),
        _ => None,
    })
}

/// The diagram in Mermaid's language, <https://mermaid.js.org/syntax/entityRelationshipDiagram.html>.
pub(crate) fn mermaid(erd: &Erd) -> String {
    let mut text = "erDiagram\n".to_owned();
    for table in &erd.tables {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    \"{}\" {{", entity(&table.name));
        for column in &table.columns {
            let is_foreign = table.references.iter().any(|key| key.columns.contains(&column.name));
            let keys: Vec<&str> = [("PK", column.primary), ("FK", is_foreign)]
                .iter()
                .filter(|(_, holds)| *holds)
                .map(|(word, _)| *word)
                .collect();
            let keys = if keys.is_empty() { String::new() } else { format!(" {}", keys.join(", ")) };
            let null = if column.not_null { "" } else { " \"null\"" };
            let _ = writeln!(text, "        {} {}{keys}{null}", word(&column.type_name), word(&column.name));
        }
        text += "    }\n";
    }
    for table in &erd.tables {
        for key in &table.references {
            let columns = key.columns.join(", ");
            let many = if key.unique { "|o" } else { "}o" };
            let one = if key.optional { "o|" } else { "||" };
            let _ = writeln!(
                text,
                "    \"{}\" {many}--{one} \"{}\" : \"{}\"",
                entity(&table.name),
                entity(&key.to),
                entity(&columns)
            );
        }
    }
    text
}

/// A name between quotes: there is no way to write a quote there.
fn entity(name: &str) -> String {
    escape::line(name).replace(['"', '`'], "'").replace('\\', "/")
}

/// A type or a column's name is one word of letters, digits and a few signs; everything else becomes `_`.
fn word(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '(' | ')' | '[' | ']');
    let word: String = text.chars().map(|c| if kept(c) { c } else { '_' }).collect();
    if word.starts_with(char::is_alphabetic) { word } else { format!("x{word}") }
}
