//! SQLModel and SQLAlchemy: declarative classes, `Table(…)`, and indexes beside them, as `metadata.create_all()` makes them on
//! PostgreSQL. (Source: SQLAlchemy 2.0 "Declarative Mapping", "Describing Databases with `MetaData`", its PostgreSQL dialect, and
//! SQLModel's `get_column_from_field`.)

mod annotations;
mod arguments;
mod aside;
mod classes;
mod columns;
mod defaults;
mod given;
mod known;
mod naming;
mod sqlmodel;
#[cfg(test)]
mod tests;
mod types;
mod values;

use crate::model::{Models, Place};
use crate::python::{Module, Statement, parse};
use crate::source::{File, Settings, Source};

pub(crate) static SOURCE: Source = Source {
    name: "sqlalchemy",
    about: "SQLModel and SQLAlchemy: declarative classes",
    extension: "py",
    is_so: |text| ["sqlalchemy", "sqlmodel", "flask_sqlalchemy"].iter().any(|library| text.contains(library)),
    read,
};

fn read(files: &[File], settings: &Settings) -> Models {
    let modules = files.iter().map(|file| parse(&file.path, &file.text));
    let modules: Vec<Module> = modules.filter(|module| !is_migration(module)).collect();
    let mut models = Models::default();
    for module in &modules {
        for line in &module.broken {
            models.unread(Place::new(&module.path, *line), "this is no Python");
        }
    }
    let known = known::Known::of(&modules, settings);
    classes::read(&known, &mut models);
    // What stands in what is no Python is not known: it may be a part of any class of the file.
    for module in modules.iter().filter(|module| !module.broken.is_empty()) {
        let of_it = models.tables.iter_mut().filter(|table| table.place.path == module.path);
        of_it.for_each(classes::open_to_all);
    }
    models
}

/// Whether a file is a migration of Alembic: classes and tables in it are those of its day.
fn is_migration(module: &Module) -> bool {
    let is = |wanted: &dyn Fn(&Statement) -> bool| module.statements.iter().any(wanted);
    is(&|one| matches!(one, Statement::Assign { target, .. } if target == "down_revision"))
        && is(&|one| matches!(one, Statement::Function(function) if function.name == "upgrade"))
}
