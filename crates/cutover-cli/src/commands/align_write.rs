//! `cutover align --write`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use cutover::align::{self, Decisions, Fill, Generated, Undecided};
use cutover::clock::{Clock as _, SystemClock};
use cutover::compare::rename::Rename;
use cutover::lint::Located;
use cutover::project::{Body, Project};
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
    let (drop, fills, renames) = (decided.drop.clone(), decided.fills.clone(), decided.renames.clone());
    let mut decisions = Decisions { drop, keep, fills, renames };
    let mut generated = generate(app, project, models, &decisions)?;
    while !generated.undecided.is_empty() && app.can_ask() {
        let renames = decisions.renames.len();
        for one in &generated.undecided {
            asked(app, one, &mut decisions)?;
            if decisions.renames.len() > renames {
                // What follows may be another question then.
                break;
            }
        }
        generated = generate(app, project, models, &decisions)?;
    }
    let paths = write(app, project, &generated, decided)?;
    if app.output.is_json() {
        app.output.json(&Document {
            format_version: FORMAT_VERSION,
            paths: &paths,
            generated: &generated,
        })?;
    } else {
        tell(app, &generated, &paths, decided);
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

/// Asks for one decision.
fn asked(app: &App, one: &Undecided, decisions: &mut Decisions) -> Result<(), CliError> {
    match one {
        Undecided::Drop { object, what, perhaps } => {
            let renames: Vec<Rename> = perhaps.iter().filter_map(|text| Rename::parse(text).ok()).collect();
            let is_renamed = |rename: &Rename| {
                decisions
                    .renames
                    .iter()
                    .any(|known| known.to == rename.to && known.object.table == rename.object.table)
            };
            let rename = renames.into_iter().find(|rename| !is_renamed(rename));
            let or_renamed = rename.as_ref().map(|rename| format!(", [r]enamed to {}", visible(&rename.to)));
            let question = format!(
                "{}\n  {}: [k]eep, [d]rop{}? ",
                visible(what),
                visible(object),
                or_renamed.unwrap_or_default()
            );
            loop {
                match (app.ask(&question)?.to_lowercase().as_str(), &rename) {
                    ("k" | "keep", _) => decisions.keep.push(object.clone()),
                    ("d" | "drop", _) => decisions.drop.push(object.clone()),
                    ("r" | "renamed" | "rename", Some(rename)) => decisions.renames.push(rename.clone()),
                    _ => continue,
                }
                return Ok(());
            }
        }
        Undecided::Fill { column, what, client } => {
            let client = client
                .as_ref()
                .map(|client| format!(" (its client puts {})", visible(client)))
                .unwrap_or_default();
            let question = format!(
                "{}{client}\n  what rows that are there get, as SQL; none where there are no rows: ",
                visible(what)
            );
            loop {
                match Fill::parse(&format!("{column}={}", app.ask(&question)?)) {
                    Ok(fill) => decisions.fills.push(fill),
                    Err(why) => {
                        app.output.warn(&visible(&why));
                        continue;
                    }
                }
                return Ok(());
            }
        }
    }
}

/// Writes what may be written; gives the paths.
fn write(
    app: &App,
    project: &Project,
    generated: &Generated,
    decided: &Decided,
) -> Result<Vec<String>, CliError> {
    if decided.out.as_deref() == Some(Path::new("-")) {
        if !app.output.is_json() {
            app.output.print(&generated.sql);
        }
        return Ok(Vec::new());
    }
    if generated.sql.is_empty() || generated.failed.is_some() {
        return Ok(Vec::new());
    }
    if let Some(file) = &decided.out {
        return new_file(project, file, &generated.sql).map(|path| vec![path]);
    }
    let now = digits_of(&utc(SystemClock::new().now_micros()));
    let title = decided.title.as_ref().unwrap_or(&generated.title);
    let body = Body { forward: &generated.sql, back: &generated.undo };
    let created = project.write_migration(title, decided.folder.as_deref(), now, &body)?;
    Ok(created.into_iter().map(|file| file.path).collect())
}

fn new_file(project: &Project, file: &Path, sql: &str) -> Result<String, CliError> {
    let shown = file.display().to_string();
    let text = project.as_migration(file, sql).map_err(|why| {
        CliError::usage(format!("--out {}: it would be no migration there", visible(&shown))).hint(why)
    })?;
    let mut new = OpenOptions::new().write(true).create_new(true).open(file).map_err(|error| {
        CliError::usage(format!("cannot write {}: {error}", visible(&shown)))
            .hint("name a file that is not there yet")
    })?;
    new.write_all(text.as_bytes()).map_err(|error| CliError::file(file, &error))?;
    Ok(shown)
}

fn tell(app: &App, generated: &Generated, paths: &[String], decided: &Decided) {
    for one in &generated.not_compared {
        app.output.warn(&visible(&format!("{}:{}: nothing is made of it: {}", one.path, one.line, one.what)));
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
    for line in findings(generated) {
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
fn findings(generated: &Generated) -> Vec<String> {
    let mut of_rules: BTreeMap<&str, Vec<&Located>> = BTreeMap::new();
    for finding in &generated.findings {
        of_rules.entry(&finding.code).or_default().push(finding);
    }
    let line = |(code, all): (&str, Vec<&Located>)| {
        if let [one] = all[..] {
            return format!("lint: line {}: {code}: {}", one.line, one.message);
        }
        let lines: Vec<String> = all.iter().map(|one| one.line.to_string()).collect();
        format!("lint: {code}: lines {}", lines.join(", "))
    };
    of_rules.into_iter().map(line).collect()
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
