//! An alignment as text.

use std::fmt::Write as _;

use super::model::{Alignment, Difference, Severity};
use crate::report::format::{count, duration};
use crate::text::visible;

/// The text. `allow`: codes of differences that are accepted.
pub fn lines(alignment: &Alignment, allow: &[String]) -> String {
    let mut text = String::new();
    let mut table = None;
    for difference in &alignment.differences {
        if table != Some(&difference.table) {
            let _ = writeln!(text, "{}", visible(&difference.table));
            table = Some(&difference.table);
        }
        text += &line(difference, allow.iter().any(|code| code == difference.code));
    }
    for (title, list) in [
        (
            "Not compared",
            alignment
                .not_compared
                .iter()
                .map(|one| format!("{}:{}: {}", one.path, one.line, one.what))
                .collect::<Vec<_>>(),
        ),
        ("There, and nothing that such models can say", alignment.beyond.clone()),
        ("There without a model, as it is meant", alignment.kept.clone()),
    ] {
        if !list.is_empty() {
            let _ = writeln!(text, "\n{title}");
            for one in list {
                let _ = writeln!(text, "  {}", visible(&one));
            }
        }
    }
    for remark in &alignment.remarks {
        let _ = writeln!(text, "note: {}", visible(remark));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text + &sums(alignment, allow)
}

fn line(difference: &Difference, is_allowed: bool) -> String {
    let Difference { code, severity, column, path, line, message, .. } = difference;
    let how = match (is_allowed, severity) {
        (true, _) => "allowed",
        (false, Severity::Error) => "error",
        (false, Severity::Warning) => "warning",
    };
    let column = column.as_ref().map(|column| format!("{}: ", visible(column))).unwrap_or_default();
    let place = if path.is_empty() { String::new() } else { format!("  ({}:{line})", visible(path)) };
    format!("  {how}[{code}] {column}{}{place}\n", visible(message))
}

/// How much is otherwise. What is allowed is neither an error nor a warning.
fn sums(alignment: &Alignment, allow: &[String]) -> String {
    let is_allowed = |one: &&Difference| allow.iter().any(|code| code == one.code);
    let (allowed, told): (Vec<_>, Vec<_>) = alignment.differences.iter().partition(is_allowed);
    let of = |severity: Severity| told.iter().filter(|one| one.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let mut sums = Vec::new();
    if !alignment.has_compared() {
        sums.push("nothing was compared".to_owned());
    } else if alignment.differences.is_empty() {
        sums.push("nothing is otherwise".to_owned());
    } else {
        sums.extend([count(errors, "error", "errors"), count(warnings, "warning", "warnings")]);
    }
    if !allowed.is_empty() {
        sums.push(format!("{} allowed", allowed.len()));
    }
    if !alignment.not_compared.is_empty() {
        sums.push(format!("{} not compared", count(alignment.not_compared.len(), "thing", "things")));
    }
    format!(
        "{} of the models against {}: {} ({})\n",
        count(alignment.tables.len(), "table", "tables"),
        visible(&alignment.against),
        sums.join(", "),
        duration(alignment.took)
    )
}
