//! The parts of a file that is applied in several transactions or statements: what each is known by later, where it
//! stands, and how it begins.
//!
//! A part is identified by a digest of its statements and COPY data as the file writes them: line ends normalised,
//! placeholders not replaced. So it goes by the same rule as the checksum of a whole file (another value of a
//! placeholder does not make it an edited one), a half-applied file can still be finished when a password among the
//! values has changed, and no value gets into the journal, where it would stay. Comments between statements do not
//! count, those within a statement do.

use cutover_analysis::sql::{Item, Splitter, Statement};
use sha2::{Digest as _, Sha256};

use super::{Numbering, Script, ScriptItem};
use crate::migration::Migration;
use crate::plan::Lines;
use crate::project::text::hex;
use crate::source::{self, Opened, Replaced, Vars};

/// Characters kept of a part's text.
const EXCERPT: usize = 4_000;
/// Bytes kept of all parts' texts together: 1 MiB.
const EXCERPTS: usize = 1 << 20;

/// One part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// SHA-256, hex, over its statements and COPY data as the file writes them.
    pub digest: String,
    /// Where its statements stand.
    pub lines: Lines,
    /// Its first 4,000 characters as the file writes them, fewer where a file has very many parts; without COPY data.
    pub excerpt: String,
}

/// The parts of a script, and the text they were taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// One for each unit of the script, in order.
    pub list: Vec<Part>,
    /// The compressed text of the file; `None` where it is too large to keep.
    pub text: Option<Vec<u8>>,
}

impl Parts {
    /// Reads the file once more.
    ///
    /// # Errors
    /// Why it cannot be read, or that it is not what the script was made from.
    pub(super) fn read(script: &Script, migration: &Migration, vars: &Vars) -> Result<Self, String> {
        let Opened { reader, passed, replaced } =
            source::open_noting(migration, vars).map_err(|error| error.to_string())?;
        let written = Written { splitter: Splitter::new(reader), replaced };
        let mut taking = Taking::default();
        for item in Numbering::new(script, written) {
            match item? {
                ScriptItem::Statement { text, line, unit, .. } => taking.statement(&text, line, unit),
                ScriptItem::CopyData(data) => taking.data(&data),
                ScriptItem::CopyEnd => taking.data_end(),
            }
        }
        let list = taking.finish();
        if list.len() != script.units.len() {
            return Err("it has fewer statements than when it was read before".into());
        }
        Ok(Self { list, text: passed.text(&migration.checksums.normalised)? })
    }
}

/// The items of a file with placeholders as they were written.
struct Written<R> {
    splitter: Splitter<R>,
    replaced: Replaced,
}

impl<R: std::io::Read> Iterator for Written<R> {
    type Item = Result<Item, String>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.splitter.next()? {
            Ok(Item::Statement(Statement { text, span, line, column, directives })) => {
                let written = self.replaced.as_written(span.start, text.as_bytes());
                let text = written.map_or(text, |bytes| String::from_utf8_lossy(&bytes).into_owned());
                Ok(Item::Statement(Statement { text, span, line, column, directives }))
            }
            Ok(Item::CopyData(data)) => {
                let start = self.splitter.offset().saturating_sub(data.len());
                Ok(Item::CopyData(self.replaced.as_written(start, &data).unwrap_or(data)))
            }
            Ok(other) => Ok(other),
            Err(error) => Err(error.to_string()),
        })
    }
}

/// Parts while the file streams by.
#[derive(Default)]
struct Taking {
    done: Vec<Part>,
    /// The part at hand, its number, and what its digest is made of so far.
    open: Option<(usize, Part, Sha256)>,
    /// Bytes of COPY data since the statement.
    copied: u64,
    /// Bytes of excerpts.
    kept: usize,
}

impl Taking {
    fn statement(&mut self, text: &str, line: u32, unit: usize) {
        if self.open.as_ref().is_none_or(|(open, ..)| *open != unit) {
            self.close();
            let part = Part {
                digest: String::new(),
                lines: Lines { first: line, last: line },
                excerpt: String::new(),
            };
            self.open = Some((unit, part, Sha256::new()));
        }
        let Some((_, part, hasher)) = &mut self.open else { return };
        // With its length in front no two statements can be taken for one.
        hasher.update(b"S");
        hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(text);
        part.lines.last = line.saturating_add(breaks(text.as_bytes()));
        if self.kept < EXCERPTS && part.excerpt.len() < EXCERPT {
            let before = part.excerpt.len();
            if before > 0 {
                part.excerpt.push_str(";\n");
            }
            let room = EXCERPT.saturating_sub(part.excerpt.chars().count());
            part.excerpt.extend(text.chars().take(room));
            self.kept += part.excerpt.len() - before;
        }
    }

    fn data(&mut self, data: &[u8]) {
        if let Some((_, part, hasher)) = &mut self.open {
            if self.copied == 0 {
                hasher.update(b"D");
            }
            part.lines.last = part.lines.last.saturating_add(breaks(data));
            hasher.update(data);
            self.copied += u64::try_from(data.len()).unwrap_or(u64::MAX);
        }
    }

    fn data_end(&mut self) {
        if let Some((_, part, hasher)) = &mut self.open {
            hasher.update(b"E");
            hasher.update(self.copied.to_le_bytes());
            // The line that ends the data.
            part.lines.last = part.lines.last.saturating_add(1);
        }
        self.copied = 0;
    }

    fn close(&mut self) {
        if let Some((_, mut part, hasher)) = self.open.take() {
            part.digest = hex(&hasher.finalize());
            self.done.push(part);
        }
    }

    fn finish(mut self) -> Vec<Part> {
        self.close();
        self.done
    }
}

fn breaks(text: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', text).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::project::Project;
    use crate::script::{Part, Script};
    use crate::source::Vars;

    fn parts(text: &str, value: &str) -> Vec<Part> {
        let project = Project::embedded("p", &[("V1__a.sql", text.as_bytes())]).unwrap();
        let mut vars = Vars::new();
        vars.insert("v", value).unwrap();
        let script = Script::analyse(&project.migrations[0], &vars);
        assert_eq!(script.errors, []);
        assert_eq!(script.parts.list.len(), script.units.len());
        script.parts.list
    }

    fn digests(text: &str, value: &str) -> Vec<String> {
        parts(text, value).into_iter().map(|part| part.digest).collect()
    }

    const NEXT: &str = "-- cutover: new-transaction\n";

    #[test]
    fn only_the_part_that_is_edited_gets_another_digest() {
        let file =
            |first: &str, second: &str| format!("-- a\nCREATE TABLE {first} ();\n\n{NEXT}\nSELECT {second};");
        let before = digests(&file("a", "1"), "");
        assert_ne!(before[0], before[1]);
        let after = digests(&file("a", "2").replace("-- a", "-- another\n\n-- comment"), "");
        assert_eq!(before[0], after[0], "comments between statements are not part of them");
        assert_ne!(before[1], after[1]);
        assert_ne!(digests(&file("b", "1"), "")[0], before[0]);
    }

    #[test]
    fn what_a_placeholder_stands_for_does_not_count_but_its_name_does() {
        let file = |name: &str| format!("SELECT '{name}', 2;\n{NEXT}SELECT '{name}';");
        let one = digests(&file("${v}"), "secret");
        assert_eq!(one, digests(&file("${v}"), "another; longer"));
        assert_eq!(one, digests(&file("${v}"), ""));
        assert_ne!(one, digests(&file("$${v}"), "secret"), "the text itself");
        assert_ne!(one, digests(&file("secret"), "secret"));
        let shown = parts(&file("${v}"), "secret");
        assert_eq!(shown[0].excerpt, "SELECT '${v}', 2");
    }

    #[test]
    fn data_counts_however_it_is_cut() {
        let file = |last: &str| {
            let rows = "7\t${v}\n".repeat(20_000);
            format!("COPY t FROM stdin;\n{rows}{last}\n\\.\n{NEXT}SELECT 1;")
        };
        let before = digests(&file("x"), "1");
        assert_eq!(before, digests(&file("x"), "a value of another length"));
        let after = digests(&file("y"), "1");
        assert_ne!(before[0], after[0]);
        assert_eq!(before[1], after[1]);
    }

    #[test]
    fn statements_that_touch_are_not_one() {
        let together = format!("SELECT 1;SELECT 2;\n{NEXT}SELECT 3;");
        let moved = format!("SELECT 1;\n{NEXT}SELECT 2;SELECT 3;");
        assert!(digests(&together, "").iter().zip(digests(&moved, "")).all(|(one, other)| *one != other));
    }

    #[test]
    fn lines_are_those_of_the_statements() {
        let text = format!(
            "-- x\nSELECT\n  1;\nSELECT 2;\n\n{NEXT}SELECT 3;\n{NEXT}COPY t FROM stdin;\n1\n2\n\\.\n{NEXT}SELECT 4;"
        );
        let lines: Vec<String> = parts(&text, "").iter().map(|part| part.lines.to_string()).collect();
        assert_eq!(lines, ["lines 2–4", "line 7", "lines 9–12", "line 14"]);
    }
}
