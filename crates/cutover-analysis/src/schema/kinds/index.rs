//! Indexes that stand for themselves; those behind constraints are part of the constraint.

use super::super::{Id, Object};
use super::making::{Change, Making, Place, Sql, World, by_word, free_name, lists, text};
use super::query::{Row, comment, flag, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::{quote_ident, quote_literal, quote_qualified};

/// Indexes of partitioned tables can be made anew.
const WITH_REINDEX_OF_PARTITIONED: u32 = 140_000;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Index], present: None, query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'index'",
        name: ["n.nspname", "t.relname", "c.relname", "NULL"],
        addresses: &[("pg_class", "c.oid", "0")],
        attributes: vec![
            ("definition", "pg_get_indexdef(c.oid)".to_owned()),
            ("tablespace", "(SELECT ts.spcname FROM pg_tablespace ts WHERE ts.oid = c.reltablespace)".to_owned()),
            ("invalid?", flag("NOT x.indisvalid")),
            ("partition of", "CASE WHEN c.relispartition THEN (SELECT format('%I.%I', pn.nspname, p.relname) FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid) END".to_owned()),
            ("statistics[]", "(SELECT json_agg(a.attnum || ' ' || a.attstattarget ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0)".to_owned()),
            comment("pg_class", "c.oid"),
        ],
        from: format!(
            "FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relpersistence <> 't' AND t.relkind IN ('r', 'p', 'm') AND {}
               AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))",
            in_scope(asked),
            not_a_member(asked, "pg_class", "t.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target: by_word, grantee: None, create, change, drop, remade: true };

fn create(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let definition = object.text("definition").unwrap_or_default();
    let in_use = world.is_in_use(id) && !world.is_partitioned(id);
    let mut statements = vec![if in_use { concurrently(definition) } else { Sql::new(definition) }];
    if let Some(tablespace) = object.text("tablespace") {
        statements.push(Sql::new(format!(
            "ALTER {} SET TABLESPACE {}",
            by_word(id),
            quote_ident(tablespace)
        )));
    }
    for target in object.list("statistics") {
        statements.push(statistics(id, target));
    }
    if let Some(parent) = object.text("partition of") {
        statements.push(attach(id, parent));
    }
    statements
}

/// Without keeping writers out, outside a transaction.
fn concurrently(definition: &str) -> Sql {
    let (unique, rest) = match definition.strip_prefix("CREATE UNIQUE INDEX ") {
        Some(rest) => ("UNIQUE ", rest),
        None => ("", definition.strip_prefix("CREATE INDEX ").unwrap_or(definition)),
    };
    Sql::new(format!("CREATE {unique}INDEX CONCURRENTLY {rest}")).at(Place::Outside)
}

fn statistics(id: &Id, target: &str) -> Sql {
    let (column, value) = target.split_once(' ').unwrap_or((target, "-1"));
    Sql::new(format!("ALTER {} ALTER COLUMN {column} SET STATISTICS {value}", by_word(id)))
}

fn attach(id: &Id, parent: &str) -> Sql {
    Sql::new(format!("ALTER INDEX {parent} ATTACH PARTITION {}", id.name_sql())).late()
}

fn change(change: &mut Change<'_>) {
    if change.left.contains_key("definition") {
        replace_in_use(change);
        return;
    }
    if let Some((_, to)) = change.take("tablespace") {
        let tablespace = quote_ident(&text(to).unwrap_or_else(|| "pg_default".to_owned()));
        change.push(format!("ALTER {} SET TABLESPACE {tablespace}", by_word(change.id)));
    }
    if let Some((from, _)) = change.take("invalid") {
        let partitioned = change.world.is_partitioned(change.id);
        if from.is_some() && partitioned && change.world.from.server_version < WITH_REINDEX_OF_PARTITIONED {
            change.impossible.push(
                "it is not valid: indexes of its partitions are missing, and before PostgreSQL 14 no statement sees to that"
                    .to_owned(),
            );
        } else if from.is_some() {
            let sql = format!("REINDEX INDEX CONCURRENTLY {}", change.id.name_sql());
            change.statements.push(Sql::new(sql).at(Place::Outside));
        } else {
            change.impossible.push("an index is not made invalid".to_owned());
        }
    }
    if let Some(values) = change.take("statistics") {
        let (gone, new) = lists(values);
        let column = |target: &str| target.split(' ').next().unwrap_or_default().to_owned();
        for target in gone.iter().filter(|gone| !new.iter().any(|new| column(new) == column(gone))) {
            change.statements.push(statistics(change.id, &format!("{} -1", column(target))));
        }
        change.statements.extend(new.iter().map(|target| statistics(change.id, target)));
    }
    match change.left.get("partition of").copied() {
        Some((None, Some(parent))) => {
            change.take("partition of");
            change.statements.push(attach(change.id, &parent.text()));
        }
        // DETACH of its table has done it; with the parent's, of a table that stays where it is, it goes and is made anew.
        Some((Some(_), None)) if !change.world.comes_along(change.id) => {
            change.take("partition of");
        }
        _ => {}
    }
}

/// The new index is there before the old one goes, so that queries are never without one.
fn replace_in_use(change: &mut Change<'_>) {
    let (id, world) = (change.id, change.world);
    if !world.is_in_use(id)
        || world.is_partitioned(id)
        || change.to.has("partition of")
        || change.from.has("partition of")
    {
        return;
    }
    let new = free_name(&id.name, "__new", &|name| {
        let of_name = |other: &Id| other.name == name && other.schema == id.schema;
        [world.from, world.to].iter().any(|schema| schema.objects.keys().any(of_name))
    });
    let definition = change.to.text("definition").unwrap_or_default();
    let built = definition.replacen(
        &format!(" {} ON ", quote_ident(&id.name)),
        &format!(" {} ON ", quote_ident(&new)),
        1,
    );
    change
        .left
        .retain(|attribute, _| !["definition", "tablespace", "invalid", "statistics"].contains(attribute));
    change.statements.push(concurrently(&built));
    change.statements.extend(super::table::said_of_index(id, &new, world));
    // A column that has to go before takes it along.
    let goes_along = change
        .from
        .needs
        .iter()
        .any(|needed| needed.kind == ObjectKind::Column && !world.to.objects.contains_key(needed));
    let if_exists = if goes_along { "IF EXISTS " } else { "" };
    let sql = format!("DROP INDEX CONCURRENTLY {if_exists}{}", id.name_sql());
    change.statements.push(Sql::new(sql).at(Place::Outside));
    let schema = id.schema.as_deref().unwrap_or_default();
    change.push(format!("ALTER INDEX {} RENAME TO {}", quote_qualified(schema, &new), quote_ident(&id.name)));
    for target in change.to.list("statistics") {
        change.statements.push(statistics(id, target));
    }
    if let Some(comment) = change.to.text("comment") {
        change.push(format!("COMMENT ON {} IS {}", by_word(id), quote_literal(comment)));
    }
}

fn drop(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    // What a partition has from its parent goes with the parent's.
    if object.has("partition of") && (world.comes_along(id) || !world.was_there(id)) {
        return Vec::new();
    }
    if world.is_in_use(id) && !world.is_partitioned(id) {
        return vec![Sql::new(format!("DROP INDEX CONCURRENTLY {}", id.name_sql())).at(Place::Outside)];
    }
    vec![Sql::new(format!("DROP {}", by_word(id)))]
}
