//! What needs what, for people, for programs, and as a Mermaid flowchart.

use std::borrow::Cow;

use cutover_analysis::graph::{Graph, LateFate, Vertex};
use serde::Serialize;

use super::escape;
use super::format::count;
use crate::plan::build::Built;
use crate::plan::graph;
use crate::project::Project;

/// The graph of a project's migrations.
#[derive(Debug)]
pub struct ProjectGraph<'a> {
    project: &'a Project,
    built: &'a Built,
    vertices: Vec<Cow<'a, Vertex>>,
    graph: Graph,
}

impl<'a> ProjectGraph<'a> {
    /// From a plan in which all files were read.
    pub fn of(project: &'a Project, built: &'a Built) -> Self {
        let vertices = graph::vertices(project, &built.scripts);
        let graph = Graph::of(&vertices);
        Self { project, built, vertices, graph }
    }

    /// Whether migrations can run in their order: none needs another in a circle, or one that comes later.
    pub fn is_in_order(&self) -> bool {
        self.graph.cycles.is_empty() && self.graph.edges.iter().all(|edge| edge.to < edge.from)
    }

    /// A Mermaid flowchart, stages as subgraphs.
    pub fn mermaid(&self) -> String {
        self.graph.mermaid(&self.vertices, &groups(self.project))
    }

    /// A line an edge, then what is outside and in circles, and the waves.
    pub fn text(&self) -> String {
        text(self.built, &self.vertices, &self.graph)
    }

    /// The JSON document.
    pub fn document(&self) -> impl Serialize + '_ {
        document(&self.vertices, &self.graph)
    }
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

fn text(built: &Built, vertices: &[Cow<'_, Vertex>], graph: &Graph) -> String {
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

fn document<'a>(vertices: &'a [Cow<'_, Vertex>], graph: &'a Graph) -> Document<'a> {
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
