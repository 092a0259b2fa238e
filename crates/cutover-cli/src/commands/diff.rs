//! `cutover diff`.

use std::path::{Path, PathBuf};

use clap::Args;
use cutover::compare::rename::{self, Rename};
use cutover::compare::{self, Built, Change, Diff, Left, Options, Schema, Side, Sql, diff, drift, read_both};
use cutover::project::{Overrides, Project, Vars};
use cutover::put;
use cutover::report::format::count;
use cutover::text::visible;
use cutover_postgres::connect::ConnectOptions;
use serde::Serialize;

use crate::app::{App, overrides};
use crate::args::VarArgs;
use crate::commands::written;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

/// Show what lies between two schemas, or what somebody changed since the last run
///
/// A side is a folder of migrations, a file of DDL (.sql), a saved schema (.json) or a database (a URL). What is not a
/// database is built on a throwaway server first, so that both are compared as PostgreSQL itself prints them. With one
/// side, the configured database is compared with it. With none, the database is compared with what the last run left.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 where both are the same, with 1 where they differ.

Indexes are built concurrently and constraints validated in a transaction of their own where --sql changes a table that is
there. What destroys rows or may fail has a comment that says so; what no statement sees to stands at the head.

Examples:
  cutover diff                                    what somebody changed since the last run
  cutover diff --replay                           what is not as the applied migrations make it
  cutover diff --reverse --sql                    the statements that take those changes back
  cutover diff schema.sql --sql                   the statements that make the database as the file says
  cutover diff old/ new/ --rename 'column app.users.mail=email' --out V7__changes.sql
  cutover diff postgres://host/db --save now.json")]
#[allow(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub(crate) struct Arguments {
    /// What is there: a folder of migrations, a .sql or .json file, or a database URL
    #[arg(value_name = "FROM")]
    first: Option<String>,
    /// What is wanted, in the same forms
    #[arg(value_name = "TO")]
    second: Option<String>,
    /// Without sides: compare with what the applied migrations make, built anew, not with what the last run recorded
    #[arg(long, conflicts_with = "first")]
    replay: bool,
    /// The other way round: from the second side to the first
    #[arg(long)]
    reverse: bool,
    /// Only this schema; may be repeated. Without it: all, or without sides those that the migrations touch
    #[arg(long = "schema", value_name = "NAME")]
    schemas: Vec<String>,
    /// What counts as no difference; may be repeated
    #[arg(long = "ignore", value_name = "WHAT")]
    ignored: Vec<Ignored>,
    /// Something that has another name on the second side, e.g. 'column app.users.mail=email'; may be repeated
    #[arg(long = "rename", value_name = "KIND NAME=NEW", value_parser = Rename::parse)]
    renames: Vec<Rename>,
    /// Print the statements that make the first into the second, as a migration
    #[arg(long)]
    sql: bool,
    /// Write them to this file; in a folder of migrations, as one of its convention
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Let --out and --save write over a file that is there; never over a file of the project
    #[arg(long)]
    force: bool,
    /// Save the last side named, or the database, as a schema to compare with later
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Change tables by the shortest statements, as for a database that nobody uses meanwhile
    #[arg(long)]
    unused: bool,
    #[command(flatten)]
    vars: VarArgs,
}

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Ignored {
    /// The order of the columns that both sides have: PostgreSQL cannot move a column
    ColumnOrder,
}

/// Two schemas, each with what it is called.
struct Pair {
    from: (Schema, String),
    to: (Schema, String),
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    from: &'a str,
    to: &'a str,
    changes: &'a [Change],
    statements: &'a [Sql],
    left: &'a [Left],
    perhaps_renamed: Vec<String>,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    if let Some(file) = arguments.out.as_deref().or(arguments.save.as_deref())
        && app.output.is_json()
        && arguments.out.is_some()
    {
        let message = format!("--format json writes to standard output: without --out {}", file.display());
        return Err(CliError::usage(message));
    }
    not_a_side(arguments)?;
    not_of_the_project(app, arguments)?;
    let mut pair = app.block_on(async |signals| signals.or_end(Box::pin(read(app, arguments))).await)?;
    for remark in &pair.remarks {
        app.output.remark(&visible(remark));
    }
    known_schemas(arguments, &pair)?;
    if let Some(file) = &arguments.save {
        save(app, file, &pair.to.0, arguments.force)?;
    }
    if arguments.save.is_some()
        && arguments.second.is_none()
        && arguments.first.is_some()
        && pair.from.1.is_empty()
    {
        return Ok(Exit::Done);
    }
    if arguments.reverse {
        std::mem::swap(&mut pair.from, &mut pair.to);
    }
    let (copy, in_order) = renamed(app, (&pair.from.0, &pair.to.0), &arguments.renames)?;
    let from = copy.as_ref().unwrap_or(&pair.from.0);
    let mut found = diff(from, &pair.to.0, Options { safe: !arguments.unused });
    let first = in_order.iter().map(|rename| Sql::plain(rename.sql()));
    found.statements.splice(0..0, first);
    if arguments.ignored.contains(&Ignored::ColumnOrder) {
        found = found.without_column_order();
    }
    tell(app, arguments, &pair, &found)?;
    Ok(if found.is_empty() && arguments.renames.is_empty() { Exit::Done } else { Exit::No })
}

/// Both sides.
async fn read(app: &App, arguments: &Arguments) -> Result<Pair, CliError> {
    let sandbox = app.scratch()?;
    let Some(first) = &arguments.first else {
        app.not_in_a_sandbox("diff without sides", "")?;
        let project = app.project(&overrides(&arguments.vars))?;
        let target = app.target(&project).await?;
        let replay = arguments.replay.then_some(&sandbox);
        let found = drift::drift(&project, &target.options, &arguments.schemas, replay).await?;
        return Ok(Pair {
            from: (found.expected, found.expected_name),
            to: (found.live, found.live_name),
            remarks: found.remarks,
        });
    };
    let mut like: Option<ConnectOptions> = None;
    let (from, to) = match &arguments.second {
        Some(second) => (side(app, arguments, first)?, side(app, arguments, second)?),
        None if arguments.save.is_some() => {
            let to = side(app, arguments, first)?;
            let name = to.to_string();
            let Built { schema, remarks } = to.read(&arguments.schemas, None, &sandbox).await?;
            return Ok(Pair { from: (schema.clone(), String::new()), to: (schema, name), remarks });
        }
        None => {
            let project = app.project(&overrides(&arguments.vars))?;
            let target = app.target(&project).await?;
            (Side::Database(Box::new(target.options)), side(app, arguments, first)?)
        }
    };
    for side in [&from, &to] {
        if let (Side::Database(options), None) = (side, &like) {
            like = Some((**options).clone());
        }
    }
    let mut names = [from.to_string(), to.to_string()];
    if names[0] == names[1]
        && let (Side::Project(_), Side::Project(_)) = (&from, &to)
    {
        // Two checkouts of one project.
        for (name, given) in names.iter_mut().zip([Some(first), arguments.second.as_ref()]) {
            name.extend(given.map(|given| format!(" in {given}")));
        }
    }
    let [from, to] = read_both(from, to, &arguments.schemas, like.as_ref(), &sandbox).await?;
    let [from_name, to_name] = names;
    let remarks = from.remarks.into_iter().chain(to.remarks).collect();
    Ok(Pair { from: (from.schema, from_name), to: (to.schema, to_name), remarks })
}

/// What an argument means.
fn side(app: &App, arguments: &Arguments, text: &str) -> Result<Side, CliError> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(Side::Database(Box::new(app.database_of("a side", text)?)));
    }
    let path = Path::new(text);
    if !path.exists() && is_connection(text) {
        return Ok(Side::Database(Box::new(app.database_of("a side", text)?)));
    }
    if path.is_dir() {
        return Ok(Side::Project(Box::new(project_in(app, path, &overrides(&arguments.vars))?)));
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending {
        _ if !path.exists() && may_hold_password(text) => {
            Err(CliError::usage("one of the sides is neither a file nor a folder").hint(
                "a database is named by a URL that begins with postgres:// (it is not shown here: it may hold a password)",
            ))
        }
        _ if !path.exists() => Err(CliError::usage(format!("there is no file or folder {}", visible(text)))
            .hint("a database is named by a URL that begins with postgres://")),
        "json" => Ok(Side::Snapshot(path.to_owned())),
        "sql" => Ok(Side::Ddl(path.to_owned(), vars_of(&arguments.vars)?)),
        _ => Err(CliError::usage(format!("what {} is cannot be told from its name", visible(text)))
            .hint("a file of DDL ends in .sql, a saved schema in .json; a folder holds migrations")),
    }
}

/// `host=db user=app`, as libpq takes it too.
fn is_connection(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let name = first.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| {
        ["host", "hostaddr", "port", "user", "password", "dbname", "service"].contains(&name)
    })
}

/// Something that was meant to lead to a database.
fn may_hold_password(text: &str) -> bool {
    ["@", "=", "postgres"].iter().any(|sign| text.to_lowercase().contains(sign))
}

/// The values that were given for a file's placeholders.
fn vars_of(arguments: &VarArgs) -> Result<Vars, CliError> {
    let mut vars = Vars::new();
    for (name, value) in &arguments.vars {
        vars.insert_hidden(name, value).map_err(|error| CliError::usage(format!("--var: {error}")))?;
    }
    Ok(vars)
}

/// A folder of migrations need not have a `cutover.toml`.
fn project_in(app: &App, folder: &Path, overrides: &Overrides) -> Result<Project, CliError> {
    let draft = app.draft_in(folder, overrides)?;
    if draft.problems.is_empty() { Ok(draft.project) } else { Err(CliError::usage(draft.problems.sorted())) }
}

/// The first side with the new names, and the renames in the order in which they can be made.
fn renamed(
    app: &App,
    (from, to): (&Schema, &Schema),
    renames: &[Rename],
) -> Result<(Option<Schema>, Vec<Rename>), CliError> {
    if renames.is_empty() {
        return Ok((None, Vec::new()));
    }
    let in_order = rename::in_order(from, renames).map_err(CliError::usage)?;
    rename::lead_to(to, renames).map_err(CliError::usage)?;
    let renames = in_order;
    let sandbox = app.scratch()?;
    let schema = app.block_on(async |signals| {
        let work = async { Ok(rename::renamed(from, &renames, &sandbox).await?) };
        signals.or_end(Box::pin(work)).await
    })?;
    Ok((Some(schema), renames))
}

/// A schema that neither side has is a name that was written wrong.
fn known_schemas(arguments: &Arguments, pair: &Pair) -> Result<(), CliError> {
    // `public` is there without being made, and may be empty.
    let unknown = arguments.schemas.iter().find(|name| {
        *name != "public" && ![&pair.from.0, &pair.to.0].iter().any(|side| side.has_namespace(name))
    });
    match unknown {
        Some(name) => Err(CliError::usage(format!("--schema {}: neither side has it", visible(name)))
            .hint("names are as stored: without quotes, in the case they have there")),
        None => Ok(()),
    }
}

/// What is compared is not written over, not even with `--force`.
fn not_a_side(arguments: &Arguments) -> Result<(), CliError> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    for (flag, file) in [("--out", &arguments.out), ("--save", &arguments.save)] {
        let Some(file) = file else { continue };
        let Some(place) = real(file) else { continue };
        let sides = [&arguments.first, &arguments.second];
        if let Some(side) =
            sides.into_iter().flatten().find(|side| real(Path::new(side)).as_ref() == Some(&place))
        {
            return Err(CliError::usage(format!(
                "{flag} {}: that is {}, one of the two that are compared",
                visible(&file.display().to_string()),
                visible(side)
            ))
            .hint("name another file"));
        }
    }
    Ok(())
}

/// Nor is a file of the project that the command stands in, or of one that is compared. What is no project has none.
fn not_of_the_project(app: &App, arguments: &Arguments) -> Result<(), CliError> {
    let written = [&arguments.out, &arguments.save];
    if written.iter().all(|file| file.is_none()) {
        return Ok(());
    }
    let sides = [&arguments.first, &arguments.second].into_iter().flatten().map(PathBuf::from);
    let folders = sides.filter(|side| side.is_dir()).chain(app.folder().ok());
    let projects = folders.filter_map(|folder| Project::draft(&folder, &overrides(&arguments.vars)).ok());
    for project in projects.map(|draft| draft.project) {
        for file in written.into_iter().flatten() {
            written::not_a_part(&project, file)?;
        }
    }
    Ok(())
}

fn tell(app: &App, arguments: &Arguments, pair: &Pair, found: &Diff) -> Result<(), CliError> {
    let (from, to) = (pair.from.1.as_str(), pair.to.1.as_str());
    let perhaps: Vec<String> = rename::candidates(&pair.from.0, &pair.to.0, &found.changes)
        .iter()
        .map(ToString::to_string)
        .collect();
    if app.output.is_json() {
        return app.output.json(&Document {
            format_version: FORMAT_VERSION,
            from,
            to,
            changes: &compare::starred(&found.changes),
            statements: &found.statements,
            left: &found.left,
            perhaps_renamed: perhaps,
        });
    }
    let text = compare::migration(found, from, to);
    if let Some(file) = arguments.out.as_ref().filter(|_| found.is_empty() || !found.statements.is_empty()) {
        let text = as_migration(app, arguments, file, text)?;
        write(app, file, &text, arguments.force)?;
    } else if arguments.sql {
        app.output.print(&text);
    }
    if let Some(file) = arguments.out.as_ref().filter(|_| !found.is_empty() && found.statements.is_empty()) {
        let file = visible(&file.display().to_string());
        app.output.warn(&format!("{file} was not written: no statement sees to what differs"));
    }
    if !arguments.sql || arguments.out.is_some() {
        app.output.print(&words(found, &arguments.renames, from, to));
    }
    for rename in perhaps {
        app.output.remark(&format!("perhaps renamed: if so, say --rename '{}'", visible(&rename)));
    }
    if !arguments.sql {
        for left in &found.left {
            app.output.warn(&format!("no statement sees to {}", visible(&left.to_string())));
        }
    }
    Ok(())
}

fn words(found: &Diff, renames: &[Rename], from: &str, to: &str) -> String {
    if found.is_empty() && renames.is_empty() {
        return format!("{} and {} are the same\n", visible(from), visible(to));
    }
    let mut text = format!("from {}\nto   {}\n", visible(from), visible(to));
    for rename in renames {
        text.extend(["→ ", &visible(&rename.to_string()), "\n"]);
    }
    let told = compare::told(&found.changes);
    for line in &told {
        text += &visible(line);
        text.push('\n');
    }
    text += &count(told.len(), "difference", "differences");
    text.push('\n');
    text
}

/// A file in a folder of migrations is to be one of them.
fn as_migration(app: &App, arguments: &Arguments, file: &Path, text: String) -> Result<String, CliError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(folder) = Project::find(folder) else { return Ok(text) };
    let Ok(draft) = app.draft_in(&folder, &overrides(&arguments.vars)) else { return Ok(text) };
    draft.project.as_migration(file, &text).map_err(|why| {
        CliError::usage(format!(
            "--out {}: it would be no migration there",
            visible(&file.display().to_string())
        ))
        .hint(why)
    })
}

fn save(app: &App, file: &Path, schema: &Schema, force: bool) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(schema)
        .map_err(|error| CliError::usage(format!("the schema cannot be written: {error}")))?;
    write(app, file, &(text + "\n"), force)
}

fn write(app: &App, file: &Path, text: &str, force: bool) -> Result<(), CliError> {
    if file.symlink_metadata().is_ok() && !force {
        let message = format!("{} is there already; nothing was written", file.display());
        return Err(CliError::usage(message).hint("name another file, or write over it with --force"));
    }
    let put = if force { put::over(file, text) } else { put::new(file, text) };
    put.map_err(|error| CliError::usage(format!("cannot write {}: {error}", file.display())))?;
    app.output.say(&format!("written to {}", file.display()));
    Ok(())
}
