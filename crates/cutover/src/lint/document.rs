//! Findings as a JSON document.

use cutover_analysis::lint::{self, Severity};
use serde::Serialize;

use super::{Found, Located};
use crate::run::FORMAT_VERSION;

/// The document of `lint --format json`; docs/json.md says what each field is.
#[derive(Debug, Serialize)]
struct Document<'a> {
    format_version: u32,
    project: &'a str,
    files: usize,
    findings: &'a [Located],
    broken: Vec<Broken<'a>>,
}

#[derive(Debug, Serialize)]
struct Broken<'a> {
    path: &'a str,
    line: Option<u32>,
    column: Option<u32>,
    message: &'a str,
}

/// What was found, for programs.
pub fn document<'a>(project: &'a str, found: &'a Found) -> impl Serialize + 'a {
    let broken = found.broken.iter().map(|problem| Broken {
        path: &problem.path,
        line: problem.place.map(|place| place.line),
        column: problem.place.map(|place| place.column),
        message: &problem.message,
    });
    Document {
        format_version: FORMAT_VERSION,
        project,
        files: found.files,
        findings: &found.findings,
        broken: broken.collect(),
    }
}

/// A rule, in the document of `lint --rules --format json`.
#[derive(Debug, Serialize)]
struct Rule {
    code: &'static str,
    severity: Severity,
    on: bool,
    why: &'static str,
    safe: &'static str,
    mechanical: bool,
}

/// A rule with its page, in the document of `lint --explain CODE --format json`.
#[derive(Debug, Serialize)]
struct Explained {
    format_version: u32,
    #[serde(flatten)]
    rule: Rule,
    page: String,
}

/// A rule and its page, for programs.
pub fn rule_document(about: &lint::About) -> impl Serialize {
    Explained { format_version: FORMAT_VERSION, rule: rule(about), page: lint::page::page_alone(about) }
}

/// What `lint --fix` has written, or would write, in the document of `lint --fix --format json`.
#[derive(Debug, Serialize)]
struct MendedDocument<'a> {
    format_version: u32,
    project: &'a str,
    written: bool,
    files: Vec<MendedFile<'a>>,
    fixed: &'a [super::fix::Fixed],
    left: &'a [super::fix::Left],
}

#[derive(Debug, Serialize)]
struct MendedFile<'a> {
    path: &'a str,
    new: bool,
    text: &'a str,
}

/// What was mended, for programs; `written` unless it only would be.
pub fn mended_document<'a>(
    project: &'a str,
    mended: &'a super::fix::Mended,
    written: bool,
) -> impl Serialize + 'a {
    let file = |file: &'a super::fix::Changed| MendedFile {
        path: &file.path,
        new: file.before.is_none(),
        text: &file.after,
    };
    MendedDocument {
        format_version: FORMAT_VERSION,
        project,
        written,
        files: mended.files.iter().map(file).collect(),
        fixed: &mended.fixed,
        left: &mended.left,
    }
}

#[derive(Debug, Serialize)]
struct Rules {
    format_version: u32,
    rules: Vec<Rule>,
}

/// Every rule, for programs.
pub fn rules_document() -> impl Serialize {
    Rules { format_version: FORMAT_VERSION, rules: lint::all().map(rule).collect() }
}

fn rule(about: &lint::About) -> Rule {
    Rule {
        code: about.code,
        severity: about.severity,
        on: about.on,
        why: about.why,
        safe: about.safe,
        mechanical: lint::fix::is_mechanical(about.code),
    }
}
