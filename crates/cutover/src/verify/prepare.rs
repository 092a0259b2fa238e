//! From what a project says to checks that can be measured. Everything wrong with their keys is found here, before
//! anything is measured.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::time::Duration;

use cutover_analysis::sql::{Statement, quote_literal};

use super::checks::{self, Check, Input};
use super::claim::Claim;
use super::statements::{self, Wrong};
use crate::migration::Source;
use crate::plan::select;
use crate::project::config::Table;
use crate::project::{
    CONFIG_FILE, CheckSpec, ClaimPlace, Draft, Place, Problem, Problems, Project, When, routine_in, text,
};

/// A check that can be measured.
#[derive(Debug)]
pub struct Prepared {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Index of the stage from which on it is measured.
    pub stage: Option<usize>,
    /// When it is measured.
    pub when: When,
    /// Indexes of migrations without which there is nothing to measure.
    pub requires: Vec<usize>,
    /// Its own limit for a statement.
    pub timeout: Option<Duration>,
    pub(crate) check: Box<dyn Check>,
}

/// Reads all checks of a project: those of `cutover.toml`, the SQL files, scripts that verify
/// migrations, and what stages use.
///
/// # Errors
/// Everything that is wrong with them, each with its place.
pub fn prepare(project: &Project) -> Result<Vec<Prepared>, Problems> {
    let (prepared, problems) = read_all(project, true);
    problems.into_result()?;
    Ok(prepared)
}

/// What is wrong with the checks and claims of a project of which something else is wrong as well.
pub fn problems_of(draft: &Draft) -> Problems {
    read_all(&draft.project, draft.complete).1.sorted()
}

fn read_all(project: &Project, complete: bool) -> (Vec<Prepared>, Problems) {
    let mut problems = Problems::default();
    for ClaimPlace { text, place } in &project.claim_places {
        if let Err(why) = Claim::parse(text) {
            problems.push(Problem { message: why, ..place.clone() });
        }
    }
    let mut prepared: Vec<Prepared> =
        project.checks.iter().filter_map(|spec| read(project, spec, complete, &mut problems)).collect();
    imply(project, &mut prepared, &mut problems);
    for path in &project.check_files {
        match std::fs::read_to_string(path) {
            Ok(text) => from_file(&project.display_path(path), &text, &mut prepared, &mut problems),
            Err(error) => problems
                .push(Problem::of_file(project.display_path(path), format!("cannot read the file: {error}"))),
        }
    }
    for (index, migration) in project.migrations.iter().enumerate() {
        let Some((source, path)) = migration.verify.as_deref() else { continue };
        match text_of(source) {
            Ok(text) => match statements::script(&text) {
                Ok(statements) => {
                    let lines = statements.into_iter().map(|statement| (statement.line, statement.text));
                    let check = checks::script(path, lines.collect());
                    prepared.push(Prepared {
                        requires: vec![index],
                        ..Prepared::new(format!("{path} succeeds"), "script", check)
                    });
                }
                Err(wrong) => problems.push(problem_in(path, &text, wrong)),
            },
            Err(error) => problems.push(Problem::of_file(path, format!("cannot read the file: {error}"))),
        }
    }
    for (index, stage) in project.stages.iter().enumerate().filter(|(_, stage)| !stage.uses.is_empty()) {
        // What is written wrong is said above, with its place.
        let Ok(check) = checks::uses(&stage.uses) else { continue };
        prepared.push(Prepared {
            stage: Some(index),
            ..Prepared::new(format!("{} {} finds what it uses", stage.kind, stage.id), "uses", check)
        });
    }
    if let Some(sql) = replaced_calls(project) {
        let stage = project.stages.len().checked_sub(1);
        let check = checks::no_rows(sql);
        prepared.push(Prepared {
            stage,
            ..Prepared::new("old and new calls are there".to_owned(), "replaces", check)
        });
    }
    let mut names = BTreeSet::new();
    for check in &prepared {
        if !names.insert(&check.name) {
            problems.push(Problem::of_file(CONFIG_FILE, format!("two checks are named {:?}", check.name)));
        }
    }
    (prepared, problems)
}

impl Prepared {
    /// One that is measured after every run.
    fn new(name: String, kind: &'static str, check: Box<dyn Check>) -> Self {
        Self { name, kind, stage: None, when: When::After, requires: Vec::new(), timeout: None, check }
    }
}

/// A query for those calls of `[[api.replaces]]` that the database does not have.
fn replaced_calls(project: &Project) -> Option<String> {
    let call = |line: u32, key: &str, text: &str| {
        let name = routine_in(text)?;
        let what = quote_literal(&format!("{CONFIG_FILE}:{line}: {key} = {text:?}"));
        // A name alone is found where there is one of it.
        let found = match name.procedure() {
            Some(procedure) => format!("pg_catalog.to_regprocedure({})", quote_literal(&procedure)),
            None => format!("pg_catalog.to_regproc({})", quote_literal(&name.qualified())),
        };
        Some(format!("({what}, {found}::pg_catalog.oid)"))
    };
    let each = project.replaces.iter();
    let calls: Vec<String> = each
        .flat_map(|one| [call(one.line, "old", &one.old), call(one.line, "new", &one.new)])
        .flatten()
        .collect();
    (!calls.is_empty()).then(|| {
        format!("SELECT t.call FROM (VALUES {}) t (call, found) WHERE t.found IS NULL", calls.join(", "))
    })
}

/// What is claimed is measured, also where no `[[check]]` says so.
fn imply(project: &Project, prepared: &mut Vec<Prepared>, problems: &mut Problems) {
    let claims = project.migrations.iter().any(|migration| {
        let claims = &migration.claims;
        !(claims.creates.is_empty() && claims.alters.is_empty() && claims.uses.is_empty())
    });
    let implied = [
        ("claims", "every claim", claims),
        ("design", "the database equals the design", !project.design.ddl.is_empty()),
    ];
    for (kind, name, is_said) in implied {
        let Some(kind) = checks::find(kind).filter(|_| is_said) else { continue };
        if prepared.iter().any(|check| check.kind == kind.name) {
            continue;
        }
        let read = Table::parse(CONFIG_FILE, "").map(|mut table| {
            let check = (kind.read)(&mut Input { table: &mut table, project });
            (check, table.finish())
        });
        match read {
            Ok((check, Ok(()))) => prepared.push(Prepared::new(name.to_owned(), kind.name, check)),
            Ok((_, Err(wrong))) | Err(wrong) => problems.absorb(wrong),
        }
    }
}

/// Reads one `[[check]]`.
fn read(project: &Project, spec: &CheckSpec, complete: bool, problems: &mut Problems) -> Option<Prepared> {
    let Some(kind) = checks::find(&spec.kind) else {
        problems.push(spec.unknown_kind(&checks::names()));
        return None;
    };
    let mut table = spec.params.clone();
    table.call(format!("check {:?}", spec.name));
    let requires = table.take_strings("requires");
    let requires =
        requires.into_iter().filter_map(|version| match select::find(project, version.get_ref()) {
            Ok((index, _)) => Some(index),
            Err(error) => {
                if complete {
                    table.report(&version.span(), error.to_string(), None);
                }
                None
            }
        });
    let requires = requires.collect();
    let timeout = table.take_duration("timeout").map(|spanned| spanned.into_inner().0);
    let check = (kind.read)(&mut Input { table: &mut table, project });
    if spec.when != When::After && !kind.precondition {
        let span = table.span_of("kind");
        table.report(&span, format!("a check of kind {} cannot be a precondition", kind.name), None);
    }
    if let Err(wrong) = table.finish() {
        problems.absorb(wrong);
    }
    Some(Prepared {
        name: spec.name.clone(),
        kind: kind.name,
        stage: spec.stage,
        when: spec.when.clone(),
        requires,
        timeout,
        check,
    })
}

/// What the grammar says against the SQL of checks, which stops a run unless `--allow unparsed` lets it pass. Not part of
/// reading them, which is done often: parsing takes time.
pub fn unparsed(project: &Project) -> Problems {
    let mut unparsed: Vec<Problem> =
        project.checks.iter().flat_map(|spec| unparsed_of(project, spec)).collect();
    for path in &project.check_files {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        unparsed.extend(unparsed_in(&project.display_path(path), &text));
    }
    for (source, path) in project.migrations.iter().filter_map(|migration| migration.verify.as_deref()) {
        let Ok(text) = text_of(source) else { continue };
        let statements = statements::script(&text).unwrap_or_default();
        let wrong = statements.iter().filter_map(statements::unparsed);
        unparsed.extend(wrong.map(|wrong| by_our_grammar(problem_in(path, &text, wrong))));
    }
    Problems(unparsed)
}

/// The text of a script.
fn text_of(source: &Source) -> io::Result<String> {
    let mut content = String::new();
    text::open(source)?.read_to_string(&mut content)?;
    Ok(content)
}

/// Where a statement is to be refused, a wrong one may be meant.
fn unparsed_of(project: &Project, spec: &CheckSpec) -> Vec<Problem> {
    let mut table = spec.params.clone();
    let mut unparsed = Vec::new();
    for key in ["setup", "sql"] {
        let span = table.span_of(key);
        let Some(text) = table.take_string(key).filter(|_| (spec.kind.as_str(), key) != ("fails", "sql"))
        else {
            continue;
        };
        let statements = statements::split(&text).unwrap_or_default();
        let wrong = statements.iter().filter_map(statements::unparsed);
        unparsed.extend(wrong.map(|wrong| by_our_grammar(table.problem_at(&span, wrong.to_string()))));
    }
    if let Some(file) = table.take_string("file")
        && let Ok(text) = std::fs::read_to_string(project.root.join(&file))
    {
        unparsed.extend(unparsed_in(&file, &text));
    }
    unparsed
}

/// The same for a file of statements.
fn unparsed_in(path: &str, text: &str) -> Vec<Problem> {
    let statements = statements::split(text).unwrap_or_default();
    let wrong = statements.iter().filter_map(statements::unparsed);
    wrong.map(|wrong| by_our_grammar(problem_in(path, text, wrong))).collect()
}

fn by_our_grammar(problem: Problem) -> Problem {
    problem.with_hint(
        "this is PostgreSQL 18's grammar; `apply --allow unparsed` leaves the verdict to the server",
    )
}

/// A problem at a place of a text.
fn problem_in(path: &str, text: &str, wrong: Wrong) -> Problem {
    let line = usize::try_from(wrong.line).unwrap_or(usize::MAX);
    Problem {
        place: Some(Place { line: wrong.line, column: wrong.column }),
        source_line: text.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_owned(),
        ..Problem::of_file(path, wrong.message)
    }
}

/// Reads a file of statements that must return no rows.
fn from_file(path: &str, text: &str, prepared: &mut Vec<Prepared>, problems: &mut Problems) {
    let statements = match statements::split(text) {
        Ok(statements) => statements,
        Err(wrong) => return problems.push(problem_in(path, text, wrong)),
    };
    for statement in statements {
        match name(&statement) {
            Ok(given) => {
                let name = given.unwrap_or_else(|| format!("{path}:{}", statement.line));
                prepared.push(Prepared::new(name, "no_rows", checks::no_rows(statement.text)));
            }
            Err(wrong) => problems.push(problem_in(path, text, wrong)),
        }
    }
}

/// The name a statement has from its directive.
fn name(statement: &Statement) -> Result<Option<String>, Wrong> {
    let mut name = None;
    for directive in &statement.directives {
        let wrong = |message: String| Wrong { line: directive.line, column: 1, message };
        match (directive.name.as_str(), directive.argument.as_str()) {
            ("name", "") => return Err(wrong("the name is missing".to_owned())),
            ("name", given) => name = Some(given.to_owned()),
            (other, _) => return Err(wrong(format!("unknown directive {other:?} (known: name)"))),
        }
    }
    Ok(name)
}
