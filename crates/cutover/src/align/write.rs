//! The next migration from models: what they say otherwise than the migrations so far becomes statements, in the form that a table in
//! use can bear, and is proven on a throwaway server before anybody gets it. Nothing that is there goes without a word, and nothing
//! is written to any file here.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Diff, Options, diff, diff_with_renamed_values};
use cutover_analysis::effects::{ObjectKind, reaches_beyond};
use cutover_analysis::models::Models;
use cutover_analysis::schema::{Id, Object, Place, Schema, Sql, Value, hazards};
use cutover_analysis::sql::{Item, Splitter, quote_ident, quote_literal};
use serde::Serialize;
use thiserror::Error;

use super::build::build;
use super::decide::{self, Decisions, Fill, Undecided};
use super::fill::Filling;
use super::model::{Alignment, Difference, Subject};
use super::proof::{self, Proof};
use super::{AlignError, hold};
use super::{fill, fold, unread, wanted};
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
    /// Decisions about what may be in what could not be read.
    #[error("{} cannot be decided: {}", .0.join(", "), held_back(.1))]
    Unread(Vec<String>, Vec<super::NotCompared>),
    /// Nothing of the models could be compared: no migration follows from that.
    #[error("nothing of the models could be compared, and nothing follows from that: {}", held_back(.0))]
    NotCompared(Vec<super::NotCompared>),
    /// What was written cannot be read as a migration.
    #[error("what was written cannot be read as a migration: {0}")]
    Unreadable(#[from] ProjectError),
    /// A placeholder of what was written is none.
    #[error("what was written cannot be read: {0}")]
    Placeholders(#[from] std::io::Error),
}

/// Why something is not decided, in words.
fn held_back(why: &[super::NotCompared]) -> String {
    let one = |one: &super::NotCompared| format!("{}:{}: {}", one.path, one.line, one.what);
    why.iter().map(one).collect::<Vec<_>>().join("; ")
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
    /// What the way back leaves otherwise than it was before, or why it cannot be gone; rows that were lost are not meant.
    pub back: Vec<String>,
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
    let alignment = hold(&built, &from, &decisions.keep);
    if !alignment.has_compared() {
        return Err(GenerateError::NotCompared(alignment.not_compared));
    }
    let Alignment { differences, not_compared, .. } = alignment;
    let idle = decide::idle(decisions, &differences, (&built.schema, &from));
    if !idle.is_empty() {
        let held = unread::held(&not_compared);
        let is_so = held.is_empty();
        return Err(if is_so { GenerateError::Idle(idle) } else { GenerateError::Unread(idle, held) });
    }
    let undecided = decide::undecided(&built.models, (&built.schema, &from), &differences, decisions);
    if !undecided.is_empty() {
        return Ok(Generated { undecided, not_compared, ..Generated::default() });
    }
    let values: Vec<(String, String)> =
        decisions.values.iter().map(|one| (one.from.clone(), one.to.clone())).collect();
    let to = wanted::wanted(&built.schema, &from, &differences, &decisions.keep, &values);
    let decided = Decided { renames: &renames, fills: &decisions.fills, values: &values };
    let forward = statements(&from, &to.schema, &decided, &differences);
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
    let (text, fixed, findings) = in_safe_form(&there, text, decisions)?;
    // What models make must not run on a server that others use, not even to be proven.
    if let Some(why) = built.is_shared.then(|| beyond(&text)).flatten() {
        generated.failed = Some(why);
        generated.sql = text;
        return Ok(generated);
    }
    let written = readable("models", &[(WRITTEN, &text)])?;
    let undo = |reached: &Schema| {
        migration(&without_left(back(reached, &from, &decided)), "what the models say", &name)
    };
    let run = proof::Run { project, there: &there, written: &written, undo: &undo };
    let Proof { still, failed, undo, back } = proof::prove(&built, &run, &decisions.keep, sandbox).await?;
    generated.still = still;
    // The file has no name yet.
    generated.failed = failed.map(|why| why.replace(WRITTEN, "what would be written"));
    generated.sql = text;
    generated.undo = undo;
    generated.back = back;
    generated.fixed = fixed;
    generated.findings = findings;
    Ok(generated)
}

/// The first statement of a text that may do something beyond its database, in words.
fn beyond(text: &str) -> Option<String> {
    Splitter::new(text.as_bytes()).find_map(|item| {
        let Ok(Item::Statement(statement)) = item else { return None };
        let why = reaches_beyond(&statement.text)?;
        Some(format!(
            "line {}: it may do something beyond its database, and others use that server: {why}",
            statement.line
        ))
    })
}

/// Whether a migration that was written has any statement.
pub(super) fn is_something(migration: &str) -> bool {
    migration.contains(";\n")
}

/// What is left is said beside the statements, not among them.
fn without_left(diff: Diff) -> Diff {
    Diff { left: Vec::new(), ..diff }
}

/// What was decided, as statements need it.
struct Decided<'a> {
    renames: &'a [Rename],
    fills: &'a [Fill],
    /// Values of types, old and new.
    values: &'a [(String, String)],
}

/// The statements forward.
fn statements(from: &Schema, to: &Schema, decided: &Decided<'_>, differences: &[Difference]) -> Diff {
    let safe = Options { safe: true };
    let (taken, from) = with_taken_over(from, to, differences);
    let (given_up, to) = with_given_up(&from, to, differences);
    let (from, to) = (&from, &to);
    let Filling { early, updates, mut middle, to } = fill::filling(from, to, decided.fills);
    with_replaced(&mut middle, from, differences);
    with_lost(&mut middle, from, differences);
    let renames = decided.renames.iter().map(|rename| Sql::plain(rename.sql()));
    let mut forward = diff(from, &early, safe);
    forward.statements.splice(0..0, renames.chain(taken));
    forward.statements.extend(updates.iter().cloned());
    let mut then = diff_with_renamed_values(&early, &middle, safe, decided.values);
    let last = diff(&middle, &to, safe);
    then.statements.extend(last.statements);
    forward.statements.extend(fill::once_more(then.statements, &updates));
    for left in then.left.into_iter().chain(last.left) {
        if !forward.left.contains(&left) {
            forward.left.push(left);
        }
    }
    forward.statements.extend(given_up);
    forward.statements = fold::fold(forward.statements, from);
    let moved = fold::gathered(&mut forward.statements, from);
    placed(&mut forward.statements, &moved);
    forward
}

/// What is made anew is so in one transaction, with what has joined it, and what takes long is in one of its own: nobody waits for what
/// others do to other tables.
fn placed(statements: &mut [Sql], moved: &BTreeSet<String>) {
    let as_one = fold::made_anew(statements, moved);
    for (at, statement) in statements.iter_mut().enumerate() {
        let is_long = statement.hazards.contains(&hazards::REWRITE);
        let is_in_one = as_one.iter().any(|range| range.contains(&at));
        let is_behind_one =
            at.checked_sub(1).is_some_and(|before| as_one.iter().any(|range| *range.end() == before));
        if is_in_one {
            let is_first = as_one.iter().any(|range| *range.start() == at);
            statement.place = if is_first { Place::NewTransaction } else { Place::Together };
        } else if is_long && matches!(statement.place, Place::Together | Place::NewTransaction) {
            statement.place = Place::Alone;
        } else if is_behind_one && statement.place == Place::Together {
            statement.place = Place::NewTransaction;
        }
    }
}

/// The statements back: from what was reached to what was there, of which `from` has the new names.
fn back(reached: &Schema, from: &Schema, decided: &Decided<'_>) -> Diff {
    let values: Vec<(String, String)> =
        decided.values.iter().map(|(old, new)| (new.clone(), old.clone())).collect();
    let mut back = diff_with_renamed_values(reached, from, Options { safe: true }, &values);
    back.statements.extend(decided.renames.iter().rev().map(|rename| Sql::plain(rename.undone().sql())));
    back
}

/// Constraints that take over a unique index as it is: nothing is built, and values are unique all the time.
fn with_taken_over(from: &Schema, to: &Schema, differences: &[Difference]) -> (Vec<Sql>, Schema) {
    let (mut taken, mut schema) = (Vec::new(), from.clone());
    for difference in differences {
        let (Some(model), Some(there)) = (&difference.subject.model, &difference.subject.there) else {
            continue;
        };
        let is_such = difference.code == "index"
            && model.kind == ObjectKind::Constraint
            && there.kind == ObjectKind::Index
            && is_plain_unique(from.get(there), to.get(model))
            && !is_partitioned(from, model);
        let Some(object) = to.get(model).filter(|_| is_such) else { continue };
        let (name, index) = (quote_ident(&model.name), quote_ident(&there.name));
        taken.push(Sql::plain(format!(
            "ALTER TABLE {} ADD CONSTRAINT {name} UNIQUE USING INDEX {index}",
            model.table_sql()
        )));
        schema.objects.remove(there);
        schema.objects.insert(model.clone(), object.clone());
    }
    (taken, schema)
}

/// Constraints in whose place a unique index of the same name comes: it is built under another one, and gets that when the constraint
/// goes, so that values are unique all the time.
fn with_given_up(from: &Schema, to: &Schema, differences: &[Difference]) -> (Vec<Sql>, Schema) {
    let (mut statements, mut schema) = (Vec::new(), to.clone());
    for difference in differences {
        let (Some(model), Some(there)) = (&difference.subject.model, &difference.subject.there) else {
            continue;
        };
        let is_needed = |object: &Object| object.needs.contains(there);
        let is_such = model.kind == ObjectKind::Index
            && there.kind == ObjectKind::Constraint
            && model.name == there.name
            && difference.subject.attributes.is_empty()
            && !is_partitioned(from, there)
            && !from.objects.values().any(is_needed);
        let (Some(constraint), Some(index)) = (from.get(there), to.get(model).filter(|_| is_such)) else {
            continue;
        };
        let aside = quote_ident(&format!("{}__new", model.name.chars().take(55).collect::<String>()));
        let (name, definition) = (quote_ident(&model.name), index.text("definition").unwrap_or_default());
        let Some(rest) = definition.strip_prefix(&format!("CREATE UNIQUE INDEX {name} ")) else { continue };
        let table = model.table_sql();
        let schema_of = model.schema.as_deref().map(quote_ident).unwrap_or_default();
        statements.extend([
            Sql::plain(format!("CREATE UNIQUE INDEX CONCURRENTLY {aside} {rest}")).at(Place::Outside),
            Sql::plain(format!("ALTER TABLE {table} DROP CONSTRAINT {name}")).at(Place::NewTransaction),
            Sql::plain(format!("ALTER INDEX {schema_of}.{aside} RENAME TO {name}")),
        ]);
        // What was said of the one that goes is said of the one that comes, where the models say nothing else.
        if let Some(comment) = index.text("comment").or_else(|| constraint.text("comment")) {
            let said = quote_literal(comment);
            statements.push(Sql::plain(format!("COMMENT ON INDEX {schema_of}.{name} IS {said}")));
        }
        schema.objects.remove(model);
        schema.objects.insert(there.clone(), constraint.clone());
    }
    (statements, schema)
}

/// Whether an index is just what stands behind a constraint.
fn is_plain_unique(index: Option<&Object>, constraint: Option<&Object>) -> bool {
    let of = |object: Option<&Object>| object.and_then(|object| object.text("definition")).map(str::to_owned);
    let (Some(index), Some(constraint)) = (of(index), of(constraint)) else { return false };
    let columns = index.split_once(" USING btree ").map(|(_, columns)| format!("UNIQUE {columns}"));
    columns.is_some_and(|columns| columns == constraint)
}

fn is_partitioned(schema: &Schema, part: &Id) -> bool {
    let (Some(namespace), Some(table)) = (&part.schema, &part.table) else { return true };
    let table = Id::new(ObjectKind::Table, namespace.clone(), table.clone());
    schema.get(&table).is_none_or(|object| object.has("partition key"))
}

/// What is replaced by something of another name stays until that is there: nothing is unique by neither in between.
fn with_replaced(middle: &mut Schema, from: &Schema, differences: &[Difference]) {
    for difference in differences {
        let Subject { model: Some(model), there: Some(there), attributes, is_renamed: false, .. } =
            &difference.subject
        else {
            continue;
        };
        let Some(object) = from.get(there) else { continue };
        let is_alone = object.text("definition").is_some_and(|text| text.starts_with("PRIMARY KEY"));
        if attributes.is_empty()
            && model.name != there.name
            && !is_alone
            && middle.objects.contains_key(model)
        {
            middle.objects.insert(there.clone(), object.clone());
        }
    }
}

/// What holds rows or values goes last, when everything else is there that may fail, and with it what keeps them unique.
fn with_lost(middle: &mut Schema, from: &Schema, differences: &[Difference]) {
    for id in differences.iter().filter_map(decide::only_there) {
        let is_gone = middle.get(id).is_none();
        match id.kind {
            ObjectKind::Table if is_gone => {
                let parts = from.parts_of(id).map(|(part, _)| part.clone());
                let whole: Vec<Id> = std::iter::once(id.clone()).chain(parts).collect();
                for id in whole.iter().flat_map(|id| with_own(from, id)) {
                    keep(middle, from, &id);
                }
            }
            ObjectKind::Column if is_gone => {
                for id in with_own(from, id) {
                    keep(middle, from, &id);
                }
                in_their_order(middle, from, id);
            }
            _ => {}
        }
    }
}

fn keep(middle: &mut Schema, from: &Schema, id: &Id) {
    if let (None, Some(object)) = (middle.get(id), from.get(id)) {
        middle.objects.insert(id.clone(), object.clone());
    }
}

/// An object with the default and the sequence that are its own.
fn with_own(from: &Schema, id: &Id) -> Vec<Id> {
    let mut all = vec![id.clone()];
    if id.kind == ObjectKind::Column {
        all.push(Id { kind: ObjectKind::Default, ..id.clone() });
        let own = from.objects.iter().filter(|(sequence, object)| {
            sequence.kind == ObjectKind::Sequence && object.has("owned by") && object.needs.contains(id)
        });
        all.extend(own.map(|(sequence, _)| sequence.clone()));
    }
    all
}

/// Columns that stay for now stand where they are.
fn in_their_order(middle: &mut Schema, from: &Schema, column: &Id) {
    let (Some(schema), Some(table)) = (column.schema.clone(), column.table.clone()) else { return };
    let table = Id::new(ObjectKind::Table, schema, table);
    let Some(before) = from.get(&table).map(|object| object.list("columns").to_vec()) else { return };
    let is_there = |name: &String| {
        middle.get(&Id { kind: ObjectKind::Column, name: name.as_str().into(), ..column.clone() }).is_some()
    };
    let stay: Vec<String> = before.iter().filter(|name| is_there(name)).cloned().collect();
    if let Some(Value::List(columns)) =
        middle.objects.get_mut(&table).and_then(|object| object.attributes.get_mut("columns"))
    {
        let new: Vec<String> = columns.iter().filter(|name| !before.contains(name)).cloned().collect();
        *columns = stay.into_iter().chain(new).collect();
    }
}

/// What is proven, until it has a name.
const WRITTEN: &str = "0001_models.sql";

/// Rules whose safe form is another object than it was, or than the models say: who may read what, and as whom a function runs, is not
/// changed along with something else.
const OTHERS: [&str; 3] =
    ["view-bypasses-rls", "security-definer-without-search-path", "replace-view-drops-options"];

/// The text in its safe form as `lint --fix` writes it, what was done for that, and what is found still.
fn in_safe_form(
    there: &Schema,
    text: String,
    decisions: &Decisions,
) -> Result<(String, Vec<Fixed>, Vec<Located>), GenerateError> {
    let empty = Schema::empty(there.server_version, there.owner.clone());
    let before = diff(&empty, there, Options { safe: false });
    let before = migration(&without_left(before), "nothing", "what is there");
    let is_something = is_something(&before);
    let files = |text: &str| {
        let new = ("0002_models.sql", text);
        let both = [("0001_there.sql", before.as_str()), new];
        readable("models", if is_something { &both } else { &both[1..] })
    };
    let mut project = files(&text)?;
    project.lint.turn_off(&OTHERS);
    let last = project.migrations.len().saturating_sub(1);
    let which = Which::OneRun([last].into());
    let mended = fix::mended(&project, &which, &[last].into(), None, 0);
    let parts: Vec<String> = mended.files.into_iter().map(|file| file.after).collect();
    let text = if parts.is_empty() { text } else { parts.join("\n-- cutover: new-transaction\n") };
    let found = lint::look(&files(&text)?, &which, None);
    let text = with_decisions(&text, &found.findings, decisions);
    let found = lint::look(&files(&text)?, &which, None);
    Ok((text, mended.fixed, found.findings))
}

/// What lint finds of what was decided is allowed where it stands: whoever reads the file sees that it is meant.
fn with_decisions(text: &str, findings: &[Located], decisions: &Decisions) -> String {
    let dropped: &[&str] = if decisions.drop.is_empty() { &[] } else { &["drop-column", "drop-table"] };
    let is_renamed = !decisions.renames.is_empty() || !decisions.values.is_empty();
    let renamed: &[&str] =
        if is_renamed { &["rename-column", "rename-table", "rename-enum-value"] } else { &[] };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut decided: Vec<&Located> = findings
        .iter()
        .filter(|finding| {
            dropped.contains(&finding.code.as_str()) || renamed.contains(&finding.code.as_str())
        })
        .collect();
    decided.sort_by_key(|finding| std::cmp::Reverse(finding.line));
    for finding in decided {
        let at = usize::try_from(finding.line).unwrap_or(1).saturating_sub(1).min(lines.len());
        lines.insert(at, format!("-- cutover: allow {} decided when this was written", finding.code));
    }
    lines.join("\n") + "\n"
}

/// Texts as a project, in which what looks like a placeholder is text.
pub(super) fn readable(name: &str, files: &[(&str, &str)]) -> Result<Project, GenerateError> {
    let bytes: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    let mut project = Project::embedded(name, &bytes)?;
    let all: String = files.iter().map(|(_, text)| *text).collect();
    project.vars = as_they_stand(all.as_bytes())?;
    Ok(project)
}

/// What it does, in a few words.
fn title(differences: &[Difference], renames: &[Rename]) -> String {
    let tables: BTreeSet<&str> = differences.iter().map(|difference| difference.table.as_str()).collect();
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
