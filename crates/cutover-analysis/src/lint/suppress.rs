//! `-- cutover: allow CODE reason`: what somebody has thought about is not said of that statement.

use super::finding::{Finding, Seen, Severity};
use super::linter::Selected;
use super::site::Said;
use crate::sql::{DIRECTIVES, Directive, Span, Statement};

/// What stands behind `cutover:` in such a comment.
pub const DIRECTIVE: &str = "allow";

/// The code of the rule about suppressions.
const UNUSED: &str = "unused-suppression";

/// That one code is allowed in one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The code.
    pub code: String,
    /// Why, as it is written.
    pub reason: String,
    /// The statement, by its number in the file.
    pub statement: usize,
    /// The part of the file that the statement is.
    pub span: Span,
    /// The directive, where it is one that nobody knows: it allows nothing.
    pub unknown: Option<String>,
}

/// What a statement's comments allow.
pub fn suppressions(statement: &Statement, number: usize) -> impl Iterator<Item = Suppression> + '_ {
    let is_ours = |directive: &&Directive| {
        directive.name == DIRECTIVE || !DIRECTIVES.contains(&directive.name.as_str())
    };
    statement.directives.iter().filter(is_ours).map(move |directive| {
        let (code, reason) =
            directive.argument.split_once(char::is_whitespace).unwrap_or((directive.argument.as_str(), ""));
        Suppression {
            code: code.trim_end_matches([':', ',']).to_owned(),
            reason: reason.trim_start_matches(['-', '–', ':', ' ']).trim().to_owned(),
            statement: number,
            span: statement.span,
            unknown: Some(directive.name.clone()).filter(|name| name != DIRECTIVE),
        }
    })
}

/// Leaves out what is allowed, and says which permissions are of no use (where no database was asked), or give no reason.
pub(super) fn apply(
    Said { findings, pending }: &mut Said,
    suppressions: Vec<Suppression>,
    selected: &Selected,
    is_of_database: bool,
) {
    let mut unused = Vec::new();
    for suppression in suppressions {
        let before = findings.len() + pending.len();
        if let Some(name) = &suppression.unknown {
            let message = format!("unknown directive {name:?} (known: {})", DIRECTIVES.join(", "));
            unused.push((suppression, message));
            continue;
        }
        let is_meant = |finding: &Finding| {
            finding.code == suppression.code && finding.statement == suppression.statement
        };
        let has_reason = !suppression.reason.is_empty();
        if has_reason {
            findings.retain(|finding| !is_meant(finding));
            pending.retain(|later| !is_meant(&later.finding));
        }
        let complaint = if super::by_code(&suppression.code).is_none() {
            Some(format!("there is no rule {:?}", suppression.code))
        } else if !has_reason {
            Some(format!("it does not say why {} is allowed, so it is not", suppression.code))
        } else if !is_of_database
            && findings.len() + pending.len() == before
            && selected.severity(&suppression.code).is_some()
        {
            // In another database there may well be something: this one's tables are small, or empty.
            Some(format!("nothing is suppressed: {} finds nothing here", suppression.code))
        } else {
            None
        };
        unused.extend(complaint.map(|message| (suppression, message)));
    }
    if let Some(severity) = selected.severity(UNUSED) {
        findings.extend(
            unused.into_iter().map(|(suppression, message)| finding(severity, &suppression, message)),
        );
    }
    findings.sort_by_key(|finding| (finding.statement, finding.span.start));
}

fn finding(severity: Severity, suppression: &Suppression, message: String) -> Finding {
    Finding {
        code: UNUSED,
        severity,
        span: suppression.span,
        statement: suppression.statement,
        offset: 0,
        message,
        help: format!("write `-- cutover: {DIRECTIVE} CODE reason`, or take the comment away"),
        seen_by: Seen::Files,
        about: None,
        fix: None,
    }
}
