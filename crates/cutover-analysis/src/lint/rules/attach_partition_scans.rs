//! A table that becomes a partition.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType as Type, PartitionCmd};

use super::{Look, Rule};
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, definition};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "attach-partition-scans",
        severity: Severity::Error,
        on: true,
        why: "ATTACH PARTITION reads all rows of the new partition, and of the default one, under ACCESS EXCLUSIVE, unless a valid CHECK proves where they belong.",
        safe: "a CHECK that says what the partition holds and that its key is NOT NULL, NOT VALID, VALIDATE it in another transaction, ATTACH PARTITION, drop the check",
        seen: &[Seen::Static, Seen::Catalogue, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"),
            Example::of("ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE TABLE events_2 (id bigint, at date);"),
            Example::of("ALTER TABLE events_2 ADD CONSTRAINT c CHECK (at >= '2025-01-01') NOT VALID; ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"),
            // A check of something else, and one that lets NULL through.
            Example::of("ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE TABLE events_2 (id bigint NOT NULL CHECK (id > 0), at date NOT NULL);"),
            Example::of("ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');").over("CREATE TABLE events (id bigint, at date) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE TABLE events_2 (id bigint, at date, CHECK (at >= '2025-01-01' AND at < '2026-01-01'));"),
            Example::of("CREATE TABLE events_2 (id bigint, at date); ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_rest PARTITION OF events DEFAULT; CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
        ],
        good: &[
            Example::of("CREATE TABLE events_2 (LIKE events); ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"),
            Example::of("ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE TABLE events_2 (id bigint NOT NULL, at date NOT NULL, CHECK (at >= '2025-01-01' AND at < '2026-01-01'));"),
            Example::of("ALTER TABLE events_2 ADD CONSTRAINT c CHECK (at >= '2025-01-01' AND at < '2026-01-01') NOT VALID;\n-- cutover: new-transaction\nALTER TABLE events_2 VALIDATE CONSTRAINT c;\n-- cutover: new-transaction\nALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"),
            Example::of("ALTER TABLE events ATTACH PARTITION events_2 DEFAULT;").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE TABLE events_2 (id bigint, at date);").with_empty(&["public.events_2"]),
            Example::of("ALTER INDEX events_at ATTACH PARTITION events_1_at;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, parent) in site.commands() {
        let Some(NodeEnum::PartitionCmd(attached)) = definition(command) else { continue };
        if command.subtype() == Type::AtAttachPartition {
            attach(attached, &parent, site, found);
        }
    }
}

fn attach(attached: &PartitionCmd, parent: &ObjectRef, site: &Site<'_>, found: &mut Found<'_>) {
    let Some(name) = &attached.name else { return };
    let part = names::relation(ObjectKind::Table, name);
    if is_read(&part, parent, true, site) {
        let part = part.named();
        found.say_at(name.location, format!("all rows of {part} are read while nobody can use it"));
    }
    let rest = site.known.default_partition(parent).filter(|rest| is_read(rest, parent, false, site));
    if let Some(rest) = rest.filter(|_| !site.is_new(parent)) {
        let (rest, part) = (rest.named(), part.named());
        let message = format!(
            "all rows of the default partition {rest} are read for those of {part} while nobody can use it"
        );
        let help = format!(
            "a CHECK on {rest} that excludes what {part} holds, NOT VALID, VALIDATE it in another transaction, ATTACH PARTITION"
        );
        found.advise(name.location, message, help);
    }
}

/// Whether the rows of a partition are read: to see that they belong there, or (not `is_in`) that none belongs elsewhere. How the
/// values of a check compare is for the server to say.
fn is_read(part: &ObjectRef, parent: &ObjectRef, is_in: bool, site: &Site<'_>) -> bool {
    let holders = site.known.holders(part, true);
    holders.iter().any(|one| !site.is_harmless_itself(one))
        && !site.known.may_prove_place(part, parent, is_in)
}
