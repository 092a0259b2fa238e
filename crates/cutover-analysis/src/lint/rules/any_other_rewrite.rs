//! A table that a rehearsal saw being written anew.

use super::{Look, Rule};
use crate::lint::about::{About, Origin};
use crate::lint::finding::{Seen, Severity};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "any-other-rewrite",
        severity: Severity::Error,
        on: true,
        why: "A table that is written anew is locked against everybody until all rows are copied and all indexes built.",
        safe: "build the new table beside the old one, copy in batches, and swap the two",
        seen: &[Seen::Trace],
        origin: Origin::Rehearsal,
        bad: &[],
        good: &[],
    },
    look: Look::Elsewhere,
};
