//! A partition that is taken away.

use pg_query::NodeEnum;
use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::effects::{ObjectKind, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, definition};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "detach-partition-locks",
        severity: Severity::Error,
        on: true,
        why: "DETACH PARTITION takes ACCESS EXCLUSIVE on the partitioned table: nobody can use any of its partitions until the transaction ends.",
        safe: "DETACH PARTITION … CONCURRENTLY, in a migration of its own (from version 14 on, without a default partition)",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE events DETACH PARTITION events_1;"),
            Example::of("DO $$ BEGIN ALTER TABLE IF EXISTS app.events DETACH PARTITION app.events_1; END $$;"),
            Example::of("ALTER TABLE events DETACH PARTITION events_1;").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
        ],
        good: &[
            Example::of("ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY;"),
            Example::of("ALTER TABLE events DETACH PARTITION events_1 FINALIZE;"),
            Example::of("ALTER TABLE events DETACH PARTITION events_1;")
                .over("CREATE TABLE events (id bigint) PARTITION BY RANGE (id); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);")
                .with_empty(&["public.events", "public.events_1"]),
            Example::of("ALTER INDEX events_at ATTACH PARTITION events_1_at;"),
            Example::of("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); ALTER TABLE events DETACH PARTITION events_1;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, parent) in site.commands() {
        let Some(NodeEnum::PartitionCmd(detached)) = definition(command) else { continue };
        if command.subtype() != Type::AtDetachPartition || detached.concurrent || site.is_harmless(&parent) {
            continue;
        }
        let part = detached.name.as_ref().map(|name| names::relation(ObjectKind::Table, name).named());
        let message = format!(
            "nobody can use {} until the transaction ends that takes {} away",
            parent.named(),
            part.unwrap_or_default()
        );
        let is_too_old = (1..14).contains(&site.known.major());
        if is_too_old || site.known.default_partition(&parent).is_some() {
            // PostgreSQL knows no CONCURRENTLY before 14, and refuses it where there is a default partition.
            found.advise(
                -1,
                message,
                "a short transaction of its own, with a lock_timeout and further attempts",
            );
        } else {
            found.say(message);
        }
    }
}
