//! What a process knows of its surroundings, as a value. The library never asks the operating system itself:
//! the command fills this in once, and tests decide what it says.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables, home folder and user name, as the caller found them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Environment variables.
    pub vars: BTreeMap<String, String>,
    /// The user's home folder: `~/.pgpass`, `~/.pg_service.conf` and `~/.postgresql` are looked for in it.
    pub home: Option<PathBuf>,
    /// Name of the operating system user: the default role name.
    pub user: Option<String>,
}

impl Environment {
    /// A variable that is set and not empty; libpq treats an empty one as unset, and so does this crate.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl std::fmt::Debug for Environment {
    /// Variables may hold passwords, so only their names are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("vars", &self.vars.keys().collect::<Vec<_>>())
            .field("home", &self.home)
            .field("user", &self.user)
            .finish()
    }
}
