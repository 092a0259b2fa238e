//! Rows in aligned columns: widths as terminals count them, long cells wrapped instead of cut.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr};

use super::{TextStyle, Tone};

/// Between columns.
const GAP: usize = 2;
/// A wrapped column may be made as narrow as its longest word, but always as narrow as the first of these, and never
/// is more asked for than the second: longer words are broken.
const NARROWEST: (usize, usize) = (8, 40);

/// One cell. Its text must already be free of control characters.
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { text, tone }
    }
}

/// How a column behaves.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// Never wrapped, text on the left.
    Left,
    /// Never wrapped, text on the right.
    Right,
    /// Wrapped when the line is too long, to at most this many lines; the last then ends in an ellipsis.
    Wrapped(usize),
}

/// Columns whose widths fit a set of rows.
pub(super) struct Columns {
    indent: usize,
    /// Kind and width of each.
    parts: Vec<(Column, usize)>,
    style: TextStyle,
    fits: bool,
    natural: bool,
}

impl Columns {
    /// Fits the columns to `rows` and to the style's width. Columns that are empty throughout vanish.
    pub(super) fn fit<'a>(
        style: TextStyle,
        indent: usize,
        columns: &[Column],
        rows: impl IntoIterator<Item = &'a [Cell]>,
    ) -> Self {
        let mut widths = vec![0; columns.len()];
        let mut least = vec![0; columns.len()];
        for row in rows {
            for ((width, least), cell) in widths.iter_mut().zip(&mut least).zip(row) {
                *width = cell.text.width().max(*width);
                *least = cell.text.split(' ').map(UnicodeWidthStr::width).fold(*least, usize::max);
            }
        }
        let mut columns: Vec<(Column, usize)> = columns.iter().copied().zip(widths).collect();
        let available = style.width.saturating_sub(indent);
        let natural = total(&columns) <= available;
        while total(&columns) > available {
            let wrapped = columns.iter_mut().zip(&least).filter(|((kind, width), least)| {
                matches!(kind, Column::Wrapped(_)) && *width > (**least).clamp(NARROWEST.0, NARROWEST.1)
            });
            match wrapped.max_by_key(|((_, width), _)| *width) {
                Some(((_, widest), _)) => *widest -= 1,
                None => break,
            }
        }
        let fits = total(&columns) <= available;
        Self { indent, parts: columns, style, fits, natural }
    }

    /// Whether every row stands on one line.
    pub(super) fn is_natural(&self) -> bool {
        self.natural
    }

    /// Whether the rows fit the style's width without words broken for it.
    pub(super) fn fits(&self) -> bool {
        self.fits
    }

    /// Appends one row, on as many lines as its cells need.
    pub(super) fn put(&self, out: &mut String, row: &[Cell]) {
        let cells: Vec<Vec<String>> = self
            .parts
            .iter()
            .zip(row)
            .map(|((kind, width), cell)| match kind {
                Column::Wrapped(limit) => limited(wrap(&cell.text, *width), *limit, *width),
                Column::Left | Column::Right => vec![cell.text.clone()],
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for i in 0..height {
            let mut pad = self.indent;
            for (((kind, width), cell), lines) in self.parts.iter().zip(row).zip(&cells) {
                if *width == 0 {
                    continue;
                }
                let text = lines.get(i).map_or("", String::as_str);
                let free = width.saturating_sub(text.width());
                let before = if matches!(kind, Column::Right) { free } else { 0 };
                if text.is_empty() {
                    pad += width + GAP;
                    continue;
                }
                out.extend(std::iter::repeat_n(' ', pad + before));
                out.push_str(&self.style.paint(cell.tone, text));
                pad = GAP + free - before;
            }
            out.push('\n');
        }
    }
}

fn total(columns: &[(Column, usize)]) -> usize {
    let used = columns.iter().filter(|(_, width)| *width > 0);
    used.map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// Lines no wider than `width`, broken at spaces where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let wide = word.width();
        if used > 0 && used + 1 + wide > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used > 0 && used + wide > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

/// At most `limit` lines; where some are left out, the last one kept ends in an ellipsis.
fn limited(mut lines: Vec<String>, limit: usize, width: usize) -> Vec<String> {
    if lines.len() > limit {
        lines.truncate(limit);
        if let Some(last) = lines.last_mut() {
            while last.width() + 1 > width && last.pop().is_some() {}
            last.push('…');
        }
    }
    lines
}

/// Text in at most `width` columns; where some is left out, it ends in an ellipsis.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    format!("{}…", out.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_counts_terminal_columns() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("表表表", 5), ["表表", "表"]);
        assert_eq!(wrap("e\u{301}e\u{301}", 1), ["e\u{301}", "e\u{301}"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("表", 1), ["表"]);
    }

    #[test]
    fn cutting_counts_terminal_columns() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("ab cdef", 4), "ab…");
        assert_eq!(cut("表表表", 4), "表…");
        assert_eq!(cut("abc", 0), "…");
    }

    #[test]
    fn wide_names_keep_the_columns_aligned() {
        let row = |name: &str, took: &str| vec![Cell::new(Tone::Plain, name), Cell::new(Tone::Plain, took)];
        let rows = [row("表表", "1 ms"), row("users", "100 ms")];
        let slices = || rows.iter().map(Vec::as_slice);
        let columns = Columns::fit(TextStyle::PLAIN, 1, &[Column::Left, Column::Right], slices());
        let mut out = String::new();
        for row in slices() {
            columns.put(&mut out, row);
        }
        assert_eq!(out, " 表表     1 ms\n users  100 ms\n");
    }

    #[test]
    fn the_widest_wrapped_column_gives_way() {
        let row =
            [Cell::new(Tone::Plain, "version"), Cell::new(Tone::Plain, "a list of things that is long")];
        let style = TextStyle { color: false, width: 22 };
        let kinds = [Column::Left, Column::Wrapped(2)];
        let narrow = TextStyle { width: 14, ..style };
        assert!(!Columns::fit(narrow, 0, &kinds, [row.as_slice()]).fits());
        let columns = Columns::fit(style, 0, &kinds, [row.as_slice()]);
        assert!(columns.fits());
        let mut out = String::new();
        columns.put(&mut out, &row);
        assert_eq!(out, "version  a list of\n         things that…\n");
    }
}
