//! Rules of other tools, and which of ours see what they see.

/// A rule of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherRule {
    /// The tool.
    pub tool: &'static str,
    /// What the tool calls it.
    pub code: &'static str,
    ours: &'static str,
    /// Why ours do not see it, or not all of it; empty where they do.
    pub why: &'static str,
}

impl OtherRule {
    /// The codes of our rules that see it, or some of it.
    pub fn ours(&self) -> impl Iterator<Item = &'static str> {
        self.ours.split_whitespace()
    }

    /// How much of it ours see.
    pub fn covered(&self) -> Covered {
        match (self.ours.is_empty(), self.why.is_empty()) {
            (true, _) => Covered::No,
            (false, true) => Covered::Yes,
            (false, false) => Covered::Partly,
        }
    }
}

/// How much of what another tool's rule sees is seen by ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// All of it.
    Yes,
    /// Some of it, or otherwise.
    Partly,
    /// Nothing.
    No,
}

/// The rules of other tools, tool by tool. Source of the names: each tool's documentation, read in November 2026.
pub fn of_other_tools() -> impl Iterator<Item = OtherRule> {
    include_str!("../../facts/other_tools.tsv").lines().skip(1).filter_map(|line| {
        let mut cells = line.split('\t');
        Some(OtherRule { tool: cells.next()?, code: cells.next()?, ours: cells.next()?, why: cells.next()? })
    })
}
