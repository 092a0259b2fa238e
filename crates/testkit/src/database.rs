//! A database a test, made from a template where many tests begin alike.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::Server;

use crate::blocking::{administer, block_on, query, unique};
use crate::holder::Holder;
use crate::role::Role;
use crate::run::{TestServer, server};

/// Longest wait for something a test expects to happen. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database on the shared server, dropped at the end of the test. DROP DATABASE waits for every login that is under way
/// on the server: where several futures share a thread, it is dropped when all of them are done, or it may wait, and keep
/// the thread, for a login that one of them has begun.
#[derive(Debug)]
pub struct Database {
    name: String,
    server: Server,
    keep: bool,
}

/// A new, empty database.
pub fn database() -> Database {
    create(server(), None)
}

/// A new database as `build` leaves one. `build` runs once in a test run for each `key`, which must therefore hold
/// everything the outcome depends on, such as the text of the SQL.
pub fn database_from_template(key: &str, build: impl FnOnce(&Database)) -> Database {
    let shared = server();
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let name = format!("template_{:016x}", hasher.finish());
    let flag = shared.flag(&name);
    {
        let _building = shared.lock(&name);
        if !flag.exists() {
            build_template(shared, &name, build);
            std::fs::write(&flag, key).expect("the template's flag");
        }
    }
    create(shared, Some(&name))
}

fn build_template(shared: &TestServer, name: &str, build: impl FnOnce(&Database)) {
    let server = shared.server();
    block_on(server.drop_database(name)).expect("what a failed build left behind is dropped");
    block_on(server.create_database(name, None)).expect("a template database");
    build(&Database { name: name.to_owned(), server: server.clone(), keep: true });
    // Nobody may be connected to a template while it is copied.
    let close = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    administer(server, &close).expect("the template is closed");
}

fn create(shared: &TestServer, template: Option<&str>) -> Database {
    let name = unique("test");
    block_on(shared.server().create_database(&name, template)).expect("a test database");
    Database { name, server: shared.server().clone(), keep: false }
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it is on.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// URL for the superuser.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// URL for an ordinary role.
    pub fn url_as(&self, role: &Role) -> String {
        self.server.url_as(&role.name, &role.password, &self.name)
    }

    /// Connection options for the superuser.
    pub fn options(&self) -> ConnectOptions {
        self.server.options(&self.name)
    }

    /// Connection options for an ordinary role.
    pub fn options_as(&self, role: &Role) -> ConnectOptions {
        self.server.options_as(&role.name, &role.password, &self.name)
    }

    /// Somebody who has run these statements in a transaction that is still open.
    pub fn hold(&self, statements: &str) -> Holder {
        Holder::of(&self.url(), statements)
    }

    /// Runs statements as superuser on a connection of their own, for setting up. Panics if one fails.
    pub fn run(&self, sql: &str) {
        self.rows(sql);
    }

    /// The rows of all statements in `sql`, each column as text. Panics if one fails.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_rows(sql).unwrap_or_else(|error| panic!("{sql}: {}", described(&error)))
    }

    /// As [`Database::rows`], for statements that may fail.
    ///
    /// # Errors
    /// The driver's error.
    pub fn try_rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        query(&self.url(), sql)
    }

    /// The one value that `sql` returns, as text; the empty text for NULL. Panics on anything but one row with one
    /// column.
    pub fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        let [row] = &rows[..] else { panic!("{sql}: {} rows", rows.len()) };
        let [value] = &row[..] else { panic!("{sql}: {} columns", row.len()) };
        value.clone().unwrap_or_default()
    }

    /// Runs statements on a thread of their own: the last value, or the SQLSTATE. They wait for no lock for ever.
    pub fn meanwhile<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        sql: &str,
    ) -> ScopedJoinHandle<'scope, Result<String, String>> {
        let sql = format!("SET statement_timeout = '30s'; {sql}");
        scope.spawn(move || match self.try_rows(&sql) {
            Ok(rows) => Ok(last(&rows)),
            Err(error) => Err(error.code().expect("the server's").code().to_owned()),
        })
    }

    /// Returns once `sql` has this answer. What it asks for may not be there yet: that is waited for too. Panics where it
    /// never comes.
    pub fn becomes(&self, sql: &str, answer: &str) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let found = match self.try_rows(sql) {
                Ok(rows) => last(&rows),
                Err(error) => described(&error),
            };
            if found == answer {
                return;
            }
            assert!(Instant::now() < give_up, "{sql}: still {found:?}, never {answer:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns once so many of its sessions wait for a lock.
    pub fn until_waiting(&self, sessions: u32) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.becomes(sql, &sessions.to_string());
    }

    /// Makes an ordinary role the owner of the database.
    pub fn give_to(&self, role: &Role) {
        let sql = format!("ALTER DATABASE {} OWNER TO {}", self.name, role.name);
        administer(&self.server, &sql).expect("a new owner");
    }
}

/// The first value of the last row.
fn last(rows: &[Vec<Option<String>>]) -> String {
    rows.last().and_then(|row| row.first().cloned().flatten()).unwrap_or_default()
}

fn described(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| format!("{} ({})", db.message(), db.code().code()))
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // A server that a test took down on purpose takes its databases along.
        let _ = block_on(self.server.drop_database(&self.name));
    }
}
