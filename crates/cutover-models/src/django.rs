//! Django: `models.Model` classes, as the tables that Django's migrations make of them on PostgreSQL.
//!
//! What is said of Django here was read in the source of 5.2 and compared with what its `migrate` makes; where versions differ, it says so.
//! Names that Django makes with a hash are left open. What a `default=` says is made up by Django and is not in the database.

// What cannot be told is a value of its own here (`None` of what is there), and is looked at first.
#![allow(clippy::single_match_else, clippy::option_option)]

mod aside;
mod build;
mod columns;
mod constraints;
mod contrib;
mod fields;
mod given;
mod lineage;
mod q;
mod relations;
mod slots;
#[cfg(test)]
mod tests;
mod typed;
mod world;

use crate::model::{Models, Place};
use crate::python::{self, Module};
use crate::source::{File, Settings, Source};

pub(crate) static SOURCE: Source =
    Source { name: "django", about: "Django: `models.Model` classes", extension: "py", is_so, read };

/// Whether a text imports Django's models, or configures applications of it. Migrations are not meant.
fn is_so(text: &str) -> bool {
    let has_models = text.lines().any(|line| {
        let line = line.trim_start();
        let import = line.strip_prefix("from django.").or_else(|| line.strip_prefix("import django."));
        import.is_some_and(|import| {
            let is_of_database =
                ["db import ", "db.models", "contrib.gis.db"].iter().any(|known| import.starts_with(known));
            is_of_database && import.contains("models")
                || import.starts_with("contrib.auth.models import ") && import.contains("Abstract")
                || import.starts_with("apps import ") && import.contains("AppConfig")
        })
    });
    has_models && !text.contains("(migrations.Migration)")
}

fn read(files: &[File], settings: &Settings) -> Models {
    let mut modules: Vec<Module> = files.iter().map(|file| python::parse(&file.path, &file.text)).collect();
    let own = modules.len();
    modules.extend(contrib::FILES.iter().map(|(path, text)| python::parse(path, text)));
    let mut models = build::models(&modules, &settings.default_auto_field);
    for module in modules.iter().take(own) {
        for line in &module.broken {
            models.unread(Place::new(&module.path, *line), "this line, which is no Python");
        }
        // It may be a part of any class of the file.
        if !module.broken.is_empty() {
            let of_it = models.tables.iter_mut().filter(|table| table.place.path == module.path);
            of_it.for_each(|table| table.unstated.extend(build::OPEN));
        }
    }
    models
}
