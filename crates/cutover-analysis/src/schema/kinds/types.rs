//! Types: enums, composites, ranges and base types.

use std::collections::BTreeSet;

use super::super::{Id, Object, Schema};
use super::making::{Change, Making, Place, Sql, World, by_word, free_name, hazards, lists, plain_drop};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::{quote_ident, quote_literal, quote_qualified};

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Type],
    present: Some(
        "pg_type t WHERE t.oid >= 16384 AND (t.typtype NOT IN ('b', 'c') OR t.typtype = 'b' AND t.typinput <> 'array_in'::regproc \
       OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))",
    ),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("t.typacl", "'T'", "t.typowner");
    let range = |column: &str| format!("(SELECT {column} FROM pg_range r WHERE r.rngtypid = t.oid)");
    Row {
        kind: "'type'",
        name: ["n.nspname", "NULL", "t.typname", "NULL"],
        addresses: &[
            ("pg_type", "t.oid", "0"),
            ("pg_type", "NULLIF(t.typarray, 0)", "0"),
            ("pg_class", "NULLIF(t.typrelid, 0)", "0"),
            ("pg_type", "(SELECT (to_jsonb(r) ->> 'rngmultitypid')::oid FROM pg_range r WHERE r.rngtypid = t.oid)", "0"),
        ],
        attributes: vec![
            ("form", "CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range' ELSE CASE WHEN t.typisdefined THEN 'base' ELSE 'shell' END END".to_owned()),
            ("values[]", "(SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid)".to_owned()),
            ("attributes[]", "CASE WHEN t.typtype = 'c' THEN (SELECT json_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attcollation <> ty.typcollation THEN (SELECT format(' COLLATE %I.%I', cn.nspname, co.collname) FROM pg_collation co
                    JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) ELSE '' END ORDER BY a.attnum)
               FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END".to_owned()),
            ("subtype", range("format_type(r.rngsubtype, NULL)")),
            ("subtype operator class", range("(SELECT format('%I.%I', cn.nspname, oc.opcname) FROM pg_opclass oc JOIN pg_namespace cn ON cn.oid = oc.opcnamespace WHERE oc.oid = r.rngsubopc AND NOT oc.opcdefault)")),
            ("collation", range("(SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace JOIN pg_type st ON st.oid = r.rngsubtype WHERE co.oid = r.rngcollation AND r.rngcollation <> st.typcollation)")),
            ("canonical function", range("NULLIF(r.rngcanonical, 0)::regproc::text")),
            ("subtype difference function", range("NULLIF(r.rngsubdiff, 0)::regproc::text")),
            ("multirange", range("(SELECT NULLIF(format('%I.%I', mn.nspname, mt.typname), format('%I.%I', n.nspname, CASE WHEN t.typname ~ 'range' THEN regexp_replace(t.typname, 'range', 'multirange') ELSE t.typname || '_multirange' END)) FROM pg_type mt JOIN pg_namespace mn ON mn.oid = mt.typnamespace WHERE mt.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid)")),
            ("definition", definition()),
            ("takes along[]", columns_elsewhere(asked)),
            owner("t.typowner"),
            comment("pg_type", "t.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace AND {}
             WHERE t.typtype IN ('e', 'c', 'r', 'b', 'p') AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
               AND NOT EXISTS (SELECT FROM pg_type el WHERE el.typarray = t.oid) AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_type", "t.oid")
        ),
    }
    .sql()
}

/// Columns of a base type, of what is made of it or computed with it, where nobody asked for their tables: `CASCADE` takes them.
fn columns_elsewhere(asked: &Asked<'_>) -> String {
    format!(
        "CASE WHEN t.typtype = 'b' THEN (WITH RECURSIVE along(classid, objid) AS (
           SELECT 'pg_type'::regclass::oid, t.oid UNION
           SELECT d.classid, d.objid FROM along l JOIN pg_depend d ON d.refclassid = l.classid AND d.refobjid = l.objid
            WHERE d.objsubid = 0 AND d.deptype IN ('n', 'a', 'i'))
         SELECT json_agg(DISTINCT format('%I.%I.%I', n.nspname, lc.relname, la.attname)) FROM along l
           JOIN pg_depend d ON d.refclassid = l.classid AND d.refobjid = l.objid AND d.classid = 'pg_class'::regclass
            AND d.objsubid > 0 AND d.deptype IN ('n', 'a', 'i')
           JOIN pg_class lc ON lc.oid = d.objid AND lc.relkind IN ('r', 'p', 'c') JOIN pg_namespace n ON n.oid = lc.relnamespace
           JOIN pg_attribute la ON la.attrelid = lc.oid AND la.attnum = d.objsubid WHERE NOT ({})) END",
        in_scope(asked)
    )
}

/// What CREATE TYPE says of a base type.
fn definition() -> String {
    let function = |word: &str, column: &str| format!("'{word} = ' || NULLIF(t.{column}, 0)::regproc");
    let functions = [
        ("INPUT", "typinput"),
        ("OUTPUT", "typoutput"),
        ("RECEIVE", "typreceive"),
        ("SEND", "typsend"),
        ("TYPMOD_IN", "typmodin"),
        ("TYPMOD_OUT", "typmodout"),
        ("ANALYZE", "typanalyze"),
    ]
    .map(|(word, column)| function(word, column));
    format!(
        "CASE WHEN t.typtype = 'b' AND t.typisdefined THEN concat_ws(', ', {},
           'SUBSCRIPT = ' || NULLIF(NULLIF(to_jsonb(t) ->> 'typsubscript', '-'), CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'array_subscript_handler' WHEN t.typelem <> 0 THEN 'raw_array_subscript_handler' END),
           'INTERNALLENGTH = ' || CASE t.typlen WHEN -1 THEN 'VARIABLE' ELSE t.typlen::text END,
           CASE WHEN t.typbyval THEN 'PASSEDBYVALUE' END,
           'ALIGNMENT = ' || CASE t.typalign WHEN 'c' THEN 'char' WHEN 's' THEN 'int2' WHEN 'd' THEN 'double' ELSE 'int4' END,
           'STORAGE = ' || CASE t.typstorage WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' WHEN 'x' THEN 'extended' ELSE 'plain' END,
           'CATEGORY = ' || quote_literal(t.typcategory::text), CASE WHEN t.typispreferred THEN 'PREFERRED = true' END,
           'DEFAULT = ' || quote_literal(t.typdefault), 'ELEMENT = ' || format_type(NULLIF(t.typelem, 0), NULL),
           CASE WHEN t.typdelim <> ',' THEN 'DELIMITER = ' || quote_literal(t.typdelim::text) END,
           CASE WHEN t.typcollation <> 0 THEN 'COLLATABLE = true' END) END",
        functions.join(", ")
    )
}

const MAKING: Making = Making { target: by_word, grantee: None, create, change, drop, remade: false };

/// A base type and its functions need each other, and go together. What else needs it has gone before, where it is known.
fn drop(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    if object.text("form") == Some("base") {
        return vec![Sql::new(format!("DROP TYPE {} CASCADE", id.name_sql())).taking_along(object)];
    }
    plain_drop(id, object, world)
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let name = id.name_sql();
    let sql = match object.text("form") {
        Some("enum") => format!("CREATE TYPE {name} AS ENUM ({})", labels(object.list("values"))),
        Some("composite") => format!("CREATE TYPE {name} AS ({})", object.list("attributes").join(", ")),
        Some("range") => {
            let parts = [
                ("SUBTYPE", "subtype"),
                ("SUBTYPE_OPCLASS", "subtype operator class"),
                ("COLLATION", "collation"),
                ("CANONICAL", "canonical function"),
                ("SUBTYPE_DIFF", "subtype difference function"),
                ("MULTIRANGE_TYPE_NAME", "multirange"),
            ];
            let given = parts
                .iter()
                .filter_map(|(word, attribute)| Some(format!("{word} = {}", object.text(attribute)?)));
            format!("CREATE TYPE {name} AS RANGE ({})", given.collect::<Vec<_>>().join(", "))
        }
        // Its functions need a type to begin with.
        Some("base") => {
            let definition = object.text("definition").unwrap_or_default();
            return vec![
                Sql::new(format!("CREATE TYPE {name}")),
                Sql::new(format!("CREATE TYPE {name} ({definition})")).late(),
            ];
        }
        _ => format!("CREATE TYPE {name}"),
    };
    vec![Sql::new(sql)]
}

fn labels(values: &[String]) -> String {
    values.iter().map(|value| quote_literal(value)).collect::<Vec<_>>().join(", ")
}

fn change(change: &mut Change<'_>) {
    if change.take("values").is_some() {
        change_values(change);
    }
    if let Some(values) = change.take("attributes") {
        change_attributes(change, &lists(values));
    }
}

fn change_values(change: &mut Change<'_>) {
    let renamed = renamed_values(change);
    let alter = format!("ALTER TYPE {}", change.id.name_sql());
    for (old, new) in &renamed {
        let sql = format!("{alter} RENAME VALUE {} TO {}", quote_literal(old), quote_literal(new));
        change.push(sql);
    }
    let now = |value: &String| {
        let is_it = |(old, _): &&(&str, &str)| *old == value.as_str();
        renamed.iter().find(is_it).map_or_else(|| value.clone(), |(_, new)| (*new).to_owned())
    };
    let now: Vec<String> = change.from.list("values").iter().map(now).collect();
    let all = change.to.list("values");
    let (kept, new): (Vec<&str>, Vec<&str>) =
        all.iter().map(String::as_str).partition(|value| now.iter().any(|known| known == value));
    if now == kept {
        add_values(change, &new);
    } else if let Some(key) = in_partition_key(change) {
        change.impossible.push(format!(
            "its values, now {}: the type is made anew for that, and PostgreSQL changes no column of a partition key ({key})",
            all.join(", ")
        ));
    } else {
        make_enum_anew(change);
    }
}

/// The values of an enum that are known to have another name by now. That is never guessed.
fn renamed_values<'a>(change: &Change<'a>) -> Vec<(&'a str, &'a str)> {
    let (from, to) = (change.from.list("values"), change.to.list("values"));
    let world = change.world;
    let known = world.renamed_values.iter().map(|(old, new)| (old.as_str(), new.as_str()));
    let is_renamed = |(old, new): &(&str, &str)| {
        let has = |list: &[String], value: &str| list.iter().any(|one| one == value);
        has(from, old) && has(to, new) && !has(from, new) && !has(to, old)
    };
    known.filter(is_renamed).collect()
}

/// A value can be used when the transaction that added it has ended.
fn add_values(change: &mut Change<'_>, new: &[&str]) {
    let all = change.to.list("values");
    for value in new {
        let at = all.iter().position(|known| known == value).unwrap_or_default();
        let place = match at.checked_sub(1).and_then(|before| all.get(before)) {
            Some(before) => format!("AFTER {}", quote_literal(before)),
            // All values before were there already or are added from left to right.
            None => all
                .iter()
                .find(|known| !new.contains(&known.as_str()))
                .map(|first| format!("BEFORE {}", quote_literal(first)))
                .unwrap_or_default(),
        };
        let sql = format!("ALTER TYPE {} ADD VALUE {} {place}", change.id.name_sql(), quote_literal(value));
        change.statements.push(Sql::new(sql.trim_end()).at(Place::Alone));
    }
}

/// A column that is of the type and in a partition key.
fn in_partition_key(change: &Change<'_>) -> Option<Id> {
    let (id, world) = (change.id, change.world);
    let is_of_it = |object: &Object| object.text("type") == Some(id.name_sql().as_str());
    let mut columns = world.from.objects.iter().filter(|(column, object)| {
        column.kind == ObjectKind::Column && is_of_it(object) && world.to.objects.contains_key(column)
    });
    columns
        .find(|(column, _)| super::column::is_in_partition_key(column, world.from))
        .map(|(column, _)| column.clone())
}

/// Values that go or move: the type is made anew and every column changed to it.
fn make_enum_anew(change: &mut Change<'_>) {
    change.frees = true;
    change.anew = true;
    let (id, world) = (change.id, change.world);
    let old = free_name(&id.name, "__old", &|name| {
        let of_name = |other: &Id| other.name == name && other.schema == id.schema && other.table.is_none();
        [world.from, world.to].iter().any(|schema| schema.objects.keys().any(of_name))
    });
    let schema = id.schema.clone().unwrap_or_default();
    change.push(format!("ALTER TYPE {} RENAME TO {}", id.name_sql(), quote_ident(&old)));
    change.push(format!("CREATE TYPE {} AS ENUM ({})", id.name_sql(), labels(change.to.list("values"))));
    // Generated ones are made anew, and others may need it without being of it.
    let is_of_it = |object: &Object| {
        let of = object.text("type").map(|text| text.strip_suffix("[]").unwrap_or(text));
        of == Some(id.name_sql().as_str()) && !object.has("generated")
    };
    let columns = world.from.objects.iter().filter(|(column, object)| {
        column.kind == ObjectKind::Column && is_of_it(object) && world.to.objects.contains_key(column)
    });
    let columns: Vec<(&Id, &Object)> = columns.filter(|(_, object)| !object.has("inherited")).collect();
    for (column, object) in columns {
        let alter = format!("ALTER TABLE {} ALTER COLUMN {}", column.table_sql(), quote_ident(&column.name));
        let is_array = object.text("type").is_some_and(|text| text.ends_with("[]"));
        let array = if is_array { "[]" } else { "" };
        let sql = format!(
            "{alter} TYPE {name}{array} USING {column}::text{array}::{name}{array}",
            name = id.name_sql(),
            column = quote_ident(&column.name)
        );
        change.statements.push(Sql::new(sql).hazard(hazards::REWRITE).hazard(hazards::MAY_FAIL));
    }
    change.push(format!("DROP TYPE {}", quote_qualified(&schema, &old)));
}

fn change_attributes(change: &mut Change<'_>, (gone, new): &(Vec<&str>, Vec<&str>)) {
    let alter = format!("ALTER TYPE {}", change.id.name_sql());
    // Names are printed quoted where that is needed, and types behind the first space outside quotes.
    let split = |attribute: &str| -> (String, String) {
        let end = if attribute.starts_with('"') {
            attribute.rfind("\" ").map_or(attribute.len(), |at| at + 1)
        } else {
            attribute.find(' ').unwrap_or(attribute.len())
        };
        (attribute[..end].to_owned(), attribute[end..].trim_start().to_owned())
    };
    let old: Vec<(String, String)> = gone.iter().map(|attribute| split(attribute)).collect();
    let wanted: Vec<(String, String)> = new.iter().map(|attribute| split(attribute)).collect();
    let typed = table_of(change);
    // Tables of the type change along.
    let cascade = if typed.is_some() { " CASCADE" } else { "" };
    let user = typed.or_else(|| column_with(change.world.from, change.id));
    for (name, _) in old.iter().filter(|(name, _)| !wanted.iter().any(|(other, _)| other == name)) {
        change
            .statements
            .push(Sql::new(format!("{alter} DROP ATTRIBUTE {name}{cascade}")).hazard(hazards::DATA_LOSS));
    }
    for (name, type_name) in &wanted {
        if old.iter().any(|(other, _)| other == name) {
            if let Some(column) = &user {
                change.impossible.push(format!(
                    "the type of its attribute {name}, now {type_name}: PostgreSQL refuses that while {column} uses it"
                ));
                continue;
            }
            change.push(format!("{alter} ALTER ATTRIBUTE {name} TYPE {type_name}"));
        } else {
            change.push(format!("{alter} ADD ATTRIBUTE {name} {type_name}{cascade}"));
        }
    }
}

/// A table that is of the type before and after.
fn table_of(change: &Change<'_>) -> Option<Id> {
    let name = change.id.name_sql();
    let is_of_it = |object: &Object| object.text("of type") == Some(name.as_str());
    let mut tables = change.world.from.objects.iter().filter(|(_, object)| is_of_it(object));
    tables.find(|(id, _)| change.world.to.get(id).is_some_and(is_of_it)).map(|(id, _)| id.clone())
}

/// A column that holds values of the type: as such, in arrays, domains or other composite types.
pub(super) fn column_with(schema: &Schema, id: &Id) -> Option<Id> {
    columns_with(schema, id).into_iter().next()
}

/// All of these.
pub(super) fn columns_with(schema: &Schema, id: &Id) -> Vec<Id> {
    let mut found = Vec::new();
    let (mut seen, mut to_see) = (BTreeSet::from([id]), vec![id]);
    while let Some(next) = to_see.pop() {
        for (other, object) in schema.objects.iter().filter(|(_, object)| object.needs.contains(next)) {
            match other.kind {
                ObjectKind::Column if object.has("type") => found.push(other.clone()),
                ObjectKind::Type | ObjectKind::Domain if seen.insert(other) => to_see.push(other),
                _ => {}
            }
        }
    }
    found
}
