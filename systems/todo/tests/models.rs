//! What the app's models say against what its migrations make: one set as it is naturally written, whose differences are all named,
//! and one that says the same.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cutover::align::{Alignment, Decisions, align, generate};
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

fn sandbox() -> SandboxProvider {
    SandboxProvider::dev_url(testkit::server().server().options("postgres"))
}

#[tokio::test]
async fn for_the_matching_models_there_is_nothing_to_write() {
    let project = Project::load(root(), &Overrides::default()).unwrap();
    let made = generate(&models("matching"), &project, &Decisions::default(), &sandbox()).await.unwrap();
    assert_eq!((made.sql.as_str(), made.undecided.len(), made.left.len()), ("", 0, 0), "{made:?}");
}

/// A new model's first migration is written from its class; once it is applied, both say the same.
#[tokio::test]
async fn the_first_migration_is_written_from_the_classes() {
    for set in ["matching", "natural"] {
        let models = models(set);
        let nothing = Project::embedded("todo", &[]).unwrap();
        let made = generate(&models, &nothing, &Decisions::default(), &sandbox()).await.unwrap();
        assert!(made.failed.is_none() && made.still.is_empty() && made.left.is_empty(), "{made:?}");
        let database = testkit::database();
        let written = Project::embedded("todo", &[("0001_models.sql", made.sql.as_bytes())]).unwrap();
        migrate(&written, &database.url()).await.unwrap();
        let there = Side::Database(Box::new(database.options()));
        let alignment = align(&models, there, &[], Some(&database.options()), &sandbox()).await.unwrap();
        assert_eq!(told(&alignment), "");
        assert_eq!(database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "4");
    }
}

/// Nothing of what the migrations made goes without a word, and what the natural models would have is proven before it is written.
#[tokio::test]
async fn what_the_natural_models_would_change_is_asked_first() {
    let project = Project::load(root(), &Overrides::default()).unwrap();
    let natural = models("natural");
    let made = generate(&natural, &project, &Decisions::default(), &sandbox()).await.unwrap();
    assert_eq!(made.sql, "");
    // Everything of natural.differences that is there and in no model.
    let listed = fs::read_to_string(root().join("models/natural.differences")).unwrap();
    let only_there = listed.lines().filter(|line| {
        line.contains("is in no model")
            || line.contains("[column-default]") && line.contains(": none (the client")
    });
    assert_eq!(made.undecided.len(), only_there.count());
    let decisions = Decisions { keep: vec!["all".to_owned()], ..Decisions::default() };
    let made = generate(&natural, &project, &decisions, &sandbox()).await.unwrap();
    assert!(made.failed.is_none() && made.still.is_empty() && made.left.is_empty(), "{made:?}");
    assert!(
        made.sql.contains("TYPE timestamp without time zone") && !made.sql.contains("DROP INDEX"),
        "{}",
        made.sql
    );
}
