//! What would be changed, as a unified diff.

use std::fmt::Write as _;

use similar::TextDiff;

use super::Changed;
use crate::text::visible;

/// The changes as `patch` and `git apply` read them.
pub fn diff(files: &[Changed]) -> String {
    let mut text = String::new();
    for Changed { path, before, after, .. } in files {
        let path = visible(path);
        let old = if before.is_some() { format!("a/{path}") } else { "/dev/null".to_owned() };
        let before = before.as_deref().unwrap_or_default();
        let diff = TextDiff::from_lines(before, after.as_str());
        let _ = write!(text, "{}", diff.unified_diff().context_radius(3).header(&old, &format!("b/{path}")));
    }
    text
}
