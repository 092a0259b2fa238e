//! Rules about names of files, and about what files say to the tool: what they find is found elsewhere.

use super::{Look, Rule};
use crate::lint::about::{About, Origin};
use crate::lint::finding::{Seen, Severity};

const fn elsewhere(code: &'static str, severity: Severity, why: &'static str, safe: &'static str) -> Rule {
    let seen = &[Seen::Files];
    Rule {
        about: About {
            code,
            severity,
            on: true,
            why,
            safe,
            seen,
            origin: Origin::Files,
            bad: &[],
            good: &[],
        },
        look: Look::Elsewhere,
    }
}

pub(crate) static OUT_OF_ORDER_FILE: Rule = elsewhere(
    "out-of-order-file",
    Severity::Warning,
    "A file that sorts before one that is applied is skipped by some tools, and applied in another order than elsewhere by others.",
    "give it a number behind the last one that is applied, or allow it by its name",
);

pub(crate) static DUPLICATE_VERSION: Rule = elsewhere(
    "duplicate-version",
    Severity::Error,
    "Two files of one version are told apart by nobody: one of them may count as applied when the other one was.",
    "give one of them another number",
);

pub(crate) static VERSION_SORTS_WRONGLY: Rule = elsewhere(
    "version-sorts-wrongly",
    Severity::Warning,
    "Tools that sort names of files as text take 1001 before 101: the order is not that of the numbers.",
    "numbers of the same length, with zeros before them",
);

pub(crate) static UNUSED_SUPPRESSION: Rule = elsewhere(
    "unused-suppression",
    Severity::Warning,
    "What is allowed and not found any more hides what may be found there one day.",
    "take the comment away",
);
