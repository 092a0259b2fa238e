//! Constraints that are added without looking at the rows, and looked at in another transaction.

use std::collections::BTreeSet;

use pg_query::protobuf::{AlterTableType as Type, ConstrType, Constraint};

use super::text::{Words, not_found};
use super::{Fix, Mended, Step};
use crate::effects::{ObjectRef, names, walk};
use crate::lint::finding::Finding;
use crate::lint::rules::{in_sql, listed};
use crate::lint::site::Site;
use crate::sql::quote_ident;

/// The constraint that a finding is about, with its table, where it is an action of its own in ALTER TABLE.
fn found<'a>(site: &Site<'a>, finding: &Finding) -> Result<(&'a Constraint, ObjectRef), String> {
    let is_meant = |(constraint, _): &(&Constraint, _)| {
        usize::try_from(constraint.location).is_ok_and(|at| at == finding.offset)
    };
    let of_column = "it stands with a new column: add the column first, and the constraint by itself";
    site.added_constraints().find(is_meant).ok_or_else(|| of_column.to_owned())
}

/// `… NOT VALID`, and `VALIDATE CONSTRAINT` in another transaction.
pub(super) fn not_valid(site: &Site<'_>, finding: &Finding) -> Mended {
    let (constraint, table) = found(site, finding)?;
    let is_key = constraint.contype() == ConstrType::ConstrForeign;
    if is_key && site.known.is_partitioned(&table) && site.known.major() < 18 {
        return Err(
            "its table is partitioned, and before 18 such a table has no foreign keys that are NOT VALID"
                .to_owned(),
        );
    }
    let words = Words::from(&site.statement.text, finding.offset);
    let end = words.end_of_element().ok_or_else(not_found)?;
    let mut fix = Fix::new("adds the constraint as NOT VALID, and validates it in another transaction")
        .edit(end..end, " NOT VALID");
    let mut name = constraint.conname.clone();
    if name.is_empty() {
        name = chosen(site, constraint, &table)?;
        fix = fix.edit(finding.offset..finding.offset, format!("CONSTRAINT {} ", quote_ident(&name)));
    }
    let validate =
        format!("ALTER TABLE {}{} VALIDATE CONSTRAINT {}", only(site), in_sql(&table), quote_ident(&name));
    fix.after.push(Step::anew(validate));
    Ok(fix)
}

/// `IF EXISTS` and `ONLY`, where the statement says them.
fn only(site: &Site<'_>) -> &'static str {
    match (is_perhaps(site), site.has_heirs()) {
        (false, true) => "",
        (false, false) => "ONLY ",
        (true, true) => "IF EXISTS ",
        (true, false) => "IF EXISTS ONLY ",
    }
}

/// Whether the statement lets its table be missing.
fn is_perhaps(site: &Site<'_>) -> bool {
    site.alter_table().is_some_and(|(alter, _)| alter.missing_ok)
}

/// The name that PostgreSQL would choose. Source: `ChooseConstraintName` and its callers.
fn chosen(site: &Site<'_>, constraint: &Constraint, table: &ObjectRef) -> Result<String, String> {
    let unknown =
        || "it has no name, and which one PostgreSQL would choose is not known: give it one".to_owned();
    let known = site.known.relation(table).ok_or_else(unknown)?;
    let name = if constraint.contype() == ConstrType::ConstrForeign {
        let columns: Vec<&str> = constraint.fk_attrs.iter().filter_map(names::text).collect();
        names::made_for_column(&table.name, &columns.join("_"), "fkey")
    } else {
        let columns = walk::columns(&constraint.raw_expr);
        // A row as a whole is no column.
        let is_column = |name: &crate::effects::SmolStr| known.columns.iter().any(|one| one.name == *name);
        if !known.columns_known || !columns.iter().all(is_column) {
            return Err(unknown());
        }
        // Of one that has no name in the text no more is known.
        let nameless = names::made_for_column(&table.name, "", "check");
        if known.checks.iter().any(|check| check.columns == columns && check.name == nameless) {
            return Err(unknown());
        }
        match columns.as_slice() {
            [one] => names::made_for_column(&table.name, one, "check"),
            _ => names::made_for_table(&table.name, "check"),
        }
    };
    let beside = site.added_constraints().filter(|(other, _)| other.conname.is_empty()).count();
    let keys = known.foreign_keys.iter().map(|key| &key.name);
    let indexes = known.indexes.iter().map(|index| &index.name);
    let taken = keys.chain(known.checks.iter().map(|check| &check.name)).chain(indexes);
    if beside > 1 || taken.into_iter().any(|other| *other == name) {
        return Err(unknown());
    }
    Ok(name)
}

/// A CHECK as NOT VALID, validated in another transaction: SET NOT NULL then looks at no row.
pub(super) fn not_null(site: &Site<'_>, _: &Finding) -> Mended {
    let Some((_, table)) = site.commands().next() else { return Err(not_found()) };
    let known = site.known.relation(&table);
    let target = format!("{}{}", only(site), in_sql(&table));
    let (mut added, mut dropped, mut validated) = (Vec::new(), Vec::new(), Vec::new());
    let mut columns = BTreeSet::new();
    for (command, _) in site.commands() {
        if command.subtype() != Type::AtSetNotNull {
            return Err(
                "the statement does other things too: write SET NOT NULL as one of its own".to_owned()
            );
        }
        let column = &command.name;
        if !columns.insert(column) {
            continue;
        }
        let check = names::made_for_column(column, "not_null", "check");
        if known.is_some_and(|known| known.checks.iter().any(|other| other.name == check)) {
            return Err(format!("there is a constraint {check} already"));
        }
        let (check, column) = (quote_ident(&check), quote_ident(column));
        added.push(format!("ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID"));
        dropped.push(format!("DROP CONSTRAINT {check}"));
        validated.push(Step::anew(format!("ALTER TABLE {target} VALIDATE CONSTRAINT {check}")));
    }
    let altered = |actions: Vec<String>| Step::along(format!("ALTER TABLE {target} {}", actions.join(", ")));
    Ok(Fix {
        before: std::iter::once(altered(added)).chain(validated).collect(),
        anew: true,
        after: vec![altered(dropped)],
        ..Fix::new("proves it with a CHECK that is validated in another transaction")
    })
}

/// The unique index CONCURRENTLY, then the constraint USING INDEX.
pub(super) fn using_index(site: &Site<'_>, finding: &Finding) -> Mended {
    let (constraint, table) = found(site, finding)?;
    super::indexes::check_version(site)?;
    if site.known.is_partitioned(&table) {
        return Err(super::indexes::IN_PARTITIONS.to_owned());
    }
    if is_perhaps(site) {
        return Err("its table may be missing, and an index cannot be made IF its table EXISTS".to_owned());
    }
    if site.commands().count() != 1 {
        return Err("the statement does other things too: write the constraint as one of its own".to_owned());
    }
    if !constraint.options.is_empty() || !constraint.indexspace.is_empty() || constraint.without_overlaps {
        return Err(
            "its index has options of its own: write CREATE UNIQUE INDEX CONCURRENTLY with them".to_owned()
        );
    }
    let name = match constraint.conname.as_str() {
        "" => super::indexes::free_name(site, Some(&table))?,
        name => name.to_owned(),
    };
    let text = |nodes: &[pg_query::protobuf::Node]| {
        listed(&nodes.iter().filter_map(names::text).collect::<Vec<_>>())
    };
    let mut create = format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {} ON {} ({})",
        quote_ident(&name),
        in_sql(&table),
        text(&constraint.keys)
    );
    if !constraint.including.is_empty() {
        create = format!("{create} INCLUDE ({})", text(&constraint.including));
    }
    if constraint.nulls_not_distinct {
        create += " NULLS NOT DISTINCT";
    }
    let words = Words::from(&site.statement.text, finding.offset);
    let (start, end) = columns_of(&words).ok_or_else(not_found)?;
    let mut fix = Fix::new("builds the index CONCURRENTLY, and makes the constraint of it")
        .edit(start..end, format!("USING INDEX {}", quote_ident(&name)));
    fix.before.push(Step::apart(create));
    Ok(fix)
}

/// Where the columns of a key stand in the text, with what is said of NULLs and INCLUDE.
fn columns_of(words: &Words<'_>) -> Option<(usize, usize)> {
    let kind = words.find(&["UNIQUE", "PRIMARY"], 0)?;
    let mut place = kind + 1 + usize::from(words.is(kind, "PRIMARY"));
    let start = words.start(place)?;
    if words.is(place, "NULLS") {
        place += 2 + usize::from(words.is(place + 1, "NOT"));
    }
    let mut end = words.behind_list(place)?;
    if words.is(end, "INCLUDE") {
        end = words.behind_list(end + 1)?;
    }
    Some((start, words.end(end.checked_sub(1)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_keys_are_found() {
        let of = |text: &str| {
            let (start, end) = columns_of(&Words::from(text, 0)).unwrap();
            text[start..end].to_owned()
        };
        assert_eq!(of("CONSTRAINT unique_a UNIQUE (a, b) DEFERRABLE"), "(a, b)");
        assert_eq!(of("PRIMARY /* x */ KEY (a) INCLUDE (b, c)"), "(a) INCLUDE (b, c)");
        assert_eq!(of("UNIQUE NULLS NOT DISTINCT (a)"), "NULLS NOT DISTINCT (a)");
    }
}
