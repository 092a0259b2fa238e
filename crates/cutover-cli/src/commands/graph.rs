//! `cutover graph`.

use std::mem::ManuallyDrop;

use clap::{Args, ValueEnum};
use cutover::report::graph::ProjectGraph;

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
  cutover graph --as mermaid > graph.mmd
  cutover graph --format json")]
pub(crate) struct Arguments {
    /// How it is written
    #[arg(long = "as", value_enum, default_value_t = Form::Text)]
    form: Form,
    #[command(flatten)]
    vars: VarArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One line an edge, and the waves
    Text,
    /// A Mermaid flowchart, stages as subgraphs
    Mermaid,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    // The process ends with this command: to free a large graph piece by piece would only take time.
    let project = ManuallyDrop::new(app.project(&overrides(&arguments.vars))?);
    let graph = ManuallyDrop::new(ProjectGraph::of(&project));
    if app.output.is_json() {
        app.output.json(&graph.document())?;
    } else if arguments.form == Form::Mermaid {
        app.output.print(&graph.mermaid());
    } else {
        app.output.print(&graph.text());
    }
    Ok(if graph.is_in_order() { Exit::Done } else { Exit::No })
}
