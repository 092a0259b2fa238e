//! The files from their templates. Whatever a template puts out is escaped for its file unless it says `safe`: running text
//! for Markdown, a literal for SQL. Templates are in `templates/`, and a folder of the user's goes before them.

use std::path::{Path, PathBuf};

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use thiserror::Error as ThisError;

use super::{Document, Documents};
use crate::report::format::count;
use crate::report::{escape, markdown};

/// Characters of a query or a value that a cell of a table shows.
const CELL: usize = 160;

/// A template: the file it makes, its name and its text.
struct Template {
    file: &'static str,
    name: &'static str,
    text: &'static str,
}

macro_rules! template {
    ($file:literal) => {
        Template {
            file: $file,
            name: concat!($file, ".jinja"),
            text: include_str!(concat!("templates/", $file, ".jinja")),
        }
    };
}

const TEMPLATES: [Template; 7] = [
    template!("README.md"),
    template!("MIGRATION_SEQUENCE.md"),
    template!("IMPLEMENTATION_SUMMARY.md"),
    template!("ERD.md"),
    template!("SPRINTS.md"),
    template!("API.md"),
    template!("verify.sql"),
];

/// Why a file cannot be made.
#[derive(Debug, ThisError)]
pub enum TemplateError {
    /// A template cannot be read.
    #[error("cannot read the template {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The folder of templates has none of them.
    #[error("{folder} has none of the templates\n  hint: they are called {known}")]
    Nothing {
        /// The folder.
        folder: PathBuf,
        /// Their names.
        known: String,
    },
    /// A file of the folder is called like a template and is none.
    #[error("{file} is called like a template and is none\n  hint: they are called {known}")]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The names of the templates.
        known: String,
    },
    /// A template is written wrong, or asks for what there is not.
    #[error("{}", in_template(.file, .error))]
    Wrong {
        /// The template.
        file: String,
        /// Why.
        error: Error,
    },
}

/// What is wrong with a template, with its place.
fn in_template(file: &str, error: &Error) -> String {
    let line = error.line().map_or_else(String::new, |line| format!(":{line}"));
    let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
    let mut text = format!("{file}{line}: {}{detail}", error.kind());
    if error.kind() == ErrorKind::UndefinedError {
        text.push_str("\n  hint: docs/documents.md names all that there is");
    }
    text
}

/// The names of the templates.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|template| template.name)
}

/// Makes the files; a template in `folder` goes before ours of the same name.
pub(super) fn render(documents: &Documents, folder: Option<&Path>) -> Result<Vec<Document>, TemplateError> {
    let own = folder.map(own).transpose()?.unwrap_or_default();
    let context = Value::from(Serde(&documents.context));
    let mut made = Vec::with_capacity(TEMPLATES.len());
    for template in &TEMPLATES {
        let is_due = match template.file {
            "SPRINTS.md" => documents.has_sprints(),
            "API.md" => documents.has_api(),
            _ => true,
        };
        if !is_due {
            continue;
        }
        let given = own.iter().find(|(name, _)| *name == template.name);
        let (file, text) = match given {
            Some((name, text)) => {
                (folder.unwrap_or(Path::new("")).join(name).display().to_string(), text.as_str())
            }
            None => (template.name.to_owned(), template.text),
        };
        let environment = environment(template.file);
        let rendered = environment.render_named_str(template.name, text, context.clone());
        let text = rendered.map_err(|error| TemplateError::Wrong { file, error })?;
        made.push(Document::new(template.file, text.trim_end()));
    }
    Ok(made)
}

/// What templates are called, in words.
fn known() -> String {
    names().collect::<Vec<_>>().join(", ")
}

/// Refuses what somebody may take for a template: it would do nothing.
fn none_unknown(folder: &Path) -> Result<(), TemplateError> {
    // A folder that cannot be read has none of them, which is told.
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let is_unknown = |file: &PathBuf| {
        let is_template = file.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| {
            ["jinja", "jinja2", "j2"].iter().any(|known| ending.eq_ignore_ascii_case(known))
        });
        is_template && !names().any(|name| file.file_name().is_some_and(|file| file == name))
    };
    match files.into_iter().find(is_unknown) {
        Some(file) => Err(TemplateError::Unknown { file, known: known() }),
        None => Ok(()),
    }
}

/// The user's templates that a folder has.
fn own(folder: &Path) -> Result<Vec<(&'static str, String)>, TemplateError> {
    none_unknown(folder)?;
    let mut found = Vec::new();
    for name in names() {
        let path = folder.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => found.push((name, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(TemplateError::File(path, error)),
        }
    }
    if found.is_empty() {
        return Err(TemplateError::Nothing { folder: folder.to_owned(), known: known() });
    }
    Ok(found)
}

fn environment(file: &str) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A template of the user's that goes on for ever would be theirs alone, and a mistake.
    environment.set_recursion_limit(64);
    let syntax = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    let language =
        if Path::new(file).extension().is_some_and(|ending| ending == "sql") { "sql" } else { "markdown" };
    environment.set_auto_escape_callback(move |_| AutoEscape::Custom(language.into()));
    environment.set_formatter(put_out);
    environment.add_filter("code", |text: &Value| safe(markdown::code(&text_of(text))));
    environment.add_filter("codes", |texts: Vec<Value>| safe(markdown::codes(&each(&texts))));
    environment.add_filter("prose", |text: &Value| safe(markdown::prose(&text_of(text))));
    environment.add_filter("list_of", |texts: Vec<Value>| {
        safe(each(&texts).iter().map(|text| markdown::prose(text)).collect::<Vec<_>>().join("; "))
    });
    environment
        .add_filter("excerpt", |text: &Value| safe(markdown::code(&escape::excerpt(&text_of(text), CELL))));
    environment.add_filter("fence", |text: &Value, language: String| {
        safe(markdown::fenced(&language, &escape::lines(&text_of(text))))
    });
    environment.add_filter("comment", |text: &Value| safe(escape::line(&text_of(text)).into_owned()));
    environment.add_filter("counted", |number: usize, one: String, many: String| count(number, &one, &many));
    environment.add_filter("literal", |text: &Value| safe(literal(&text_of(text))));
    environment
}

/// Puts a value out, escaped for the file it goes to.
fn put_out(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let is_sql = matches!(state.auto_escape(), AutoEscape::Custom(language) if language == "sql");
    let text = match value.as_str() {
        Some(text) if value.is_safe() => text.to_owned(),
        Some(text) if is_sql => literal(text),
        Some(text) => markdown::prose(text),
        None if value.is_none() || value.is_undefined() => String::new(),
        None if value.kind() == minijinja::value::ValueKind::Number => value.to_string(),
        None if value.kind() == minijinja::value::ValueKind::Bool => value.to_string(),
        // A list or a map is shown as data, and may hold any text.
        None if is_sql => literal(&value.to_string()),
        None => markdown::code(&value.to_string()),
    };
    std::fmt::Write::write_str(out, &text)
        .map_err(|_| Error::new(ErrorKind::WriteFailure, "the text cannot be kept"))
}

/// A literal in one line, for psql: variables are not filled into it.
fn literal(text: &str) -> String {
    cutover_analysis::sql::quote_literal(text)
}

fn safe(text: String) -> Value {
    Value::from_safe_string(text)
}

fn text_of(value: &Value) -> String {
    if value.is_none() || value.is_undefined() {
        return String::new();
    }
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn each(values: &[Value]) -> Vec<String> {
    values.iter().map(text_of).collect()
}
