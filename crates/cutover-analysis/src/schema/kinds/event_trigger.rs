//! Event triggers.

use super::query::{Row, comment, everything, not_a_member, owner, sorted};
use super::trigger::enabled;
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::EventTrigger], query };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'event trigger'",
        name: ["NULL", "NULL", "e.evtname", "NULL"],
        addresses: &[("pg_event_trigger", "e.oid", "0")],
        attributes: vec![
            ("event", "e.evtevent".to_owned()),
            ("function", "e.evtfoid::regproc".to_owned()),
            ("tags", sorted("e.evttags")),
            ("fires", enabled("e.evtenabled")),
            owner("e.evtowner"),
            comment("pg_event_trigger", "e.oid"),
        ],
        from: format!(
            "FROM pg_event_trigger e WHERE {} AND {}",
            everything(asked),
            not_a_member("pg_event_trigger", "e.oid")
        ),
    }
    .sql()
}
