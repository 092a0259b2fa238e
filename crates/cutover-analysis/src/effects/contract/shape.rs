//! What is in a JSON value, as far as the expression that makes it says: the keys of an object.

use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, CreateFunctionStmt, FuncCall, Node, SubLinkType, a_const};

use super::Call;
use crate::effects::model::ObjectKind;
use crate::effects::names;
use crate::sql::parse;

/// What one `RETURN` gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Returned {
    /// What is in it.
    pub shape: Shape,
}

/// What is in a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shape {
    /// An object with these keys.
    Object {
        /// The keys, in the order of the text.
        keys: Vec<Key>,
        /// There may be others besides.
        open: bool,
    },
    /// NULL.
    Null,
    /// Whatever another function returns.
    Of(Call),
    /// The text does not say.
    #[default]
    NotStated,
}

/// A key of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Its value as JSON, where that is a constant.
    pub value: Option<String>,
    /// It may be missing.
    pub optional: bool,
}

/// Deeper expressions are not looked into.
const DEEPEST: usize = 50;

/// Whether a function returns JSON.
pub(super) fn is_json(create: &CreateFunctionStmt) -> bool {
    let name = create.return_type.as_ref().and_then(|name| names::text(name.names.last()?));
    matches!(name, Some("json" | "jsonb"))
}

/// What an expression gives: several, where it has branches.
pub(super) fn of_expression(text: &str) -> Vec<Returned> {
    match parse(&format!("SELECT {text}")) {
        Ok(parsed) => parsed.statements().next().map(of_statement).unwrap_or_default(),
        Err(_) => vec![Returned::default()],
    }
}

/// What the last statement of a body gives.
pub(super) fn of_statement(node: &NodeEnum) -> Vec<Returned> {
    let mut shapes = Vec::new();
    match node {
        NodeEnum::ReturnStmt(statement) => branches(statement.returnval.as_deref(), 0, &mut shapes),
        node => branches(target(node), 0, &mut shapes),
    }
    let mut returned: Vec<Returned> = Vec::new();
    for shape in shapes {
        super::add(&mut returned, Returned { shape });
    }
    returned
}

/// All that a query selects, where that is one expression.
fn target(node: &NodeEnum) -> Option<&Node> {
    let NodeEnum::SelectStmt(select) = node else { return None };
    match select.target_list.as_slice() {
        [one] => match one.node.as_ref()? {
            NodeEnum::ResTarget(target) => target.val.as_deref(),
            _ => None,
        },
        _ => None,
    }
}

/// What an expression gives in each of its branches.
fn branches(node: Option<&Node>, depth: usize, to: &mut Vec<Shape>) {
    let inner = node.and_then(|node| node.node.as_ref()).filter(|_| depth < DEEPEST);
    match inner {
        Some(NodeEnum::CaseExpr(case)) => {
            for when in &case.args {
                if let Some(NodeEnum::CaseWhen(when)) = when.node.as_ref() {
                    branches(when.result.as_deref(), depth + 1, to);
                }
            }
            match case.defresult.as_deref() {
                Some(node) => branches(Some(node), depth + 1, to),
                None => to.push(Shape::Null),
            }
        }
        Some(NodeEnum::CoalesceExpr(coalesce)) => {
            let mut each = Vec::new();
            coalesce.args.iter().for_each(|node| branches(Some(node), depth + 1, &mut each));
            let last = each.len().saturating_sub(1);
            let is_possible = |(at, shape): &(usize, Shape)| *shape != Shape::Null || *at == last;
            to.extend(each.into_iter().enumerate().filter(is_possible).map(|(_, shape)| shape));
        }
        Some(NodeEnum::SubLink(link)) if link.sub_link_type() == SubLinkType::ExprSublink => {
            let query = link.subselect.as_deref().and_then(|node| node.node.as_ref());
            branches(query.and_then(target), depth + 1, to);
            // Without a row there is nothing, and a query over no table has one.
            let has_row = matches!(query, Some(NodeEnum::SelectStmt(select))
                if select.from_clause.is_empty() && select.where_clause.is_none());
            if !has_row {
                to.push(Shape::Null);
            }
        }
        Some(inner) => to.push(shape(inner, depth)),
        None => to.push(Shape::NotStated),
    }
}

fn shape(node: &NodeEnum, depth: usize) -> Shape {
    if depth >= DEEPEST {
        return Shape::NotStated;
    }
    let of = |node: Option<&Node>| {
        node.and_then(|node| node.node.as_ref()).map_or(Shape::NotStated, |node| shape(node, depth + 1))
    };
    match node {
        NodeEnum::FuncCall(call) => of_call(call, of),
        NodeEnum::TypeCast(cast) => of(cast.arg.as_deref()),
        NodeEnum::AConst(constant) => of_constant(constant),
        NodeEnum::AExpr(operator) if operator.name.last().and_then(names::text) == Some("||") => {
            together(of(operator.lexpr.as_deref()), of(operator.rexpr.as_deref()))
        }
        NodeEnum::JsonObjectConstructor(object) => {
            let pair = |node: &Node| match node.node.as_ref()? {
                NodeEnum::JsonKeyValue(pair) => {
                    let value = pair.value.as_ref().and_then(|value| value.raw_expr.as_deref());
                    Some((text(pair.key.as_deref()?), value.and_then(value_of)))
                }
                _ => None,
            };
            object_of(object.exprs.iter().filter_map(pair), object.absent_on_null)
        }
        _ => Shape::NotStated,
    }
}

fn of_call(call: &FuncCall, of: impl Fn(Option<&Node>) -> Shape) -> Shape {
    let name = call.funcname.last().and_then(names::text).unwrap_or_default();
    match name {
        "jsonb_build_object" | "json_build_object" if !call.func_variadic => {
            let pair = |pair: &[Node]| match pair {
                [key, value] => (text(key), value_of(value)),
                _ => (None, None),
            };
            object_of(call.args.chunks(2).map(pair), false)
        }
        "jsonb_strip_nulls" | "json_strip_nulls" => match of(call.args.first()) {
            Shape::Object { mut keys, open } => {
                for key in &mut keys {
                    key.optional |= key.value.is_none();
                }
                Shape::Object { keys, open }
            }
            other => other,
        },
        _ => {
            let Some(routine) = names::object(ObjectKind::Routine, &call.funcname) else {
                return Shape::NotStated;
            };
            let guards = super::Guards::default();
            Shape::Of(Call { routine: Some(routine), arguments: call.args.len(), guards })
        }
    }
}

/// An object of these pairs; where a key is no constant there are others.
fn object_of(pairs: impl Iterator<Item = (Option<String>, Option<String>)>, drops_nulls: bool) -> Shape {
    let (mut keys, mut open) = (Vec::new(), false);
    for (name, value) in pairs {
        match name {
            Some(name) => set(&mut keys, Key { name, optional: drops_nulls && value.is_none(), value }),
            None => open = true,
        }
    }
    Shape::Object { keys, open }
}

/// Both objects in one: the right one's values count.
fn together(left: Shape, right: Shape) -> Shape {
    match (left, right) {
        (Shape::Object { keys: mut all, open }, Shape::Object { keys, open: other }) => {
            for key in keys {
                match all.iter().position(|known| known.name == key.name) {
                    // What may be missing takes nothing away.
                    Some(_) if key.optional => {
                        all.iter_mut()
                            .filter(|known| known.name == key.name)
                            .for_each(|known| known.value = None);
                    }
                    _ => set(&mut all, key),
                }
            }
            if other {
                forget(&mut all);
            }
            Shape::Object { keys: all, open: open || other }
        }
        (Shape::Object { mut keys, .. }, Shape::NotStated | Shape::Of(_)) => {
            forget(&mut keys);
            Shape::Object { keys, open: true }
        }
        (Shape::NotStated | Shape::Of(_), Shape::Object { keys, .. }) => Shape::Object { keys, open: true },
        (Shape::Null, _) | (_, Shape::Null) => Shape::Null,
        _ => Shape::NotStated,
    }
}

/// Their values may be others.
fn forget(keys: &mut [Key]) {
    for key in keys {
        key.value = None;
    }
}

fn set(keys: &mut Vec<Key>, key: Key) {
    match keys.iter_mut().find(|known| known.name == key.name) {
        Some(known) => *known = key,
        None => keys.push(key),
    }
}

fn of_constant(constant: &AConst) -> Shape {
    if constant.isnull {
        return Shape::Null;
    }
    let Some(a_const::Val::Sval(text)) = constant.val.as_ref() else { return Shape::NotStated };
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(&text.sval) else {
        return Shape::NotStated;
    };
    let keys = fields.into_iter().map(|(name, value)| {
        let is_plain = !value.is_object() && !value.is_array();
        Key { name, value: is_plain.then(|| value.to_string()), optional: false }
    });
    Shape::Object { keys: keys.collect(), open: false }
}

/// The text of a string constant, also of one that is cast.
fn text(node: &Node) -> Option<String> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Sval(text) => Some(text.sval.clone()),
            _ => None,
        },
        NodeEnum::TypeCast(cast) => match cast.arg.as_deref()?.node.as_ref()? {
            NodeEnum::AConst(_) => text(cast.arg.as_deref()?),
            _ => None,
        },
        _ => None,
    }
}

/// A constant as JSON.
fn value_of(node: &Node) -> Option<String> {
    let NodeEnum::AConst(constant) = node.node.as_ref()? else { return None };
    if constant.isnull {
        return Some("null".to_owned());
    }
    Some(match constant.val.as_ref()? {
        a_const::Val::Ival(number) => number.ival.to_string(),
        a_const::Val::Fval(number) => number.fval.clone(),
        a_const::Val::Boolval(value) => value.boolval.to_string(),
        a_const::Val::Sval(text) => serde_json::Value::from(text.sval.as_str()).to_string(),
        a_const::Val::Bsval(_) => return None,
    })
}
