//! The last lines of a run.

use super::{TextStyle, Tone};
use crate::report::digest::{Digest, verdict_words};
use crate::report::escape;
use crate::report::format::{count, utc};
use crate::run::{Outcome, Run, Verdict};

/// Verdicts of what was measured before migrations, where that is not why one failed.
fn preconditions(digest: &Digest<'_>) -> Option<String> {
    let told: Vec<_> =
        digest.checks.iter().copied().filter(|check| !digest.is_said_by_failure(check)).collect();
    let words = verdict_words(&told)?;
    let (_, verdicts) = words.split_once(": ")?;
    Some(format!("{}: {verdicts}", count(told.len(), "precondition", "preconditions")))
}

/// How the run ended, in a few lines: outcome, time and numbers, the sentence that says what is now true, the verdicts
/// of the checks, and when they were measured.
pub fn summary(run: &Run, style: TextStyle) -> String {
    let digest = Digest::new(run);
    let (word, sentence) = digest.outcome();
    let done = matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo));
    let tone = match run.outcome {
        _ if done => Tone::Good,
        Some(Outcome::Interrupted | Outcome::LockNotObtained) | None => Tone::Warn,
        _ => Tone::Bad,
    };
    let tally = match digest.tally().join(", ") {
        none if none.is_empty() => none,
        some => format!(": {some}"),
    };
    let mut out = format!(
        "{} {} {}{}{tally}\n",
        style.paint(tone, word),
        if done { "in" } else { "after" },
        digest.took_in_words(),
        digest.side_by_side().map_or_else(String::new, |most| format!(", {most} side by side")),
    );
    // What a failure says of the database says more, but for what of a file is applied.
    if digest.failures().next().is_none() || digest.is_partly_applied() {
        put!(&mut out, "{}", escape::line(&sentence));
    }
    if let Some(doubts) = digest.doubts() {
        let word = if digest.verdicts(Verdict::False) > 0 {
            "Verification failed"
        } else {
            "Verification incomplete"
        };
        put!(&mut out, "{}: {doubts}", style.paint(Tone::Bad, word));
    }
    for (_, _, _, state) in digest.failures() {
        out.push_str(&escape::line(state));
        out.push('\n');
    }
    // The table of what was measured ends in the same words.
    if digest.passes.is_empty()
        && let Some(words) = preconditions(&digest)
    {
        put!(&mut out, "{words}");
    }
    let later = digest.passes.len() > 1 || digest.passes.iter().any(|pass| !pass.at_once);
    for pass in digest.passes.iter().filter(|_| later) {
        let by = escape::line(pass.operator);
        put!(&mut out, "verified {} by {by}: {}", utc(pass.at_micros), pass.words());
    }
    out
}
