//! What the rules of lint say of what is pending, with what the trace has measured of the same statements; and what only the
//! trace can find.

use std::collections::BTreeSet;

use cutover_analysis::lint::{Known, by_code};

use super::error::RehearseError;
use super::model::{Finding, Rehearsal, Traced, TracedStatement};
use crate::catalog;
use crate::lint::database::{self, Ask};
use crate::lint::{self, Located, Seen, Which};
use crate::project::Project;
use crate::report::format::duration;
use crate::verify::sandbox::Scratch;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

/// A rewrite that no rule has foreseen.
const ANY_OTHER_REWRITE: &str = "any-other-rewrite";

/// Rules that say that a table is written anew.
const REWRITES: [&str; 8] = [
    ANY_OTHER_REWRITE,
    "volatile-default-rewrites",
    "stored-generated-column-rewrites",
    "identity-or-serial-on-existing-table",
    "type-change-rewrites",
    "domain-with-check-column",
    "vacuum-full-or-cluster",
    "refresh-materialized-view-locks",
];

/// What rules know: of the real database, where there is one, what it says of itself.
pub(super) async fn known(
    target: Option<&ConnectOptions>,
    scratch: &Scratch,
) -> Result<Known, RehearseError> {
    let mut session = Session::connect(target.unwrap_or(&scratch.options), &Startup::default()).await?;
    let known = async {
        let context = catalog::context(&mut session, Vec::new()).await?;
        Ok::<_, RehearseError>(database::ask(&mut session, context, Ask { bodies: true }).await?.known)
    };
    let known = known.await;
    session.close().await;
    known
}

/// What code does of which the text does not say so, by the rules that say it of statements.
const DROP_TABLE: &str = "drop-table";
const CREATE_INDEX: &str = "create-index-blocks-writes";

/// Everything that is found.
pub(super) fn all(project: &Project, places: &[usize], known: &Known, rehearsal: &Rehearsal) -> Vec<Finding> {
    let which = Which::OneRun(places.iter().copied().collect::<BTreeSet<usize>>());
    let found = lint::look(project, &which, Some(known.clone()));
    let mut findings: Vec<Finding> = found
        .findings
        .into_iter()
        .map(|found| {
            let measured = statement_of(rehearsal, &found)
                .filter(|_| by_code(&found.code).is_some_and(|about| about.seen.contains(&Seen::Trace)))
                .and_then(|(traced, statement)| measured(traced, statement));
            Finding { found, measured }
        })
        .collect();
    for traced in &rehearsal.migrations {
        for statement in &traced.statements {
            let is_said = |codes: &[&str]| {
                findings.iter().any(|finding| {
                    codes.contains(&finding.found.code.as_str())
                        && statement_of(rehearsal, &finding.found)
                            .is_some_and(|(_, other)| std::ptr::eq(other, statement))
                })
            };
            let large = |tables: &[String]| -> Vec<String> {
                tables.iter().filter(|table| !known.is_small_by_name(table)).cloned().collect()
            };
            let TracedStatement { announced, gone, held, .. } = statement;
            let mut more = Vec::new();
            for (codes, code, tables, what) in [
                (
                    &REWRITES[..],
                    ANY_OTHER_REWRITE,
                    large(announced),
                    "written anew while nobody can use {them}",
                ),
                (&[DROP_TABLE][..], DROP_TABLE, gone.clone(), "dropped by code"),
                (
                    &[CREATE_INDEX][..],
                    CREATE_INDEX,
                    large(held),
                    "kept by code from being written to, as by building an index",
                ),
            ] {
                if !is_said(codes) {
                    more.extend(seen(project, traced, statement, (code, &tables), what));
                }
            }
            findings.extend(more);
        }
    }
    let order = |finding: &Finding| {
        let file = rehearsal.migrations.iter().position(|traced| traced.path == finding.found.path);
        (file, finding.found.line, finding.found.column)
    };
    findings.sort_by_key(order);
    findings
}

/// The statement that a finding is about.
fn statement_of<'a>(rehearsal: &'a Rehearsal, found: &Located) -> Option<(&'a Traced, &'a TracedStatement)> {
    let traced = rehearsal.migrations.iter().find(|traced| traced.path == found.path)?;
    let statement = traced.statements.iter().rfind(|statement| statement.line <= found.line)?;
    Some((traced, statement))
}

/// What was measured of a statement, in words; nothing where all that it uses was made in the run.
fn measured(traced: &Traced, statement: &TracedStatement) -> Option<String> {
    let held = |name: &String| traced.locks.iter().find(|held| held.relation == *name && held.is_table);
    let is_new = |name: &&String| held(name).is_some_and(|held| held.is_new);
    let mut words = Vec::new();
    for taken in &statement.locks {
        let Some(held) = held(&taken.relation).filter(|held| held.holds_up()) else { continue };
        words.push(format!("held {} on {} for {}", taken.mode.sql(), taken.relation, duration(held.took())));
    }
    words.extend(
        statement.rewritten.iter().filter(|name| !is_new(name)).map(|table| format!("wrote {table} anew")),
    );
    words.extend(
        statement.scanned.iter().filter(|name| !is_new(name)).map(|table| format!("read all of {table}")),
    );
    if !words.is_empty() {
        return Some(words.join("; "));
    }
    let all_new = traced.locks.iter().filter(|held| held.is_table).all(|held| held.is_new);
    (!all_new).then(|| "nothing of it was seen in the rehearsal".to_owned())
}

/// What the trace alone has seen of tables that were there.
fn seen(
    project: &Project,
    traced: &Traced,
    statement: &TracedStatement,
    (code, tables): (&str, &[String]),
    what: &str,
) -> Option<Finding> {
    let about = by_code(code)?;
    let severity = project.lint.selected(&traced.path).severity(about.code)?;
    if tables.is_empty() {
        return None;
    }
    let are = if tables.len() == 1 { "is" } else { "are" };
    let them = if tables.len() == 1 { "it" } else { "them" };
    let found = Located {
        code: about.code.to_owned(),
        severity,
        path: traced.path.clone(),
        line: statement.line,
        column: 1,
        source_line: statement.text.clone(),
        message: format!("{} {are} {}", tables.join(", "), what.replace("{them}", them)),
        help: about.safe.to_owned(),
        seen_by: Seen::Trace,
        mending: None,
    };
    Some(Finding { found, measured: measured(traced, statement) })
}
