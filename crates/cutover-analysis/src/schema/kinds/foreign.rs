//! Foreign data wrappers, servers and user mappings. Options may hold passwords: of a mapping only their names are read.

use super::super::{Id, Object};
use super::making::{
    Change, Making, Sql, World, by_word, changed_foreign_options, foreign_options, plain_drop, text,
};
use super::query::{Row, comment, everything, grants, not_a_member, owner, sorted};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::{quote_ident, quote_literal};

pub(crate) const WRAPPER: Kind = Kind {
    kinds: &[ObjectKind::ForeignDataWrapper],
    present: Some("pg_foreign_data_wrapper WHERE oid >= 16384"),
    query: wrapper,
    making: WRAPPER_MAKING,
};
pub(crate) const SERVER: Kind = Kind {
    kinds: &[ObjectKind::ForeignServer],
    present: Some("pg_foreign_server"),
    query: server,
    making: SERVER_MAKING,
};
pub(crate) const MAPPING: Kind = Kind {
    kinds: &[ObjectKind::UserMapping],
    present: Some("pg_foreign_server"),
    query: mapping,
    making: MAPPING_MAKING,
};

fn wrapper(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("w.fdwacl", "'F'", "w.fdwowner");
    let class = "pg_foreign_data_wrapper";
    Row {
        kind: "'foreign data wrapper'",
        name: ["NULL", "NULL", "w.fdwname", "NULL"],
        addresses: &[(class, "w.oid", "0")],
        attributes: vec![
            ("handler", "NULLIF(w.fdwhandler, 0)::regproc".to_owned()),
            ("validator", "NULLIF(w.fdwvalidator, 0)::regproc".to_owned()),
            ("foreign options[]", sorted("w.fdwoptions")),
            owner("w.fdwowner"),
            comment(class, "w.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_foreign_data_wrapper w WHERE {} AND {}",
            everything(asked),
            not_a_member(asked, class, "w.oid")
        ),
    }
    .sql()
}

fn server(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("s.srvacl", "'S'", "s.srvowner");
    let class = "pg_foreign_server";
    Row {
        kind: "'server'",
        name: ["NULL", "NULL", "s.srvname", "NULL"],
        addresses: &[(class, "s.oid", "0")],
        attributes: vec![
            ("type", "s.srvtype".to_owned()),
            ("version", "s.srvversion".to_owned()),
            (
                "wrapper",
                "(SELECT w.fdwname FROM pg_foreign_data_wrapper w WHERE w.oid = s.srvfdw)".to_owned(),
            ),
            ("foreign options[]", sorted("s.srvoptions")),
            owner("s.srvowner"),
            comment(class, "s.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_foreign_server s WHERE {} AND {}",
            everything(asked),
            not_a_member(asked, class, "s.oid")
        ),
    }
    .sql()
}

fn mapping(asked: &Asked<'_>) -> String {
    Row {
        kind: "'user mapping'",
        name: [
            "NULL",
            "s.srvname",
            "CASE WHEN m.umuser = 0 THEN 'public' ELSE pg_get_userbyid(m.umuser) END",
            "NULL",
        ],
        addresses: &[("pg_user_mapping", "m.oid", "0")],
        attributes: vec![(
            "option names[]",
            "(SELECT json_agg(split_part(o, '=', 1) ORDER BY o COLLATE \"C\") FROM unnest(v.umoptions) o)".to_owned(),
        )],
        // `pg_user_mapping` itself is the superuser's alone.
        from: format!(
            "FROM (SELECT v.umid AS oid, v.umuser, v.srvid, v.umoptions FROM pg_user_mappings v) m
               JOIN pg_user_mappings v ON v.umid = m.oid JOIN pg_foreign_server s ON s.oid = m.srvid WHERE {}",
            everything(asked)
        ),
    }
    .sql()
}

const WRAPPER_MAKING: Making = Making {
    target: by_word,
    grantee: None,
    create: create_wrapper,
    change: change_wrapper,
    drop: plain_drop,
    remade: false,
};

fn create_wrapper(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let part = |word: &str, attribute: &str| {
        object.text(attribute).map(|function| format!(" {word} {function}")).unwrap_or_default()
    };
    vec![Sql::new(format!(
        "CREATE {}{}{}{}",
        by_word(id),
        part("HANDLER", "handler"),
        part("VALIDATOR", "validator"),
        foreign_options(object.list("foreign options"))
    ))]
}

fn change_wrapper(change: &mut Change<'_>) {
    let alter = format!("ALTER {}", by_word(change.id));
    for (attribute, word) in [("handler", "HANDLER"), ("validator", "VALIDATOR")] {
        if let Some((_, to)) = change.take(attribute) {
            change.push(text(to).map_or_else(
                || format!("{alter} NO {word}"),
                |function| format!("{alter} {word} {function}"),
            ));
        }
    }
    if let Some(values) = change.take("foreign options") {
        change.statements.extend(changed_foreign_options(&alter, values));
    }
}

const SERVER_MAKING: Making = Making {
    target: by_word,
    grantee: Some(granted_server),
    create: create_server,
    change: change_server,
    drop: plain_drop,
    remade: false,
};

fn granted_server(id: &Id) -> String {
    format!("FOREIGN SERVER {}", id.name_sql())
}

fn create_server(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let part = |word: &str, attribute: &str| {
        object.text(attribute).map(|value| format!(" {word} {}", quote_literal(value))).unwrap_or_default()
    };
    vec![Sql::new(format!(
        "CREATE {}{}{} FOREIGN DATA WRAPPER {}{}",
        by_word(id),
        part("TYPE", "type"),
        part("VERSION", "version"),
        quote_ident(object.text("wrapper").unwrap_or_default()),
        foreign_options(object.list("foreign options"))
    ))]
}

fn change_server(change: &mut Change<'_>) {
    let alter = format!("ALTER {}", by_word(change.id));
    match change.take("version") {
        Some((_, Some(version))) => {
            change.push(format!("{alter} VERSION {}", quote_literal(&version.text())));
        }
        Some((_, None)) => change.impossible.push("its version: no statement takes it away".to_owned()),
        None => {}
    }
    if let Some(values) = change.take("foreign options") {
        change.statements.extend(changed_foreign_options(&alter, values));
    }
}

const MAPPING_MAKING: Making = Making {
    target: mapping_target,
    grantee: None,
    create: create_mapping,
    change: change_mapping,
    drop: plain_drop,
    remade: false,
};

fn mapping_target(id: &Id) -> String {
    let user = if id.name == "public" { "PUBLIC".to_owned() } else { quote_ident(&id.name) };
    format!("USER MAPPING FOR {user} SERVER {}", quote_ident(id.table.as_deref().unwrap_or_default()))
}

fn create_mapping(id: &Id, _: &Object, _: &World<'_>) -> Vec<Sql> {
    // What its options are is not read, because it may be a password; the difference says that they are left.
    vec![Sql::new(format!("CREATE {}", mapping_target(id)))]
}

fn change_mapping(change: &mut Change<'_>) {
    if change.take("option names").is_some() {
        change.impossible.push("its options: they may hold a password and are not read".to_owned());
    }
}
