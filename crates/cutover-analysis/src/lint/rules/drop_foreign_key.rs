//! A foreign key that goes.

use pg_query::protobuf::{AlterTableType as Type, ConstrType};

use super::{Look, Rule};
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "drop-foreign-key",
        severity: Severity::Warning,
        on: true,
        why: "Without the key rows may point to nothing, and to drop it locks the referenced table against everybody too.",
        safe: "see that nothing relies on it; a short transaction of its own, with a lock_timeout and further attempts",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;"),
            Example::of("ALTER TABLE orders DROP CONSTRAINT IF EXISTS fk_orders_customers CASCADE;"),
            Example::of("ALTER TABLE orders DROP CONSTRAINT \"FKrwl4gq5trh3q2v5ee5s6lmj5e\";"),
            Example::of("ALTER TABLE orders DROP CONSTRAINT owner;").over("CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE orders (by int CONSTRAINT owner REFERENCES people);"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT for_now_fk FOREIGN KEY (a) REFERENCES b NOT VALID; ALTER TABLE orders DROP CONSTRAINT for_now_fk;"),
            Example::of("ALTER TABLE orders DROP CONSTRAINT orders_total_check;"),
            Example::of("ALTER TABLE orders DROP CONSTRAINT total_fkey;").over("CREATE TABLE orders (total int CONSTRAINT total_fkey CHECK (total > 0));"),
            Example::of("ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey, ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE NOT VALID;"),
            Example::of("CREATE TABLE orders (customer_id int REFERENCES customers); ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let mut added = site.added_constraints();
    // One that takes its place keeps what it kept.
    if added.any(|(constraint, _)| constraint.contype() == ConstrType::ConstrForeign) {
        return;
    }
    for (command, table) in site.commands() {
        // One that the run has added itself nobody relies on.
        let constraint = names::part_of(ObjectKind::Constraint, &table, command.name.as_str());
        let is_new = site.is_new(&table) || site.known.is_made(&constraint);
        let is_drop = command.subtype() == Type::AtDropConstraint && !is_new;
        let Some(parent) =
            Some(&command.name).filter(|_| is_drop).and_then(|name| parent(name, &table, site))
        else {
            continue;
        };
        let table = table.named();
        found.say(format!(
            "rows of {table} may point to nothing from now on, and {parent} is locked against everybody"
        ));
    }
}

/// What a foreign key points to, in words; none for other constraints. Where the table is not known, names say what is usual.
fn parent(name: &str, table: &ObjectRef, site: &Site<'_>) -> Option<String> {
    let known = site.known.relation(table).filter(|known| known.columns_known);
    if let Some(known) = known {
        let key = known.foreign_keys.iter().find(|key| key.name == name)?;
        return Some(format!("{}.{}", key.parent.schema, key.parent.name));
    }
    let name = name.to_ascii_lowercase();
    let parts: Vec<&str> = name.split('_').collect();
    // Some tools write `fk` and a number in one word.
    let is_usual =
        name.starts_with("fk") || parts.iter().any(|part| matches!(*part, "fk" | "fkey" | "foreign"));
    is_usual.then(|| "the table that it points to".to_owned())
}
