//! The process's surroundings as values: environment, home folder, user and host.

use std::path::PathBuf;

use cutover_postgres::Environment;

/// Environment, home folder and user name. Variables that are not UTF-8 are left out: nothing of ours has one.
pub(crate) fn environment() -> Environment {
    let vars: std::collections::BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let account = account();
    let set = |name: &str| vars.get(name).filter(|value| !value.is_empty()).cloned();
    // As libpq: the account decides on the name of the user, HOME on the home folder.
    let user = account.as_ref().map(|account| account.0.clone());
    let user = user.or_else(|| set("USER")).or_else(|| set("LOGNAME"));
    let home = set("HOME").map(PathBuf::from).or_else(|| account.map(|account| account.1));
    Environment { vars, home, user }
}

/// Name and home folder of the account this process runs as, where the machine's own list has it.
fn account() -> Option<(String, PathBuf)> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let list = std::fs::read_to_string("/etc/passwd").ok()?;
    list.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, _, _, home, ..] = fields[..] else { return None };
        (id == uid).then(|| (name.to_owned(), PathBuf::from(home)))
    })
}

/// Who runs this, for the journal: `user@host`.
pub(crate) fn operator(environment: &Environment) -> String {
    let host = rustix::system::uname();
    format!("{}@{}", environment.user.as_deref().unwrap_or("unknown"), host.nodename().to_string_lossy())
}
