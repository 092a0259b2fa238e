//! Finding the migration folders of a project and reading what is in them.

use std::cell::OnceCell;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::config::{self, Origin, RootConfig, Settings};
use super::conventions::{self, Convention, Detected, Found, Reading, Scan, Wrong, sqitch};
use super::files::{self, Digested, Listing, ToRead};
use super::flyway::{self, FlywaySettings};
use super::load::{self, Loader};
use super::problem::{Place, Problem, Problems, ProjectError};
use super::{CONFIG_FILE, Design, FOLDERS, MigrationRoot, Project, Stray, Vars};
use crate::align::ModelsSettings;
use crate::lint::LintSettings;
use crate::migration::{Claims, Down, Migration, MigrationId, Source};

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
    /// What its convention makes of the files, once it was asked.
    reading: OnceCell<Reading>,
}

impl Loader {
    /// Finds the migration folders and reads them.
    pub(super) fn folders(&mut self) -> Result<(), ProjectError> {
        let flyway = flyway::read(&self.root);
        let folders: Vec<Folder> = match std::mem::take(&mut self.config.roots) {
            none if none.is_empty() => self.search(flyway.as_ref())?.into_iter().collect(),
            roots => {
                let wanted = roots.len();
                let folders: Vec<Folder> = roots.iter().filter_map(|root| self.configured(root)).collect();
                self.incomplete = folders.len() < wanted;
                folders
            }
        };
        let of_flyway = |folder: &Folder| folder.convention.name() == conventions::Flyway.name();
        let flyway = flyway.filter(|_| folders.iter().any(of_flyway));
        let out_of_order = flyway.as_ref().is_some_and(|settings| settings.out_of_order);
        for folder in folders {
            let any_time = out_of_order && of_flyway(&folder);
            self.read(folder, any_time);
        }
        if let Some(settings) = flyway {
            self.follow_flyway(settings);
        }
        Ok(())
    }

    /// What the settings of Flyway say beside where its files are.
    fn follow_flyway(&mut self, settings: FlywaySettings) {
        let FlywaySettings { file, locations, placeholders, default_schema, problems, .. } = settings;
        self.incomplete |= !problems.is_empty();
        self.problems.absorb(problems);
        let origin = |line| Origin::File { name: file.to_owned(), line };
        if let Some((_, line)) = locations.get(1).filter(|_| self.roots.len() == 1) {
            let message = "flyway.locations names several folders, and cutover reads one as Flyway's";
            let hint =
                "name one folder above them in cutover.toml, under [[migrations]]: folders within are read";
            let place = Some(Place { line: *line, column: 1 });
            self.problem_of_folders(Problem { place, ..Problem::of_file(file, message).with_hint(hint) });
        }
        for (name, value, line) in placeholders {
            if self.vars.get(&name).is_some() {
                continue;
            }
            match self.vars.insert(name.clone(), value.clone()) {
                Ok(()) => {
                    let shown = load::shown(&name, value, false);
                    self.settings.add(format!("vars.{name}"), shown, origin(line));
                }
                Err(error) => {
                    let place = Some(Place { line, column: 1 });
                    self.problems.push(Problem { place, ..Problem::of_file(file, error.to_string()) });
                }
            }
        }
        if let Some(schema) = default_schema {
            self.settings.add(
                "flyway.default_schema",
                schema.name.clone(),
                Origin::Detected(schema.said.clone()),
            );
            self.default_schema = Some(schema);
        }
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
        let unreadable = |(path, error): (PathBuf, io::Error)| cannot_read(&self.root, &path, &error);
        let (convention, origin, listing) = if let Some((convention, origin)) = named {
            (convention, origin, None)
        } else {
            let (detected, listing) = detect_listed(&self.root, path, absolute).map_err(unreadable)?;
            let Detected { convention, why } = detected?;
            // Without folders within, every convention sees the same files.
            (convention, Origin::Detected(why), Some(listing).filter(|listing| !listing.has_folders))
        };
        let listing = match listing {
            Some(listing) => listing,
            None => {
                files::list(absolute, &self.root, &|folder| convention.enters(folder)).map_err(unreadable)?
            }
        };
        let path_origin = Origin::Detected("a usual place for migrations".into());
        Ok(Folder {
            path: path.to_owned(),
            absolute: absolute.to_owned(),
            path_origin,
            convention,
            origin,
            listing,
            reading: OnceCell::new(),
        })
    }

    /// Without a configured folder: the project folder itself, or one of the usual ones.
    fn search(&mut self, flyway: Option<&FlywaySettings>) -> Result<Option<Folder>, ProjectError> {
        let mut empty = None;
        let mut wrong = None;
        // With a configuration, files beside it are meant as migrations only where no usual folder has any.
        let bare = self.config_path.is_none();
        let first = bare.then_some(".").into_iter();
        let top = sqitch_folder(&self.root);
        let located = flyway.and_then(|settings| settings.locations.first()).map(|(path, _)| path.as_str());
        let usual = located.into_iter().chain(top.as_deref()).chain(FOLDERS);
        for path in first.chain(usual).chain((!bare).then_some(".")) {
            if !bare && path == "." && empty.is_some() {
                continue;
            }
            let Ok(absolute) = fs::canonicalize(self.root.join(path)) else { continue };
            if !absolute.is_dir() || !absolute.starts_with(&self.root) {
                continue;
            }
            match self.look(path, &absolute, None) {
                Ok(folder) if folder.has_migrations(&self.root) => {
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
                // An empty folder is for migrations to come; one with those of another tool further within is not.
                let within = prefix(&folder.path);
                if let Some((path, why)) = in_other_languages(&self.root, &within) {
                    self.problem_of_folders(Problem::of_file(path, why));
                    return Ok(None);
                }
                self.roots.push(MigrationRoot { path: folder.path.clone(), convention: folder.convention });
                Ok(Some(folder))
            }
            (Some((path, why)), _) => {
                let hint = conventions::which(path);
                self.problem_of_folders(Problem::of_file(path, why).with_hint(hint));
                Ok(None)
            }
            (None, None) => self.no_folder().map(|()| None),
        }
    }

    /// No folder has migrations in SQL.
    fn no_folder(&mut self) -> Result<(), ProjectError> {
        match in_other_languages(&self.root, "") {
            Some((path, why)) => self.problem_of_folders(Problem::of_file(path, why)),
            None if self.config_path.is_some() => {
                let message =
                    format!("no migrations are named, and there are none here or in {}", FOLDERS.join(", "));
                let hint = "make a folder migrations, or write which folder has them:\n    [[migrations]]\n    \
                            path = \"folder\"";
                self.problem_of_folders(Problem::of_file(CONFIG_FILE, message).with_hint(hint));
            }
            None => return Err(ProjectError::NotFound { start: self.root.clone() }),
        }
        Ok(())
    }

    fn problem_of_folders(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.incomplete = true;
    }

    /// Reads the migrations of a folder.
    fn read(&mut self, mut folder: Folder, any_time: bool) {
        let number = self.roots.iter().position(|root| root.path == folder.path).unwrap_or(0);
        self.settings.add(
            format!("migrations[{number}].path"),
            folder.path.clone(),
            folder.path_origin.clone(),
        );
        self.settings.add(
            format!("migrations[{number}].convention"),
            folder.convention.name(),
            folder.origin.clone(),
        );
        let prefix = prefix(&folder.path);
        folder.read(&self.root);
        let mut reading = folder.reading.take().unwrap_or_default();
        conventions::settle_strays(folder.convention, &mut reading);
        self.strays.extend(strays(&reading, &folder.listing, &prefix));
        let mut problems = naming_problems(&reading, &prefix);
        problems.absorb(half_mended(&folder.listing, &prefix));
        self.incomplete |= !problems.is_empty();
        self.problems.absorb(problems);
        self.companions.extend(reading.companions.iter().map(|path| folder.absolute.join(path)));
        let (scan, of_down) = (folder.convention.scan(), folder.convention.scan_of_down());
        // Thousands of files: room for all at once costs less than to grow.
        let mut to_read: Vec<ToRead> = Vec::with_capacity(reading.migrations.len());
        to_read.extend(
            reading
                .migrations
                .iter()
                .flat_map(|found| {
                    [(Some(&found.path), scan), (found.down.as_ref(), of_down), (found.verify.as_ref(), None)]
                })
                .filter_map(|(path, scan)| Some(folder.to_read(path?, &prefix, scan))),
        );
        self.migrations.reserve(reading.migrations.len());
        let mut digests = to_read.iter().zip(files::digest_all(&self.root, &to_read));
        for mut found in reading.migrations {
            found.any_time |= any_time && found.kind.is_versioned();
            let files = 1 + usize::from(found.down.is_some()) + usize::from(found.verify.is_some());
            match migration(&folder.path, found, digests.by_ref().take(files).collect()) {
                Ok(migration) => self.migrations.push(migration),
                Err(problems) => {
                    self.problems.absorb(problems);
                    self.incomplete = true;
                }
            }
        }
    }
}

impl Folder {
    /// Asks its convention, once.
    fn read(&self, project: &Path) -> &Reading {
        self.reading.get_or_init(|| {
            let read = |path: &str, limit| files::begin(project, &self.absolute.join(path), limit);
            let outside = |path: &str, limit| files::begin(project, &project.join(path), limit);
            let folder = conventions::Folder::new(&self.path, &self.listing.paths, &read);
            self.convention.read(&folder.within(&outside))
        })
    }

    fn has_migrations(&self, project: &Path) -> bool {
        let reading = self.read(project);
        !reading.migrations.is_empty() || !reading.problems.is_empty()
    }

    fn to_read(&self, path: &str, prefix: &str, scan: Option<Scan>) -> ToRead {
        ToRead {
            file: self.absolute.join(path),
            shown: format!("{prefix}{path}"),
            link: self.listing.links.contains(path),
            special: self.listing.special.contains(path),
            scan,
        }
    }
}

/// What stands before the paths of a folder's files where they are relative to the project.
fn prefix(folder: &str) -> String {
    if folder == "." { String::new() } else { format!("{folder}/") }
}

fn cannot_read(project: &Path, path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", files::relative(project, path))
}

/// Finds the convention of a folder.
///
/// # Errors
/// A folder that cannot be read; within, why it follows no one convention.
pub(super) fn detect(
    project: &Path,
    path: &str,
    absolute: &Path,
) -> Result<Result<Detected, String>, (PathBuf, io::Error)> {
    Ok(detect_listed(project, path, absolute)?.0)
}

/// The same, with the files that were looked at: those of the folder, and of the folders within it.
fn detect_listed(
    project: &Path,
    path: &str,
    absolute: &Path,
) -> Result<(Result<Detected, String>, Listing), (PathBuf, io::Error)> {
    let listing = files::list(absolute, project, &|folder| !folder.contains('/'))?;
    let read = |path: &str, limit| files::begin(project, &absolute.join(path), limit);
    let outside = |path: &str, limit| files::begin(project, &project.join(path), limit);
    let folder = conventions::Folder::new(path, &listing.paths, &read).within(&outside);
    Ok((conventions::detect(&folder), listing))
}

/// Where the settings of Sqitch, in the project's folder, say that its plan is.
fn sqitch_folder(project: &Path) -> Option<String> {
    let bytes = files::begin(project, &project.join(sqitch::CONF), 1 << 20).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let path = normal_path(sqitch::top_dir(&text)?)?;
    (!files::leaves_project(&path) && project.join(&path).join(sqitch::PLAN).is_file()).then_some(path)
}

/// Migrations of an application's framework, in a folder of each of its parts: the first one whose path begins so, with what to
/// do.
fn in_other_languages(project: &Path, within: &str) -> Option<(String, String)> {
    let listing = files::list(project, project, &|folder| {
        let depth = folder.matches('/').count();
        depth == 0
            || (depth == 1 && folder.ends_with("/migrations"))
            || ["db/migrate", "alembic/versions", "migrations/versions", "priv/repo"].contains(&folder)
            || folder == "priv/repo/migrations"
    })
    .ok()?;
    let paths = listing.paths.into_iter();
    paths.filter(|path| path.contains('/') && path.starts_with(within)).find_map(|path| {
        let why = conventions::in_another_language(&path)?;
        Some((path, why))
    })
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
    for Wrong { path, line, message, hint } in &reading.problems {
        let (place, source_line) = match line {
            Some((line, text)) => (Some(Place { line: *line, column: 1 }), text.clone()),
            None => (None, String::new()),
        };
        let problem = Problem::of_file(format!("{prefix}{path}"), message.clone());
        problems.push(Problem { place, source_line, hint: hint.clone(), ..problem });
    }
    let mut by_version: Vec<&Found> = reading.migrations.iter().collect();
    by_version.sort_by(|a, b| a.version.cmp(&b.version));
    for pair in by_version.windows(2).filter(|pair| pair[0].version == pair[1].version) {
        let (first, second) = (pair[0], pair[1]);
        let message = if first.version.is_ordered() {
            format!(
                "the same version as {prefix}{} ({} and {} are the number {})",
                first.path,
                first.version.text(),
                second.version.text(),
                second.version.key()
            )
        } else {
            format!("the same version as {prefix}{} ({})", first.path, first.version.text())
        };
        let problem = Problem::of_file(format!("{prefix}{}", second.path), message);
        problems.push(Problem { twin: true, ..problem });
    }
    problems
}

/// What is left of a `lint --fix` that was stopped while it put files in their places: statements may be in two of them.
fn half_mended(listing: &Listing, prefix: &str) -> Problems {
    let mut problems = Problems::default();
    for path in listing.paths.iter().filter(|path| crate::lint::fix::is_left(path)) {
        let message =
            "lint --fix was stopped while it wrote, or is at work: files may be there whole and in parts";
        let hint = "put the folder back as it was (git checkout, or remove the new files by hand), remove this file, and run it again";
        let problem = Problem::of_file(format!("{prefix}{path}"), message.to_owned());
        problems.push(Problem { hint: Some(hint.to_owned()), ..problem });
    }
    problems
}

/// A migration of what was found and what its files are: the one to run, the way back, the script that verifies it.
fn migration(
    root: &str,
    found: Found,
    files: Vec<(&ToRead, Result<Digested, Problems>)>,
) -> Result<Migration, Problems> {
    let mut problems = Problems::default();
    let mut read = Vec::with_capacity(files.len());
    for (file, digest) in files {
        match digest {
            Ok(digest) => read.push((file, digest)),
            Err(wrong) => problems.absorb(wrong),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut read = read.into_iter().map(|(file, digest)| Part {
        path: file.shown.clone(),
        source: Source::File(file.file.clone()),
        digest,
    });
    let Some(main) = read.next() else { return Err(problems) };
    let down = found.down.is_some().then(|| read.next()).flatten();
    Ok(assemble(root, found, main, down, read.next()))
}

/// A file of a migration that was read.
struct Part {
    path: String,
    source: Source,
    digest: Digested,
}

fn assemble(root: &str, found: Found, main: Part, down: Option<Part>, verify: Option<Part>) -> Migration {
    let Part { path, source, digest: Digested { checksums, contents, down: own_down } } = main;
    let down = match (down, contents.down, own_down) {
        (Some(Part { path, source, digest }), _, _) => Some(Box::new(Down {
            path,
            source,
            section: digest.contents.up,
            no_transaction: digest.contents.no_transaction,
            checksums: digest.checksums,
        })),
        (None, Some(section), Some(checksums)) => Some(Box::new(Down {
            path: path.clone(),
            source: source.clone(),
            section,
            no_transaction: contents.down_no_transaction,
            checksums,
        })),
        _ => None,
    };
    let named = |text: String| format!("{root}/{text}");
    Migration {
        id: MigrationId { root: root.to_owned(), version: found.version },
        name: found.name,
        path,
        kind: found.kind,
        source,
        section: contents.up,
        no_transaction: found.no_transaction || contents.no_transaction,
        any_time: found.any_time,
        takes_back: None,
        down,
        verify: verify.map(|part| Box::new((part.source, part.path))),
        checksums,
        stage: None,
        claims: Claims { requires: found.requires.into_iter().map(named).collect(), ..Claims::default() },
    }
}

pub(super) fn embedded(name: &str, embedded: &[(&str, &[u8])]) -> Result<Project, ProjectError> {
    let mut paths: Vec<String> = embedded.iter().map(|(path, _)| (*path).to_owned()).collect();
    paths.sort_unstable();
    let of_path = |path: &str| embedded.iter().find(|(other, _)| *other == path).map(|(_, bytes)| *bytes);
    let read_file = |path: &str, limit: u64| {
        let bytes = of_path(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let end = usize::try_from(limit).map_or(bytes.len(), |limit| limit.min(bytes.len()));
        Ok(bytes[..end].to_vec())
    };
    let folder = conventions::Folder::new(".", &paths, &read_file);
    let Detected { convention, why } =
        conventions::detect_all(&folder).map_err(|why| Problem::of_file(name, why))?;
    let mut reading = convention.read(&folder);
    conventions::settle_strays(convention, &mut reading);
    let mut problems = naming_problems(&reading, "");
    let mut migrations = Vec::with_capacity(reading.migrations.len());
    for pair in paths.windows(2).filter(|pair| pair[0] == pair[1]) {
        problems.push(Problem::of_file(pair[0].clone(), "given twice"));
    }
    let scan = convention.scan();
    let mut part = |path: &str, scan: Option<Scan>| -> Option<Part> {
        let bytes = of_path(path)?;
        let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::Cursor::new(bytes.to_vec()))) };
        match files::examine(path, &open, scan, &mut Vec::new()) {
            Ok(digest) => {
                Some(Part { path: path.to_owned(), source: Source::Embedded(Arc::from(bytes)), digest })
            }
            Err(wrong) => {
                problems.absorb(wrong);
                None
            }
        }
    };
    for found in reading.migrations {
        let down = found.down.as_deref().and_then(|path| part(path, convention.scan_of_down()));
        let verify = found.verify.as_deref().and_then(|path| part(path, None));
        let Some(main) = part(&found.path, scan) else { continue };
        migrations.push(assemble(".", found, main, down, verify));
    }
    problems.into_result()?;
    let mut settings = Settings::default();
    settings.add("project.name", name, Origin::Default);
    settings.add("migrations[0].convention", convention.name(), Origin::Detected(why));
    Ok(Project {
        name: name.to_owned(),
        lint: LintSettings::default(),
        models: ModelsSettings::default(),
        templates: None,
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
        jobs: Vec::new(),
        replaces: Vec::new(),
        internal: Vec::new(),
        checks: Vec::new(),
        check_files: Vec::new(),
        companions: Vec::new(),
        strays: reading.strays,
        default_schema: None,
        takes_back: None,
        settings,
    })
}
