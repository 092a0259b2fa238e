//! The reference system as a whole: all of it, part of it, with one key deferred, and with rows in it.

use std::path::Path;

use super::{History, Project, Session, Startup, Verdict, World, load, named, scratch_server};
use crate::project::Vars;
use crate::run::CheckResult;
use crate::verify::{VerifyRequest, replay, succeeded, verify};

fn system() -> Project {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systems/bitstockerz"))
}

/// Applies the migrations chosen.
async fn applied(world: &mut World, project: &Project, which: impl Fn(&str) -> bool) {
    let mut session = Session::connect(&world.database.options(), &Startup::default()).await.unwrap();
    for migration in &project.migrations {
        if which(migration.id.version.text()) {
            replay::run(&mut session, migration, &Vars::new()).await.unwrap();
            world.applied(&migration.id);
        }
    }
}

async fn measured(world: &World, project: &Project, request: &VerifyRequest) -> Vec<CheckResult> {
    let sandbox = scratch_server();
    verify(project, &world.database.options(), &sandbox, &world.history, request, |_| {}).await.unwrap()
}

fn not_held(results: &[CheckResult]) -> Vec<(&str, Verdict, &str)> {
    let others = results.iter().filter(|result| result.verdict != Verdict::Holds);
    others.map(|result| (result.name.as_str(), result.verdict, result.found.as_str())).collect()
}

const OPTIONAL: [&str; 3] = ["0230", "0331", "0404"];

#[tokio::test]
async fn every_check_holds_on_the_whole_system_new_and_with_rows_in_it() {
    let (mut world, project) = (World::with_checks(""), system());
    applied(&mut world, &project, |_| true).await;
    let fresh = VerifyRequest { fresh: true, ..VerifyRequest::default() };
    let results = measured(&world, &project, &fresh).await;
    assert_eq!(not_held(&results), []);
    assert!(results.len() > 100, "{} results", results.len());
    let seed = std::fs::read_to_string(project.root.join("data/seed.sql")).unwrap();
    world.database.run(&seed);
    let results = measured(&world, &project, &VerifyRequest::default()).await;
    assert_eq!(not_held(&results), []);
}

#[tokio::test]
async fn a_deferred_key_is_named_and_fails_nothing() {
    let (mut world, project) = (World::with_checks(""), system());
    applied(&mut world, &project, |version| version != "0330" && !OPTIONAL.contains(&version)).await;
    let key = project.migrations.iter().find(|migration| migration.id.version.text() == "0330").unwrap();
    world.history.deferred.insert(key.id.clone());
    let results = measured(&world, &project, &VerifyRequest::default()).await;
    let skipped: Vec<&str> = not_held(&results).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(skipped.len(), 6, "{:#?}", not_held(&results));
    assert!(succeeded(&results));
    let runs = named(&results, "the database equals the design: public.backtest_runs");
    assert!(runs.found.starts_with("V0330__add_fk_backtest_runs_job.sql is deferred: "), "{}", runs.found);
}

#[tokio::test]
async fn up_to_a_stage_only_what_is_reached_is_measured() {
    let (mut world, project) = (World::with_checks(""), system());
    let last = project.stages.iter().position(|stage| stage.id == "2.1").unwrap();
    applied(&mut world, &project, |version| version <= "0201").await;
    let request = VerifyRequest { stage: Some(last), ..VerifyRequest::default() };
    let results = measured(&world, &project, &request).await;
    assert!(succeeded(&results), "{:#?}", not_held(&results));
    assert!(results.iter().all(|result| result.stage.as_deref().is_none_or(|stage| stage <= "2.1")));
    named(&results, "sprint 1.2 finds what it uses");
    // With nothing applied at all no stage is reached, and tables are not missing but still to come.
    let nothing = World { history: History::default(), ..World::with_checks("") };
    let results = measured(&nothing, &project, &VerifyRequest::default()).await;
    assert!(succeeded(&results), "{:#?}", not_held(&results));
}
