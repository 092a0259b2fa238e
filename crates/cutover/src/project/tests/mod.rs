//! Whole projects on disk: what loads, what is refused, and how it is said.

mod configuration;
mod conventions;
mod creating;
mod folders;
mod page;
mod texts;
mod tools;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Overrides, Project, ProjectError};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, content) in files {
        write(folder.path(), path, content.as_bytes());
    }
    folder
}

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn load(folder: &TempDir) -> Result<Project, ProjectError> {
    Project::load(folder.path(), &Overrides::default())
}

/// The text of the error of a project with these files.
fn error(files: &[(&str, &str)]) -> String {
    load(&folder(files)).unwrap_err().to_string()
}

fn versions(project: &Project) -> Vec<&str> {
    project.migrations.iter().map(|migration| migration.id.version.text()).collect()
}
