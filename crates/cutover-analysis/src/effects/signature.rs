//! Which functions, procedures and aggregates the text of a statement makes, changes or drops, by the types of their
//! arguments: as a server finds them again.

use pg_query::NodeEnum;
use pg_query::protobuf::{FunctionParameterMode as Mode, Node, ObjectType, ObjectWithArgs, TypeName};

use super::model::{ObjectKind, ObjectRef};
use super::names;
use crate::sql::{parse, quote_ident, quote_qualified};

/// A routine as a text names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineName {
    /// Schema, where the text names it.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// The types of its arguments, as `to_regprocedure` reads them; none where they are not said.
    pub arguments: Option<Vec<String>>,
}

/// What is done to a routine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutineAct {
    /// It is made, or replaced where that is allowed and it is there.
    Makes {
        /// `OR REPLACE`
        may_replace: bool,
    },
    /// It is altered.
    Alters,
    /// It gets another name.
    Renames(String),
    /// It gets into another schema.
    Moves(String),
    /// It is dropped.
    Drops,
}

/// A statement about a routine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineStatement {
    /// The routine, by its name before the statement.
    pub routine: RoutineName,
    /// What is done to it.
    pub act: RoutineAct,
}

impl RoutineName {
    /// Its name without the types, quoted where that is needed.
    pub fn qualified(&self) -> String {
        match &self.schema {
            Some(schema) => quote_qualified(schema, &self.name),
            None => quote_ident(&self.name),
        }
    }

    /// As `to_regprocedure` reads it; none where the types of the arguments are not said.
    pub fn procedure(&self) -> Option<String> {
        Some(format!("{}({})", self.qualified(), self.arguments.as_ref()?.join(", ")))
    }

    /// Whether both texts may name one routine, where one of them says less.
    pub fn may_be(&self, other: &Self) -> bool {
        let agree =
            |one: Option<&String>, other: Option<&String>| one.is_none() || other.is_none() || one == other;
        self.name == other.name
            && agree(self.schema.as_ref(), other.schema.as_ref())
            && (self.arguments.is_none() || other.arguments.is_none() || self.arguments == other.arguments)
    }

    fn of(object: ObjectRef, arguments: Option<Vec<String>>) -> Self {
        Self {
            schema: object.schema.map(|schema| schema.to_string()),
            name: object.name.to_string(),
            arguments,
        }
    }
}

/// What a text does to routines, in its order.
pub fn routine_statements(sql: &str) -> Vec<RoutineStatement> {
    let Ok(parsed) = parse(sql) else { return Vec::new() };
    parsed.statements().flat_map(of_node).collect()
}

fn of_node(node: &NodeEnum) -> Vec<RoutineStatement> {
    let one = |routine: Option<RoutineName>, act: RoutineAct| {
        routine.map(|routine| RoutineStatement { routine, act }).into_iter().collect()
    };
    match node {
        NodeEnum::CreateFunctionStmt(create) => {
            let act = RoutineAct::Makes { may_replace: create.replace };
            one(named(&create.funcname, arguments(&create.parameters)), act)
        }
        NodeEnum::DefineStmt(define) if define.kind() == ObjectType::ObjectAggregate => {
            let parameters = match define.args.first().and_then(|node| node.node.as_ref()) {
                Some(NodeEnum::List(list)) => list.items.as_slice(),
                _ => &[],
            };
            // The old form names its arguments among its options.
            let arguments = if define.oldstyle { None } else { arguments(parameters) };
            one(named(&define.defnames, arguments), RoutineAct::Makes { may_replace: define.replace })
        }
        NodeEnum::AlterFunctionStmt(alter) => one(alter.func.as_ref().and_then(object), RoutineAct::Alters),
        NodeEnum::RenameStmt(rename) if is_routine(rename.rename_type()) => {
            one(rename.object.as_deref().and_then(in_node), RoutineAct::Renames(rename.newname.clone()))
        }
        NodeEnum::AlterObjectSchemaStmt(moved) if is_routine(moved.object_type()) => {
            one(moved.object.as_deref().and_then(in_node), RoutineAct::Moves(moved.newschema.clone()))
        }
        NodeEnum::DropStmt(drop) if is_routine(drop.remove_type()) => {
            let names = drop.objects.iter().filter_map(in_node);
            names.map(|routine| RoutineStatement { routine, act: RoutineAct::Drops }).collect()
        }
        _ => Vec::new(),
    }
}

fn is_routine(kind: ObjectType) -> bool {
    matches!(
        kind,
        ObjectType::ObjectFunction
            | ObjectType::ObjectProcedure
            | ObjectType::ObjectRoutine
            | ObjectType::ObjectAggregate
    )
}

fn named(name: &[Node], arguments: Option<Vec<String>>) -> Option<RoutineName> {
    Some(RoutineName::of(names::object(ObjectKind::Routine, name)?, arguments))
}

fn in_node(node: &Node) -> Option<RoutineName> {
    match node.node.as_ref()? {
        NodeEnum::ObjectWithArgs(with) => object(with),
        _ => None,
    }
}

fn object(with: &ObjectWithArgs) -> Option<RoutineName> {
    let types = || -> Option<Vec<String>> {
        // Modes are said there, where they are said.
        if !with.objfuncargs.is_empty() {
            return arguments(&with.objfuncargs);
        }
        let types = with.objargs.iter().map(|node| match node.node.as_ref()? {
            NodeEnum::TypeName(name) => type_text(name),
            _ => None,
        });
        types.collect()
    };
    named(&with.objname, if with.args_unspecified { None } else { types() })
}

/// The types of those arguments by which a routine is found.
fn arguments(parameters: &[Node]) -> Option<Vec<String>> {
    let mut types = Vec::new();
    for node in parameters {
        let Some(NodeEnum::FunctionParameter(parameter)) = node.node.as_ref() else { continue };
        if !matches!(parameter.mode(), Mode::FuncParamOut | Mode::FuncParamTable) {
            types.push(type_text(parameter.arg_type.as_ref()?)?);
        }
    }
    Some(types)
}

/// A type as a server reads it; none where it is the type of a column.
fn type_text(name: &TypeName) -> Option<String> {
    if name.pct_type {
        return None;
    }
    let parts: Vec<&str> = name.names.iter().filter_map(names::text).collect();
    let text = match parts.as_slice() {
        [schema, name] => quote_qualified(schema, name),
        [name] => quote_ident(name),
        _ => return None,
    };
    Some(if name.array_bounds.is_empty() { text } else { text + "[]" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> Vec<String> {
        let told = |one: RoutineStatement| {
            let name = one.routine.procedure().unwrap_or_else(|| format!("{} of any", one.routine.name));
            format!("{name}: {:?}", one.act)
        };
        routine_statements(sql).into_iter().map(told).collect()
    }

    #[test]
    fn routines_are_named_as_a_server_finds_them() {
        for (sql, wanted) in [
            (
                "CREATE FUNCTION f(a int, b \"My T\"[] DEFAULT '{}', OUT c text, INOUT d varchar(3), VARIADIC e s.t[]) LANGUAGE sql AS ''",
                "f(pg_catalog.int4, \"My T\"[], pg_catalog.\"varchar\", s.t[]): Makes { may_replace: false }",
            ),
            (
                "CREATE OR REPLACE PROCEDURE s.\"P\"() LANGUAGE sql AS ''",
                "s.\"P\"(): Makes { may_replace: true }",
            ),
            (
                "CREATE FUNCTION f(a t.c%TYPE) RETURNS TABLE (x int) LANGUAGE sql AS ''",
                "f of any: Makes { may_replace: false }",
            ),
            (
                "CREATE AGGREGATE a(int) (sfunc = f, stype = int)",
                "a(pg_catalog.int4): Makes { may_replace: false }",
            ),
            ("CREATE AGGREGATE a(*) (sfunc = f, stype = int)", "a(): Makes { may_replace: false }"),
            (
                "CREATE AGGREGATE a (basetype = int, sfunc = f, stype = int)",
                "a of any: Makes { may_replace: false }",
            ),
            ("ALTER FUNCTION f(int, OUT text) STRICT", "f(pg_catalog.int4): Alters"),
            ("ALTER FUNCTION f STRICT", "f of any: Alters"),
            ("ALTER ROUTINE s.f(int) RENAME TO g", "s.f(pg_catalog.int4): Renames(\"g\")"),
            ("ALTER AGGREGATE a(int) SET SCHEMA s", "a(pg_catalog.int4): Moves(\"s\")"),
            ("DROP FUNCTION IF EXISTS f(int)", "f(pg_catalog.int4): Drops"),
        ] {
            assert_eq!(told(sql), [wanted], "{sql}");
        }
        assert_eq!(told("DROP FUNCTION f(), g; CREATE TABLE t ()"), ["f(): Drops", "g of any: Drops"]);
        assert!(told("nonsense").is_empty());
    }
}
