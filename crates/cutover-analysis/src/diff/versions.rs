//! What a server is too old for: said, because its statements are refused there.

use super::Attribute;
use crate::effects::ObjectKind;
use crate::schema::{Id, Object};

/// What an object is made of that came with some version of PostgreSQL: in words, and the version.
fn features(id: &Id, object: &Object) -> Vec<(&'static str, u32)> {
    let definition = object.text("definition").unwrap_or_default();
    let says = |part: &str| definition.contains(part);
    let not_null = object.text("not null").unwrap_or("NOT NULL");
    let publishes = |part: &str| object.list("tables").iter().any(|table| table.contains(part));
    let all = match id.kind {
        ObjectKind::Type => vec![(object.has("multirange"), "a multirange with a name of its own", 14)],
        ObjectKind::Column => vec![
            (object.text("generated").is_some_and(|text| text.ends_with(" VIRTUAL")), "a virtual column", 18),
            (object.has("compression"), "how values are compressed", 14),
            (not_null != "NOT NULL", "NOT NULL with a name or as something else than usual", 18),
        ],
        ObjectKind::Constraint => vec![
            (says("NULLS NOT DISTINCT"), "NULLS NOT DISTINCT", 15),
            (says("ON DELETE SET NULL (") || says("ON DELETE SET DEFAULT ("), "columns of ON DELETE SET", 15),
            (says("WITHOUT OVERLAPS") || says("PERIOD "), "WITHOUT OVERLAPS and PERIOD", 18),
            (says("NOT ENFORCED"), "NOT ENFORCED", 18),
        ],
        ObjectKind::Index => vec![(says("NULLS NOT DISTINCT"), "NULLS NOT DISTINCT", 15)],
        ObjectKind::View => vec![(
            object.list("options").iter().any(|option| option.starts_with("security_invoker")),
            "security_invoker",
            15,
        )],
        ObjectKind::Function | ObjectKind::Procedure => {
            vec![(says("\nBEGIN ATOMIC") || says("\nRETURN "), "a body in SQL", 14)]
        }
        ObjectKind::Sequence => vec![(object.has("unlogged"), "an unlogged sequence", 15)],
        ObjectKind::Publication => vec![
            (object.has("via root"), "publish_via_partition_root", 13),
            (object.has("schemas"), "tables of whole schemas", 15),
            (publishes(" (") || publishes(" WHERE "), "columns and conditions", 15),
            (object.has("generated columns"), "publish_generated_columns", 18),
        ],
        _ => Vec::new(),
    };
    all.into_iter().filter(|(is, ..)| *is).map(|(_, words, major)| (words, major)).collect()
}

/// What the server is too old for, in words: of all of an object that is made, of what is new in one that is altered.
pub(super) fn too_new(
    id: &Id,
    from: Option<&Object>,
    to: &Object,
    attributes: &[Attribute],
    server_version: u32,
) -> Vec<String> {
    let major = server_version / 10_000;
    let old = from.map(|object| features(id, object)).unwrap_or_default();
    let is_new =
        |feature: &(&'static str, u32)| from.is_none() || !attributes.is_empty() && !old.contains(feature);
    let too_new = features(id, to).into_iter().filter(|(_, needed)| *needed > major).filter(is_new);
    let words = |(words, needed): (&str, u32)| {
        format!("{words}: that needs PostgreSQL {needed}, and a server of version {major} refuses it")
    };
    too_new.map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::too_new;
    use crate::effects::ObjectKind;
    use crate::schema::{Id, Object, Value};

    #[test]
    fn what_a_server_is_too_old_for_is_said() {
        let id = Id::part(ObjectKind::Constraint, "public", "t", "k");
        let of = |definition: &str| {
            let mut object = Object::default();
            object.attributes.insert("definition".into(), Value::Text(definition.to_owned()));
            object
        };
        let key = of("UNIQUE NULLS NOT DISTINCT (a)");
        let said = "NULLS NOT DISTINCT: that needs PostgreSQL 15, and a server of version 12 refuses it";
        assert_eq!(too_new(&id, None, &key, &[], 120_022), [said]);
        assert_eq!(too_new(&id, None, &key, &[], 150_000), [""; 0]);
        assert_eq!(too_new(&id, Some(&key), &key, &[], 120_022), [""; 0]);
        assert_eq!(too_new(&id, None, &of("UNIQUE (a)"), &[], 120_022), [""; 0]);
    }
}
