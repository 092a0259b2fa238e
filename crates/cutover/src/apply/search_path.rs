//! Where the unqualified names of migrations lead: not into schema `cutover`, where tables of theirs would stand among
//! those of the history and their names could mean these. Somebody who set such a path did so by mistake, or to harm.

use cutover_analysis::sql::{identifier_list, quote_ident};
use cutover_postgres::session::{Failure, Session};

use crate::history::schema::SCHEMA;
use crate::project::{DefaultSchema, Project};

/// What stands for the name of the role.
const USER: &str = "$user";

/// What the server says of the search path that a session began with.
struct Found {
    path: String,
    /// Where it comes from, as `pg_settings` has it.
    source: String,
    /// Whose settings count.
    session_role: String,
    /// Whose name `"$user"` is.
    role: String,
    database: String,
}

/// Says so where names without a schema lead elsewhere than they should in migrations: to schema `cutover`, whether it is there
/// already or not, or to another schema than the tool of the files would make things in. What was found, where it is set, and
/// what to do. `session` must have begun as theirs does.
///
/// # Errors
/// As the server says.
pub(crate) async fn complaint(session: &mut Session, project: &Project) -> Result<Option<String>, Failure> {
    if let Some(schema) = &project.default_schema {
        let rows = session.query("SELECT pg_catalog.current_schema()::pg_catalog.text", &[]).await?;
        let current = rows.first().and_then(|row| row.get::<_, Option<String>>(0));
        if current.as_deref() != Some(schema.name.as_str()) {
            return Ok(Some(not_the_default(schema, current.as_deref())));
        }
    }
    let ask = "SELECT pg_catalog.current_setting('search_path'), current_user::pg_catalog.text";
    let rows = session.query(ask, &[]).await?;
    let Some((path, role)) = rows.first().map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)))
    else {
        return Ok(None);
    };
    if !leads(&identifier_list(&path), &role) {
        return Ok(None);
    }
    let ask = "SELECT source, session_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text
                 FROM pg_catalog.pg_settings WHERE name = 'search_path'";
    let rows = session.query(ask, &[]).await?;
    let found = rows.first().map(|row| Found {
        path,
        source: row.get(0),
        session_role: row.get(1),
        role,
        database: row.get(2),
    });
    Ok(found.map(|found| words(&found)))
}

fn not_the_default(DefaultSchema { name, said }: &DefaultSchema, current: Option<&str>) -> String {
    let there =
        current.map_or_else(|| "to none".to_owned(), |current| format!("to {}", quote_ident(current)));
    let name = quote_ident(name);
    format!(
        "{said} calls {name} the default schema, and here names without a schema lead {there}\n  hint: where it is not there \
         yet, make it (CREATE SCHEMA {name}); then let the search path begin with it: ALTER ROLE … SET search_path = {name}, \
         public, or options=-csearch_path%3D{name},public in the URL"
    )
}

/// Whether names that are looked up under this path may mean what is in schema `cutover`.
fn leads(schemas: &[String], role: &str) -> bool {
    schemas.iter().any(|schema| is_ours(schema, role))
}

fn is_ours(schema: &str, role: &str) -> bool {
    schema == SCHEMA || schema == USER && role == SCHEMA
}

fn words(found: &Found) -> String {
    let Found { path, source, session_role, role, database } = found;
    let schemas = identifier_list(path);
    let mut rest: Vec<String> =
        schemas.iter().filter(|schema| !is_ours(schema, role)).map(|schema| quote_ident(schema)).collect();
    if rest.is_empty() {
        rest.push("public".to_owned());
    }
    let rest = rest.join(", ");
    let (session_role, database) = (quote_ident(session_role), quote_ident(database));
    let of_role = format!("ALTER ROLE {session_role} SET search_path = {rest}");
    let (set, mend) = match source.as_str() {
        "user" => (format!("set for role {session_role}"), of_role),
        "database" => (
            format!("set for database {database}"),
            format!("ALTER DATABASE {database} SET search_path = {rest}"),
        ),
        "database user" => (
            format!("set for role {session_role} in database {database}"),
            format!("ALTER ROLE {session_role} IN DATABASE {database} SET search_path = {rest}"),
        ),
        "global" => ("set for all roles".to_owned(), format!("ALTER ROLE ALL SET search_path = {rest}")),
        "client" => (
            "set by the connection".to_owned(),
            "leave search_path out of the options of the connection (options, PGOPTIONS)".to_owned(),
        ),
        "default" => ("the default".to_owned(), of_role),
        _ => (
            "set in the configuration of the server".to_owned(),
            format!("change it there, or for the role alone: {of_role}"),
        ),
    };
    let named = schemas.iter().any(|schema| schema == SCHEMA);
    let because = if named { "" } else { " (\"$user\" means it, for so the role is called)" };
    let other = if named { "" } else { ", or connect as a role of another name" };
    format!(
        "schema cutover, which holds the history, is in the search path of the migrations: {path}, {set}{because}\n  \
         what they name without a schema could be made there, or mean what is there\n  hint: {mend}{other}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str, source: &str, role: &str) -> String {
        words(&Found {
            path: path.to_owned(),
            source: source.to_owned(),
            session_role: "Deploy".to_owned(),
            role: role.to_owned(),
            database: "shop".to_owned(),
        })
    }

    #[test]
    fn a_path_leads_there_by_the_name_or_by_that_of_the_role() {
        let leads = |path: &str, role: &str| leads(&identifier_list(path), role);
        assert!(leads("public, CutOver", "r") && leads("\"$user\", public", "cutover"));
        assert!(!leads("\"$user\", public", "r") && !leads("\"Cutover\", \"a,cutover\"", "cutover"));
        assert!(!leads("", "cutover"));
    }

    #[test]
    fn what_to_do_is_said_for_each_place_where_it_may_be_set() {
        for (source, set, hint) in [
            ("user", "set for role \"Deploy\"", "ALTER ROLE \"Deploy\" SET search_path = \"$user\", public"),
            ("database", "set for database shop", "ALTER DATABASE shop SET search_path = \"$user\", public"),
            (
                "database user",
                "set for role \"Deploy\" in database shop",
                "ALTER ROLE \"Deploy\" IN DATABASE shop SET search_path = \"$user\", public",
            ),
            ("global", "set for all roles", "ALTER ROLE ALL SET search_path = \"$user\", public"),
            ("client", "set by the connection", "leave search_path out of the options of the connection"),
            (
                "configuration file",
                "set in the configuration of the server",
                "change it there, or for the role",
            ),
        ] {
            let said = said("\"$user\", cutover, public", source, "r");
            assert!(said.contains(&format!("\"$user\", cutover, public, {set}\n")), "{said}");
            assert!(said.contains(&format!("\n  hint: {hint}")), "{said}");
        }
        let said = said("\"$user\"", "default", "cutover");
        assert!(
            said.contains("\"$user\", the default (\"$user\" means it, for so the role is called)\n"),
            "{said}"
        );
        assert!(said.ends_with("SET search_path = public, or connect as a role of another name"), "{said}");
    }
}
