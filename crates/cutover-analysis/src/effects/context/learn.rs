//! What statements leave behind, as far as locks and work of later ones depend on it.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    self, AlterTableCmd, AlterTableStmt, AlterTableType as Type, BoolExprType, ColumnDef, ConstrType,
    Constraint, CreateStmt, IndexStmt, Node, NullTestType, ObjectType, RenameStmt, SortByDir,
};

use smol_str::SmolStr;

use super::{
    CheckConstraint, Column, Context, DataType, Event, Follow, ForeignKey, Index, Name, Reaction, Relation,
};
use crate::effects::model::{ObjectKind as Kind, ObjectRef};
use crate::effects::walk::{self, Walk};
use crate::effects::{chosen, names};
use crate::sql::{Parsed, parse};

impl Context {
    /// Adds what the statements leave behind.
    pub fn learn(&mut self, parsed: &Parsed) {
        for node in parsed.statements() {
            self.statement(node);
        }
    }

    /// Adds what one statement leaves behind.
    pub(crate) fn statement(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::CreateStmt(create) => self.create_table(create),
            NodeEnum::CreateTableAsStmt(create) => {
                if let Some(relation) = create.into.as_ref().and_then(|into| into.rel.as_ref()) {
                    let name = self.new_name(&names::relation(Kind::Table, relation));
                    // A table has rows of its own from then on.
                    let shows = create.objtype() == ObjectType::ObjectMatview;
                    let reads = if shows { self.read_by(&create.query) } else { Vec::new() };
                    if !self.relations.contains_key(&name) {
                        self.insert(&name, Relation { reads, ..Relation::default() });
                    }
                }
            }
            NodeEnum::ViewStmt(create) => {
                if let Some(relation) = &create.view {
                    let name = self.new_name(&names::relation(Kind::View, relation));
                    let reads = self.read_by(&create.query);
                    self.insert(&name, Relation { reads, ..Relation::default() });
                }
            }
            NodeEnum::IndexStmt(create) => self.create_index(create),
            NodeEnum::AlterTableStmt(alter) => self.alter_table(alter),
            NodeEnum::CreateStatsStmt(create) => self.create_statistics(create),
            NodeEnum::CreateTrigStmt(create) => self.create_trigger(create),
            NodeEnum::RuleStmt(create) => self.create_rule(create),
            NodeEnum::CreateDomainStmt(create) => {
                if let Some(object) = names::object(Kind::Domain, &create.domainname) {
                    let name = self.new_name(&object);
                    self.domains.insert(name, create.constraints.iter().any(limits));
                }
            }
            NodeEnum::AlterDomainStmt(alter) if alter.subtype == "C" || alter.subtype == "O" => {
                if let Some(object) = names::object(Kind::Domain, &alter.type_name) {
                    let name = self.resolve(&object);
                    self.domains.insert(name, true);
                }
            }
            NodeEnum::VariableSetStmt(set) if set.name.eq_ignore_ascii_case("timezone") => {
                self.utc =
                    set.args.first().and_then(constant_text).map(|zone| zone.eq_ignore_ascii_case("utc"));
            }
            NodeEnum::DropStmt(drop) => self.drop(drop),
            NodeEnum::RenameStmt(rename) => self.rename(rename),
            NodeEnum::AlterObjectSchemaStmt(alter) => {
                if let Some(relation) = &alter.relation {
                    let old = self.resolve(&names::relation(Kind::Relation, relation));
                    let new = Name { schema: alter.newschema.as_str().into(), name: old.name.clone() };
                    self.move_relation(&old, &new);
                }
            }
            _ => {}
        }
    }

    fn read_by(&self, query: &impl Walk) -> Vec<Name> {
        walk::find(query).reads.iter().map(|relation| self.resolve(relation)).collect()
    }

    fn create_table(&mut self, create: &CreateStmt) {
        let Some(relation) = &create.relation else { return };
        let own = names::relation(Kind::Table, relation);
        let name = self.new_name(&own);
        if self.relations.contains_key(&name) {
            return;
        }
        let mut table = Relation {
            columns: Vec::with_capacity(create.table_elts.len()),
            columns_known: true,
            is_default: create.partbound.as_ref().is_some_and(|bound| bound.is_default),
            unlogged: relation.relpersistence == "u",
            partitioned: create.partspec.is_some(),
            partition_key: create.partspec.as_ref().map(partition_key).unwrap_or_default(),
            ..Relation::default()
        };
        for node in &create.inh_relations {
            if let Some(NodeEnum::RangeVar(parent)) = node.node.as_ref() {
                let parent = self.resolve(&names::relation(Kind::Table, parent));
                if let Some(known) = self.relations.get(&parent) {
                    table.columns.extend(known.columns.clone());
                    table.checks.extend(known.checks.clone());
                    if create.partbound.is_some() {
                        table.foreign_keys.extend(known.foreign_keys.clone());
                        table.indexes.extend(known.indexes.iter().map(|index| index.of_partition(&name)));
                    }
                } else {
                    table.columns_known = false;
                }
                table.parents.push(parent);
            }
        }
        if let Some(of) = create.of_typename.as_ref().and_then(|of| names::object(Kind::Type, &of.names)) {
            table.of_type = Some(self.resolve(&of));
            table.columns_known = false;
        }
        self.insert(&name, table);
        for node in &create.table_elts {
            match node.node.as_ref() {
                Some(NodeEnum::ColumnDef(definition)) => self.add_column(&name, definition),
                Some(NodeEnum::Constraint(definition)) => self.add_constraint(&name, definition, None),
                Some(NodeEnum::TableLikeClause(_)) => {
                    if let Some(table) = self.relations.get_mut(&name) {
                        table.columns_known = false;
                    }
                }
                _ => {}
            }
        }
        for node in &create.constraints {
            if let Some(NodeEnum::Constraint(definition)) = node.node.as_ref() {
                self.add_constraint(&name, definition, None);
            }
        }
        // A key to the table itself may stand before its primary key.
        let own_key = self.primary_key(&name);
        if let Some(table) = self.relations.get_mut(&name) {
            let to_itself = table.foreign_keys.iter_mut().filter(|key| key.parent == name);
            for key in to_itself.filter(|key| key.parent_columns.is_empty()) {
                key.parent_columns.clone_from(&own_key);
            }
        }
        // A new table has no rows that NOT VALID could be about.
        if let Some(table) = self.relations.get_mut(&name) {
            table.checks.iter_mut().for_each(|check| check.valid = true);
            // Most tables stay as they are made, and lists have room for four from the start.
            table.checks.shrink_to_fit();
            table.foreign_keys.shrink_to_fit();
            table.indexes.shrink_to_fit();
        }
    }

    fn add_column(&mut self, table: &Name, definition: &ColumnDef) {
        let column = definition.colname.as_str();
        let has = |wanted: ConstrType| {
            definition.constraints.iter().any(|node| {
                matches!(node.node.as_ref(), Some(NodeEnum::Constraint(one)) if one.contype() == wanted)
            })
        };
        let data_type = definition.type_name.as_ref().map(DataType::of).unwrap_or_default();
        let serial = data_type.schema.is_none() && names::SERIAL_TYPES.contains(&data_type.name.as_str());
        let not_null = serial
            || has(ConstrType::ConstrNotnull)
            || has(ConstrType::ConstrPrimary)
            || has(ConstrType::ConstrIdentity);
        let collation = definition.coll_clause.as_ref().map(|clause| last_text(&clause.collname));
        if let Some(known) = self.relations.get_mut(table) {
            let (name, generated) = (column.to_owned(), has(ConstrType::ConstrGenerated));
            known.columns.push(Column { name: name.into(), data_type, not_null, collation, generated });
        }
        for node in &definition.constraints {
            if let Some(NodeEnum::Constraint(definition)) = node.node.as_ref() {
                self.add_constraint(table, definition, Some(column));
            }
        }
    }

    fn add_constraint(&mut self, table: &Name, definition: &Constraint, column: Option<&str>) {
        let listed = |nodes: &[Node]| -> Vec<SmolStr> {
            let named: Vec<SmolStr> = nodes.iter().filter_map(names::text).map(SmolStr::new).collect();
            if named.is_empty() { column.map(SmolStr::new).into_iter().collect() } else { named }
        };
        let named = |columns: &[SmolStr], label: &str| {
            if definition.conname.is_empty() {
                names::made_for_column(&table.name, &columns.join("_"), label)
            } else {
                definition.conname.clone()
            }
        };
        let parent =
            definition.pktable.as_ref().map(|parent| self.resolve(&names::relation(Kind::Table, parent)));
        let mut parent_columns: Vec<SmolStr> =
            definition.pk_attrs.iter().filter_map(names::text).map(SmolStr::new).collect();
        if let Some(parent) = parent.as_ref().filter(|_| parent_columns.is_empty()) {
            parent_columns = self.primary_key(parent);
        }
        let Some(known) = self.relations.get_mut(table) else { return };
        match definition.contype() {
            ConstrType::ConstrForeign => {
                if let Some(parent) = parent {
                    let columns = listed(&definition.fk_attrs);
                    let name = named(&columns, "fkey");
                    known.foreign_keys.push(ForeignKey {
                        name: name.into(),
                        parent: parent.clone(),
                        columns,
                        parent_columns,
                        on_delete: Follow::of_letter(&definition.fk_del_action),
                        on_update: Follow::of_letter(&definition.fk_upd_action),
                    });
                    self.link_mention(&parent, table);
                }
            }
            ConstrType::ConstrCheck => {
                let not_null = definition.raw_expr.as_deref().map(kept_from_null).unwrap_or_default();
                let name = named(&listed(&[]), "check");
                let valid = !definition.skip_validation && definition.is_enforced;
                let columns = walk::columns(&definition.raw_expr);
                known.checks.push(CheckConstraint { name: name.into(), valid, not_null, columns });
            }
            ConstrType::ConstrNotnull => {
                let valid = !definition.skip_validation;
                for column in listed(&definition.keys) {
                    let found = known.columns.iter_mut().find(|known| known.name == column);
                    if let Some(found) = found.filter(|_| valid) {
                        found.not_null = true;
                    }
                }
            }
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => {
                let index = index_of(known, definition, &table.name, column);
                if index.primary {
                    let is_key =
                        |known: &&mut Column| index.columns.iter().flatten().any(|key| *key == known.name);
                    known.columns.iter_mut().filter(is_key).for_each(|column| column.not_null = true);
                }
                let name = index.name.clone();
                known.indexes.push(index);
                self.link_index(&name, table);
            }
            _ => {}
        }
    }

    fn create_index(&mut self, create: &IndexStmt) {
        let Some(relation) = &create.relation else { return };
        let table = self.resolve(&names::relation(Kind::Relation, relation));
        let elements = create.index_params.iter().filter_map(|node| match node.node.as_ref() {
            Some(NodeEnum::IndexElem(element)) => Some(element),
            _ => None,
        });
        let columns: Vec<Option<SmolStr>> =
            elements.map(|element| element.expr.is_none().then(|| SmolStr::new(&element.name))).collect();
        let keys: Vec<SmolStr> = columns.iter().flatten().cloned().collect();
        let mentioning = (&create.index_params, &create.where_clause);
        let others = others_of(&create.index_including_params, &mentioning, &keys);
        let computed = create.where_clause.is_some() || columns.contains(&None);
        let mut name = create.idxname.clone();
        if name.is_empty() {
            name = chosen::index(create, &table.name);
        }
        // Until its partitions have theirs it is not valid.
        let is_alone = !relation.inh && self.relations.get(&table).is_some_and(|known| known.partitioned);
        let index = Index {
            name: name.into(),
            columns,
            others,
            computed,
            unique: create.unique,
            ordinary: is_ordinary(create) && !is_alone,
            constraint: false,
            primary: false,
        };
        if relation.inh {
            self.index_partitions(&table, &index);
        }
        self.link_index(&index.name, &table);
        match self.relations.get_mut(&table) {
            Some(known) => known.indexes.push(index),
            None => self.insert(&table, Relation { indexes: vec![index], ..Relation::default() }),
        }
    }

    /// The columns of a table's primary key; empty where it is not known.
    fn primary_key(&self, table: &Name) -> Vec<SmolStr> {
        let key =
            self.relations.get(table).and_then(|known| known.indexes.iter().find(|index| index.primary));
        key.map(|index| index.columns.iter().flatten().cloned().collect()).unwrap_or_default()
    }

    /// Everything that inherits from a table, at any depth.
    pub(crate) fn descendants(&self, table: &Name) -> Vec<Name> {
        let mut found: Vec<Name> = Vec::new();
        let mut pending = vec![table.clone()];
        while let Some(parent) = pending.pop() {
            for (child, _) in self.children(&parent) {
                if !found.contains(child) {
                    found.push(child.clone());
                    pending.push(child.clone());
                }
            }
        }
        found
    }

    /// An index of a partitioned table is one of each partition too.
    fn index_partitions(&mut self, table: &Name, index: &Index) {
        if !self.relations.get(table).is_some_and(|known| known.partitioned) {
            return;
        }
        for part in self.descendants(table) {
            if let Some(known) = self.relations.get_mut(&part) {
                let index = index.of_partition(&part);
                let name = index.name.clone();
                known.indexes.push(index);
                self.link_index(&name, &part);
            }
        }
    }

    /// Heirs get what was added to the constraints of a table.
    fn inherit_constraint(&mut self, table: &Name, definition: &Constraint) {
        let Some(known) = self.relations.get(table) else { return };
        let (key, check, index) =
            (known.foreign_keys.last().cloned(), known.checks.last().cloned(), known.indexes.last().cloned());
        let partitioned = known.partitioned;
        match definition.contype() {
            ConstrType::ConstrCheck if !definition.is_no_inherit => {
                for heir in self.descendants(table) {
                    if let Some(heir) = self.relations.get_mut(&heir) {
                        heir.checks.extend(check.clone());
                    }
                }
            }
            ConstrType::ConstrForeign if partitioned => {
                for part in self.descendants(table) {
                    if let Some(known) = self.relations.get_mut(&part) {
                        known.foreign_keys.extend(key.clone());
                        self.link(&part);
                    }
                }
            }
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => {
                if let Some(index) = index {
                    self.index_partitions(table, &index);
                }
            }
            _ => {}
        }
    }

    fn create_trigger(&mut self, create: &protobuf::CreateTrigStmt) {
        let Some(relation) = &create.relation else { return };
        let table = self.resolve(&names::relation(Kind::Relation, relation));
        let on = Event::of_bits(create.events);
        let name = create.trigname.clone();
        self.add_reaction(&table, Reaction { name: name.into(), is_rule: false, for_rows: create.row, on });
    }

    fn create_rule(&mut self, create: &protobuf::RuleStmt) {
        let Some(relation) = &create.relation else { return };
        let table = self.resolve(&names::relation(Kind::Relation, relation));
        let on = match create.event() {
            protobuf::CmdType::CmdInsert => Event::Insert,
            protobuf::CmdType::CmdUpdate => Event::Update,
            protobuf::CmdType::CmdDelete => Event::Delete,
            _ => return,
        };
        let name = create.rulename.clone();
        self.add_reaction(
            &table,
            Reaction { name: name.into(), is_rule: true, for_rows: false, on: vec![on] },
        );
    }

    fn add_reaction(&mut self, table: &Name, reaction: Reaction) {
        let Some(known) = self.relations.get_mut(table) else { return };
        known.reactions.retain(|old| old.name != reaction.name || old.is_rule != reaction.is_rule);
        known.reactions.push(reaction);
    }

    fn create_statistics(&mut self, create: &protobuf::CreateStatsStmt) {
        let Some(object) = names::object(Kind::Statistics, &create.defnames) else { return };
        let name = self.new_name(&object);
        for node in &create.relations {
            if let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() {
                let table = self.resolve(&names::relation(Kind::Relation, relation));
                self.relations.entry(table).or_default().statistics.push(name.clone());
            }
        }
    }

    fn alter_table(&mut self, alter: &AlterTableStmt) {
        let Some(relation) = &alter.relation else { return };
        let table = self.resolve(&names::relation(Kind::Relation, relation));
        for node in &alter.cmds {
            if let Some(NodeEnum::AlterTableCmd(command)) = node.node.as_ref() {
                self.subcommand(&table, command);
                if relation.inh {
                    self.inherit(&table, command);
                }
            }
        }
    }

    /// What a subcommand makes of those that inherit from the table.
    fn inherit(&mut self, table: &Name, command: &AlterTableCmd) {
        let definition = command.def.as_deref().and_then(|definition| definition.node.as_ref());
        match (command.subtype(), definition) {
            (Type::AtAddColumn, Some(NodeEnum::ColumnDef(_))) => {
                let column = self.relations.get(table).and_then(|known| known.columns.last().cloned());
                for heir in self.descendants(table) {
                    if let Some(heir) = self.relations.get_mut(&heir) {
                        heir.columns.extend(column.clone());
                    }
                }
            }
            (Type::AtAddConstraint, Some(NodeEnum::Constraint(definition))) => {
                self.inherit_constraint(table, definition);
            }
            (
                Type::AtDropColumn
                | Type::AtAlterColumnType
                | Type::AtSetNotNull
                | Type::AtDropConstraint
                | Type::AtValidateConstraint,
                definition,
            ) => {
                for heir in self.descendants(table) {
                    if let Some(heir) = self.relations.get_mut(&heir) {
                        change(heir, command.subtype(), &command.name, definition);
                    }
                }
            }
            _ => {}
        }
    }

    fn subcommand(&mut self, table: &Name, command: &AlterTableCmd) {
        let definition = command.def.as_deref().and_then(|definition| definition.node.as_ref());
        let other = |context: &Self, node: Option<&NodeEnum>| match node {
            Some(NodeEnum::PartitionCmd(partition)) => {
                partition.name.as_ref().map(|name| context.resolve(&names::relation(Kind::Table, name)))
            }
            _ => None,
        };
        match (command.subtype(), definition) {
            (Type::AtAddColumn, Some(NodeEnum::ColumnDef(definition))) => {
                self.add_column(table, definition);
            }
            (Type::AtAddConstraint, Some(NodeEnum::Constraint(definition))) => {
                self.add_constraint(table, definition, None);
            }
            (Type::AtAttachPartition, node @ Some(NodeEnum::PartitionCmd(partition))) => {
                if let Some(child) = other(self, node) {
                    let parent = self.relations.get(table).cloned().unwrap_or_default();
                    let known = self.relations.entry(child.clone()).or_default();
                    known.parents.push(table.clone());
                    known.is_default = partition.bound.as_ref().is_some_and(|bound| bound.is_default);
                    known.become_partition(&child, &parent);
                    self.link(&child);
                }
            }
            (Type::AtAddInherit, Some(NodeEnum::RangeVar(parent))) => {
                let parent = self.resolve(&names::relation(Kind::Table, parent));
                let known = self.relations.entry(table.clone()).or_default();
                known.parents.push(parent);
                self.link(table);
            }
            (Type::AtDropInherit, Some(NodeEnum::RangeVar(parent))) => {
                let parent = self.resolve(&names::relation(Kind::Table, parent));
                if let Some(known) = self.relations.get_mut(table) {
                    known.parents.retain(|known| *known != parent);
                }
            }
            (Type::AtDetachPartition | Type::AtDetachPartitionFinalize, node) => {
                if let Some(child) = other(self, node).and_then(|child| self.relations.get_mut(&child)) {
                    child.parents.retain(|parent| parent != table);
                    child.is_default = false;
                }
            }
            (subtype, definition) => {
                if let Some(known) = self.relations.get_mut(table) {
                    change(known, subtype, &command.name, definition);
                }
            }
        }
    }

    fn drop(&mut self, drop: &protobuf::DropStmt) {
        let object_type = drop.remove_type();
        for object in drop.objects.iter().filter_map(|node| names::addressed(object_type, node)) {
            let name = self.resolve(&object);
            match object_type {
                ObjectType::ObjectIndex => {
                    if let Some(table) = self.indexed(&name).cloned()
                        && let Some(known) = self.relations.get_mut(&table)
                    {
                        known.indexes.retain(|index| index.name != name.name);
                    }
                }
                ObjectType::ObjectDomain => {
                    self.domains.remove(&name);
                }
                ObjectType::ObjectTrigger | ObjectType::ObjectRule => {
                    let is_rule = object_type == ObjectType::ObjectRule;
                    let table = object.table.clone().unwrap_or_default();
                    let table = self.resolve(&ObjectRef::new(Kind::Relation, object.schema.clone(), table));
                    if let Some(known) = self.relations.get_mut(&table) {
                        known.reactions.retain(|old| old.name != object.name || old.is_rule != is_rule);
                    }
                }
                ObjectType::ObjectSchema => self.relations.retain(|known, _| known.schema != object.name),
                ObjectType::ObjectTable | ObjectType::ObjectView | ObjectType::ObjectMatview => {
                    self.relations.remove(&name);
                    let referring: Vec<Name> = self.referring(&name).cloned().collect();
                    for other in referring {
                        if let Some(known) = self.relations.get_mut(&other) {
                            known.foreign_keys.retain(|key| key.parent != name);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn rename(&mut self, rename: &RenameStmt) {
        if rename.rename_type() == ObjectType::ObjectSchema {
            self.rename_schema(&rename.subname, &rename.newname);
        }
        let Some(relation) = &rename.relation else { return };
        let old = self.resolve(&names::relation(Kind::Relation, relation));
        match rename.rename_type() {
            ObjectType::ObjectTable | ObjectType::ObjectView | ObjectType::ObjectMatview => {
                let new = Name { schema: old.schema.clone(), name: rename.newname.as_str().into() };
                self.move_relation(&old, &new);
            }
            ObjectType::ObjectIndex => {
                if let Some(table) = self.indexed(&old).cloned()
                    && let Some(known) = self.relations.get_mut(&table)
                {
                    for index in known.indexes.iter_mut().filter(|index| index.name == old.name) {
                        index.name = rename.newname.as_str().into();
                    }
                    self.link(&table);
                }
            }
            ObjectType::ObjectColumn => {
                if let Some(known) = self.relations.get_mut(&old) {
                    rename_column(known, &rename.subname, &rename.newname);
                }
            }
            ObjectType::ObjectTabconstraint => {
                let Some(known) = self.relations.get_mut(&old) else { return };
                let keys = known.foreign_keys.iter_mut().map(|key| &mut key.name);
                let names = keys
                    .chain(known.checks.iter_mut().map(|check| &mut check.name))
                    .chain(known.indexes.iter_mut().map(|index| &mut index.name));
                for name in names.filter(|name| **name == rename.subname) {
                    *name = rename.newname.as_str().into();
                }
                self.link(&old);
            }
            ObjectType::ObjectTrigger | ObjectType::ObjectRule => {
                let is_rule = rename.rename_type() == ObjectType::ObjectRule;
                let Some(known) = self.relations.get_mut(&old) else { return };
                let reactions = known.reactions.iter_mut().filter(|known| known.is_rule == is_rule);
                for reaction in reactions.filter(|known| known.name == rename.subname) {
                    reaction.name = rename.newname.as_str().into();
                }
            }
            _ => {}
        }
    }

    fn rename_schema(&mut self, old: &str, new: &str) {
        let within: Vec<Name> = self.relations.keys().filter(|name| name.schema == old).cloned().collect();
        for name in within {
            self.move_relation(&name, &Name { schema: new.into(), name: name.name.clone() });
        }
    }

    fn move_relation(&mut self, old: &Name, new: &Name) {
        let Some(known) = self.relations.remove(old) else { return };
        let mentioning: Vec<Name> = self.mentioning(old).map(|(name, _)| name.clone()).collect();
        for name in mentioning {
            let Some(other) = self.relations.get_mut(&name) else { continue };
            let parents = other.foreign_keys.iter_mut().map(|key| &mut key.parent);
            for name in
                parents.chain(&mut other.parents).chain(&mut other.reads).filter(|name| **name == *old)
            {
                *name = new.clone();
            }
            self.link(&name);
        }
        self.insert(new, known);
    }
}

/// The index of a key. One that is there becomes the key's, under the name of the key.
fn index_of(known: &mut Relation, definition: &Constraint, table: &str, column: Option<&str>) -> Index {
    let is_given = |index: &Index| index.name == definition.indexname;
    let given = known.indexes.iter().position(is_given).map(|at| known.indexes.remove(at));
    let kind = definition.contype();
    let listed = || {
        let named = definition.keys.iter().filter_map(names::text).map(SmolStr::new);
        let own = column.filter(|_| definition.keys.is_empty()).map(SmolStr::new);
        named.chain(own).collect::<Vec<_>>()
    };
    let (columns, others) = given.map_or_else(
        || {
            let columns = listed();
            let others = others_of(&definition.including, &definition.where_clause, &columns);
            (columns.into_iter().map(Some).collect(), others)
        },
        |index| (index.columns, index.others),
    );
    let name = match (definition.conname.as_str(), definition.indexname.as_str()) {
        ("", "") => chosen::constraint_index(definition, table, column).unwrap_or_default(),
        ("", name) | (name, _) => name.to_owned(),
    };
    Index {
        name: name.into(),
        columns,
        others,
        computed: definition.where_clause.is_some(),
        unique: kind != ConstrType::ConstrExclusion,
        ordinary: kind != ConstrType::ConstrExclusion,
        constraint: true,
        primary: kind == ConstrType::ConstrPrimary,
    }
}

impl Index {
    /// What an index of a partitioned table is on one of its partitions, under the name that PostgreSQL gives it.
    fn of_partition(&self, part: &Name) -> Self {
        let columns: Vec<&str> =
            self.columns.iter().map(|column| column.as_deref().unwrap_or("expr")).collect();
        let name = match (self.primary, self.constraint) {
            (true, _) => format!("{}_pkey", part.name),
            (_, true) => names::made_for_column(&part.name, &columns.join("_"), "key"),
            _ => names::made_for_column(&part.name, &columns.join("_"), "idx"),
        };
        Self { name: name.into(), ..self.clone() }
    }
}

impl Relation {
    /// A partition gets the foreign keys and indexes of its table, as far as it has none that are alike.
    fn become_partition(&mut self, name: &Name, parent: &Self) {
        for key in &parent.foreign_keys {
            let alike = |own: &ForeignKey| own.parent == key.parent && own.columns == key.columns;
            if !self.foreign_keys.iter().any(alike) {
                self.foreign_keys.push(key.clone());
            }
        }
        for index in &parent.indexes {
            let alike = |own: &Index| {
                own.columns == index.columns && own.computed == index.computed && own.primary == index.primary
            };
            if !self.indexes.iter().any(alike) {
                self.indexes.push(index.of_partition(name));
            }
        }
    }
}

impl CheckConstraint {
    /// From its definition as `pg_get_constraintdef` prints it, `CHECK (…)`. What does not parse proves nothing.
    pub fn of_definition(name: String, definition: &str, valid: bool) -> Self {
        let (mut not_null, mut columns) = (Vec::new(), Vec::new());
        if let Ok(parsed) = parse(&format!("ALTER TABLE t ADD {definition}")) {
            for node in parsed.statements() {
                let NodeEnum::AlterTableStmt(alter) = node else { continue };
                let commands = alter.cmds.iter().filter_map(|node| match node.node.as_ref()? {
                    NodeEnum::AlterTableCmd(command) => command.def.as_deref()?.node.as_ref(),
                    _ => None,
                });
                for definition in commands {
                    if let NodeEnum::Constraint(constraint) = definition {
                        not_null
                            .extend(constraint.raw_expr.as_deref().map(kept_from_null).unwrap_or_default());
                        columns = walk::columns(&constraint.raw_expr);
                    }
                }
            }
        }
        Self { name: name.into(), valid, not_null, columns }
    }
}

/// Whether an index is a btree whose columns ascend, in the orders of their types and collations.
pub(crate) fn is_ordinary(create: &IndexStmt) -> bool {
    let plain = |node: &Node| match node.node.as_ref() {
        Some(NodeEnum::IndexElem(element)) => {
            let ascends = matches!(
                element.ordering(),
                SortByDir::SortbyDefault | SortByDir::SortbyAsc | SortByDir::Undefined
            );
            let nulls = element.nulls_ordering();
            let last = !matches!(nulls, protobuf::SortByNulls::SortbyNullsFirst);
            element.opclass.is_empty() && element.collation.is_empty() && ascends && last
        }
        _ => false,
    };
    create.access_method == "btree" && create.index_params.iter().all(plain)
}

/// The columns of a partition key; none where one is an expression.
fn partition_key(spec: &protobuf::PartitionSpec) -> Vec<SmolStr> {
    let columns = spec.part_params.iter().map(|node| match node.node.as_ref()? {
        NodeEnum::PartitionElem(element) => Some(SmolStr::new(&element.name)).filter(|name| !name.is_empty()),
        _ => None,
    });
    columns.collect::<Option<_>>().unwrap_or_default()
}

/// Whether a constraint of a domain keeps values out; a default is written as one too.
fn limits(node: &Node) -> bool {
    matches!(node.node.as_ref(), Some(NodeEnum::Constraint(constraint))
        if matches!(constraint.contype(), ConstrType::ConstrCheck | ConstrType::ConstrNotnull))
}

/// The columns of an index besides its key: those it includes, and those its expressions and condition mention.
fn others_of(included: &[Node], mentioning: &impl Walk, keys: &[SmolStr]) -> Vec<SmolStr> {
    let mut others = walk::columns(mentioning);
    others.extend(included.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::IndexElem(element) => Some(SmolStr::new(&element.name)),
        _ => names::text(node).map(SmolStr::new),
    }));
    others.retain(|column| !keys.contains(column));
    others.sort();
    others.dedup();
    others
}

fn rename_column(known: &mut Relation, old: &str, new: &str) {
    for column in known.columns.iter_mut().filter(|column| column.name == old) {
        column.name = new.into();
    }
    let indexed = known
        .indexes
        .iter_mut()
        .flat_map(|index| index.columns.iter_mut().flatten().chain(&mut index.others));
    let checked =
        known.checks.iter_mut().flat_map(|check| check.not_null.iter_mut().chain(&mut check.columns));
    let keys = known.foreign_keys.iter_mut().flat_map(|key| &mut key.columns);
    for name in indexed.chain(checked).chain(keys).filter(|name| *name == old) {
        *name = new.into();
    }
}

/// A subcommand that concerns the table alone.
fn change(known: &mut Relation, subtype: Type, name: &str, definition: Option<&NodeEnum>) {
    let column = known.columns.iter_mut().find(|column| column.name == name);
    match (subtype, definition) {
        (Type::AtDropColumn, _) => {
            known.foreign_keys.retain(|key| !key.columns.iter().any(|column| column == name));
            known.columns.retain(|column| column.name != name);
            known.indexes.retain(|index| !index.mentions(name));
            known.checks.retain(|check| !check.columns.iter().any(|column| column == name));
        }
        (Type::AtAlterColumnType, Some(NodeEnum::ColumnDef(definition))) => {
            if let (Some(column), Some(type_name)) = (column, &definition.type_name) {
                column.data_type = DataType::of(type_name);
                column.collation = definition.coll_clause.as_ref().map(|clause| last_text(&clause.collname));
            }
        }
        (Type::AtSetNotNull | Type::AtDropNotNull, _) => {
            if let Some(column) = column {
                column.not_null = subtype == Type::AtSetNotNull;
            }
        }
        (Type::AtDropExpression, _) => {
            if let Some(column) = column {
                column.generated = false;
            }
        }
        (Type::AtDropConstraint, _) => {
            known.foreign_keys.retain(|key| key.name != name);
            known.checks.retain(|check| check.name != name);
            known.indexes.retain(|index| index.name != name);
        }
        (Type::AtValidateConstraint, _) => {
            for check in known.checks.iter_mut().filter(|check| check.name == name) {
                check.valid = true;
            }
        }
        (Type::AtSetLogged | Type::AtSetUnLogged, _) => known.unlogged = subtype == Type::AtSetUnLogged,
        _ => {}
    }
}

impl DataType {
    /// As the parser names it: `int` is `int4`, `varchar(10)` has the modifier 10.
    pub(crate) fn of(name: &protobuf::TypeName) -> Self {
        let mut parts: Vec<&str> = name.names.iter().filter_map(names::text).collect();
        let last = parts.pop().unwrap_or_default();
        let schema = parts.pop().filter(|schema| *schema != "pg_catalog").map(SmolStr::new);
        let modifiers = name.typmods.iter().filter_map(integer).collect();
        Self { schema, name: last.into(), modifiers, array: !name.array_bounds.is_empty() }
    }
}

fn integer(node: &Node) -> Option<i32> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            protobuf::a_const::Val::Ival(value) => Some(value.ival),
            _ => None,
        },
        NodeEnum::Integer(value) => Some(value.ival),
        _ => None,
    }
}

fn constant_text(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            protobuf::a_const::Val::Sval(text) => Some(&text.sval),
            _ => None,
        },
        _ => None,
    }
}

fn last_text(names: &[Node]) -> SmolStr {
    names.last().and_then(names::text).unwrap_or_default().into()
}

/// The columns that cannot be NULL where a condition holds: `a IS NOT NULL`, alone or in a conjunction. PostgreSQL
/// takes such a constraint as the proof that SET NOT NULL asks for.
fn kept_from_null(condition: &Node) -> Vec<SmolStr> {
    match condition.node.as_ref() {
        Some(NodeEnum::NullTest(test)) if test.nulltesttype() == NullTestType::IsNotNull => {
            test.arg.as_deref().and_then(column_name).into_iter().collect()
        }
        Some(NodeEnum::BoolExpr(all)) if all.boolop() == BoolExprType::AndExpr => {
            all.args.iter().flat_map(kept_from_null).collect()
        }
        _ => Vec::new(),
    }
}

fn column_name(node: &Node) -> Option<SmolStr> {
    match node.node.as_ref()? {
        NodeEnum::ColumnRef(column) => column.fields.last().and_then(names::text).map(SmolStr::new),
        _ => None,
    }
}
