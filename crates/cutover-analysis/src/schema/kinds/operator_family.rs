//! Operator families, with the operators and functions that belong to none of their classes.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, lists, plain_drop};
use super::query::{Row, comment, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::OperatorFamily],
    present: Some("pg_opfamily WHERE oid >= 16384"),
    query,
    making: MAKING,
};

/// Members tied to an object: `class` is its catalogue, `object` its number.
pub(super) fn members(class: &str, object: &str) -> String {
    let tied = |members: &str| {
        format!(
            "EXISTS (SELECT FROM pg_depend md WHERE md.classid = '{members}'::regclass AND md.objid = m.oid AND md.refclassid = '{class}'::regclass AND md.refobjid = {object})"
        )
    };
    let (operators, functions) = (tied("pg_amop"), tied("pg_amproc"));
    format!(
        "(SELECT json_agg(w.text ORDER BY w.text COLLATE \"C\") FROM (
           SELECT format('OPERATOR %s %I.%s (%s, %s)', m.amopstrategy, mn.nspname, mo.oprname, format_type(m.amoplefttype, NULL), format_type(m.amoprighttype, NULL))
             || coalesce((SELECT format(' FOR ORDER BY %I.%I', sn.nspname, sf.opfname) FROM pg_opfamily sf JOIN pg_namespace sn ON sn.oid = sf.opfnamespace WHERE sf.oid = m.amopsortfamily), '')
             FROM pg_amop m JOIN pg_operator mo ON mo.oid = m.amopopr JOIN pg_namespace mn ON mn.oid = mo.oprnamespace WHERE {operators}
           UNION ALL
           SELECT format('FUNCTION %s (%s, %s) %s', m.amprocnum, format_type(m.amproclefttype, NULL), format_type(m.amprocrighttype, NULL), m.amproc::regprocedure)
             FROM pg_amproc m WHERE {functions}) w(text))"
    )
}

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'operator family'",
        name: [
            "n.nspname",
            "NULL",
            "f.opfname",
            "(SELECT quote_ident(am.amname) FROM pg_am am WHERE am.oid = f.opfmethod)",
        ],
        addresses: &[("pg_opfamily", "f.oid", "0")],
        attributes: vec![
            ("members[]", members("pg_opfamily", "f.oid")),
            owner("f.opfowner"),
            comment("pg_opfamily", "f.oid"),
        ],
        from: format!(
            "FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_opfamily", "f.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target, grantee: None, create, change, drop: plain_drop, remade: false };

fn target(id: &Id) -> String {
    format!("OPERATOR FAMILY {} USING {}", id.name_sql(), id.arguments.as_deref().unwrap_or_default())
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let mut statements = vec![Sql::new(format!("CREATE {}", target(id)))];
    if object.has("members") {
        statements
            .push(Sql::new(format!("ALTER {} ADD {}", target(id), object.list("members").join(", "))).late());
    }
    statements
}

fn change(change: &mut Change<'_>) {
    if let Some(values) = change.take("members") {
        let (gone, new) = lists(values);
        if !gone.is_empty() {
            let gone: Vec<String> = gone.iter().map(|member| unnamed(member)).collect();
            change.push(format!("ALTER {} DROP {}", target(change.id), gone.join(", ")));
        }
        if !new.is_empty() {
            change
                .statements
                .push(Sql::new(format!("ALTER {} ADD {}", target(change.id), new.join(", "))).late());
        }
    }
}

/// `OPERATOR 1 (integer, bigint)`: a member as DROP names it.
fn unnamed(member: &str) -> String {
    let mut words = member.splitn(3, ' ');
    let (kind, number, rest) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let types = if rest.starts_with('(') {
        rest.split_once(')').map_or(rest, |(types, _)| types)
    } else {
        rest.split_once(" (").map_or("", |(_, types)| types.split(')').next().unwrap_or_default())
    };
    format!("{kind} {number} ({})", types.trim_start_matches('('))
}
