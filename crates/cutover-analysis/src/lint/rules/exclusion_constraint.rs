//! An exclusion constraint on a table that is there.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "exclusion-constraint",
        severity: Severity::Error,
        on: true,
        why: "An exclusion constraint builds its index under ACCESS EXCLUSIVE, and there is neither NOT VALID nor USING INDEX for it.",
        safe: "make a new table with the constraint, copy the rows, and swap the two",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE bookings ADD CONSTRAINT one_guest EXCLUDE USING gist (room WITH =, stay WITH &&);"),
            Example::of("ALTER TABLE bookings ADD EXCLUDE (room WITH =) WHERE (open);"),
        ],
        good: &[
            Example::of("CREATE TABLE bookings (room int, stay tsrange, EXCLUDE USING gist (stay WITH &&));"),
            Example::of("CREATE TABLE bookings (room int); ALTER TABLE bookings ADD EXCLUDE (room WITH =);"),
            Example::of("ALTER TABLE orders ADD EXCLUDE (total WITH =);").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
            Example::of("ALTER TABLE bookings ADD CONSTRAINT u UNIQUE USING INDEX i;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for added in site.all_added() {
        let is_one = added.constraint.contype() == ConstrType::ConstrExclusion;
        if is_one && !site.is_harmless(&added.table) {
            let table = added.table.named();
            let message =
                format!("nobody can use {table} until the index of the exclusion constraint is built");
            found.say_at(added.constraint.location, message);
        }
    }
}
