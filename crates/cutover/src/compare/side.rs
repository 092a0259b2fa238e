//! Where a schema comes from, and how it becomes one.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use cutover_analysis::schema::{FORMAT_VERSION, Schema};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use thiserror::Error;

use crate::adopt::{self, TablePlace};
use crate::catalog::{self, CatalogError};
use crate::migration::Migration;
use crate::project::vars::{self, Vars};
use crate::project::{Project, ProjectError};
use crate::verify::SandboxProvider;
use crate::verify::replay::{Likeness, Replay};

/// Where a schema comes from.
#[derive(Debug)]
pub enum Side {
    /// All migrations of a project, in their order.
    Project(Box<Project>),
    /// A file of DDL, such as `pg_dump --schema-only` writes, with the values of its placeholders; without any, `${x}` is
    /// text like any other.
    Ddl(PathBuf, Vars),
    /// A saved schema.
    Snapshot(PathBuf),
    /// A database.
    Database(Box<ConnectOptions>),
    /// One that is there already, with what it is called.
    Read(Box<Schema>, String),
}

/// A schema that was read, with what is to be known of how.
#[derive(Debug, Clone)]
pub struct Built {
    /// The schema.
    pub schema: Schema,
    /// Remarks for people.
    pub remarks: Vec<String>,
}

/// Why a schema cannot be had.
#[derive(Debug, Error)]
pub enum SideError {
    /// The database cannot be read.
    #[error("{0}: {1}")]
    Database(String, CatalogError),
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, io::Error),
    /// A file holds no schema.
    #[error("{0} is no saved schema of cutover: {1}")]
    NotASnapshot(PathBuf, String),
    /// A later version wrote it.
    #[error(
        "{path} was saved by a later version of cutover (format {found}, this one reads {FORMAT_VERSION})"
    )]
    LaterSnapshot {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// What is to be built cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// It cannot be built.
    #[error("{0} cannot be built on a throwaway server: {1}")]
    NotBuilt(String, String),
}

impl fmt::Display for Side {
    /// As people know it; never a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(project) => write!(f, "the migrations of {}", project.name),
            Self::Ddl(path, _) | Self::Snapshot(path) => write!(f, "{}", path.display()),
            Self::Database(options) => write!(f, "database {}", options.database),
            Self::Read(_, name) => f.write_str(name),
        }
    }
}

impl Side {
    fn is_built(&self) -> bool {
        matches!(self, Self::Project(_) | Self::Ddl(..))
    }

    /// The schema. `like` is the database that whatever is built is made to resemble: its version, roles and search path.
    ///
    /// # Errors
    /// See [`SideError`].
    pub async fn read(
        self,
        schemas: &[String],
        like: Option<&ConnectOptions>,
        sandbox: &SandboxProvider,
    ) -> Result<Built, SideError> {
        let name = self.to_string();
        match self {
            Self::Read(schema, _) => Ok(Built { schema: *schema, remarks: Vec::new() }),
            Self::Snapshot(path) => Ok(Built { schema: snapshot(&path)?, remarks: Vec::new() }),
            Self::Database(options) => {
                let schema = of_database(&options, schemas).await;
                let schema = schema.map_err(|error| SideError::Database(name, error))?;
                Ok(Built { schema, remarks: Vec::new() })
            }
            Self::Project(project) => {
                let migrations: Vec<&Migration> = project.migrations.iter().collect();
                build(&name, &project, &migrations, schemas, like, sandbox).await
            }
            Self::Ddl(path, vars) => {
                let bytes = of_file(&path).map_err(|error| SideError::File(path.clone(), error))?;
                let mut project = Project::embedded("ddl", &[("0001_ddl.sql", &bytes)])?;
                project.vars = if vars == Vars::new() {
                    as_they_stand(&bytes).map_err(|error| SideError::File(path.clone(), error))?
                } else {
                    vars
                };
                for migration in &mut project.migrations {
                    migration.path = path.display().to_string();
                }
                of_ddl(&name, &project, schemas, like, sandbox).await
            }
        }
    }
}

/// Reads both sides, at one time where nothing is to be built for them. What the tool keeps that a database was adopted from
/// is on neither side.
///
/// # Errors
/// See [`SideError`].
pub async fn read_both(
    from: Side,
    to: Side,
    schemas: &[String],
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<[Built; 2], SideError> {
    let mut others = Vec::new();
    for side in [&from, &to] {
        if let Side::Database(options) = side {
            let found = of_other_tools(options).await;
            others.extend(found.map_err(|error| SideError::Database(side.to_string(), error))?);
        }
    }
    let mut both = both_as_they_are(from, to, schemas, like, sandbox).await?;
    for place in &others {
        for built in &mut both {
            place.take_from(&mut built.schema);
        }
    }
    Ok(both)
}

/// The tables of other tools that a database was adopted from.
async fn of_other_tools(options: &ConnectOptions) -> Result<Vec<TablePlace>, CatalogError> {
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let places = adopt::tables_of(&mut session).await;
    session.close().await;
    Ok(places?)
}

async fn both_as_they_are(
    from: Side,
    to: Side,
    schemas: &[String],
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<[Built; 2], SideError> {
    if from.is_built() || to.is_built() {
        // Two at work on one throwaway server could make the same role.
        let from = Box::pin(from.read(schemas, like, sandbox)).await?;
        return Ok([from, Box::pin(to.read(schemas, like, sandbox)).await?]);
    }
    let both =
        tokio::join!(Box::pin(from.read(schemas, like, sandbox)), Box::pin(to.read(schemas, like, sandbox)));
    Ok([both.0?, both.1?])
}

/// Every placeholder stands for itself.
pub(crate) fn as_they_stand(text: &[u8]) -> io::Result<Vars> {
    let mut vars = Vars::new();
    for name in vars::names_in(text)? {
        let itself = format!("${{{name}}}");
        vars.insert(name, itself).map_err(io::Error::other)?;
    }
    Ok(vars)
}

/// Builds what a file of DDL makes. Roles that it mentions and nobody has are made on the throwaway server, which such a file
/// does not do itself.
async fn of_ddl(
    name: &str,
    project: &Project,
    schemas: &[String],
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<Built, SideError> {
    let migrations: Vec<&Migration> = project.migrations.iter().collect();
    let mut likeness = likeness(name, like).await?;
    let mut made: Vec<String> = Vec::new();
    loop {
        let built =
            build_where(name, project, &migrations, schemas, (&likeness, like.is_some()), sandbox).await;
        let unknown = match &built {
            Err((SideError::NotBuilt(_, why), true)) => unknown_role(why),
            _ => None,
        };
        match unknown {
            Some(role) if !likeness.has_role(role) => {
                likeness = likeness.with_role(role);
                made.push(role.to_owned());
            }
            _ => {
                let mut built = built.map_err(|(error, _)| error)?;
                built.remarks.extend(made.iter().map(|role| {
                    format!("{name} mentions the role {role}, which it does not make: it was made on the throwaway server alone")
                }));
                return Ok(built);
            }
        }
    }
}

/// The role that PostgreSQL says it does not know.
fn unknown_role(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("role \"")?;
    rest.split_once("\" does not exist").map(|(role, _)| role)
}

/// A session whose names are all qualified when they are read.
pub(super) async fn of_database(
    options: &ConnectOptions,
    schemas: &[String],
) -> Result<Schema, CatalogError> {
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let schema = catalog::schema(&mut session, schemas).await;
    session.close().await;
    schema
}

/// The bytes of a file. A pipe that nobody writes to would be waited for without end.
fn of_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a pipe, a device or a folder: write what it says to a file first",
        ));
    }
    fs::read(path)
}

/// What every form of a saved schema begins with.
#[derive(serde::Deserialize)]
struct Version {
    format_version: u32,
}

fn snapshot(path: &Path) -> Result<Schema, SideError> {
    let text = of_file(path).and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    let text = text.map_err(|error| SideError::File(path.to_owned(), error))?;
    // The version first: a later form need not be readable at all.
    let wrong = |error: serde_json::Error| SideError::NotASnapshot(path.to_owned(), error.to_string());
    let version: Version = serde_json::from_str(&text).map_err(wrong)?;
    if version.format_version > FORMAT_VERSION {
        return Err(SideError::LaterSnapshot { path: path.to_owned(), found: version.format_version });
    }
    serde_json::from_str(&text).map_err(wrong)
}

/// Runs migrations in an empty database of a throwaway server and reads what they made.
pub(crate) async fn build(
    name: &str,
    project: &Project,
    migrations: &[&Migration],
    schemas: &[String],
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<Built, SideError> {
    let likeness = likeness(name, like).await?.with_roles_made();
    let built = build_where(name, project, migrations, schemas, (&likeness, like.is_some()), sandbox).await;
    built.map_err(|(error, _)| error)
}

/// As [`build`], in surroundings of which it is known whether they are those of a database.
pub(crate) async fn build_like(
    name: &str,
    project: &Project,
    migrations: &[&Migration],
    schemas: &[String],
    surroundings: (&Likeness, bool),
    sandbox: &SandboxProvider,
) -> Result<Built, SideError> {
    let built = build_where(name, project, migrations, schemas, surroundings, sandbox).await;
    built.map_err(|(error, _)| error)
}

/// As [`build_like`]; with an error, whether it was on a server of cutover's own.
async fn build_where(
    name: &str,
    project: &Project,
    migrations: &[&Migration],
    schemas: &[String],
    (likeness, of_database): (&Likeness, bool),
    sandbox: &SandboxProvider,
) -> Result<Built, (SideError, bool)> {
    let not_built = |why: String| SideError::NotBuilt(name.to_owned(), why);
    let opened = Replay::open_like(likeness, sandbox).await;
    let mut replay = opened.map_err(|trouble| (not_built(trouble.0), false))?;
    let own_server = replay.is_on_own_server();
    let other_major = replay.other_major.filter(|_| of_database);
    let built = async {
        for migration in migrations {
            replay.run(migration, &project.vars).await?;
        }
        catalog::schema(&mut replay.session, schemas).await.map_err(|error| error.to_string())
    }
    .await;
    replay.finish().await;
    let schema = built.map_err(|why| (not_built(why), own_server))?;
    let remarks = other_major.map(|major| {
        format!(
            "{name} was built by PostgreSQL {major}, which may spell a definition otherwise than the database's server; \
             --pg-bin names the folder of its own programs"
        )
    });
    Ok(Built { schema, remarks: remarks.into_iter().collect() })
}

pub(crate) async fn likeness(name: &str, like: Option<&ConnectOptions>) -> Result<Likeness, SideError> {
    let Some(options) = like else { return Ok(Likeness::of_nothing()) };
    let of_database = |error: CatalogError| SideError::Database(name.to_owned(), error);
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await.map_err(|error| of_database(error.into()))?;
    let likeness = Likeness::of(&mut session).await;
    session.close().await;
    likeness.map_err(|failure| of_database(failure.into()))
}
