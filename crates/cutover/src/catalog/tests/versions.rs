//! The reference systems, from any version to any other: each difference is run where the one before has led.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cutover_analysis::diff::{Options, diff};
use cutover_analysis::schema::Schema;

use super::diff::{read, run, unlike};
use super::session;
use crate::project::{Overrides, Project};
use crate::verify::replay;

/// Steps of a walk; all pairs of versions with the environment variable `CUTOVER_TEST_PAIRS=all`.
const STEPS: usize = 90;

/// What a system is made of after none, one, two … of its migrations.
async fn versions(folder: &Path) -> Vec<Schema> {
    let project = Project::load(folder, &Overrides::default()).unwrap();
    let database = testkit::database();
    let mut session = session(&database).await;
    let mut versions = vec![read(&database).await];
    for migration in &project.migrations {
        replay::run(&mut session, migration, &project.vars).await.unwrap();
        versions.push(read(&database).await);
    }
    versions
}

/// A walk that goes on to where it has not gone from here yet; pairs of neighbours first.
fn walk(count: usize, steps: usize) -> Vec<(usize, usize)> {
    let mut left: BTreeSet<(usize, usize)> = (0..count)
        .flat_map(|from| (0..count).filter(move |to| *to != from).map(move |to| (from, to)))
        .collect();
    let mut walk = Vec::new();
    let mut at = 0;
    while walk.len() < steps && !left.is_empty() {
        let open = left.iter().copied().filter(|(from, _)| *from == at);
        // From where all is gone, over to where something is left.
        let next = open.min_by_key(|(from, to)| (from.abs_diff(*to) > 1, (to * 7 + walk.len()) % count));
        let (from, to) = next.unwrap_or_else(|| (at, left.first().map_or(0, |(from, _)| *from)));
        left.remove(&(from, to));
        walk.push((from, to));
        at = to;
    }
    walk
}

#[tokio::test]
async fn a_system_is_made_from_any_version_into_any_other() {
    // The systems use what is there from 13 on.
    if read(&testkit::database()).await.server_version < 130_000 {
        return;
    }
    let all = std::env::var("CUTOVER_TEST_PAIRS").is_ok_and(|value| value == "all");
    let systems = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systems");
    let mut gone = 0;
    for system in fs::read_dir(systems).unwrap() {
        let folder = system.unwrap().path();
        if !folder.join("cutover.toml").is_file() {
            continue;
        }
        let versions = versions(&folder).await;
        let database = testkit::database();
        for (from, to) in walk(versions.len(), if all { usize::MAX } else { STEPS }) {
            let found = diff(&versions[from], &versions[to], Options::default());
            assert_eq!(found.left, [], "{} {from} -> {to}", folder.display());
            run(&database, &found).await;
            assert_eq!(
                unlike(&read(&database).await, &versions[to]),
                "",
                "{} {from} -> {to}",
                folder.display()
            );
            gone += 1;
        }
    }
    assert!(gone > 100, "{gone}");
}

#[test]
fn a_walk_goes_between_all() {
    let walk = walk(5, usize::MAX);
    let pairs: BTreeSet<&(usize, usize)> = walk.iter().collect();
    assert_eq!(pairs.len(), 20);
    assert!(walk.windows(2).all(|steps| steps[0].1 == steps[1].0));
}
