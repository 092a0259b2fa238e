//! The canonical text of a schema: one block an object, the same for equal schemas, made to be read and compared by lines.

use std::fmt::{self, Write as _};

use super::{Id, Object, Schema, TAKES_ALONG, Value};

impl Schema {
    /// The canonical text. It holds what the objects are, not which server or role read them, so that equal texts are equal
    /// schemas; its digest is the schema's fingerprint.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        let mut text = String::new();
        for (id, object) in &self.objects {
            // Writing to a string cannot fail.
            let _ = write_object(&mut text, id, object);
        }
        text
    }
}

fn write_object(text: &mut String, id: &Id, object: &Object) -> fmt::Result {
    writeln!(text, "{}", full(id))?;
    // What is outside of what was asked for is nothing of it.
    for (attribute, value) in object.attributes.iter().filter(|(attribute, _)| *attribute != TAKES_ALONG) {
        match value {
            Value::Flag(flag) => writeln!(text, "  {attribute}: {flag}")?,
            Value::Text(value) => writeln!(text, "  {attribute}: {}", indented(value))?,
            Value::List(list) => {
                writeln!(text, "  {attribute}:")?;
                for element in list {
                    writeln!(text, "  - {}", indented(element))?;
                }
            }
        }
    }
    Ok(())
}

/// The name with its schema, also where that is `public`: a fingerprint must not take one for the other.
fn full(id: &Id) -> String {
    let mut name = id.kind.word().to_owned();
    for part in [&id.schema, &id.table, &Some(id.name.clone()), &id.arguments].into_iter().flatten() {
        let _ = write!(name, " {part:?}");
    }
    name
}

/// Lines after the first begin so that none can be taken for an attribute or an object.
fn indented(value: &str) -> String {
    value.replace('\n', "\n    | ")
}
