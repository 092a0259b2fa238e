//! The names that PostgreSQL chooses for what a statement leaves without one.
//!
//! What the text says of them: where such a name is taken already, PostgreSQL appends a number.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExprKind, ConstrType, Constraint, CreateStatsStmt, IndexElem, IndexStmt, MinMaxOp, Node, TypeCast,
};

use super::builder::Builder;
use super::context::Context;
use super::model::{ObjectKind as Kind, ObjectRef};
use super::names;

/// The name of an index that `CREATE INDEX` gives none.
pub(super) fn index(create: &IndexStmt, table: &str) -> String {
    let columns = [&create.index_params, &create.index_including_params];
    made(table, columns.into_iter().flatten().filter_map(element).map(of_element), "idx")
}

/// The name of the index of a constraint that has none; `column` if it stands behind one. None for constraints that have
/// no index.
pub(super) fn constraint_index(definition: &Constraint, table: &str, column: Option<&str>) -> Option<String> {
    let keys = definition.keys.iter().chain(&definition.including).filter_map(names::text).map(str::to_owned);
    match definition.contype() {
        ConstrType::ConstrPrimary => Some(names::made_for_table(table, "pkey")),
        ConstrType::ConstrUnique => {
            let column = column.filter(|_| definition.keys.is_empty()).map(str::to_owned);
            Some(made(table, column.into_iter().chain(keys), "key"))
        }
        ConstrType::ConstrExclusion => {
            let elements = definition.exclusions.iter().filter_map(|node| match node.node.as_ref()? {
                NodeEnum::List(pair) => element(pair.items.first()?),
                _ => None,
            });
            let including = definition.including.iter().filter_map(names::text).map(str::to_owned);
            Some(made(table, elements.map(of_element).chain(including), "excl"))
        }
        _ => None,
    }
}

/// The name of statistics that have none, on the first table named.
pub(super) fn statistics(create: &CreateStatsStmt) -> Option<ObjectRef> {
    let NodeEnum::RangeVar(relation) = create.relations.first()?.node.as_ref()? else { return None };
    let table = names::relation(Kind::Table, relation);
    let columns = create.exprs.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::StatsElem(element) if element.name.is_empty() => Some("expr".to_owned()),
        NodeEnum::StatsElem(element) => Some(element.name.clone()),
        _ => None,
    });
    let name = made_plainly(&table.name, columns, "stat");
    Some(ObjectRef::new(Kind::Statistics, table.schema, name))
}

/// An index of a partitioned table has one in each partition, under names of their own.
pub(super) fn of_partitions(node: &NodeEnum, known: &Context, to: &mut Builder) {
    let table = match node {
        NodeEnum::IndexStmt(create) => create.relation.as_ref().filter(|relation| relation.inh),
        NodeEnum::AlterTableStmt(alter) if alter.cmds.iter().any(makes_an_index) => alter.relation.as_ref(),
        _ => None,
    };
    let Some(table) = table.map(|table| names::relation(Kind::Relation, table)) else { return };
    if known.relation(&table).is_none_or(|table| table.partitioned) {
        to.chooses(names::part_of(Kind::Index, &table, ""));
    }
}

/// A subcommand of ALTER TABLE that gives the table an index.
fn makes_an_index(node: &Node) -> bool {
    let Some(NodeEnum::AlterTableCmd(command)) = node.node.as_ref() else { return false };
    let has_index = |constraint: &Constraint| {
        matches!(
            constraint.contype(),
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion
        )
    };
    match command.def.as_deref().and_then(|definition| definition.node.as_ref()) {
        Some(NodeEnum::Constraint(constraint)) => has_index(constraint),
        Some(NodeEnum::ColumnDef(column)) => column
            .constraints
            .iter()
            .any(|node| matches!(node.node.as_ref(), Some(NodeEnum::Constraint(one)) if has_index(one))),
        _ => false,
    }
}

fn element(node: &Node) -> Option<&IndexElem> {
    match node.node.as_ref()? {
        NodeEnum::IndexElem(element) => Some(element),
        _ => None,
    }
}

/// `table_columns_label`; a column name that comes again gets a number.
fn made(table: &str, columns: impl Iterator<Item = String>, label: &str) -> String {
    let mut taken: Vec<String> = Vec::new();
    for column in columns {
        let numbered = (1..).map(|number| format!("{column}{number}"));
        let mut candidates = std::iter::once(column.clone()).chain(numbered);
        taken.extend(candidates.find(|name| !taken.contains(name)));
    }
    made_plainly(table, taken.into_iter(), label)
}

fn made_plainly(table: &str, columns: impl Iterator<Item = String>, label: &str) -> String {
    let mut joined = String::new();
    for column in columns {
        if !joined.is_empty() {
            joined.push('_');
        }
        joined.push_str(&column);
        if joined.len() > names::LONGEST {
            break;
        }
    }
    names::made_for_column(table, &joined, label)
}

/// What a column of an index is called.
fn of_element(element: &IndexElem) -> String {
    match element.expr.as_deref() {
        Some(expression) => of_expression(expression).map_or_else(|| "expr".to_owned(), |(name, _)| name),
        None => element.name.clone(),
    }
}

/// What PostgreSQL calls a column that is an expression, and whether that is more than a makeshift.
fn of_expression(node: &Node) -> Option<(String, bool)> {
    let sure = |name: &str| Some((name.to_owned(), true));
    match node.node.as_ref()? {
        NodeEnum::ColumnRef(column) => sure(column.fields.iter().rev().find_map(names::text)?),
        NodeEnum::AIndirection(part) => {
            let field = part.indirection.iter().rev().find_map(names::text);
            field.and_then(sure).or_else(|| of_expression(part.arg.as_deref()?))
        }
        NodeEnum::FuncCall(call) => sure(call.funcname.last().and_then(names::text)?),
        NodeEnum::AExpr(expression) if expression.kind() == AExprKind::AexprNullif => sure("nullif"),
        NodeEnum::TypeCast(cast) => of_cast(cast),
        NodeEnum::CollateClause(collate) => of_expression(collate.arg.as_deref()?),
        NodeEnum::CaseExpr(case) => {
            let otherwise = case.defresult.as_deref().and_then(of_expression).filter(|(_, sure)| *sure);
            otherwise.or_else(|| Some(("case".to_owned(), false)))
        }
        NodeEnum::AArrayExpr(_) => sure("array"),
        NodeEnum::RowExpr(_) => sure("row"),
        NodeEnum::CoalesceExpr(_) => sure("coalesce"),
        NodeEnum::MinMaxExpr(expression) if expression.op() == MinMaxOp::IsGreatest => sure("greatest"),
        NodeEnum::MinMaxExpr(_) => sure("least"),
        _ => None,
    }
}

fn of_cast(cast: &TypeCast) -> Option<(String, bool)> {
    let value = cast.arg.as_deref().and_then(of_expression).filter(|(_, sure)| *sure);
    let data_type = || cast.type_name.as_ref()?.names.last().and_then(names::text);
    value.or_else(|| Some((data_type()?.to_owned(), false)))
}
