//! Findings for people: the place, the sentence, the line with a caret, what to do.

use std::fmt::Write as _;

use super::{Found, Located};
use crate::report::format::count;
use crate::text::{caret, visible};

use cutover_analysis::lint::Severity;

/// One block a finding, and the sums.
pub fn lines(found: &Found) -> String {
    let mut text = String::new();
    for problem in &found.broken {
        let _ = write!(text, "{problem}\n\n");
    }
    for finding in &found.findings {
        text += &block(finding);
        text.push('\n');
    }
    text + &sums(found)
}

fn block(finding: &Located) -> String {
    let Located { code, severity, path, line, column, source_line, message, help, seen_by, .. } = finding;
    let excerpt = if source_line.is_empty() {
        String::new()
    } else {
        format!("{}\n", caret(*line, *column, source_line))
    };
    format!(
        "{}:{line}:{column}: {severity}[{code}]: {}\n{excerpt}  help: {} ({seen_by})\n",
        visible(path),
        visible(message),
        visible(help)
    )
}

fn sums(found: &Found) -> String {
    let files = count(found.files, "file", "files");
    let errors = found.count(Severity::Error);
    let warnings = found.count(Severity::Warning);
    let broken = match found.broken.len() {
        0 => String::new(),
        broken => format!("{} not parsed, ", count(broken, "statement", "statements")),
    };
    if errors + warnings + found.broken.len() == 0 {
        return format!("{files}: nothing found\n");
    }
    let mendable = |finding: &&Located| finding.mending.as_ref().is_some_and(|mending| mending.fix.is_ok());
    let mended = match found.findings.iter().filter(mendable).count() {
        0 => String::new(),
        mended => format!("; --fix mends {mended} of them"),
    };
    format!(
        "{files}: {broken}{}, {}{mended}\n",
        count(errors, "error", "errors"),
        count(warnings, "warning", "warnings")
    )
}
