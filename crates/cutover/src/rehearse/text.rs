//! A rehearsal for people.

use std::fmt::Write as _;

use super::model::{Answer, Felt, Ground, MadeOf, Proof, Rehearsal, Traced, TracedStatement, Workload};
use crate::report::format::{count, duration};
use crate::text::{caret, visible};

/// Tables, objects and the like that are named on one line.
const NAMED: usize = 6;

/// Everything that was seen. `all`: also the statements that hold up nobody.
pub fn lines(rehearsal: &Rehearsal, all: bool) -> String {
    let mut text = ground(rehearsal);
    for traced in &rehearsal.migrations {
        text += &migration(traced, all);
    }
    for finding in &rehearsal.findings {
        text.push('\n');
        text += &self::finding(finding);
    }
    if let Some(workload) = &rehearsal.workload {
        text += &self::workload(workload);
    }
    if let Some(proof) = &rehearsal.proof {
        text += &self::proof(proof, all);
    }
    text += &disagreements(rehearsal);
    text.push('\n');
    text + &sums(rehearsal)
}

fn ground(rehearsal: &Rehearsal) -> String {
    let Ground { made_of, tables, rows, left_out, remarks, .. } = &rehearsal.ground;
    let database = rehearsal.database.as_deref().map(visible).unwrap_or_default();
    let over = match made_of {
        MadeOf::Nothing => "an empty database".to_owned(),
        MadeOf::Dump => format!("the schema of {database}"),
        MadeOf::Replay => format!("what is applied to {database}, run again"),
    };
    let tables = usize::try_from(*tables).unwrap_or(usize::MAX);
    let rows = match rows {
        0 => String::new(),
        rows => format!(", {}", count(usize::try_from(*rows).unwrap_or(usize::MAX), "row", "rows")),
    };
    let mut text = format!(
        "Rehearsed on PostgreSQL {} over {over} ({}{rows})\n",
        visible(&rehearsal.server_version),
        count(tables, "table", "tables")
    );
    for remark in remarks {
        let _ = writeln!(text, "  {}", visible(remark));
    }
    for left_out in left_out {
        let _ = writeln!(text, "  left out: {}: {}", visible(&left_out.what), visible(&left_out.why));
    }
    text.push('\n');
    text
}

fn migration(traced: &Traced, all: bool) -> String {
    let took = duration(traced.to.saturating_sub(traced.from));
    let mark = if traced.failure.is_some() { "✗" } else { "✓" };
    let mut text = format!("{mark} {}  {took}\n", visible(&traced.path));
    for statement in &traced.statements {
        text += &self::statement(traced, statement, all);
    }
    if let Some(failed) = &traced.failure {
        let _ = writeln!(text, "    line {}: {}", failed.line, visible(&failed.message));
        if let Some(hint) = &failed.hint {
            let _ = writeln!(text, "    hint: {}", visible(hint));
        }
        if failed.partly {
            text += "    what stands before it in the file stays, as it runs outside one transaction\n";
        }
    }
    text
}

/// A statement with what holds others up; with `all`, any statement with everything.
fn statement(traced: &Traced, statement: &TracedStatement, all: bool) -> String {
    let mut words = Vec::new();
    let is_new = |name: &String| traced.locks.iter().any(|held| held.is_new && held.relation == *name);
    for taken in &statement.locks {
        let held =
            traced.locks.iter().find(|held| held.relation == taken.relation && held.line == statement.line);
        let Some(held) = held.filter(|held| held.is_table && (all || held.holds_up() || taken.waited)) else {
            continue;
        };
        let whom = match (held.blocks_reads(), held.blocks_writes()) {
            (true, _) => ": nobody reads or writes",
            (_, true) => ": nobody writes",
            _ => "",
        };
        let waits = if taken.waited { ", waits for whoever uses it" } else { "" };
        words.push(format!(
            "{} on {} for {}{whom}{waits}",
            taken.mode.sql(),
            visible(&taken.relation),
            duration(held.took())
        ));
    }
    let told = |name: &&String| all || !is_new(name);
    let rewritten = statement.rewritten.iter().filter(told);
    words.extend(rewritten.map(|table| format!("writes {} anew", visible(table))));
    words.extend(listed("builds anew", statement.rebuilt.iter().filter(told).map(String::as_str)));
    let scanned = statement.scanned.iter().filter(told);
    words.extend(scanned.map(|table| format!("reads all of {}", visible(table))));
    for wrote in statement.wrote.iter().filter(|_| all) {
        words.push(format!(
            "{}: {} inserted, {} updated, {} deleted",
            visible(&wrote.table),
            wrote.inserted,
            wrote.updated,
            wrote.deleted
        ));
    }
    if all {
        for (what, objects) in
            [("makes", &statement.created), ("changes", &statement.altered), ("drops", &statement.dropped)]
        {
            let named: Vec<String> =
                objects.iter().map(|object| format!("{} {}", object.kind, object.name)).collect();
            words.extend(listed(what, named.iter().map(String::as_str)));
        }
    }
    if words.is_empty() && !all {
        return String::new();
    }
    let mut text = format!("    {}: {}\n", statement.line, visible(&statement.text));
    for word in words {
        let _ = writeln!(text, "       {word}");
    }
    text
}

/// `makes a, b and 3 more`
fn listed<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = names.map(visible).collect();
    let more = names.len().saturating_sub(NAMED);
    let first = names.get(..names.len() - more).unwrap_or_default().join(", ");
    match (names.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(format!("{what} {first}")),
        _ => Some(format!("{what} {first} and {more} more")),
    }
}

fn finding(finding: &super::model::Finding) -> String {
    let found = &finding.found;
    let excerpt = if found.source_line.is_empty() {
        String::new()
    } else {
        format!("{}\n", caret(found.line, found.column, &found.source_line))
    };
    let measured = finding.measured.as_ref().map(|words| format!("  measured: {}\n", visible(words)));
    format!(
        "{}:{}:{}: {}[{}]: {}\n{excerpt}{}  help: {} ({})\n",
        visible(&found.path),
        found.line,
        found.column,
        found.severity,
        found.code,
        visible(&found.message),
        measured.unwrap_or_default(),
        visible(&found.help),
        found.seen_by
    )
}

fn workload(workload: &Workload) -> String {
    if workload.felt.is_empty() {
        return String::new();
    }
    let mut text = format!("\nClients at work meanwhile (waits above {} count):\n", duration(workload.limit));
    for felt in &workload.felt {
        text += &self::felt(felt);
    }
    for failed in &workload.failed {
        let _ = writeln!(text, "  ✗ failed with clients at work: {}", visible(failed));
    }
    text
}

fn felt(felt: &Felt) -> String {
    let mark = if felt.blocked.is_empty() && felt.errors.is_empty() { "✓" } else { "✗" };
    let mut text = format!(
        "  {mark} {} {}: {}, the longest {}\n",
        if felt.writes { "writing" } else { "reading" },
        visible(&felt.table),
        count(usize::try_from(felt.statements).unwrap_or(usize::MAX), "statement", "statements"),
        duration(felt.longest)
    );
    for blocked in felt.blocked.iter().take(NAMED) {
        let _ =
            writeln!(text, "      blocked {} during {}", duration(blocked.took), visible(&blocked.during));
    }
    for hurt in &felt.errors {
        let _ = writeln!(
            text,
            "      {}: {} (since {})",
            count(usize::try_from(hurt.times).unwrap_or(usize::MAX), "error", "errors"),
            visible(&hurt.message),
            visible(&hurt.during)
        );
    }
    text
}

fn proof(proof: &Proof, all: bool) -> String {
    let mut text = "\nProven:\n".to_owned();
    let parts = [
        ("leaves nothing when it is rolled back", 0),
        ("can be reverted", 1),
        ("makes the same when it is applied again", 2),
    ];
    for (what, part) in parts {
        let answers: Vec<(&str, &Answer)> = proof
            .migrations
            .iter()
            .map(|proven| {
                let answers = [&proven.rolled_back, &proven.reverted, &proven.again];
                (proven.path.as_str(), answers[part])
            })
            .collect();
        let yes = answers.iter().filter(|(_, answer)| **answer == Answer::Yes).count();
        let asked = answers.iter().filter(|(_, answer)| **answer != Answer::NotAsked).count();
        let is_bad = answers.iter().any(|(_, answer)| matches!(answer, Answer::No(_)));
        let _ = writeln!(text, "  {} {yes} of {asked}: {what}", if is_bad { "✗" } else { "✓" });
        for (path, answer) in answers {
            match answer {
                Answer::No(why) => {
                    let _ = writeln!(text, "      {}: {}", visible(path), visible(why));
                }
                Answer::NotMeasured(why) if all || part > 0 => {
                    let _ = writeln!(text, "      {}: not measured: {}", visible(path), visible(why));
                }
                _ => {}
            }
        }
    }
    for differs in &proof.differs {
        let _ = writeln!(text, "  ✗ {}", visible(differs));
    }
    for unresolved in &proof.unresolved {
        let mark = if unresolved.is_new { "✗" } else { "·" };
        let line = unresolved.line.map(|line| format!(" line {line}")).unwrap_or_default();
        let before = if unresolved.is_new { "" } else { " (so before the migrations)" };
        let _ = writeln!(
            text,
            "  {mark} {}{line}: {}{before}",
            visible(&unresolved.routine),
            visible(&unresolved.message)
        );
        if let Some(hint) = &unresolved.hint {
            let _ = writeln!(text, "      hint: {}", visible(hint));
        }
    }
    for not_proven in &proof.not_proven {
        let _ = writeln!(text, "  not proven: {}", visible(not_proven));
    }
    text
}

fn disagreements(rehearsal: &Rehearsal) -> String {
    if rehearsal.disagreements.is_empty() {
        return String::new();
    }
    let mut text = "\nWhat cutover's own analysis had not foreseen; please report it:\n".to_owned();
    for disagreement in &rehearsal.disagreements {
        let _ = writeln!(
            text,
            "  {}:{}: {}\n      {}",
            visible(&disagreement.path),
            disagreement.line,
            visible(&disagreement.what),
            visible(&disagreement.text)
        );
    }
    text
}

fn sums(rehearsal: &Rehearsal) -> String {
    let errors = rehearsal
        .findings
        .iter()
        .filter(|finding| finding.found.severity == crate::lint::Severity::Error)
        .count();
    format!(
        "{}: {} failed, {}, {} in {} ({} in all)\n",
        count(rehearsal.migrations.len(), "migration", "migrations"),
        rehearsal.failed(),
        count(errors, "error", "errors"),
        count(rehearsal.findings.len() - errors, "warning", "warnings"),
        duration(rehearsal.took),
        duration(rehearsal.took_in_all)
    )
}
