//! The pieces the command line prints. Colour and width are values the caller decides on; nothing here looks at a
//! terminal. Every piece ends in a line feed unless it says otherwise.

mod checks;
mod columns;
mod kept;
mod plan;
mod preconditions;
mod progress;
mod summary;

pub use checks::{Detail, verification_table};
pub use kept::kept_plan_lines;
pub use plan::{plan_lines, plan_overview};
pub use preconditions::precondition_lines;
pub use progress::{Progress, event_line};
pub use summary::summary;

/// How text is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextStyle {
    /// Whether colours are given by ANSI escape sequences.
    pub color: bool,
    /// Columns of the terminal; text is wrapped to fit, down to a width at which it can still be read.
    /// `usize::MAX` never wraps.
    pub width: usize,
}

impl TextStyle {
    /// Without colour and of any width: for files and pipes.
    pub const PLAIN: Self = Self { color: false, width: usize::MAX };

    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Warn => "33",
        };
        if self.color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// What a piece of text means; the style decides how that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Strong,
    Dim,
    Good,
    Bad,
    Warn,
}
