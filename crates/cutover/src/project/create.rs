//! Making files: the next migration in the project's own convention, and a new project. Nothing that exists is
//! ever changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::conventions::{self, Detected, NewFile};
use super::problem::{Problem, ProjectError};
use super::{CONFIG_FILE, FOLDERS, MigrationRoot, Project, files, folders, load, vars};
use crate::migration::Migration;
use crate::put;

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Path relative to the project, with `/`.
    pub path: String,
    /// Its text.
    pub content: String,
}

/// What stands in the files of a new migration, below the title.
#[derive(Debug, Clone, Copy, Default)]
pub struct Body<'a> {
    /// The statements.
    pub forward: &'a str,
    /// Those that lead back, where the convention has a place for them.
    pub back: &'a str,
}

pub(super) fn migration(
    project: &Project,
    title: &str,
    root: Option<&str>,
    now: u64,
    body: &Body<'_>,
) -> Result<Vec<Created>, ProjectError> {
    let root = choose_root(project, root)?;
    let slug = slug(title).ok_or_else(|| {
        ProjectError::Name(format!("{title:?} has no letters or digits to name a file after"))
    })?;
    let existing: Vec<&Migration> =
        project.migrations.iter().filter(|migration| migration.id.root == root.path).collect();
    let files = root.convention.next(&existing, &slug, now).map_err(ProjectError::Name)?;
    let title = crate::text::visible(title.trim());
    let created = files.into_iter().enumerate().map(|(at, NewFile { path, before, after })| {
        let (own, behind) = match (at, after) {
            (0, "") => (body.forward, ""),
            (0, _) => (body.forward, body.back),
            _ => (body.back, ""),
        };
        let (own, behind) = (vars::escaped(own), vars::escaped(behind));
        Created {
            path: if root.path == "." { path } else { format!("{}/{path}", root.path) },
            content: format!("{before}-- {}\n{own}{after}{behind}", vars::escaped(&title)),
        }
    });
    let created: Vec<Created> = created.collect();
    // One that is there would otherwise leave the others half made.
    for one in &created {
        let path = project.root.join(&one.path);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(ProjectError::Exists { path });
        }
    }
    all_or_none(project, root, &created)?;
    Ok(created)
}

/// Writes the files of a migration, unless others have come since the project was read: it would be the same number twice, or made for
/// something else than it runs behind.
fn all_or_none(project: &Project, root: &MigrationRoot, created: &[Created]) -> Result<(), ProjectError> {
    let folder = project.root.join(&root.path);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ProjectError::Write { path, error }
    };
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let _taken = put::taken(&folder);
    if let Some(path) = come_meanwhile(project, root, &folder)? {
        return Err(ProjectError::Meanwhile { path: format!("{}{path}", prefix(root)) });
    }
    let mut made: Vec<PathBuf> = Vec::new();
    for Created { path, content } in created {
        let path = project.root.join(path);
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed(&path));
        if let Err(error) = folder.and_then(|()| write_new(&path, content)) {
            for path in &made {
                let _ = fs::remove_file(path);
            }
            return Err(error);
        }
        made.push(path);
    }
    Ok(())
}

/// A migration that is in the folder by now and was not when the project was read.
fn come_meanwhile(
    project: &Project,
    root: &MigrationRoot,
    folder: &Path,
) -> Result<Option<String>, ProjectError> {
    let convention = root.convention;
    let read = |(path, error)| ProjectError::Read { path, error };
    let listing = files::list(folder, &project.root, &|inner| convention.enters(inner)).map_err(read)?;
    let reading = convention.read(&conventions::Folder::of_names(&listing.paths));
    let prefix = prefix(root);
    let is_known = |path: &String| {
        let path = format!("{prefix}{path}");
        project.migrations.iter().any(|migration| migration.id.root == root.path && migration.path == path)
    };
    Ok(reading.migrations.into_iter().map(|found| found.path).find(|path| !is_known(path)))
}

/// See [`Project::as_migration`].
pub(super) fn framed(project: &Project, file: &Path, text: &str) -> Result<String, String> {
    let whole = || Ok(text.to_owned());
    let Some((root, path)) = place_in(project, file).filter(|(_, path)| conventions::is_sql(path)) else {
        return whole();
    };
    let shown = if root.path == "." { path.clone() } else { format!("{}/{path}", root.path) };
    let is_of = |migration: &Migration| {
        migration.path == shown || migration.down.as_ref().is_some_and(|down| down.path == shown)
    };
    let is_there = project.migrations.iter().any(is_of);
    let convention = root.convention;
    let Some((before, after)) = convention.frame(&path, is_there)? else { return whole() };
    let prefix = prefix(root);
    let paths = names_in(project, root, &path);
    let reading = convention.read(&conventions::Folder::of_names(&paths));
    let named = || format!("a migration of this folder is named like {}", convention.example());
    if let Some(wrong) = reading.problems.iter().find(|wrong| wrong.path == path) {
        return Err(format!("{}; {}", wrong.message, named()));
    }
    if let Some(stray) = reading.strays.iter().find(|stray| stray.path == path) {
        // In a folder that is for migrations, nobody would read it.
        return if stray.near_miss || root.path != "." {
            Err(format!("{}; {}", stray.why, named()))
        } else {
            whole()
        };
    }
    let found = reading.migrations.iter().find(|found| found.path == path);
    let same = |found: &&conventions::Found| {
        reading.migrations.iter().find(|other| other.path != found.path && other.version == found.version)
    };
    if let Some(other) = found.as_ref().and_then(same) {
        return Err(format!("{prefix}{} has that version already", other.path));
    }
    Ok(format!("{before}{}{after}", vars::escaped(text)))
}

/// What stands before the paths of a folder's files where they are relative to the project.
fn prefix(root: &MigrationRoot) -> String {
    if root.path == "." { String::new() } else { format!("{}/", root.path) }
}

/// The files of a folder's migrations relative to it, and one more, sorted.
pub(super) fn names_in(project: &Project, root: &MigrationRoot, one: &str) -> Vec<String> {
    let prefix = prefix(root);
    let of_root = project.migrations.iter().filter(|migration| migration.id.root == root.path);
    let mut paths: Vec<String> = of_root
        .flat_map(|migration| [Some(&migration.path), migration.down.as_ref().map(|down| &down.path)])
        .flatten()
        .filter_map(|path| Some(path.strip_prefix(&prefix)?.to_owned()))
        .chain([one.to_owned()])
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// The folder of migrations that a file lies in, or would, and its path within; the innermost one.
pub(super) fn place_in<'a>(project: &'a Project, file: &Path) -> Option<(&'a MigrationRoot, String)> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = fs::canonicalize(folder).ok()?.join(file.file_name()?);
    let within = |root: &'a MigrationRoot| {
        let folder = fs::canonicalize(project.root.join(&root.path)).ok()?;
        let inner = file.strip_prefix(&folder).ok()?;
        let parts: Option<Vec<&str>> = inner.components().map(|part| part.as_os_str().to_str()).collect();
        Some((root, parts?.join("/")))
    };
    project.roots.iter().filter_map(within).min_by_key(|(_, path)| path.len())
}

fn choose_root<'a>(project: &'a Project, wanted: Option<&str>) -> Result<&'a MigrationRoot, ProjectError> {
    let named = |path: &str| project.roots.iter().find(|root| root.path == path);
    let paths: Vec<&str> = project.roots.iter().map(|root| root.path.as_str()).collect();
    match (wanted, project.roots.as_slice()) {
        (Some(path), _) => named(path.trim_end_matches('/')).ok_or_else(|| {
            ProjectError::Name(format!("{path:?} is none of the migration folders: {}", paths.join(", ")))
        }),
        (None, [one]) => Ok(one),
        (None, _) => Err(ProjectError::Name(format!(
            "there are several migration folders, say which: {}",
            paths.join(", ")
        ))),
    }
}

/// A title as part of a file name: lower case, `_` for everything but letters and digits. None if nothing is left.
fn slug(title: &str) -> Option<String> {
    /// File names are limited to 255 bytes.
    const LONGEST: usize = 100;
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
        if slug.len() >= LONGEST {
            break;
        }
    }
    let slug = slug.trim_end_matches('_');
    (!slug.is_empty()).then(|| slug.to_owned())
}

fn write_new(path: &Path, content: &str) -> Result<(), ProjectError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => ProjectError::Exists { path: path.to_owned() },
        _ => ProjectError::Write { path: path.to_owned(), error },
    };
    put::new(path, content).map_err(failed)
}

/// Makes a project of a folder: `cutover.toml`, and a folder for migrations where none of the usual ones is there.
/// An existing folder of migrations is kept and named with its convention. Says which files and folders were made.
///
/// # Errors
/// There is a `cutover.toml` already, the name is none, the migrations found follow no one convention, or a file cannot be written.
pub fn initialise(folder: &Path, name: Option<&str>) -> Result<Vec<PathBuf>, ProjectError> {
    let root =
        fs::canonicalize(folder).map_err(|error| ProjectError::Read { path: folder.to_owned(), error })?;
    let config = root.join(CONFIG_FILE);
    if fs::symlink_metadata(&config).is_ok() {
        return Err(ProjectError::Exists { path: config });
    }
    let (migrations, detected) = existing_folder(&root)?;
    let default =
        root.file_name().map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or(&default);
    if let Some(why) = load::wrong_name(name) {
        return Err(ProjectError::Name(why));
    }
    let content = config_text(name, migrations, detected.convention.name());
    let mut made = Vec::new();
    let path = root.join(migrations);
    if !path.is_dir() {
        fs::create_dir_all(&path).map_err(|error| ProjectError::Write { path: path.clone(), error })?;
        made.push(path);
    }
    write_new(&config, &content)?;
    made.insert(0, config);
    Ok(made)
}

/// The folder of migrations there is, or the one to make.
fn existing_folder(root: &Path) -> Result<(&'static str, Detected), ProjectError> {
    for path in FOLDERS.into_iter().chain(["."]) {
        let absolute = root.join(path);
        if !absolute.is_dir() {
            continue;
        }
        let read = |(path, error)| ProjectError::Read { path, error };
        let listing = files::list(&absolute, root, &|_| false).map_err(read)?;
        let is_project = |path: &String| conventions::is_sql(path) || path == conventions::sqitch::PLAN;
        if path == "." && !listing.paths.iter().any(is_project) {
            continue;
        }
        let detected = folders::detect(root, path, &absolute)
            .map_err(read)?
            .map_err(|why| Problem::of_file(path, why).with_hint(conventions::which(path)))?;
        return Ok((path, detected));
    }
    let none = conventions::Folder::of_names(&[]);
    let detected = conventions::detect(&none).map_err(ProjectError::Name)?;
    Ok((FOLDERS[0], detected))
}

fn config_text(name: &str, migrations: &str, convention: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    format!(
        "[project]\nname = {}\n\n[[migrations]]\npath = {}\nconvention = {}\n",
        quoted(name),
        quoted(migrations),
        quoted(convention)
    )
}
