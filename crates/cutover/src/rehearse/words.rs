//! Words that several parts of a rehearsal use.

use cutover_analysis::sql::without_comments;

use crate::secrets::{Secrets, without_passwords};
use crate::text::visible;

/// Characters of a statement that are shown.
const SHOWN: usize = 100;

/// How a statement begins, on one line, with passwords as stars.
pub(super) fn excerpt(text: &str) -> String {
    excerpt_knowing(text, &Secrets::default())
}

/// The same, with these as stars too.
pub(super) fn excerpt_knowing(text: &str, secrets: &Secrets) -> String {
    let text = secrets.star(&without_passwords(&without_comments(text, 4 * SHOWN)));
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = visible(&words.join(" "));
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
