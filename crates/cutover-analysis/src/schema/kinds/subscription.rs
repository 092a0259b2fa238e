//! Subscriptions, without how they connect: that may hold a password and is not read, so that none can be made either.

use super::super::{Id, Object};
use super::making::{Change, Making, Place, Sql, World, by_word, hazards, text};
use super::query::{Row, comment, everything, flag, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::{quote_ident, quote_literal};

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Subscription], present: None, query, making: MAKING };

/// From here on everybody may read a subscription's number, and more of its options.
const WITH_NUMBERS: u32 = 140_000;

fn query(asked: &Asked<'_>) -> String {
    let numbered = asked.server_version >= WITH_NUMBERS;
    let mut attributes = vec![
        ("enabled?", flag("s.subenabled")),
        ("slot", "s.subslotname::text".to_owned()),
        (
            "publications[]",
            "(SELECT json_agg(quote_ident(p) ORDER BY p COLLATE \"C\") FROM unnest(s.subpublications) p)"
                .to_owned(),
        ),
        owner("s.subowner"),
    ];
    let ours = if numbered { not_a_member(asked, "pg_subscription", "s.oid") } else { "true".to_owned() };
    if numbered {
        attributes.push(("binary?", flag("s.subbinary")));
        attributes.push(("streaming", "NULLIF(left(s.substream::text, 1), 'f')".to_owned()));
        attributes.push(comment("pg_subscription", "s.oid"));
    }
    let number = if numbered { "s.oid" } else { "NULL" };
    Row {
        kind: "'subscription'",
        name: ["NULL", "NULL", "s.subname", "NULL"],
        addresses: &[("pg_subscription", number, "0")],
        attributes,
        // They belong to a database, but the catalogue is the server's.
        from: format!(
            "FROM pg_subscription s WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND {} AND {ours}",
            everything(asked),
        ),
    }
    .sql()
}

const MAKING: Making = Making { target: by_word, grantee: None, create, change, drop, remade: false };

fn create(_: &Id, _: &Object, _: &World<'_>) -> Vec<Sql> {
    Vec::new()
}

fn change(change: &mut Change<'_>) {
    let alter = format!("ALTER {}", by_word(change.id));
    if change.take("publications").is_some() {
        let publications = change.to.list("publications").join(", ");
        change.push(format!("{alter} SET PUBLICATION {publications} WITH (refresh = false)"));
    }
    if change.take("binary").is_some() {
        change.push(format!("{alter} SET (binary = {})", change.to.has("binary")));
    }
    if let Some((_, to)) = change.take("streaming") {
        let how = match text(to).as_deref() {
            Some("p") => "parallel",
            Some(_) => "on",
            None => "off",
        };
        change.push(format!("{alter} SET (streaming = {how})"));
    }
    if let Some((_, to)) = change.take("slot") {
        let slot = text(to).map_or_else(|| "NONE".to_owned(), |slot| quote_literal(&slot));
        change.push(format!("{alter} SET (slot_name = {slot})"));
    }
    if let Some((_, to)) = change.take("enabled") {
        change.push(format!("{alter} {}", if to.is_some() { "ENABLE" } else { "DISABLE" }));
    }
}

/// With a slot, that is dropped at the other server too, which no transaction can do; how far it was is lost with it.
fn drop(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let sql = Sql::new(format!("DROP SUBSCRIPTION {}", quote_ident(&id.name)));
    vec![if object.has("slot") { sql.at(Place::Outside).hazard(hazards::DATA_LOSS) } else { sql }]
}
