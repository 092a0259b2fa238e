//! The next migration from models: what they say otherwise than the migrations so far becomes statements, in the form that a table in
//! use can bear, and is proven on a throwaway server before anybody gets it. Nothing that is there goes without a word, and nothing
//! is written to any file here.

use cutover_analysis::diff::{Diff, Left, Options, diff};
use cutover_analysis::effects::{ObjectKind, WorkKind, effects_of_text};
use cutover_analysis::models::Models;
use cutover_analysis::schema::{Id, Place, Schema, Sql, Value};
use cutover_analysis::sql::quote_ident;
use serde::Serialize;
use thiserror::Error;

use super::build::build;
use super::decide::{self, Decisions, Fill, Undecided};
use super::model::{Alignment, Difference, Subject};
use super::proof::{self, Proof};
use super::wanted::{self, Wanted};
use super::{AlignError, hold};
use crate::compare::rename::{self, Rename, RenameError};
use crate::compare::{Side, as_they_stand, migration};
use crate::lint::fix::{self, Fixed};
use crate::lint::{self, Located, Which};
use crate::project::{Project, ProjectError};
use crate::verify::SandboxProvider;

/// Why there is no migration.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// Models and migrations cannot be held against each other.
    #[error(transparent)]
    Align(#[from] AlignError),
    /// A rename cannot be made.
    #[error(transparent)]
    Rename(#[from] RenameError),
    /// Decisions that are about nothing.
    #[error("{} names nothing that is to be decided", .0.join(", "))]
    Idle(Vec<String>),
    /// What was written cannot be read as a migration.
    #[error("what was written cannot be read as a migration: {0}")]
    Unreadable(#[from] ProjectError),
    /// A placeholder of what was written is none.
    #[error("what was written cannot be read: {0}")]
    Placeholders(#[from] std::io::Error),
}

/// A migration that models lead to, or what is to be decided first.
#[derive(Debug, Default, Serialize)]
pub struct Generated {
    /// What it does, in a few words: for its name.
    pub title: String,
    /// The statements; empty where nothing is to be done, or something is to be decided first.
    pub sql: String,
    /// The statements that lead back. Rows that were lost do not come back.
    pub undo: String,
    /// What is to be decided first.
    pub undecided: Vec<Undecided>,
    /// Differences that no statement sees to, with why.
    pub left: Vec<String>,
    /// What was put into its safe form.
    pub fixed: Vec<Fixed>,
    /// What lint says of it still.
    pub findings: Vec<Located>,
    /// What is still otherwise once it is applied, but for what is left.
    pub still: Vec<Difference>,
    /// Why it could not be applied on a throwaway server, where that is so.
    pub failed: Option<String>,
    /// What the models say and is not compared: nothing is made of it.
    pub not_compared: Vec<super::NotCompared>,
}

/// The migration that makes what the migrations of `project` make into what the models say.
///
/// # Errors
/// See [`GenerateError`]. That something is to be decided first is no error: see [`Generated::undecided`].
pub async fn generate(
    models: &Models,
    project: &Project,
    decisions: &Decisions,
    sandbox: &SandboxProvider,
) -> Result<Generated, GenerateError> {
    let side = Side::Project(Box::new(project.clone()));
    let name = side.to_string();
    let there = Box::pin(side.read(&[], None, sandbox)).await.map_err(AlignError::from)?.schema;
    let built = Box::pin(build(models, &name, &there, None, sandbox)).await?;
    let renames = rename::in_order(&there, &decisions.renames)?;
    rename::lead_to(&built.schema, &decisions.renames)?;
    let from = match renames[..] {
        [] => there.clone(),
        _ => Box::pin(rename::renamed(&there, &renames, sandbox)).await.map_err(AlignError::from)?,
    };
    let Alignment { differences, not_compared, .. } = hold(&built, &from, &decisions.keep);
    let idle = decide::idle(decisions, &differences);
    if !idle.is_empty() {
        return Err(GenerateError::Idle(idle));
    }
    let undecided = decide::undecided(&built.models, (&built.schema, &from), &differences, decisions);
    if !undecided.is_empty() {
        return Ok(Generated { undecided, not_compared, ..Generated::default() });
    }
    let to = wanted::wanted(&built.schema, &from, differences.iter());
    let (forward, undo) = statements(&from, &to, &renames, &decisions.fills, &differences);
    let mut generated = Generated {
        title: title(&differences, &renames),
        left: forward.left.iter().map(ToString::to_string).chain(to.left).collect(),
        not_compared,
        ..Generated::default()
    };
    if forward.statements.is_empty() {
        return Ok(generated);
    }
    let text = migration(&without_left(forward), &name, "what the models say");
    let (text, fixed, findings) = in_safe_form(&there, text)?;
    let written = readable("models", &[("0001_models.sql", &text)])?;
    let proven = proof::prove(&built, (project, &written), &decisions.keep, sandbox).await?;
    let Proof { still, failed } = proven;
    generated.still = still;
    generated.failed = failed;
    generated.sql = text;
    generated.undo = migration(&without_left(undo), "what the models say", &name);
    generated.fixed = fixed;
    generated.findings = findings;
    Ok(generated)
}

/// What is left is said beside the statements, not among them.
fn without_left(diff: Diff) -> Diff {
    Diff { left: Vec::new(), ..diff }
}

/// The statements forward and back.
fn statements(
    from: &Schema,
    to: &Wanted,
    renames: &[Rename],
    fills: &[Fill],
    differences: &[Difference],
) -> (Diff, Diff) {
    let safe = Options { safe: true };
    let to = &to.schema;
    let mut middle = filled(from, to, fills);
    with_replaced(&mut middle.schema, from, differences);
    let mut forward = diff(from, &middle.schema, safe);
    forward.statements.splice(0..0, renames.iter().map(|rename| Sql::plain(rename.sql())));
    forward.statements.extend(middle.updates);
    let then = diff(&middle.schema, to, safe);
    forward.statements.extend(then.statements);
    let known = |left: &Left| !forward.left.contains(left);
    let more: Vec<Left> = then.left.into_iter().filter(known).collect();
    forward.left.extend(more);
    let mut back = diff(to, from, safe);
    back.statements.extend(renames.iter().rev().map(|rename| Sql::plain(rename.undone().sql())));
    (forward, back)
}

/// What is wanted but for columns that rows are given something in: these have it first.
struct Middle {
    schema: Schema,
    /// What gives it to them.
    updates: Vec<Sql>,
}

fn filled(from: &Schema, to: &Schema, fills: &[Fill]) -> Middle {
    let mut middle = Middle { schema: to.clone(), updates: Vec::new() };
    for fill in fills {
        let Some(value) = fill.expression() else { continue };
        let column = &fill.column;
        let is_new = from.get(column).is_none();
        let default = Id { kind: ObjectKind::Default, ..column.clone() };
        if is_new && is_one_for_all(column, to, &value) {
            // One value for all rows is kept beside the table: nothing is written anew.
            let mut object = cutover_analysis::schema::Object::default();
            object.attributes.insert("expression".into(), Value::Text(value));
            object.needs.insert(column.clone());
            middle.schema.objects.insert(default, object);
            continue;
        }
        if let Some(object) = middle.schema.objects.get_mut(column) {
            object.attributes.remove("not null");
        }
        let (table, name) = (column.table_sql(), quote_ident(&column.name));
        let text = format!("UPDATE {table} SET {name} = {value} WHERE {name} IS NULL");
        middle.updates.push(Sql::plain(text).at(Place::Alone));
    }
    middle
}

/// What is replaced by something of another name stays until that is there: nothing is unique by neither in between.
fn with_replaced(middle: &mut Schema, from: &Schema, differences: &[Difference]) {
    for difference in differences {
        let Subject { model: Some(model), there: Some(there), attributes: [], is_renamed: false } =
            &difference.subject
        else {
            continue;
        };
        let Some(object) = from.get(there) else { continue };
        let is_alone = object.text("definition").is_some_and(|text| text.starts_with("PRIMARY KEY"));
        if model.name != there.name && !is_alone && middle.objects.contains_key(model) {
            middle.objects.insert(there.clone(), object.clone());
        }
    }
}

/// Whether a new column with this default needs no row to be written anew.
fn is_one_for_all(column: &Id, to: &Schema, value: &str) -> bool {
    let data_type = to.get(column).and_then(|object| object.text("type")).unwrap_or_default();
    let name = quote_ident(&column.name);
    let text = format!("ALTER TABLE {} ADD COLUMN {name} {data_type} DEFAULT {value}", column.table_sql());
    effects_of_text(&text).is_ok_and(|effects| effects.work.iter().all(|work| work.kind != WorkKind::Rewrite))
}

/// The text in its safe form as `lint --fix` writes it, what was done for that, and what is found still.
fn in_safe_form(there: &Schema, text: String) -> Result<(String, Vec<Fixed>, Vec<Located>), GenerateError> {
    let empty = Schema::empty(there.server_version, there.owner.clone());
    let before = diff(&empty, there, Options { safe: false });
    let before = migration(&without_left(before), "nothing", "what is there");
    let is_something = before.contains(";\n");
    let files = |text: &str| {
        let new = ("0002_models.sql", text);
        let both = [("0001_there.sql", before.as_str()), new];
        readable("models", if is_something { &both } else { &both[1..] })
    };
    let project = files(&text)?;
    let last = project.migrations.len().saturating_sub(1);
    let which = Which::OneRun([last].into());
    let mended = fix::mended(&project, &which, &[last].into(), None, 0);
    let parts: Vec<String> = mended.files.into_iter().map(|file| file.after).collect();
    let text = if parts.is_empty() { text } else { parts.join("\n-- cutover: new-transaction\n") };
    let found = lint::look(&files(&text)?, &which, None);
    Ok((text, mended.fixed, found.findings))
}

/// Texts as a project, in which what looks like a placeholder is text.
fn readable(name: &str, files: &[(&str, &str)]) -> Result<Project, GenerateError> {
    let bytes: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    let mut project = Project::embedded(name, &bytes)?;
    let all: String = files.iter().map(|(_, text)| *text).collect();
    project.vars = as_they_stand(all.as_bytes())?;
    Ok(project)
}

/// What it does, in a few words.
fn title(differences: &[Difference], renames: &[Rename]) -> String {
    let tables: std::collections::BTreeSet<&str> =
        differences.iter().map(|difference| difference.table.as_str()).collect();
    let is_all = |code: &str| {
        renames.is_empty() && !differences.is_empty() && differences.iter().all(|one| one.code == code)
    };
    let named = |mut names: Vec<&str>| {
        let more = names.len() > 3;
        names.truncate(3);
        names.join(" and ") + if more { " and more" } else { "" }
    };
    if is_all("table-missing") {
        return format!("create {}", named(tables.into_iter().collect()));
    }
    match tables.into_iter().collect::<Vec<_>>()[..] {
        [table] if is_all("column-missing") => {
            let columns = differences.iter().filter_map(|one| one.column.as_deref()).collect();
            format!("add {} to {table}", named(columns))
        }
        [table] => format!("change {table} as its model says"),
        _ => "change tables as the models say".to_owned(),
    }
}
