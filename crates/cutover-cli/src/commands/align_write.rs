//! `cutover align --write`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use cutover::align::{self, Decisions, Fill, Generated, Renamed, Undecided};
use cutover::clock::{Clock as _, SystemClock};
use cutover::lint::{Located, Severity};
use cutover::project::{Body, Project};
use cutover::put;
use cutover::report::format::{count, utc};
use cutover::text::visible;
use cutover_models::Models;
use serde::Serialize;

use super::align::Decided;
use super::new::digits_of;
use crate::app::App;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    /// The files that were written.
    paths: &'a [String],
    #[serde(flatten)]
    generated: &'a Generated,
}

pub(super) fn run(
    app: &App,
    project: &Project,
    models: &Models,
    keep: Vec<String>,
    decided: &Decided,
) -> Result<Exit, CliError> {
    let mut decisions =
        Decisions { drop: decided.drop.clone(), keep, fills: decided.fills.clone(), ..Decisions::default() };
    for renamed in decided.renames.iter().cloned() {
        take(renamed, &mut decisions);
    }
    let mut answers: Vec<String> = Vec::new();
    let mut generated = generate(app, project, models, &decisions)?;
    while !generated.undecided.is_empty() && app.can_ask() {
        let renames = decisions.renames.len();
        for (at, one) in generated.undecided.iter().enumerate() {
            let which = format!("{} of {}", at + 1, generated.undecided.len());
            answers.push(asked(app, &which, one, &mut decisions)?);
            if decisions.renames.len() > renames {
                // What follows may be another question then.
                break;
            }
        }
        generated = generate(app, project, models, &decisions)?;
    }
    if !answers.is_empty() {
        app.output.remark(&visible(&format!("the same without questions: {}", answers.join(" "))));
    }
    let written = write(app, project, &generated, decided)?;
    let (paths, offset) = (written.paths, written.offset);
    if app.output.is_json() {
        app.output.json(&Document {
            format_version: FORMAT_VERSION,
            paths: &paths,
            generated: &generated,
        })?;
    } else {
        tell(app, &generated, &paths, offset, decided);
    }
    let is_done = generated.undecided.is_empty()
        && generated.left.is_empty()
        && generated.failed.is_none()
        && generated.still.is_empty();
    Ok(if is_done { Exit::Done } else { Exit::No })
}

fn generate(
    app: &App,
    project: &Project,
    models: &Models,
    decisions: &Decisions,
) -> Result<Generated, CliError> {
    app.block_on(async |signals| {
        let work = async { Ok(align::generate(models, project, decisions, &app.scratch()?).await?) };
        Box::pin(signals.or_end(work)).await
    })
}

fn take(renamed: Renamed, decisions: &mut Decisions) {
    match renamed {
        Renamed::Object(rename) => decisions.renames.push(rename),
        Renamed::Value(value) => decisions.values.push(value),
    }
}

/// Asks for one decision; gives it as it could have been said.
fn asked(app: &App, which: &str, one: &Undecided, decisions: &mut Decisions) -> Result<String, CliError> {
    match one {
        Undecided::Drop { object, what, perhaps } => {
            let is_free = |text: &&String| {
                Renamed::parse(text).is_ok_and(|renamed| match renamed {
                    Renamed::Object(rename) => !decisions
                        .renames
                        .iter()
                        .any(|known| known.to == rename.to && known.object.table == rename.object.table),
                    Renamed::Value(value) => !decisions.values.contains(&value),
                })
            };
            let rename = perhaps.iter().find(is_free);
            let or_renamed = rename
                .and_then(|text| text.rsplit_once('='))
                .map(|(_, to)| format!(", [r]enamed to {}", visible(to)));
            let question = format!(
                "{which}: {}\n  {}: [k]eep, [d]rop{}? ",
                visible(what),
                visible(object),
                or_renamed.unwrap_or_default()
            );
            loop {
                match (app.ask(&question)?.to_lowercase().as_str(), rename) {
                    ("k" | "keep", _) => {
                        decisions.keep.push(object.clone());
                        return Ok(format!("--keep '{object}'"));
                    }
                    ("d" | "drop", _) => {
                        decisions.drop.push(object.clone());
                        return Ok(format!("--drop '{object}'"));
                    }
                    ("r" | "renamed" | "rename", Some(text)) => {
                        if let Ok(renamed) = Renamed::parse(text) {
                            take(renamed, decisions);
                        }
                        return Ok(format!("--rename '{text}'"));
                    }
                    _ => app.output.warn("answer with one of the letters in brackets"),
                }
            }
        }
        Undecided::Fill { column, what, client } => {
            let client = client
                .as_ref()
                .map(|client| format!(" (its client puts {})", visible(client)))
                .unwrap_or_default();
            let question = format!(
                "{which}: {}{client}\n  what rows that are there get, as SQL; none where there are no rows: ",
                visible(what)
            );
            loop {
                let said = format!("{column}={}", app.ask(&question)?);
                match Fill::parse(&said) {
                    Ok(fill) => {
                        decisions.fills.push(fill);
                        return Ok(format!("--fill {}", shell_quoted(&said)));
                    }
                    Err(why) => app.output.warn(&visible(&why)),
                }
            }
        }
    }
}

/// A word as a shell takes it.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What was written.
#[derive(Default)]
struct Written {
    paths: Vec<String>,
    /// Lines of the file before the statements.
    offset: u32,
}

/// Writes what may be written; gives the paths.
fn write(
    app: &App,
    project: &Project,
    generated: &Generated,
    decided: &Decided,
) -> Result<Written, CliError> {
    if decided.out.as_deref() == Some(Path::new("-")) {
        if !app.output.is_json() {
            app.output.print(&generated.sql);
        }
        return Ok(Written::default());
    }
    if generated.sql.is_empty() || generated.failed.is_some() {
        return Ok(Written::default());
    }
    if let Some(file) = &decided.out {
        return new_file(project, file, &generated.sql);
    }
    let now = digits_of(&utc(SystemClock::new().now_micros()));
    let title = decided.title.as_ref().unwrap_or(&generated.title);
    let body = Body { forward: &generated.sql, back: &generated.undo };
    let created = project.write_migration(title, decided.folder.as_deref(), now, &body)?;
    let offset = created.first().map_or(0, |file| lines_before(&file.content, &generated.sql));
    Ok(Written { paths: created.into_iter().map(|file| file.path).collect(), offset })
}

/// Lines of a file before the first line of its statements.
fn lines_before(content: &str, sql: &str) -> u32 {
    let first = sql.lines().next().unwrap_or_default();
    let at = content.lines().position(|line| line == first).unwrap_or(0);
    u32::try_from(at).unwrap_or(0)
}

fn new_file(project: &Project, file: &Path, sql: &str) -> Result<Written, CliError> {
    let shown = file.display().to_string();
    let text = project.as_migration(file, sql).map_err(|why| {
        CliError::usage(format!("--out {}: it would be no migration there", visible(&shown))).hint(why)
    })?;
    put::new(file, &text).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CliError::usage(format!("cannot write {}: it is there already", visible(&shown)))
                .hint("name a file that is not there yet")
        }
        _ => CliError::file(file, &error),
    })?;
    Ok(Written { offset: lines_before(&text, sql), paths: vec![shown] })
}

fn tell(app: &App, generated: &Generated, paths: &[String], offset: u32, decided: &Decided) {
    for one in &generated.not_compared {
        app.output.warn(&visible(&format!("{}:{}: not compared: {}", one.path, one.line, one.what)));
    }
    if !generated.undecided.is_empty() {
        app.output.to_stderr(&undecided(&generated.undecided));
        return;
    }
    for left in &generated.left {
        app.output.warn(&format!("no statement sees to {}", visible(left)));
    }
    if let Some(why) = &generated.failed {
        app.output.warn(&format!(
            "nothing was written: it cannot be applied behind the migrations that are there: {}",
            visible(why)
        ));
        app.output.warn("--out - prints what would have been written");
        return;
    }
    for difference in &generated.still {
        let column = difference.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
        let what = format!("{}{column}: {}", difference.table, difference.message);
        app.output.warn(&format!("still otherwise once it is applied: {}", visible(&what)));
    }
    for one in &generated.back {
        app.output.warn(&format!("the way back does not lead back: {}", visible(one)));
    }
    for line in findings(generated, offset) {
        app.output.remark(&visible(&line));
    }
    for path in paths {
        app.output.print(&format!("{}\n", visible(path)));
    }
    if generated.sql.is_empty() && generated.left.is_empty() {
        app.output.say("the migrations make what the models say: nothing is to be written");
    } else if decided.out.as_deref() != Some(Path::new("-"))
        && !paths.is_empty()
        && generated.still.is_empty()
    {
        app.output.say(
            "proven on a throwaway server: behind the migrations that are there it makes what the models say",
        );
    }
}

/// What lint finds, a rule a line.
fn findings(generated: &Generated, offset: u32) -> Vec<String> {
    let mut of_rules: BTreeMap<&str, Vec<&Located>> = BTreeMap::new();
    for finding in &generated.findings {
        of_rules.entry(&finding.code).or_default().push(finding);
    }
    let line = |(code, all): (&str, Vec<&Located>)| {
        if let [one] = all[..] {
            return format!("lint: line {}: {code}: {}", one.line + offset, one.message);
        }
        let lines: Vec<String> = all.iter().map(|one| (one.line + offset).to_string()).collect();
        format!("lint: {code}: lines {}", lines.join(", "))
    };
    let mut lines: Vec<String> = of_rules.into_iter().map(line).collect();
    let mut stop: Vec<&str> = Vec::new();
    for finding in generated.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        if !stop.contains(&finding.code.as_str()) {
            stop.push(&finding.code);
        }
    }
    if !stop.is_empty() {
        let allow: Vec<String> = stop.iter().map(|code| format!("--allow {code}")).collect();
        lines.push(format!(
            "where tables hold rows, `cutover apply` stops before it, unless it is told {}",
            allow.join(" ")
        ));
    }
    lines
}

/// What is to be decided, with what says it.
fn undecided(all: &[Undecided]) -> String {
    let mut text = String::new();
    for one in all {
        match one {
            Undecided::Drop { object, what, perhaps } => {
                let _ = writeln!(text, "{}", visible(what));
                let mut ways = vec![format!("--drop '{object}'"), format!("--keep '{object}'")];
                ways.extend(perhaps.iter().map(|rename| format!("--rename '{rename}'")));
                let _ = writeln!(text, "  {}", visible(&ways.join("  or  ")));
            }
            Undecided::Fill { column, what, client } => {
                let client =
                    client.as_ref().map(|client| format!(" (its client puts {client})")).unwrap_or_default();
                let _ =
                    writeln!(text, "{}: rows that are there need a value{}", visible(what), visible(&client));
                let _ = writeln!(
                    text,
                    "  {}",
                    visible(&format!(
                        "--fill '{column}=EXPRESSION'  or  --fill '{column}=none' where there are no rows"
                    ))
                );
            }
        }
    }
    let _ = writeln!(
        text,
        "nothing was written: {} to be decided first (a kind alone, as in --keep index, or all, decides for several)",
        count(all.len(), "thing is", "things are")
    );
    text
}
