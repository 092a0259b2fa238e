//! Statements that belong together in one: the type of a column with its default, and the types of a table's columns. In one ALTER TABLE
//! a table is written anew once, and no column is without its default in between (PostgreSQL's manual, ALTER TABLE, has the three in one
//! statement as an example). Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Object, Place, Schema, Sql};
use cutover_analysis::sql::{quote_ident, quote_literal};

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
/// `moved` is what has joined them: see [`gathered`].
pub(super) fn made_anew(statements: &[Sql], moved: &BTreeSet<String>) -> Vec<RangeInclusive<usize>> {
    let has_joined = |at: usize| statements.get(at).is_some_and(|sql| moved.contains(&sql.text));
    let wide = |range: RangeInclusive<usize>| {
        let (mut start, mut end) = range.into_inner();
        while let Some(before) = start.checked_sub(1).filter(|before| has_joined(*before)) {
            start = before;
        }
        while has_joined(end + 1) {
            end += 1;
        }
        start..=end
    };
    let mut found: Vec<RangeInclusive<usize>> = types_made_anew(statements).into_iter().map(wide).collect();
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

/// Indexes and checks that only go so that a type can be made anew go, and are made again, in the transaction in which that is, each with
/// what is said of it. All other indexes of the table are built again in there, too, while nobody can use it, since it is written anew: one
/// more is no other lock, and nobody finds the table without it. The texts of what was moved.
pub(super) fn gathered(statements: &mut Vec<Sql>, from: &Schema) -> BTreeSet<String> {
    let mut moved = BTreeSet::new();
    let mut kept: Vec<&Id> = from.objects.keys().filter(|id| id.is_part_of_a_table()).collect();
    kept.extend(from.objects.keys().filter(|id| id.kind == ObjectKind::Index));
    for id in kept {
        let Some(again) = from.get(id).and_then(|object| Again::of(id, object)) else { continue };
        let place = |text: &str| statements.iter().position(|sql| sql.text == text);
        let (Some(gone), Some(made)) = (place(&again.gone), place(&again.made)) else { continue };
        let ranges = types_made_anew(statements);
        let mut between = ranges.iter().filter(|range| gone < *range.start() && *range.end() < made);
        let (Some(range), None) = (between.next(), between.next()) else { continue };
        let head = format!("ALTER TABLE {} ALTER COLUMN ", id.table_sql());
        let is_rewritten = |sql: &Sql| sql.text.starts_with(&head) && sql.text.contains(" TYPE ");
        if !statements.get(range.clone()).is_some_and(|all| all.iter().any(is_rewritten)) {
            continue;
        }
        // From the last to the first, so that places stay what they are.
        let finished: Vec<usize> =
            again.then.iter().filter_map(|text| place(text).filter(|at| *at > made)).collect();
        let said: Vec<Sql> = finished.iter().rev().map(|at| statements.remove(*at)).collect();
        let mut behind = vec![Sql::plain(again.in_one.1)];
        statements.remove(made);
        behind.extend(said.into_iter().rev().filter(|sql| sql.text.starts_with("COMMENT ")));
        moved.extend(behind.iter().map(|sql| sql.text.clone()));
        let end = *range.end() + 1;
        statements.splice(end..end, behind);
        moved.insert(again.in_one.0.clone());
        statements.insert(*range.start(), Sql::plain(again.in_one.0));
        statements.remove(gone);
    }
    moved
}

/// Why a check is not looked at later, and an index not built beside: for `lint`, which would write them so, and for who reads it.
fn in_one(rule: &str) -> String {
    format!(
        "-- cutover: allow {rule} the table is written anew in this transaction, and nobody has it meanwhile"
    )
}

/// How something goes and is made again as it was, and how both are written in the transaction of something else.
struct Again {
    gone: String,
    made: String,
    /// What follows: the look at the rows that are there, and what is said of it.
    then: Vec<String>,
    in_one: (String, String),
}

impl Again {
    fn of(id: &Id, object: &Object) -> Option<Self> {
        let definition = object.text("definition")?;
        let (name, table) = (quote_ident(&id.name), id.table_sql());
        let said = |what: String| {
            object.text("comment").map(|text| format!("COMMENT ON {what} IS {}", quote_literal(text)))
        };
        match id.kind {
            ObjectKind::Index => {
                let gone = format!("DROP INDEX CONCURRENTLY {}", id.name_sql());
                Some(Self {
                    in_one: (
                        gone.replacen(" CONCURRENTLY", "", 1),
                        format!("{}\n{definition}", in_one("create-index-blocks-writes")),
                    ),
                    gone,
                    made: definition.replacen(" INDEX ", " INDEX CONCURRENTLY ", 1),
                    then: said(format!("INDEX {}", id.name_sql())).into_iter().collect(),
                })
            }
            ObjectKind::Constraint
                if definition.starts_with("CHECK ") && !definition.ends_with(" NOT VALID") =>
            {
                let gone = format!("ALTER TABLE {table} DROP CONSTRAINT {name}");
                let made = format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}");
                let look = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
                Some(Self {
                    in_one: (gone.clone(), format!("{}\n{made}", in_one("check-without-not-valid"))),
                    gone,
                    made: format!("{made} NOT VALID"),
                    then: std::iter::once(look)
                        .chain(said(format!("CONSTRAINT {name} ON {table}")))
                        .collect(),
                })
            }
            _ => None,
        }
    }
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
