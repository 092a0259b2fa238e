//! Where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value came from; `Display` is meant for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The `--url` argument.
    Argument,
    /// A URL in a variable of the process environment.
    Environment(String),
    /// A URL in a variable of the `.env` file.
    Dotenv(String),
    /// The project's configuration file.
    Config,
    /// A `PG*` variable of the process environment.
    Variable(String),
    /// A `PG*` variable of the `.env` file.
    DotenvVariable(String),
    /// A section of a service file.
    Service {
        /// The file, `~` for the home folder.
        file: String,
        /// The section.
        name: String,
    },
    /// A line of the password file.
    Passfile {
        /// The file, `~` for the home folder.
        file: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// Nobody said; libpq's rule.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("--url"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Dotenv(name) | Self::DotenvVariable(name) => write!(f, ".env {name}"),
            Self::Config => f.write_str("cutover.toml"),
            Self::Variable(name) => f.write_str(name),
            Self::Service { file, name } => write!(f, "service {file} [{name}]"),
            Self::Passfile { file, line } => write!(f, "pgpass {file}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One value of the options, as shown by `config show`. A password is `***`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// libpq's name of the parameter.
    pub name: &'static str,
    /// Its value as text.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A path with the home folder written `~`.
pub(super) fn shown(path: &Path, home: Option<&Path>) -> String {
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => PathBuf::from("~").join(rest).display().to_string(),
        None => path.display().to_string(),
    }
}

/// Values of parameters with their origins; the first who says something is believed.
#[derive(Default)]
pub(super) struct Values {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Values {
    /// Takes a value unless there is one.
    pub(super) fn offer(&mut self, name: &'static str, value: String, origin: Origin) {
        self.values.entry(name).or_insert((value, origin));
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A value that is not empty; an empty one asks for the default.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Everything that was said, for errors and reports.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str, &Origin)> {
        self.values.iter().map(|(name, (value, origin))| (*name, value.as_str(), origin))
    }
}
