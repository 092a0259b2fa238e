//! A project in which one file has another text than on disk: what an editor shows.

use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use super::conventions::{Convention, Folder, Found, is_sql};
use super::{MigrationRoot, Project, create, files};
use crate::migration::{Claims, Migration, MigrationId, Source};

impl Project {
    /// The place among the migrations of the one whose statements stand in a file; `None`: the file is the way back of one, or
    /// its script that verifies.
    ///
    /// # Errors
    /// Why the file belongs to no migration of this project.
    pub fn place_of(&self, file: &Path) -> Result<Option<usize>, String> {
        let shown = self.shown(file)?;
        if let Some(place) = self.migrations.iter().position(|migration| migration.path == shown) {
            return Ok(Some(place));
        }
        let is_beside = |migration: &Migration| {
            let down = migration.down.as_ref().is_some_and(|down| down.path == shown);
            down || migration.verify.as_ref().is_some_and(|verify| verify.1 == shown)
        };
        if self.migrations.iter().any(is_beside) {
            return Ok(None);
        }
        Err(format!("{shown} is no migration of this project"))
    }

    /// The path of a file as it is shown, where it is in a folder of migrations.
    fn shown(&self, file: &Path) -> Result<String, String> {
        let (root, inner) = create::place_in(self, file).ok_or_else(|| outside(file))?;
        Ok(shown(root, &inner))
    }

    /// This project with `text` in place of the file's own, also where there is no such file yet; and the file's place among the
    /// migrations. One whose version another file has comes behind that.
    ///
    /// # Errors
    /// Why the file is no migration of this project.
    pub fn with_text(&self, file: &Path, text: &str) -> Result<(Self, usize), String> {
        let (root, inner) = create::place_in(self, file).ok_or_else(|| outside(file))?;
        let shown = shown(root, &inner);
        let mut project = self.clone();
        let (place, scan) = match self.migrations.iter().position(|migration| migration.path == shown) {
            Some(place) => (place, root.convention.scan()),
            None => (new_migration(&mut project, root, &inner, &shown)?, root.convention.scan()),
        };
        let bytes: Arc<[u8]> = Arc::from(text.as_bytes());
        let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(Cursor::new(bytes.to_vec()))) };
        let digested =
            files::examine(&shown, &open, scan, &mut Vec::new()).map_err(|problems| problems.to_string())?;
        let migration = project.migrations.get_mut(place).ok_or_else(|| outside(file))?;
        migration.source = Source::Embedded(bytes.clone());
        migration.section = digested.contents.up;
        migration.no_transaction |= digested.contents.no_transaction;
        migration.checksums = digested.checksums;
        Ok((project, place))
    }
}

fn outside(file: &Path) -> String {
    format!("{} is in no folder of migrations of this project", file.display())
}

fn shown(root: &MigrationRoot, inner: &str) -> String {
    if root.path == "." { inner.to_owned() } else { format!("{}/{inner}", root.path) }
}

/// Puts a migration in its place by its name.
fn new_migration(
    project: &mut Project,
    root: &MigrationRoot,
    inner: &str,
    shown: &str,
) -> Result<usize, String> {
    let convention = root.convention;
    let none = |why: &str| {
        format!("{shown}: {why}; a migration of this folder is named like {}", convention.example())
    };
    if !is_sql(inner) {
        return Err(none("not a .sql file"));
    }
    let found = found(project, root, convention, inner).map_err(|why| none(&why))?;
    let id = MigrationId { root: root.path.clone(), version: found.version.clone() };
    let of_root = |migration: &&Migration| migration.id.root == root.path;
    let before = |migration: &Migration| migration.id.root == root.path && migration.id <= id;
    let first = project.migrations.iter().position(|migration| of_root(&migration));
    let behind = project.migrations.iter().rposition(before).map(|place| place + 1);
    let place = behind.or(first).unwrap_or(project.migrations.len());
    let migration = Migration {
        id,
        name: found.name,
        path: shown.to_owned(),
        kind: found.kind,
        source: Source::Embedded(Arc::from(Vec::new())),
        section: crate::migration::Section::WHOLE,
        no_transaction: found.no_transaction,
        any_time: found.any_time,
        down: None,
        takes_back: None,
        verify: None,
        checksums: crate::migration::Checksums { raw: String::new(), normalised: String::new(), bytes: 0 },
        stage: None,
        claims: Claims::default(),
    };
    project.migrations.insert(place, migration);
    Ok(place)
}

/// What the convention makes of the file beside those that are there.
fn found(
    project: &Project,
    root: &MigrationRoot,
    convention: &dyn Convention,
    inner: &str,
) -> Result<Found, String> {
    let names = create::names_in(project, root, inner);
    let reading = convention.read(&Folder::of_names(&names));
    if let Some(wrong) = reading.problems.iter().find(|wrong| wrong.path == inner) {
        return Err(wrong.message.clone());
    }
    if let Some(stray) = reading.strays.iter().find(|stray| stray.path == inner) {
        return Err(stray.why.clone());
    }
    let found = reading.migrations.into_iter().find(|found| found.path == inner);
    found.ok_or_else(|| "its name is that of no migration".to_owned())
}
