//! Makes text from outside (names, server messages, query texts) fit to be shown: nothing in it may move the
//! cursor, reverse the reading direction, hide itself or end a line. Markup is not this module's concern.

use std::borrow::Cow;

/// Longest block of outside text a report shows, in bytes; the run's JSON holds the whole.
pub(super) const BLOCK_LIMIT: usize = 16 * 1024;

/// Whether a character would act on the output instead of being seen in it.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => add!(out, "\\u{{{:x}}}", u32::from(c)),
    }
}

fn escape_where(text: &str, escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escaped(c) {
            push_escaped(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Text as one line: control, direction and invisible characters appear as `\n` or `\u{202e}`.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape_where(text, acts)
}

/// Text of several lines: as [`line()`], but line feeds stay, and tabs become four spaces. Longer text than
/// [`BLOCK_LIMIT`] is cut, and the cut says so.
pub(super) fn block(text: &str) -> String {
    let text = text.trim_end();
    let kept = prefix(text, BLOCK_LIMIT);
    let mut out = lines(kept);
    if kept.len() < text.len() {
        add!(&mut out, "\n… {} more bytes; the run's JSON holds them", text.len() - kept.len());
    }
    out
}

/// As [`block`], of any length.
pub(crate) fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\t', "    ");
    escape_where(text.trim_end(), |c| c != '\n' && acts(c)).into_owned()
}

/// A query or a message as one line: every run of white space is one space, then as [`line()`].
pub(super) fn folded(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    line(&words.join(" ")).into_owned()
}

/// [`folded`], cut with an ellipsis after `limit` characters.
pub(crate) fn excerpt(text: &str, limit: usize) -> String {
    let text = folded(prefix(text, limit.saturating_mul(16)));
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default().trim_end()),
        None => text,
    }
}

/// The longest prefix of at most `limit` bytes that ends between characters.
fn prefix(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acting_characters_are_shown_and_plain_ones_left_alone() {
        assert_eq!(line("users"), "users");
        assert_eq!(line("größe 表 \"x\""), "größe 表 \"x\"");
        assert_eq!(line("a\nb\tc\u{1b}[31m\u{202e}d\u{200b}"), "a\\nb\\tc\\u{1b}[31m\\u{202e}d\\u{200b}");
        assert_eq!(line("\u{85}\u{2028}\u{7f}"), "\\u{85}\\u{2028}\\u{7f}");
    }

    #[test]
    fn blocks_keep_their_lines_and_say_when_they_are_cut() {
        assert_eq!(block("a\r\n\tb\u{7}\n\n"), "a\n    b\\u{7}");
        let long = "é".repeat(BLOCK_LIMIT);
        let shown = block(&long);
        assert!(shown.len() < BLOCK_LIMIT + 100);
        assert!(
            shown.ends_with("16384 more bytes; the run's JSON holds them"),
            "{}",
            &shown[shown.len() - 60..]
        );
    }

    #[test]
    fn excerpts_are_one_line_of_bounded_length() {
        assert_eq!(excerpt("select 1\n  from t", 100), "select 1 from t");
        assert_eq!(excerpt("select 1\n  from t", 8), "select 1…");
    }
}
