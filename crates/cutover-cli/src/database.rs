//! Which database a command speaks to: the one that is configured, or a throwaway server that ends with the command.

use std::path::Path;

use cutover::project::{DefaultSchema, Project};
use cutover::verify::SandboxProvider;
use cutover_postgres::connect::{ConnectOptions, Inputs, Origin, Resolved, parse_dotenv};
use cutover_postgres::sandbox::{Sandbox, SandboxOptions};
use cutover_postgres::session::{Session, Startup};

use crate::app::App;
use crate::error::CliError;

/// Database made on a throwaway server.
const SANDBOX_DATABASE: &str = "sandbox";
/// Parameters that say which database is meant; a role or a timeout alone does not.
const NAMING: [&str; 5] = ["host", "hostaddr", "port", "dbname", "service"];

/// A database to work on.
pub(crate) struct Target {
    pub(crate) options: ConnectOptions,
    /// Kept for its end: dropping it stops the server.
    sandbox: Option<Sandbox>,
}

impl Target {
    /// Whether it is a throwaway server, which holds nothing but what this command puts there.
    pub(crate) fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }
}

impl App {
    /// The database of this command.
    pub(crate) async fn target(&self, project: &Project) -> Result<Target, CliError> {
        if self.global.sandbox {
            let mut target = self.sandbox_target().await?;
            if let Some(schema) = &project.default_schema {
                // Which its tool would make before anything else.
                let mut session = Session::connect(&target.options, &Startup::default()).await?;
                session.query_text(&schema.create_sql()).await?;
                session.close().await;
                look_in(&mut target.options, schema);
            }
            return Ok(target);
        }
        match self.configured(project)? {
            Some(options) => Ok(Target { options, sandbox: None }),
            None => Err(CliError::usage("no database is configured").hint(
                "give --url, set CUTOVER_URL or DATABASE_URL (also in .env), [database] url in cutover.toml, \
                 or PGHOST and PGDATABASE; --sandbox uses a throwaway server",
            )),
        }
    }

    /// The database that is configured, if one is.
    pub(crate) fn configured(&self, project: &Project) -> Result<Option<ConnectOptions>, CliError> {
        let resolved = self.resolve(project)?;
        if !is_configured(&resolved) {
            return Ok(None);
        }
        for warning in &resolved.warnings {
            self.output.warn(warning);
        }
        for remark in resolved.not_heard.iter().filter(|_| self.output.is_verbose()) {
            self.output.remark(remark);
        }
        let mut options = resolved.options;
        if let Some(schema) = &project.default_schema {
            look_in(&mut options, schema);
        }
        Ok(Some(options))
    }

    /// Everything that says where to connect to, with origins.
    pub(crate) fn resolve(&self, project: &Project) -> Result<Resolved, CliError> {
        let dotenv = match Some(&project.root).filter(|root| !root.as_os_str().is_empty()) {
            Some(folder) => read_dotenv(&folder.join(".env"))?,
            None => std::collections::BTreeMap::new(),
        };
        let config = project.database.url.as_deref();
        self.resolve_inputs(
            "--url",
            Inputs { url: self.global.url.as_deref(), dotenv, config, env: &self.environment },
        )
    }

    /// Where checks build what they compare with: the server of `--dev-url`, else a throwaway one.
    pub(crate) fn scratch(&self) -> Result<SandboxProvider, CliError> {
        let Some(url) = &self.global.dev_url else {
            return Ok(SandboxProvider::local(self.sandbox_options()));
        };
        Ok(SandboxProvider::dev_url(self.database_of("--dev-url", url)?))
    }

    /// The database that a URL on the command line names; `flag` is what it is given by.
    pub(crate) fn database_of(&self, flag: &str, url: &str) -> Result<ConnectOptions, CliError> {
        let inputs = Inputs {
            url: Some(url),
            dotenv: std::collections::BTreeMap::new(),
            config: None,
            env: &self.environment,
        };
        Ok(self.resolve_inputs(flag, inputs)?.options)
    }

    fn resolve_inputs(&self, flag: &str, inputs: Inputs<'_>) -> Result<Resolved, CliError> {
        let resolved = ConnectOptions::resolve(inputs)?;
        if resolved.password_in_argument && !self.global.allow_url_password {
            return Err(CliError::usage(format!("{flag} holds a password, which other users of this machine can read"))
                .hint("put it into CUTOVER_URL, .env, PGPASSWORD or the password file, or accept it with --allow-url-password"));
        }
        Ok(resolved)
    }

    /// Refuses `--sandbox` for a verb that would find nothing on an empty server.
    pub(crate) fn not_in_a_sandbox(&self, verb: &str, instead: &str) -> Result<(), CliError> {
        if self.global.sandbox {
            return Err(CliError::usage(format!(
                "{verb} finds nothing on a throwaway server, which begins empty"
            ))
            .hint(instead));
        }
        Ok(())
    }

    /// A throwaway server with an empty database.
    pub(crate) async fn sandbox_target(&self) -> Result<Target, CliError> {
        let sandbox = Sandbox::start_in_background(self.sandbox_options()).await?;
        sandbox.create_database(SANDBOX_DATABASE, None).await?;
        Ok(Target { options: sandbox.options(SANDBOX_DATABASE), sandbox: Some(sandbox) })
    }

    /// How throwaway servers are made.
    pub(crate) fn sandbox_options(&self) -> SandboxOptions {
        SandboxOptions { bin_dir: self.global.pg_bin.clone(), ..SandboxOptions::new(&self.environment) }
    }
}

/// Lets the search path begin with the schema in which the tool of the files makes what is named without one, unless the
/// connection says itself where to look.
fn look_in(options: &mut ConnectOptions, schema: &DefaultSchema) {
    let given = options.options.take().unwrap_or_default();
    if given.contains("search_path") {
        options.options = Some(given);
        return;
    }
    // The server divides at blanks and takes what is behind a backslash as it is.
    let mut path = String::new();
    for c in schema.search_path().chars() {
        if c.is_whitespace() || c == '\\' {
            path.push('\\');
        }
        path.push(c);
    }
    options.options = Some(format!("{given} -csearch_path={path}").trim_start().to_owned());
}

/// Whether anybody said which database is meant. libpq would fall back to a server on this machine; a tool that changes
/// databases does not guess.
pub(crate) fn is_configured(resolved: &Resolved) -> bool {
    resolved.origins.iter().any(|setting| NAMING.contains(&setting.name) && setting.origin != Origin::Default)
}

fn read_dotenv(path: &Path) -> Result<std::collections::BTreeMap<String, String>, CliError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(std::collections::BTreeMap::new());
        }
        Err(error) => return Err(CliError::file(path, &error)),
    };
    parse_dotenv(&text).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))
}
