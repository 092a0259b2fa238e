//! From what a project says to checks that can be measured. Everything wrong with their keys is found here, before
//! anything is measured.

use std::collections::BTreeSet;
use std::time::Duration;

use cutover_analysis::sql::Statement;

use super::checks::{self, Check, Input};
use super::statements;
use crate::plan::select;
use crate::project::config::Table;
use crate::project::{CONFIG_FILE, CheckSpec, Problem, Problems, Project, When};

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

/// Reads all checks of a project: those of `cutover.toml`, the SQL files, and what stages use.
///
/// # Errors
/// Everything that is wrong with them, each with its place.
pub fn prepare(project: &Project) -> Result<Vec<Prepared>, Problems> {
    let mut problems = Problems::default();
    let mut prepared: Vec<Prepared> =
        project.checks.iter().filter_map(|spec| read(project, spec, &mut problems)).collect();
    imply(project, &mut prepared, &mut problems);
    for path in &project.check_files {
        match std::fs::read_to_string(path) {
            Ok(text) => from_file(&project.display_path(path), &text, &mut prepared, &mut problems),
            Err(error) => problems
                .push(Problem::of_file(project.display_path(path), format!("cannot read the file: {error}"))),
        }
    }
    for (index, stage) in project.stages.iter().enumerate().filter(|(_, stage)| !stage.uses.is_empty()) {
        match checks::uses(&stage.uses) {
            Ok(check) => prepared.push(Prepared {
                name: format!("{} {} finds what it uses", stage.kind, stage.id),
                kind: "uses",
                stage: Some(index),
                when: When::After,
                requires: Vec::new(),
                timeout: None,
                check,
            }),
            Err(why) => {
                problems.push(Problem::of_file(CONFIG_FILE, format!("line {}: uses: {why}", stage.line)));
            }
        }
    }
    let mut names = BTreeSet::new();
    for check in &prepared {
        if !names.insert(&check.name) {
            problems.push(Problem::of_file(CONFIG_FILE, format!("two checks are named {:?}", check.name)));
        }
    }
    problems.into_result()?;
    Ok(prepared)
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
            Ok((check, Ok(()))) => prepared.push(Prepared {
                name: name.to_owned(),
                kind: kind.name,
                stage: None,
                when: When::After,
                requires: Vec::new(),
                timeout: None,
                check,
            }),
            Ok((_, Err(wrong))) | Err(wrong) => problems.absorb(wrong),
        }
    }
}

/// Reads one `[[check]]`.
fn read(project: &Project, spec: &CheckSpec, problems: &mut Problems) -> Option<Prepared> {
    let Some(kind) = checks::find(&spec.kind) else {
        problems.push(spec.unknown_kind(&checks::names()));
        return None;
    };
    let mut table = spec.params.clone();
    let requires = table.take_strings("requires");
    let requires =
        requires.into_iter().filter_map(|version| match select::find(project, version.get_ref()) {
            Ok((index, _)) => Some(index),
            Err(error) => {
                table.report(&version.span(), error.to_string(), None);
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

/// Reads a file of statements that must return no rows.
fn from_file(path: &str, text: &str, prepared: &mut Vec<Prepared>, problems: &mut Problems) {
    match statements::split(text) {
        Err(why) => problems.push(Problem::of_file(path, why)),
        Ok(statements) => {
            for statement in statements {
                match name(&statement) {
                    Ok(given) => prepared.push(Prepared {
                        name: given.unwrap_or_else(|| format!("{path}:{}", statement.line)),
                        kind: "no_rows",
                        stage: None,
                        when: When::After,
                        requires: Vec::new(),
                        timeout: None,
                        check: checks::no_rows(statement.text),
                    }),
                    Err(why) => problems.push(Problem::of_file(path, why)),
                }
            }
        }
    }
}

/// The name a statement has from its directive.
fn name(statement: &Statement) -> Result<Option<String>, String> {
    let mut name = None;
    for directive in &statement.directives {
        match (directive.name.as_str(), directive.argument.as_str()) {
            ("name", "") => return Err(format!("line {}: the name is missing", directive.line)),
            ("name", given) => name = Some(given.to_owned()),
            (other, _) => {
                return Err(format!("line {}: unknown directive {other:?} (known: name)", directive.line));
            }
        }
    }
    Ok(name)
}
