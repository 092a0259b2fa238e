//! What a kept plan remembers besides the files and the database: the values that placeholders were given, and what
//! `cutover.toml` asked for around the migrations.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use sha2::{Digest, Sha256};

use crate::project::text::hex;
use crate::project::{Project, When};

/// How often a value is digested. Short values can be guessed by whoever has the plan, as salt and digest stand in it:
/// so many rounds make each guess dear, and a plan is still read at once.
const ROUNDS: u32 = 20_000;

/// A salt that no two plans share; from the system's random numbers.
pub(super) fn new_salt() -> String {
    let random: Vec<u8> = (0_u8..2).flat_map(|n| RandomState::new().hash_one(n).to_be_bytes()).collect();
    hex(&random)
}

/// A digest of each placeholder's value, also of those that are not shown.
pub(super) fn values(project: &Project, salt: &str) -> BTreeMap<String, String> {
    project.vars.iter().map(|(name, value)| (name.to_owned(), salted(salt, name, value))).collect()
}

fn salted(salt: &str, name: &str, value: &str) -> String {
    let mut digest = Sha256::new();
    for part in [salt, "\u{1f}", name, "\u{1f}", value] {
        digest.update(part);
    }
    let mut digest = digest.finalize();
    for _ in 1..ROUNDS {
        digest = Sha256::new().chain_update(digest).chain_update(salt).finalize();
    }
    hex(&digest)
}

/// What the project asks for around its migrations, by what people call it, each with a digest: backups and places of
/// stages, claims, checks. What is not there asks for nothing.
pub(super) fn requirements(project: &Project) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut add = |name: String, words: &str| {
        all.insert(name, hex(&Sha256::digest(words)));
    };
    for stage in project.stages.iter().filter(|stage| stage.require_backup) {
        add(format!("the backup that {} {} requires", stage.kind, stage.id), "");
    }
    for migration in &project.migrations {
        let claims = serde_json::to_string(&migration.claims).unwrap_or_default();
        let stage = migration.stage.and_then(|stage| project.stages.get(stage));
        add(format!("the stage of {}", migration.path), stage.map_or("", |stage| stage.id.as_str()));
        add(format!("what is claimed of {}", migration.path), &claims);
    }
    for check in &project.checks {
        let stage = check.stage.and_then(|stage| project.stages.get(stage)).map(|stage| stage.id.as_str());
        let when = match &check.when {
            When::After => "after".to_owned(),
            When::Before(id) => format!("before {} of {}", id.version.key(), id.root),
        };
        let file = check.file_path(project);
        let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let params = check.params.canonical();
        let words = [check.kind.as_str(), stage.unwrap_or_default(), &when, &params, &text];
        add(format!("check {:?}", check.name), &words.join("\u{1f}"));
    }
    for path in &project.check_files {
        // One that cannot be read stops the run elsewhere.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        add(format!("the checks in {}", project.display_path(path)), &text);
    }
    all
}

/// How two such lists differ, in words.
pub(super) fn differ(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    [added, changed, gone]: [&str; 3],
) -> Vec<String> {
    let mut words = Vec::new();
    for (name, digest) in now {
        match then.get(name) {
            None => words.push(format!("{name} {added}")),
            Some(before) if before != digest => words.push(format!("{name} {changed}")),
            Some(_) => {}
        }
    }
    let missing = then.keys().filter(|name| !now.contains_key(*name));
    words.extend(missing.map(|name| format!("{name} {gone}")));
    words
}
