//! The roles of the real server, made on the throwaway one: with their attributes, memberships and settings, so that a migration is
//! refused there what it would be refused here. Passwords are neither read nor made.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::session::{Failure, Session};

use super::super::error::RehearseError;
use super::super::model::Ground;
use super::{Runner, with_password};

/// The roles of a server, as the database of the session sees them.
pub(super) struct Roles {
    /// Its version, as `server_version_num` says it.
    server: u32,
    /// The role of the session.
    current: String,
    /// Who owns the database.
    pub(super) owner: Option<String>,
    /// The current role may make schemas.
    creates: bool,
    /// Each with its attributes.
    all: Vec<(String, String)>,
    /// Group, member and options of the membership.
    members: Vec<(String, String, String)>,
    /// Role (empty for all), setting and value.
    settings: Vec<(String, String, String)>,
}

const ROLES: &str = "
SELECT rolname, concat_ws(' ', CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN NOT rolinherit THEN 'NOINHERIT' END,
       CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
       CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
       CASE WHEN rolcanlogin THEN 'LOGIN' END)
  FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1";

/// The options as the server of that version writes them: from 16 on each by itself, and one membership for each grantor.
fn members(server: u32) -> String {
    let options = if server >= 160_000 {
        "concat('WITH ADMIN ', bool_or(a.admin_option), ', INHERIT ', bool_or(a.inherit_option), ', SET ', bool_or(a.set_option))"
    } else {
        "CASE WHEN bool_or(a.admin_option) THEN 'WITH ADMIN OPTION' ELSE '' END"
    };
    format!("SELECT g.rolname, m.rolname, {options} {MEMBERS}")
}

const MEMBERS: &str = "
  FROM pg_catalog.pg_auth_members a
  JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member GROUP BY 1, 2 ORDER BY 1, 2";

// The more special one last: it counts.
const SETTINGS: &str = "
SELECT coalesce(r.rolname, ''), split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)
  FROM pg_catalog.pg_db_role_setting d LEFT JOIN pg_catalog.pg_roles r ON r.oid = d.setrole
 CROSS JOIN LATERAL unnest(d.setconfig) s
 WHERE d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
 ORDER BY d.setdatabase, 1";

const SELF: &str = "
SELECT current_user, pg_catalog.pg_get_userbyid(d.datdba),
       pg_catalog.has_database_privilege(d.oid, 'CREATE')
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/// Reads them.
pub(super) async fn read(session: &mut Session) -> Result<Roles, Failure> {
    let own = session.query_text(SELF).await?;
    let text = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    let first = own.rows.first().cloned().unwrap_or_default();
    let mut lists = Vec::new();
    for query in [ROLES, &members(session.server_version_num()), SETTINGS] {
        lists.push(session.query_text(query).await?.rows);
    }
    let mut lists = lists.into_iter();
    let pairs = |rows: Option<Vec<Vec<Option<String>>>>| -> Vec<(String, String)> {
        rows.unwrap_or_default().iter().map(|row| (text(row, 0), text(row, 1))).collect()
    };
    let triples = |rows: Option<Vec<Vec<Option<String>>>>| -> Vec<(String, String, String)> {
        rows.unwrap_or_default().iter().map(|row| (text(row, 0), text(row, 1), text(row, 2))).collect()
    };
    Ok(Roles {
        server: session.server_version_num(),
        current: text(&first, 0),
        owner: Some(text(&first, 1)),
        creates: text(&first, 2) == "t",
        all: pairs(lists.next()),
        members: triples(lists.next()),
        settings: triples(lists.next()),
    })
}

/// Makes them in a server of our own.
pub(super) async fn make(
    copy: &mut Session,
    found: &Roles,
    ground: &mut Ground,
) -> Result<(), RehearseError> {
    for (role, attributes) in &found.all {
        let text = format!("CREATE ROLE {} {attributes}", quote_ident(role));
        match copy.execute(&text).await {
            // The superuser's own name.
            Err(failure) if failure.code() != Some("42710") => return Err(failure.into()),
            _ => {}
        }
    }
    for (group, member, options) in &found.members {
        // What an older server than the database's cannot say is left out: it is a membership still.
        let options = if found.server >= 160_000 && copy.server_version_num() < 160_000 {
            ""
        } else {
            options.as_str()
        };
        copy.execute(&format!("GRANT {} TO {} {options}", quote_ident(group), quote_ident(member))).await?;
    }
    let mut not_set = 0;
    for (role, name, value) in &found.settings {
        let whose = if role.is_empty() { "ALL".to_owned() } else { quote_ident(role) };
        // By the session's own value: a list is not quoted as a value is.
        let set =
            format!("SELECT pg_catalog.set_config({}, {}, false)", quote_literal(name), quote_literal(value));
        let done = async {
            copy.execute(&set).await?;
            copy.execute(&format!("ALTER ROLE {whose} SET {} FROM CURRENT", quoted_setting(name))).await?;
            copy.execute(&format!("RESET {}", quoted_setting(name))).await
        };
        not_set += usize::from(done.await.is_err());
    }
    if not_set > 0 {
        ground
            .remarks
            .push(format!("{not_set} settings of roles or of the database are not known to this server"));
    }
    copy.execute("RESET ALL").await?;
    Ok(())
}

/// `a.b` are two names.
fn quoted_setting(name: &str) -> String {
    name.split('.').map(quote_ident).collect::<Vec<_>>().join(".")
}

/// Lets the role that migrates connect, with what it may do in the database.
pub(super) async fn runner(
    copy: &mut Session,
    found: &Roles,
    database: &str,
) -> Result<Runner, RehearseError> {
    let role = &found.current;
    if let Some(owner) = &found.owner {
        copy.execute(&format!("ALTER DATABASE {} OWNER TO {}", quote_ident(database), quote_ident(owner)))
            .await?;
    }
    if found.creates {
        copy.execute(&format!("GRANT CREATE ON DATABASE {} TO {}", quote_ident(database), quote_ident(role)))
            .await?;
    }
    let own = copy.query_text("SELECT current_user").await?;
    if own.scalar() == Some(role) {
        return Ok(None);
    }
    let password = format!("{:016x}", RandomState::new().hash_one(database));
    copy.execute(&with_password(role, &password)).await?;
    Ok(Some((role.clone(), password)))
}
