//! What was found.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fix::Mended;
use crate::effects::Name;
use crate::sql::Span;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To be thought about.
    Warning,
    /// It stops a run, unless its code is allowed.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Who sees something: see "static, catalogue and trace together" in the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// The parser, in the text.
    Static,
    /// The catalogue of the database.
    Catalogue,
    /// A rehearsal.
    Trace,
    /// Names of files, or what stands in them for the tool.
    Files,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Catalogue => "catalogue",
            Self::Trace => "trace",
            Self::Files => "files",
        })
    }
}

/// One thing found in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The part of the file's text that it is about.
    pub span: Span,
    /// Number of the statement in the file, from 0.
    pub statement: usize,
    /// The byte of the statement at which that part begins.
    pub offset: usize,
    /// What is wrong, with names.
    pub message: String,
    /// What to do instead.
    pub help: String,
    /// Who saw it.
    pub seen_by: Seen,
    /// Another object than the statement names, which it is about.
    pub about: Option<Name>,
    /// How it is mended, or why that is left to people; nothing where it takes thought.
    pub fix: Option<Mended>,
}
