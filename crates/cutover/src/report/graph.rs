//! What needs what, for people, for programs, and as a Mermaid flowchart.

use std::collections::BTreeMap;

use cutover_analysis::effects::Context;
use cutover_analysis::graph::{Conflict, Conflicts, Graph, LateFate, Vertex};
use serde::Serialize;

use super::format::count;
use super::{escape, picture};
use crate::apply::ApplyError;
use crate::inspect;
use crate::migration::{Migration, MigrationId, MigrationKind};
use crate::plan::alone::Made;
use crate::plan::graph;
use crate::plan::select::Selection;
use crate::project::Project;
use crate::script::{Script, Texts};

/// How [`ProjectGraph::svg`] begins.
pub const SVG_HEAD: &str = "<svg class=\"graph\" xmlns=\"http://www.w3.org/2000/svg\" ";
/// How [`ProjectGraph::mermaid`] begins.
pub const MERMAID_HEAD: &str = "flowchart LR\n";

/// The graph of a project's migrations.
#[derive(Debug)]
pub struct ProjectGraph<'a> {
    project: &'a Project,
    vertices: Vec<Vertex>,
    /// Why a migration is not fully known, by its place.
    opaque: BTreeMap<usize, String>,
    graph: Graph,
    conflicts: Conflicts,
}

impl<'a> ProjectGraph<'a> {
    /// Reads all files of a project. Of each only what the graph needs is kept.
    pub fn of(project: &'a Project) -> Self {
        let migrations: Vec<&Migration> = project.migrations.iter().collect();
        let (mut known, mut opaque) = (Context::EMPTY, BTreeMap::new());
        let mut vertices = Vec::with_capacity(migrations.len());
        let label = graph::labels(project);
        Script::analyse_all(&migrations, &project.vars, Texts::Dropped, |place, analyse| {
            if migrations[place].kind == MigrationKind::Baseline {
                // It makes what others make, in their place.
                analyse(&mut Context::default());
                let mut vertex = Vertex::default();
                label(place, &mut vertex);
                vertices.push(vertex);
                return;
            }
            let Script { mut vertex, opaque: why, .. } = analyse(&mut known);
            label(place, &mut vertex);
            opaque.extend(why.map(|why| (place, why)));
            vertices.push(vertex);
        });
        drop(known);
        let made = Made::by(vertices.iter().enumerate(), std::iter::empty(), std::iter::empty());
        let alone: Vec<_> =
            vertices.iter().enumerate().map(|(place, vertex)| made.why_alone(place, vertex)).collect();
        for (vertex, why) in vertices.iter_mut().zip(alone) {
            vertex.alone = vertex.alone.take().or_else(|| why.map(str::to_owned));
        }
        let (graph, conflicts) = std::thread::scope(|scope| {
            let conflicts = scope.spawn(|| Conflicts::of(&vertices));
            let graph = Graph::of(&vertices);
            (graph, conflicts.join().unwrap_or_else(|_| Conflicts::of(&vertices)))
        });
        Self { project, vertices, opaque, graph, conflicts }
    }

    /// Whether migrations can run in their order: none needs another in a circle, or one that comes later.
    pub fn is_in_order(&self) -> bool {
        self.graph.cycles.is_empty() && self.graph.edges.iter().all(|edge| edge.to < edge.from)
    }

    /// A Mermaid flowchart, stages as subgraphs; each migration with its number and name.
    pub fn mermaid(&self) -> String {
        let named = self.vertices.iter().zip(&self.project.migrations);
        let labels: Vec<String> =
            named.map(|(vertex, migration)| format!("{} {}", vertex.label, migration.name)).collect();
        self.graph.mermaid(&labels, &groups(self.project))
    }

    /// An SVG picture, a file of its own: as in a report's page. It shows what a plan has of each step, so the files are
    /// read once more.
    ///
    /// # Errors
    /// As planning without a database has them.
    pub fn svg(&self) -> Result<String, ApplyError> {
        Ok(picture::file(&inspect::files_only(self.project, &Selection::default())?.built.plan))
    }

    /// A line an edge, then what is outside, what is not known and what is in circles, what does not run side by side
    /// although it could by what it needs, and the waves.
    pub fn text(&self) -> String {
        text(self)
    }

    /// What excludes another migration: pairs that neither an edge nor that one of them runs alone explains.
    fn exclusions(&self) -> impl Iterator<Item = &Conflict> {
        let alone = |place: usize| self.vertices[place].alone.is_some();
        let needed =
            |conflict: &Conflict| self.graph.needed_by(conflict.from).any(|edge| edge.to == conflict.to);
        self.conflicts
            .before
            .iter()
            .flatten()
            .filter(move |conflict| !alone(conflict.from) && !alone(conflict.to) && !needed(conflict))
    }

    /// The JSON document.
    pub fn document(&self) -> impl Serialize + '_ {
        document(self)
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

fn text(of: &ProjectGraph<'_>) -> String {
    let ProjectGraph { opaque, vertices, graph, .. } = of;
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
    for (place, why) in opaque {
        line(&format!("{} is not fully known: {why}", label(*place)));
    }
    for (place, vertex) in vertices.iter().enumerate() {
        for (why, at) in &vertex.unseen {
            line(&format!("{} line {at}: {why}", label(place)));
        }
    }
    for cycle in &graph.cycles {
        let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|place| label(*place)).collect();
        line(&format!("a circle: {}", names.join(" needs ")));
    }
    let mut apart = 0;
    for (place, vertex) in vertices.iter().enumerate() {
        if let Some(why) = &vertex.alone {
            apart += 1;
            let why = why.strip_suffix(" runs alone").unwrap_or(why);
            line(&format!("{} runs alone: {why}", label(place)));
        }
    }
    for conflict in of.exclusions() {
        apart += 1;
        line(&format!("{} waits for {}: {}", label(conflict.from), label(conflict.to), conflict.why));
    }
    let waves = graph.waves(vertices.len());
    let besides =
        if apart > 0 { ", by what they need; the lines above keep their order besides" } else { "" };
    line(&format!(
        "{} in {}{besides}",
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
    ids: Vec<&'a MigrationId>,
    edges: Vec<EdgeDocument<'a>>,
    late: Vec<LateDocument<'a>>,
    outside: Vec<OutsideDocument<'a>>,
    unseen: Vec<UnseenDocument<'a>>,
    alone: Vec<AloneDocument<'a>>,
    conflicts: Vec<ConflictDocument<'a>>,
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

#[derive(Serialize)]
struct UnseenDocument<'a> {
    from: &'a str,
    line: u32,
    why: &'a str,
}

#[derive(Serialize)]
struct AloneDocument<'a> {
    migration: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct ConflictDocument<'a> {
    from: &'a str,
    to: &'a str,
    why: &'a str,
}

fn document<'a>(of: &'a ProjectGraph<'_>) -> Document<'a> {
    let ProjectGraph { project, vertices, graph, .. } = of;
    let label = |place: &usize| vertices[*place].label.as_str();
    Document {
        format_version: 1,
        migrations: vertices.iter().map(|vertex| vertex.label.as_str()).collect(),
        ids: project.migrations.iter().map(|migration| &migration.id).collect(),
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
        unseen: vertices
            .iter()
            .flat_map(|vertex| vertex.unseen.iter().map(move |unseen| (vertex, unseen)))
            .map(|(vertex, (why, line))| UnseenDocument { from: &vertex.label, line: *line, why })
            .collect(),
        alone: vertices
            .iter()
            .filter_map(|vertex| {
                Some(AloneDocument { migration: &vertex.label, why: vertex.alone.as_deref()? })
            })
            .collect(),
        conflicts: of
            .exclusions()
            .map(|conflict| ConflictDocument {
                from: label(&conflict.from),
                to: label(&conflict.to),
                why: &conflict.why,
            })
            .collect(),
        cycles: graph.cycles.iter().map(|cycle| cycle.iter().map(label).collect()).collect(),
        waves: graph.waves(vertices.len()).iter().map(|wave| wave.iter().map(label).collect()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::project::Overrides;

    /// The graph of a project with these files, in text, Mermaid and JSON.
    fn graph_of(files: &[(&str, &str)]) -> (String, String, Value) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let project = Project::load(folder.path(), &Overrides::default()).unwrap();
        let graph = ProjectGraph::of(&project);
        (graph.text(), graph.mermaid(), serde_json::to_value(graph.document()).unwrap())
    }

    #[test]
    fn a_graph_of_two_folders_tells_them_apart() {
        let config =
            "[project]\nname = \"two\"\n[[migrations]]\npath = \"core\"\n[[migrations]]\npath = \"app\"\n";
        let (text, mermaid, json) = graph_of(&[
            ("cutover.toml", config),
            ("core/0001_a.sql", "CREATE TABLE a (n int PRIMARY KEY);"),
            ("app/0001_b.sql", "CREATE TABLE b (n int REFERENCES a);"),
        ]);
        assert!(text.starts_with("app/0001 needs core/0001: foreign key b.n → a\n"), "{text}");
        assert!(mermaid.contains("m0[\"core/0001 a\"]"), "{mermaid}");
        assert_eq!(json["edges"][0]["from"], "app/0001");
        assert_eq!(json["ids"][1]["root"], "app");
        assert_eq!(json["ids"][1]["version"]["text"], "0001");
    }

    #[test]
    fn what_stands_for_others_makes_nothing_beside_them() {
        let (text, _, _) = graph_of(&[
            ("sql/V1__t.sql", "CREATE TABLE t (n int PRIMARY KEY);"),
            ("sql/B1__all.sql", "CREATE TABLE t (n int PRIMARY KEY);"),
            ("sql/V2__u.sql", "CREATE TABLE u (n int REFERENCES t);"),
        ]);
        assert!(text.contains("V2 needs V1: foreign key u.n → t\n"), "{text}");
        assert!(!text.contains("needs B1") && !text.contains("B1 waits"), "{text}");
    }

    #[test]
    fn what_is_required_of_a_change_is_an_edge() {
        let (text, _, _) = graph_of(&[
            ("sqitch.plan", "%project=p\nzoo\nant [zoo]\n"),
            ("deploy/zoo.sql", "SELECT 1;"),
            ("deploy/ant.sql", "SELECT 2;"),
        ]);
        assert!(text.contains("ant needs zoo: "), "{text}");
    }

    #[test]
    fn a_graph_says_what_waves_leave_out() {
        let (text, _, json) = graph_of(&[
            ("0001_a.sql", "CREATE TABLE t (n int);"),
            ("0002_b.sql", "CREATE TABLE u (n int); ALTER TABLE t ADD a int;"),
            ("0003_c.sql", "ALTER TABLE t ADD b int;"),
            (
                "0004_d.sql",
                "\nCREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE g(); END $$;",
            ),
            ("0005_e.sql", "DROP TABLE u;"),
        ]);
        for line in [
            "0004 line 2: a body runs statements that it makes at run time (EXECUTE)\n",
            "0005 runs alone: what it drops may have been in the way of others\n",
            "0003 waits for 0002: both change t\n",
            "5 migrations in 3 waves, by what they need; the lines above keep their order besides\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(json["unseen"][0]["line"], 2);
        assert_eq!(json["alone"][0]["migration"], "0005");
        assert_eq!(json["conflicts"][0]["to"], "0002");
    }
}
