//! Diesel: `table!` blocks of `schema.rs`.

use crate::model::Models;
use crate::source::{File, Settings, Source};

pub(crate) static SOURCE: Source = Source {
    name: "diesel",
    about: "Diesel: `table!` blocks of `schema.rs`",
    extension: "rs",
    is_so: |_| false,
    read,
};

fn read(_files: &[File], _settings: &Settings) -> Models {
    Models::default()
}
