//! What is wrong with a project, each thing with its place, all of a file at once.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::secrets::without_passwords;
use crate::text::{caret, complaints, visible};

/// A place in a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

/// One thing that is wrong, shown with its place, the source line and a caret where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as a person would name it: relative to the project where possible.
    pub path: String,
    /// Where in the file; none for a problem of the file as a whole.
    pub place: Option<Place>,
    /// The line at `place`; empty where there is none to show.
    pub source_line: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// It is that another file has its version, which a rule of `lint` finds too.
    pub twin: bool,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            place: None,
            source_line: String::new(),
            message: message.into(),
            hint: None,
            twin: false,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.path))?;
        if let Some(Place { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(place) = self.place
            && !self.source_line.is_empty()
        {
            write!(f, "\n{}", caret(place.line, place.column, &without_passwords(&self.source_line)))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong, in the order of files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds what another reader found.
    pub fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// `Ok` if nothing is wrong, otherwise all of it, sorted by place within each file.
    ///
    /// # Errors
    /// The problems themselves.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self.sorted()) }
    }

    /// Sorted by file and place, each once.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| (&a.path, a.place).cmp(&(&b.path, b.place)));
        self.0.dedup();
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&complaints(&self.0, "\n\n"))
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// Why a project cannot be loaded, or a file of it not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The configuration or the migration files are wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A file or folder cannot be read.
    #[error("cannot read {}: {error}", visible(&path.display().to_string()))]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {error}", visible(&path.display().to_string()))]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Neither a configuration nor a folder of migrations.
    #[error(
        "no project in {}: neither cutover.toml, here or in a folder above, nor migration files here or in {}\n  \
         hint: `cutover init` makes one",
        visible(&start.display().to_string()),
        super::FOLDERS.join(", ")
    )]
    NotFound {
        /// Where the search began.
        start: PathBuf,
    },
    /// A file that would be made is there already; nothing was changed.
    #[error("{} exists already and is left as it is", visible(&path.display().to_string()))]
    Exists {
        /// Which one.
        path: PathBuf,
    },
    /// A migration has come into the folder since the project was read; nothing was written.
    #[error(
        "{} has come meanwhile: what was made does not know it, and is not written; run it again",
        visible(path)
    )]
    Meanwhile {
        /// Which one, relative to the project.
        path: String,
    },
    /// The next file cannot be named.
    #[error("{0}")]
    Name(String),
}

impl From<Problem> for ProjectError {
    fn from(problem: Problem) -> Self {
        Self::Problems(problem.into())
    }
}
