//! Roles and databases that migrations make when they are replayed: they belong to the whole server, where another replay of the
//! same migrations, or somebody else, may have made them before.

use std::collections::BTreeSet;

use cutover_analysis::effects::{ObjectKind, ObjectRef, ServerWide, server_wide};
use cutover_analysis::sql::{parse, quote_ident, quote_literal};
use cutover_postgres::session::{Failure, Session};

use crate::script::Script;

/// What one replay has made of the whole server, and what it has found there instead.
#[derive(Debug)]
pub(super) struct Shared {
    own_server: bool,
    made: BTreeSet<(ObjectKind, String)>,
    /// Somebody else's: it is taken for made, and not changed.
    found: BTreeSet<(ObjectKind, String)>,
}

/// Whether a script may have statements on roles or databases.
pub(super) fn concerns(script: &Script) -> bool {
    let is_shared = |object: &ObjectRef| matches!(object.kind, ObjectKind::Role | ObjectKind::Database);
    [&script.creates, &script.alters, &script.drops].into_iter().flatten().any(is_shared)
}

impl Shared {
    /// `own_server`: nobody but replays uses the server.
    pub(super) fn on(own_server: bool) -> Self {
        Self { own_server, made: BTreeSet::new(), found: BTreeSet::new() }
    }

    /// Whether a statement is not to be run: what it makes is there, or what it changes or drops is somebody else's.
    pub(super) async fn is_done(&mut self, session: &mut Session, text: &str) -> Result<bool, Failure> {
        let Some(what) = parse(text).ok().and_then(|parsed| server_wide(&parsed)) else { return Ok(false) };
        Ok(match what {
            ServerWide::Makes(object) => {
                let key = key(&object);
                if self.made.contains(&key) || self.found.contains(&key) {
                    // Twice by the migrations themselves: that fails.
                    return Ok(false);
                }
                let is_there = is_there(session, &object).await?;
                let known = if is_there { &mut self.found } else { &mut self.made };
                known.insert(key);
                is_there
            }
            ServerWide::Alters(object) => self.is_others(&object),
            ServerWide::Drops(objects) => {
                let is_others = objects.iter().any(|object| self.is_others(object));
                for object in &objects {
                    self.found.remove(&key(object));
                    if !is_others {
                        self.made.remove(&key(object));
                    }
                }
                is_others
            }
        })
    }

    /// On a server that is not ours everything is somebody else's that was not made here.
    fn is_others(&self, object: &ObjectRef) -> bool {
        let key = key(object);
        self.found.contains(&key) || !self.own_server && !self.made.contains(&key)
    }

    /// The statements that drop what was made.
    pub(super) fn dropped(self) -> Vec<String> {
        let statement = |(kind, name): &(ObjectKind, String)| {
            let what = if *kind == ObjectKind::Database { "DATABASE" } else { "ROLE" };
            format!("DROP {what} IF EXISTS {}", quote_ident(name))
        };
        // A database may belong to a role.
        let (databases, roles): (Vec<_>, Vec<_>) =
            self.made.iter().partition(|(kind, _)| *kind == ObjectKind::Database);
        databases.into_iter().chain(roles).map(statement).collect()
    }
}

fn key(object: &ObjectRef) -> (ObjectKind, String) {
    (object.kind, object.name.to_string())
}

async fn is_there(session: &mut Session, object: &ObjectRef) -> Result<bool, Failure> {
    let name = quote_literal(&object.name);
    let sql = match object.kind {
        ObjectKind::Database => {
            format!("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {name})")
        }
        _ => format!("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name})"),
    };
    Ok(session.query_text(&sql).await?.scalar() == Some("t"))
}
