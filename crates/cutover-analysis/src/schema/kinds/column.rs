//! Columns. Of views, only those of which something is said; of composite types, only comments.

use std::borrow::Cow;

use super::super::{Id, Object, Schema, parent_of};
use super::making::{
    Change, Making, Sql, World, changed_foreign_options, foreign_options, hazards, storage_options, text,
};
use super::not_null;
use super::query::{Row, flag, grants, in_scope, not_a_member, sequence_options, sorted};
use super::sequence::{self, bounded, changed_options};
use super::type_change::{always_fits, base_type, has_no_cast, is_assigned, keeps_values, loses_values};
use super::types::columns_with;
use super::{Asked, Kind};
use crate::effects::{ObjectKind, Work, WorkKind, effects_of_text};
use crate::sql::quote_ident;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Column], present: None, query, making: MAKING };

/// From 18 on NOT NULL is a constraint with a name.
const NAMED_NOT_NULL: u32 = 180_000;

/// Generated columns become plain ones.
const WITH_DROP_EXPRESSION: u32 = 130_000;

/// Sequences can be unlogged.
const WITH_UNLOGGED_SEQUENCES: u32 = 150_000;

/// What people set for a column of `pg_attribute a`.
const OPTIONS: &str = crate::column_options!("a");

/// How values are compressed can be chosen.
const WITH_COMPRESSION: u32 = 140_000;

/// Partitions have the identity of their parent's column, and its sequence.
pub(crate) const WITH_IDENTITY_OF_PARENT: u32 = 170_000;

/// Before sequences could be unlogged they were logged, whatever the table is.
fn sequence_persistence(asked: &Asked<'_>) -> &'static str {
    if asked.server_version < WITH_UNLOGGED_SEQUENCES {
        return "NULL";
    }
    "CASE WHEN sc.relpersistence <> c.relpersistence THEN CASE sc.relpersistence WHEN 'u' THEN 'UNLOGGED' ELSE 'LOGGED' END END"
}

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("a.attacl", "'c'", "c.relowner");
    let not_null = if asked.server_version >= NAMED_NOT_NULL {
        "CASE WHEN a.attnotnull THEN coalesce((SELECT NULLIF('CONSTRAINT ' || quote_ident(k.conname) || ' ', 'CONSTRAINT ' || quote_ident(c.relname || '_' || a.attname || '_not_null') || ' ')
           FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.coninhcount = 0 AND k.conkey = ARRAY[a.attnum]), '') || 'NOT NULL'
           || coalesce((SELECT CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END
           FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]), '') END"
    } else {
        "CASE WHEN a.attnotnull THEN 'NOT NULL' END"
    };
    let compression = if asked.server_version >= WITH_COMPRESSION {
        "CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END"
    } else {
        "NULL"
    };
    let of_table = |sql: &str| format!("CASE WHEN c.relkind IN ('r', 'p', 'f') THEN {sql} END");
    // Most columns are neither: a join would look for each, and OFFSET keeps what is looked for from being asked again.
    let of_generated = |what: &str| {
        format!(
            "CASE WHEN a.attgenerated <> '' THEN (SELECT {what} FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum) END"
        )
    };
    let generated = format!(
        "CROSS JOIN LATERAL (SELECT {} AS oid, {} AS text OFFSET 0) d",
        of_generated("d.oid"),
        of_generated("pg_get_expr(d.adbin, d.adrelid)")
    );
    let identity = "CROSS JOIN LATERAL (SELECT CASE WHEN a.attidentity <> '' THEN (SELECT p.objid FROM pg_depend p
               WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid
                 AND p.refobjsubid = a.attnum AND p.deptype = 'i') END AS sequence OFFSET 0) i";
    let of_sequence = |what: &str| {
        format!(
            "CASE WHEN i.sequence IS NOT NULL THEN (SELECT {what} FROM pg_class sc WHERE sc.oid = i.sequence) END"
        )
    };
    Row {
        kind: "'column'",
        name: ["n.nspname", "c.relname", "a.attname", "NULL"],
        addresses: &[
            ("pg_class", "c.oid", "a.attnum"),
            ("pg_class", "i.sequence", "0"),
            ("pg_attrdef", "d.oid", "0"),
        ],
        attributes: vec![
            ("type", of_table("format_type(a.atttypid, a.atttypmod)")),
            ("collation", of_table("CASE WHEN a.attcollation <> t.typcollation THEN (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END")),
            ("not null", of_table(not_null)),
            ("generated", "CASE a.attgenerated WHEN 's' THEN d.text || ' STORED' WHEN 'v' THEN d.text || ' VIRTUAL' END".to_owned()),
            ("identity", "CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END".to_owned()),
            ("sequence[]", format!("CASE WHEN i.sequence IS NOT NULL THEN (SELECT {} FROM pg_sequence s WHERE s.seqrelid = i.sequence) END", sequence_options("s"))),
            ("sequence name", "CASE WHEN i.sequence IS NOT NULL THEN (SELECT CASE WHEN sc.relname <> c.relname || '_' || a.attname || '_seq' OR sc.relnamespace <> c.relnamespace THEN sc.oid::regclass::text END FROM pg_class sc WHERE sc.oid = i.sequence) END".to_owned()),
            ("sequence grants{}", of_sequence("to_json(sc.relacl::text[])")),
            ("sequence revoked{}", of_sequence("CASE WHEN sc.relacl IS NOT NULL THEN to_json(acldefault('s', sc.relowner)::text[]) END")),
            ("sequence comment", of_sequence("obj_description(sc.oid, 'pg_class')")),
            ("sequence persistence", of_sequence(sequence_persistence(asked))),
            ("storage", of_table("CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END")),
            ("compression", compression.to_owned()),
            ("statistics", "CASE WHEN a.attstattarget >= 0 THEN a.attstattarget::text END".to_owned()),
            ("options[]", sorted(OPTIONS)),
            ("foreign options[]", sorted("a.attfdwoptions")),
            ("inherited?", flag("a.attinhcount > 0 AND NOT a.attislocal")),
            ("comment", "de.description".to_owned()),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             JOIN pg_type t ON t.oid = a.atttypid
             LEFT JOIN pg_description de ON de.classoid = 'pg_class'::regclass AND de.objoid = c.oid AND de.objsubid = a.attnum
             {generated} {identity}
             WHERE c.relpersistence <> 't' AND {}
               AND (c.relkind IN ('r', 'p', 'f')
                    OR c.relkind = 'v' AND (de.description IS NOT NULL OR a.attacl IS NOT NULL)
                    OR c.relkind = 'm' AND (de.description IS NOT NULL OR a.attacl IS NOT NULL OR a.attstattarget >= 0 OR {OPTIONS} IS NOT NULL)
                    OR c.relkind = 'c' AND de.description IS NOT NULL)",
            in_scope(asked),
            not_a_member(asked, "pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target, grantee: None, create, change, drop, remade: false };

fn target(id: &Id) -> String {
    format!("COLUMN {}.{}", id.table_sql(), quote_ident(&id.name))
}

fn alter(id: &Id) -> String {
    format!("ALTER TABLE {} ALTER COLUMN {}", id.table_sql(), quote_ident(&id.name))
}

/// For what each table has for itself, whatever inherits from it.
fn alter_only(id: &Id) -> String {
    format!("ALTER TABLE ONLY {} ALTER COLUMN {}", id.table_sql(), quote_ident(&id.name))
}

/// As it stands inside CREATE TABLE and behind ADD COLUMN, with its default where it is made along with it.
pub(crate) fn inline(id: &Id, object: &Object, default: Option<&str>) -> String {
    let mut sql = format!("{} {}", quote_ident(&id.name), object.text("type").unwrap_or_default());
    sql += &foreign_options(object.list("foreign options"));
    if let Some(collation) = object.text("collation") {
        sql.extend([format!(" COLLATE {collation}")]);
    }
    if let Some(generated) = object.text("generated") {
        let at = generated.rfind(' ').unwrap_or(generated.len());
        sql.extend([format!(" GENERATED ALWAYS AS ({}){}", &generated[..at], &generated[at..])]);
    }
    if let Some(identity) = object.text("identity") {
        sql.extend([format!(" GENERATED {identity} AS IDENTITY{}", identity_options(object))]);
    }
    if let Some(default) = default {
        sql.extend([format!(" DEFAULT {default}")]);
    }
    sql.extend(object.text("not null").map(not_null::inline));
    sql
}

/// As it stands inside CREATE TABLE … OF, which gives it its type; none where there is no more to say.
pub(crate) fn inline_of_type(id: &Id, object: &Object, default: Option<&str>) -> Option<String> {
    let mut options = Vec::new();
    if let Some(generated) = object.text("generated") {
        let at = generated.rfind(' ').unwrap_or(generated.len());
        options.push(format!(" GENERATED ALWAYS AS ({}){}", &generated[..at], &generated[at..]));
    }
    options.extend(default.map(|default| format!(" DEFAULT {default}")));
    options.extend(object.text("not null").map(not_null::inline));
    options.retain(|option| !option.is_empty());
    (!options.is_empty()).then(|| format!("{} WITH OPTIONS{}", quote_ident(&id.name), options.concat()))
}

fn identity_options(object: &Object) -> String {
    let name = object.text("sequence name").map(|name| format!("SEQUENCE NAME {name}"));
    let parts: Vec<&str> =
        name.iter().map(String::as_str).chain(object.list("sequence").iter().map(String::as_str)).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(" ")) }
}

/// What neither CREATE TABLE nor ADD COLUMN can say.
pub(crate) fn settings(id: &Id, object: &Object) -> Vec<Sql> {
    let alter = alter_only(id);
    let mut statements = Vec::new();
    for (attribute, word) in
        [("storage", "STORAGE"), ("compression", "COMPRESSION"), ("statistics", "STATISTICS")]
    {
        if let Some(value) = object.text(attribute) {
            statements.push(Sql::new(format!("{alter} SET {word} {value}")));
        }
    }
    statements.extend(storage_options(&alter, (None, object.attributes.get("options"))));
    statements.extend(object.text("not null").and_then(|not_null| not_null::behind(id, not_null)));
    statements.extend(sequence::said_of_identity(id, object));
    statements
}

/// What takes [`settings`] back, of a column that stays: of a materialized view's only these are objects.
pub(crate) fn unset(id: &Id, object: &Object) -> Vec<Sql> {
    let alter = alter_only(id);
    let mut statements = Vec::new();
    if object.has("statistics") {
        statements.push(Sql::new(format!("{alter} SET STATISTICS -1")));
    }
    statements.extend(storage_options(&alter, (object.attributes.get("options"), None)));
    statements
}

fn create(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    create_with(id, object, None, world)
}

/// A new column without what it has from that of its parent as soon as its table is a partition.
pub(crate) fn before_attached<'a>(id: &Id, object: &'a Object, to: &Schema) -> Cow<'a, Object> {
    let is_partition = || World::partition_of(id).is_some_and(|own| to.objects.contains_key(&own));
    if !object.has("identity") || to.server_version < WITH_IDENTITY_OF_PARENT || !is_partition() {
        return Cow::Borrowed(object);
    }
    Cow::Owned(without_identity(object))
}

fn without_identity(object: &Object) -> Object {
    let mut plain = object.clone();
    plain.attributes.retain(|name, _| name != "identity" && !name.starts_with("sequence"));
    plain
}

/// With its default, where both are new.
pub(crate) fn create_with(id: &Id, object: &Object, default: Option<&str>, world: &World<'_>) -> Vec<Sql> {
    let object = &*before_attached(id, object, world.to);
    // Of views and composite types only what is said of a column is an object.
    if !object.has("type") {
        return settings(id, object);
    }
    if object.has("identity") && is_inherited(id, world) {
        return create_inherited_identity(id, object);
    }
    if cannot_be_filled(id, world).is_some() {
        return create_unfilled(id, object, default);
    }
    let mut add =
        Sql::new(format!("ALTER TABLE {} ADD COLUMN {}", id.table_sql(), inline(id, object, default)));
    let filled = default.is_some() || object.has("identity") || object.has("generated");
    if object.has("not null") && !filled {
        add = add.hazard(hazards::MAY_FAIL);
    }
    if object.has("identity")
        || object.text("generated").is_some_and(|generated| generated.ends_with("STORED"))
        || default.is_some_and(|_| gives_each_row_its_own(&add.text))
    {
        add = add.hazard(hazards::REWRITE);
    }
    let mut statements = Vec::new();
    // A partition's column comes with its parent's.
    if is_of_type(id, world) {
        let default = default.map(|default| Sql::new(format!("{} SET DEFAULT {default}", alter_only(id))));
        let not_null = object.has("not null");
        let not_null =
            not_null.then(|| Sql::new(format!("{} SET NOT NULL", alter(id))).hazard(hazards::MAY_FAIL));
        statements.extend(default.into_iter().chain(not_null));
    } else if !(object.has("inherited") && world.comes_along(id)) {
        statements.push(add);
    }
    statements.extend(settings(id, object));
    statements
}

/// Whether a statement writes all rows anew because each gets a value of its own, or may do so.
fn gives_each_row_its_own(statement: &str) -> bool {
    let Ok(effects) = effects_of_text(statement) else { return false };
    let is_volatile = |work: &Work| work.sure || work.why.contains("volatile");
    effects.work.iter().any(|work| work.kind == WorkKind::Rewrite && is_volatile(work))
}

/// With a default for rows to come only.
fn create_unfilled(id: &Id, object: &Object, default: Option<&str>) -> Vec<Sql> {
    if object.has("identity") || object.has("generated") {
        return Vec::new();
    }
    let mut plain = object.clone();
    plain.attributes.remove("not null");
    let mut statements =
        vec![Sql::new(format!("ALTER TABLE {} ADD COLUMN {}", id.table_sql(), inline(id, &plain, None)))];
    statements.extend(default.map(|default| Sql::new(format!("{} SET DEFAULT {default}", alter(id)))));
    if object.has("not null") {
        statements.push(Sql::new(format!("{} SET NOT NULL", alter(id))).hazard(hazards::MAY_FAIL));
    }
    statements.extend(settings(id, object));
    statements
}

/// Whether other tables, not partitions of it, have a column from this one.
fn is_inherited(id: &Id, world: &World<'_>) -> bool {
    let is_heir =
        |(other, object): (&Id, &Object)| other.kind == ObjectKind::Column && object.needs.contains(id);
    !world.is_partitioned(id) && world.was_there(id) && world.to.objects.iter().any(is_heir)
}

/// Those that inherit it have the column, not the identity, which is given when the column is there.
fn create_inherited_identity(id: &Id, object: &Object) -> Vec<Sql> {
    let plain = without_identity(object);
    let add = format!("ALTER TABLE {} ADD COLUMN {}", id.table_sql(), inline(id, &plain, None));
    let how = object.text("identity").unwrap_or_default();
    let give = format!("{} ADD GENERATED {how} AS IDENTITY{}", alter_only(id), identity_options(object));
    let mut statements = vec![Sql::new(add).hazard(hazards::MAY_FAIL), Sql::new(give)];
    statements.extend(settings(id, object));
    statements
}

fn change(change: &mut Change<'_>) {
    change_inherited(change);
    let alter = alter(change.id);
    let of_parent =
        change.from.has("inherited") && change.to.has("inherited") && change.world.comes_along(change.id);
    change_generated(change, &alter);
    let (type_name, collation) = (change.take("type"), change.take("collation"));
    if type_name.is_some() || collation.is_some() {
        if let Some(why) = keeps_type(change) {
            change.kept = true;
            change
                .impossible
                .push(format!("its type, now {}: {why}", change.to.text("type").unwrap_or_default()));
        } else {
            change.frees = true;
            if !of_parent {
                change_type(change, &alter);
            }
            keep_settings(change);
        }
    }
    if of_parent && change.world.from.server_version >= WITH_IDENTITY_OF_PARENT && is_partition(change) {
        change.left.retain(|name, _| *name != "identity" && !name.starts_with("sequence"));
    }
    // An identity needs NOT NULL as long as it is there, and before it is.
    let goes = matches!(change.left.get("identity"), Some((Some(_), None)));
    if goes {
        change_identity(change, &alter);
    }
    if let Some(values) = change.take("not null") {
        not_null::change(change, &alter, values, of_parent);
    }
    if !goes {
        change_identity(change, &alter);
    }
    sequence::change_said_of_identity(change);
    let alter = alter_only(change.id);
    for (attribute, word, usual) in [
        ("storage", "STORAGE", ""),
        ("compression", "COMPRESSION", "default"),
        ("statistics", "STATISTICS", "-1"),
    ] {
        if let Some((_, to)) = change.take(attribute) {
            match (text(to), usual) {
                (Some(value), _) => change.push(format!("{alter} SET {word} {value}")),
                // What is usual for a type has a name from 16 on only.
                (None, "") => change.push(format!("{alter} SET {word} {}", usual_storage(change.from))),
                (None, usual) => change.push(format!("{alter} SET {word} {usual}")),
            }
        }
    }
    if let Some(values) = change.take("options") {
        change.statements.extend(storage_options(&alter, values));
    }
    if let Some(values) = change.take("foreign options") {
        change.statements.extend(changed_foreign_options(&alter, values));
    }
}

fn is_partition(change: &Change<'_>) -> bool {
    World::partition_of(change.id).is_some_and(|own| change.world.to.objects.contains_key(&own))
}

/// Why PostgreSQL refuses to change its type at all.
fn keeps_type(change: &Change<'_>) -> Option<String> {
    let (id, world) = (change.id, change.world);
    if let Some(user) = row_type_user(id, world) {
        return Some(format!("PostgreSQL refuses that while {user} is of the table's row type"));
    }
    if is_in_partition_key(id, world.from) {
        return Some(
            "PostgreSQL changes no column of a partition key: make a new table and move the rows".to_owned(),
        );
    }
    if is_of_type(id, world) {
        return Some("the table is of a type, which says what its columns are".to_owned());
    }
    let type_in = |object: &Object, schema: &Schema| {
        base_type(object.text("type").unwrap_or_default(), schema).to_owned()
    };
    let (old, new) = (type_in(change.from, world.from), type_in(change.to, world.to));
    let is_cast = |id: &Id| id.kind == ObjectKind::Cast && id.name == format!("{old} AS {new}");
    let has_own_cast = [world.from, world.to].iter().any(|schema| schema.objects.keys().any(is_cast));
    let is_enum = |name: &str| {
        let is_it = |(id, object): (&Id, &Object)| {
            id.kind == ObjectKind::Type && object.has("values") && id.name_sql() == name
        };
        [world.from, world.to].iter().any(|schema| schema.objects.iter().any(is_it))
    };
    (has_no_cast(&old, &new, is_enum) && !has_own_cast).then(|| {
        format!(
            "there is no cast from {old}: add another column and fill it, or change it by hand with USING"
        )
    })
}

/// Whether the column is one of those by which its table, or one that this is a partition of, is partitioned.
pub(crate) fn is_in_partition_key(id: &Id, schema: &Schema) -> bool {
    let (Some(namespace), Some(table)) = (&id.schema, &id.table) else { return false };
    let whole = Id::new(ObjectKind::Table, namespace.clone(), table.clone());
    let Some(key) = schema.get(&whole).map(|object| object.text("partition key").unwrap_or_default()) else {
        return false;
    };
    let name = quote_ident(&id.name);
    let is_apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && !"_$\"'.".contains(c));
    let is_named = |(at, _): (usize, &str)| {
        let (before, behind) =
            (key.get(..at).unwrap_or_default(), key.get(at + name.len()..).unwrap_or_default());
        is_apart(before.chars().next_back()) && is_apart(behind.chars().next()) && !behind.starts_with('(')
    };
    let above = World::partition_of(id).and_then(|own| schema.get(&own).and_then(parent_of));
    let above = above.map(|parent| Id { schema: parent.schema, table: Some(parent.name), ..id.clone() });
    key.match_indices(&name).any(is_named) || above.is_some_and(|column| is_in_partition_key(&column, schema))
}

/// Whether its table is of a composite type before and after: columns come, change and go with that.
fn is_of_type(id: &Id, world: &World<'_>) -> bool {
    let of = |schema: &Schema| {
        let table = Id::new(ObjectKind::Table, id.schema.clone()?, id.table.clone()?);
        schema.get(&table)?.text("of type").map(str::to_owned)
    };
    of(world.from).is_some_and(|of_type| of(world.to) == Some(of_type))
}

/// A column of another table that holds rows of this one's type, as such or within others.
fn row_type_user(id: &Id, world: &World<'_>) -> Option<Id> {
    let table = Id::new(ObjectKind::Table, id.schema.clone()?, id.table.clone()?);
    let mut users = columns_with(world.from, &table).into_iter();
    users.find(|user| {
        (user.table != id.table || user.schema != id.schema) && world.to.objects.contains_key(user)
    })
}

/// Why a new column is not filled while it is added, where its table's rows are held elsewhere.
pub(crate) fn cannot_be_filled(id: &Id, world: &World<'_>) -> Option<String> {
    let user = row_type_user(id, world).filter(|_| world.was_there(id))?;
    let object = world.to.get(id).filter(|object| object.has("type"))?;
    let default = Id { kind: ObjectKind::Default, ..id.clone() };
    if object.has("identity") || object.has("generated") {
        return Some(format!("PostgreSQL refuses to add it while {user} is of the table's row type"));
    }
    world.to.objects.contains_key(&default).then(|| {
        format!(
            "rows that are there do not get its default, because {user} is of the table's row type: fill them"
        )
    })
}

/// What cannot be seen to of a column or a check that is there.
pub(crate) const ONLY_INHERITED: &str =
    "whether it is only inherited: no statement of PostgreSQL changes that of what is there";

/// Whether it is a column of the table itself too is decided when it comes, and when what it is inherited from goes.
fn change_inherited(change: &mut Change<'_>) {
    let Some((_, to)) = change.take("inherited") else { return };
    let world = change.world;
    let of_other = |needed: &&Id| needed.kind == ObjectKind::Column && needed.table != change.id.table;
    let parent_stays =
        change.from.needs.iter().filter(of_other).any(|parent| world.to.objects.contains_key(parent));
    if to.is_some() || parent_stays && world.comes_along(change.id) {
        change.impossible.push(ONLY_INHERITED.to_owned());
    }
}

/// Of the types that can be kept in several ways, `numeric` and a few others are MAIN.
fn usual_storage(object: &Object) -> &'static str {
    if object.text("type").is_some_and(|name| name.starts_with("numeric") || name == "inet" || name == "cidr")
    {
        "MAIN"
    } else {
        "EXTENDED"
    }
}

/// A generated column can be made a plain one; anything else makes it anew, which loses nothing.
fn change_generated(change: &mut Change<'_>, alter: &str) {
    match change.left.get("generated") {
        Some((Some(from), None)) => {
            if from.text().ends_with(" VIRTUAL") {
                change.impossible.push(
                    "a column that is computed when it is read is not made a plain one: add another one and fill it"
                        .to_owned(),
                );
            } else {
                drop_expression(change, alter);
            }
            change.take("generated");
        }
        Some((None, Some(_))) => {
            change
                .impossible
                .push("a column with values is not made a generated one: drop it and add it anew".to_owned());
            change.take("generated");
        }
        _ => {}
    }
}

/// From here on DROP EXPRESSION also forgets what the expression needed (measured: on 13 and 14 DROP FUNCTION behind it drops the
/// column).
const FORGETS_EXPRESSION: u32 = 150_000;

fn what_computed_it_goes(change: &Change<'_>) -> Option<String> {
    let old = change.world.from.server_version < FORGETS_EXPRESSION;
    let goes = |needed: &&Id| !needed.is_part_of_a_table() && !change.world.to.objects.contains_key(*needed);
    change.from.needs.iter().filter(|_| old).find(goes).map(ToString::to_string)
}

fn drop_expression(change: &mut Change<'_>, alter: &str) {
    if change.world.from.server_version < WITH_DROP_EXPRESSION {
        change
            .impossible
            .push("before PostgreSQL 13 no statement makes a generated column a plain one".to_owned());
    } else if let Some(gone) = what_computed_it_goes(change) {
        change.impossible.push(format!(
            "before PostgreSQL 15 a column that was generated stays tied to what computed it: {gone}, which goes or changes, could take it along"
        ));
    } else {
        change.push(format!("{alter} DROP EXPRESSION"));
    }
}

/// With another type how values are stored is as that type has it.
fn keep_settings(change: &mut Change<'_>) {
    for (attribute, word) in [("storage", "STORAGE"), ("compression", "COMPRESSION")] {
        if let Some(value) = change.to.text(attribute).filter(|_| !change.left.contains_key(attribute)) {
            let sql = format!("{} SET {word} {value}", alter_only(change.id));
            change.statements.push(Sql::new(sql).late());
        }
    }
}

/// Defaults, views and the like are out of the way by then.
fn change_type(change: &mut Change<'_>, alter: &str) {
    let from = change.from.text("type").unwrap_or_default();
    let to = change.to.text("type").unwrap_or_default();
    let collation =
        change.to.text("collation").map(|collation| format!(" COLLATE {collation}")).unwrap_or_default();
    if keeps_values(from, to) {
        change.push(format!("{alter} TYPE {to}{collation}"));
        return;
    }
    let (old, new) = (base_type(from, change.world.from), base_type(to, change.world.to));
    let assigned = is_assigned(old, new);
    let generated = change.to.has("generated");
    // What is cast explicitly is cut to length without a word; what is assigned fails if it is too long.
    let using = if from == to || generated || assigned {
        String::new()
    } else {
        format!(" USING {}::{to}", quote_ident(&change.id.name))
    };
    let sql = Sql::new(format!("{alter} TYPE {to}{collation}{using}"));
    // A domain has conditions of its own, and another collation finds others equal.
    let fits = from != to
        && !generated
        && new == to
        && change.from.text("collation") == change.to.text("collation")
        && always_fits(old, new);
    let sql = sql.hazard(hazards::REWRITE);
    let sql = if fits { sql } else { sql.hazard(hazards::MAY_FAIL) };
    let loses = from != to && !generated && (!assigned || loses_values(old, new));
    change.statements.push(if loses { sql.hazard(hazards::DATA_LOSS) } else { sql });
}

fn change_identity(change: &mut Change<'_>, alter: &str) {
    let (identity, options) = (change.take("identity"), change.take("sequence"));
    match identity {
        Some((None, Some(how))) => {
            change.take("sequence name");
            let options = identity_options(change.to);
            let world = change.world;
            let replaced =
                world.from.objects.keys().find(|id| sequence::taken_over(world, id) == Some(change.id));
            let aside = replaced.map(sequence::put_aside);
            change.statements.extend(aside.iter().map(|(rename, _)| rename.clone()));
            change.push(format!("{alter} ADD GENERATED {} AS IDENTITY{options}", how.text()));
            let new = sequence::of_identity(change.id, change.to);
            let counted = match aside {
                Some((_, old)) => sequence::goes_on(&new, &old),
                None => sequence::goes_past(&new, change.id, change.to),
            };
            change.statements.push(counted);
            return;
        }
        Some((Some(_), None)) => {
            change.take("sequence name");
            change.push(format!("{alter} DROP IDENTITY"));
            return;
        }
        Some((_, Some(how))) => change.push(format!("{alter} SET GENERATED {}", how.text())),
        _ => {}
    }
    if options.is_some() {
        let sets = changed_options(change.from, change.to, "sequence");
        let sets = ["INCREMENT", "MINVALUE", "MAXVALUE", "START", "CACHE", "CYCLE", "NO"]
            .iter()
            .fold(sets, |sets, word| sets.replace(&format!(" {word} "), &format!(" SET {word} ")))
            .replace(" NO SET ", " NO ");
        let sets = if sets.ends_with(" CYCLE") && !sets.ends_with("NO CYCLE") {
            sets.replace(" CYCLE", " SET CYCLE")
        } else {
            sets
        };
        change.statements.push(bounded(
            Sql::new(format!("{alter}{sets}")),
            change.from,
            change.to,
            "sequence",
        ));
    }
    if let Some((from, to)) = change.take("sequence name") {
        change.impossible.push(format!(
            "the name of its sequence, {} and {}: rename the sequence",
            text(from).unwrap_or_else(|| "the usual one".to_owned()),
            text(to).unwrap_or_else(|| "the usual one".to_owned())
        ));
    }
}

fn drop(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    if !object.has("type") || object.has("inherited") && world.comes_along(id) || is_of_type(id, world) {
        return Vec::new();
    }
    drop_from(id, object, world)
}

/// Those that inherit it lose it too, unless one of them, or of those that inherit from them, is to keep it as its own: then
/// each is dropped for itself, from above.
fn drop_from(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let kept = is_kept_below(id, world);
    let only = if kept { "ONLY " } else { "" };
    let sql = Sql::new(format!("ALTER TABLE {only}{} DROP COLUMN {}", id.table_sql(), quote_ident(&id.name)));
    let mut statements = vec![if object.has("generated") { sql } else { sql.hazard(hazards::DATA_LOSS) }];
    if kept {
        let gone = heirs(id, world).filter(|(heir, _)| !world.to.objects.contains_key(*heir));
        statements.extend(gone.flat_map(|(heir, object)| drop_from(heir, object, world)));
    }
    statements
}

/// The columns that are this one, inherited, before; in tables that are there afterwards.
fn heirs<'a>(id: &'a Id, world: &'a World<'_>) -> impl Iterator<Item = (&'a Id, &'a Object)> {
    world.from.objects.iter().filter(move |(other, object)| {
        other.kind == ObjectKind::Column
            && other.name == id.name
            && other.table != id.table
            && object.has("inherited")
            && object.needs.contains(id)
            && world.was_there(other)
    })
}

fn is_kept_below(id: &Id, world: &World<'_>) -> bool {
    heirs(id, world).any(|(heir, _)| {
        world.to.get(heir).is_some_and(|kept| !kept.has("inherited")) || is_kept_below(heir, world)
    })
}
