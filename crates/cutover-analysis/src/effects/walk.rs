//! What an expression or a query mentions: relations, functions, types.
//!
//! One list says which parts each kind of node has; only the nodes that mean something have code of their own.

use pg_query::NodeEnum;
use pg_query::protobuf::{self, Node, a_const};

use smol_str::SmolStr;

use super::context::Event;
use super::model::{ObjectKind, ObjectRef, Setting};
use super::names;
use crate::sql::{Parsed, identifier_list};

/// What was found, in the order of the text, with repetitions.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Relations that are read.
    pub(crate) reads: Vec<ObjectRef>,
    /// Relations among `reads` that are read without those that inherit from them (`ONLY`).
    pub(crate) alone: Vec<ObjectRef>,
    /// Relations that a data-modifying statement writes.
    pub(crate) writes: Vec<ObjectRef>,
    /// What is done to their rows.
    pub(crate) changes: Vec<RowChange>,
    pub(crate) routines: Vec<ObjectRef>,
    /// The same with those of `pg_catalog`.
    pub(crate) called: Vec<ObjectRef>,
    /// With how many arguments each of `called` is.
    pub(crate) arguments: Vec<usize>,
    pub(crate) types: Vec<ObjectRef>,
    /// Operators, without their schemas.
    pub(crate) operators: Vec<SmolStr>,
    /// Relations among `writes` whose rows are looked for.
    pub(crate) searched: Vec<ObjectRef>,
    /// Rows that are read are locked too (`FOR UPDATE` and the like).
    pub(crate) locks_rows: bool,
    /// Relations among `reads` whose rows are locked, as far as the text says, and sequences that are moved on.
    pub(crate) held: Vec<ObjectRef>,
    /// `set_config` on `search_path`, or on a setting that the text does not name.
    pub(crate) sets_search_path: bool,
    /// What `set_config` sets, as far as the text names it.
    pub(crate) settings: Vec<Setting>,
    /// Columns, where they are asked for.
    columns: Option<Vec<SmolStr>>,
    /// Names of common table expressions that hide relations here.
    scope: Vec<SmolStr>,
}

/// What a data-modifying statement does to the rows of a relation.
#[derive(Debug)]
pub(crate) struct RowChange {
    pub(crate) relation: ObjectRef,
    pub(crate) event: Event,
    /// The columns that an UPDATE sets.
    pub(crate) columns: Vec<SmolStr>,
    /// Not to those that inherit from it (`ONLY`).
    pub(crate) alone: bool,
}

/// The columns that an expression over one table mentions, sorted.
pub(crate) fn columns(tree: &impl Walk) -> Vec<SmolStr> {
    let mut found = Found { columns: Some(Vec::new()), ..Found::default() };
    tree.walk(&mut found);
    let mut columns = found.columns.unwrap_or_default();
    columns.sort();
    columns.dedup();
    columns
}

/// Everything that `tree` mentions.
pub(crate) fn find(tree: &impl Walk) -> Found {
    let mut found = Found::default();
    tree.walk(&mut found);
    found
}

pub(crate) trait Walk {
    fn walk(&self, found: &mut Found);
}

impl<T: Walk> Walk for Option<T> {
    fn walk(&self, found: &mut Found) {
        if let Some(inner) = self {
            inner.walk(found);
        }
    }
}

impl<T: Walk> Walk for Box<T> {
    fn walk(&self, found: &mut Found) {
        (**self).walk(found);
    }
}

impl<T: Walk> Walk for Vec<T> {
    fn walk(&self, found: &mut Found) {
        for part in self {
            part.walk(found);
        }
    }
}

impl<T: Walk> Walk for &T {
    fn walk(&self, found: &mut Found) {
        (**self).walk(found);
    }
}

impl<A: Walk, B: Walk> Walk for (A, B) {
    fn walk(&self, found: &mut Found) {
        self.0.walk(found);
        self.1.walk(found);
    }
}

impl Walk for Node {
    fn walk(&self, found: &mut Found) {
        self.node.walk(found);
    }
}

/// The parts of nodes that can mention something.
macro_rules! parts {
    ($($node:ident { $($part:ident),* })*) => {
        $(impl Walk for protobuf::$node {
            fn walk(&self, found: &mut Found) {
                $(self.$part.walk(found);)*
            }
        })*
    };
}

/// The nodes that occur in expressions and queries.
macro_rules! nodes {
    ($($node:ident)*) => {
        impl Walk for NodeEnum {
            fn walk(&self, found: &mut Found) {
                match self {
                    $(Self::$node(node) => node.walk(found),)*
                    _ => {}
                }
            }
        }
    };
}

nodes! {
    List RangeVar ColumnRef TypeName FuncCall TypeCast
    SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt ReturnStmt
    AExpr AIndirection AIndices AArrayExpr BoolExpr SubLink CaseExpr CaseWhen CoalesceExpr MinMaxExpr RowExpr
    NullTest BooleanTest CollateClause NamedArgExpr GroupingFunc GroupingSet XmlExpr XmlSerialize
    ResTarget MultiAssignRef SortBy WindowDef IndexElem StatsElem PartitionElem PartitionRangeDatum
    JoinExpr FromExpr RangeSubselect RangeFunction RangeTableFunc RangeTableFuncCol RangeTableSample
    ColumnDef DefElem CommonTableExpr MergeWhenClause FunctionParameter
    JsonFuncExpr JsonValueExpr JsonArgument JsonKeyValue JsonBehavior JsonIsPredicate JsonTable JsonTableColumn
    JsonTablePathSpec JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonObjectConstructor JsonArrayConstructor
    JsonArrayQueryConstructor JsonAggConstructor JsonObjectAgg JsonArrayAgg JsonOutput
}

parts! {
    List { items }
    ReturnStmt { returnval }
    AIndirection { arg, indirection }
    AIndices { lidx, uidx }
    AArrayExpr { elements }
    BoolExpr { args }
    CaseExpr { arg, args, defresult }
    CaseWhen { expr, result }
    CoalesceExpr { args }
    MinMaxExpr { args }
    RowExpr { args }
    NullTest { arg }
    BooleanTest { arg }
    CollateClause { arg }
    NamedArgExpr { arg }
    GroupingFunc { args }
    GroupingSet { content }
    XmlExpr { named_args, args }
    XmlSerialize { expr, type_name }
    ResTarget { indirection, val }
    MultiAssignRef { source }
    SortBy { node }
    WindowDef { partition_clause, order_clause, start_offset, end_offset }
    IndexElem { expr }
    StatsElem { expr }
    PartitionElem { expr }
    PartitionRangeDatum { value }
    JoinExpr { larg, rarg, quals }
    FromExpr { fromlist, quals }
    RangeSubselect { subquery }
    RangeFunction { functions, coldeflist }
    RangeTableFunc { docexpr, rowexpr, namespaces, columns }
    RangeTableFuncCol { type_name, colexpr, coldefexpr }
    RangeTableSample { relation, args, repeatable }
    ColumnDef { type_name, raw_default, constraints }
    DefElem { arg }
    WithClause { ctes }
    CommonTableExpr { ctequery, cycle_clause }
    CteCycleClause { cycle_mark_value, cycle_mark_default }
    OnConflictClause { infer, target_list, where_clause }
    InferClause { index_elems, where_clause }
    ReturningClause { exprs }
    MergeWhenClause { condition, target_list, values }
    FunctionParameter { arg_type, defexpr }
    JsonFuncExpr { context_item, pathspec, passing, output, on_empty, on_error }
    JsonValueExpr { raw_expr, formatted_expr }
    JsonArgument { val }
    JsonKeyValue { key, value }
    JsonBehavior { expr }
    JsonIsPredicate { expr }
    JsonTable { context_item, pathspec, passing, columns, on_error }
    JsonTableColumn { type_name, pathspec, columns, on_empty, on_error }
    JsonTablePathSpec { string }
    JsonParseExpr { expr, output }
    JsonScalarExpr { expr, output }
    JsonSerializeExpr { expr, output }
    JsonObjectConstructor { exprs, output }
    JsonArrayConstructor { exprs, output }
    JsonArrayQueryConstructor { query, output }
    JsonAggConstructor { output, agg_filter, agg_order, over }
    JsonObjectAgg { constructor, arg }
    JsonArrayAgg { constructor, arg }
    JsonOutput { type_name }
}

impl Walk for protobuf::AExpr {
    fn walk(&self, found: &mut Found) {
        found.operators.extend(self.name.last().and_then(names::text).map(SmolStr::new));
        self.lexpr.walk(found);
        self.rexpr.walk(found);
    }
}

impl Walk for protobuf::SubLink {
    fn walk(&self, found: &mut Found) {
        found.operators.extend(self.oper_name.last().and_then(names::text).map(SmolStr::new));
        self.testexpr.walk(found);
        self.subselect.walk(found);
    }
}

impl Walk for protobuf::RangeVar {
    fn walk(&self, found: &mut Found) {
        if !self.schemaname.is_empty() || !found.scope.iter().any(|hidden| *hidden == self.relname) {
            let relation = names::relation(ObjectKind::Relation, self);
            found.alone.extend((!self.inh).then(|| relation.clone()));
            found.reads.push(relation);
        }
    }
}

impl Walk for protobuf::ColumnRef {
    fn walk(&self, found: &mut Found) {
        if let Some(columns) = &mut found.columns {
            columns.extend(self.fields.last().and_then(names::text).map(SmolStr::new));
        }
    }
}

impl Walk for protobuf::TypeName {
    fn walk(&self, found: &mut Found) {
        self.typmods.walk(found);
        if let Some(object) = names::type_object(self) {
            found.types.push(object);
        }
    }
}

impl Walk for protobuf::FuncCall {
    fn walk(&self, found: &mut Found) {
        self.args.walk(found);
        self.agg_order.walk(found);
        self.agg_filter.walk(found);
        self.over.walk(found);
        let Some(object) = names::object(ObjectKind::Routine, &self.funcname) else {
            return;
        };
        if matches!(object.name.as_str(), "nextval" | "currval" | "setval")
            && let Some(sequence) = self.args.first().and_then(text_of)
        {
            let sequence = names::from_text(ObjectKind::Sequence, sequence);
            found.held.extend(sequence.clone().filter(|_| object.name != "currval"));
            found.reads.extend(sequence);
        }
        if object.name == "set_config" {
            let setting = self.args.first().and_then(text_of);
            found.sets_search_path |= setting.is_none_or(|name| name.eq_ignore_ascii_case("search_path"));
            if let Some(name) = setting {
                let value = self.args.get(1).and_then(text_of);
                let values = value.map(identifier_list);
                found.settings.push(Setting { name: name.to_ascii_lowercase(), values });
            }
        }
        found.called.push(object.clone());
        found.arguments.push(self.args.len());
        found.routines.push(object);
    }
}

impl Walk for protobuf::TypeCast {
    fn walk(&self, found: &mut Found) {
        self.arg.walk(found);
        self.type_name.walk(found);
        let target = self.type_name.as_ref().and_then(|name| names::text(name.names.last()?));
        let value = self.arg.as_deref().and_then(text_of);
        if let (Some("regclass"), Some(value)) = (target, value) {
            found.reads.extend(names::from_text(ObjectKind::Relation, value));
        }
    }
}

/// The text of a string constant, also one that is cast to `regclass`.
fn text_of(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Sval(text) => Some(&text.sval),
            _ => None,
        },
        NodeEnum::TypeCast(cast) => text_of(cast.arg.as_deref()?),
        _ => None,
    }
}

/// The text, where all that is selected is one constant.
pub(crate) fn constant(parsed: &Parsed) -> Option<String> {
    let mut statements = parsed.statements();
    let (Some(NodeEnum::SelectStmt(select)), None) = (statements.next(), statements.next()) else {
        return None;
    };
    let [target] = select.target_list.as_slice() else { return None };
    match target.node.as_ref()? {
        NodeEnum::ResTarget(target) => text_of(target.val.as_deref()?).map(str::to_owned),
        _ => None,
    }
}

/// The value that `SET` gives, as text.
pub(crate) fn value_of(node: &Node) -> Option<String> {
    let NodeEnum::AConst(constant) = node.node.as_ref()? else { return text_of(node).map(str::to_owned) };
    match constant.val.as_ref()? {
        a_const::Val::Sval(text) => Some(text.sval.clone()),
        a_const::Val::Ival(number) => Some(number.ival.to_string()),
        a_const::Val::Boolval(value) => Some(value.boolval.to_string()),
        a_const::Val::Fval(number) => Some(number.fval.clone()),
        a_const::Val::Bsval(_) => None,
    }
}

impl Found {
    /// Walks a statement's WITH clause, then the rest of it in the scope of those names.
    fn with(&mut self, clause: Option<&protobuf::WithClause>, rest: impl FnOnce(&mut Self)) {
        let known = self.scope.len();
        if let Some(clause) = clause {
            let tables = clause.ctes.iter().filter_map(|node| match node.node.as_ref()? {
                NodeEnum::CommonTableExpr(table) => Some(table),
                _ => None,
            });
            if clause.recursive {
                self.scope.extend(tables.clone().map(|table| SmolStr::new(&table.ctename)));
            }
            for table in tables {
                table.walk(self);
                self.scope.push(SmolStr::new(&table.ctename));
            }
        }
        rest(self);
        self.scope.truncate(known);
    }

    /// What `FOR UPDATE` and the like lock: the entries of FROM that are named, or all; of a query among them everything.
    fn holds(&mut self, clause: &protobuf::LockingClause, from: &[Node]) {
        let mut all = Vec::new();
        entries(from, &mut all);
        let named: Vec<&str> = clause
            .locked_rels
            .iter()
            .filter_map(|node| match node.node.as_ref()? {
                NodeEnum::RangeVar(relation) => Some(relation.relname.as_str()),
                _ => None,
            })
            .collect();
        let mut locked = Self { scope: std::mem::take(&mut self.scope), ..Self::default() };
        for entry in all {
            if named.is_empty() || named.iter().any(|name| is_called(entry, name)) {
                entry.walk(&mut locked);
            }
        }
        self.scope = locked.scope;
        self.held.append(&mut locked.reads);
    }

    fn searches(&mut self, relation: Option<&protobuf::RangeVar>) {
        self.searched.extend(relation.map(|relation| names::relation(ObjectKind::Relation, relation)));
        self.writes(relation);
    }

    fn changes(&mut self, relation: Option<&protobuf::RangeVar>, event: Event, columns: &[Node]) {
        let Some(relation) = relation else { return };
        let columns = columns.iter().filter_map(|node| match node.node.as_ref()? {
            NodeEnum::ResTarget(target) => Some(SmolStr::new(&target.name)),
            _ => None,
        });
        self.changes.push(RowChange {
            relation: names::relation(ObjectKind::Relation, relation),
            event,
            columns: columns.collect(),
            alone: !relation.inh,
        });
    }

    fn writes(&mut self, relation: Option<&protobuf::RangeVar>) {
        self.writes.extend(relation.map(|relation| names::relation(ObjectKind::Relation, relation)));
    }
}

impl Walk for protobuf::SelectStmt {
    fn walk(&self, found: &mut Found) {
        found.locks_rows |= !self.locking_clause.is_empty();
        found.with(self.with_clause.as_ref(), |found| {
            self.larg.walk(found);
            self.rarg.walk(found);
            self.distinct_clause.walk(found);
            self.target_list.walk(found);
            self.from_clause.walk(found);
            self.where_clause.walk(found);
            self.group_clause.walk(found);
            self.having_clause.walk(found);
            self.window_clause.walk(found);
            self.values_lists.walk(found);
            self.sort_clause.walk(found);
            self.limit_offset.walk(found);
            self.limit_count.walk(found);
            for clause in &self.locking_clause {
                if let Some(NodeEnum::LockingClause(clause)) = clause.node.as_ref() {
                    found.holds(clause, &self.from_clause);
                }
            }
        });
    }
}

/// Whether an entry of FROM, or one it is joined of, has a name: its alias, else its own.
fn is_called(entry: &Node, name: &str) -> bool {
    let called = |alias: Option<&protobuf::Alias>, own: &str| {
        alias.map_or(own == name, |alias| alias.aliasname == name)
    };
    match entry.node.as_ref() {
        Some(NodeEnum::RangeVar(relation)) => called(relation.alias.as_ref(), &relation.relname),
        Some(NodeEnum::RangeSubselect(query)) => called(query.alias.as_ref(), ""),
        Some(NodeEnum::RangeTableSample(sample)) => {
            sample.relation.as_deref().is_some_and(|relation| is_called(relation, name))
        }
        _ => false,
    }
}

/// The entries of FROM, joins taken apart.
fn entries<'a>(from: &'a [Node], into: &mut Vec<&'a Node>) {
    for entry in from {
        match entry.node.as_ref() {
            Some(NodeEnum::JoinExpr(join)) => {
                for side in [&join.larg, &join.rarg].into_iter().flatten() {
                    entries(std::slice::from_ref(&**side), into);
                }
            }
            _ => into.push(entry),
        }
    }
}

impl Walk for protobuf::InsertStmt {
    fn walk(&self, found: &mut Found) {
        found.with(self.with_clause.as_ref(), |found| {
            found.writes(self.relation.as_ref());
            found.changes(self.relation.as_ref(), Event::Insert, &[]);
            if let Some(clause) =
                self.on_conflict_clause.as_deref().filter(|clause| !clause.target_list.is_empty())
            {
                found.changes(self.relation.as_ref(), Event::Update, &clause.target_list);
            }
            self.cols.walk(found);
            self.select_stmt.walk(found);
            self.on_conflict_clause.walk(found);
            self.returning_clause.walk(found);
        });
    }
}

impl Walk for protobuf::UpdateStmt {
    fn walk(&self, found: &mut Found) {
        found.with(self.with_clause.as_ref(), |found| {
            found.searches(self.relation.as_ref());
            found.changes(self.relation.as_ref(), Event::Update, &self.target_list);
            self.target_list.walk(found);
            self.from_clause.walk(found);
            self.where_clause.walk(found);
            self.returning_clause.walk(found);
        });
    }
}

impl Walk for protobuf::DeleteStmt {
    fn walk(&self, found: &mut Found) {
        found.with(self.with_clause.as_ref(), |found| {
            found.searches(self.relation.as_ref());
            found.changes(self.relation.as_ref(), Event::Delete, &[]);
            self.using_clause.walk(found);
            self.where_clause.walk(found);
            self.returning_clause.walk(found);
        });
    }
}

impl Walk for protobuf::MergeStmt {
    fn walk(&self, found: &mut Found) {
        found.with(self.with_clause.as_ref(), |found| {
            found.searches(self.relation.as_ref());
            for node in &self.merge_when_clauses {
                let Some(NodeEnum::MergeWhenClause(clause)) = node.node.as_ref() else { continue };
                let event = match clause.command_type() {
                    protobuf::CmdType::CmdInsert => Event::Insert,
                    protobuf::CmdType::CmdUpdate => Event::Update,
                    protobuf::CmdType::CmdDelete => Event::Delete,
                    _ => continue,
                };
                found.changes(self.relation.as_ref(), event, &clause.target_list);
            }
            self.source_relation.walk(found);
            self.join_condition.walk(found);
            self.merge_when_clauses.walk(found);
            self.returning_clause.walk(found);
        });
    }
}
