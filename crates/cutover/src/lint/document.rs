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
}

#[derive(Debug, Serialize)]
struct Rules {
    format_version: u32,
    rules: Vec<Rule>,
}

/// Every rule, for programs.
pub fn rules_document() -> impl Serialize {
    let rule = |about: &lint::About| Rule {
        code: about.code,
        severity: about.severity,
        on: about.on,
        why: about.why,
        safe: about.safe,
    };
    Rules { format_version: FORMAT_VERSION, rules: lint::all().map(rule).collect() }
}
