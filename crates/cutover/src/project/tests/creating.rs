use std::fs;

use super::super::{CONFIG_FILE, ProjectError, initialise};
use super::{folder, load, versions};

const NOW: u64 = 20_261_120_114_700;

/// The file that comes after these.
fn next(files: &[&str]) -> String {
    let files: Vec<(String, &str)> = files.iter().map(|name| (format!("migrations/{name}"), "")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let folder = folder(&files);
    fs::create_dir_all(folder.path().join("migrations")).unwrap();
    let created = load(&folder).unwrap().create_migration("Add  Orders!", None, NOW).unwrap();
    for file in &created {
        assert_eq!(fs::read_to_string(folder.path().join(&file.path)).unwrap(), file.content);
    }
    assert_eq!(load(&folder).unwrap().migrations.len(), files.len() + 1);
    created[0].path.clone()
}

#[test]
fn the_next_file_follows_the_style_of_the_others() {
    assert_eq!(next(&[]), "migrations/0001_add_orders.sql");
    assert_eq!(next(&["001_a.sql"]), "migrations/002_add_orders.sql");
    assert_eq!(next(&["1_a.sql", "9_b.sql"]), "migrations/10_add_orders.sql");
    assert_eq!(next(&["0100_a.sql"]), "migrations/0200_add_orders.sql");
    assert_eq!(next(&["005_a.sql", "010_b.sql", "015_c.sql"]), "migrations/020_add_orders.sql");
    assert_eq!(next(&["0999_a.sql"]), "migrations/1000_add_orders.sql");
    assert_eq!(next(&["1_a.sql", "2_b.sql", "9_c.sql"]), "migrations/10_add_orders.sql");
    assert_eq!(next(&["010_a.sql", "020_b.sql"]), "migrations/030_add_orders.sql");
    assert_eq!(next(&["20250101120000_a.sql"]), "migrations/20261120114700_add_orders.sql");
    assert_eq!(next(&["20990101120000_a.sql"]), "migrations/20990101120001_add_orders.sql");
    assert_eq!(next(&["V0001__a.sql", "V0002__b.sql"]), "migrations/V0003__add_orders.sql");
    assert_eq!(next(&["V1.9__a.sql"]), "migrations/V1.10__add_orders.sql");
    assert_eq!(next(&["V1.10__a.sql"]), "migrations/V1.11__add_orders.sql");
    assert_eq!(next(&["V1.2__a.sql", "V1.10__b.sql"]), "migrations/V1.11__add_orders.sql");
    assert_eq!(next(&["V1.09__a.sql"]), "migrations/V1.10__add_orders.sql");
    assert_eq!(next(&["V1.10__a.sql", "V1.20__b.sql"]), "migrations/V1.30__add_orders.sql");
    assert_eq!(next(&["V10__a.sql"]), "migrations/V20__add_orders.sql");
    assert_eq!(next(&["V1_1__a.sql", "V1_2__b.sql"]), "migrations/V1_3__add_orders.sql");
}

#[test]
fn an_existing_file_is_never_changed() {
    let folder = folder(&[("migrations/0001_a.sql", "")]);
    let project = load(&folder).unwrap();
    project.create_migration("b", None, NOW).unwrap();
    super::write(folder.path(), "migrations/0002_b.sql", b"mine");
    let error = project.create_migration("b", None, NOW).unwrap_err();
    assert!(matches!(error, ProjectError::Exists { .. }), "{error}");
    assert_eq!(fs::read(folder.path().join("migrations/0002_b.sql")).unwrap(), b"mine");
}

/// Two that were made for the same migrations are not both written, whatever they are called and however close together.
#[test]
fn what_was_made_before_another_came_is_not_written() {
    let folder = folder(&[("migrations/0001_a.sql", "")]);
    let (one, other) = (load(&folder).unwrap(), load(&folder).unwrap());
    let both_are_ready = std::sync::Barrier::new(2);
    let write = |project: &super::super::Project, title: &str| {
        both_are_ready.wait();
        project.create_migration(title, None, NOW)
    };
    let written = std::thread::scope(|scope| {
        let other = scope.spawn(|| write(&other, "other"));
        [write(&one, "one"), other.join().unwrap()]
    });
    let (made, refused): (Vec<_>, Vec<_>) = written.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 1));
    assert!(matches!(refused[0], Err(ProjectError::Meanwhile { .. })), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path().join("migrations")).unwrap().count(), 2);
    assert_eq!(load(&folder).unwrap().migrations.len(), 2);
}

#[test]
fn titles_cannot_leave_the_folder() {
    let folder = folder(&[("migrations/0001_a.sql", "")]);
    let project = load(&folder).unwrap();
    assert_eq!(project.create_migration("../../x\ny", None, NOW).unwrap()[0].path, "migrations/0002_x_y.sql");
    assert!(matches!(project.create_migration("--", None, NOW), Err(ProjectError::Name(_))));
}

#[test]
fn init_makes_a_project_that_loads() {
    let folder = folder(&[]);
    for none in ["", " ", "a\nb"] {
        let error = initialise(folder.path(), Some(none)).unwrap_err();
        assert!(error.to_string().contains("it must be visible text in one line"), "{error}");
    }
    assert!(!folder.path().join(CONFIG_FILE).exists(), "a name that no command would accept is not written");
    let made = initialise(folder.path(), Some("a \"shop\"")).unwrap();
    assert_eq!(made.len(), 2);
    let project = load(&folder).unwrap();
    assert_eq!((project.name.as_str(), project.migrations.len()), ("a \"shop\"", 0));
    assert!(matches!(initialise(folder.path(), None), Err(ProjectError::Exists { .. })));
}

#[test]
fn init_keeps_the_migrations_there_are() {
    let folder = folder(&[("db/migrations/V1__a.sql", "")]);
    initialise(folder.path(), None).unwrap();
    let config = fs::read_to_string(folder.path().join(CONFIG_FILE)).unwrap();
    assert!(config.contains("path = \"db/migrations\"\nconvention = \"flyway\"\n"), "{config}");
    assert_eq!(versions(&load(&folder).unwrap()), ["1"]);
    assert!(!folder.path().join("migrations").exists());
}
