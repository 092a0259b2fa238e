//! Statements that belong together in one: the type of a column with its default, and the types of a table's columns. In one ALTER TABLE
//! a table is written anew once, and no column is without its default in between (PostgreSQL's manual, ALTER TABLE, has the three in one
//! statement as an example). Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Object, Place, Schema, Sql};
use cutover_analysis::sql::quote_ident;

/// Folds them; `from` is what is there before.
pub(super) fn fold(statements: Vec<Sql>, from: &Schema) -> Vec<Sql> {
    let mut statements = statements;
    let related = related(from);
    let is_alone = |id: &&Id| table_of(id).is_some_and(|table| !related.contains(&table));
    for column in from.objects.keys().filter(|id| id.kind == ObjectKind::Column).filter(is_alone) {
        with_default(&mut statements, column);
    }
    joined(statements, from)
}

/// Tables that inherit, are inherited from, or are partitioned: each may have a default of its own, which one statement for all would
/// change too.
fn related(from: &Schema) -> BTreeSet<Id> {
    let tables = from.objects.iter().filter(|(id, _)| id.kind == ObjectKind::Table);
    let of = |(id, object): (&Id, &Object)| {
        let is_heir = object.has("inherits");
        let is_related = is_heir || object.has("partition key");
        let parents =
            object.needs.iter().filter(|needed| is_heir && needed.kind == ObjectKind::Table).cloned();
        parents.chain(is_related.then(|| id.clone())).collect::<Vec<Id>>()
    };
    tables.flat_map(of).collect()
}

fn table_of(column: &Id) -> Option<Id> {
    Some(Id::new(ObjectKind::Table, column.schema.clone()?, column.table.clone()?))
}

/// A column's own part of the statements that are about it.
fn of_column(column: &Id) -> (String, String) {
    let action = format!("ALTER COLUMN {} ", quote_ident(&column.name));
    (
        format!("ALTER TABLE {} {action}", column.table_sql()),
        format!("ALTER TABLE ONLY {} {action}", column.table_sql()),
    )
}

fn with_default(statements: &mut Vec<Sql>, column: &Id) {
    let (plain, only) = of_column(column);
    let is_type = |sql: &Sql| sql.text.strip_prefix(&plain).is_some_and(|rest| rest.starts_with("TYPE "));
    let Some(at) = statements.iter().position(is_type) else { return };
    let rest = |sql: &'_ Sql| {
        sql.text.strip_prefix(&only).or_else(|| sql.text.strip_prefix(&plain)).map(str::to_owned)
    };
    let dropped = statements.iter().take(at).position(|sql| rest(sql).as_deref() == Some("DROP DEFAULT"));
    let set =
        statements.iter().position(|sql| rest(sql).is_some_and(|rest| rest.starts_with("SET DEFAULT ")));
    let (Some(dropped), Some(set)) = (dropped, set.filter(|set| *set > at)) else { return };
    let action = format!("ALTER COLUMN {} ", quote_ident(&column.name));
    let default = statements.get(set).and_then(rest).unwrap_or_default();
    let Some(statement) = statements.get_mut(at) else { return };
    let data_type = statement.text.strip_prefix(&plain).unwrap_or_default().to_owned();
    statement.text = format!(
        "ALTER TABLE {} {action}DROP DEFAULT, {action}{data_type}, {action}{default}",
        column.table_sql()
    );
    let gap = cutover_analysis::schema::hazards::GAP;
    statement.hazards.retain(|hazard| *hazard != gap);
    statements.remove(set);
    statements.remove(dropped);
}

/// Where something is made anew that is not to be missing meanwhile: types, and columns that are computed otherwise.
pub(super) fn made_anew(statements: &[Sql]) -> Vec<RangeInclusive<usize>> {
    let mut found = types_made_anew(statements);
    for (at, pair) in statements.windows(2).enumerate() {
        let [gone, made] = pair else { continue };
        let again = gone.text.replacen(" DROP COLUMN ", " ADD COLUMN ", 1) + " ";
        if gone.text != again && made.text.starts_with(&again) && gone.place != Place::Outside {
            found.push(at..=at + 1);
        }
    }
    found
}

/// Where a type is made anew: from its new name to the end of the old one. In one transaction, since whoever names the type would find
/// no column of it in between. What runs outside a transaction in between leaves it as it is.
fn types_made_anew(statements: &[Sql]) -> Vec<RangeInclusive<usize>> {
    let mut found = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        let Some((name, old)) =
            statement.text.strip_prefix("ALTER TYPE ").and_then(|rest| rest.split_once(" RENAME TO "))
        else {
            continue;
        };
        let is_made =
            statements.get(at + 1).is_some_and(|next| next.text.starts_with(&format!("CREATE TYPE {name} ")));
        let is_gone = |sql: &Sql| {
            sql.text
                .strip_prefix("DROP TYPE ")
                .is_some_and(|gone| gone == old || gone.ends_with(&format!(".{old}")))
        };
        let end = statements.iter().skip(at).position(is_gone).map(|behind| at + behind);
        if let Some(end) = end.filter(|_| is_made)
            && statements.iter().skip(at).take(end - at + 1).all(|sql| sql.place != Place::Outside)
        {
            found.push(at..=end);
        }
    }
    found
}

/// Neighbours that change columns of one table become one statement.
fn joined(statements: Vec<Sql>, from: &Schema) -> Vec<Sql> {
    let heads: Vec<String> = from
        .objects
        .keys()
        .filter(|id| id.kind == ObjectKind::Table)
        .map(|id| format!("ALTER TABLE {} ALTER COLUMN ", id.name_sql()))
        .collect();
    let head = |sql: &Sql| {
        let is_type = sql.text.contains(" TYPE ");
        heads.iter().find(|head| is_type && sql.text.starts_with(head.as_str()))
    };
    let mut all: Vec<Sql> = Vec::new();
    for statement in statements {
        let same = head(&statement).filter(|own| all.last().and_then(&head) == Some(own));
        match (same, all.last_mut()) {
            (Some(own), Some(last)) => {
                let rest = statement.text.get(own.len()..).unwrap_or_default();
                last.text = format!("{}, ALTER COLUMN {rest}", last.text);
                let more = statement.hazards.into_iter().filter(|hazard| !last.hazards.contains(hazard));
                let more: Vec<_> = more.collect();
                last.hazards.extend(more);
            }
            _ => all.push(statement),
        }
    }
    all
}
