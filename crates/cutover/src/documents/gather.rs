//! Measuring: reads files, history, runs and the database, builds what the applied migrations make on a throwaway server, and
//! puts what was found into the context. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cutover_analysis::schema::{Id, Schema};
use cutover_postgres::session::{Session, Startup};
use serde_json::Value;

use super::api::{self, Counted};
use super::beside::{self, Beside};
use super::checks::Checklist;
use super::compatibility::{self, Compatibility, Sources};
use super::context::{self, Context, Diagram, Totals};
use super::does::{self, Does};
use super::migrations::{self, Labels, Past};
use super::rollback::Rollback;
use super::script::{self, Script, Spelled};
use super::sequence::{self, Coverage, GraphNote};
use super::sprints;
use super::tables::{self, Consistency, Origin, Renamed, TableNote, is_table};
use super::{Documents, DocumentsError, Request};
use crate::catalog;
use crate::compare::drift::{self, Drift, DriftError};
use crate::erd::{Erd, Touched};
use crate::history::records::{self, History};
use crate::history::{journal, schema};
use crate::inspect::{self, Inspection};
use crate::lint::{self, Which};
use crate::migration::MigrationId;
use crate::plan::build::Read;
use crate::plan::select::Selection;
use crate::project::{Project, When};
use crate::report::erd;
use crate::report::format::server_version;
use crate::report::graph::ProjectGraph;
use crate::revert;
use crate::run::{CheckResult, Run};
use crate::secrets::Secrets;
use crate::verify::claim::Claim;
use crate::verify::{self, Prepared, VerifyRequest};

/// Of so many of its newest runs a project's documents tell.
const RUNS: i64 = 200;

/// What a baseline recorded was there before.
const BASELINED: &str = "recorded by a baseline, not run";

/// What the database says of itself and of the project.
struct Found {
    here: schema::Found,
    history: History,
    runs: Vec<Run>,
    /// Made against the database: where each migration stands.
    states: Inspection,
    /// What was recorded as applied and not run by us, with words for it.
    recorded: BTreeMap<MigrationId, &'static str>,
    search_path: String,
    secrets: Secrets,
}

/// What is there, and what should be.
struct Sides {
    live: Schema,
    declared: Option<Schema>,
    declared_by: String,
    measured_in: String,
    not_measured: Option<String>,
    remarks: Vec<String>,
}

/// Measures everything that the documents say.
///
/// # Errors
/// See [`DocumentsError`]. What cannot be measured by itself is no error: the documents say so.
pub async fn gather(project: &Project, request: Request<'_>) -> Result<Documents, DocumentsError> {
    let found = Box::pin(database(project, request)).await?;
    let files = inspect::files_only(project, &Selection::default())?;
    let labels = Labels::of(project, &files.built.plan);
    let sides = Box::pin(sides(project, request, &found)).await?;
    let prepared = verify::prepare(project).map_err(verify::VerifyError::from)?;
    let asked = VerifyRequest::default();
    let answers =
        Box::pin(verify::verify(project, request.options, request.sandbox, &found.history, &asked, |_| {}))
            .await?;
    let (foreign_keys, raw, beside) = as_the_server_says(request, &sides).await?;
    let [rollback, step_back] = Box::pin(both_ways(project, request, &found, &labels)).await;

    let graph = GraphNote::of(&ProjectGraph::of(project));
    let all_does = does::all(project, &files);
    let origin = |id: &Id| origin(&files, &all_does, &labels, id);
    let tables = tables::tables(&sides.live, &origin);
    let past = Past {
        history: &found.history,
        runs: &found.runs,
        states: &found.states.built.plan,
        recorded: &found.recorded,
    };
    let runs = migrations::runs(&found.runs, &labels);
    let made = (tables.as_slice(), runs.as_slice());
    let migrations =
        migrations::migrations(project, (&files.built.plan, &all_does), &past, &labels, made, &graph.waves());
    let stages = migrations::stages(project, &migrations);
    let checks = Checklist::of(&prepared, &answers, &found.runs, &|id| labels.of_id(id), &|stage| {
        Some(project.stages.get(stage)?.id.clone())
    });
    let consistency = consistency(project, &labels, &sides);
    let sources = Sources {
        plan: &files.built.plan,
        labels: &labels,
        runs: &runs,
        checks: &checks.items,
        consistency: &consistency,
        differences: &found.states.described,
    };
    let troubles = compatibility::troubles(&sources);
    let erd = diagram(&sides.live);
    let expected = sides.declared.as_ref().unwrap_or(&sides.live);
    let measurable = prepared.iter().filter(|check| is_due(check, &answers));
    let spelled = Spelled { expected, live: &sides.live, raw: &raw, beside: &beside };
    let script =
        Script::of(&spelled, &found.search_path, &found.secrets).with_checks(measurable, &found.secrets);
    let (api, api_secrets) = Box::pin(contract(project, request, &found, (&files, &labels))).await?;
    let sprints = sprints::sprints(&stages, &migrations, &tables);
    let context = Context {
        project: project.name.clone(),
        database: found.here.database.clone(),
        server: server_version(found.here.server_version_num),
        files: context::files(erd.is_some(), !sprints.is_empty(), api.is_there()),
        totals: totals(&tables, &migrations, stages.len()),
        coverage: Coverage { queries: sequence::queries(&checks.items), foreign_keys },
        compatibility: Compatibility::of(&files.built.plan, &all_does, &labels),
        risks: compatibility::risks(&lint::look(project, &Which::Each, None)),
        rollback,
        step_back,
        folder: request.folder.and_then(|folder| named_from(&project.root, folder)),
        erd: erd.as_ref().map(drawn).unwrap_or_default(),
        notes: files.built.plan.notes.clone(),
        stages,
        migrations,
        runs,
        tables,
        consistency,
        graph,
        checks,
        troubles,
        sprints,
        script,
        api,
    };
    finished(&context, erd, &found.secrets, &api_secrets)
}

/// The context as a value, without what is not to be shown.
fn finished(
    context: &Context,
    diagram: Option<Erd>,
    secrets: &Secrets,
    of_api: &Secrets,
) -> Result<Documents, DocumentsError> {
    let unresolved = context.api.unresolved().iter().map(|line| secrets.star(line)).collect();
    let mut context = without_secrets(serde_json::to_value(context)?, secrets);
    if let Some(api) = context.get_mut("api") {
        star(api, of_api);
    }
    Ok(Documents { context, diagram, unresolved })
}

/// What clients may call of what the applied migrations made.
async fn contract(
    project: &Project,
    request: Request<'_>,
    found: &Found,
    (files, labels): (&Inspection, &Labels),
) -> Result<(api::ApiNote, Secrets), DocumentsError> {
    let counted = Counted {
        project,
        files,
        labels,
        is_applied: &|id| found.history.get(id).is_some(),
        is_before: &|id| found.recorded.get(id) == Some(&BASELINED),
    };
    api::gather(request.options, &counted, &found.secrets).await
}

async fn database(project: &Project, request: Request<'_>) -> Result<Found, DocumentsError> {
    let mut session = inspect::connect(request.options, request.wait).await?;
    let here = schema::look(&mut session).await?;
    let (mut history, mut runs, mut recorded) = (History::default(), Vec::new(), BTreeMap::new());
    if let Some(version) = here.version {
        history = records::read(&mut session, &project.name).await?;
        let baselined = records::recorded(&mut session, &project.name, version).await?;
        recorded.extend(baselined.into_iter().map(|id| (id, BASELINED)));
        let adopted = records::adopted(&mut session, &project.name, version).await?;
        recorded.extend(adopted.into_iter().map(|id| (id, "applied by another tool, adopted")));
        let both = [project.name.as_str(), &revert::project_name(&project.name)];
        let listed = journal::list_runs(&mut session, &both, RUNS).await?;
        let mut ids: Vec<String> = listed.into_iter().map(|line| line.id).collect();
        let older: BTreeSet<&String> = history.applied().map(|row| &row.run).collect();
        let older: Vec<String> = older.into_iter().filter(|id| !ids.contains(id)).cloned().collect();
        ids.extend(older);
        for id in ids {
            runs.extend(journal::read_run(&mut session, &id).await?);
        }
        runs.sort_by(|a, b| (b.started_micros, &b.id).cmp(&(a.started_micros, &a.id)));
    }
    let states = inspect::database(project, &mut session, &Selection::default(), Read::All).await?;
    let mut secrets = Secrets::of(&project.vars);
    secrets.spare_known(&mut session).await?;
    session.close().await;
    let mut session = Session::connect(request.options, &Startup::default()).await?;
    let shown = session.query_text("SHOW search_path").await?;
    let search_path = shown.scalar().unwrap_or_default().to_owned();
    session.close().await;
    Ok(Found { here, history, runs, states, recorded, search_path, secrets })
}

/// What is there beside what the applied migrations make; where that cannot be built, beside what the last run left.
async fn sides(project: &Project, request: Request<'_>, found: &Found) -> Result<Sides, DocumentsError> {
    let options = request.options;
    if found.history.is_empty() {
        let why = "nothing of this project is applied; `cutover apply` applies it";
        return Ok(unknown(Schema::empty(found.here.server_version_num, ""), &found.here.database, why));
    }
    let why = match drift::drift(project, options, &[], Some(request.sandbox)).await {
        Ok(drift) => return Ok(known(drift, found, None)),
        Err(DriftError::Asked(error)) => return Err(error.into()),
        Err(error) => first_line(&error.to_string()),
    };
    match drift::drift(project, options, &[], None).await {
        Ok(drift) => Ok(known(drift, found, Some(format!("what the files make could not be built: {why}")))),
        Err(DriftError::Asked(error)) => Err(error.into()),
        Err(_) => {
            let mut session = inspect::connect(options, None).await?;
            let live = catalog::schema(&mut session, &[]).await?;
            session.close().await;
            let why =
                format!("what the files make could not be built: {why}; `cutover diff --replay` compares");
            Ok(unknown(live, &found.here.database, &why))
        }
    }
}

fn known(mut drift: Drift, found: &Found, remark: Option<String>) -> Sides {
    let applied_by = found.here.owner.as_deref();
    owned_by_whoever_applies(&mut drift.expected, &drift.live, applied_by);
    Sides {
        live: drift.live,
        declared: Some(drift.expected),
        declared_by: drift.expected_name,
        measured_in: drift.live_name,
        not_measured: None,
        remarks: drift.remarks.into_iter().chain(remark).collect(),
    }
}

/// What the files give to nobody belongs to whoever applies them, and not to the role that a throwaway server has.
fn owned_by_whoever_applies(expected: &mut Schema, live: &Schema, applied_by: Option<&str>) {
    const OWNER: &str = "owner";
    let nobody = expected.owner.clone();
    for (id, object) in &mut expected.objects {
        let owner = live.objects.get(id).and_then(|there| there.text(OWNER));
        let is_theirs = |owner: &&str| *owner == live.owner || Some(*owner) == applied_by;
        if let Some(owner) = owner.filter(is_theirs)
            && object.text(OWNER) == Some(&nobody)
        {
            object.attributes.insert(OWNER.into(), cutover_analysis::schema::Value::Text(owner.to_owned()));
        }
    }
}

fn unknown(live: Schema, database: &str, why: &str) -> Sides {
    Sides {
        live,
        declared: None,
        declared_by: "nothing".to_owned(),
        measured_in: format!("database {database}"),
        not_measured: Some(why.to_owned()),
        remarks: Vec::new(),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Foreign keys with their indexes, and definitions in the server's own words.
async fn as_the_server_says(
    request: Request<'_>,
    sides: &Sides,
) -> Result<(Vec<sequence::KeyNote>, BTreeMap<Id, String>, Beside), DocumentsError> {
    let mut session = inspect::connect(request.options, None).await?;
    let keys = sequence::foreign_keys(&mut session, &sides.live).await?;
    let raw = script::raw(&mut session).await?;
    let expected = sides.declared.as_ref().unwrap_or(&sides.live);
    let kinds = expected.objects.keys().map(|id| id.kind).collect();
    let beside = beside::read(&mut session, &kinds).await?;
    session.close().await;
    Ok((keys, raw, beside))
}

/// What takes back everything, and what the last migration alone.
async fn both_ways(project: &Project, request: Request<'_>, found: &Found, labels: &Labels) -> [Rollback; 2] {
    let all = Box::pin(ways_back(project, request, found, revert::Which::All)).await;
    let last = Box::pin(ways_back(project, request, found, revert::Which::Last(1))).await;
    [Rollback::of(" --all", all, labels), Rollback::of("", last, labels)]
}

async fn ways_back(
    project: &Project,
    request: Request<'_>,
    found: &Found,
    which: revert::Which,
) -> Result<revert::Outlook, String> {
    if found.history.is_empty() {
        return Err("nothing is applied".to_owned());
    }
    let asked = revert::Request { which, allow: &[], derive: &[], sandbox: request.sandbox, only_look: true };
    revert::look(project, request.options, &asked).await.map_err(|error| first_line(&error.to_string()))
}

/// A folder as it is called from the project's, in words that a shell takes as one; none where that is another place, or a name
/// that a fence of Markdown or a line does not hold.
pub(super) fn named_from(root: &Path, folder: &Path) -> Option<String> {
    let (root, folder) = (really(root)?, really(folder)?);
    let inside = folder.strip_prefix(root).ok()?;
    let parts: Option<Vec<&str>> = inside.components().map(|part| part.as_os_str().to_str()).collect();
    let inside = parts?.join("/");
    if inside.is_empty() {
        return Some(".".to_owned());
    }
    if inside.chars().any(|c| c.is_control() || c == '`') {
        return None;
    }
    let is_plain = inside.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let quoted = || format!("'{}'", inside.replace('\'', "'\\''"));
    Some(if is_plain && !inside.starts_with('-') { inside.clone() } else { quoted() })
}

/// A path with the links followed of what of it is there.
fn really(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let (part, real) = there?;
    let rest = path.strip_prefix(part).ok()?;
    let is_plain = rest.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_plain.then(|| real.join(rest))
}

/// Which migration creates a table, or the last of several, and which have given it another name.
fn origin(files: &Inspection, all: &[Does], labels: &Labels, table: &Id) -> Origin {
    let origin = does::origin(all, table);
    let label = |place: usize| files.built.plan.steps.get(place).map(|step| labels.of_id(&step.migration));
    let renamed = origin.renamed.into_iter();
    let note =
        |(place, id): (usize, Id)| Some(Renamed { migration: label(place)?, from: crate::erd::name(&id) });
    (origin.created.and_then(label), renamed.filter_map(note).collect())
}

/// The migrations of which the plan claims that they create this table.
fn claimed_by(project: &Project, labels: &Labels, table: &Id) -> Vec<String> {
    let claims = |text: &String| Claim::parse(text).is_ok_and(|claim| claim.names(table));
    let claiming = project.migrations.iter().filter(|migration| migration.claims.creates.iter().any(claims));
    claiming.map(|migration| labels.of_id(&migration.id)).collect()
}

/// Whether a check was measured now, and not passed over.
fn is_due(check: &Prepared, answers: &[CheckResult]) -> bool {
    let measured = |answer: &CheckResult| {
        answer.kind == check.kind
            && answer.name == check.name
            && answer.verdict != crate::run::Verdict::Skipped
    };
    // Of those with several answers none can be measured by a script.
    let parts = |answer: &CheckResult| {
        answer.kind == check.kind && answer.name.starts_with(&format!("{}: ", check.name))
    };
    check.when == When::After && answers.iter().any(|answer| measured(answer) || parts(answer))
}

fn totals(tables: &[TableNote], migrations: &[migrations::MigrationNote], stages: usize) -> Totals {
    let sum = |of: fn(&TableNote) -> usize| tables.iter().map(of).sum();
    Totals {
        migrations: migrations.len(),
        applied: migrations.iter().filter(|one| one.applied).count(),
        stages,
        bytes: migrations.iter().map(|one| one.bytes).sum(),
        tables: tables.len(),
        columns: sum(|table| table.columns.len()),
        indexes: sum(|table| table.indexes.len()),
        keys: sum(|table| table.keys.len()),
        foreign_keys: sum(|table| table.foreign_keys.len()),
        checks: sum(|table| table.checks.len()),
    }
}

/// All tables.
fn diagram(live: &Schema) -> Option<Erd> {
    let tables = live.objects.keys().filter(|id| is_table(id));
    let all: Touched = tables.map(|id| (id.schema.clone(), id.name.clone())).collect();
    Erd::of(live, &all)
}

fn drawn(erd: &Erd) -> Diagram {
    Diagram { mermaid: erd::mermaid(erd), drawn: erd.tables.len(), more: erd.more }
}

/// Both sides in figures.
fn consistency(project: &Project, labels: &Labels, sides: &Sides) -> Consistency {
    Consistency {
        declared_by: sides.declared_by.clone(),
        measured_in: sides.measured_in.clone(),
        not_measured: sides.not_measured.clone(),
        remarks: sides.remarks.clone(),
        ..Consistency::of(sides.declared.as_ref(), &sides.live, &|id| claimed_by(project, labels, id))
    }
}

/// The context with what is not to be shown as stars.
fn without_secrets(mut context: Value, secrets: &Secrets) -> Value {
    if let Value::Object(fields) = &mut context {
        // Statements of the script were looked through when they were made; stars would change what they mean.
        let others = fields.iter_mut().filter(|(name, _)| *name != "script");
        others.for_each(|(_, value)| star(value, secrets));
    }
    context
}

/// Hides what is not to be shown in every text.
fn star(value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) => secrets.star_in(text),
        Value::Array(values) => values.iter_mut().for_each(|value| star(value, secrets)),
        Value::Object(fields) => fields.values_mut().for_each(|value| star(value, secrets)),
        _ => {}
    }
}
