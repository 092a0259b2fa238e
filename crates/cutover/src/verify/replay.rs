//! Running migrations in a scratch database that resembles the real one: same search path, same role names. It knows
//! no history and no locks, and nothing of what it does reaches the real database.

use std::collections::BTreeSet;

use bytes::Bytes;
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::own_schemas;
use cutover_analysis::schema::Schema;
use cutover_analysis::sql::{quote_ident, quote_literal, routine_body, with_database};
use cutover_postgres::session::{Failure, Session, Startup, StatementOutcome};

use super::failure_text;
use super::measure::{Ctx, Trouble, search_path};
use super::sandbox::{SandboxProvider, Scratch};
use super::shared::{self, Shared};
use crate::adopt::{self, TablePlace};
use crate::catalog::{self, CatalogError};
use crate::migration::Migration;
use crate::project::Vars;
use crate::reading::{self, Reported};
use crate::script::{Script, ScriptItem};
use crate::source;

/// What of a real database a scratch one is made to resemble.
#[derive(Debug, Clone)]
pub(crate) struct Likeness {
    /// PostgreSQL's major version.
    pub(crate) major: u32,
    /// What it is called, where it is one in particular.
    database: Option<String>,
    /// The schemas of the search path that exist.
    path: Vec<String>,
    /// The search path as it is set, where it leads to the same schemas in a database of anybody's: functions may keep it.
    path_set: Option<String>,
    /// Names of the roles of its server.
    roles: Vec<String>,
    /// Tables of the tools that it was adopted from: files may mention them.
    tables: Vec<TablePlace>,
    /// Schemas besides, that are there without a migration's doing.
    schemas: Vec<String>,
    /// Extensions that are, with their schemas.
    extensions: Vec<(String, String)>,
    /// What is replayed makes what belongs to the whole server, and may find it there from another time.
    makes_roles: bool,
}

impl Likeness {
    /// Of no database in particular.
    pub(crate) fn of_nothing() -> Self {
        Self::of_version(0)
    }

    /// Of no database in particular, of that major version.
    pub(crate) fn of_version(major: u32) -> Self {
        Self {
            major,
            database: None,
            path: vec!["public".to_owned()],
            path_set: None,
            roles: Vec::new(),
            tables: Vec::new(),
            schemas: Vec::new(),
            extensions: Vec::new(),
            makes_roles: false,
        }
    }

    /// Of the database of a session that begins as those of migrations do.
    pub(crate) async fn of(session: &mut Session) -> Result<Self, Failure> {
        Ok(Self {
            major: session.server_version_num() / 10_000,
            database: session.query_text(DATABASE).await?.scalar().map(str::to_owned),
            path: search_path(session).await?,
            path_set: path_set(session).await?,
            roles: role_names(session).await?,
            tables: adopt::tables_of(session).await?,
            schemas: Vec::new(),
            extensions: Vec::new(),
            makes_roles: false,
        })
    }

    /// The same with the table of another tool.
    pub(crate) fn with_table(mut self, place: TablePlace) -> Self {
        if !self.tables.iter().any(|other| other.is(&place)) {
            self.tables.push(place);
        }
        self
    }

    /// The same with the schemas and extensions that the database has and none of the migrations makes: somebody else made
    /// them, and migrations may count on them.
    pub(crate) async fn with_surroundings(
        mut self,
        session: &mut Session,
        made: &BTreeSet<(ObjectKind, String)>,
    ) -> Result<Self, Failure> {
        let schemas = concat!(
            "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', ",
            own_schemas!(),
            ") ORDER BY 1"
        );
        let extensions = "SELECT x.extname::text, n.nspname::text FROM pg_catalog.pg_extension x \
                          JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace WHERE x.oid >= 16384 ORDER BY x.oid";
        let is_made = |kind, name: &String| made.contains(&(kind, name.clone()));
        self.schemas = session.query(schemas, &[]).await?.iter().map(|row| row.get(0)).collect();
        self.schemas.retain(|name| !is_made(ObjectKind::Schema, name));
        self.extensions =
            session.query(extensions, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
        self.extensions.retain(|(name, _)| !is_made(ObjectKind::Extension, name));
        Ok(self)
    }

    /// Whether something is there without a migration's doing.
    pub(crate) fn is_around(&self, kind: ObjectKind, name: &str) -> bool {
        match kind {
            ObjectKind::Schema => self.schemas.iter().any(|known| known == name),
            ObjectKind::Extension => self.extensions.iter().any(|(known, _)| known == name),
            _ => false,
        }
    }

    /// The same of that major version, where it is of none in particular.
    pub(crate) fn of_major(mut self, major: u32) -> Self {
        if self.major == 0 {
            self.major = major;
        }
        self
    }

    /// The same with one more role.
    pub(crate) fn with_role(mut self, role: &str) -> Self {
        self.roles.push(role.to_owned());
        self
    }

    /// Whether its server has a role of that name.
    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known == role)
    }

    /// The same where what is replayed may make roles, and finds those that are there as another replay on that server has left them.
    pub(crate) fn with_roles_made(self) -> Self {
        self.without_roles(|_| false)
    }

    /// The same without roles of these names: what is replayed makes them itself, or finds them as another replay on that server
    /// has left them.
    pub(crate) fn without_roles(mut self, made: impl Fn(&str) -> bool) -> Self {
        self.makes_roles = true;
        self.roles.retain(|role| !made(role));
        self
    }
}

/// A scratch database and a session on it.
pub(crate) struct Replay {
    pub(crate) session: Session,
    scratch: Scratch,
    /// Tables of other tools that are not made yet.
    tables: Vec<TablePlace>,
    /// Those that are: in the real database their tools made them, and no migration.
    made: Vec<TablePlace>,
    /// What the real database is called, and the scratch one: statements on the one are run on the other.
    databases: Option<(String, String)>,
    /// PostgreSQL's major version there, where it is not the real database's.
    pub(crate) other_major: Option<u32>,
    /// What it makes of the whole server, where that may be there already.
    shared: Option<Shared>,
}

impl Replay {
    /// Makes a scratch database that resembles the one of the session.
    pub(crate) async fn open(ctx: &mut Ctx<'_>) -> Result<Self, Trouble> {
        let likeness = Likeness::of(ctx.session).await?;
        Self::open_like(&likeness, ctx.wider()?.sandbox).await
    }

    /// Makes a scratch database with the schemas of a search path and the names of a server's roles.
    pub(crate) async fn open_like(likeness: &Likeness, sandbox: &SandboxProvider) -> Result<Self, Trouble> {
        let scratch = sandbox.database(likeness.major).await?;
        match Self::prepare(&scratch, likeness).await {
            Ok(session) => {
                let there = session.server_version_num() / 10_000;
                let tables = likeness.tables.clone();
                let databases =
                    likeness.database.clone().map(|real| (real, scratch.options.database.clone()));
                let other_major = (there != likeness.major).then_some(there);
                let shared = likeness.makes_roles.then(|| Shared::on(scratch.own_server));
                Ok(Self { session, scratch, tables, made: Vec::new(), databases, other_major, shared })
            }
            Err(trouble) => {
                scratch.finish().await;
                Err(trouble)
            }
        }
    }

    async fn prepare(scratch: &Scratch, likeness: &Likeness) -> Result<Session, Trouble> {
        let Likeness { path, path_set, roles, schemas, extensions, .. } = likeness;
        let names: Vec<String> = path.iter().map(|schema| quote_ident(schema)).collect();
        let path = path_set.clone().unwrap_or_else(|| names.join(", "));
        // Default privileges, lookups in function bodies and the like are not what is replayed.
        let settings = vec![("search_path".to_owned(), path), reading::given()];
        let mut session =
            Session::connect(&scratch.options, &Startup { settings, ..Startup::default() }).await?;
        // PostgreSQL's own are there, whether the path names them or not.
        let names = names.iter().zip(&likeness.path).filter(|(_, schema)| !is_system_schema(schema));
        let mut texts: Vec<String> =
            names.map(|(name, _)| name).map(|name| format!("CREATE SCHEMA IF NOT EXISTS {name}")).collect();
        if scratch.own_server {
            texts.extend(roles.iter().map(|role| format!("CREATE ROLE {}", quote_ident(role))));
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for outcome in session.pipeline(&texts).await {
            match outcome.result {
                // The superuser's own name, or a role an earlier replay made on this server.
                Err(failure) if failure.code() != Some("42710") => return Err(failure.into()),
                _ => {}
            }
        }
        for schema in schemas {
            session.execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(schema))).await?;
        }
        for (extension, schema) in extensions {
            let (extension, schema) = (quote_ident(extension), quote_ident(schema));
            let text = format!("CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {schema} CASCADE");
            // One that this server has not is missed by whoever needs it.
            if let Err(failure @ Failure::Lost(_)) = session.execute(&text).await {
                return Err(failure.into());
            }
        }
        Ok(session)
    }

    /// Whether the server is cutover's own, so that roles can be made there.
    pub(crate) fn is_on_own_server(&self) -> bool {
        self.scratch.own_server
    }

    /// Runs a migration; an error says in words what failed, with its line. One that fails and mentions the table of a tool
    /// that the database was adopted from is run again with that table there, as the tool makes it: it was when it was applied.
    pub(crate) async fn run(&mut self, migration: &Migration, vars: &Vars) -> Result<(), String> {
        self.run_seen(migration, vars).await.map(|_| ())
    }

    /// As [`run`](Self::run); gives the numbers of the tables whose rows it wrote, or would have where it had found any.
    pub(crate) async fn run_seen(
        &mut self,
        migration: &Migration,
        vars: &Vars,
    ) -> Result<BTreeSet<String>, String> {
        let mut written = BTreeSet::new();
        let databases = self.databases.clone();
        let (databases, shared) = (databases.as_ref(), self.shared.as_mut());
        let mut running = Running { databases, written: Some(&mut written), shared, takes_back: false };
        let Err(why) = running.run(&mut self.session, migration, vars).await else { return Ok(written) };
        let Ok(text) = source::read_to_string(migration) else { return Err(why) };
        let Some(at) = self.tables.iter().position(|place| text.contains(&place.table)) else {
            return Err(why);
        };
        let place = self.tables.remove(at);
        let texts = place.make();
        self.made.push(place);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for outcome in self.session.pipeline(&texts).await {
            if outcome.result.is_err() {
                return Err(why);
            }
        }
        running.run(&mut self.session, migration, vars).await?;
        Ok(written)
    }

    /// What is there by now, without the tables of other tools.
    pub(crate) async fn schema(&mut self) -> Result<Schema, CatalogError> {
        let mut schema = catalog::schema(&mut self.session, &[]).await?;
        self.made.iter().for_each(|place| place.take_from(&mut schema));
        Ok(schema)
    }

    /// Closes the session and keeps the database. What was made of the whole server stays.
    pub(crate) async fn into_scratch(self) -> Scratch {
        self.session.close().await;
        self.scratch
    }

    /// Closes the session and drops the database, and what was made of the whole server.
    pub(crate) async fn finish(self) {
        self.session.close().await;
        let then = self.shared.map(Shared::dropped).unwrap_or_default();
        self.scratch.finish_with(&then).await;
    }
}

/// The schemas, extensions and roles that migrations make themselves.
pub(crate) fn made_by<'a>(
    migrations: impl IntoIterator<Item = &'a Migration>,
    vars: &Vars,
) -> BTreeSet<(ObjectKind, String)> {
    let creates = migrations.into_iter().flat_map(|migration| Script::analyse(migration, vars).creates);
    creates
        .filter(|object| matches!(object.kind, ObjectKind::Schema | ObjectKind::Extension | ObjectKind::Role))
        .map(|object| (object.kind, object.name.to_string()))
        .collect()
}

/// Runs a migration unit by unit, without any record of it.
#[cfg(test)]
pub(crate) async fn run(session: &mut Session, migration: &Migration, vars: &Vars) -> Result<(), String> {
    run_in(session, None, migration, vars).await
}

/// The same in a database that statements call by another name: what they call it, and what it is called.
pub(crate) async fn run_in(
    session: &mut Session,
    databases: Option<&(String, String)>,
    migration: &Migration,
    vars: &Vars,
) -> Result<(), String> {
    let mut running = Running { databases, written: None, shared: None, takes_back: false };
    running.run(session, migration, vars).await
}

/// Runs a migration and takes back what it did in transactions. What it leaves in the session is left there.
pub(crate) async fn run_and_roll_back(
    session: &mut Session,
    databases: Option<&(String, String)>,
    migration: &Migration,
    vars: &Vars,
) -> Result<(), String> {
    let mut running = Running { databases, written: None, shared: None, takes_back: true };
    running.run(session, migration, vars).await
}

/// Statements that are sent in one flush at most.
const AT_ONCE: usize = 100;

/// The statements of a migration that can be sent in one flush, as one transaction, each with its line.
pub(crate) fn at_once(
    script: &Script,
    databases: Option<&(String, String)>,
    migration: &Migration,
    vars: &Vars,
) -> Option<Vec<(String, u32)>> {
    if !script.is_small(AT_ONCE) {
        return None;
    }
    let mut texts = Vec::new();
    for item in script.items(migration, vars) {
        let Ok(ScriptItem::Statement { text, line, .. }) = item else { return None };
        texts.push((elsewhere(databases, text), line));
    }
    reading::may_go_together(texts.iter().map(|(text, _)| text.as_str())).then_some(texts)
}

/// What one flush sends of such a migration: its statements in a transaction, which is rolled back behind its deferred constraints,
/// or committed.
pub(crate) fn in_transaction(statements: &[(String, u32)], takes_back: bool) -> Vec<&str> {
    let ends =
        if takes_back { ["SET CONSTRAINTS ALL IMMEDIATE", "ROLLBACK"] } else { ["COMMIT", "DISCARD ALL"] };
    let texts = statements.iter().map(|(text, _)| text.as_str());
    std::iter::once("BEGIN").chain(texts).chain(ends).collect()
}

/// What came of [`in_transaction`], whose texts these are: the first failure in words.
pub(crate) fn came_through(
    migration: &Migration,
    statements: &[(String, u32)],
    texts: &[&str],
    outcomes: &[StatementOutcome],
) -> Result<(), String> {
    for (at, (text, outcome)) in texts.iter().zip(outcomes).enumerate() {
        let line = at.checked_sub(1).and_then(|at| statements.get(at)).map(|(_, line)| line);
        match (&outcome.result, line) {
            (Err(failure), Some(line)) => {
                return Err(format!("{}:{line}: {}", migration.path, failure_text(failure)));
            }
            (Err(failure), None) => return Err(failure_text(failure)),
            (Ok(done), _) if *text == "COMMIT" && done.tag() != "COMMIT" => {
                return Err(format!("the server answered COMMIT with {}", done.tag()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How migrations are run, unit by unit and without any record of it.
struct Running<'a> {
    /// The database that their statements name, and the one that is meant.
    databases: Option<&'a (String, String)>,
    /// The numbers of the tables whose rows they write, where these are asked for.
    written: Option<&'a mut BTreeSet<String>>,
    /// What they make of the whole server, where that may be there already.
    shared: Option<&'a mut Shared>,
    /// Transactions are rolled back where they would be committed; deferred constraints are looked at before.
    takes_back: bool,
}

impl Running<'_> {
    async fn run(&mut self, session: &mut Session, migration: &Migration, vars: &Vars) -> Result<(), String> {
        let script = Script::analyse(migration, vars);
        if let Some(error) = script.errors.iter().find(|error| error.code.is_none()) {
            return Err(error.to_string());
        }
        if let Some(texts) = self.all_at_once(&script, migration, vars) {
            return self.at_once(session, migration, &texts).await;
        }
        let outcome = self.items(session, &script, migration, vars).await;
        // Whatever the file left behind: an open transaction after an error, settings, a role.
        session.execute("ROLLBACK").await.map_err(|failure| failure_text(&failure))?;
        if !self.takes_back {
            session.execute("DISCARD ALL").await.map_err(|failure| failure_text(&failure))?;
        }
        outcome
    }

    /// The statements of a migration that can be sent in one flush, each with its line: nothing has to be looked at between them.
    fn all_at_once(&self, script: &Script, migration: &Migration, vars: &Vars) -> Option<Vec<(String, u32)>> {
        let is_looked_at = self.written.is_some() || self.shared.is_some();
        if is_looked_at {
            return None;
        }
        at_once(script, self.databases, migration, vars)
    }

    /// Runs them in one transaction, with one flush.
    async fn at_once(
        &mut self,
        session: &mut Session,
        migration: &Migration,
        statements: &[(String, u32)],
    ) -> Result<(), String> {
        let texts = in_transaction(statements, self.takes_back);
        let outcomes = session.pipeline(&texts).await;
        came_through(migration, statements, &texts, &outcomes)
    }

    async fn items(
        &mut self,
        session: &mut Session,
        script: &Script,
        migration: &Migration,
        vars: &Vars,
    ) -> Result<(), String> {
        let mut open: Option<usize> = None;
        let is_server_wide = shared::concerns(script);
        let mut items = script.items(migration, vars);
        let mut reported = Reported::default();
        let mut lines: Vec<u32> = Vec::new();
        while let Some(item) = items.next() {
            let ScriptItem::Statement { text, line, copy, unit, .. } = item? else { continue };
            let at = |failure: Failure| format!("{}:{line}: {}", migration.path, failure_text(&failure));
            if open != Some(unit) {
                self.end(session, open.take()).await?;
                if !lines.is_empty() {
                    // As in a run: each part begins with the session's own settings.
                    session.execute("DISCARD ALL").await.map_err(at)?;
                    reported = Reported::default();
                }
                if script.units.get(unit).is_none_or(|unit| unit.outside.is_none()) {
                    session.execute("BEGIN").await.map_err(at)?;
                    open = Some(unit);
                }
            }
            if let Some(shared) = self.shared.as_deref_mut().filter(|_| is_server_wide)
                && shared.is_done(session, &text).await.map_err(at)?
            {
                continue;
            }
            let misread = if copy { reported.misreads_copy(&text) } else { reported.misreads(&text) };
            if let Some(bent) = misread {
                let line = lines.get(bent.by).copied().unwrap_or(line);
                return Err(format!("{}:{line}: {}", migration.path, bent.because()));
            }
            let outcome = if copy {
                let mut sink = session.copy_in(&text).await.map_err(at)?;
                for item in items.by_ref() {
                    match item? {
                        ScriptItem::CopyData(data) => sink.send(Bytes::from(data)).await.map_err(at)?,
                        _ => break,
                    }
                }
                sink.finish_outcome().await
            } else {
                let elsewhere =
                    self.databases.and_then(|(real, scratch)| with_database(&text, real, scratch));
                let text = elsewhere.as_deref().unwrap_or(&text);
                if self.written.is_some() && open.is_some() && stores_a_routine(text) {
                    checked(session, text).await.map_err(at)?;
                    unchecked(session, text).await.map_err(at)?
                } else {
                    let flight = session.launch(text).await;
                    session.land(flight).await
                }
            };
            outcome.result.map_err(at)?;
            reported.take(lines.len(), &outcome.parameters);
            lines.push(line);
        }
        self.end(session, open).await
    }

    async fn end(&mut self, session: &mut Session, open: Option<usize>) -> Result<(), String> {
        if open.is_none() {
            return Ok(());
        }
        if let Some(written) = self.written.as_deref_mut() {
            match session.query_text(WRITTEN).await {
                Ok(done) => written.extend(done.rows.into_iter().flatten().flatten()),
                // Whatever stands in the way of a look stands in that of the COMMIT.
                Err(failure @ Failure::Lost(_)) => return Err(failure_text(&failure)),
                Err(_) => {}
            }
        }
        if self.takes_back {
            let immediate = session.execute("SET CONSTRAINTS ALL IMMEDIATE").await;
            session.execute("ROLLBACK").await.map_err(|failure| failure_text(&failure))?;
            return immediate.map(|_| ()).map_err(|failure| failure_text(&failure));
        }
        let done = session.execute("COMMIT").await.map_err(|failure| failure_text(&failure))?;
        if done.tag() == "COMMIT" {
            Ok(())
        } else {
            Err(format!("the server answered COMMIT with {}", done.tag()))
        }
    }
}

/// A statement as it is run in a database that it calls by another name.
pub(crate) fn elsewhere(databases: Option<&(String, String)>, text: String) -> String {
    databases.and_then(|(real, here)| with_database(&text, real, here)).unwrap_or(text)
}

/// Whether a statement stores a body that is run some other time.
fn stores_a_routine(text: &str) -> bool {
    routine_body(text).is_some_and(|body| body.name.is_some())
}

/// Makes a routine, to see whether PostgreSQL takes its body, and takes that back with the locks: it locks what the body writes as if it
/// were written.
async fn checked(session: &mut Session, text: &str) -> Result<(), Failure> {
    session.execute("SAVEPOINT cutover_checked").await?;
    let flight = session.launch(text).await;
    session.land(flight).await.result?;
    session.execute("ROLLBACK TO SAVEPOINT cutover_checked; RELEASE SAVEPOINT cutover_checked").await?;
    Ok(())
}

/// Makes a routine whose body is known to be right, without the locks of looking at it.
async fn unchecked(session: &mut Session, text: &str) -> Result<StatementOutcome, Failure> {
    let setting = "SELECT pg_catalog.current_setting('check_function_bodies')";
    let was = session.query_text(setting).await?.scalar().unwrap_or("on").to_owned();
    session.execute("SET LOCAL check_function_bodies = off").await?;
    let flight = session.launch(text).await;
    let outcome = session.land(flight).await;
    session.execute(&format!("SET LOCAL check_function_bodies = {}", quote_literal(&was))).await?;
    Ok(outcome)
}

/// The tables that the open transaction has locked as INSERT, UPDATE, DELETE and MERGE do.
const WRITTEN: &str = "
SELECT DISTINCT c.oid::pg_catalog.text
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
   AND c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

const DATABASE: &str = "SELECT pg_catalog.current_database()::pg_catalog.text";

fn is_system_schema(name: &str) -> bool {
    name.starts_with("pg_") || name == "information_schema"
}

/// The setting of the search path, unless a schema is in it because the role is called so.
async fn path_set(session: &mut Session) -> Result<Option<String>, Failure> {
    let sql = "SELECT CASE WHEN pg_catalog.to_regnamespace(pg_catalog.quote_ident(current_user)) IS NULL
                           THEN pg_catalog.current_setting('search_path') END";
    Ok(session.query_text(sql).await?.scalar().map(str::to_owned))
}

/// Names of the roles of the real server: files may grant to them.
async fn role_names(session: &mut Session) -> Result<Vec<String>, Failure> {
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1";
    Ok(session.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}
