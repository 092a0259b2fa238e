//! Where `--out`, `--save` and `--documents` may write: never over a file of the project; over what they wrote themselves,
//! and nothing else that is there.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cutover::documents;
use cutover::migration::Source;
use cutover::plan::handover;
use cutover::project::Project;
use cutover::report::graph;

use cutover::text::visible;

use crate::error::CliError;

/// Refuses a file that is part of the project, or would be, and one that is there and is none of what is written here
/// unless that is `forced`.
pub(crate) fn may_write(project: &Project, file: &Path, forced: bool) -> Result<(), CliError> {
    may_write_over(project, file, forced, ("plan, script or picture", is_ours))
}

/// The same for one of the documents, which only goes over one.
pub(crate) fn may_write_document(project: &Project, file: &Path, forced: bool) -> Result<(), CliError> {
    may_write_over(project, file, forced, ("document", documents::is_ours))
}

/// `ours` is what may be written over, in words and by how it begins.
fn may_write_over(
    project: &Project,
    file: &Path,
    forced: bool,
    (what, ours): (&str, fn(&str) -> bool),
) -> Result<(), CliError> {
    let refuse = |why: &str, hint: &str| {
        Err(CliError::usage(format!("{} {why}; nothing was written\n  hint: {hint}", file.display())))
    };
    let another = "name another file";
    if let Ok(there) = file.canonicalize() {
        not_a_part(project, file)?;
        if !there.is_file() || forced || begins_as(&there, ours) {
            return Ok(());
        }
        return refuse(
            &format!("is there already, and no earlier {what} of cutover"),
            "name another file, or write over it with --force",
        );
    }
    if !forced && file.symlink_metadata().is_ok() {
        return refuse(
            "is a link that leads to nothing that is there",
            "take the link away, or name another file",
        );
    }
    // A script among the migrations would be taken for one of them.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let mut folders = project.roots.iter().filter(|root| root.path != ".");
    if folders
        .any(|root| project.root.join(&root.path).canonicalize().is_ok_and(|root| folder.starts_with(root)))
    {
        return refuse("is in a folder of migrations and would be taken for one", another);
    }
    Ok(())
}

/// Refuses a file that a project is read from, also under another name.
pub(crate) fn not_a_part(project: &Project, file: &Path) -> Result<(), CliError> {
    let Some(there) = Identity::of(file) else { return Ok(()) };
    if parts(project).iter().any(|part| Identity::of(part).as_ref() == Some(&there)) {
        let message =
            format!("{} is a file of the project; nothing was written", visible(&file.display().to_string()));
        return Err(CliError::usage(message).hint("name another file"));
    }
    Ok(())
}

/// Which file a path leads to: links, also hard ones, lead to the same.
#[derive(PartialEq, Eq)]
struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let there = std::fs::metadata(path).ok()?;
            Some(Self((there.dev(), there.ino())))
        }
        #[cfg(not(unix))]
        path.canonicalize().ok().map(Self)
    }
}

/// The files that a project is read from.
fn parts(project: &Project) -> Vec<PathBuf> {
    let sources = project.migrations.iter().flat_map(|migration| {
        let down = migration.down.as_ref().map(|down| &down.source);
        let verify = migration.verify.as_ref().map(|verify| &verify.0);
        [Some(&migration.source), down, verify].into_iter().flatten()
    });
    let migrations = sources.filter_map(|source| match source {
        Source::File(path) => Some(path.clone()),
        Source::Embedded(_) => None,
    });
    let migrations = migrations.chain(project.companions.iter().cloned());
    let others = project.config_path.iter().chain(&project.check_files).chain(&project.design.ddl).cloned();
    let read_by_checks = project.checks.iter().filter_map(|check| check.file_path(project));
    migrations.chain(others).chain(read_by_checks).collect()
}

/// Whether a text begins as plans, scripts and pictures do.
fn is_ours(text: &str) -> bool {
    let plan = text.starts_with("{\n  \"format_version\": ") && text.contains("\n  \"tool\": \"cutover ");
    let picture = text.starts_with(graph::SVG_HEAD) || text.starts_with(graph::MERMAID_HEAD);
    plan || picture || handover::is_script(text)
}

/// Whether a file begins so, or is empty.
fn begins_as(file: &Path, ours: fn(&str) -> bool) -> bool {
    /// A plan says by then who made it.
    const HEAD: u64 = 1024;
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    read.is_ok() && (head.is_empty() || ours(&text))
}
