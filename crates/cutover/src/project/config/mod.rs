//! `cutover.toml` as it is written: every key, its type and its default, but nothing of the files it speaks of.
//! Whether versions, stages and paths exist is settled by the modules above.

mod duration;
mod settings;
mod table;

use std::time::Duration;

use toml::Spanned;

pub use duration::{DurationError, format as format_duration, parse as parse_duration};
pub use settings::{ApplyConfig, DatabaseConfig, Origin, Override, Overrides, Setting, Settings};
pub use table::{SourceText, Table};

pub(super) use settings::apply_config;

/// The whole file, decoded.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) name: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) lock_timeout: Option<Spanned<(Duration, String)>>,
    pub(super) lock_wait: Option<Spanned<(Duration, String)>>,
    pub(super) statement_timeout: Option<Spanned<(Duration, String)>>,
    pub(super) durable_each: Option<Spanned<bool>>,
    pub(super) roots: Vec<RootConfig>,
    pub(super) vars: Vec<(Spanned<String>, Spanned<String>)>,
    pub(super) ddl: Vec<Spanned<String>>,
    pub(super) stages: Vec<StageConfig>,
    pub(super) checks: Vec<CheckConfig>,
    pub(super) check_sql: Vec<Spanned<String>>,
    pub(super) jobs: Vec<JobConfig>,
    pub(super) replaces: Vec<ReplacesConfig>,
    /// Patterns of functions that are no client's.
    pub(super) internal: Vec<Spanned<String>>,
    pub(super) lint: LintConfig,
    pub(super) models: ModelsConfig,
    /// The folder of templates for documents.
    pub(super) templates: Option<Spanned<String>>,
}

/// `[models]`: the application's models, and what of the database is none of theirs.
#[derive(Debug, Default)]
pub(super) struct ModelsConfig {
    pub(super) paths: Vec<Spanned<String>>,
    pub(super) kind: Option<Spanned<String>>,
    pub(super) sqlmodel: Option<String>,
    pub(super) default_auto_field: Option<String>,
    pub(super) allow: Vec<Spanned<String>>,
    pub(super) keep: Vec<Spanned<String>>,
}

/// `[lint]`: codes of rules with how bad what they find is.
#[derive(Debug, Default)]
pub(crate) struct LintConfig {
    pub(crate) rules: Vec<(Spanned<String>, Spanned<String>)>,
    pub(crate) paths: Vec<LintPathConfig>,
    /// What `apply` does about what is found in it.
    pub(crate) apply: Option<Spanned<String>>,
    /// How things are to be called; by what they are.
    pub(crate) naming: Vec<(Spanned<String>, Spanned<String>)>,
}

/// One `[[lint.path]]`.
#[derive(Debug)]
pub(crate) struct LintPathConfig {
    pub(crate) path: Spanned<String>,
    pub(crate) rules: Vec<(Spanned<String>, Spanned<String>)>,
}

/// One `[[migrations]]`.
#[derive(Debug)]
pub(super) struct RootConfig {
    pub(super) path: Spanned<String>,
    pub(super) convention: Option<Spanned<String>>,
}

/// One `[[stage]]`.
#[derive(Debug)]
pub(super) struct StageConfig {
    pub(super) id: Spanned<String>,
    pub(super) title: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) uses: Vec<Spanned<String>>,
    pub(super) require_backup: bool,
    pub(super) migrations: Vec<MigrationConfig>,
    pub(super) line: u32,
}

/// One `[[stage.migration]]`.
#[derive(Debug)]
pub(super) struct MigrationConfig {
    pub(super) version: Spanned<String>,
    pub(super) creates: Vec<Spanned<String>>,
    pub(super) alters: Vec<Spanned<String>>,
    pub(super) uses: Vec<Spanned<String>>,
    pub(super) source: Vec<Spanned<String>>,
    pub(super) task: Option<String>,
    pub(super) deferred: bool,
    pub(super) optional: bool,
    pub(super) requires: Vec<Spanned<String>>,
}

/// One `[[check]]`: the keys that every kind has; the others stay in `params`.
#[derive(Debug)]
pub(super) struct CheckConfig {
    pub(super) name: String,
    pub(super) kind: Spanned<String>,
    pub(super) stage: Option<Spanned<String>>,
    pub(super) when: Option<Spanned<String>>,
    pub(super) before: Option<Spanned<String>>,
    pub(super) params: Table,
    pub(super) line: u32,
}

/// One `[[job]]`.
#[derive(Debug)]
pub(super) struct JobConfig {
    pub(super) name: Spanned<String>,
    pub(super) kind: Option<Spanned<String>>,
    pub(super) schedule: Spanned<String>,
    pub(super) command: Spanned<String>,
    pub(super) time_zone: Option<Spanned<String>>,
    pub(super) missed: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<(Duration, String)>>,
    pub(super) retries: Option<Spanned<i64>>,
    pub(super) enabled: Option<bool>,
}

/// One `[[api.replaces]]`.
#[derive(Debug)]
pub(super) struct ReplacesConfig {
    pub(super) old: Spanned<String>,
    pub(super) new: Spanned<String>,
    pub(super) note: Option<String>,
}

/// Decodes a file. Everything that is wrong with keys and types is recorded in the table.
pub(super) fn decode(file: &mut Table) -> Config {
    let mut config = Config::default();
    with(file, "project", |table| config.name = table.take_spanned_string("name"));
    with(file, "database", |table| config.url = table.take_spanned_string("url"));
    with(file, "apply", |table| {
        config.lock_timeout = table.take_duration("lock_timeout");
        config.lock_wait = table.take_duration("lock_wait");
        config.statement_timeout = table.take_duration("statement_timeout");
        let span = table.span_of("durable_each");
        config.durable_each = table.take_bool("durable_each").map(|value| Spanned::new(span, value));
    });
    config.roots = each(file, "migrations", |table| RootConfig {
        path: table.require_spanned_string("path"),
        convention: table.take_spanned_string("convention"),
    });
    with(file, "vars", |table| config.vars = table.take_all_strings());
    with(file, "design", |table| config.ddl = table.take_strings("ddl"));
    config.stages = each(file, "stage", stage);
    config.checks = file.take_tables("check").into_iter().map(check).collect();
    with(file, "checks", |table| config.check_sql = table.take_strings("sql"));
    config.jobs = each(file, "job", job);
    with(file, "api", |table| {
        config.internal = table.take_strings("internal");
        config.replaces = each(table, "replaces", |table| ReplacesConfig {
            old: table.require_spanned_string("old"),
            new: table.require_spanned_string("new"),
            note: table.take_string("note"),
        });
    });
    with(file, "lint", |table| config.lint = lint(table));
    with(file, "models", |table| config.models = models(table));
    with(file, "documents", |table| config.templates = table.take_spanned_string("templates"));
    file.report_unknown();
    config
}

/// Reads a table if it is there, and finishes it.
fn with(file: &mut Table, key: &str, read: impl FnOnce(&mut Table)) {
    let Some(mut table) = file.take_table(key) else { return };
    read(&mut table);
    if let Err(problems) = table.finish() {
        file.absorb(problems);
    }
}

/// Reads each table of a list, and finishes it.
fn each<T>(parent: &mut Table, key: &str, read: impl Fn(&mut Table) -> T) -> Vec<T> {
    let mut all = Vec::new();
    for mut table in parent.take_tables(key) {
        all.push(read(&mut table));
        if let Err(problems) = table.finish() {
            parent.absorb(problems);
        }
    }
    all
}

fn stage(table: &mut Table) -> StageConfig {
    StageConfig {
        line: table.line(),
        id: table.require_spanned_string("id"),
        title: table.take_string("title"),
        kind: table.take_string("kind"),
        notes: plain(table.take_strings("notes")),
        uses: table.take_strings("uses"),
        require_backup: table.take_bool("require_backup").unwrap_or(false),
        migrations: each(table, "migration", migration),
    }
}

fn migration(table: &mut Table) -> MigrationConfig {
    MigrationConfig {
        version: table.require_spanned_string("version"),
        creates: table.take_strings("creates"),
        alters: table.take_strings("alters"),
        uses: table.take_strings("uses"),
        source: table.take_strings("source"),
        task: table.take_string("task"),
        deferred: table.take_bool("deferred").unwrap_or(false),
        optional: table.take_bool("optional").unwrap_or(false),
        requires: table.take_strings("requires"),
    }
}

fn job(table: &mut Table) -> JobConfig {
    let retries = table.span_of("retries");
    JobConfig {
        name: table.require_spanned_string("name"),
        kind: table.take_spanned_string("kind"),
        schedule: table.require_spanned_string("schedule"),
        command: table.require_spanned_string("command"),
        time_zone: table.take_spanned_string("time_zone"),
        missed: table.take_spanned_string("missed"),
        timeout: table.take_duration("timeout"),
        retries: table.take_integer("retries").map(|number| Spanned::new(retries, number)),
        enabled: table.take_bool("enabled"),
    }
}

fn models(table: &mut Table) -> ModelsConfig {
    ModelsConfig {
        paths: table.take_strings("paths"),
        kind: table.take_spanned_string("kind"),
        sqlmodel: table.take_string("sqlmodel"),
        default_auto_field: table.take_string("default_auto_field"),
        allow: table.take_strings("allow"),
        keep: table.take_strings("keep"),
    }
}

fn lint(table: &mut Table) -> LintConfig {
    let mut naming = Vec::new();
    with(table, "naming", |names| naming = names.take_all_strings());
    LintConfig {
        apply: table.take_spanned_string("apply"),
        naming,
        rules: rules(table),
        paths: each(table, "path", |table| LintPathConfig {
            path: table.require_spanned_string("path"),
            rules: rules(table),
        }),
    }
}

fn rules(table: &mut Table) -> Vec<(Spanned<String>, Spanned<String>)> {
    let mut found = Vec::new();
    with(table, "rules", |rules| found = rules.take_all_strings());
    found
}

/// The common keys of a check. The table is not finished here: the kind knows the other keys.
fn check(mut table: Table) -> CheckConfig {
    CheckConfig {
        line: table.line(),
        name: table.require_string("name"),
        kind: table.require_spanned_string("kind"),
        stage: table.take_spanned_string("stage"),
        when: table.take_spanned_string("when"),
        before: table.take_spanned_string("before"),
        params: table,
    }
}

fn plain(strings: Vec<Spanned<String>>) -> Vec<String> {
    strings.into_iter().map(Spanned::into_inner).collect()
}
