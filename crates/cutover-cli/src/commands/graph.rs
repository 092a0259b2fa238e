//! `cutover graph`.

use clap::{Args, ValueEnum};
use cutover::inspect;
use cutover::plan::build::Built;
use cutover::plan::graph;
use cutover::plan::select::Selection;
use cutover::project::Project;
use cutover::report::escape;
use cutover::report::format::count;
use cutover_analysis::graph::{Graph, LateFate, Vertex};
use serde::Serialize;

use crate::app::{App, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};

/// Show which migrations need which, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the files alone, all of them, whatever is applied. Ends with 1 where migrations need one another in a circle, or
something that comes later.

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
    let project = app.project(&overrides(&arguments.vars))?;
    let built = inspect::files_only(&project, &Selection::default())?.built;
    let vertices = graph::vertices(&project, &built.scripts);
    let graph = Graph::of(&vertices);
    if app.output.is_json() {
        app.output.json(&document(&vertices, &graph))?;
    } else if arguments.form == Form::Mermaid {
        app.output.print(&graph.mermaid(&vertices, &groups(&project)));
    } else {
        app.output.print(&text(&built, &vertices, &graph));
    }
    let too_late = graph.edges.iter().any(|edge| edge.to > edge.from);
    Ok(if graph.cycles.is_empty() && !too_late { Exit::Done } else { Exit::Negative })
}

/// Stages with their migrations.
fn groups(project: &Project) -> Vec<(String, Vec<usize>)> {
    let mut groups: Vec<(String, Vec<usize>)> = project
        .stages
        .iter()
        .map(|stage| (format!("{} {} {}", stage.kind, stage.id, stage.title).trim().to_owned(), Vec::new()))
        .collect();
    for (place, migration) in project.migrations.iter().enumerate() {
        if let Some((_, members)) = migration.stage.and_then(|stage| groups.get_mut(stage)) {
            members.push(place);
        }
    }
    groups
}

fn text(built: &Built, vertices: &[Vertex], graph: &Graph) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(&escape::line(text));
        out.push('\n');
    };
    let label = |place: usize| vertices[place].label.as_str();
    for edge in &graph.edges {
        let why: Vec<String> = edge.why.iter().map(ToString::to_string).collect();
        let late = if edge.to > edge.from { "  ← comes later" } else { "" };
        line(&format!("{} needs {}: {}{late}", label(edge.from), label(edge.to), why.join("; ")));
    }
    for late in &graph.late {
        let fate = match late.fate {
            LateFate::Later(to) => format!("{} creates it later", label(to)),
            LateFate::NoMigration => "no migration creates it".to_owned(),
        };
        let reference = &late.reference;
        line(&format!("{} names {} ({}): {fate}", label(late.from), reference.object, reference.why));
    }
    for (from, reference) in &graph.outside {
        line(&format!("{} needs {}, which no migration creates", label(*from), reference.words()));
    }
    for (place, script) in &built.scripts {
        if let Some(why) = &script.opaque {
            line(&format!("{} is not fully known: {why}", label(*place)));
        }
    }
    for cycle in &graph.cycles {
        let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|place| label(*place)).collect();
        line(&format!("a circle: {}", names.join(" needs ")));
    }
    let waves = graph.waves(vertices.len());
    line(&format!(
        "{} in {}",
        count(vertices.len(), "migration", "migrations"),
        count(waves.len(), "wave", "waves")
    ));
    for (number, wave) in waves.iter().enumerate() {
        let names: Vec<&str> = wave.iter().map(|place| label(*place)).collect();
        line(&format!("  {}: {}", number + 1, names.join(", ")));
    }
    out
}

/// The graph as JSON.
#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    migrations: Vec<&'a str>,
    edges: Vec<EdgeDocument<'a>>,
    late: Vec<LateDocument<'a>>,
    outside: Vec<OutsideDocument<'a>>,
    cycles: Vec<Vec<&'a str>>,
    waves: Vec<Vec<&'a str>>,
}

#[derive(Serialize)]
struct EdgeDocument<'a> {
    from: &'a str,
    to: &'a str,
    why: Vec<String>,
    too_late: bool,
}

#[derive(Serialize)]
struct LateDocument<'a> {
    from: &'a str,
    object: String,
    why: &'a str,
    created_by: Option<&'a str>,
}

#[derive(Serialize)]
struct OutsideDocument<'a> {
    from: &'a str,
    object: String,
    why: &'a str,
}

fn document<'a>(vertices: &'a [Vertex], graph: &'a Graph) -> Document<'a> {
    let label = |place: &usize| vertices[*place].label.as_str();
    Document {
        format_version: 1,
        migrations: vertices.iter().map(|vertex| vertex.label.as_str()).collect(),
        edges: graph
            .edges
            .iter()
            .map(|edge| EdgeDocument {
                from: label(&edge.from),
                to: label(&edge.to),
                why: edge.why.iter().map(ToString::to_string).collect(),
                too_late: edge.to > edge.from,
            })
            .collect(),
        late: graph
            .late
            .iter()
            .map(|late| LateDocument {
                from: label(&late.from),
                object: late.reference.object.to_string(),
                why: &late.reference.why,
                created_by: match &late.fate {
                    LateFate::Later(to) => Some(label(to)),
                    LateFate::NoMigration => None,
                },
            })
            .collect(),
        outside: graph
            .outside
            .iter()
            .map(|(from, reference)| OutsideDocument {
                from: label(from),
                object: reference.object.to_string(),
                why: &reference.why,
            })
            .collect(),
        cycles: graph.cycles.iter().map(|cycle| cycle.iter().map(label).collect()).collect(),
        waves: graph.waves(vertices.len()).iter().map(|wave| wave.iter().map(label).collect()).collect(),
    }
}
