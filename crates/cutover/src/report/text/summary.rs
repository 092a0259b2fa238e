//! The last lines of a run.

use super::{TextStyle, Tone};
use crate::report::digest::Digest;
use crate::report::escape;
use crate::report::format::duration;
use crate::run::{Outcome, Run, Verdict};

/// How the run ended, in two or three lines: outcome, time and numbers, the sentence that says what is now true, and
/// the verdicts of the checks.
pub fn summary(run: &Run, style: TextStyle) -> String {
    let digest = Digest::new(run);
    let (word, sentence) = digest.headline();
    let doubts = digest.verdicts(Verdict::False) + digest.verdicts(Verdict::NotMeasured);
    let tone = match run.outcome {
        Some(Outcome::Completed | Outcome::NothingToDo) if doubts == 0 => Tone::Good,
        Some(Outcome::Interrupted | Outcome::LockNotObtained) | None => Tone::Warn,
        _ => Tone::Bad,
    };
    let mut out = format!(
        "{} {} {}: {}\n{sentence}\n",
        style.paint(tone, word),
        if matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo)) {
            "in"
        } else {
            "after"
        },
        duration(digest.took),
        digest.tally().join(", ")
    );
    for (_, _, _, state) in digest.failures() {
        out.push_str(&escape::line(state));
        out.push('\n');
    }
    if let Some(words) = digest.verdict_words() {
        out.push_str(&words);
        out.push('\n');
    }
    out
}
