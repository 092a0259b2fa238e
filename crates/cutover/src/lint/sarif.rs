//! Findings as SARIF 2.1.0, which code scanning of GitHub, GitLab and editors read.
//!
//! Source: the OASIS standard "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".

use std::fmt::Write as _;

use cutover_analysis::lint::{self, Severity};
use serde_json::{Value, json};

use super::{Found, Located};

/// The log: one run, with every rule. `prefix` leads from the repository to the project: nothing, or a path that ends in `/`.
pub fn sarif(found: &Found, version: &str, prefix: &str) -> Value {
    // The pages of all rules would be most of the log.
    let is_found = |code: &str| found.findings.iter().any(|finding| finding.code == code);
    let rules: Vec<Value> = lint::all()
        .map(|about| {
            let mut help = json!({ "text": about.safe });
            if is_found(about.code) {
                help["markdown"] = json!(lint::page::page_alone(about));
            }
            json!({
                "id": about.code,
                "shortDescription": { "text": about.why },
                "help": help,
                "defaultConfiguration": { "enabled": about.on, "level": level(about.severity) },
            })
        })
        .collect();
    let findings = found.findings.iter().map(|finding| result(finding, prefix));
    let broken = found.broken.iter().map(|problem| {
        let (line, column) = problem.place.map_or((1, 1), |place| (place.line, place.column));
        json!({
            "level": "error",
            "message": { "text": problem.message },
            "locations": [location(&format!("{prefix}{}", problem.path), line, column)],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "cutover", "semanticVersion": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": broken.chain(findings).collect::<Vec<Value>>(),
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn result(finding: &Located, prefix: &str) -> Value {
    let Located { code, severity, path, line, column, message, help, seen_by, .. } = finding;
    let rule = lint::all().position(|about| about.code == *code);
    json!({
        "ruleId": code,
        "ruleIndex": rule,
        "level": level(*severity),
        "message": { "text": format!("{message}\nhelp: {help}") },
        "locations": [location(&format!("{prefix}{path}"), *line, *column)],
        "properties": { "seenBy": seen_by },
    })
}

fn location(path: &str, line: u32, column: u32) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(path), "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": line, "startColumn": column },
        }
    })
}

/// A path as a relative reference: what has a meaning in one is written in hexadecimal.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn a_path_is_a_relative_reference() {
        assert_eq!(uri("db/1 a#b?é.sql"), "db/1%20a%23b%3F%C3%A9.sql");
    }
}
