//! Tables, partitioned, partitions and foreign ones too: what is theirs as a whole. Columns, keys and the like are objects of
//! their own, and so is being a partition of another table.

use super::super::{Id, Object};
use super::making::{
    Change, Making, Sql, World, by_word, changed_foreign_options, foreign_options, hazards, lists,
    parameters, storage_options, text,
};
use super::query::{Row, comment, flag, grants, in_scope, not_a_member, owner, sorted};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Table, ObjectKind::ForeignTable], present: None, query, making: MAKING };

/// What cannot be seen to begins so where it is about the order of columns.
pub(crate) const COLUMN_ORDER: &str = "the order of its columns";

/// Storage parameters of a relation and of its TOAST table, as WITH spells them.
pub(super) fn options(relation: &str) -> String {
    format!(
        "(SELECT json_agg(o ORDER BY o COLLATE \"C\") FROM (SELECT unnest({relation}.reloptions) UNION ALL
           SELECT 'toast.' || unnest(tc.reloptions) FROM pg_class tc WHERE tc.oid = {relation}.reltoastrelid) x(o))"
    )
}

/// The access method where it is not the usual one, and the tablespace where it is not the database's.
pub(super) fn place(relation: &str) -> [(&'static str, String); 2] {
    [
        (
            "access method",
            format!(
                "(SELECT CASE WHEN am.amname <> 'heap' OR {relation}.relkind = 'p' THEN am.amname END FROM pg_am am WHERE am.oid = {relation}.relam)"
            ),
        ),
        (
            "tablespace",
            format!("(SELECT ts.spcname FROM pg_tablespace ts WHERE ts.oid = {relation}.reltablespace)"),
        ),
    ]
}

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("c.relacl", "'r'", "c.relowner");
    let [method, tablespace] = place("c");
    let index_where = |condition: &str| {
        format!(
            "(SELECT ic.relname FROM pg_index ix JOIN pg_class ic ON ic.oid = ix.indexrelid WHERE ix.indrelid = c.oid AND ix.{condition})"
        )
    };
    Row {
        kind: "CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END",
        name: ["n.nspname", "NULL", "c.relname", "NULL"],
        addresses: &[
            ("pg_class", "c.oid", "0"),
            ("pg_type", "c.reltype", "0"),
            ("pg_type", "(SELECT NULLIF(rt.typarray, 0) FROM pg_type rt WHERE rt.oid = c.reltype)", "0"),
        ],
        attributes: vec![
            ("unlogged?", flag("c.relpersistence = 'u'")),
            ("partition key", "CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END".to_owned()),
            ("inherits[]", "CASE WHEN NOT c.relispartition THEN (SELECT json_agg(h.inhparent::regclass::text ORDER BY h.inhseqno) FROM pg_inherits h WHERE h.inhrelid = c.oid) END".to_owned()),
            ("of type", "NULLIF(c.reloftype, 0)::regtype::text".to_owned()),
            ("options[]", options("c")),
            // What a partition has from its parent fires as the parent's, unless it is said of the partition.
            ("triggers of parent[]", format!("(SELECT json_agg(coalesce({}, 'ENABLE') || ' TRIGGER ' || quote_ident(t.tgname) ORDER BY t.tgname COLLATE \"C\")
               FROM pg_trigger t JOIN pg_depend td ON td.classid = 'pg_trigger'::regclass AND td.objid = t.oid AND td.refclassid = 'pg_trigger'::regclass
               JOIN pg_trigger tp ON tp.oid = td.refobjid AND tp.tgname = t.tgname WHERE c.relispartition AND t.tgrelid = c.oid AND t.tgenabled <> tp.tgenabled)", super::trigger::enabled("t.tgenabled"))),
            ("row security?", flag("c.relrowsecurity")),
            ("force row security?", flag("c.relforcerowsecurity")),
            ("replica identity", format!("CASE CASE WHEN c.relkind <> 'f' THEN c.relreplident END WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL' WHEN 'i' THEN 'USING INDEX ' || quote_ident({}) END", index_where("indisreplident"))),
            ("clustered on", format!("quote_ident({})", index_where("indisclustered"))),
            ("server", "(SELECT s.srvname FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid)".to_owned()),
            ("foreign options[]", format!("(SELECT {} FROM pg_foreign_table f WHERE f.ftrelid = c.oid)", sorted("f.ftoptions"))),
            ("takes along[]", format!("CASE WHEN c.relkind = 'p' THEN (SELECT json_agg(pt.relid::regclass::text ORDER BY pt.relid::regclass::text COLLATE \"C\")
               FROM pg_partition_tree(c.oid) pt JOIN pg_class lc ON lc.oid = pt.relid AND lc.relkind = 'r'
               JOIN pg_namespace n ON n.oid = lc.relnamespace WHERE NOT ({})) END", in_scope(asked))),
            method,
            tablespace,
            owner("c.relowner"),
            comment("pg_class", "c.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: Some(grantee), create, change, drop, remade: false };

/// GRANT knows foreign tables as tables.
fn grantee(id: &Id) -> String {
    format!("TABLE {}", id.name_sql())
}

/// `columns` and what is inside the parentheses besides are given by whoever puts the parts together.
pub(crate) fn create_with(id: &Id, object: &Object, inside: &[String]) -> Vec<Sql> {
    let unlogged = if object.has("unlogged") { "UNLOGGED " } else { "" };
    let mut sql = format!("CREATE {unlogged}{}", by_word(id));
    if let Some(of) = object.text("of type") {
        sql.extend([format!(" OF {of}")]);
        if !inside.is_empty() {
            sql.extend([format!(" (\n    {}\n)", inside.join(",\n    "))]);
        }
    } else if inside.is_empty() {
        sql += " ()";
    } else {
        sql.extend([format!(" (\n    {}\n)", inside.join(",\n    "))]);
    }
    if object.has("inherits") {
        sql.extend([format!(" INHERITS ({})", object.list("inherits").join(", "))]);
    }
    if let Some(key) = object.text("partition key") {
        sql.extend([format!(" PARTITION BY {key}")]);
    }
    if let Some(server) = object.text("server") {
        sql.extend([format!(
            " SERVER {}{}",
            quote_ident(server),
            foreign_options(object.list("foreign options"))
        )]);
    }
    if let Some(method) = object.text("access method") {
        sql.extend([format!(" USING {}", quote_ident(method))]);
    }
    if object.has("options") {
        sql.extend([format!(" WITH ({})", parameters(object.list("options")))]);
    }
    if let Some(tablespace) = object.text("tablespace") {
        sql.extend([format!(" TABLESPACE {}", quote_ident(tablespace))]);
    }
    let mut statements = vec![Sql::new(sql)];
    statements.extend(settings(id, object));
    statements
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    create_with(id, object, &[])
}

/// What CREATE TABLE cannot say.
fn settings(id: &Id, object: &Object) -> Vec<Sql> {
    let alter = format!("ALTER {}", by_word(id));
    let mut statements = Vec::new();
    if object.has("row security") {
        statements.push(Sql::new(format!("{alter} ENABLE ROW LEVEL SECURITY")));
    }
    if object.has("force row security") {
        statements.push(Sql::new(format!("{alter} FORCE ROW LEVEL SECURITY")));
    }
    if let Some(identity) = object.text("replica identity") {
        statements.push(Sql::new(format!("{alter} REPLICA IDENTITY {identity}")).late());
    }
    if let Some(index) = object.text("clustered on") {
        statements.push(Sql::new(format!("{alter} CLUSTER ON {index}")).late());
    }
    let triggers = object.list("triggers of parent").iter();
    statements.extend(triggers.map(|trigger| Sql::new(format!("{alter} {trigger}")).late()));
    statements
}

fn change(change: &mut Change<'_>) {
    let alter = format!("ALTER {}", by_word(change.id));
    // Columns are added and dropped for themselves; PostgreSQL cannot move them.
    if change.take("columns").is_some() {
        change.impossible.push(format!("{COLUMN_ORDER}: PostgreSQL cannot move a column"));
    }
    if change.take("partition key").is_some() {
        change.kept = true;
        change.impossible.push("how it is partitioned: make a new table and move the rows".to_owned());
    }
    if change.take("server").is_some() {
        change.impossible.push("its server: drop the foreign table and make it anew".to_owned());
    }
    if let Some(values) = change.take("options") {
        // A table has none of it before a column asks for it.
        let (_, new) = lists(values);
        let late = new.iter().any(|option| option.starts_with("toast."));
        let options = storage_options(&alter, values);
        change.statements.extend(options.into_iter().map(|sql| if late { sql.late() } else { sql }));
    }
    if let Some(values) = change.take("foreign options") {
        change.statements.extend(changed_foreign_options(&alter, values));
    }
    if let Some(values) = change.take("inherits") {
        let (gone, new) = lists(values);
        for parent in gone {
            change.push(format!("{alter} NO INHERIT {parent}"));
        }
        for parent in new {
            change.statements.push(Sql::new(format!("{alter} INHERIT {parent}")).late());
        }
    }
    change_triggers(change, &alter);
    change_switches(change, &alter);
    change_places(change, &alter);
}

/// What is said of an index of a table by its name goes with the index that is made anew, and is said again.
pub(crate) fn said_of_index(index: &Id, named: &str, world: &World<'_>) -> Vec<Sql> {
    let Some((id, table)) = world.whole(index) else { return Vec::new() };
    let Some(before) = world.from.get(&id).filter(|_| world.was_there(index)) else { return Vec::new() };
    let name = quote_ident(&index.name);
    let (identity, clustered) = (format!("USING INDEX {name}"), name);
    let says =
        |attribute: &str, text: &str| [before, table].iter().all(|table| table.text(attribute) == Some(text));
    let alter = format!("ALTER {}", by_word(&id));
    let named = quote_ident(named);
    let identity = says("replica identity", &identity)
        .then(|| Sql::new(format!("{alter} REPLICA IDENTITY USING INDEX {named}")));
    let clustered = says("clustered on", &clustered).then(|| Sql::new(format!("{alter} CLUSTER ON {named}")));
    identity.into_iter().chain(clustered).collect()
}

/// Triggers of a partition that do not fire as its parent's.
fn change_triggers(change: &mut Change<'_>, alter: &str) {
    let (gone, new) = lists(change.take("triggers of parent").unwrap_or_default());
    let name = |trigger: &str| trigger.split_once(" TRIGGER ").map(|(_, name)| name.to_owned());
    for trigger in gone.iter().filter(|gone| !new.iter().any(|new| name(new) == name(gone))) {
        let how = name(trigger)
            .and_then(|name| fires_above(change, &name))
            .map(|how| format!("{how}{}", &trigger[trigger.find(" TRIGGER ").unwrap_or_default()..]));
        change.statements.extend(how.map(|how| Sql::new(format!("{alter} {how}")).late()));
    }
    change.statements.extend(new.iter().map(|trigger| Sql::new(format!("{alter} {trigger}")).late()));
}

/// How the trigger fires that a partition has from its parent; none where there is none any more.
fn fires_above(change: &Change<'_>, quoted: &str) -> Option<String> {
    let to = change.world.to;
    let mut table = change.id.clone();
    loop {
        table = super::trigger::partition_parent(to, &table)?;
        let of_parent = to.get(&table)?.list("triggers of parent").iter();
        let above =
            of_parent.filter_map(|entry| entry.split_once(" TRIGGER ")).find(|(_, name)| *name == quoted);
        let own = || {
            let is_it = |id: &&Id| {
                id.kind == ObjectKind::Trigger
                    && id.schema == table.schema
                    && id.table.as_ref() == Some(&table.name)
                    && quote_ident(&id.name) == quoted
            };
            let trigger = to.objects.keys().find(is_it).and_then(|id| to.get(id))?;
            Some(trigger.text("fires").unwrap_or("ENABLE").to_owned())
        };
        if let Some(how) = above.map(|(how, _)| how.to_owned()).or_else(own) {
            return Some(how);
        }
    }
}

fn change_switches(change: &mut Change<'_>, alter: &str) {
    let switches = [
        ("row security", "ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"),
        ("force row security", "FORCE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY"),
    ];
    for (attribute, on, off) in switches {
        if let Some((_, to)) = change.take(attribute) {
            change.push(format!("{alter} {}", if to.is_some() { on } else { off }));
        }
    }
    if let Some((_, to)) = change.take("replica identity") {
        let identity = text(to).unwrap_or_else(|| "DEFAULT".to_owned());
        change.statements.push(Sql::new(format!("{alter} REPLICA IDENTITY {identity}")).late());
    }
    if let Some((_, to)) = change.take("clustered on") {
        let sql =
            text(to).map_or_else(|| "SET WITHOUT CLUSTER".to_owned(), |index| format!("CLUSTER ON {index}"));
        change.statements.push(Sql::new(format!("{alter} {sql}")).late());
    }
    if let Some((_, to)) = change.take("of type") {
        change.push(text(to).map_or_else(|| format!("{alter} NOT OF"), |of| format!("{alter} OF {of}")));
    }
}

fn rewrite(change: &mut Change<'_>, sql: String) {
    change.statements.push(Sql::new(sql).hazard(hazards::REWRITE));
}

/// What writes the table anew.
fn change_places(change: &mut Change<'_>, alter: &str) {
    let (unlogged, method, tablespace) = (
        change.left.remove("unlogged"),
        change.left.remove("access method"),
        change.left.remove("tablespace"),
    );
    match unlogged {
        Some((_, None)) => rewrite(change, format!("{alter} SET LOGGED")),
        Some((_, Some(_))) => {
            let sql = Sql::new(format!("{alter} SET UNLOGGED")).hazard(hazards::REWRITE);
            change.statements.push(sql.hazard(hazards::CRASH_LOSS));
        }
        None => {}
    }
    if let Some((_, to)) = method {
        // What a partitioned table says of it is for partitions to come.
        if change.to.has("partition key") {
            let method = text(to).map_or_else(|| "DEFAULT".to_owned(), |method| quote_ident(&method));
            change.push(format!("{alter} SET ACCESS METHOD {method}"));
        } else {
            let method = quote_ident(&text(to).unwrap_or_else(|| "heap".to_owned()));
            rewrite(change, format!("{alter} SET ACCESS METHOD {method}"));
        }
    }
    if let Some((_, to)) = tablespace {
        let tablespace = quote_ident(&text(to).unwrap_or_else(|| "pg_default".to_owned()));
        rewrite(change, format!("{alter} SET TABLESPACE {tablespace}"));
    }
}

fn drop(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let sql = Sql::new(format!("DROP {}", by_word(id)));
    // What a partitioned table holds is in its partitions; those that are known are dropped for themselves.
    vec![if object.has("partition key") || object.has("server") {
        sql.taking_along(object)
    } else {
        sql.hazard(hazards::DATA_LOSS)
    }]
}
