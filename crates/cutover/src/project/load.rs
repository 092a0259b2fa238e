//! Loading a project: the configuration, then the folders it names, then what ties them together.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cutover_analysis::sql::password_spans;
use toml::Spanned;

use super::config::{self, Config, Origin, Overrides, Settings, Table};
use super::link::{Known, Names};
use super::problem::{Problem, Problems, ProjectError};
use super::{
    CONFIG_FILE, CheckSpec, DefaultSchema, Design, Draft, MigrationRoot, Project, Stage, Stray, Vars, api,
    files, globs, jobs, link, text,
};
use crate::align::{CODES, ModelsSettings};
use crate::lint::LintSettings;
use crate::migration::Migration;
use crate::secrets::is_hidden;

pub(super) fn find(start: &Path) -> Result<PathBuf, ProjectError> {
    let absolute = canonical(start)?;
    let above = absolute.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file());
    Ok(above.unwrap_or(&absolute).to_owned())
}

pub(super) fn load(folder: &Path, overrides: &Overrides) -> Result<Project, ProjectError> {
    let Draft { project, problems, .. } = draft(folder, overrides)?;
    problems.into_result()?;
    Ok(project)
}

pub(super) fn draft(folder: &Path, overrides: &Overrides) -> Result<Draft, ProjectError> {
    let mut loader = begin(folder, overrides)?;
    loader.folders()?;
    Ok(loader.finish())
}

pub(super) fn without_migrations(folder: &Path, overrides: &Overrides) -> Result<Draft, ProjectError> {
    let mut loader = begin(folder, overrides)?;
    loader.incomplete = true;
    Ok(loader.finish())
}

/// What the configuration says by itself.
fn begin(folder: &Path, overrides: &Overrides) -> Result<Loader, ProjectError> {
    let root = canonical(folder)?;
    let path = root.join(CONFIG_FILE);
    is_own_file(&root, &path)?;
    let bytes = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(ProjectError::Read { path, error }),
    };
    let mut loader = match bytes {
        Some(bytes) => Loader::new(root, Some(path), decode_text(&bytes)?),
        None => Loader::new(root, None, Table::parse(CONFIG_FILE, "")?),
    };
    loader.values(overrides);
    Ok(loader)
}

/// A configuration that is a pipe would be waited for, and a link out of the folder would be quoted in complaints.
fn is_own_file(root: &Path, path: &Path) -> Result<(), ProjectError> {
    let Ok(target) = fs::canonicalize(path) else { return Ok(()) };
    let complaint = if !target.starts_with(root) {
        "is a link that leaves the folder: refused"
    } else if !target.is_file() {
        "is not a regular file"
    } else {
        return Ok(());
    };
    Err(Problems::from(Problem::of_file(CONFIG_FILE, complaint.to_owned())).into())
}

fn canonical(path: &Path) -> Result<PathBuf, ProjectError> {
    fs::canonicalize(path).map_err(|error| ProjectError::Read { path: path.to_owned(), error })
}

/// The configuration's bytes as a table.
pub(super) fn decode_text(bytes: &[u8]) -> Result<Table, Problems> {
    let mut content = Vec::with_capacity(bytes.len());
    let mut normaliser = text::Normaliser::new();
    let result = normaliser.push(bytes, &mut content).and_then(|()| normaliser.finish(&mut content));
    result.map_err(|error| Problem::of_file(CONFIG_FILE, error.to_string()))?;
    let content =
        String::from_utf8(content).map_err(|error| Problem::of_file(CONFIG_FILE, error.to_string()))?;
    Table::parse(CONFIG_FILE, content)
}

/// What is known so far of a project that is being loaded.
pub(super) struct Loader {
    pub(super) root: PathBuf,
    pub(super) config_path: Option<PathBuf>,
    /// The file as a table, for places; collects the problems that concern it.
    pub(super) file: Table,
    pub(super) config: Config,
    /// Problems of other files.
    pub(super) problems: Problems,
    pub(super) settings: Settings,
    name: String,
    apply: config::ApplyConfig,
    pub(super) vars: Vars,
    pub(super) roots: Vec<MigrationRoot>,
    pub(super) migrations: Vec<Migration>,
    pub(super) companions: Vec<PathBuf>,
    pub(super) strays: Vec<Stray>,
    /// The schema of what is named without one.
    pub(super) default_schema: Option<DefaultSchema>,
    /// Migrations could not be read, so that a version may be missing without being so.
    pub(super) incomplete: bool,
}

impl Loader {
    fn new(root: PathBuf, config_path: Option<PathBuf>, mut file: Table) -> Self {
        let config = config::decode(&mut file);
        Self {
            root,
            config_path,
            file,
            config,
            problems: Problems::default(),
            settings: Settings::default(),
            name: String::new(),
            apply: config::ApplyConfig::default(),
            vars: Vars::new(),
            roots: Vec::new(),
            migrations: Vec::new(),
            companions: Vec::new(),
            strays: Vec::new(),
            default_schema: None,
            incomplete: false,
        }
    }

    pub(super) fn origin(&self, span: &std::ops::Range<usize>) -> Origin {
        Origin::File { name: self.file.file().to_owned(), line: self.file.line_of(span) }
    }

    /// Settles the plain values: name, database, apply, placeholders.
    fn values(&mut self, overrides: &Overrides) {
        self.project_name(overrides);
        self.database();
        let (file, settings, problems) = (&self.file, &mut self.settings, &mut self.problems);
        let origin_of = |span: &std::ops::Range<usize>| Origin::File {
            name: file.file().to_owned(),
            line: file.line_of(span),
        };
        let mut wrong = |span: Option<std::ops::Range<usize>>, message: String, hint: Option<String>| {
            let mut problem = match span {
                Some(span) => file.problem_at(&span, message),
                None => Problem::of_file("settings", message),
            };
            problem.hint = hint;
            problems.push(problem);
        };
        self.apply = config::apply_config(&self.config, overrides, &origin_of, settings, &mut wrong);
        self.placeholders(overrides);
    }

    fn project_name(&mut self, overrides: &Overrides) {
        let folder = self
            .root
            .file_name()
            .map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned());
        let (name, origin, span) = match (&overrides.name, &self.config.name) {
            (Some(over), _) => (over.value.clone(), over.origin.clone(), None),
            (None, Some(name)) => (name.get_ref().clone(), self.origin(&name.span()), Some(name.span())),
            (None, None) => (folder, Origin::Detected("the folder's name".into()), None),
        };
        if let Some(message) = wrong_name(&name) {
            match span {
                Some(span) => self.file.report(&span, message, None),
                None => self.problems.push(Problem::of_file(origin.to_string(), message)),
            }
        }
        self.settings.add("project.name", name.clone(), origin);
        self.name = name;
    }

    fn database(&mut self) {
        let Some(url) = &self.config.url else { return };
        let (span, text) = (url.span(), url.get_ref().clone());
        if has_password(&text) {
            let hint = "give it by PGPASSWORD, .env or a password file; this file is for everyone to read"
                .to_owned();
            self.file.report(&span, "database.url contains a password", Some(hint));
            return;
        }
        let origin = self.origin(&span);
        self.settings.add("database.url", text, origin);
    }

    fn placeholders(&mut self, overrides: &Overrides) {
        for (name, value) in std::mem::take(&mut self.config.vars) {
            let (span, name) = (name.span(), name.into_inner());
            if let Err(error) = self.vars.insert(name.clone(), value.get_ref().clone()) {
                self.file.report(&span, error.to_string(), None);
            } else if !overrides.vars.iter().any(|(over, _)| *over == name) {
                let origin = self.origin(&value.span());
                let shown = shown(&name, value.into_inner(), false);
                self.settings.add(format!("vars.{name}"), shown, origin);
            }
        }
        for (name, over) in &overrides.vars {
            if let Err(error) = self.vars.insert_hidden(name.clone(), over.value.clone()) {
                self.problems.push(Problem::of_file(over.origin.to_string(), error.to_string()));
            } else {
                let shown = shown(name, over.value.clone(), true);
                self.settings.add(format!("vars.{name}"), shown, over.origin.clone());
            }
        }
    }

    /// Ties everything together.
    fn finish(mut self) -> Draft {
        let mut config = std::mem::take(&mut self.config);
        self.check_sources(&config);
        let claim_places = link::claim_places(&config.stages, &self.file);
        let (stages, checks) = self.link(&mut config);
        let ddl = globs::expand(&self.root, &config.ddl, &mut self.file);
        let check_files = globs::expand(&self.root, &config.check_sql, &mut self.file);
        let url_origin = config.url.as_ref().map(|url| Origin::File {
            name: self.file.file().to_owned(),
            line: self.file.line_of(&url.span()),
        });
        let lint = LintSettings::of(&config.lint, &mut self.file);
        let templates = self.templates(&config);
        let models = models(config.models, &mut self.file);
        let jobs = jobs::jobs(config.jobs, &mut self.file);
        let replaces = api::replaces(config.replaces, &mut self.file);
        let internal = api::internal(config.internal, &mut self.file);
        self.problems.absorb(self.file.problems());
        let project = Project {
            name: self.name,
            lint,
            models,
            templates,
            root: self.root,
            config_path: self.config_path,
            database: config::DatabaseConfig { url: config.url.map(Spanned::into_inner), url_origin },
            apply: self.apply,
            roots: self.roots,
            vars: self.vars,
            design: Design { ddl },
            stages,
            migrations: self.migrations,
            claim_places,
            checks,
            jobs,
            replaces,
            internal,
            check_files,
            companions: self.companions,
            strays: self.strays,
            default_schema: self.default_schema,
            takes_back: None,
            settings: self.settings,
        };
        Draft { project, problems: self.problems.sorted(), complete: !self.incomplete }
    }

    fn link(&mut self, config: &mut Config) -> (Vec<Stage>, Vec<CheckSpec>) {
        let is_asked = !config.stages.is_empty() || !config.checks.is_empty();
        let stages = std::mem::take(&mut config.stages);
        let names = Names::of(if is_asked { &self.migrations } else { &[] });
        let known = Known { roots: &self.roots, complete: !self.incomplete, names: &names };
        let stages = link::stages(stages, &mut self.migrations, known, &mut self.file);
        let checks = std::mem::take(&mut config.checks);
        let checks = link::checks(checks, &stages, &self.migrations, known, &mut self.file);
        (stages, checks)
    }

    /// The folder of templates must be there.
    fn templates(&mut self, config: &Config) -> Option<PathBuf> {
        let given = config.templates.as_ref()?;
        let path = given.get_ref();
        if files::leaves_project(path) {
            self.file.report(&given.span(), format!("{path:?} leaves the project folder"), None);
            return None;
        }
        let folder = self.root.join(path);
        if !folder.is_dir() {
            self.file.report(&given.span(), format!("there is no folder {path:?}"), None);
            return None;
        }
        let origin = self.origin(&given.span());
        self.settings.add("documents.templates", path.clone(), origin);
        Some(folder)
    }

    /// The design files that claims name must be there.
    fn check_sources(&mut self, config: &Config) {
        for source in config.stages.iter().flat_map(|stage| &stage.migrations).flat_map(|entry| &entry.source)
        {
            let path = source.get_ref();
            if files::leaves_project(path) {
                self.file.report(&source.span(), format!("{path:?} leaves the project folder"), None);
            } else if !self.root.join(path).is_file() {
                self.file.report(&source.span(), format!("there is no file {path:?}"), None);
            }
        }
    }
}

/// The value of a placeholder as settings show it.
pub(super) fn shown(name: &str, value: String, from_outside: bool) -> String {
    if is_hidden(name, &value, from_outside) { "***".to_owned() } else { value }
}

/// Whether a connection URL or string holds a password.
fn has_password(url: &str) -> bool {
    !password_spans(url).is_empty()
}

/// What is wrong with a project's name, if anything.
pub(super) fn wrong_name(name: &str) -> Option<String> {
    let wrong = name.trim().is_empty() || name.chars().any(char::is_control);
    wrong.then(|| format!("the project's name cannot be {name:?}: it must be visible text in one line"))
}

/// What `[models]` says; what is wrong is reported to `file`. Whether the models are there is for whoever reads them: where migrations
/// are applied the application often is not.
fn models(config: config::ModelsConfig, file: &mut Table) -> ModelsSettings {
    for path in &config.paths {
        if files::leaves_project(path.get_ref()) {
            let hint = Some("paths are relative to cutover.toml".to_owned());
            file.report(&path.span(), format!("{:?} leaves the project folder", path.get_ref()), hint);
        }
    }
    for code in &config.allow {
        let codes = CODES.iter().map(|(known, ..)| *known);
        if !codes.clone().any(|known| known == code.get_ref()) {
            let meant =
                crate::text::suggest(code.get_ref(), codes).map(|known| format!("did you mean {known}?"));
            file.report(&code.span(), format!("{:?} is no code of a difference", code.get_ref()), meant);
        }
    }
    for one in &config.keep {
        if let Err(why) = crate::align::what(one.get_ref()) {
            file.report(&one.span(), why, None);
        }
    }
    let placed = |said: Spanned<String>| {
        let place = file.problem_at(&said.span(), "");
        (said.into_inner(), place)
    };
    ModelsSettings {
        paths: config.paths.into_iter().map(placed).collect(),
        kind: config.kind.map(placed),
        sqlmodel: config.sqlmodel.unwrap_or_default(),
        default_auto_field: config.default_auto_field.unwrap_or_default(),
        allow: config.allow.into_iter().map(Spanned::into_inner).collect(),
        keep: config.keep.into_iter().map(Spanned::into_inner).collect(),
    }
}
