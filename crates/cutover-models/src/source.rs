//! What models can be written in: one file each, found in one list.

use crate::model::Models;
use crate::{diesel, django, prisma, sql, sqlalchemy};

/// A file of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, as it is shown.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What the models do not say themselves, and an application's settings do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Django: what the key of a model is that has none (`BigAutoField`); not known where empty.
    pub default_auto_field: String,
    /// SQLModel: its version, e.g. `0.0.24`; not known where empty. From 0.0.45 on a `datetime` is a `timestamptz`.
    pub sqlmodel: String,
}

/// What models are written in.
#[derive(Debug)]
pub struct Source {
    /// Its name in `cutover.toml` and on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The ending of its files.
    pub extension: &'static str,
    /// Whether a text looks like it.
    pub(crate) is_so: fn(&str) -> bool,
    /// Reads all files together: models refer to each other across them.
    pub(crate) read: fn(&[File], &Settings) -> Models,
}

impl Source {
    /// What the files say.
    pub fn read(&self, files: &[File], settings: &Settings) -> Models {
        (self.read)(files, settings)
    }
}

/// All of them.
pub static SOURCES: &[&Source] =
    &[&sqlalchemy::SOURCE, &django::SOURCE, &prisma::SOURCE, &diesel::SOURCE, &sql::SOURCE];

/// The one of that name.
pub fn by_name(name: &str) -> Option<&'static Source> {
    SOURCES.iter().copied().find(|source| source.name == name)
}

/// The one that a file is written in, by its name and its text.
pub fn recognised(file: &File) -> Option<&'static Source> {
    SOURCES.iter().copied().find(|source| {
        let ending = file.path.rsplit_once('.').map_or("", |(_, ending)| ending);
        ending == source.extension && (source.is_so)(&file.text)
    })
}
