//! NOT NULL of columns: from PostgreSQL 18 on a constraint that has a name, may be for the table alone, and may not have been
//! looked at yet.

use super::super::Id;
use super::making::{self, Change, Place, Sql, Values, World, first_word, hazards, text};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

/// `CONSTRAINT name NOT NULL NO INHERIT NOT VALID` taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NotNull<'a> {
    /// As SQL spells it; none for the one that PostgreSQL chooses.
    name: Option<&'a str>,
    no_inherit: bool,
    not_valid: bool,
}

impl<'a> NotNull<'a> {
    fn read(text: &'a str) -> Self {
        let named = text.strip_prefix("CONSTRAINT ");
        let name = named.map(first_word);
        let rest = named.zip(name).map_or(text, |(named, name)| named.get(name.len()..).unwrap_or_default());
        Self { name, no_inherit: rest.contains(" NO INHERIT"), not_valid: rest.ends_with(" NOT VALID") }
    }

    fn name_sql(&self, column: &Id) -> String {
        let usual = || format!("{}_{}_not_null", column.table.as_deref().unwrap_or_default(), column.name);
        self.name.map_or_else(|| quote_ident(&usual()), str::to_owned)
    }

    /// `ADD CONSTRAINT name NOT NULL column`.
    fn add(&self, column: &Id, not_valid: bool) -> String {
        let name = self.name.map(|name| format!("CONSTRAINT {name} ")).unwrap_or_default();
        let no_inherit = if self.no_inherit { " NO INHERIT" } else { "" };
        let not_valid = if not_valid { " NOT VALID" } else { "" };
        let column_name = quote_ident(&column.name);
        format!("{} ADD {name}NOT NULL {column_name}{no_inherit}{not_valid}", alter_table(column))
    }
}

fn alter_table(column: &Id) -> String {
    format!("ALTER TABLE {}", column.table_sql())
}

/// As it stands behind a column's type; nothing for what is not valid, which only ALTER TABLE can say.
pub(super) fn inline(text: &str) -> String {
    if NotNull::read(text).not_valid { String::new() } else { format!(" {text}") }
}

/// What [`inline`] cannot say.
pub(super) fn behind(column: &Id, text: &str) -> Option<Sql> {
    let wanted = NotNull::read(text);
    wanted.not_valid.then(|| Sql::new(wanted.add(column, true)))
}

/// Whether the column of a parent changes in the same way and brings this one along.
fn comes_from_parent(change: &Change<'_>) -> bool {
    let world = change.world;
    let parents = change
        .to
        .needs
        .iter()
        .filter(|needed| needed.kind == ObjectKind::Column && needed.table != change.id.table);
    parents.filter_map(|parent| world.from.get(parent).zip(world.to.get(parent))).any(|(before, after)| {
        let [old, new] = [before, after].map(|object| object.text("not null"));
        old.is_some() == change.from.has("not null")
            && new.is_some() == change.to.has("not null")
            && old != new
            && new.is_none_or(|new| !NotNull::read(new).no_inherit)
    })
}

/// `of_parent` is whether the column is only inherited, before and after.
pub(super) fn change(change: &mut Change<'_>, alter: &str, values: Values<'_>, of_parent: bool) {
    if of_parent && comes_from_parent(change) {
        return;
    }
    let (from, to) = (text(values.0), text(values.1));
    match (from.as_deref().map(NotNull::read), to.as_deref().map(NotNull::read)) {
        (None, Some(wanted)) => add(change, alter, &wanted),
        (Some(_), None) => change.push(format!("{alter} DROP NOT NULL")),
        (Some(old), Some(new)) => alter_constraint(change, alter, &old, &new),
        (None, None) => {}
    }
}

fn alter_constraint(change: &mut Change<'_>, alter: &str, old: &NotNull<'_>, new: &NotNull<'_>) {
    let id = change.id;
    // What is inherited is called as the parent's, whatever it is called here.
    let has_parents = change.to.needs.iter().chain(&change.from.needs);
    let has_parents =
        has_parents.into_iter().any(|needed| needed.kind == ObjectKind::Column && needed.table != id.table);
    if new.not_valid && !old.not_valid || has_parents && old.name != new.name {
        change.push(format!("{alter} DROP NOT NULL"));
        add(change, alter, new);
        return;
    }
    let (table, name) = (alter_table(id), new.name_sql(id));
    if old.name != new.name {
        change.push(format!("{table} RENAME CONSTRAINT {} TO {name}", old.name_sql(id)));
    }
    if old.no_inherit != new.no_inherit {
        let no = if new.no_inherit { "NO " } else { "" };
        change.push(format!("{table} ALTER CONSTRAINT {name} {no}INHERIT"));
    }
    if old.not_valid && !new.not_valid {
        validate(change, &name);
    }
}

fn validate(change: &mut Change<'_>, name: &str) {
    let sql = Sql::new(format!("{} VALIDATE CONSTRAINT {name}", alter_table(change.id)));
    change.statements.push(sql.at(Place::NewTransaction).hazard(hazards::MAY_FAIL));
}

/// In use, the rows are looked at while others write: a check that is not valid at first, validated in a transaction of its own,
/// lets SET NOT NULL skip the scan (12+).
fn add(change: &mut Change<'_>, alter: &str, wanted: &NotNull<'_>) {
    let (id, world) = (change.id, change.world);
    if *wanted != NotNull::read("NOT NULL") {
        let aside = wanted.not_valid || world.is_in_use(id);
        let sql = Sql::new(wanted.add(id, aside));
        change.statements.push(if aside { sql } else { sql.hazard(hazards::MAY_FAIL) });
        if aside && !wanted.not_valid {
            validate(change, &wanted.name_sql(id));
        }
        return;
    }
    if !world.is_in_use(id) {
        change.statements.push(Sql::new(format!("{alter} SET NOT NULL")).hazard(hazards::MAY_FAIL));
        return;
    }
    let table = alter_table(id);
    let check = quote_ident(&free_name(id, world));
    let column = quote_ident(&id.name);
    change.push(format!("{table} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID"));
    validate(change, &check);
    change.statements.push(Sql::new(format!("{alter} SET NOT NULL")).at(Place::NewTransaction));
    change.push(format!("{table} DROP CONSTRAINT {check}"));
}

/// A name for a check that no constraint has, of this table or of one that inherits from it.
fn free_name(column: &Id, world: &World<'_>) -> String {
    let is_taken = |name: &str| {
        [world.from, world.to].iter().any(|schema| {
            schema.objects.keys().any(|id| id.kind == ObjectKind::Constraint && id.name == name)
        })
    };
    making::free_name(&column.name, "__not_null", &is_taken)
}

#[cfg(test)]
mod tests {
    use super::NotNull;

    #[test]
    fn what_is_said_of_not_null_is_taken_apart() {
        for (text, name, no_inherit, not_valid) in [
            ("NOT NULL", None, false, false),
            ("NOT NULL NO INHERIT", None, true, false),
            ("CONSTRAINT \"a NOT VALID\" NOT NULL", Some("\"a NOT VALID\""), false, false),
            ("CONSTRAINT nn NOT NULL NO INHERIT NOT VALID", Some("nn"), true, true),
        ] {
            assert_eq!(NotNull::read(text), NotNull { name, no_inherit, not_valid }, "{text}");
        }
    }
}
