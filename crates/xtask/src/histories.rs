//! Public histories of other tools, taken over in the middle: each is run to its half by psql in the order of its tool, which
//! leaves its table behind; then rows are put in, it is adopted and gone on with as an ordinary role, and in the end the
//! catalogue must be that of all files run by psql. Nothing of a history is kept.
//!
//! The folder has a copy of each (`git archive`), and `list.txt`, a line for each: name, folder within, tool, and perhaps a
//! convention where the files do not tell it. `NAME.sql` beside it, where there is one, makes what its databases have before the
//! first migration: roles, schemas of the place where it is at home. What cannot be run by psql at all, or not with rows in it, is said and left out.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cutover::adopt::tools;
use cutover::migration::Migration;
use cutover::project::{Overrides, Project};
use cutover_postgres::sandbox::Sandbox;
use sha2::{Digest as _, Sha384};

use crate::{Failure, bench};

/// Puts a row of defaults into every table that takes one.
pub(crate) const ROWS: &str = "DO $$ DECLARE one regclass; BEGIN
  FOR one IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema$|^cutover$' AND pg_has_role(c.relowner, 'USAGE') LOOP
    BEGIN EXECUTE format('INSERT INTO %s DEFAULT VALUES', one); EXCEPTION WHEN others THEN NULL; END;
  END LOOP; END $$";

/// One line of the list.
pub(crate) struct History {
    pub(crate) name: String,
    folder: String,
    tool: String,
    convention: Option<String>,
}

/// Takes over every history of a list.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    each("histories", arguments, compared)
}

fn compared(stage: &Stage<'_>) -> Result<String, Failure> {
    stage.compare()
}

/// Does something with every history of a list, or with those that are named; gives what came of it in words.
pub(crate) fn each(
    chore: &str,
    arguments: &[&str],
    work: impl Fn(&Stage<'_>) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let [folder, names @ ..] = arguments else {
        return Err(format!("usage: xtask {chore} FOLDER [NAME]…").into());
    };
    let folder = Path::new(folder);
    let list = fs::read_to_string(folder.join("list.txt"))?;
    let mut failed = 0;
    for line in list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(name), Some(within), Some(tool)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("{line:?} is not: name, folder, tool").into());
        };
        let history = History { name, folder: within, tool, convention: words.next() };
        if !names.is_empty() && !names.contains(&history.name.as_str()) {
            continue;
        }
        match on_stage(folder, &history, &work) {
            Ok(words) => println!("{}: {words}", history.name),
            Err(error) => {
                failed += 1;
                println!("{}: FAILED: {error}", history.name);
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of them failed").into()) }
}

/// A server, the project and the program, for one history.
pub(crate) struct Stage<'a> {
    pub(crate) history: &'a History,
    server: Sandbox,
    pub(crate) place: PathBuf,
    pub(crate) project: Project,
}

fn on_stage(
    folder: &Path,
    history: &History,
    work: impl Fn(&Stage<'_>) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let place = folder.join(format!(".{}", history.name));
    let _ = fs::remove_dir_all(&place);
    copy(&folder.join(&history.name).join(&history.folder), &place.join("files"))?;
    let convention = history.convention.as_ref().map(|name| format!("convention = \"{name}\"\n"));
    let convention = convention.unwrap_or_default();
    fs::write(
        place.join("cutover.toml"),
        format!("[project]\nname = \"history\"\n[[migrations]]\npath = \"files\"\n{convention}"),
    )?;
    let project = Project::load(&place, &Overrides::default())?;
    let stage = Stage { history, server: bench::server(false)?, place: place.clone(), project };
    stage.psql("postgres", "postgres", "CREATE ROLE app LOGIN PASSWORD 'app'")?;
    let outcome = work(&stage);
    let _ = fs::remove_dir_all(&place);
    outcome
}

impl Stage<'_> {
    fn compare(&self) -> Result<String, Failure> {
        let all: Vec<&Migration> = self.project.migrations.iter().collect();
        self.database("serial")?;
        for migration in &all {
            self.run_file("serial", migration)
                .map_err(|error| format!("psql alone cannot run it: {error}"))?;
        }
        let wanted = self.dump("serial")?;
        let half = all.len().div_ceil(2);
        let with_rows = self.adopted("rows", half, true);
        let (rows, found) = match with_rows {
            Ok(found) => ("with rows", found),
            Err(error) => {
                println!("{}: with rows: {error}", self.history.name);
                ("without rows, which stand in its way", self.adopted("empty", half, false)?)
            }
        };
        if found != wanted {
            fs::write(self.place.with_extension("wanted"), &wanted)?;
            fs::write(self.place.with_extension("found"), &found)?;
            return Err("the catalogue is another one: see the files .wanted and .found beside it".into());
        }
        Ok(format!(
            "{} files of {}, adopted behind {half}, {rows}: the catalogue is that of psql, {} lines",
            all.len(),
            self.history.tool,
            wanted.lines().count()
        ))
    }

    pub(crate) fn database(&self, name: &str) -> Result<(), Failure> {
        self.psql("postgres", "postgres", &format!("CREATE DATABASE {name} OWNER app"))?;
        match fs::read_to_string(self.place.with_file_name(format!("{}.sql", self.history.name))) {
            Ok(before) => self.psql("postgres", name, &before),
            Err(_) => Ok(()),
        }
    }

    /// The first half by psql, the rest by cutover; gives the catalogue.
    fn adopted(&self, database: &str, half: usize, rows: bool) -> Result<String, Failure> {
        self.database(database)?;
        let applied = &self.project.migrations[..half];
        for migration in applied {
            self.run_file(database, migration)?;
        }
        if rows {
            self.psql("app", database, ROWS)?;
        }
        self.psql("app", database, &self.table(applied)?)?;
        for verb in [&["adopt", "--yes"][..], &["apply"], &["status", "--exit-code"], &["diff"]] {
            self.cutover(database, verb)?;
        }
        self.dump(database)
    }

    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        match role {
            "app" => format!("postgresql://app:app@127.0.0.1:{}/{database}", self.server.port()),
            _ => self.server.url(database),
        }
    }

    pub(crate) fn psql(&self, role: &str, database: &str, sql: &str) -> Result<(), Failure> {
        done(
            Command::new("psql")
                .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
                .arg(self.url(role, database)),
        )
    }

    /// A file as its tool would send it: in one transaction, unless it says otherwise or PostgreSQL does.
    fn run_file(&self, database: &str, migration: &Migration) -> Result<(), Failure> {
        let path = self.place.join("file.sql");
        let text = cutover::source::read_to_string(migration)?;
        // They might run anything on this machine, and cutover declines them too.
        if text.lines().any(|line| line.trim_start().starts_with('\\') && line.trim() != "\\.") {
            return Err(format!("{}: it has commands of psql, which are not run", migration.path).into());
        }
        fs::write(&path, text)?;
        let run = |single: bool| {
            let mut command = Command::new("psql");
            command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
            if single {
                command.arg("-1");
            }
            done(command.arg("-f").arg(&path).arg(self.url("app", database)))
        };
        let single = !migration.no_transaction && self.history.tool != "sqitch";
        match run(single) {
            Err(error) if single && error.to_string().contains("transaction block") => run(false),
            outcome => outcome,
        }
        .map_err(|error| format!("{}: {error}", migration.path).into())
    }

    /// The program, as it is run on a database of the stage.
    pub(crate) fn program(&self, database: &str, verb: &[&str]) -> Result<Command, Failure> {
        let program = std::env::current_exe()?.with_file_name("cutover");
        let mut command = Command::new(program);
        command.args(verb).current_dir(&self.place).env("CUTOVER_URL", self.url("app", database));
        Ok(command)
    }

    pub(crate) fn cutover(&self, database: &str, verb: &[&str]) -> Result<(), Failure> {
        let mut command = self.program(database, verb)?;
        done(&mut command).map_err(|error| format!("cutover {}: {error}", verb.join(" ")).into())
    }

    /// What `pg_dump` says, without what is cutover's or the tool's.
    pub(crate) fn dump(&self, database: &str) -> Result<String, Failure> {
        let mut command = Command::new("pg_dump");
        command.args(["--schema-only", "--exclude-schema=cutover"]);
        let tool = tools::by_name(&self.history.tool).ok_or("there is no such tool")?;
        if tool.owns_schema() {
            command.arg(format!("--exclude-schema={}", own_schema(&self.history.tool)));
        } else {
            command.arg(format!("--exclude-table=public.{}*", tool.tables()[0]));
        }
        let output = command.arg(self.url("app", database)).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let text = String::from_utf8(output.stdout)?;
        Ok(text.split_inclusive('\n').filter(|line| !line.starts_with('\\')).collect())
    }

    /// The table as the tool leaves it behind these files.
    fn table(&self, applied: &[Migration]) -> Result<String, Failure> {
        let tool = tools::by_name(&self.history.tool).ok_or("there is no such tool")?;
        let schema = own_schema(&self.history.tool);
        let name = format!("{schema}.{}", tool.tables()[0]);
        let mut text = tool.make(schema, tool.tables()[0]).join("; ");
        if self.history.tool == "sqitch" {
            let plan = fs::read_to_string(self.place.join("files/sqitch.plan"))?;
            let project = plan.lines().find_map(|line| line.strip_prefix("%project=")).unwrap_or_default();
            write!(text, "; INSERT INTO sqitch.projects VALUES ('{project}', NULL, now(), 'a', 'a')")?;
            for (place, one) in applied.iter().enumerate() {
                write!(
                    text,
                    "; INSERT INTO {name} VALUES ('id{place}', NULL, {}, '{project}', '', \
                     timestamptz '2024-01-01' + {place} * interval '1 s', 'a', 'a', now(), 'a', 'a')",
                    quoted(one.id.version.name())
                )?;
            }
            return Ok(text);
        }
        if self.history.tool == "golang-migrate" {
            let last = applied.last().map_or(0, |one| one.id.version.parts()[0]);
            write!(text, "; INSERT INTO {name} VALUES ({last}, false)")?;
            return Ok(text);
        }
        for (place, one) in applied.iter().enumerate() {
            write!(text, "; INSERT INTO {name} {}", self.row(place, one)?)?;
        }
        Ok(text)
    }

    /// The columns and values of a row.
    fn row(&self, place: usize, one: &Migration) -> Result<String, Failure> {
        let version = &one.id.version;
        let named = quoted(&one.name);
        let digits: String = one.file_name().chars().take_while(char::is_ascii_digit).collect();
        Ok(match self.history.tool.as_str() {
            "flyway" => format!(
                "VALUES ({place}, {}, {named}, 'SQL', {}, NULL, 'a', now(), 1, true)",
                quoted(&version.text().replace('_', ".")),
                quoted(one.file_name())
            ),
            "sqlx" => {
                let bytes = fs::read(self.place.join(&one.path))?;
                let sum = Sha384::digest(bytes)
                    .iter()
                    .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
                format!("VALUES ({digits}, {named}, now(), true, '\\x{sum}', 1)")
            }
            "goose" => format!("(version_id, is_applied) VALUES ({digits}, true)"),
            "prisma" => format!(
                "(id, checksum, migration_name, finished_at, started_at) VALUES ('{place}', '{}', {}, now(), \
                 now() + {place} * interval '1 s')",
                one.checksums.raw,
                quoted(version.name())
            ),
            "graphile-migrate" => {
                let text = fs::read_to_string(self.place.join(&one.path))?;
                let hash = text.lines().find_map(|line| line.strip_prefix("--! Hash: ")).unwrap_or_default();
                format!("(hash, filename) VALUES ({}, {})", quoted(hash.trim()), quoted(one.file_name()))
            }
            "node-pg-migrate" => format!(
                "(name, run_on) VALUES ({}, now())",
                quoted(one.file_name().strip_suffix(".sql").unwrap_or_default())
            ),
            "refinery" => format!("VALUES ({}, {named}, NULL, NULL)", version.parts()[0]),
            "diesel" => format!("VALUES ({})", quoted(version.name())),
            _ => format!("(version) VALUES ({})", quoted(&digits)),
        })
    }
}

fn own_schema(tool: &str) -> &'static str {
    match tool {
        "supabase" => "supabase_migrations",
        "sqitch" => "sqitch",
        "graphile-migrate" => "graphile_migrate",
        _ => "public",
    }
}

fn quoted(text: &str) -> String {
    cutover_analysis::sql::quote_literal(text)
}

/// Runs a command to its end; what it said is the error.
fn done(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    Err(said.chars().take(1500).collect::<String>().into())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
