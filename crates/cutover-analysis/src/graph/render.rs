//! The graph as Mermaid.

use std::fmt::Write as _;

use super::Graph;

impl Graph {
    /// A Mermaid flowchart: `labels` are what the migrations are called, in their order; `groups` are stages with the
    /// migrations in them; what is in none stands by itself.
    ///
    /// Labels are quoted and escaped, so that no name of a file or object ends the text it stands in.
    pub fn mermaid(&self, labels: &[String], groups: &[(String, Vec<usize>)]) -> String {
        let mut text = String::from("flowchart LR\n");
        let mut grouped = vec![false; labels.len()];
        for (number, (title, members)) in
            groups.iter().enumerate().filter(|(_, (_, members))| !members.is_empty())
        {
            let _ = writeln!(text, "  subgraph s{number}[\"{}\"]", escaped(title));
            for &member in members {
                if let (Some(seen), Some(label)) = (grouped.get_mut(member), labels.get(member)) {
                    *seen = true;
                    let _ = writeln!(text, "    m{member}[\"{}\"]", escaped(label));
                }
            }
            text.push_str("  end\n");
        }
        for (index, label) in labels.iter().enumerate().filter(|(index, _)| !grouped[*index]) {
            let _ = writeln!(text, "  m{index}[\"{}\"]", escaped(label));
        }
        for edge in &self.edges {
            let first = edge.why.first().map(ToString::to_string).unwrap_or_default();
            let more =
                if edge.why.len() > 1 { format!(" and {} more", edge.why.len() - 1) } else { String::new() };
            let arrow = if edge.to > edge.from { "-. " } else { "-- " };
            let end = if edge.to > edge.from { " .->" } else { " -->" };
            let _ =
                writeln!(text, "  m{} {arrow}\"{}\"{end} m{}", edge.from, escaped(&(first + &more)), edge.to);
        }
        text
    }
}

/// Mermaid reads entities like HTML's, with `#` in front.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
