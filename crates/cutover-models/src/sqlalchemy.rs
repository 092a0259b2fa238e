//! SQLAlchemy.

use crate::model::Models;
use crate::source::{File, Settings, Source};

pub(crate) static SOURCE: Source = Source {
    name: "sqlalchemy",
    about: "SQLModel and SQLAlchemy: declarative classes",
    extension: "py",
    is_so: |_| false,
    read,
};

fn read(_files: &[File], _settings: &Settings) -> Models {
    Models::default()
}
