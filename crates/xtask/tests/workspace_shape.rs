//! The shape of the workspace that ARCHITECTURE.md promises: who may depend on whom, and how large a file may be.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Ours that each crate may use, in `[dependencies]`.
const OURS: &[(&str, &[&str])] = &[
    ("cutover-analysis", &[]),
    ("cutover-postgres", &[]),
    ("cutover", &["cutover-analysis", "cutover-postgres"]),
    ("cutover-models", &["cutover-analysis"]),
    ("cutover-worker", &["cutover", "cutover-postgres"]),
    ("cutover-cli", &["cutover", "cutover-models", "cutover-postgres", "cutover-worker"]),
    ("testkit", &["cutover-postgres"]),
    ("xtask", &["cutover", "cutover-analysis", "cutover-postgres"]),
    ("bitstockerz", &[]),
    ("spark", &[]),
    ("spark-simulator", &["cutover", "cutover-postgres", "cutover-worker"]),
    ("todo", &[]),
];

/// Libraries that only these crates may use: the parser, and whatever opens a socket.
const RESERVED: &[(&str, &[&str])] = &[
    ("pg_query", &["cutover-analysis"]),
    ("tokio-postgres", &["cutover-postgres", "testkit", "xtask"]),
    ("rustls", &["cutover-postgres"]),
    ("tokio-rustls", &["cutover-postgres"]),
    ("clap", &["cutover-cli", "spark-simulator"]),
    ("tree-sitter", &["cutover-models"]),
    ("tree-sitter-python", &["cutover-models"]),
    ("syn", &["cutover-models"]),
    ("croner", &["cutover-worker"]),
    ("chrono", &["cutover-worker"]),
    ("prometheus-client", &["cutover-worker"]),
];

/// What a pure crate must not even mention.
const NOT_PURE: &[&str] = &["tokio", "futures-util", "rustix", "tokio-postgres"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.extend(fs::read_dir(root().join("systems")).unwrap().map(|entry| entry.unwrap().path()));
    let nested: Vec<PathBuf> = folders.iter().map(|folder| folder.join("simulator")).collect();
    let mut manifests = BTreeMap::new();
    for folder in nested.iter().filter(|folder| folder.join("Cargo.toml").exists()) {
        let table: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        let name = table["package"]["name"].as_str().unwrap().to_owned();
        let system = folder.parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("{system}-simulator"), "a simulator is named as its system");
        manifests.insert(name, table);
    }
    for manifest in folders.iter().map(|folder| folder.join("Cargo.toml")).filter(|path| path.exists()) {
        let table: toml::Table = fs::read_to_string(&manifest).unwrap().parse().unwrap();
        let name = table["package"]["name"].as_str().unwrap().to_owned();
        let folder = manifest.parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(name, folder, "a folder is named as its crate");
        manifests.insert(name, table);
    }
    manifests
}

fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn crates_depend_in_one_direction() {
    let manifests = manifests();
    let known: Vec<&str> = OURS.iter().map(|(name, _)| *name).collect();
    for name in manifests.keys() {
        assert!(
            known.contains(&name.as_str()),
            "{name} is new: say here, and in ARCHITECTURE.md, what it may use"
        );
    }
    for (name, allowed) in OURS {
        for dependency in
            dependencies(&manifests[*name]).iter().filter(|dependency| known.contains(&dependency.as_str()))
        {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn heavy_libraries_have_one_home() {
    let manifests = manifests();
    for (name, manifest) in &manifests {
        for dependency in dependencies(manifest) {
            for (library, homes) in RESERVED {
                assert!(
                    dependency != *library || homes.contains(&name.as_str()),
                    "{name} must not depend on {library}"
                );
            }
            assert!(
                name != "cutover-analysis" || !NOT_PURE.contains(&dependency.as_str()),
                "{name} is pure: no {dependency}"
            );
        }
    }
}

#[test]
fn no_source_file_is_over_a_thousand_lines() {
    let mut too_long = Vec::new();
    visit(&root().join("crates"), &mut too_long);
    visit(&root().join("systems"), &mut too_long);
    assert!(too_long.is_empty(), "each wants a better cut: {too_long:?}");
}

/// Which schemas are cutover's own is said in `cutover_analysis::ours`; a question to the catalogue that says it again forgets one.
#[test]
fn one_place_says_which_schemas_are_our_own() {
    let mut again = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut |path, text| {
            let is_again = |line: &str| line.contains("'information_schema', 'cutover'");
            again.extend(
                text.lines().filter(|line| is_again(line)).map(|line| (path.to_owned(), line.to_owned())),
            );
        });
    }
    assert!(again.is_empty(), "own_schemas!() or ours::IN_SQL: {again:#?}");
}

fn sources(folder: &Path, look: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

fn visit(folder: &Path, too_long: &mut Vec<(PathBuf, usize)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                visit(&path, too_long);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            if lines > 1000 {
                too_long.push((path, lines));
            }
        }
    }
}
