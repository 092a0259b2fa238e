//! Tables in Markdown read back, so that a test can compare every figure in them with what it finds itself.

use std::collections::BTreeMap;

/// A row of a table by its headings, cells as people see them.
pub type Row = BTreeMap<String, String>;

/// The rows of the first table under a heading, which is given with its signs: `### Schema`.
pub fn table(text: &str, heading: &str) -> Vec<Row> {
    let under = text.lines().skip_while(|line| *line != heading).skip(1);
    let lines: Vec<&str> = under.take_while(|line| !line.starts_with('#')).collect();
    let lines = lines.into_iter().skip_while(|line| !line.starts_with('|'));
    let lines: Vec<&str> = lines.take_while(|line| line.starts_with('|')).collect();
    let headings = cells(lines.first().unwrap_or_else(|| panic!("no table under {heading:?} in\n{text}")));
    let row = |line: &&str| {
        let cells = cells(line);
        assert_eq!(cells.len(), headings.len(), "{line}");
        headings.iter().cloned().zip(cells).collect()
    };
    lines.iter().skip(2).map(row).collect()
}

/// The cells of a line. A bar within a cell is a character reference.
fn cells(line: &str) -> Vec<String> {
    let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')).unwrap_or(line);
    inner.split('|').map(|cell| seen(cell.trim())).collect()
}

/// Text as people see it: without marks of code and strength, references as what they stand for.
pub fn seen(text: &str) -> String {
    let text = text.replace("<code>", "").replace("</code>", "").replace('`', "").replace("**", "");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("&#") {
        out.push_str(before);
        let Some((number, after)) = after.split_once(';') else {
            out.push_str("&#");
            rest = after;
            continue;
        };
        out.push(number.parse().ok().and_then(char::from_u32).expect("a character reference"));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_are_seen() {
        let text =
            "# a\n\nx\n\n| A | B |\n|---|--:|\n| `x` | **y** |\n| <code>a&#124;b</code> | 1 |\n\n## b\n";
        let rows = table(text, "# a");
        assert_eq!((rows[0]["A"].as_str(), rows[0]["B"].as_str()), ("x", "y"));
        assert_eq!((rows[1]["A"].as_str(), rows[1]["B"].as_str()), ("a|b", "1"));
    }
}
