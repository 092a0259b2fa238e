//! Sequences that stand for themselves or serve a `serial`; those of identity columns are part of the column.

use super::super::{Id, Object, Schema};
use super::making::{Change, Making, Sql, World, by_word, hazards, lists, text};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner, sequence_options};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::{quote_ident, quote_literal, quote_qualified};

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Sequence], present: Some("pg_sequence"), query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("c.relacl", "'s'", "c.relowner");
    Row {
        kind: "'sequence'",
        name: ["n.nspname", "NULL", "c.relname", "NULL"],
        addresses: &[("pg_class", "c.oid", "0")],
        attributes: vec![
            ("type", "NULLIF(format_type(s.seqtypid, NULL), 'bigint')".to_owned()),
            ("options[]", sequence_options("s")),
            ("owned by", "(SELECT format('%I.%I.%I', tn.nspname, t.relname, a.attname) FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
               JOIN pg_namespace tn ON tn.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a')".to_owned()),
            ("unlogged?", "CASE WHEN c.relpersistence = 'u' THEN true END".to_owned()),
            owner("c.relowner"),
            comment("pg_class", "c.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relpersistence <> 't' AND {}
               AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_class'::regclass AND i.objid = c.oid AND i.deptype = 'i')",
            in_scope(asked),
            not_a_member(asked, "pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target: by_word, grantee: None, create, change, drop, remade: false };

/// The column that has an identity instead of a sequence from now on, so that it goes on where the sequence is.
pub(crate) fn taken_over<'a>(world: &World<'a>, id: &Id) -> Option<&'a Id> {
    let goes = id.kind == ObjectKind::Sequence && !world.to.objects.contains_key(id);
    let object = world.from.get(id).filter(|object| goes && object.has("owned by"))?;
    let column = object.needs.iter().find(|needed| needed.kind == ObjectKind::Column)?;
    let has = |schema: &Schema| schema.get(column).map(|column| column.has("identity"));
    (has(world.from) == Some(false) && has(world.to) == Some(true) && !world.remade.contains(column))
        .then_some(column)
}

/// The column that had an identity and has this sequence, which is new, from now on: it owns it, or its identity's has the name.
pub(crate) fn taking_over<'a>(world: &World<'a>, id: &Id) -> Option<&'a Id> {
    let comes = id.kind == ObjectKind::Sequence && !world.from.objects.contains_key(id);
    let object = world.to.get(id).filter(|_| comes)?;
    let owner =
        object.needs.iter().find(|needed| object.has("owned by") && needed.kind == ObjectKind::Column);
    let column = owner.or_else(|| had_name(world, id))?;
    let has = |schema: &Schema| schema.get(column).map(|column| column.has("identity"));
    (has(world.from) == Some(true) && has(world.to) == Some(false) && !world.remade.contains(column))
        .then_some(column)
}

/// The column whose identity has a sequence of that name.
fn had_name<'a>(world: &World<'a>, id: &Id) -> Option<&'a Id> {
    let name = id.name_sql();
    let identities = world.from.objects.iter().filter(|(other, object)| {
        other.kind == ObjectKind::Column && object.has("identity") && of_identity(other, object) == name
    });
    identities.map(|(column, _)| column).next()
}

/// The sequence that a column's identity has.
pub(crate) fn of_identity(column: &Id, object: &Object) -> String {
    let usual = || {
        let name = format!("{}_{}_seq", column.table.as_deref().unwrap_or_default(), column.name);
        quote_qualified(column.schema.as_deref().unwrap_or_default(), &name)
    };
    object.text("sequence name").map_or_else(usual, str::to_owned)
}

/// What is said of an identity's sequence besides its options: who may use it, its comment, whether a crash empties it.
pub(crate) fn said_of_identity(column: &Id, object: &Object) -> Vec<Sql> {
    let name = of_identity(column, object);
    let mut statements = Vec::new();
    for (attribute, word, preposition) in
        [("sequence revoked", "REVOKE", "FROM"), ("sequence grants", "GRANT", "TO")]
    {
        let entries = object.list(attribute).iter();
        statements.extend(entries.map(|entry| on_sequence(&name, word, preposition, entry)));
    }
    let comment = object.text("sequence comment");
    statements.extend(
        comment.map(|text| Sql::new(format!("COMMENT ON SEQUENCE {name} IS {}", quote_literal(text)))),
    );
    let persistence = object.text("sequence persistence");
    statements.extend(persistence.map(|how| Sql::new(format!("ALTER SEQUENCE {name} SET {how}"))));
    statements
}

/// `entry` is `USAGE TO reader WITH GRANT OPTION`.
fn on_sequence(name: &str, word: &str, preposition: &str, entry: &str) -> Sql {
    let (privilege, role) = entry.split_once(" TO ").unwrap_or((entry, "PUBLIC"));
    let role = if word == "REVOKE" { role.trim_end_matches(" WITH GRANT OPTION") } else { role };
    Sql::new(format!("{word} {privilege} ON SEQUENCE {name} {preposition} {role}"))
}

/// Sees to changes of [`said_of_identity`]; of an identity that ends nothing is left to be said, of one that begins all.
pub(crate) fn change_said_of_identity(change: &mut Change<'_>) {
    let attributes = ["sequence grants", "sequence revoked", "sequence comment", "sequence persistence"];
    let [grants, revoked, comment, persistence] = attributes.map(|attribute| change.take(attribute));
    if !change.to.has("identity") {
        return;
    }
    if !change.from.has("identity") {
        let said = said_of_identity(change.id, change.to);
        change.statements.extend(said);
        return;
    }
    let name = of_identity(change.id, change.from);
    let (gone, granted) = lists(grants.unwrap_or_default());
    let (again, taken) = lists(revoked.unwrap_or_default());
    for (entries, word, preposition) in [
        (gone, "REVOKE", "FROM"),
        (taken, "REVOKE", "FROM"),
        (granted, "GRANT", "TO"),
        (again, "GRANT", "TO"),
    ] {
        let all = entries.into_iter().map(|entry| on_sequence(&name, word, preposition, entry));
        change.statements.extend(all);
    }
    if let Some((_, text)) = comment {
        let text = text.map_or_else(|| "NULL".to_owned(), |text| quote_literal(&text.text()));
        change.push(format!("COMMENT ON SEQUENCE {name} IS {text}"));
    }
    if let Some((before, how)) = persistence {
        let usual = if text(before).as_deref() == Some("LOGGED") { "UNLOGGED" } else { "LOGGED" };
        let how = text(how).unwrap_or_else(|| usual.to_owned());
        let sql = Sql::new(format!("ALTER SEQUENCE {name} SET {how}"));
        change.statements.push(if how == "UNLOGGED" { sql.hazard(hazards::CRASH_LOSS) } else { sql });
    }
}

/// What a sequence is called while another one takes its place.
fn old_name(id: &Id) -> String {
    format!("{}__old", id.name.chars().take(55).collect::<String>())
}

/// Puts a sequence aside, as what `DROP` and [`goes_on`] know it by afterwards.
pub(crate) fn put_aside(id: &Id) -> (Sql, String) {
    let old = old_name(id);
    let sql = Sql::new(format!("ALTER SEQUENCE {} RENAME TO {}", id.name_sql(), quote_ident(&old)));
    (sql, quote_qualified(id.schema.as_deref().unwrap_or_default(), &old))
}

/// A new sequence goes on where the old one is.
pub(crate) fn goes_on(new: &str, old: &str) -> Sql {
    Sql::new(format!("SELECT pg_catalog.setval({}, last_value, is_called) FROM {old}", quote_literal(new)))
}

/// A new sequence of an identity goes on behind the values that its column has: they were not given by it.
pub(crate) fn goes_past(new: &str, column: &Id, object: &Object) -> Sql {
    let is_descending = object.list("sequence").iter().any(|option| option.starts_with("INCREMENT BY -"));
    let (furthest, behind) = if is_descending { ("min", "<=") } else { ("max", ">=") };
    let (name, table) = (quote_ident(&column.name), column.table_sql());
    Sql::new(format!(
        "SELECT pg_catalog.setval(s.seqrelid::pg_catalog.regclass, r.furthest) FROM pg_catalog.pg_sequence s, \
         (SELECT pg_catalog.{furthest}({name}) AS furthest FROM {table}) r \
         WHERE s.seqrelid = {}::pg_catalog.regclass AND r.furthest {behind} s.seqstart",
        quote_literal(new)
    ))
}

fn create(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let unlogged = if object.has("unlogged") { "UNLOGGED " } else { "" };
    let mut sql = format!("CREATE {unlogged}SEQUENCE {}", id.name_sql());
    if let Some(type_name) = object.text("type") {
        sql.extend([format!(" AS {type_name}")]);
    }
    for option in object.list("options") {
        sql.extend([format!(" {option}")]);
    }
    let mut statements = vec![Sql::new(sql)];
    let replaced = taking_over(world, id).and_then(|column| Some((column, world.from.get(column)?)));
    if let Some((column, before)) = replaced {
        // The identity goes with its sequence, which may have the name that this one is to have.
        let aside = old_name(id);
        let rename =
            format!("ALTER SEQUENCE {} RENAME TO {}", of_identity(column, before), quote_ident(&aside));
        statements.insert(0, Sql::new(rename));
        // It is where its table is.
        let old = quote_qualified(column.schema.as_deref().unwrap_or_default(), &aside);
        statements.push(goes_on(&id.name_sql(), &old));
    }
    if let Some(column) = object.text("owned by") {
        statements.push(Sql::new(format!("ALTER SEQUENCE {} OWNED BY {column}", id.name_sql())).late());
    }
    statements
}

fn change(change: &mut Change<'_>) {
    let alter = format!("ALTER SEQUENCE {}", change.id.name_sql());
    let type_name = change.take("type").map(|(_, to)| text(to).unwrap_or_else(|| "bigint".to_owned()));
    let options = change.take("options");
    if type_name.is_some() || options.is_some() {
        let type_name = type_name.map(|name| format!(" AS {name}")).unwrap_or_default();
        let narrower = type_name.contains("int");
        let sql =
            Sql::new(format!("{alter}{type_name}{}", changed_options(change.from, change.to, "options")));
        let sql = bounded(sql, change.from, change.to, "options");
        let sql = if narrower && sql.hazards.is_empty() { sql.hazard(hazards::MAY_FAIL) } else { sql };
        change.statements.push(sql);
    }
    if let Some((before, column)) = change.take("owned by") {
        let world = change.world;
        let owner_goes = change
            .from
            .needs
            .iter()
            .any(|needed| needed.kind == ObjectKind::Column && !world.to.objects.contains_key(needed));
        // It goes with its column, and has the owner of that table, as long as it belongs to it.
        if before.is_some() && (column.is_none() || owner_goes || change.left.contains_key("owner")) {
            change.push(format!("{alter} OWNED BY NONE"));
        }
        if let Some(column) = text(column) {
            change.statements.push(Sql::new(format!("{alter} OWNED BY {column}")).late());
        }
    }
    if let Some((_, unlogged)) = change.take("unlogged") {
        let sql = Sql::new(format!("{alter} SET {}", if unlogged.is_some() { "UNLOGGED" } else { "LOGGED" }));
        change.statements.push(if unlogged.is_some() { sql.hazard(hazards::CRASH_LOSS) } else { sql });
    }
}

/// Where the sequence is may be outside other bounds; it fails then.
pub(super) fn bounded(sql: Sql, from: &Object, to: &Object, attribute: &str) -> Sql {
    let (gone, new) = lists((from.attributes.get(attribute), to.attributes.get(attribute)));
    let bounds = ["MINVALUE", "MAXVALUE", "INCREMENT BY"];
    let moves = gone.iter().chain(&new).any(|option| bounds.iter().any(|bound| option.starts_with(bound)));
    if moves { sql.hazard(hazards::MAY_FAIL) } else { sql }
}

/// Options as they are to be, with those that go back to their defaults.
pub(super) fn changed_options(from: &Object, to: &Object, attribute: &str) -> String {
    let (old, new) = (from.attributes.get(attribute), to.attributes.get(attribute));
    let (gone, _) = lists((old, new));
    let all = to.list(attribute);
    let word = |option: &str| option.split(' ').next().unwrap_or_default().to_owned();
    let down = all.iter().any(|option| option.starts_with("INCREMENT BY -"));
    let bound = |word: &str| all.iter().find_map(|option| option.strip_prefix(word)).map(str::to_owned);
    let start = if down {
        bound("MAXVALUE ").unwrap_or_else(|| "-1".to_owned())
    } else {
        bound("MINVALUE ").unwrap_or_else(|| "1".to_owned())
    };
    let mut parts: Vec<String> = Vec::new();
    for option in
        gone.iter().map(|option| word(option)).filter(|name| !all.iter().any(|option| word(option) == *name))
    {
        parts.push(match option.as_str() {
            "INCREMENT" => "INCREMENT BY 1".to_owned(),
            "START" => format!("START WITH {start}"),
            "CACHE" => "CACHE 1".to_owned(),
            other => format!("NO {other}"),
        });
    }
    // Where it begins follows its bounds unless it is said.
    if !all.iter().any(|option| option.starts_with("START"))
        && !parts.iter().any(|part| part.starts_with("START"))
    {
        parts.push(format!("START WITH {start}"));
    }
    parts.extend(all.iter().cloned());
    parts.iter().flat_map(|part| [" ", part]).collect()
}

fn drop(id: &Id, _: &Object, world: &World<'_>) -> Vec<Sql> {
    if taken_over(world, id).is_some() {
        return vec![Sql::new(format!("DROP SEQUENCE {}", put_aside(id).1))];
    }
    vec![Sql::new(format!("DROP {}", by_word(id))).hazard(hazards::DATA_LOSS)]
}
