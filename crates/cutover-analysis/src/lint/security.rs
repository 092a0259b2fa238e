//! Row security, policies, options of views, and functions that run as their owners: what is known of them before a statement.
//!
//! Learnt from the statements before it, or filled in by whoever can ask a catalogue. What is not known is missing.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterFunctionStmt, AlterObjectSchemaStmt, AlterPolicyStmt, AlterTableCmd, AlterTableType as Type,
    BoolExprType, CreateFunctionStmt, CreatePolicyStmt, DefElem, FunctionParameterMode as Mode, Node,
    ObjectType, ObjectWithArgs, RenameStmt, RoleSpecType, SubLinkType, VariableSetKind, a_const,
};

use crate::effects::walk;
use crate::effects::{Context, Name, ObjectKind, ObjectRef, SmolStr, names};

/// A policy of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Its name.
    pub name: SmolStr,
    /// Rows that it lets through are let through, whatever other permissive policies say.
    pub permissive: bool,
    /// `all`, `select`, `insert`, `update` or `delete`.
    pub command: SmolStr,
    /// Whom it is for; nobody is named where it is for everybody.
    pub roles: Vec<SmolStr>,
    /// What `USING` says.
    pub using: Condition,
    /// What `WITH CHECK` says.
    pub check: Condition,
}

/// A condition of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// It is true of every row.
    pub always: bool,
    /// Relations that it reads.
    pub reads: Vec<Name>,
}

impl Policy {
    /// Whether it lets every row through, for reading or for writing.
    pub(crate) fn is_always_true(&self) -> bool {
        self.permissive && (self.using.always || self.check.always)
    }

    /// Whether it is asked when rows are read.
    fn is_for_reading(&self) -> bool {
        matches!(self.command.as_str(), "all" | "select")
    }

    /// Whether it is asked wherever the other one is: for the same commands and roles, or more.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let for_others = !other.roles.is_empty() && other.roles.iter().all(|role| self.roles.contains(role));
        (self.command == other.command || self.command == "all") && (self.roles.is_empty() || for_others)
    }
}

/// The search path that a function has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnPath {
    /// None: it has that of whoever calls it.
    #[default]
    None,
    /// One that follows the name of a role (`"$user"`), or is what somebody's was when the function was made (`FROM CURRENT`).
    Open,
    /// The schemas that it names.
    Pinned,
}

/// A function or procedure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Routine {
    /// Types of its arguments, as they are written.
    pub arguments: Vec<String>,
    /// It runs as its owner: `SECURITY DEFINER`.
    pub definer: bool,
    /// The search path that it has of its own.
    pub search_path: OwnPath,
    /// It says that it is STABLE or IMMUTABLE.
    pub stable: bool,
    /// What it runs is bound to its objects when it is made, or is no SQL.
    pub bound: bool,
    /// Relations that its body names, with no schema where it names none; only of a body that is text.
    pub mentions: Vec<Name>,
}

impl Routine {
    /// Whether what its body names so is not found any more, as far as that is known.
    pub(crate) fn misses(&self, mention: &Name, known: &super::Known) -> bool {
        if !mention.schema.is_empty() {
            return !known.context.relations.contains_key(mention);
        }
        let by_name = ObjectRef::new(ObjectKind::Relation, None, mention.name.clone());
        // Where a path of its own leads to is not looked at.
        let is_there = if self.search_path == OwnPath::None {
            known.context.relation(&by_name).is_some()
        } else {
            known.context.is_called(&mention.name)
        };
        !is_there && !known.may_be_there(&mention.name)
    }
}

/// Tables, and whether they have row security. Which have it is asked of every new table there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    all: BTreeMap<Name, bool>,
    guarded: BTreeSet<Name>,
}

impl Tables {
    /// Whether a table has row security; none where it is not known.
    pub fn get(&self, name: &Name) -> Option<bool> {
        self.all.get(name).copied()
    }

    /// A table with row security in a schema.
    pub(crate) fn guarded_in(&self, schema: &str) -> Option<&Name> {
        let first = Name { schema: schema.into(), name: SmolStr::default() };
        self.guarded.range(first..).next().filter(|name| name.schema == schema)
    }

    /// A table has row security from now on, or has none.
    pub fn set(&mut self, name: &Name, guarded: bool) {
        self.all.insert(name.clone(), guarded);
        if guarded {
            self.guarded.insert(name.clone());
        } else {
            self.guarded.remove(name);
        }
    }

    /// There is such a table.
    fn note(&mut self, name: Name) {
        self.all.entry(name).or_insert(false);
    }

    fn retain(&mut self, mut is_kept: impl FnMut(&Name) -> bool) {
        self.all.retain(|name, _| is_kept(name));
        self.guarded.retain(is_kept);
    }

    fn remove(&mut self, name: &Name) {
        self.all.remove(name);
        self.guarded.remove(name);
    }

    fn rename_schema(&mut self, old: &SmolStr, new: &SmolStr) {
        move_all(&mut self.all, old, new);
        self.guarded = self.all.iter().filter(|(_, on)| **on).map(|(name, _)| name.clone()).collect();
    }

    fn rename(&mut self, old: &Name, new: &Name) {
        if let Some(guarded) = self.get(old) {
            self.remove(old);
            self.set(new, guarded);
        }
    }
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// Tables, and whether they have row security.
    pub tables: Tables,
    /// Policies of tables.
    pub policies: BTreeMap<Name, Vec<Policy>>,
    /// Options of views, by name; `true` where an option has no value.
    pub views: BTreeMap<Name, BTreeMap<SmolStr, String>>,
    /// Functions and procedures; several where only their arguments differ.
    pub routines: BTreeMap<Name, Vec<Routine>>,
    /// Names that triggers give to the rows a statement changed: functions read them like tables.
    pub transition_tables: BTreeSet<SmolStr>,
    /// The search path of the session is one that the file has set to schemas by their names.
    pub(crate) pinned: bool,
}

impl Security {
    /// A policy.
    pub(crate) fn policy(&self, table: &Name, name: &str) -> Option<&Policy> {
        self.policies.get(table)?.iter().find(|policy| policy.name == name)
    }

    /// The routine with these arguments.
    pub(crate) fn routine(&self, name: &Name, arguments: &[String]) -> Option<&Routine> {
        self.routines.get(name)?.iter().find(|routine| routine.arguments == arguments)
    }

    /// Whether all routines of a name say that they are STABLE or IMMUTABLE.
    pub(crate) fn is_stable(&self, name: &Name) -> bool {
        let known = self.routines.get(name).map(Vec::as_slice).unwrap_or_default();
        !known.is_empty() && known.iter().all(|routine| routine.stable)
    }

    /// Whether a view looks at its tables as whoever reads it, not as its owner.
    pub(crate) fn is_invoker(&self, view: &Name) -> Option<bool> {
        let options = self.views.get(view)?;
        Some(options.get("security_invoker").is_some_and(|value| is_true(value)))
    }

    /// How the policies that are asked when rows of `table` are read come back to it, from a condition that reads `first`:
    /// the tables on the way. Tables without row security ask no policies.
    pub(crate) fn way_back(&self, table: &Name, first: &[Name]) -> Option<Vec<Name>> {
        let mut seen: Vec<Name> = Vec::new();
        let mut ways: Vec<Vec<Name>> = first.iter().map(|name| vec![name.clone()]).collect();
        while let Some(way) = ways.pop() {
            let Some(last) = way.last() else { continue };
            if last == table {
                return Some(way);
            }
            if seen.contains(last) || self.tables.get(last) == Some(false) {
                continue;
            }
            seen.push(last.clone());
            let policies = self.policies.get(last).into_iter().flatten();
            for policy in policies.filter(|policy| policy.is_for_reading()) {
                let next = policy.using.reads.iter();
                ways.extend(next.map(|name| way.iter().chain([name]).cloned().collect()));
            }
        }
        None
    }

    /// Whether reading rows of its table asks a policy that reads that table.
    pub(crate) fn recursion(&self, table: &Name, policy: &Policy) -> Option<Vec<Name>> {
        policy.is_for_reading().then(|| self.way_back(table, &policy.using.reads)).flatten()
    }

    /// Tables with row security that a view comes to, through other views too.
    pub(crate) fn guarded_behind(&self, view: &Name, context: &Context) -> Option<Name> {
        let mut seen: Vec<Name> = vec![view.clone()];
        let mut at = 0;
        while let Some(name) = seen.get(at).cloned() {
            at += 1;
            if self.tables.get(&name) == Some(true) {
                return Some(name);
            }
            // A view that is not asked as whoever reads it is a matter of its own.
            if at > 1 && self.views.contains_key(&name) && self.is_invoker(&name) != Some(true) {
                continue;
            }
            let is_view = self.views.contains_key(&name);
            let reads =
                context.relations.get(&name).filter(|_| is_view).into_iter().flat_map(|known| &known.reads);
            for next in reads {
                if !seen.contains(next) {
                    seen.push(next.clone());
                }
            }
        }
        None
    }

    /// Learns what a statement leaves behind; `mentions` is what the bodies of functions in it name.
    pub(crate) fn learn(&mut self, node: &NodeEnum, mentions: &[Name], context: &Context) {
        match node {
            NodeEnum::CreateStmt(create) => {
                if let Some(relation) = &create.relation {
                    let name = context.new_name(&names::relation(ObjectKind::Table, relation));
                    self.tables.note(name);
                }
            }
            NodeEnum::CreateTableAsStmt(create) if create.objtype() == ObjectType::ObjectTable => {
                if let Some(relation) = create.into.as_ref().and_then(|into| into.rel.as_ref()) {
                    let name = context.new_name(&names::relation(ObjectKind::Table, relation));
                    self.tables.note(name);
                }
            }
            NodeEnum::ViewStmt(create) => {
                if let Some(relation) = &create.view {
                    let name = context.new_name(&names::relation(ObjectKind::View, relation));
                    self.views.insert(name, options(&create.options));
                }
            }
            NodeEnum::AlterTableStmt(alter) => {
                let Some(relation) = &alter.relation else { return };
                let name = context.resolve(&names::relation(ObjectKind::Relation, relation));
                for node in &alter.cmds {
                    if let Some(NodeEnum::AlterTableCmd(command)) = node.node.as_ref() {
                        self.command(&name, command);
                    }
                }
            }
            NodeEnum::CreatePolicyStmt(create) => {
                if let Some((table, policy)) = new_policy(create, context) {
                    self.policies.entry(table).or_default().push(policy);
                }
            }
            NodeEnum::AlterPolicyStmt(alter) => self.alter_policy(alter, context),
            NodeEnum::CreateFunctionStmt(create) => self.create_routine(create, mentions, context),
            NodeEnum::AlterFunctionStmt(alter) => self.alter_routine(alter, context),
            NodeEnum::CreateTrigStmt(create) => {
                self.transition_tables.extend(create.transition_rels.iter().filter_map(|node| {
                    let Some(NodeEnum::TriggerTransition(transition)) = node.node.as_ref() else {
                        return None;
                    };
                    Some(SmolStr::new(&transition.name))
                }));
            }
            NodeEnum::DropStmt(drop) => {
                for node in &drop.objects {
                    self.drop(drop.remove_type(), node, context);
                }
            }
            NodeEnum::RenameStmt(rename) => self.rename(rename, context),
            NodeEnum::AlterObjectSchemaStmt(alter) => self.set_schema(alter, context),
            _ => {}
        }
    }

    fn command(&mut self, name: &Name, command: &AlterTableCmd) {
        match command.subtype() {
            Type::AtEnableRowSecurity => self.tables.set(name, true),
            Type::AtDisableRowSecurity => self.tables.set(name, false),
            kind @ (Type::AtSetRelOptions | Type::AtResetRelOptions | Type::AtReplaceRelOptions) => {
                let Some(known) = self.views.get_mut(name) else { return };
                let Some(NodeEnum::List(list)) = super::site::definition(command) else { return };
                let named = options(&list.items);
                match kind {
                    Type::AtSetRelOptions => known.extend(named),
                    Type::AtResetRelOptions => known.retain(|option, _| !named.contains_key(option)),
                    _ => *known = named,
                }
            }
            _ => {}
        }
    }

    fn alter_policy(&mut self, alter: &AlterPolicyStmt, context: &Context) {
        let Some(relation) = &alter.table else { return };
        let table = context.resolve(&names::relation(ObjectKind::Table, relation));
        let policies = self.policies.get_mut(&table).into_iter().flatten();
        for policy in policies.filter(|policy| policy.name == alter.policy_name) {
            if !alter.roles.is_empty() {
                policy.roles = roles(&alter.roles);
            }
            if let Some(new) = alter.qual.as_deref() {
                policy.using = condition(new, context);
            }
            if let Some(new) = alter.with_check.as_deref() {
                policy.check = condition(new, context);
            }
        }
    }

    fn create_routine(&mut self, create: &CreateFunctionStmt, mentions: &[Name], context: &Context) {
        let Some(object) = names::object(ObjectKind::Routine, &create.funcname) else { return };
        let (definer, search_path) = settings(&create.options, self.pinned);
        let arguments = arguments(create);
        let language = definitions(&create.options).find(|option| option.defname == "language");
        let language = language.and_then(|option| names::text(option.arg.as_deref()?));
        let bound = create.sql_body.is_some() || matches!(language, Some("c" | "internal"));
        let routine = Routine {
            arguments,
            definer: definer == Some(true),
            search_path: search_path.unwrap_or_default(),
            stable: stable(&create.options) == Some(true),
            bound,
            mentions: mentions.to_vec(),
        };
        let known = self.routines.entry(context.new_name(&object)).or_default();
        known.retain(|old| old.arguments != routine.arguments);
        known.push(routine);
    }

    fn alter_routine(&mut self, alter: &AlterFunctionStmt, context: &Context) {
        let Some(func) = &alter.func else { return };
        let Some(object) = names::object(ObjectKind::Routine, &func.objname) else { return };
        let (definer, search_path) = settings(&alter.actions, self.pinned);
        let known = self.routines.entry(context.resolve(&object)).or_default();
        if !known.iter().any(|routine| is_meant(func, routine)) {
            // Nothing is known of it but what is said now.
            known.push(Routine { arguments: types(&func.objargs), ..Routine::default() });
        }
        for routine in known {
            if is_meant(func, routine) {
                routine.definer = definer.unwrap_or(routine.definer);
                routine.search_path = search_path.unwrap_or(routine.search_path);
                routine.stable = stable(&alter.actions).unwrap_or(routine.stable);
            }
        }
    }

    fn drop(&mut self, object_type: ObjectType, node: &Node, context: &Context) {
        let Some(object) = names::addressed(object_type, node) else { return };
        match object.kind {
            ObjectKind::Policy => {
                let Some(table) = &object.table else { return };
                let table = ObjectRef::new(ObjectKind::Table, object.schema.clone(), table.clone());
                if let Some(policies) = self.policies.get_mut(&context.resolve(&table)) {
                    policies.retain(|policy| policy.name != object.name);
                }
            }
            ObjectKind::Schema => {
                self.tables.retain(|name| name.schema != object.name);
                self.policies.retain(|name, _| name.schema != object.name);
                self.views.retain(|name, _| name.schema != object.name);
                self.routines.retain(|name, _| name.schema != object.name);
            }
            kind if kind.family() == ObjectKind::Relation => {
                let name = context.resolve(&object);
                self.tables.remove(&name);
                self.policies.remove(&name);
                self.views.remove(&name);
            }
            kind if kind.family() == ObjectKind::Routine => {
                let Some(NodeEnum::ObjectWithArgs(func)) = node.node.as_ref() else { return };
                if let Some(routines) = self.routines.get_mut(&context.resolve(&object)) {
                    routines.retain(|routine| !is_meant(func, routine));
                }
            }
            _ => {}
        }
    }

    fn rename(&mut self, rename: &RenameStmt, context: &Context) {
        let new = SmolStr::new(&rename.newname);
        let relation =
            rename.relation.as_ref().map(|relation| names::relation(ObjectKind::Relation, relation));
        match (rename.rename_type(), relation) {
            (ObjectType::ObjectTable | ObjectType::ObjectView, Some(relation)) => {
                let old = context.resolve(&relation);
                self.moves(&old, &Name { schema: old.schema.clone(), name: new });
            }
            (ObjectType::ObjectPolicy, Some(table)) => {
                let policies = self.policies.get_mut(&context.resolve(&table)).into_iter().flatten();
                for policy in policies.filter(|policy| policy.name == rename.subname) {
                    policy.name = new.clone();
                }
            }
            (ObjectType::ObjectSchema, _) => {
                let old = SmolStr::new(&rename.subname);
                self.tables.rename_schema(&old, &new);
                move_all(&mut self.policies, &old, &new);
                move_all(&mut self.views, &old, &new);
                move_all(&mut self.routines, &old, &new);
            }
            (
                kind @ (ObjectType::ObjectFunction | ObjectType::ObjectProcedure | ObjectType::ObjectRoutine),
                _,
            ) => {
                let object = rename.object.as_deref().and_then(|node| names::addressed(kind, node));
                if let Some(old) = object.map(|object| context.resolve(&object)) {
                    let to = Name { schema: old.schema.clone(), name: new };
                    self.move_routine(rename.object.as_deref(), &old, to);
                }
            }
            _ => {}
        }
    }

    fn set_schema(&mut self, alter: &AlterObjectSchemaStmt, context: &Context) {
        let schema = SmolStr::new(&alter.newschema);
        if let Some(relation) = &alter.relation {
            let old = context.resolve(&names::relation(ObjectKind::Relation, relation));
            self.moves(&old, &Name { schema, name: old.name.clone() });
        } else if let Some(object) = alter.object.as_deref()
            && let Some(old) = names::addressed(alter.object_type(), object)
            && old.kind.family() == ObjectKind::Routine
        {
            let old = context.resolve(&old);
            let new = Name { schema, name: old.name.clone() };
            self.move_routine(Some(object), &old, new);
        }
    }

    /// One of the routines of a name is called otherwise from now on.
    fn move_routine(&mut self, object: Option<&Node>, old: &Name, new: Name) {
        let Some(NodeEnum::ObjectWithArgs(func)) = object.and_then(|object| object.node.as_ref()) else {
            return;
        };
        let all = self.routines.remove(old).unwrap_or_default();
        let (moved, stay): (Vec<_>, Vec<_>) = all.into_iter().partition(|routine| is_meant(func, routine));
        self.routines.insert(old.clone(), stay);
        self.routines.entry(new).or_default().extend(moved);
    }

    /// A relation is called otherwise from now on.
    fn moves(&mut self, old: &Name, new: &Name) {
        self.tables.rename(old, new);
        move_one(&mut self.policies, old, new);
        move_one(&mut self.views, old, new);
        // Policies are bound to relations, not to names.
        let policies = self.policies.values_mut().flatten();
        let reads = policies.flat_map(|policy| policy.using.reads.iter_mut().chain(&mut policy.check.reads));
        reads.filter(|read| *read == old).for_each(|read| *read = new.clone());
    }
}

fn move_one<T>(of: &mut BTreeMap<Name, T>, old: &Name, new: &Name) {
    if let Some(known) = of.remove(old) {
        of.insert(new.clone(), known);
    }
}

fn move_all<T>(of: &mut BTreeMap<Name, T>, old: &SmolStr, new: &SmolStr) {
    let moved = std::mem::take(of).into_iter().map(|(name, known)| {
        let schema = if name.schema == *old { new.clone() } else { name.schema };
        (Name { schema, name: name.name }, known)
    });
    *of = moved.collect();
}

/// The policy that a statement makes, with its table.
pub(crate) fn new_policy(create: &CreatePolicyStmt, context: &Context) -> Option<(Name, Policy)> {
    let table = context.resolve(&names::relation(ObjectKind::Table, create.table.as_ref()?));
    let of =
        |node: &Option<Box<Node>>| node.as_deref().map(|node| condition(node, context)).unwrap_or_default();
    let policy = Policy {
        name: create.policy_name.as_str().into(),
        permissive: create.permissive,
        command: create.cmd_name.as_str().into(),
        roles: roles(&create.roles),
        using: of(&create.qual),
        check: of(&create.with_check),
    };
    Some((table, policy))
}

fn condition(node: &Node, context: &Context) -> Condition {
    let reads = walk::find(node).reads;
    Condition {
        always: is_always(node),
        reads: reads.iter().map(|relation| context.resolve(relation)).collect(),
    }
}

/// The roles that are named; none where PUBLIC is among them.
pub(crate) fn roles(nodes: &[Node]) -> Vec<SmolStr> {
    let mut found = Vec::new();
    for node in nodes {
        let Some(NodeEnum::RoleSpec(role)) = node.node.as_ref() else { continue };
        match role.roletype() {
            RoleSpecType::RolespecPublic => return Vec::new(),
            RoleSpecType::RolespecCstring => found.push(SmolStr::new(&role.rolename)),
            other => found.push(SmolStr::new(other.as_str_name())),
        }
    }
    found
}

/// Whether a condition is true of every row, as far as its text says.
pub(crate) fn is_always(node: &Node) -> bool {
    match node.node.as_ref() {
        Some(NodeEnum::AConst(constant)) => match constant.val.as_ref() {
            Some(a_const::Val::Boolval(value)) => value.boolval,
            _ => false,
        },
        Some(NodeEnum::TypeCast(cast)) => {
            let to = cast.type_name.as_ref().and_then(|name| names::text(name.names.last()?));
            let value = cast.arg.as_deref();
            to == Some("bool")
                && value.is_some_and(|node| {
                    is_always(node) || walk::value_of(node).is_some_and(|text| is_true(&text))
                })
        }
        Some(NodeEnum::AExpr(compared)) => {
            let is_equality = compared.name.iter().filter_map(names::text).eq(["="]);
            let side = |node: &Option<Box<Node>>| node.as_deref().and_then(walk::value_of);
            is_equality && side(&compared.lexpr).is_some_and(|left| side(&compared.rexpr) == Some(left))
        }
        Some(NodeEnum::BoolExpr(of)) => match of.boolop() {
            BoolExprType::OrExpr => of.args.iter().any(is_always),
            BoolExprType::AndExpr => of.args.iter().all(is_always),
            BoolExprType::NotExpr => of.args.iter().all(is_never),
            BoolExprType::Undefined => false,
        },
        // A row that is made up.
        Some(NodeEnum::SubLink(query)) if query.sub_link_type() == SubLinkType::ExistsSublink => {
            matches!(query.subselect.as_deref().and_then(|query| query.node.as_ref()),
                Some(NodeEnum::SelectStmt(select)) if select.from_clause.is_empty()
                    && walk::find(&select.target_list).called.is_empty()
                    && select.larg.is_none()
                    && select.where_clause.as_deref().is_none_or(is_always)
                    && select.having_clause.is_none()
                    && select.limit_count.is_none()
                    && select.limit_offset.is_none())
        }
        _ => false,
    }
}

/// Whether a condition is true of no row, as far as its text says.
fn is_never(node: &Node) -> bool {
    match node.node.as_ref() {
        Some(NodeEnum::AConst(constant)) => {
            matches!(constant.val.as_ref(), Some(a_const::Val::Boolval(value)) if !value.boolval)
        }
        Some(NodeEnum::BoolExpr(of)) if of.boolop() == BoolExprType::NotExpr => of.args.iter().all(is_always),
        _ => false,
    }
}

/// Whether PostgreSQL reads this as false.
pub(crate) fn is_false(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "false" | "f" | "off" | "no" | "n" | "0")
}

/// Whether PostgreSQL reads this as true.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "t" | "on" | "yes" | "y" | "1")
}

fn definitions(nodes: &[Node]) -> impl Iterator<Item = &DefElem> {
    nodes.iter().filter_map(|node| match node.node.as_ref() {
        Some(NodeEnum::DefElem(definition)) => Some(&**definition),
        _ => None,
    })
}

/// Options of a view with their values.
pub(crate) fn options(nodes: &[Node]) -> BTreeMap<SmolStr, String> {
    let value = |node: &Node| match node.node.as_ref() {
        Some(NodeEnum::String(text)) => text.sval.clone(),
        Some(NodeEnum::Integer(number)) => number.ival.to_string(),
        Some(NodeEnum::TypeName(name)) => {
            name.names.last().and_then(names::text).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    definitions(nodes)
        .map(|option| {
            let text = option.arg.as_deref().map_or_else(|| "true".to_owned(), value);
            (SmolStr::new(&option.defname), text)
        })
        .collect()
}

/// Whether a search path is the same whoever looks for names.
pub(crate) fn is_pinned<'a>(mut schemas: impl Iterator<Item = &'a str>) -> bool {
    schemas.all(|schema| schema != "$user")
}

/// Whether options of a function say that it runs as its owner, and which search path it has; nothing where they do not. That of the
/// session is `pinned`, or not.
pub(crate) fn settings(nodes: &[Node], pinned: bool) -> (Option<bool>, Option<OwnPath>) {
    let (mut definer, mut search_path) = (None, None);
    for option in definitions(nodes) {
        match option.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
            Some(NodeEnum::Boolean(value)) if option.defname == "security" => definer = Some(value.boolval),
            Some(NodeEnum::VariableSetStmt(set)) => {
                let pinned = match set.kind() {
                    VariableSetKind::VarSetValue => {
                        let values: Vec<String> = set.args.iter().filter_map(walk::value_of).collect();
                        is_pinned(values.iter().flat_map(|value| value.split(',').map(unquoted)))
                    }
                    _ => pinned,
                };
                let path = match set.kind() {
                    VariableSetKind::VarSetValue | VariableSetKind::VarSetCurrent if pinned => {
                        OwnPath::Pinned
                    }
                    VariableSetKind::VarSetValue | VariableSetKind::VarSetCurrent => OwnPath::Open,
                    _ => OwnPath::None,
                };
                let all = set.kind() == VariableSetKind::VarResetAll;
                if all || set.name.eq_ignore_ascii_case("search_path") {
                    search_path = Some(path);
                }
            }
            _ => {}
        }
    }
    (definer, search_path)
}

/// A schema of a search path that is written as one text.
fn unquoted(schema: &str) -> &str {
    schema.trim().trim_matches('"')
}

/// Whether the options of a function say that it is STABLE or IMMUTABLE, or not.
fn stable(nodes: &[Node]) -> Option<bool> {
    let option = definitions(nodes).find(|option| option.defname == "volatility")?;
    Some(names::text(option.arg.as_deref()?)? != "volatile")
}

/// The types of what a function is called with.
pub(crate) fn arguments(create: &CreateFunctionStmt) -> Vec<String> {
    let input = |node: &Node| match node.node.as_ref() {
        Some(NodeEnum::FunctionParameter(parameter)) => match parameter.mode() {
            Mode::FuncParamOut | Mode::FuncParamTable => None,
            _ => {
                let name = parameter.arg_type.as_ref()?;
                names::type_text(&Node { node: Some(NodeEnum::TypeName(name.clone())) })
            }
        },
        _ => None,
    };
    create.parameters.iter().filter_map(input).collect()
}

/// The types of arguments by which a routine is called.
pub(crate) fn types(nodes: &[Node]) -> Vec<String> {
    nodes.iter().filter_map(names::type_text).collect()
}

fn is_meant(func: &ObjectWithArgs, routine: &Routine) -> bool {
    func.args_unspecified || types(&func.objargs) == routine.arguments
}

#[cfg(test)]
mod tests {
    use super::{OwnPath, Policy, Security, is_always};
    use crate::effects::{Context, Name, effects};
    use crate::sql::parse;
    use pg_query::NodeEnum;

    fn name(text: &str) -> Name {
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        Name { schema: schema.into(), name: name.into() }
    }

    /// What is known behind these statements.
    fn learnt(sql: &str) -> Security {
        let (mut security, mut context) = (Security::default(), Context::default());
        for text in sql.split(';').filter(|text| !text.trim().is_empty()) {
            let parsed = parse(text).unwrap();
            let late = effects(&parsed).late;
            let mentions: Vec<Name> =
                late.iter().map(|reference| context.resolve(&reference.object)).collect();
            for node in parsed.statements() {
                security.learn(node, &mentions, &context);
            }
            context.learn(&parsed);
        }
        security
    }

    #[test]
    fn row_security_follows_its_table() {
        let known = learnt(
            "CREATE TABLE a (n int); ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (n = 1); \
             ALTER TABLE a RENAME TO b; ALTER TABLE b SET SCHEMA core; ALTER SCHEMA core RENAME TO main",
        );
        assert_eq!(known.tables.get(&name("main.b")), Some(true));
        assert_eq!(known.tables.guarded_in("main"), Some(&name("main.b")));
        assert!(known.tables.guarded_in("core").is_none() && known.tables.guarded_in("public").is_none());
        assert!(known.policy(&name("main.b"), "p").is_some() && known.policies.len() == 1);
        let known = learnt("CREATE TABLE a (n int); CREATE POLICY p ON a; DROP POLICY p ON a; DROP TABLE a");
        assert!(known.tables == super::Tables::default() && known.policies.values().all(Vec::is_empty));
    }

    #[test]
    fn policies_are_read() {
        let known =
            learnt("CREATE POLICY p ON a AS RESTRICTIVE FOR UPDATE TO x, y USING (n IN (SELECT n FROM b))");
        let policy = known.policy(&name("a"), "p").unwrap();
        assert!(!policy.permissive && policy.command == "update" && policy.roles == ["x", "y"]);
        assert_eq!(policy.using.reads, [name("b")]);
        let other = |command: &str, roles: &[&str]| Policy {
            command: command.into(),
            roles: roles.iter().map(|role| (*role).into()).collect(),
            ..Policy::default()
        };
        assert!(other("all", &[]).covers(policy) && other("update", &["x", "y", "z"]).covers(policy));
        assert!(policy.covers(&other("update", &["y"])) && !policy.covers(&other("update", &[])));
        assert!(!policy.covers(&other("all", &["y"])));
        assert!(!other("select", &[]).covers(policy) && !other("all", &["x"]).covers(policy));
    }

    #[test]
    fn options_of_views_are_kept_as_postgresql_keeps_them() {
        let invoker = |sql| learnt(sql).is_invoker(&name("v"));
        assert_eq!(invoker("SELECT 1"), None);
        assert_eq!(invoker("CREATE VIEW v WITH (security_invoker) AS SELECT 1"), Some(true));
        assert_eq!(invoker("CREATE VIEW v WITH (security_invoker = off) AS SELECT 1"), Some(false));
        assert_eq!(
            invoker("CREATE VIEW v AS SELECT 1; ALTER VIEW v SET (security_invoker = yes)"),
            Some(true)
        );
        let reset =
            "CREATE VIEW v WITH (security_invoker = 1) AS SELECT 1; ALTER VIEW v RESET (security_invoker)";
        assert_eq!(invoker(reset), Some(false));
        let replaced =
            "CREATE VIEW v WITH (security_invoker) AS SELECT 1; CREATE OR REPLACE VIEW v AS SELECT 2";
        assert_eq!(invoker(replaced), Some(false));
    }

    #[test]
    fn functions_are_told_apart_by_their_arguments() {
        let known = learnt(
            "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; \
             CREATE FUNCTION f(text) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; \
             ALTER FUNCTION f(text) SET search_path = ''; ALTER FUNCTION f(int) RENAME TO g",
        );
        assert!(known.routines.values().flatten().any(|routine| routine.search_path == OwnPath::Pinned));
        assert_eq!(known.routines.values().flatten().count(), 2);
    }

    #[test]
    fn a_path_is_pinned_where_it_is_the_same_for_everybody() {
        for (path, expected) in [
            ("SET search_path = pg_catalog, app, pg_temp", OwnPath::Pinned),
            ("SET search_path = ''", OwnPath::Pinned),
            (r#"SET search_path = "$user", app"#, OwnPath::Open),
            ("SET search_path TO 'app', '$user'", OwnPath::Open),
            ("SET search_path FROM CURRENT", OwnPath::Open),
            ("SET search_path TO DEFAULT", OwnPath::None),
            ("", OwnPath::None),
        ] {
            let known = learnt(&format!("CREATE FUNCTION f() RETURNS int LANGUAGE sql {path} AS 'SELECT 1'"));
            assert!(
                known.routines.values().flatten().all(|routine| routine.search_path == expected),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_always_true() {
        let always = |text: &str| {
            let parsed = parse(&format!("SELECT 1 WHERE {text}")).unwrap();
            let Some(NodeEnum::SelectStmt(select)) = parsed.statements().next() else { panic!("{text}") };
            is_always(select.where_clause.as_deref().unwrap())
        };
        for text in [
            "true",
            "(TRUE)",
            "1 = 1",
            "'t'::bool",
            "a OR true",
            "true AND 'x' = 'x'",
            "NOT false",
            "EXISTS (SELECT 1)",
        ] {
            assert!(always(text), "{text}");
        }
        for text in [
            "false",
            "a",
            "1 = 2",
            "a = a",
            "a AND true",
            "NOT true",
            "'f'::bool",
            "1 <> 1",
            "EXISTS (SELECT 1 FROM t)",
            "EXISTS (SELECT f())",
        ] {
            assert!(!always(text), "{text}");
        }
    }
}
