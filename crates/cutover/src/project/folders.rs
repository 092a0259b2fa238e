//! Finding the migration folders of a project and reading what is in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::config::{self, Origin, RootConfig, Settings};
use super::conventions::{self, Convention, Detected, Reading};
use super::files::{self, Listing, ToRead};
use super::load::Loader;
use super::problem::{Problem, Problems, ProjectError};
use super::{CONFIG_FILE, Design, FOLDERS, MigrationRoot, Project, Stray, Vars, text};
use crate::migration::{Checksums, Claims, Migration, MigrationId, Source};

/// A migration folder that was looked at.
struct Folder {
    path: String,
    absolute: PathBuf,
    /// Where `path` comes from.
    path_origin: Origin,
    convention: &'static dyn Convention,
    /// Where `convention` comes from.
    origin: Origin,
    listing: Listing,
}

impl Loader {
    /// Finds the migration folders and reads them.
    pub(super) fn folders(&mut self) -> Result<(), ProjectError> {
        let folders: Vec<Folder> = match std::mem::take(&mut self.config.roots) {
            none if none.is_empty() => self.search()?.into_iter().collect(),
            roots => {
                let wanted = roots.len();
                let folders: Vec<Folder> = roots.iter().filter_map(|root| self.configured(root)).collect();
                self.incomplete = folders.len() < wanted;
                folders
            }
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
            Ok(mut folder) => {
                folder.path_origin = self.origin(&span);
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
        let (convention, origin) = if let Some(named) = named {
            named
        } else {
            let Detected { convention, why } = conventions::detect(&listing.paths)?;
            (convention, Origin::Detected(why))
        };
        if convention.recursive() {
            listing = list(true)?;
        }
        let path_origin = Origin::Detected("a usual place for migrations".into());
        Ok(Folder {
            path: path.to_owned(),
            absolute: absolute.to_owned(),
            path_origin,
            convention,
            origin,
            listing,
        })
    }

    /// Without a configured folder: the project folder itself, or one of the usual ones.
    fn search(&mut self) -> Result<Option<Folder>, ProjectError> {
        let mut empty = None;
        let mut wrong = None;
        // With a configuration, files beside it are meant as migrations only where no usual folder has any.
        let bare = self.config_path.is_none();
        let first = bare.then_some(".").into_iter();
        for path in first.chain(FOLDERS).chain((!bare).then_some(".")) {
            if !bare && path == "." && empty.is_some() {
                continue;
            }
            let Ok(absolute) = fs::canonicalize(self.root.join(path)) else { continue };
            if !absolute.is_dir() || !absolute.starts_with(&self.root) {
                continue;
            }
            match self.look(path, &absolute, None) {
                Ok(folder) if !folder.convention.read(&folder.listing.paths).migrations.is_empty() => {
                    self.roots.push(MigrationRoot { path: path.to_owned(), convention: folder.convention });
                    return Ok(Some(folder));
                }
                Ok(folder) if path != "." => empty = empty.or(Some(folder)),
                // A folder made for migrations, empty so far, goes before one with SQL files of another sort.
                Err(why) if empty.is_none() => wrong = wrong.or(Some((path, why))),
                Ok(_) | Err(_) => {}
            }
        }
        match (wrong, empty) {
            (None, Some(folder)) => {
                self.roots.push(MigrationRoot { path: folder.path.clone(), convention: folder.convention });
                Ok(Some(folder))
            }
            (Some((path, why)), _) => {
                let hint = conventions::which(path);
                self.problem_of_folders(Problem::of_file(path, why).with_hint(hint));
                Ok(None)
            }
            (None, None) if self.config_path.is_some() => {
                let message =
                    format!("no migrations are named, and there are none here or in {}", FOLDERS.join(", "));
                let hint = "make a folder migrations, or write which folder has them:\n    [[migrations]]\n    \
                            path = \"folder\"";
                self.problem_of_folders(Problem::of_file(CONFIG_FILE, message).with_hint(hint));
                Ok(None)
            }
            (None, None) => Err(ProjectError::NotFound { start: self.root.clone() }),
        }
    }

    fn problem_of_folders(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.incomplete = true;
    }

    /// Reads the migrations of a folder.
    fn read(&mut self, folder: Folder) {
        let number = self.roots.iter().position(|root| root.path == folder.path).unwrap_or(0);
        self.settings.add(format!("migrations[{number}].path"), folder.path.clone(), folder.path_origin);
        self.settings.add(
            format!("migrations[{number}].convention"),
            folder.convention.name(),
            folder.origin.clone(),
        );
        let prefix = if folder.path == "." { String::new() } else { format!("{}/", folder.path) };
        let mut reading = folder.convention.read(&folder.listing.paths);
        conventions::notice_other_conventions(folder.convention, &mut reading.strays);
        self.strays.extend(strays(&reading, &folder.listing, &prefix));
        let problems = naming_problems(&reading, &prefix);
        self.incomplete |= !problems.is_empty();
        self.problems.absorb(problems);
        let to_read: Vec<ToRead> = reading
            .migrations
            .iter()
            .map(|found| ToRead {
                file: folder.absolute.join(&found.path),
                shown: format!("{prefix}{}", found.path),
                link: folder.listing.links.contains(&found.path),
                special: folder.listing.special.contains(&found.path),
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
                Err(problem) => self.problem_of_folders(problem),
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
        claim_places: Vec::new(),
        checks: Vec::new(),
        check_files: Vec::new(),
        strays: reading.strays,
        settings,
    })
}
