//! Tables against their design: equal, different, waiting for a migration.

use super::{World, expect, named};
use crate::run::Verdict::{False, Holds, NotMeasured, Skipped};
use crate::verify::{VerifyRequest, succeeded};

const CONFIG: &str = "
[[migrations]]
path = \"migrations\"
[design]
ddl = [\"ddl/*.sql\"]
[[check]]
name = \"it\"
kind = \"design\"
[[stage]]
id = \"s\"
[[stage.migration]]
version = \"1\"
source = \"ddl/jobs.sql\"
[[stage.migration]]
version = \"2\"
source = \"ddl/a_runs.sql\"
[[stage.migration]]
version = \"3\"
source = \"ddl/a_runs.sql\"
deferred = true
[[stage.migration]]
version = \"4\"
optional = true
creates = [\"index own\"]
";

/// Runs need jobs, whose file comes later; the key between them is a migration of its own that may wait.
fn world() -> World {
    World::new(&[
        ("cutover.toml", CONFIG),
        (
            "ddl/a_runs.sql",
            "CREATE TABLE runs (id int NOT NULL, job int, CONSTRAINT pk_runs PRIMARY KEY (id),\n  CONSTRAINT fk_runs_job FOREIGN KEY (job) REFERENCES jobs (id));\nCREATE INDEX idx_runs ON runs (job);",
        ),
        ("ddl/jobs.sql", "CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'new');"),
        ("migrations/V1__jobs.sql", "CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'new');"),
        (
            "migrations/V2__runs.sql",
            "CREATE TABLE runs (id int NOT NULL, job int, CONSTRAINT pk_runs PRIMARY KEY (id)); CREATE INDEX idx_runs ON runs (job);",
        ),
        (
            "migrations/V3__key.sql",
            "ALTER TABLE runs ADD CONSTRAINT fk_runs_job FOREIGN KEY (job) REFERENCES jobs (id) NOT VALID;\n-- cutover: new-transaction\nALTER TABLE runs VALIDATE CONSTRAINT fk_runs_job;",
        ),
        ("migrations/V4__index.sql", "CREATE INDEX CONCURRENTLY own ON runs (id, job);"),
    ])
}

#[tokio::test]
async fn tables_cut_in_several_steps_equal_the_design() {
    let mut world = world();
    world.apply(&["1", "2", "3", "4"]).await;
    // A comment that the design does not have, and a table of someone else, are no difference.
    world.database.run("COMMENT ON TABLE runs IS 'x'; CREATE TABLE stranger (id int)");
    let results = world.verify(&VerifyRequest::default()).await;
    assert_eq!(results.len(), 3);
    expect(named(&results, "it: the design itself"), Holds, "3 statements of 2 files: 2 tables");
    expect(named(&results, "it: public.runs"), Holds, "2 columns, 2 constraints, 1 index: no difference");
    expect(named(&results, "it: public.jobs"), Holds, "no difference");
}

#[tokio::test]
async fn each_difference_is_named_with_both_sides() {
    let mut world = world();
    world.apply(&["1", "2", "3", "4"]).await;
    world.database.run(
        "ALTER TABLE jobs ALTER state TYPE varchar(5); ALTER TABLE runs DROP CONSTRAINT fk_runs_job; CREATE INDEX stray ON runs (job)",
    );
    let results = world.verify(&VerifyRequest::default()).await;
    expect(
        named(&results, "it: public.jobs"),
        False,
        "not as the design makes it: ~ column jobs.state: type text → character varying(5)",
    );
    let runs = named(&results, "it: public.runs");
    expect(runs, False, "not as the design makes it: - constraint runs.fk_runs_job; + index stray");
}

#[tokio::test]
async fn what_a_waiting_migration_would_settle_is_skipped_with_its_name() {
    let mut world = world();
    world.apply(&["1", "2"]).await;
    let results = world.verify(&VerifyRequest::default()).await;
    expect(
        named(&results, "it: public.runs"),
        Skipped,
        "V3__key.sql is deferred: not as the design makes it: - constraint runs.fk_runs_job",
    );
    expect(named(&results, "it: public.jobs"), Holds, "");
    assert!(succeeded(&results));
    // The waiting migration is no excuse for anything else.
    world.database.run("ALTER TABLE runs ADD stray int");
    let results = world.verify(&VerifyRequest::default()).await;
    let runs = named(&results, "it: public.runs");
    expect(runs, False, "+ column runs.stray");
    expect(runs, False, "which does not explain it");
}

#[tokio::test]
async fn a_waiting_migration_that_would_not_settle_it_explains_nothing() {
    let mut world = world();
    world.write(
        "migrations/V3__key.sql",
        "ALTER TABLE runs ADD CONSTRAINT fk_other FOREIGN KEY (job) REFERENCES jobs (id);",
    );
    world.apply(&["1", "2"]).await;
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "it: public.runs"), False, "which does not explain it");
}

#[tokio::test]
async fn tables_whose_migration_is_still_to_come_are_skipped_and_lost_ones_false() {
    let mut world = world();
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "it: public.jobs"), Skipped, "V1__jobs.sql is pending: there is no such table");
    world.apply(&["1", "2", "3"]).await;
    world.database.run("DROP TABLE runs");
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "it: public.runs"), False, "there is no such table");
}

#[tokio::test]
async fn a_design_that_cannot_be_built_says_what_is_missing_or_cyclic() {
    let world = world();
    world.write("ddl/jobs.sql", "CREATE TABLE other (id int);");
    let results = world.verify(&VerifyRequest::default()).await;
    expect(
        &results[0],
        NotMeasured,
        "ddl/a_runs.sql:1: ERROR: relation \"jobs\" does not exist (42P01); no file of the design creates",
    );
    world.write("ddl/jobs.sql", "CREATE TABLE jobs (id int PRIMARY KEY, run int REFERENCES runs (id));");
    let results = world.verify(&VerifyRequest::default()).await;
    expect(&results[0], NotMeasured, "ddl/a_runs.sql:1, ddl/jobs.sql:1 need each other");
}

#[tokio::test]
async fn a_design_that_is_read_otherwise_is_not_built() {
    let world = world();
    let bend = "\nDO $$ BEGIN EXECUTE 'SET client_' || 'encoding = LATIN1'; END $$;";
    world.write(
        "ddl/jobs.sql",
        &format!(
            "CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'new');{bend}\nCREATE TABLE größe ();"
        ),
    );
    let results = world.verify(&VerifyRequest::default()).await;
    expect(
        &results[0],
        NotMeasured,
        "the design cannot be built: ddl/jobs.sql:2: code that this statement runs has set client_encoding to LATIN1",
    );
}

#[tokio::test]
async fn one_table_can_be_asked_for_and_a_wrong_name_is_no_pass() {
    let mut world = world();
    world.apply(&["1", "2", "3"]).await;
    world.write("cutover.toml", &CONFIG.replace("kind = \"design\"", "kind = \"design\"\ntable = \"jobs\""));
    let results = world.verify(&VerifyRequest::default()).await;
    assert_eq!(results.len(), 2);
    expect(named(&results, "it: public.jobs"), Holds, "");
    world.write("cutover.toml", &CONFIG.replace("kind = \"design\"", "kind = \"design\"\ntable = \"jbos\""));
    expect(&world.verify(&VerifyRequest::default()).await[0], False, "the design has no jbos");
}

/// What a database has of its own, and what is no part of a table, is no difference; the rest is, whatever it is.
#[tokio::test]
async fn every_part_of_a_table_is_compared_and_nothing_else() {
    let mut world = world();
    world.write(
        "ddl/jobs.sql",
        "CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'new'); COMMENT ON TABLE jobs IS 'work';
         ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON jobs USING (id > 2);",
    );
    let made = "COMMENT ON TABLE jobs IS 'work'; ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON jobs USING (id > 2);";
    world.apply(&["1"]).await;
    world.database.run(made);
    world.database.run(
        "GRANT SELECT (id) ON jobs TO PUBLIC; GRANT SELECT ON jobs TO PUBLIC; CREATE SEQUENCE stranger OWNED BY jobs.id",
    );
    let jobs = |results: &[crate::run::CheckResult]| named(results, "it: public.jobs").clone();
    expect(&jobs(&world.verify(&VerifyRequest::default()).await), Holds, "no difference");
    for (change, said) in [
        ("COMMENT ON TABLE jobs IS 'other'", "~ table jobs: comment work → other"),
        (
            "COMMENT ON TABLE jobs IS 'work'; ALTER TABLE jobs ALTER state DROP DEFAULT",
            "- default jobs.state",
        ),
        (
            "ALTER TABLE jobs ALTER state SET DEFAULT 'old'",
            "~ default jobs.state: expression 'new'::text → 'old'::text",
        ),
        (
            "ALTER TABLE jobs ALTER state SET DEFAULT 'new'; ALTER POLICY p ON jobs USING (id > 3)",
            "~ policy jobs.p: using (id > 2) → (id > 3)",
        ),
        (
            "ALTER POLICY p ON jobs USING (id > 2); CREATE RULE r AS ON DELETE TO jobs DO INSTEAD NOTHING",
            "+ rule jobs.r",
        ),
        (
            "DROP RULE r ON jobs; ALTER TABLE jobs DROP state, DROP CONSTRAINT jobs_pkey, ADD state text DEFAULT 'new', ADD PRIMARY KEY (id) WITH (fillfactor = 70)",
            "~ constraint jobs.jobs_pkey: options +fillfactor=70",
        ),
    ] {
        world.database.run(change);
        let found = jobs(&world.verify(&VerifyRequest::default()).await);
        assert_eq!(
            (found.verdict, found.found.as_str()),
            (False, format!("not as the design makes it: {said}").as_str())
        );
    }
}
