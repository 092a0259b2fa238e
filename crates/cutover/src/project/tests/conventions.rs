use proptest::prelude::*;

use super::super::conventions::{self, Convention, Detected, Flyway, Folder, Numbered, Reading};
use super::{error, folder, load, versions};

fn sorted<S: AsRef<str>>(names: &[S]) -> Vec<String> {
    let mut paths: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn read<S: AsRef<str>>(convention: &dyn Convention, names: &[S]) -> Reading {
    convention.read(&Folder::of_names(&sorted(names)))
}

fn detect<S: AsRef<str>>(names: &[S]) -> Result<Detected, String> {
    conventions::detect(&Folder::of_names(&sorted(names)))
}

fn order(convention: &dyn Convention, names: &[&str]) -> Vec<String> {
    read(convention, names).migrations.into_iter().map(|found| found.path).collect()
}

#[test]
fn numbers_are_compared_as_numbers_whatever_their_width() {
    assert_eq!(
        order(&Numbered, &["1001_c.sql", "999_b.sql", "00010_a.sql"]),
        ["00010_a.sql", "999_b.sql", "1001_c.sql"]
    );
}

#[test]
fn flyway_versions_are_compared_part_by_part() {
    let names = ["V10__d.sql", "V2_10__c.sql", "V2.9__b.sql", "V1__a.sql"];
    assert_eq!(order(&Flyway, &names), ["V1__a.sql", "V2.9__b.sql", "V2_10__c.sql", "V10__d.sql"]);
    let reading = read(&Flyway, &["V1_2__create_the_users.sql"]);
    assert_eq!(
        (reading.migrations[0].version.key().as_str(), reading.migrations[0].name.as_str()),
        ("1.2", "create_the_users")
    );
}

#[test]
fn what_flyway_makes_anew_comes_last_and_what_stands_for_others_behind_them() {
    let names = ["B5__all.sql", "R__b.sql", "R__a.sql", "V5__b.sql", "V6__c.sql", "V1__a.sql", "U5__b.sql"];
    let reading = read(&Flyway, &names);
    let order: Vec<&str> = reading.migrations.iter().map(|found| found.path.as_str()).collect();
    assert_eq!(order, ["V1__a.sql", "V5__b.sql", "B5__all.sql", "V6__c.sql", "R__a.sql", "R__b.sql"]);
    assert_eq!(reading.migrations[1].down.as_deref(), Some("U5__b.sql"));
    for found in &reading.migrations {
        assert_eq!(Flyway.version(found.version.text()).as_ref(), Some(&found.version));
    }
    let again = read(&Flyway, &["R__a.sql", "deep/R__a.sql"]);
    assert_eq!(again.migrations.len(), 2);
    let message = error(&[("sql/R__a.sql", ""), ("sql/deep/R__a.sql", "")]);
    assert!(message.contains("the same version as sql/R__a.sql (R__a)"), "{message}");
}

#[test]
fn ties_name_both_files() {
    let message = error(&[("migrations/V1__a.sql", ""), ("migrations/V1.0__b.sql", "")]);
    assert!(
        message.contains("migrations/V1__a.sql: the same version as migrations/V1.0__b.sql (1.0 and 1"),
        "{message}"
    );
    let message = error(&[("001_x.sql", ""), ("1_y.sql", "")]);
    assert!(
        message.contains("1_y.sql: the same version as 001_x.sql (001 and 1 are the number 1)"),
        "{message}"
    );
}

#[test]
fn near_misses_say_why_they_are_none() {
    let cases: [(&dyn Convention, &str, &str); 15] = [
        (&Flyway, "V1_create.sql", "two underscores"),
        (&Flyway, "v1__x.sql", "upper case"),
        (&Flyway, "R__.sql", "no description"),
        (&Flyway, "R__x.SQL", ".SQL"),
        (&Flyway, "b1__x.sql", "upper case"),
        (&Flyway, "U1__x.sql", "goes forward"),
        (&Flyway, "V1__x.SQL", ".SQL"),
        (&Flyway, "V1__.sql", "no description"),
        (&Flyway, "V1a__x.sql", "numbers"),
        (&Numbered, "001-x.sql", "one _"),
        (&Numbered, "001.sql", "one _"),
        (&Numbered, "001_x.up.sql", "pairs of files"),
        (&Numbered, "001_x.down.sql", "pairs of files"),
        (&Numbered, "001_x.Sql", ".Sql"),
        (&Numbered, "old/001_x.sql", "read flat"),
    ];
    for (convention, name, why) in cases {
        let reading = read(convention, &[name]);
        assert!(reading.migrations.is_empty(), "{name}");
        assert!(reading.strays[0].near_miss && reading.strays[0].why.contains(why), "{:?}", reading.strays);
    }
    for name in ["README.md", ".V1__x.sql", "V1__x.sql~", "schema.sql", "001_x.sql.bak", "Views.sql"] {
        for convention in [&Flyway as &dyn Convention, &Numbered] {
            let reading = read(convention, &[name]);
            assert!(reading.migrations.is_empty() && !reading.strays[0].near_miss, "{name}");
        }
    }
}

#[test]
fn strays_are_collected_and_left_alone() {
    let files = [("sql/0001_x.sql", ""), ("sql/README.md", ""), ("sql/0002-y.sql", ""), ("sql/.keep", "")];
    let folder = folder(&files);
    let project = load(&folder).unwrap();
    assert_eq!(versions(&project), ["0001"]);
    let near: Vec<&str> = project.near_misses().map(|stray| stray.path.as_str()).collect();
    assert_eq!((project.strays.len(), near), (3, vec!["sql/0002-y.sql"]));
}

#[test]
fn a_file_of_another_convention_is_a_near_miss() {
    let config = "[[migrations]]\npath = \"sql\"\nconvention = \"numbered\"\n";
    let folder =
        folder(&[("cutover.toml", config), ("sql/1_a.sql", ""), ("sql/V2__b.sql", ""), ("sql/c.sql", "")]);
    let project = load(&folder).unwrap();
    let near: Vec<&str> = project.near_misses().map(|stray| stray.why.as_str()).collect();
    assert_eq!(near, ["named like flyway (V1.2__create_users.sql), and this folder is numbered"]);
}

#[test]
fn detection_gives_its_reason_or_names_the_mixture() {
    let detected = detect(&["V1__a.sql", "V2__b.sql", "notes.sql"]).unwrap();
    assert_eq!((detected.convention.name(), detected.why.starts_with("2 of 3 .sql files")), ("flyway", true));
    let why = detect(&["V1__a.sql", "002_b.sql"]).unwrap_err();
    assert!(why.contains("002_b.sql is numbered, V1__a.sql is flyway"), "{why}");
    let why = detect(&["1-a.sql", "b.sql"]).unwrap_err();
    assert!(why.contains("no known convention"), "{why}");
    let why = detect(&["V1_create.sql"]).unwrap_err();
    assert!(why.contains("V1_create.sql") && why.contains("two underscores"), "{why}");
    assert_eq!(detect::<&str>(&[]).unwrap().convention.name(), "numbered");
}

#[test]
fn a_number_too_large_is_refused_and_not_left_out() {
    let message = error(&[("migrations/99999999999999999999_x.sql", "")]);
    assert!(message.contains("too large"), "{message}");
}

#[test]
fn flyway_reads_folders_within() {
    let folder = folder(&[("sql/V1__a.sql", ""), ("sql/2026/V2__b.sql", ""), ("sql/.git/V3__c.sql", "")]);
    let project = load(&folder).unwrap();
    let paths: Vec<&str> = project.migrations.iter().map(|migration| migration.path.as_str()).collect();
    assert_eq!(paths, ["sql/V1__a.sql", "sql/2026/V2__b.sql"]);
}

/// Lines that mean something to one convention or another.
const LINES: &str = "-- \\+goose (Up|Down|StatementBegin|StatementEnd|NO TRANSACTION|ENVSUB ON|x)|-- migrate:(up|down)( transaction:false)?|\
--! (Previous|Hash): (-|a|b)|-- no-transaction|SELECT 1;||%project=p|@v[12]|[+-]?(a|b|a/b)( \\[!?(a|b|@v1|a@v2|p:a|q:b)\\])?|\
\\[core\\]|(top_dir|deploy_dir|engine) = (pg|x)|run_in_transaction = (true|1)|provider = \"(postgresql|x)\"|executeInTransaction=(false|x)|\\PC{0,9}";

const PATHS: &str = "(deploy|revert|verify)/(a|b)(@v[12])?\\.sql|sqitch\\.(plan|conf)|[12]_a(\\.up|\\.down)?\\.sql|[VUBR][12]?__[ab]\\.(sql|rs|sql\\.conf)|\
[12]_a/(up|down|migration)\\.sql|[12]_a/metadata\\.toml|migration_lock\\.toml|committed/00000[12](-a)?\\.sql|[12]_a\\.go";

proptest! {
    #[test]
    fn no_text_makes_a_convention_panic(
        files in proptest::collection::btree_map(PATHS, proptest::collection::vec(LINES, 0..7), 0..9),
    ) {
        let texts: std::collections::BTreeMap<String, String> =
            files.into_iter().map(|(path, lines)| (path, lines.join("\n"))).collect();
        let paths: Vec<String> = texts.keys().cloned().collect();
        let read = |path: &str, _| Ok(texts.get(path).map(String::as_bytes).unwrap_or_default().to_vec());
        let folder = Folder::new(".", &paths, &read);
        let _ = conventions::detect(&folder);
        for convention in conventions::all() {
            let reading = convention.read(&folder);
            prop_assert_eq!(&sorted(&reading.paths().collect::<Vec<_>>()), &paths, "{}", convention.name());
            let mut run: Vec<&str> = reading.migrations.iter().map(|found| found.path.as_str()).collect();
            let count = run.len();
            run.sort_unstable();
            run.dedup();
            prop_assert_eq!(run.len(), count, "{}", convention.name());
        }
        let embedded: Vec<(&str, &[u8])> =
            texts.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
        if let Ok(project) = super::Project::embedded("p", &embedded) {
            for migration in &project.migrations {
                prop_assert!(crate::source::read_to_string(migration).is_ok());
            }
        }
    }

    #[test]
    fn no_name_makes_a_convention_panic(names in proptest::collection::vec("\\PC{0,20}|(deploy/|committed/|a/)?[VvRU]?[0-9._-]{0,6}_{0,3}[a-zé@]{0,3}(/up|/migration|\\.up|\\.down)?\\.(sql|SQL|md|rs|go|conf)?|sqitch.plan|migration_lock.toml", 0..8)) {
        for convention in conventions::all() {
            let reading = read(*convention, &names);
            prop_assert_eq!(sorted(&reading.paths().collect::<Vec<_>>()), sorted(&names), "{}", convention.name());
        }
        let _ = detect(&names);
    }

    #[test]
    fn the_order_of_versions_is_total(texts in proptest::collection::vec("[0-2]{1,2}([._][0-2]){0,2}", 3)) {
        let versions: Vec<_> = texts.iter().map(|text| Flyway.version(text).unwrap()).collect();
        for a in &versions {
            for b in &versions {
                prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
                prop_assert_eq!(a == b, a.key() == b.key());
                for c in versions.iter().filter(|c| a <= b && b <= *c) {
                    prop_assert!(a <= c);
                }
            }
        }
    }

    #[test]
    fn the_order_does_not_depend_on_the_listing(mut numbers in proptest::collection::hash_set(any::<u16>(), 1..40), seed in any::<u64>()) {
        let mut names: Vec<String> = numbers.drain().map(|n| format!("V{n}.{}__x.sql", n % 7)).collect();
        let first = read(&Flyway, &names).migrations;
        let turn = usize::try_from(seed % names.len() as u64).unwrap();
        names.rotate_left(turn);
        prop_assert_eq!(&first, &read(&Flyway, &names).migrations);
        prop_assert!(first.windows(2).all(|pair| pair[0].version < pair[1].version));
    }
}
