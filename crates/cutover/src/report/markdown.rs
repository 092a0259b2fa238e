//! A run as a Markdown document (`CommonMark`, with tables as GitHub and GitLab read them).
//!
//! Names and values stand in code spans; where they hold characters that could end one, they stand in a `<code>`
//! element as character references, which never take part in Markdown's structure.

use super::digest::{Digest, Fate, Objects, StepView, grouped_checks, objects, parts_in_words, remarks};
use super::format::{bytes, count, duration, grouped, seconds, server_version, utc};
use super::{erd, escape};
use crate::revert::shown_name;
use crate::run::{CheckResult, Run, Verdict};

/// Notices shown at most; the run's JSON holds all.
const NOTICES: usize = 200;
/// Characters of a measured query or a value shown in a table cell.
const CELL: usize = 160;

/// The run as one Markdown document, ending in a line feed.
pub fn markdown(run: &Run) -> String {
    let digest = Digest::new(run);
    let mut out = String::new();
    head(&mut out, &digest);
    failures(&mut out, &digest);
    false_claims(&mut out, &digest);
    stages(&mut out, &digest);
    migrations(&mut out, &digest);
    contents(&mut out, &digest);
    tables(&mut out, &digest);
    parts(&mut out, &digest);
    left_out(&mut out, &digest);
    waits(&mut out, &digest);
    notices(&mut out, &digest);
    backups(&mut out, &digest);
    verification(&mut out, &digest);
    out
}

/// The tables that were touched, as a diagram that many viewers of Markdown draw.
fn tables(out: &mut String, digest: &Digest<'_>) {
    let Some(diagram) = erd::of(digest.run) else { return };
    put!(out, "\n## The tables it touched\n");
    put!(out, "```mermaid\n{}```", erd::mermaid(diagram));
    if diagram.more > 0 {
        put!(out, "\nNot drawn: {} more.", count(diagram.more, "table", "tables"));
    }
}

fn head(out: &mut String, digest: &Digest<'_>) {
    let run = digest.run;
    let (word, sentence) = digest.headline();
    put!(out, "# Migration report: {}\n", prose(&shown_name(&run.project)));
    put!(out, "**{word}.** {}\n", prose(&sentence));
    let tally = digest.tally().join(", ");
    if !tally.is_empty() {
        put!(out, "{tally}.");
    }
    if let Some(words) = digest.verdict_words() {
        put!(out, "{words}.");
    }
    put!(out, "\n| | |\n|---|---|");
    put!(out, "| Database | {} |", code(&run.database));
    put!(out, "| Server | PostgreSQL {} |", prose(&run.server_version));
    put!(out, "| Role | {} |", code(&run.role));
    if !run.operator.is_empty() {
        put!(out, "| Run by | {} |", code(&run.operator));
    }
    put!(out, "| Started | {} |", utc(run.started_micros));
    let open = if run.outcome.is_none() { " until the last event" } else { "" };
    put!(out, "| Duration | {}{open} |", digest.took_in_words());
    if let Some(most) = digest.side_by_side() {
        put!(out, "| Side by side | {most} migrations |");
    }
    put!(out, "| Run | {} |", code(&run.id));
    put!(out, "| Tool | {} |", prose(&run.tool));
    if let Some(target) = &run.plan.target {
        put!(
            out,
            "| Planned for | {} on PostgreSQL {} |",
            code(&target.database),
            server_version(target.server_version_num)
        );
    }
    let notes = remarks(&run.plan);
    if !notes.is_empty() {
        put!(out, "\nRemarks of the plan:\n");
        for note in &notes {
            put!(out, "- {}", prose(note));
        }
    }
    if !digest.remarks.is_empty() {
        put!(out, "\nRemarks of the run:\n");
        for remark in &digest.remarks {
            put!(out, "- {}", prose(remark));
        }
    }
}

fn failures(out: &mut String, digest: &Digest<'_>) {
    for (i, (step, message, sqlstate, state)) in digest.failures().enumerate() {
        if i == 0 {
            put!(out, "\n## Failure");
        }
        let sqlstate = sqlstate.map(|sqlstate| format!(", SQLSTATE {}", code(sqlstate))).unwrap_or_default();
        put!(out, "\n{}{sqlstate}:\n", titled(digest, step));
        fence(out, message);
        put!(out, "\n**State of the database:** {}", prose(state));
    }
}

fn false_claims(out: &mut String, digest: &Digest<'_>) {
    let claims = digest.doubtful();
    if claims.is_empty() {
        return;
    }
    put!(out, "\n## Claims that do not hold");
    for check in claims {
        put!(out, "\n### {}: {}\n", capital(verdict(check)), code(&check.name));
        put!(out, "- Expected: {}", code(&escape::excerpt(&check.expected, 2_000)));
        put!(out, "- Found: {}", code(&escape::excerpt(&check.found, 2_000)));
        if let Some(stage) = &check.stage {
            put!(out, "- Stage: {}", code(stage));
        }
        if let Some(migration) = &check.migration {
            put!(out, "- Migration: {}", code(migration.version.text()));
        }
        put!(out, "\nMeasured:\n");
        fence(out, &check.measured);
    }
}

fn stages(out: &mut String, digest: &Digest<'_>) {
    if digest.stages.is_empty() {
        return;
    }
    put!(out, "\n## Stages\n");
    put!(out, "| Stage | Title | Migrations | Result | Uses | Notes |\n|---|---|---|---|---|---|");
    for (stage, members) in &digest.stages {
        let versions: Vec<String> =
            members.iter().filter_map(|&i| digest.steps.get(i)).map(|step| code(&step.label())).collect();
        let versions = match versions.len() {
            0 => "*none*".to_owned(),
            n if n > 12 => count(n, "migration", "migrations"),
            _ => versions.join(", "),
        };
        let notes: Vec<String> = stage.notes.iter().map(|note| prose(note)).collect();
        let kind = prose(&stage.kind);
        put!(
            out,
            "| {kind} {} | {} | {versions} | {} | {} | {} |",
            prose(&stage.id),
            prose(stage.own_title()),
            stage_result(digest, members, stage.within_target),
            codes(&stage.uses),
            notes.join("; ")
        );
    }
}

/// What became of a stage's migrations, in words.
fn stage_result(digest: &Digest<'_>, members: &[usize], within: bool) -> String {
    if members.is_empty() {
        return if within { "no migrations" } else { "no migrations, beyond the target" }.to_owned();
    }
    let mut words: Vec<(&str, usize)> = Vec::new();
    for step in members.iter().filter_map(|&i| digest.steps.get(i)) {
        let word = step.fate.word();
        match words.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => words.push((word, 1)),
        }
    }
    let words: Vec<String> = words.iter().map(|(word, n)| format!("{} {word}", grouped(*n))).collect();
    words.join(", ")
}

fn migrations(out: &mut String, digest: &Digest<'_>) {
    if digest.steps.is_empty() {
        put!(out, "\nThe project has no migrations.");
        return;
    }
    put!(out, "\n## Migrations\n");
    put!(out, "| # | Stage | Version | Name | File | Statements | Took | Attempts | State |");
    put!(out, "|--:|---|---|---|---|--:|--:|--:|---|");
    for (i, step) in digest.steps.iter().enumerate() {
        let state = match step.fate {
            Fate::Applied => "applied".to_owned(),
            Fate::Failed { .. } | Fate::Unfinished => format!("**{}**", step.fate.word()),
            Fate::AppliedBefore { at_micros } => format!("applied before ({})", utc(at_micros)),
            _ => step.fate.word().to_owned(),
        };
        put!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {state} |",
            i + 1,
            step.stage().map(prose).unwrap_or_default(),
            code(&step.label()),
            code(step.name()),
            code(step.path()),
            step.statements().map(|n| n.to_string()).unwrap_or_default(),
            step.took.map(duration).unwrap_or_default(),
            step.attempts.map(|n| n.to_string()).unwrap_or_default(),
        );
    }
}

fn contents(out: &mut String, digest: &Digest<'_>) {
    let known: Vec<_> = digest.steps.iter().filter_map(|view| Some((view, view.step?))).collect();
    if known.is_empty() {
        return;
    }
    put!(out, "\n## What each migration does\n");
    put!(
        out,
        "| Version | Creates | Alters | References | Writes | Renames | Drops | Source | Task |\n|---|---|---|---|---|---|---|---|---|"
    );
    for (view, step) in known {
        let Objects { creates, parts, alters, references, writes, drops, renames, claimed } = objects(step);
        let parts = match parts_in_words(parts) {
            none if none.is_empty() => none,
            words => format!(" with {words}"),
        };
        let claimed = match claimed {
            true if creates.is_empty() && alters.is_empty() && !step.state.will_run() => "not read",
            true if !creates.is_empty() => " (claimed, not read)",
            _ => "",
        };
        let opaque = step.opaque.as_ref().map(|why| format!(" not fully known: {}", code(why)));
        put!(
            out,
            "| {} | {}{parts}{claimed}{} | {} | {} | {} | {} | {} | {} | {} |",
            code(&view.label()),
            codes(creates),
            opaque.unwrap_or_default(),
            codes(alters),
            codes(references),
            codes(writes),
            codes(renames),
            codes(drops),
            step.claims.source.as_deref().map(code).unwrap_or_default(),
            step.claims.task.as_deref().map(prose).unwrap_or_default(),
        );
    }
}

/// Migrations that are more than one transaction.
fn parts(out: &mut String, digest: &Digest<'_>) {
    let mut first = true;
    for step in &digest.steps {
        let lines = step.parts_lines();
        if lines.is_empty() {
            continue;
        }
        if std::mem::take(&mut first) {
            put!(out, "\n## In parts\n");
        }
        put!(out, "- {}", titled(digest, step));
        for line in lines {
            put!(out, "  - {}", prose(&line));
        }
    }
}

fn left_out(out: &mut String, digest: &Digest<'_>) {
    let rows: Vec<_> = digest.steps.iter().filter_map(|step| Some((step, step.fate.left_out()?))).collect();
    if rows.is_empty() {
        return;
    }
    put!(out, "\n## Left out\n");
    put!(out, "| Version | Name | State | Why |\n|---|---|---|---|");
    for (step, why) in rows {
        put!(
            out,
            "| {} | {} | {} | {} |",
            code(&step.label()),
            code(step.name()),
            step.fate.word(),
            prose(why)
        );
    }
}

fn waits(out: &mut String, digest: &Digest<'_>) {
    let waited: Vec<_> = digest.steps.iter().filter(|step| !step.waits.is_empty()).collect();
    if waited.is_empty() && digest.runner_waits.is_empty() {
        return;
    }
    put!(out, "\n## Waiting\n");
    for wait in &digest.runner_waits {
        put!(
            out,
            "- {} for another runner: {}",
            duration(wait.to.saturating_sub(wait.from)),
            code(wait.what)
        );
    }
    for step in &waited {
        let last = step.waits.last().map_or(0, |wait| wait.attempt) as usize;
        let attempts = count(last, "attempt", "attempts");
        put!(
            out,
            "- {}: {} for a lock, {attempts} without it",
            titled(digest, step),
            duration(step.waited_total())
        );
    }
    let blockers: Vec<_> = waited
        .iter()
        .flat_map(|step| step.blockers().into_iter().map(move |blocker| (step, blocker)))
        .collect();
    if blockers.is_empty() {
        return;
    }
    put!(out, "\n| Waiting | Process | Role | Application | State | Transaction open | Last query |");
    put!(out, "|---|--:|---|---|---|--:|---|");
    for (step, blocker) in blockers {
        put!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            code(&step.label()),
            blocker.pid,
            code(&blocker.user),
            code(&blocker.application),
            code(&blocker.state),
            seconds(blocker.transaction_seconds),
            code(&escape::excerpt(&blocker.query, CELL)),
        );
    }
}

fn notices(out: &mut String, digest: &Digest<'_>) {
    let all: Vec<_> =
        digest.steps.iter().flat_map(|step| step.notices.iter().map(move |notice| (step, notice))).collect();
    if all.is_empty() {
        return;
    }
    put!(out, "\n## Notices of the server\n");
    put!(out, "| Version | Line | Severity | SQLSTATE | Message |\n|---|--:|---|---|---|");
    for (step, notice) in all.iter().take(NOTICES) {
        put!(
            out,
            "| {} | {} | {} | {} | {} |",
            code(&step.label()),
            notice.line,
            code(notice.severity),
            code(notice.code),
            code(&escape::excerpt(notice.message, 400)),
        );
    }
    if all.len() > NOTICES {
        put!(out, "\n{} more are in the run's JSON.", grouped(all.len() - NOTICES));
    }
}

fn backups(out: &mut String, digest: &Digest<'_>) {
    if digest.backups.is_empty() {
        return;
    }
    put!(out, "\n## Backups\n");
    put!(out, "| Stage | Path | Size | SHA-256 | Proof | Done after |\n|---|---|--:|---|---|--:|");
    for backup in &digest.backups {
        put!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            prose(backup.stage),
            code(backup.path),
            backup.dump.map(|(size, _)| bytes(size)).unwrap_or_default(),
            backup.dump.map(|(_, sha256)| code(sha256)).unwrap_or_default(),
            prose(&backup.proof()),
            duration(backup.at),
        );
    }
}

fn verification(out: &mut String, digest: &Digest<'_>) {
    put!(out, "\n## Verification\n");
    if digest.checks.is_empty() {
        put!(out, "Nothing was measured in this run.");
        return;
    }
    for pass in &digest.passes {
        put!(out, "- {} by {}: {}", utc(pass.at_micros), code(pass.operator), pass.words());
    }
    if !digest.passes.is_empty() {
        out.push('\n');
    }
    put!(out, "{}.", digest.verdict_words().unwrap_or_default());
    for group in grouped_checks(&digest.checks) {
        put!(out, "\n### {}\n", prose(&capital(&group.title)));
        put!(out, "| Verdict | Check | Found | Expected | Measured | Took |\n|---|---|---|---|---|--:|");
        for (name, check) in &group.checks {
            let verdict = verdict(check);
            let holds = check.verdict == Verdict::Holds;
            let verdict = if holds { verdict.to_owned() } else { format!("**{verdict}**") };
            put!(
                out,
                "| {verdict} | {} | {} | {} | {} | {} |",
                code(name),
                code(&escape::excerpt(&check.found, CELL)),
                code(&escape::excerpt(&check.expected, CELL)),
                code(&escape::excerpt(&check.measured, CELL)),
                duration(check.elapsed),
            );
        }
    }
}

fn verdict(check: &CheckResult) -> &'static str {
    match check.verdict {
        Verdict::Holds => "holds",
        Verdict::False => "false",
        Verdict::NotMeasured => "not measured",
        Verdict::Skipped => "skipped",
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// Version and name, with the folder where versions alone do not tell.
fn titled(digest: &Digest<'_>, step: &StepView<'_>) -> String {
    let root = if digest.several_roots { format!("{}/", step.id.root) } else { String::new() };
    let name = step.name();
    code(&format!("{root}{}{}{name}", step.label(), if name.is_empty() { "" } else { " " }))
}

pub(crate) fn codes(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| code(value)).collect();
    values.join(", ")
}

/// Characters that neither end a code span nor mean anything to a table.
fn tame(c: char) -> bool {
    c.is_alphanumeric() || " _.-/:,;()='\"#+@*[]{}!?%$^~…–".contains(c)
}

/// A value as code; nothing for an empty one.
pub(crate) fn code(text: &str) -> String {
    let text = escape::line(text);
    if text.is_empty() {
        return String::new();
    }
    let padded = text.starts_with(' ') || text.ends_with(' ');
    if !padded && text.chars().all(tame) {
        return format!("`{text}`");
    }
    let mut out = String::from("<code>");
    for c in text.chars() {
        if c.is_alphanumeric() || " .,-/=()'\"".contains(c) || !c.is_ascii() {
            out.push(c);
        } else {
            reference(&mut out, c);
        }
    }
    out.push_str("</code>");
    out
}

fn reference(out: &mut String, c: char) {
    add!(out, "&#{};", u32::from(c));
}

/// Running text, with everything that Markdown or HTML could take for markup escaped.
pub(crate) fn prose(text: &str) -> String {
    let text = escape::line(text.trim());
    let chars: Vec<char> = text.chars().collect();
    let word = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric());
    let mut out = String::with_capacity(text.len());
    let number = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    for (i, &c) in chars.iter().enumerate() {
        match c {
            // An ampersand is one unless it could begin a character reference.
            '&' if word(Some(i + 1)) || chars.get(i + 1) == Some(&'#') => reference(&mut out, c),
            '|' | '\\' | '<' | '>' | '`' | '~' | '[' | ']' | '*' => reference(&mut out, c),
            // An underscore within a word is only an underscore.
            '_' if !(word(i.checked_sub(1)) && word(Some(i + 1))) => reference(&mut out, c),
            // What begins a heading, a list or a rule.
            '#' | '+' | '-' | '=' if i == 0 => reference(&mut out, c),
            '.' | ')' if i == number && i > 0 && chars.get(i + 1).is_none_or(|next| *next == ' ') => {
                reference(&mut out, c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Text of several lines in a fence longer than any run of backticks within it.
fn fence(out: &mut String, text: &str) {
    put!(out, "{}", fenced("text", &escape::block(text)));
}

/// Lines in a fence longer than any run of backticks within them, with what they are in.
pub(crate) fn fenced(language: &str, lines: &str) -> String {
    let longest = lines.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{lines}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_readable_until_it_is_dangerous() {
        assert_eq!(code("public.users_email_key"), "`public.users_email_key`");
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(code("a`b\nc"), "<code>a&#96;b&#92;nc</code>");
        assert_eq!(code("<b>&"), "<code>&#60;b&#62;&#38;</code>");
        assert_eq!(code(""), "");
    }

    #[test]
    fn prose_keeps_words_and_defuses_markup() {
        assert_eq!(prose("live in jobs.payload_json"), "live in jobs.payload_json");
        assert_eq!(prose("_x_ *y* [a](b)"), "&#95;x&#95; &#42;y&#42; &#91;a&#93;(b)");
        assert_eq!(prose("# x"), "&#35; x");
        assert_eq!(prose("1. x"), "1&#46; x");
        assert_eq!(prose("2.1"), "2.1");
    }

    #[test]
    fn fences_outgrow_their_text() {
        let mut out = String::new();
        fence(&mut out, "a\n````\nb");
        assert_eq!(out, "`````text\na\n````\nb\n`````\n");
    }
}
