//! Loading a project: the configuration, then the folders it names, then what ties them together.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::config::{self, Config, Origin, Overrides, RootConfig, Settings, Table};
use super::conventions::{self, Convention, Detected, Reading};
use super::files::{self, Listing, ToRead};
use super::problem::{Problem, Problems, ProjectError};
use super::{CONFIG_FILE, Design, FOLDERS, MigrationRoot, Project, Stray, Vars, globs, link, text};
use crate::migration::{Checksums, Claims, Migration, MigrationId, Source};

pub(super) fn find(start: &Path) -> Result<PathBuf, ProjectError> {
    let absolute = canonical(start)?;
    let above = absolute.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file());
    Ok(above.unwrap_or(&absolute).to_owned())
}

pub(super) fn load(folder: &Path, overrides: &Overrides) -> Result<Project, ProjectError> {
    let root = canonical(folder)?;
    let path = root.join(CONFIG_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(ProjectError::Read { path, error }),
    };
    let mut loader = match bytes {
        Some(bytes) => {
            let mut loader = Loader::new(root, decode_text(bytes)?);
            loader.config = config::decode(loader.file.clone())?;
            loader.config_path = Some(path);
            loader
        }
        None => Loader::new(root, Table::parse(CONFIG_FILE, "")?),
    };
    loader.values(overrides);
    loader.folders()?;
    loader.finish()
}

fn canonical(path: &Path) -> Result<PathBuf, ProjectError> {
    fs::canonicalize(path).map_err(|error| ProjectError::Read { path: path.to_owned(), error })
}

/// The configuration's bytes as a table.
fn decode_text(bytes: Vec<u8>) -> Result<Table, Problems> {
    let mut content = Vec::with_capacity(bytes.len());
    let mut normaliser = text::Normaliser::new();
    let result = normaliser.push(&bytes, &mut content).and_then(|()| normaliser.finish(&mut content));
    result.map_err(|error| Problem::of_file(CONFIG_FILE, error.to_string()))?;
    let content =
        String::from_utf8(content).map_err(|error| Problem::of_file(CONFIG_FILE, error.to_string()))?;
    Table::parse(CONFIG_FILE, content)
}

/// What is known so far of a project that is being loaded.
struct Loader {
    root: PathBuf,
    config_path: Option<PathBuf>,
    /// The file as a table, for places; collects the problems that concern it.
    file: Table,
    config: Config,
    /// Problems of other files.
    problems: Problems,
    settings: Settings,
    name: String,
    apply: config::ApplyConfig,
    vars: Vars,
    roots: Vec<MigrationRoot>,
    migrations: Vec<Migration>,
    strays: Vec<Stray>,
}

/// A migration folder that was looked at.
struct Folder {
    path: String,
    absolute: PathBuf,
    convention: &'static dyn Convention,
    origin: Origin,
    listing: Listing,
}

impl Loader {
    fn new(root: PathBuf, file: Table) -> Self {
        Self {
            root,
            config_path: None,
            file,
            config: Config::default(),
            problems: Problems::default(),
            settings: Settings::default(),
            name: String::new(),
            apply: config::ApplyConfig::default(),
            vars: Vars::new(),
            roots: Vec::new(),
            migrations: Vec::new(),
            strays: Vec::new(),
        }
    }

    fn origin(&self, span: &std::ops::Range<usize>) -> Origin {
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
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            let message =
                format!("the project's name cannot be {name:?}: it must be visible text in one line");
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
                self.settings.add(format!("vars.{name}"), value.into_inner(), origin);
            }
        }
        for (name, over) in &overrides.vars {
            if let Err(error) = self.vars.insert(name.clone(), over.value.clone()) {
                self.problems.push(Problem::of_file(over.origin.to_string(), error.to_string()));
            } else {
                self.settings.add(format!("vars.{name}"), over.value.clone(), over.origin.clone());
            }
        }
    }

    /// Finds the migration folders and reads them.
    fn folders(&mut self) -> Result<(), ProjectError> {
        let folders = match std::mem::take(&mut self.config.roots) {
            none if none.is_empty() => vec![self.search()?],
            roots => roots.into_iter().filter_map(|root| self.configured(&root)).collect(),
        };
        for folder in folders {
            self.read(folder);
        }
        Ok(())
    }

    /// A folder that the configuration names.
    fn configured(&mut self, config: &RootConfig) -> Option<Folder> {
        let span = config.path.span();
        let path = normal_path(config.path.get_ref())?;
        if files::leaves_project(config.path.get_ref()) {
            let hint = Some("paths are relative to cutover.toml".to_owned());
            self.file.report(&span, format!("{:?} leaves the project folder", config.path.get_ref()), hint);
            return None;
        }
        if self.roots.iter().any(|root| root.path == path) {
            self.file.report(&span, format!("the folder {path:?} is named twice"), None);
            return None;
        }
        let absolute = match fs::canonicalize(self.root.join(&path)) {
            Ok(absolute) if !absolute.starts_with(&self.root) => {
                self.file.report(
                    &span,
                    format!("the folder {path:?} is a link that leaves the project"),
                    None,
                );
                return None;
            }
            Ok(absolute) => absolute,
            Err(error) => {
                self.file.report(&span, format!("cannot read the folder {path:?}: {error}"), None);
                return None;
            }
        };
        let named = match &config.convention {
            Some(name) => Some(self.named_convention(name)?),
            None => None,
        };
        match self.look(&path, &absolute, named) {
            Ok(folder) => {
                self.roots.push(MigrationRoot { path, convention: folder.convention });
                Some(folder)
            }
            Err(message) => {
                let hint =
                    config.convention.is_none().then(|| "convention = \"…\" says which one it is".to_owned());
                self.file.report(&span, message, hint);
                None
            }
        }
    }

    fn named_convention(&mut self, name: &Spanned<String>) -> Option<(&'static dyn Convention, Origin)> {
        if let Some(convention) = conventions::by_name(name.get_ref()) {
            return Some((convention, self.origin(&name.span())));
        }
        let known = conventions::all().iter().map(|convention| convention.name());
        let hint = match crate::text::suggest(name.get_ref(), known) {
            Some(alike) => format!("did you mean {alike:?}?"),
            None => format!("known: {}", conventions::known()),
        };
        self.file.report(&name.span(), format!("unknown convention {:?}", name.get_ref()), Some(hint));
        None
    }

    /// Lists a folder and settles its convention.
    fn look(
        &self,
        path: &str,
        absolute: &Path,
        named: Option<(&'static dyn Convention, Origin)>,
    ) -> Result<Folder, String> {
        let list = |recursive| {
            files::list(absolute, &self.root, recursive).map_err(|(path, error)| {
                format!("cannot read {}: {error}", files::relative(&self.root, &path))
            })
        };
        let mut listing = list(false)?;
        let (convention, origin) = match named {
            Some(named) => named,
            None => {
                let Detected { convention, why } =
                    conventions::detect(&listing.paths).map_err(|why| format!("{path}: {why}"))?;
                (convention, Origin::Detected(why))
            }
        };
        if convention.recursive() {
            listing = list(true)?;
        }
        Ok(Folder { path: path.to_owned(), absolute: absolute.to_owned(), convention, origin, listing })
    }

    /// Without a configured folder: the project folder itself, or one of the usual ones.
    fn search(&mut self) -> Result<Folder, ProjectError> {
        let mut empty = None;
        let mut wrong = None;
        // With a configuration, files beside it are hardly meant as migrations.
        let itself = self.config_path.is_none().then_some(".");
        for path in itself.into_iter().chain(FOLDERS) {
            let Ok(absolute) = fs::canonicalize(self.root.join(path)) else { continue };
            if !absolute.is_dir() || !absolute.starts_with(&self.root) {
                continue;
            }
            match self.look(path, &absolute, None) {
                Ok(folder) if !folder.convention.read(&folder.listing.paths).migrations.is_empty() => {
                    self.roots.push(MigrationRoot { path: path.to_owned(), convention: folder.convention });
                    return Ok(folder);
                }
                Ok(folder) if path != "." => empty = empty.or(Some(folder)),
                Ok(_) => {}
                Err(why) => wrong = wrong.or(Some((path, why))),
            }
        }
        match (wrong, empty) {
            (None, Some(folder)) => {
                self.roots.push(MigrationRoot { path: folder.path.clone(), convention: folder.convention });
                Ok(folder)
            }
            (Some((path, why)), _) => Err(Problem::of_file(path, why).into()),
            (None, None) if self.config_path.is_some() => {
                let message =
                    format!("[[migrations]] is missing, and there is no folder {}", FOLDERS.join(", "));
                Err(Problem::of_file(CONFIG_FILE, message)
                    .with_hint("[[migrations]] with path = \"…\"")
                    .into())
            }
            (None, None) => Err(ProjectError::NotFound { start: self.root.clone() }),
        }
    }

    /// Reads the migrations of a folder.
    fn read(&mut self, folder: Folder) {
        let number = self.roots.iter().position(|root| root.path == folder.path).unwrap_or(0);
        let origin = match &folder.origin {
            Origin::Detected(_) if self.config_path.is_none() => Origin::Detected("found".into()),
            _ => Origin::Detected("see its convention".into()),
        };
        self.settings.add(format!("migrations[{number}].path"), folder.path.clone(), origin);
        self.settings.add(
            format!("migrations[{number}].convention"),
            folder.convention.name(),
            folder.origin.clone(),
        );
        let prefix = if folder.path == "." { String::new() } else { format!("{}/", folder.path) };
        let reading = folder.convention.read(&folder.listing.paths);
        self.strays.extend(strays(&reading, &folder.listing, &prefix));
        self.problems.absorb(naming_problems(&reading, &prefix));
        let to_read: Vec<ToRead> = reading
            .migrations
            .iter()
            .map(|found| ToRead {
                file: folder.absolute.join(&found.path),
                shown: format!("{prefix}{}", found.path),
                link: folder.listing.links.contains(&found.path),
            })
            .collect();
        let digests = files::digest_all(&self.root, &to_read);
        for ((found, file), digest) in reading.migrations.into_iter().zip(to_read).zip(digests) {
            match digest {
                Ok(checksums) => {
                    let id = MigrationId { root: folder.path.clone(), version: found.version };
                    let source = Source::File(file.file);
                    self.migrations.push(migration(id, found.name, file.shown, source, checksums));
                }
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    /// Ties everything together.
    fn finish(mut self) -> Result<Project, ProjectError> {
        let mut config = std::mem::take(&mut self.config);
        self.check_sources(&config);
        // A file that cannot be read would make every mention of its version a second problem.
        if !self.problems.is_empty() {
            self.problems.absorb(self.file.problems());
            self.problems.into_result()?;
            return Err(Problems::default().into());
        }
        let stages = link::stages(
            std::mem::take(&mut config.stages),
            &mut self.migrations,
            &self.roots,
            &mut self.file,
        );
        let checks = std::mem::take(&mut config.checks);
        let checks = link::checks(checks, &stages, &self.migrations, &self.roots, &mut self.file);
        let ddl = globs::expand(&self.root, &config.ddl, &mut self.file);
        let check_files = globs::expand(&self.root, &config.check_sql, &mut self.file);
        self.problems.absorb(self.file.problems());
        self.problems.into_result()?;
        let url_origin = config.url.as_ref().map(|url| Origin::File {
            name: self.file.file().to_owned(),
            line: self.file.line_of(&url.span()),
        });
        Ok(Project {
            name: self.name,
            root: self.root,
            config_path: self.config_path,
            database: config::DatabaseConfig { url: config.url.map(Spanned::into_inner), url_origin },
            apply: self.apply,
            roots: self.roots,
            vars: self.vars,
            design: Design { ddl },
            stages,
            migrations: self.migrations,
            checks,
            check_files,
            strays: self.strays,
            settings: self.settings,
        })
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

/// A relative path with `/` and without `.` parts; none if nothing is left to say.
fn normal_path(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    if path.is_empty() {
        return None;
    }
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

fn strays<'a>(
    reading: &'a Reading,
    listing: &'a Listing,
    prefix: &'a str,
) -> impl Iterator<Item = Stray> + 'a {
    reading
        .strays
        .iter()
        .chain(&listing.strays)
        .map(move |stray| Stray { path: format!("{prefix}{}", stray.path), ..stray.clone() })
}

/// Names that cannot be read, and versions that several files have.
fn naming_problems(reading: &Reading, prefix: &str) -> Problems {
    let mut problems = Problems::default();
    for (path, why) in &reading.problems {
        problems.push(Problem::of_file(format!("{prefix}{path}"), why.clone()));
    }
    let mut by_version: Vec<&conventions::Found> = reading.migrations.iter().collect();
    by_version.sort_by(|a, b| a.version.cmp(&b.version));
    for pair in by_version.windows(2).filter(|pair| pair[0].version == pair[1].version) {
        let (first, second) = (pair[0], pair[1]);
        let message = format!(
            "the same version as {prefix}{} ({} and {} are the number {})",
            first.path,
            first.version.text(),
            second.version.text(),
            second.version.key()
        );
        problems.push(Problem::of_file(format!("{prefix}{}", second.path), message));
    }
    problems
}

fn migration(id: MigrationId, name: String, path: String, source: Source, checksums: Checksums) -> Migration {
    Migration { id, name, path, source, checksums, stage: None, claims: Claims::default() }
}

/// Whether a connection URL or string holds a password.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return url.split_whitespace().any(|part| part.starts_with("password="));
    };
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
        || query.split('&').any(|part| part.starts_with("password="))
}

pub(super) fn embedded(name: &str, embedded: &[(&str, &[u8])]) -> Result<Project, ProjectError> {
    let mut paths: Vec<String> = embedded.iter().map(|(path, _)| (*path).to_owned()).collect();
    paths.sort_unstable();
    let Detected { convention, why } =
        conventions::detect(&paths).map_err(|why| Problem::of_file(name, why))?;
    let reading = convention.read(&paths);
    let mut problems = naming_problems(&reading, "");
    let mut migrations = Vec::with_capacity(reading.migrations.len());
    for pair in paths.windows(2).filter(|pair| pair[0] == pair[1]) {
        problems.push(Problem::of_file(pair[0].clone(), "given twice"));
    }
    for found in &reading.migrations {
        let Some((_, bytes)) = embedded.iter().find(|(path, _)| *path == found.path) else { continue };
        if let Some(tool) = files::sections_of_another_tool(bytes) {
            problems.push(Problem::of_file(&found.path, format!("the file has sections of {tool}")));
        }
        match text::checksums(bytes) {
            Ok(checksums) => {
                let id = MigrationId { root: ".".to_owned(), version: found.version.clone() };
                let source = Source::Embedded(Arc::from(*bytes));
                migrations.push(migration(id, found.name.clone(), found.path.clone(), source, checksums));
            }
            Err(error) => problems.push(Problem::of_file(&found.path, error.to_string())),
        }
    }
    problems.into_result()?;
    let mut settings = Settings::default();
    settings.add("project.name", name, Origin::Default);
    settings.add("migrations[0].convention", convention.name(), Origin::Detected(why));
    Ok(Project {
        name: name.to_owned(),
        root: PathBuf::new(),
        config_path: None,
        database: config::DatabaseConfig::default(),
        apply: config::ApplyConfig::default(),
        roots: vec![MigrationRoot { path: ".".to_owned(), convention }],
        vars: Vars::new(),
        design: Design::default(),
        stages: Vec::new(),
        migrations,
        checks: Vec::new(),
        check_files: Vec::new(),
        strays: reading.strays,
        settings,
    })
}
