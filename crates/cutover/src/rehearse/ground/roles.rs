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
    /// Privileges on the database: who (empty for everybody), what, and whether it may be passed on.
    privileges: Vec<(String, String, String)>,
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
        "concat('WITH ADMIN ', bool_or(a.admin_option)::text, ', INHERIT ', bool_or(a.inherit_option)::text, ', SET ', bool_or(a.set_option)::text)"
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
 ORDER BY d.setrole <> 0, d.setdatabase <> 0, 1";

const PRIVILEGES: &str = "
SELECT CASE WHEN x.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(x.grantee) END, x.privilege_type,
       CASE WHEN x.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END
  FROM pg_catalog.pg_database d
 CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) x
 WHERE d.datname = pg_catalog.current_database()";

const SELF: &str = "
SELECT current_user, pg_catalog.pg_get_userbyid(d.datdba)
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/// Reads them.
pub(super) async fn read(session: &mut Session) -> Result<Roles, Failure> {
    let own = session.query_text(SELF).await?;
    let text = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    let first = own.rows.first().cloned().unwrap_or_default();
    let mut lists = Vec::new();
    for query in [ROLES, &members(session.server_version_num()), SETTINGS, PRIVILEGES] {
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
        all: pairs(lists.next()),
        members: triples(lists.next()),
        settings: triples(lists.next()),
        privileges: triples(lists.next()),
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
    let own = copy.query_text("SELECT current_user").await?.scalar().unwrap_or_default().to_owned();
    let mut not_set = 0;
    for (role, name, value) in &found.settings {
        // What is set for all is set for each but the server's own superuser, who builds and watches.
        let all = found.all.iter().map(|(role, _)| role).filter(|role| **role != own);
        let roles: Vec<&String> = if role.is_empty() { all.collect() } else { vec![role] };
        for role in roles.into_iter().filter(|role| **role != own) {
            let text = format!(
                "ALTER ROLE {} SET {} TO {}",
                quote_ident(role),
                quoted_setting(name),
                setting(name, value)
            );
            not_set += usize::from(copy.execute(&text).await.is_err());
        }
    }
    if not_set > 0 {
        ground
            .remarks
            .push(format!("settings of roles or of the database that this server does not take: {not_set}"));
    }
    Ok(())
}

/// Settings that are lists of names: stored as SQL writes such a list.
const LISTS: [&str; 6] = [
    "search_path",
    "temp_tablespaces",
    "session_preload_libraries",
    "local_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
];

/// A stored value as SQL has it.
fn setting(name: &str, value: &str) -> String {
    if !LISTS.contains(&name) {
        return quote_literal(value);
    }
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                parts.last_mut().into_iter().for_each(|part| part.push('"'));
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => parts.push(String::new()),
            c if c.is_whitespace() && !is_quoted => {}
            c => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    parts.iter().map(|part| quote_literal(part)).collect::<Vec<_>>().join(", ")
}

/// `a.b` are two names.
fn quoted_setting(name: &str) -> String {
    name.split('.').map(quote_ident).collect::<Vec<_>>().join(".")
}

impl Roles {
    /// The statements that give a copy the privileges of the database: a template hands on none.
    pub(super) fn on_database(&self) -> Vec<(String, String)> {
        let grant = |(who, what, option): &(String, String, String)| {
            let who = if who.is_empty() { "PUBLIC".to_owned() } else { quote_ident(who) };
            (format!("GRANT {what}"), format!("TO {who} {option}"))
        };
        std::iter::once(("REVOKE ALL".to_owned(), "FROM PUBLIC".to_owned()))
            .chain(self.privileges.iter().map(grant))
            .collect()
    }
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
    let own = copy.query_text("SELECT current_user").await?;
    if own.scalar() == Some(role) {
        return Ok(None);
    }
    let password = format!("{:016x}", RandomState::new().hash_one(database));
    copy.execute(&with_password(role, &password)).await?;
    Ok(Some((role.clone(), password)))
}

#[cfg(test)]
mod tests {
    use cutover_postgres::sandbox::SandboxOptions;
    use cutover_postgres::session::{Session, Startup};
    use testkit::Proxy;
    use testkit::proxy::{Direction, Message, When};

    use super::*;
    use crate::plan::select::Selection;
    use crate::rehearse::{GroundRequest, Request, rehearse};
    use crate::verify::SandboxProvider;

    /// A role that comes while they are read, and becomes a member of another one that comes, is in nobody's way.
    #[tokio::test]
    async fn roles_are_read_as_they_are_at_one_moment() {
        let database = testkit::database();
        let project = crate::Project::embedded("p", &[("0001_a.sql", b"CREATE TABLE a (n int);")]).unwrap();
        let sandbox = SandboxProvider::local(testkit::sandbox_options());
        let programs =
            SandboxOptions { bin_dir: Some(testkit::clients().folder), ..testkit::sandbox_options() };
        let request = Request {
            selection: Selection::default(),
            ground: GroundRequest::default(),
            full: false,
            workload: None,
        };
        let through = async |proxy: &Proxy| {
            let options = proxy.server().options(database.name());
            rehearse(&project, Some(&options), &request, &sandbox, &programs).await
        };
        let proxy = Proxy::start(database.server());
        through(&proxy).await.unwrap();
        // Type and length come before the text, and a zero byte behind it.
        let server: u32 = database.value("SHOW server_version_num").parse().unwrap();
        let asked = members(server).len() + 6;
        let is_asked = |message: &&Message| {
            (message.direction, message.tag, message.length) == (Direction::Frontend, b'Q', asked)
        };
        let point = proxy.messages().iter().find(is_asked).unwrap().point(When::Before);
        let proxy = Proxy::start(database.server());
        let hold = proxy.hold(point);
        let coming = async {
            let waiting = tokio::task::spawn_blocking(move || {
                hold.wait_reached();
                hold
            });
            let _hold = waiting.await.unwrap();
            let (group, member) = (testkit::role(""), testkit::role(""));
            database.run(&format!("GRANT {} TO {}", group.name, member.name));
            (group, member)
        };
        let (found, roles) = tokio::join!(through(&proxy), coming);
        assert_eq!(found.unwrap().failed(), 0);
        drop(roles);
    }

    /// In the words of the server itself: from 16 on other ones than before.
    #[tokio::test]
    async fn a_membership_is_made_again_as_it_is() {
        let database = testkit::database();
        let (group, member) = (testkit::role(""), testkit::role(""));
        database.run(&format!("GRANT {} TO {} WITH ADMIN OPTION", group.name, member.name));
        let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
        let found = read(&mut session).await.unwrap();
        let options = |roles: &Roles| {
            let of = roles.members.iter().find(|(one, other, _)| *one == group.name && *other == member.name);
            of.map(|(.., options)| options.clone())
        };
        let before = options(&found).unwrap();
        session.execute(&format!("REVOKE {} FROM {}", group.name, member.name)).await.unwrap();
        session.execute(&format!("GRANT {} TO {} {before}", group.name, member.name)).await.unwrap();
        assert_eq!(options(&read(&mut session).await.unwrap()), Some(before));
    }
}
