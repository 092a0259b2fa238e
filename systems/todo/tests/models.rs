//! What the app's models say against what its migrations make: one set as it is naturally written, whose differences are all named,
//! and one that says the same.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cutover::align::{Alignment, align};
use cutover::compare::Side;
use cutover::migrate;
use cutover::project::{Overrides, Project};
use cutover::verify::SandboxProvider;
use cutover_models::{File, Models, Settings, by_name};
use expect_test::expect_file;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A set of models, as SQLModel of before 0.0.45 makes tables of it.
fn models(set: &str) -> Models {
    let folder = root().join("models").join(set);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let file = |path: PathBuf| File {
        text: fs::read_to_string(&path).unwrap(),
        path: path.file_name().unwrap().to_str().unwrap().to_owned(),
    };
    let files: Vec<File> = paths.into_iter().map(file).collect();
    let settings = Settings { sqlmodel: "0.0.24".to_owned(), ..Settings::default() };
    by_name("sqlalchemy").unwrap().read(&files, &settings)
}

/// Against a database in which everything is applied.
async fn against_database(set: &str) -> Alignment {
    let database = testkit::database();
    let project = Project::load(root(), &Overrides::default()).unwrap();
    migrate(&project, &database.url()).await.unwrap();
    let sandbox = SandboxProvider::dev_url(database.server().options("postgres"));
    let there = Side::Database(Box::new(database.options()));
    align(&models(set), there, &[], Some(&database.options()), &sandbox).await.unwrap()
}

fn told(alignment: &Alignment) -> String {
    alignment.differences.iter().fold(String::new(), |mut text, one| {
        let column = one.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
        let _ =
            writeln!(text, "{}:{} {}{column} [{}] {}", one.path, one.line, one.table, one.code, one.message);
        text
    })
}

#[tokio::test]
async fn the_natural_models_differ_in_exactly_this() {
    let alignment = against_database("natural").await;
    expect_file!["../models/natural.differences"].assert_eq(&told(&alignment));
    assert!(alignment.not_compared.is_empty(), "{:?}", alignment.not_compared);
}

#[tokio::test]
async fn the_matching_models_are_what_the_migrations_make() {
    let alignment = against_database("matching").await;
    assert_eq!(told(&alignment), "");
    assert!(alignment.not_compared.is_empty(), "{:?}", alignment.not_compared);
    assert_eq!(alignment.tables.len(), 4);
    // The migrations alone say the same as the database.
    let project = Project::load(root(), &Overrides::default()).unwrap();
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let there = Side::Project(Box::new(project));
    let alignment = align(&models("matching"), there, &[], None, &sandbox).await.unwrap();
    assert_eq!(told(&alignment), "");
}
