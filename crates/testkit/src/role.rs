//! Ordinary roles. Roles belong to the whole server, so their names are unique.

use cutover_postgres::sandbox::Server;

use crate::blocking::{administer, unique};
use crate::run::server;

/// A role on the shared server that can log in and is nothing special. Dropped at the end of the test where it owns
/// nothing any more: drop the databases first.
#[derive(Debug)]
pub struct Role {
    /// Name; needs no quotes in SQL.
    pub name: String,
    /// Password.
    pub password: String,
    server: Server,
}

/// A new role with `attributes` as in CREATE ROLE, e.g. `"CREATEROLE"`, or none.
pub fn role(attributes: &str) -> Role {
    let server = server().server().clone();
    let name = unique("role");
    let password = format!("secret-of-{name}");
    let sql = format!("CREATE ROLE {name} LOGIN PASSWORD '{password}' {attributes}");
    administer(&server, &sql).expect("a role");
    Role { name, password, server }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = administer(&self.server, &format!("DROP ROLE IF EXISTS {}", self.name));
    }
}
