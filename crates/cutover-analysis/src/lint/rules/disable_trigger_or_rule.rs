//! Triggers or rules that are switched off.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "disable-trigger-or-rule",
        severity: Severity::Warning,
        on: true,
        why: "What triggers and rules keep true, foreign keys among it, is not kept true while they are off, whoever writes.",
        safe: "leave them on and let the migration write what they would refuse in another way; else switch them on again in the same transaction and check the rows",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders DISABLE TRIGGER ALL;"),
            Example::of(
                "ALTER TABLE orders DISABLE TRIGGER USER; UPDATE orders SET a = 1; ALTER TABLE orders ENABLE TRIGGER USER;",
            ),
            Example::of("ALTER TABLE orders DISABLE TRIGGER orders_stamp;"),
            Example::of("ALTER TABLE orders DISABLE RULE orders_log;"),
            Example::of("SET session_replication_role = replica;"),
            Example::of("SET LOCAL session_replication_role TO 'replica';"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ENABLE TRIGGER ALL;"),
            Example::of("SET session_replication_role = DEFAULT; SET session_replication_role = 'origin';"),
            Example::of("CREATE TABLE orders (n int); ALTER TABLE orders DISABLE TRIGGER ALL;"),
            Example::of("ALTER TABLE orders DISABLE ROW LEVEL SECURITY;"),
            Example::of(
                "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT 1 $$ SET session_replication_role = 'origin';",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands().filter(|(_, table)| !site.is_new(table)) {
        let (name, table) = (command.name.as_str(), table.named());
        let what = match command.subtype() {
            Type::AtDisableTrig => format!("trigger {name} of {table} does"),
            Type::AtDisableRule => format!("rule {name} of {table} does"),
            Type::AtDisableTrigAll => format!("the triggers and foreign keys of {table} do"),
            Type::AtDisableTrigUser => format!("the triggers of {table} do"),
            _ => continue,
        };
        found.say(format!("nothing of what {what} is done from now on"));
    }
    let is_replica = |values: &Vec<String>| values.iter().any(|value| value.eq_ignore_ascii_case("replica"));
    let settings = site.effects.settings.iter().filter(|setting| setting.name == "session_replication_role");
    if settings.filter_map(|setting| setting.values.as_ref()).any(is_replica) {
        found.say("no trigger, rule or foreign key of any table works in this session from now on");
    }
}
