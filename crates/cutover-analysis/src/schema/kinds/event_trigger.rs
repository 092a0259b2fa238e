//! Event triggers.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, by_word, plain_drop, text};
use super::query::{Row, comment, everything, not_a_member, owner, sorted};
use super::trigger::enabled;
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_literal;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::EventTrigger], present: Some("pg_event_trigger"), query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'event trigger'",
        name: ["NULL", "NULL", "e.evtname", "NULL"],
        addresses: &[("pg_event_trigger", "e.oid", "0")],
        attributes: vec![
            ("event", "e.evtevent".to_owned()),
            ("function", "e.evtfoid::regproc".to_owned()),
            ("tags[]", sorted("e.evttags")),
            ("fires", enabled("e.evtenabled")),
            owner("e.evtowner"),
            comment("pg_event_trigger", "e.oid"),
        ],
        from: format!(
            "FROM pg_event_trigger e WHERE {} AND {}",
            everything(asked),
            not_a_member(asked, "pg_event_trigger", "e.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let tags: Vec<String> = object.list("tags").iter().map(|tag| quote_literal(tag)).collect();
    let when = if tags.is_empty() { String::new() } else { format!(" WHEN TAG IN ({})", tags.join(", ")) };
    let (event, function) =
        (object.text("event").unwrap_or_default(), object.text("function").unwrap_or_default());
    let mut statements =
        vec![Sql::new(format!("CREATE {} ON {event}{when} EXECUTE FUNCTION {function}()", by_word(id)))];
    if let Some(how) = object.text("fires") {
        statements.push(Sql::new(format!("ALTER {} {how}", by_word(id))));
    }
    statements
}

fn change(change: &mut Change<'_>) {
    if ["event", "function", "tags"].iter().any(|attribute| change.left.contains_key(attribute)) {
        return;
    }
    if let Some((_, to)) = change.take("fires") {
        change.push(format!(
            "ALTER {} {}",
            by_word(change.id),
            text(to).unwrap_or_else(|| "ENABLE".to_owned())
        ));
    }
}
