//! Patterns of file paths in `cutover.toml`, expanded within the project folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::config::Table;
use super::files::leaves_project;

/// Expands patterns (`*`, `?`, `[…]`, `**`) to files: absolute, sorted, each once. What is wrong is reported to the
/// table the patterns came from.
pub(super) fn expand(project: &Path, patterns: &[Spanned<String>], file: &mut Table) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for pattern in patterns {
        match expand_one(project, pattern.get_ref()) {
            Ok(paths) => found.extend(paths),
            Err((message, hint)) => file.report(&pattern.span(), message, hint),
        }
    }
    found.into_iter().collect()
}

type Wrong = (String, Option<String>);

fn expand_one(project: &Path, pattern: &str) -> Result<Vec<PathBuf>, Wrong> {
    if leaves_project(pattern) {
        return Err((
            format!("{pattern:?} leaves the project folder"),
            Some("paths are relative to cutover.toml".into()),
        ));
    }
    let base = glob::Pattern::escape(&project.to_string_lossy());
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob::glob_with(&format!("{base}/{pattern}"), options)
        .map_err(|error| (format!("{pattern:?} is not a pattern: {}", error.msg), None))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path
            .map_err(|error| (format!("cannot read {}: {}", error.path().display(), error.error()), None))?;
        if path.is_dir() {
            continue;
        }
        let target = fs::canonicalize(&path)
            .map_err(|error| (format!("cannot read {}: {error}", path.display()), None))?;
        if !target.starts_with(project) {
            let message =
                format!("{} is a link to a file outside the project", super::files::relative(project, &path));
            return Err((message, None));
        }
        files.push(path);
    }
    if files.is_empty() {
        return Err((format!("no file matches {pattern:?}"), None));
    }
    Ok(files)
}
