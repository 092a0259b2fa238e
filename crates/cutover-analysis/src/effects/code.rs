//! What statements run for each row that they find, and where code is kept that others run: bodies of functions, triggers,
//! rules, views, defaults and conditions. A rehearsal without rows runs none of it.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableType, CmdType, ColumnDef, Constraint, CreateTrigStmt, Node,
};

use super::maintenance::is_set;
use super::model::{ObjectKind, ObjectRef};
use super::walk::{self, Walk};
use super::{Event, bodies, data, names};
use crate::effects::SmolStr;
use crate::sql::Parsed;

/// What is run, as far as the text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code {
    /// Relations whose rows it changes.
    pub writes: Vec<(ObjectRef, Event)>,
    /// Relations that it reads.
    pub reads: Vec<ObjectRef>,
    /// Materialized views that it fills.
    pub fills: Vec<ObjectRef>,
    /// Tables whose conditions and generated columns it computes.
    pub computes: Vec<ObjectRef>,
    /// Functions and procedures that it calls and that are not known to be harmless.
    pub calls: Vec<ObjectRef>,
    /// Operators, without their schemas.
    pub operators: Vec<SmolStr>,
    /// Types that values are brought into.
    pub types: Vec<ObjectRef>,
    /// What else it does, or may do, in words.
    pub more: Option<String>,
}

/// Where code is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A function or procedure runs it.
    Routine(ObjectRef),
    /// It is run when rows of a relation are written.
    Written(ObjectRef, Vec<Event>),
    /// It is run when a view is read.
    Read(ObjectRef),
}

impl Code {
    /// Whether it meets rows at all.
    pub fn meets_rows(&self) -> bool {
        [&self.reads, &self.fills, &self.computes].iter().any(|list| !list.is_empty())
            || !self.writes.is_empty()
    }

    fn query(&mut self, tree: &impl Walk) {
        let found = walk::find(tree);
        self.writes.extend(found.changes.into_iter().map(|change| (change.relation, change.event)));
        self.reads.extend(found.reads);
        self.calls.extend(found.called.into_iter().filter(|routine| !data::is_harmless(routine)));
        self.operators.extend(found.operators);
        self.types.extend(found.types);
    }

    /// A statement that is run.
    pub(super) fn add(&mut self, node: &NodeEnum) {
        let relation = |relation| names::relation(ObjectKind::Relation, relation);
        match node {
            NodeEnum::CreateTableAsStmt(create) => self.query(&create.query),
            NodeEnum::RefreshMatViewStmt(refresh) => {
                self.fills.extend(refresh.relation.as_ref().map(relation))
            }
            NodeEnum::CopyStmt(copy) => {
                let table = copy.relation.as_ref().map(relation);
                match copy.is_from {
                    true => self.writes.extend(table.map(|table| (table, Event::Insert))),
                    false => self.reads.extend(table),
                }
                self.query(&(&copy.query, &copy.where_clause));
            }
            NodeEnum::TruncateStmt(truncate) => {
                for node in &truncate.relations {
                    if let Some(NodeEnum::RangeVar(table)) = node.node.as_ref() {
                        self.writes.push((relation(table), Event::Truncate));
                    }
                }
            }
            NodeEnum::AlterTableStmt(alter) => {
                for command in &alter.cmds {
                    if let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_ref() {
                        self.command(command);
                        if computes(command) {
                            self.computes.extend(alter.relation.as_ref().map(relation));
                        }
                    }
                }
            }
            NodeEnum::AlterDomainStmt(alter) => self.definition(alter.def.as_deref()),
            NodeEnum::IndexStmt(index) => self.query(&(&index.index_params, &index.where_clause)),
            NodeEnum::CallStmt(call) => {
                let Some(call) = call.funccall.as_ref() else { return };
                self.calls.extend(names::object(ObjectKind::Procedure, &call.funcname));
                self.query(&call.args);
            }
            NodeEnum::ExplainStmt(explain) if is_set(&explain.options, "analyze") => {
                if let Some(query) = explain.query.as_deref().and_then(|query| query.node.as_ref()) {
                    self.add(query);
                }
            }
            NodeEnum::DeclareCursorStmt(declare) => self.query(&declare.query),
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => self.query(&node),
            _ => {}
        }
    }

    fn command(&mut self, command: &AlterTableCmd) {
        self.definition(command.def.as_deref());
    }

    fn definition(&mut self, node: Option<&Node>) {
        match node.and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::Constraint(constraint)) => self.constraint(constraint),
            Some(NodeEnum::ColumnDef(column)) => self.column(column),
            Some(_) => self.query(&node.cloned()),
            None => {}
        }
    }

    fn column(&mut self, column: &ColumnDef) {
        self.query(&(&column.type_name, &column.raw_default));
        for node in &column.constraints {
            self.definition(Some(node));
        }
    }

    fn constraint(&mut self, constraint: &Constraint) {
        self.query(&(&constraint.raw_expr, &constraint.where_clause));
    }

    /// A statement within a body.
    fn within(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::NotifyStmt(_) | NodeEnum::VariableSetStmt(_) | NodeEnum::LockStmt(_) => {}
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_)
            | NodeEnum::TruncateStmt(_)
            | NodeEnum::CallStmt(_) => self.add(node),
            _ => self.more = Some("it runs more than queries".to_owned()),
        }
    }
}

/// Whether a command looks at all rows of its table.
fn computes(command: &AlterTableCmd) -> bool {
    use AlterTableType as Type;
    matches!(
        command.subtype(),
        Type::AtAddColumn
            | Type::AtAlterColumnType
            | Type::AtSetExpression
            | Type::AtAddConstraint
            | Type::AtValidateConstraint
            | Type::AtAttachPartition
            | Type::AtSetLogged
            | Type::AtSetUnLogged
            | Type::AtSetAccessMethod
    )
}

/// The code that statements put somewhere for others to run, each with what people call it.
pub fn kept(parsed: &Parsed) -> Vec<(Kept, String, Code)> {
    let mut all = Vec::new();
    for node in parsed.statements() {
        keep(node, &mut all);
    }
    all
}

fn keep(node: &NodeEnum, all: &mut Vec<(Kept, String, Code)>) {
    let mut code = Code::default();
    match node {
        NodeEnum::CreateFunctionStmt(create) => {
            let Some(name) = names::object(ObjectKind::Routine, &create.funcname) else { return };
            let label = name.to_string();
            if let Some(body) = create.sql_body.as_deref() {
                code.query(body);
            } else if let Err(why) = bodies::each_of_routine(create, &mut |node| code.within(node)) {
                code.more = Some(why);
            }
            all.push((Kept::Routine(name), label, code));
        }
        NodeEnum::CreateTrigStmt(create) => {
            let Some(table) = &create.relation else { return };
            let table = names::relation(ObjectKind::Relation, table);
            code.calls.extend(names::object(ObjectKind::Routine, &create.funcname));
            let label = format!("trigger {} of {}", create.trigname, table.name);
            all.push((Kept::Written(table, events(create)), label, code));
        }
        NodeEnum::RuleStmt(rule) => {
            let Some(table) = &rule.relation else { return };
            let table = names::relation(ObjectKind::Relation, table);
            code.query(&rule.where_clause);
            rule.actions.iter().filter_map(|node| node.node.as_ref()).for_each(|node| code.within(node));
            let label = format!("rule {} of {}", rule.rulename, table.name);
            let event = match rule.event() {
                CmdType::CmdInsert => Event::Insert,
                CmdType::CmdUpdate => Event::Update,
                CmdType::CmdDelete => Event::Delete,
                _ => return,
            };
            all.push((Kept::Written(table, vec![event]), label, code));
        }
        NodeEnum::ViewStmt(view) => {
            let Some(name) = &view.view else { return };
            let name = names::relation(ObjectKind::Relation, name);
            code.query(&view.query);
            all.push((Kept::Read(name.clone()), format!("view {}", name.name), code));
        }
        NodeEnum::CreateStmt(create) => {
            let Some(table) = &create.relation else { return };
            let table = names::relation(ObjectKind::Relation, table);
            create.table_elts.iter().for_each(|node| code.definition(Some(node)));
            let label = format!("what is computed in table {}", table.name);
            all.push((Kept::Written(table, vec![Event::Insert, Event::Update]), label, code));
        }
        NodeEnum::AlterTableStmt(alter) => {
            let Some(table) = &alter.relation else { return };
            let table = names::relation(ObjectKind::Relation, table);
            code.add(node);
            code.computes.clear();
            let label = format!("what is computed in table {}", table.name);
            all.push((Kept::Written(table, vec![Event::Insert, Event::Update]), label, code));
        }
        _ => {}
    }
}

fn events(create: &CreateTrigStmt) -> Vec<Event> {
    Event::of_bits(create.events)
}

#[cfg(test)]
mod tests {
    use super::{Code, kept};
    use crate::sql::parse;

    fn body(sql: &str) -> Code {
        kept(&parse(sql).unwrap()).remove(0).2
    }

    #[test]
    fn a_trigger_that_sets_columns_of_its_row_does_nothing_else() {
        let stamps = body(
            "CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW IS DISTINCT FROM OLD THEN NEW.updated_at := now(); END IF; RETURN NEW; END $$",
        );
        assert!(stamps.writes.is_empty() && stamps.calls.is_empty() && stamps.more.is_none(), "{stamps:?}");
        let wipes = body(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; RETURN NEW; END'",
        );
        assert_eq!(wipes.writes.len(), 1);
        let runs = body("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE ''x''||1; END'");
        assert!(runs.more.is_some());
        let drops = body("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DROP TABLE t'");
        assert!(drops.more.is_some());
        let other = body("CREATE FUNCTION f() RETURNS void LANGUAGE plpython3u AS 'x'");
        assert!(other.more.is_some());
    }

    #[test]
    fn what_is_computed_for_rows_is_found() {
        let mut code = Code::default();
        let parsed = parse(
            "CREATE TABLE r AS SELECT wipe(b) FROM t; ALTER TABLE u ADD CHECK (odd(x)), ADD COLUMN y int DEFAULT next_one();
             SELECT b @@@@ b FROM t; COPY (SELECT other(1)) TO STDOUT; REFRESH MATERIALIZED VIEW m",
        );
        parsed.unwrap().statements().for_each(|node| code.add(node));
        let calls: Vec<String> = code.calls.iter().map(ToString::to_string).collect();
        assert_eq!(calls, ["routine wipe", "routine odd", "routine next_one", "routine other"]);
        assert_eq!(code.operators, ["@@@@"]);
        assert_eq!((code.computes.len(), code.fills.len()), (2, 1));
    }
}
