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

#[cfg(test)]
mod tests {
    use super::{File, Settings, by_name};

    /// What is not read of a file may be any table: the place is remembered.
    #[test]
    fn what_the_grammars_do_not_know_is_not_read() {
        let unread = |source: &str, text: &str| -> Vec<u32> {
            let path = format!("models.{}", by_name(source).unwrap().extension);
            let file = File { path, text: text.to_owned() };
            let models = by_name(source).unwrap().read(&[file], &Settings::default());
            models.unread.iter().map(|place| place.line).collect()
        };
        let sqlalchemy = "from sqlalchemy import *\nclass Base(DeclarativeBase):\n    pass\nclass A(Base):\n    __tablename__ = 'a'\n    \
                          id = mapped_column(Integer, primary_key=True)\n";
        let django = "from django.db import models\nclass A(models.Model):\n    n = models.IntegerField()\n";
        let prisma = "model A {\n  id Int @id\n}\n";
        let diesel = "diesel::table! {\n    a (id) {\n        id -> Int4,\n    }\n}\n";
        for (source, text, broken) in [
            (
                "sqlalchemy",
                sqlalchemy,
                "class B(Base):\n    __tablename__ = 'b'\n    id = mapped_column(Integer\n    v = mapped_column(Text)\n",
            ),
            (
                "django",
                django,
                "class B(models.Model):\n    n = models.IntegerField(\n    m = models.TextField()\n",
            ),
            ("prisma", prisma, "model B {\n  id Int @id\n  ??\n}\n"),
            ("prisma", prisma, "modelB {\n  id Int @id\n}\n"),
            ("prisma", prisma, "model B {\n  id Int @id\n"),
            ("diesel", diesel, "diesel::table! {\n    b (id) {\n        id Int4,\n    }\n}\n"),
            ("diesel", diesel, "diesel::table! {\n    b (id {\n}\n"),
        ] {
            assert!(unread(source, text).is_empty(), "{source}");
            assert!(!unread(source, &format!("{text}{broken}")).is_empty(), "{source}: {broken}");
        }
        assert!(unread("prisma", "datasource db {\n  ??\n}\nmodel A {\n  id Int @id\n}\n").is_empty());
    }
}
