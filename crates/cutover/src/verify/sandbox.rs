//! Where designs are built and migrations replayed: one throwaway server for all that a run verifies, or scratch
//! databases on a server given for it. Where there is none, the checks that need it are not measured and say why.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use cutover_analysis::sql::quote_ident;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::{Sandbox, SandboxError, SandboxOptions};
use cutover_postgres::session::{Session, Startup};
use tokio::sync::Mutex;

use super::measure::Trouble;

/// Gives empty databases for measuring. Nothing is started before the first one is asked for; a throwaway server
/// goes away with the provider.
#[derive(Debug)]
pub struct SandboxProvider {
    source: Source,
    /// In the name of each of its scratch databases, and what it holds an advisory lock on as long as it is there.
    owner: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Source {
    Local(Box<SandboxOptions>),
    Given(Box<ConnectOptions>),
    None(String),
}

#[derive(Debug, Default)]
struct State {
    /// The server, once it was asked for; or why there is none.
    started: Option<Result<Sandbox, String>>,
    /// The session on a given server that says by its lock whose scratch databases there are still somebody's.
    watch: Option<Box<Session>>,
}

/// An empty database. [`Scratch::finish`] drops it.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) options: ConnectOptions,
    /// The server is ours alone: roles may be made in it.
    pub(crate) own_server: bool,
    /// Whose it is, where that is not who made it.
    pub(crate) owner: Option<String>,
    /// Where it is to be dropped from.
    pub(crate) maintenance: ConnectOptions,
}

impl SandboxProvider {
    /// A throwaway server from the programs installed here, of the major version of the database if there is one.
    pub fn local(options: SandboxOptions) -> Self {
        Self::new(Source::Local(Box::new(options)))
    }

    /// Scratch databases on another server, made and dropped there; the role must be allowed to create databases.
    pub fn dev_url(options: ConnectOptions) -> Self {
        Self::new(Source::Given(Box::new(options)))
    }

    /// None: whatever needs one is not measured, for this reason.
    pub fn none(reason: impl Into<String>) -> Self {
        Self::new(Source::None(reason.into()))
    }

    /// The server that it makes databases on, where that is not its own.
    pub(crate) fn given(&self) -> Option<&ConnectOptions> {
        match &self.source {
            Source::Given(options) => Some(options),
            Source::Local(_) | Source::None(_) => None,
        }
    }

    fn new(source: Source) -> Self {
        Self { source, owner: RandomState::new().hash_one(std::process::id()), state: Mutex::default() }
    }

    /// A given server may serve others at the same time, from other machines too.
    fn scratch_name(&self) -> String {
        let one = RandomState::new().hash_one(std::process::id());
        format!("cutover_scratch_{:016x}_{one:016x}", self.owner)
    }

    /// Says on a given server that this provider is there, before it makes anything; the first time, what others have left goes.
    async fn keep_watch(
        &self,
        watch: &mut Option<Box<Session>>,
        options: &ConnectOptions,
    ) -> Result<(), Trouble> {
        let lock = format!("SELECT pg_catalog.pg_advisory_lock({})", self.owner.cast_signed());
        if let Some(session) = watch {
            if session.query(&lock, &[]).await.is_ok() {
                return Ok(());
            }
            *watch = None;
        }
        let mut session = Session::connect(options, &Startup::default()).await?;
        // It is idle for as long as there is something to look after.
        session
            .query(
                "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'",
                &[],
            )
            .await?;
        session.query(&lock, &[]).await?;
        sweep(&mut session).await?;
        *watch = Some(Box::new(session));
        Ok(())
    }

    /// A copy of a database that this provider has given; nobody may be connected to that one.
    pub(crate) async fn copy(&self, of: &Scratch) -> Result<Scratch, Trouble> {
        let name = self.scratch_name();
        let text = format!(
            "CREATE DATABASE {} TEMPLATE {} OWNER {}",
            quote_ident(&name),
            quote_ident(&of.options.database),
            quote_ident(of.owner.as_deref().unwrap_or(&of.maintenance.user))
        );
        let mut session = Session::connect(&of.maintenance, &Startup::default()).await?;
        let made = session.execute(&text).await;
        session.close().await;
        made?;
        Ok(Scratch {
            options: of.options.clone().with_database(&name),
            own_server: of.own_server,
            owner: of.owner.clone(),
            maintenance: of.maintenance.clone(),
        })
    }

    /// A new, empty database, if possible on a server of major version `major`.
    pub(crate) async fn database(&self, major: u32) -> Result<Scratch, Trouble> {
        let mut state = self.state.lock().await;
        let name = self.scratch_name();
        match &self.source {
            Source::None(reason) => Err(Trouble(reason.clone())),
            Source::Given(options) => {
                Box::pin(self.keep_watch(&mut state.watch, options)).await?;
                given(options, &name).await
            }
            Source::Local(options) => {
                if state.started.is_none() {
                    state.started = Some(start(options, major).await);
                }
                match &state.started {
                    Some(Ok(sandbox)) => local(sandbox, &name).await,
                    Some(Err(why)) => Err(Trouble(why.clone())),
                    None => Err(Trouble::new("no throwaway server")),
                }
            }
        }
    }
}

/// Scratch databases of others: those whose owner holds no lock on any database of the server, and that nobody is connected to. An owner
/// has its lock before its first database is there.
const NOBODYS: &str = "
SELECT d.datname::text FROM pg_catalog.pg_database d
  CROSS JOIN LATERAL (SELECT ('x' || substr(d.datname, 17, 16))::bit(64)::bigint AS key) o
 WHERE d.datname ~ '^cutover_scratch_[0-9a-f]{16}_[0-9a-f]{16}$' AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1
                     AND ((l.classid::bigint << 32) | l.objid::bigint) = o.key)";

/// Takes away what killed runs have left.
async fn sweep(session: &mut Session) -> Result<(), Trouble> {
    for row in session.query(NOBODYS, &[]).await? {
        let name: String = row.get(0);
        // Whoever connects meanwhile keeps it.
        match session.execute(&format!("DROP DATABASE IF EXISTS {}", quote_ident(&name))).await {
            Ok(_) => {
                tracing::info!(database = %name, "a scratch database that a killed run had left is gone");
            }
            Err(failure) => tracing::debug!(database = %name, %failure, "left on the server"),
        }
    }
    Ok(())
}

async fn start(options: &SandboxOptions, major: u32) -> Result<Sandbox, String> {
    let same = SandboxOptions { major: Some(options.major.unwrap_or(major)), ..options.clone() };
    let started = match Sandbox::start_in_background(same).await {
        Err(SandboxError::NoBinaries(_)) if options.major.is_none() => {
            Sandbox::start_in_background(options.clone()).await
        }
        started => started,
    };
    started.map_err(|error| format!("no throwaway server: {error}"))
}

async fn local(sandbox: &Sandbox, name: &str) -> Result<Scratch, Trouble> {
    sandbox.create_database(name, None).await.map_err(|error| Trouble(error.to_string()))?;
    Ok(Scratch {
        options: sandbox.options(name),
        own_server: true,
        owner: None,
        maintenance: sandbox.options("postgres"),
    })
}

async fn given(options: &ConnectOptions, name: &str) -> Result<Scratch, Trouble> {
    let mut session = Session::connect(options, &Startup::default()).await?;
    session.execute(&format!("CREATE DATABASE {} TEMPLATE template0", quote_ident(name))).await?;
    session.close().await;
    Ok(Scratch {
        options: options.clone().with_database(name),
        own_server: false,
        owner: None,
        maintenance: options.clone(),
    })
}

impl Scratch {
    /// Drops the database. Every session on it must be closed.
    pub(crate) async fn finish(self) {
        self.finish_with(&[]).await;
    }

    /// The same, and runs these statements then; what fails of them is left.
    pub(crate) async fn finish_with(self, then: &[String]) {
        let name = quote_ident(&self.options.database);
        let dropped = async {
            let mut session = Session::connect(&self.maintenance, &Startup::default()).await?;
            session.execute(&format!("DROP DATABASE IF EXISTS {name}")).await?;
            for text in then {
                if let Err(failure) = session.execute(text).await {
                    tracing::debug!(%text, %failure, "left on the server");
                }
            }
            session.close().await;
            Ok::<_, Trouble>(())
        };
        if let Err(Trouble(why)) = dropped.await {
            tracing::warn!(database = %self.options.database, %why, "a scratch database could not be dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn scratch_databases_differ_and_are_dropped() {
        let server = testkit::server().server();
        let provider = SandboxProvider::dev_url(server.options("postgres"));
        let (one, other) = (provider.database(15).await.unwrap(), provider.database(15).await.unwrap());
        assert_ne!(one.options.database, other.options.database);
        let gone = one.options.clone();
        assert!(Session::connect(&gone, &Startup::default()).await.is_ok());
        one.finish().await;
        other.finish().await;
        assert!(Session::connect(&gone, &Startup::default()).await.is_err());
    }

    /// Those of a run that is there stay, also while nobody is connected to them.
    #[tokio::test]
    async fn what_a_killed_run_left_is_taken_away_by_the_next_one() {
        let server = testkit::server().server();
        let provider = || SandboxProvider::dev_url(server.options("postgres"));
        let mut session = Session::connect(&server.options("postgres"), &Startup::default()).await.unwrap();
        let (killed, living) = (provider(), provider());
        let left = killed.database(15).await.unwrap().options.database;
        let copied = living.database(15).await.unwrap();
        let kept = [living.copy(&copied).await.unwrap(), copied];
        drop(killed);
        // Its session ends when the server has noticed.
        for _ in 0..500 {
            provider().database(15).await.unwrap().finish().await;
            let there = session.query("SELECT FROM pg_database WHERE datname = $1", &[&left]).await.unwrap();
            if there.is_empty() {
                break;
            }
        }
        let there = "SELECT datname::text FROM pg_database WHERE datname = ANY($1)";
        let names = [vec![left], kept.iter().map(|one| one.options.database.clone()).collect()].concat();
        let rows = session.query(there, &[&names]).await.unwrap();
        let mut found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut wanted = names[1..].to_vec();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
        for one in kept {
            one.finish().await;
        }
        session.close().await;
    }

    #[tokio::test]
    async fn a_missing_major_is_replaced_by_another_and_missing_programs_are_a_reason() {
        let provider = SandboxProvider::local(testkit::sandbox_options());
        let scratch = provider.database(99).await.unwrap();
        assert!(scratch.own_server);
        scratch.finish().await;
        let nowhere = SandboxOptions { bin_dir: Some("/nonexistent".into()), ..testkit::sandbox_options() };
        let Trouble(why) = SandboxProvider::local(nowhere).database(15).await.unwrap_err();
        assert!(why.starts_with("no throwaway server: "), "{why}");
    }
}
