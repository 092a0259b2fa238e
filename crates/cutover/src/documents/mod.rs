//! The documents that teams otherwise write by hand: guide, sequence, summary, diagram, a script that verifies on its own, and
//! the plan by sprints. Every figure in them was measured or is recorded; the same database gives the same bytes.
//!
//! [`gather`] measures, each file beside it makes a part of the context of what was found, and templates say where it
//! stands. Times come from recorded runs and nothing else.

mod api;
mod beside;
mod checks;
mod compatibility;
mod context;
mod does;
mod gather;
mod migrations;
mod rollback;
mod script;
mod sequence;
mod sprints;
mod tables;
mod templates;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod untrue;
mod write;

use std::path::Path;

use cutover_postgres::connect::ConnectOptions;
use serde_json::Value;
use thiserror::Error;

use crate::asking::AskError;
use crate::erd::Erd;
use crate::report::erd;
use crate::verify::{SandboxProvider, VerifyError};

pub use gather::gather;
#[cfg(test)]
use gather::named_from;
pub use templates::{TemplateError, names as template_names};
pub use write::{Document, is_ours, write};

/// What is measured, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The database.
    pub options: &'a ConnectOptions,
    /// Where the applied migrations are built again, to be compared with what is there, and their ways back rehearsed.
    pub sandbox: &'a SandboxProvider,
    /// Where the documents will be: commands in them name it.
    pub folder: Option<&'a Path>,
    /// How long a server that is starting is waited for.
    pub wait: Option<std::time::Duration>,
}

/// Why nothing can be written down.
#[derive(Debug, Error)]
pub enum DocumentsError {
    /// The database did not do what was asked of it.
    #[error("{}", .0.told("nothing was written"))]
    Asked(AskError),
    /// Checks are written wrong, or cannot be measured at all.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// What was found cannot be put into a context.
    #[error("the context of the templates: {0}")]
    Context(#[from] serde_json::Error),
}

impl<E> From<E> for DocumentsError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Asked(error.into())
    }
}

/// All that was found: the context that templates are given.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents {
    context: Value,
    diagram: Option<Erd>,
    unresolved: Vec<String>,
}

impl Documents {
    /// The context that templates are given: see `docs/documents.md`.
    pub fn context(&self) -> &Value {
        &self.context
    }

    /// Makes the files; a template in `templates` goes before ours of the same name.
    ///
    /// # Errors
    /// A template cannot be read, or is wrong.
    pub fn render(&self, templates: Option<&Path>) -> Result<Vec<Document>, TemplateError> {
        let mut made = templates::render(self, templates)?;
        if let Some(diagram) = &self.diagram {
            made.push(Document::new("erd.svg", erd::file(diagram).trim_end()));
        }
        Ok(made)
    }

    /// Declared calls (`[[api.replaces]]`) that the database does not have, a line each.
    pub fn unresolved(&self) -> &[String] {
        &self.unresolved
    }

    fn has_sprints(&self) -> bool {
        has_some(self.context.get("sprints"))
    }

    fn has_api(&self) -> bool {
        let of = |list: &str| has_some(self.context.get("api").and_then(|api| api.get(list)));
        of("functions") || of("replaces")
    }
}

fn has_some(list: Option<&Value>) -> bool {
    list.and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}
