//! Sequences that stand for themselves or serve a `serial`; those of identity columns are part of the column.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, by_word, hazards, lists, text};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner, sequence_options};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Sequence], query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("c.relacl", "'s'", "c.relowner");
    Row {
        kind: "'sequence'",
        name: ["n.nspname", "NULL", "c.relname", "NULL"],
        addresses: &[("pg_class", "c.oid", "0")],
        attributes: vec![
            ("type", "NULLIF(format_type(s.seqtypid, NULL), 'bigint')".to_owned()),
            ("options", sequence_options("s")),
            ("owned by", "(SELECT format('%I.%I.%I', tn.nspname, t.relname, a.attname) FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
               JOIN pg_namespace tn ON tn.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a')".to_owned()),
            ("unlogged", "CASE WHEN c.relpersistence = 'u' THEN true END".to_owned()),
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
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target: by_word, grantee: None, create, change, drop, remade: false };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let unlogged = if object.has("unlogged") { "UNLOGGED " } else { "" };
    let mut sql = format!("CREATE {unlogged}SEQUENCE {}", id.name_sql());
    if let Some(type_name) = object.text("type") {
        sql.extend([format!(" AS {type_name}")]);
    }
    for option in object.list("options") {
        sql.extend([format!(" {option}")]);
    }
    let mut statements = vec![Sql::new(sql)];
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
    if let Some((_, column)) = change.take("owned by") {
        let column = text(column).unwrap_or_else(|| "NONE".to_owned());
        change.statements.push(Sql::new(format!("{alter} OWNED BY {column}")).late());
    }
    if let Some((_, unlogged)) = change.take("unlogged") {
        change.push(format!("{alter} SET {}", if unlogged.is_some() { "UNLOGGED" } else { "LOGGED" }));
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

fn drop(id: &Id, _: &Object, _: &World<'_>) -> Vec<Sql> {
    vec![Sql::new(format!("DROP {}", by_word(id))).hazard(hazards::DATA_LOSS)]
}
