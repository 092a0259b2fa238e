//! What the analysis says that statements do is what they are seen doing: over every example of every rule of lint.

use cutover_analysis::lint::{self, Example};
use cutover_postgres::session::{Session, Startup};
use futures_util::future::join_all;

use super::super::ground::Base;
use super::super::pass::Pass;
use super::support::project;
use crate::verify::SandboxProvider;
use crate::verify::sandbox::Scratch;

/// Databases in which examples run side by side.
const DATABASES: usize = 3;

/// Everything that an example may have left behind but what belongs to no schema.
const EMPTY: &str = "
DO $$ DECLARE s name; BEGIN
    FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', s);
    END LOOP;
    CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO PUBLIC;
END $$";

const LEFT: &str = "
SELECT EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql') OR EXISTS (SELECT FROM pg_publication)
    OR EXISTS (SELECT FROM pg_event_trigger) OR EXISTS (SELECT FROM pg_foreign_data_wrapper)
    OR EXISTS (SELECT FROM pg_cast WHERE oid >= 16384) OR EXISTS (SELECT FROM pg_default_acl)
    OR EXISTS (SELECT FROM pg_largeobject_metadata) OR EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase <> 0)";

/// A database for one example after the other.
struct Bench<'a> {
    sandbox: &'a SandboxProvider,
    base: Base,
}

impl<'a> Bench<'a> {
    async fn new(sandbox: &'a SandboxProvider) -> Self {
        Self { sandbox, base: Base::of(sandbox.database(0).await.unwrap()) }
    }

    fn scratch(&self) -> &Scratch {
        &self.base.scratch
    }

    /// What is not as it was foreseen in an example; nothing where it cannot be run.
    async fn disagreements(&mut self, example: &Example) -> Option<Vec<String>> {
        let mut session = Session::connect(&self.scratch().options, &Startup::default()).await.unwrap();
        session.execute(EMPTY).await.unwrap();
        let is_made = example.there.is_empty() || session.execute(example.there).await.is_ok();
        session.close().await;
        let told = if is_made { self.traced(example).await } else { None };
        let mut session = Session::connect(&self.scratch().options, &Startup::default()).await.unwrap();
        let is_left = session.query_text(LEFT).await.unwrap().scalar() == Some("t");
        session.close().await;
        if is_left {
            let fresh = Base::of(self.sandbox.database(0).await.unwrap());
            std::mem::replace(&mut self.base, fresh).scratch.finish().await;
        }
        told
    }

    async fn traced(&self, example: &Example) -> Option<Vec<String>> {
        let project = project(&[("0001_example.sql", example.sql)]);
        let mut pass = Pass::begin(&project, &self.base, self.scratch()).await.unwrap();
        let traced = pass.migration(&project.migrations[0]).await.unwrap();
        let told = std::mem::take(&mut pass.disagreements);
        pass.end().await.unwrap();
        let told: Vec<String> = told.into_iter().map(|one| format!("{} [{}]", one.what, one.text)).collect();
        (traced.failure.is_none() || !told.is_empty()).then_some(told)
    }
}

#[tokio::test]
async fn the_analysis_foresees_what_the_examples_of_rules_do() {
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let examples: Vec<(&str, &Example)> = lint::all()
        .flat_map(|about| about.bad.iter().chain(about.good).map(|example| (about.code, example)))
        .collect();
    let share = async |chunk: &[(&str, &Example)]| {
        let mut bench = Bench::new(&sandbox).await;
        let (mut ran, mut wrong) = (0, Vec::new());
        for (code, example) in chunk {
            let Some(told) = bench.disagreements(example).await else { continue };
            ran += 1;
            if !told.is_empty() {
                let Example { there, sql, .. } = example;
                wrong.push(format!("{code}: over {there:?}: {sql:?}\n    {}", told.join("\n    ")));
            }
        }
        bench.base.scratch.finish().await;
        (ran, wrong)
    };
    let shares = examples.chunks(examples.len().div_ceil(DATABASES)).map(share);
    let (ran, wrong): (Vec<usize>, Vec<Vec<String>>) = join_all(shares).await.into_iter().unzip();
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The others begin with what only the text says, or are of another major.
    let ran: usize = ran.iter().sum();
    assert!(ran > 300, "{ran} of {} examples could be run", examples.len());
}
