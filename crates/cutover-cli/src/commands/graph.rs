//! `cutover graph`.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cutover::put;
use cutover::report::graph::ProjectGraph;

use super::written;
use crate::app::{App, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};

/// Show which migrations need which, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the files alone, all of them, whatever is applied. Ends with 1 where migrations need one another in a circle, or
something that comes later.

A wave needs only what earlier waves have: it says what could run at the same time by needs alone. What `runs alone` or
`waits for` another one has a line that says why, and `apply --jobs` keeps its order. Without a database it is not known
which views, functions and large tables there are: some more may run alone.

Examples:
  cutover graph
  cutover graph --out graph.svg            a picture
  cutover graph --as mermaid > graph.mmd
  cutover graph --format json")]
pub(crate) struct Arguments {
    /// How it is written: as text, unless the file of --out says otherwise
    #[arg(long = "as", value_enum)]
    form: Option<Form>,
    /// Write it to this file; one that ends in .svg gets the picture, in .txt the text, in .mmd the Mermaid flowchart
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Let --out write over a file that is no earlier picture or flowchart; never over a file of the project
    #[arg(long, requires = "out")]
    force: bool,
    #[command(flatten)]
    vars: VarArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One line an edge, and the waves
    Text,
    /// A Mermaid flowchart, stages as subgraphs
    Mermaid,
    /// A picture, stages as bands; as their stages, or in ranges, where there are more than 200
    Svg,
}

impl Form {
    /// What a file's name asks for.
    fn of_file(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "svg" => Some(Self::Svg),
            "mmd" | "mermaid" => Some(Self::Mermaid),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    // The process ends with this command: to free a large graph piece by piece would only take time.
    let project = ManuallyDrop::new(app.project(&overrides(&arguments.vars))?);
    if let Some(file) = &arguments.out {
        if app.output.is_json() {
            return Err(CliError::usage("--format json writes to standard output: without --out"));
        }
        written::may_write(&project, file, arguments.force)?;
        if arguments.form.is_none() && Form::of_file(file).is_none() {
            let message = format!(
                "how {} is to be written is not known: its name ends in none of .svg, .mmd and .txt",
                file.display()
            );
            return Err(
                CliError::usage(message).hint("name it so, or say --as text, --as mermaid or --as svg")
            );
        }
    }
    let graph = ManuallyDrop::new(ProjectGraph::of(&project));
    if app.output.is_json() {
        app.output.json(&graph.document())?;
    } else {
        write(app, arguments, &graph)?;
    }
    Ok(if graph.is_in_order() { Exit::Done } else { Exit::No })
}

/// To standard output, or to the file that was named.
fn write(app: &App, arguments: &Arguments, graph: &ProjectGraph<'_>) -> Result<(), CliError> {
    let form = arguments.form.or_else(|| Form::of_file(arguments.out.as_deref()?)).unwrap_or(Form::Text);
    let text = match form {
        Form::Text => graph.text(),
        Form::Mermaid => graph.mermaid(),
        Form::Svg => graph.svg()?,
    };
    let Some(file) = &arguments.out else {
        app.output.print(&text);
        return Ok(());
    };
    put::over(file, &text)
        .map_err(|error| CliError::usage(format!("cannot write {}: {error}", file.display())))?;
    app.output.say(&format!("written to {}", file.display()));
    Ok(())
}
