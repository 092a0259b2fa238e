//! Django: `models.Model` classes.

use crate::model::Models;
use crate::source::{File, Settings, Source};

pub(crate) static SOURCE: Source = Source {
    name: "django",
    about: "Django: `models.Model` classes",
    extension: "py",
    is_so: |_| false,
    read,
};

fn read(_files: &[File], _settings: &Settings) -> Models {
    Models::default()
}
