//! Small helpers for messages: carets under source lines, suggestions, places in statements, safe display.

use std::fmt::Write as _;

/// The most alike of `known`, if it is alike enough to be a typing mistake.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What there is, for whoever named something that is not there: the first ten, and how many more.
pub fn known_list<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    const LISTED: usize = 10;
    let mut known = known.into_iter();
    let listed: Vec<String> = known.by_ref().take(LISTED).map(visible).collect();
    match (listed.is_empty(), known.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => listed.join(", "),
        (false, more) => format!("{} … and {more} more", listed.join(", ")),
    }
}

/// How many complaints are shown at once: nobody reads more before mending the first ones.
pub const MOST_COMPLAINTS: usize = 50;

/// Complaints one below the other: the first [`MOST_COMPLAINTS`], and how many more there are.
pub fn complaints<T: std::fmt::Display>(all: &[T], between: &str) -> String {
    let shown: Vec<String> = all.iter().take(MOST_COMPLAINTS).map(ToString::to_string).collect();
    let mut text = shown.join(between);
    if let Some(more) = all.len().checked_sub(MOST_COMPLAINTS).filter(|more| *more > 0) {
        let _ = write!(text, "{between}… and {more} more");
    }
    text
}

/// Control characters, among them newlines and right-to-left marks, shown as escapes: a name from a file or a server
/// must not be able to rewrite a terminal or forge a line.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_bidi_control(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A source line with a caret under `column` (characters, counted from 1). Of lines longer than 120 characters a part
/// around it is shown.
pub fn caret(line: u32, column: u32, source_line: &str) -> String {
    const SHOWN: usize = 120;
    let at = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    let characters: Vec<char> = source_line.trim_end().chars().collect();
    let at = at.min(characters.len());
    let (start, end) = if characters.len() <= SHOWN {
        (0, characters.len())
    } else {
        let start = at.saturating_sub(SHOWN / 2).min(characters.len() - SHOWN);
        (start, start + SHOWN)
    };
    let mut shown: Vec<char> = characters[start..end]
        .iter()
        .map(|c| if c.is_control() || is_bidi_control(*c) { ' ' } else { *c })
        .collect();
    // What is left out is seen to be left out.
    if let Some(first) = shown.first_mut().filter(|_| start > 0) {
        *first = '…';
    }
    if let Some(last) = shown.last_mut().filter(|_| end < characters.len()) {
        *last = '…';
    }
    let shown: String = shown.into_iter().collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    format!("{margin} |\n{number} | {shown}\n{margin} | {}^", " ".repeat(at - start))
}

/// Where byte `offset` of a statement is in its file: line, column in characters, and that line's text as far as the
/// statement has it. `line` and `column` are where the statement begins.
pub fn locate(statement: &str, offset: usize, line: u32, column: u32) -> (u32, u32, String) {
    let mut offset = offset.min(statement.len());
    while !statement.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &statement[..offset];
    let newlines = before.matches('\n').count();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = statement[offset..].find('\n').map_or(statement.len(), |at| offset + at);
    let in_line = statement[line_start..offset].chars().count();
    let source = &statement[line_start..line_end];
    let lines = u32::try_from(newlines).unwrap_or(u32::MAX);
    let in_line = u32::try_from(in_line).unwrap_or(u32::MAX);
    if newlines == 0 {
        // What stands before the statement on its first line is not known here: blanks keep the caret in place.
        let padding = " ".repeat(usize::try_from(column.saturating_sub(1)).unwrap_or(0));
        return (line, column.saturating_add(in_line), format!("{padding}{source}"));
    }
    (line.saturating_add(lines), in_line.saturating_add(1), source.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_later_line_counts_from_its_own_start() {
        let (line, column, source) = locate("CREATE TABLE a (\n  id inte,\n  x)", 22, 10, 5);
        assert_eq!((line, column, source.as_str()), (11, 6, "  id inte,"));
    }

    #[test]
    fn a_place_in_the_first_line_is_moved_by_the_column() {
        let (line, column, source) = locate("SELEC 1", 0, 3, 4);
        assert_eq!((line, column, source.as_str()), (3, 4, "   SELEC 1"));
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = "x".repeat(500);
        assert_eq!(caret(7, 3, &text[..120]), format!("  |\n7 | {}\n  |   ^", &text[..120]));
        let shown = caret(1, 300, &text);
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        assert!(shown.contains("| …x") && shown.contains("x…\n") && shown.ends_with('^'), "{shown}");
    }

    #[test]
    fn lists_end_somewhere() {
        let names: Vec<String> = (1..=17).map(|n| n.to_string()).collect();
        assert_eq!(
            known_list(names.iter().map(String::as_str)),
            "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 … and 7 more"
        );
        assert_eq!(known_list(["a", "b"]), "a, b");
        assert_eq!(known_list([]), "none");
        let many: Vec<usize> = (1..=52).collect();
        assert!(complaints(&many, "\n").ends_with("\n50\n… and 2 more"));
        assert_eq!(complaints(&many[..2], "; "), "1; 2");
    }

    #[test]
    fn names_cannot_forge_lines() {
        assert_eq!(visible("a\nb\u{202e}"), "a\\nb\\u{202e}");
    }
}
