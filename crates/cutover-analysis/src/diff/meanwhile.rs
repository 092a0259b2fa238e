//! What is done to one column, in the order that clients can live with when others commit in between: a column takes NULL before its default
//! goes, and has its default before it takes NULL no more. Pure.

use std::collections::BTreeSet;

use crate::effects::ObjectKind;
use crate::schema::{Schema, Sql, hazards};

/// Puts the statements into that order; `from` is what is there before.
pub(super) fn in_order(mut statements: Vec<Sql>, from: &Schema) -> Vec<Sql> {
    made_anew_at_once(&mut statements);
    let keys = primary_keys(from);
    behind_their_key(&mut statements, &keys);
    let mut at = 0;
    while at < statements.len() {
        null_before_no_default(&mut statements, at);
        default_before_not_null(&mut statements, at);
        at += 1;
    }
    statements
}

/// What a statement does to a column: the table, the column, and the rest.
fn of_column(text: &str) -> Option<(&str, &str, &str)> {
    let rest = text.strip_prefix("ALTER TABLE ")?;
    let rest = rest.strip_prefix("ONLY ").unwrap_or(rest);
    let (table, rest) = rest.split_once(" ALTER COLUMN ")?;
    let end = match rest.strip_prefix('"') {
        // Quotes within a name are doubled: the one that ends it has a space behind it.
        Some(inner) => inner.find("\" ")? + 2,
        None => rest.find(' ')?,
    };
    Some((table, rest.get(..end)?, rest.get(end + 1..)?))
}

/// A column that is made anew goes just before that, in the same transaction, where nothing in between needs it to be gone.
fn made_anew_at_once(statements: &mut Vec<Sql>) {
    let mut at = 0;
    while let Some(text) = statements.get(at).map(|sql| sql.text.clone()) {
        if let Some(made) = made_again(statements, at, &text) {
            let mut gone = statements.remove(at);
            gone.hazards.retain(|hazard| *hazard != hazards::GAP);
            if let Some(next) = statements.get_mut(made - 1) {
                gone.place = std::mem::take(&mut next.place);
            }
            statements.insert(made - 1, gone);
        }
        at += 1;
    }
}

/// Where the column that the statement at `at` drops is made again, if that is further on than just behind it.
fn made_again(statements: &[Sql], at: usize, text: &str) -> Option<usize> {
    let (head, column) = text.split_once(" DROP COLUMN ")?;
    let again = format!("{head} ADD COLUMN {column} ");
    let behind = statements.iter().skip(at + 1);
    let made = at + 1 + behind.clone().position(|sql| sql.text.starts_with(&again))?;
    let of_table = format!("{head} ");
    // What is no table or index may be what the column is computed with.
    let is_in_the_way = |sql: &Sql| match sql.text.split(' ').next() {
        Some("ALTER") if sql.text.starts_with(&of_table) => sql.text.contains(" COLUMN "),
        Some("ALTER") => !sql.text.starts_with("ALTER TABLE "),
        Some("CREATE") => !sql.text.contains(" INDEX "),
        Some("UPDATE" | "COMMENT") => false,
        _ => true,
    };
    (made > at + 1 && !behind.take(made - at - 1).any(is_in_the_way)).then_some(made)
}

/// Each primary key with what drops it, and its columns.
fn primary_keys(from: &Schema) -> Vec<(String, BTreeSet<String>)> {
    let is_key = |definition: &&str| definition.starts_with("PRIMARY KEY");
    let keys = from.objects.iter().filter(|(id, object)| {
        id.kind == ObjectKind::Constraint && object.text("definition").as_ref().is_some_and(is_key)
    });
    let of = |(id, object): (&crate::schema::Id, &crate::schema::Object)| {
        let columns = object.needs.iter().filter(|needed| needed.kind == ObjectKind::Column);
        let name = crate::sql::quote_ident(&id.name);
        let columns = columns.map(|column| crate::sql::quote_ident(&column.name)).collect();
        (format!("ALTER TABLE {} DROP CONSTRAINT {name}", id.table_sql()), columns)
    };
    keys.map(of).collect()
}

/// Whether a statement drops a constraint, with what else it does.
fn drops(text: &str, drop: &str) -> bool {
    text.strip_prefix(drop).is_some_and(|rest| rest.is_empty() || rest.starts_with(", "))
}

/// A column of a primary key takes NULL when that is gone.
fn behind_their_key(statements: &mut Vec<Sql>, keys: &[(String, BTreeSet<String>)]) {
    for (drop, columns) in keys {
        let Some(gone) = statements.iter().position(|sql| drops(&sql.text, drop)) else { continue };
        let is_of_it = |sql: &Sql| {
            of_column(&sql.text).is_some_and(|(table, column, action)| {
                action == "DROP NOT NULL"
                    && columns.contains(column)
                    && drop.strip_prefix("ALTER TABLE ").is_some_and(|rest| {
                        rest.strip_prefix(table).is_some_and(|rest| rest.starts_with(" DROP "))
                    })
            })
        };
        let early: Vec<usize> = (0..gone).filter(|at| statements.get(*at).is_some_and(is_of_it)).collect();
        for (moved, at) in early.into_iter().enumerate() {
            let sql = statements.remove(at - moved);
            statements.insert(gone, sql);
        }
    }
}

/// The statement at `at` takes a default away: the column takes NULL before that, where nothing is in the way.
fn null_before_no_default(statements: &mut Vec<Sql>, at: usize) {
    let Some((table, column, "DROP DEFAULT")) = statements.get(at).and_then(|sql| of_column(&sql.text))
    else {
        return;
    };
    let constraint = format!("ALTER TABLE {table} DROP CONSTRAINT ");
    let mut behind = statements.iter().enumerate().skip(at + 1);
    let found = behind.find_map(|(at, sql)| match of_column(&sql.text) {
        Some((of, name, "DROP NOT NULL")) if of == table && name == column => Some(Some(at)),
        _ => sql.text.starts_with(&constraint).then_some(None),
    });
    if let Some(Some(null)) = found {
        let sql = statements.remove(null);
        statements.insert(at, sql);
    }
}

/// The statement at `at` begins to refuse NULL: the column has its new default before that, where that needs nothing that comes between.
fn default_before_not_null(statements: &mut Vec<Sql>, at: usize) {
    let Some(text) = statements.get(at).map(|sql| sql.text.clone()) else { return };
    let checked = || {
        let (head, check) = text.split_once(" ADD CONSTRAINT ")?;
        let column = check.split_once(" CHECK (")?.1.strip_suffix(" IS NOT NULL) NOT VALID")?;
        Some((head.strip_prefix("ALTER TABLE ")?, column))
    };
    let refused = match of_column(&text) {
        Some((table, column, "SET NOT NULL")) => Some((table, column)),
        _ => checked(),
    };
    let Some((table, column)) = refused else { return };
    let table = table.strip_prefix("ONLY ").unwrap_or(table);
    let mut behind = statements.iter().enumerate().skip(at + 1);
    let found = behind.find_map(|(at, sql)| match of_column(&sql.text) {
        Some((of, name, action)) if of == table && name == column => match action {
            _ if action.starts_with("SET DEFAULT ") => Some(Some(at)),
            _ if action.starts_with("TYPE ") => Some(None),
            _ => None,
        },
        _ => sql.text.starts_with("CREATE ").then_some(None),
    });
    if let Some(Some(default)) = found {
        let sql = statements.remove(default);
        statements.insert(at, sql);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(texts: &[&str]) -> Vec<String> {
        let statements = texts.iter().map(|text| Sql::plain(*text)).collect();
        in_order(statements, &Schema::empty(150_000, "me")).into_iter().map(|sql| sql.text).collect()
    }

    #[test]
    fn a_column_is_never_without_both() {
        let gone = "ALTER TABLE ONLY s.t ALTER COLUMN \"a b\" DROP DEFAULT";
        let null = "ALTER TABLE s.t ALTER COLUMN \"a b\" DROP NOT NULL";
        let other = "ALTER TABLE s.t ALTER COLUMN c TYPE bigint";
        assert_eq!(ordered(&[gone, other, null]), [null, gone, other]);
        let key = "ALTER TABLE s.t DROP CONSTRAINT t_pkey";
        assert_eq!(ordered(&[gone, key, null]), [gone, key, null]);
        let check = "ALTER TABLE s.t ADD CONSTRAINT n CHECK (c IS NOT NULL) NOT VALID";
        let default = "ALTER TABLE ONLY s.t ALTER COLUMN c SET DEFAULT 1";
        assert_eq!(ordered(&[check, null, default]), [default, check, null]);
        assert_eq!(ordered(&[check, other, default]), [check, other, default]);
        let function = "CREATE FUNCTION f()";
        assert_eq!(ordered(&[check, function, default]), [check, function, default]);
    }
}
