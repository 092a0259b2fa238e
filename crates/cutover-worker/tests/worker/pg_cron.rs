//! Jobs given to `pg_cron`, of which here stands only what is asked of it.

use cutover_postgres::session::Startup;
use cutover_worker::{WorkerError, pg_cron};
use testkit::Database;

use crate::support::{due, ended, prepared, project, settings, start};

fn install(database: &Database, version: &str) {
    database.run(&format!(
        "CREATE SCHEMA cron;
         CREATE TABLE cron.job (jobid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, schedule text, command text, jobname text UNIQUE);
         CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql AS $$
             INSERT INTO cron.job (jobname, schedule, command) VALUES ($1, $2, $3)
             ON CONFLICT (jobname) DO UPDATE SET schedule = excluded.schedule, command = excluded.command RETURNING jobid $$;
         CREATE FUNCTION cron.unschedule(job_id bigint) RETURNS boolean LANGUAGE sql AS $$ DELETE FROM cron.job WHERE jobid = $1 RETURNING true $$;
         SET allow_system_table_mods = on;
         INSERT INTO pg_extension SELECT 999999, 'pg_cron', 10, 'cron'::regnamespace, false, '{version}', NULL, NULL"
    ));
}

fn jobs(database: &Database) -> String {
    database.value(
        "SELECT string_agg(jobname || '|' || schedule || '|' || command, ' ' ORDER BY jobname) FROM cron.job",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_given_to_pg_cron_and_taken_back() {
    let database = prepared().await;
    let (options, startup) = (database.options(), Startup::default());
    database.run("SELECT cutover_worker.schedule('tick', '5 seconds', 'SELECT 1'), cutover_worker.schedule('b', '10 minutes', 'SELECT 2')");
    let missing = pg_cron::give(&options, None, &startup).await.unwrap_err();
    assert!(matches!(&missing, WorkerError::PgCron(why) if why.contains("not installed")), "{missing}");
    install(&database, "1.4-1");
    let old = pg_cron::give(&options, None, &startup).await.unwrap_err();
    assert!(
        old.to_string().contains("job \"tick\": \"5 seconds\" needs pg_cron 1.5 or newer, this is 1.4"),
        "{old}"
    );
    // None is given where one cannot be.
    assert_eq!(jobs(&database), "");
    database.run("SET allow_system_table_mods = on; UPDATE pg_extension SET extversion = '1.6' WHERE extname = 'pg_cron'");
    let shop = project("shop", &[("a", "SELECT 3")]);
    let given = pg_cron::give(&options, Some(&shop), &startup).await.unwrap();
    assert_eq!(given.jobs.len(), 3);
    assert_eq!(jobs(&database), "a|0 0 1 1 *|SELECT 3 b|*/10 * * * *|SELECT 2 tick|5 seconds|SELECT 1");
    // Again, with a change: it follows, and what is gone goes there too.
    database.run(
        "SELECT cutover_worker.schedule('tick', '7 seconds', 'SELECT 1'), cutover_worker.unschedule('b')",
    );
    let given = pg_cron::give(&options, Some(&shop), &startup).await.unwrap();
    assert_eq!((given.jobs.len(), given.removed), (2, vec!["b".to_owned()]));
    assert_eq!(jobs(&database), "a|0 0 1 1 *|SELECT 3 tick|7 seconds|SELECT 1");
    // Somebody else's job is not overwritten.
    database.run("INSERT INTO cron.job (jobname) VALUES ('c'); SELECT cutover_worker.schedule('c', '1 minute', 'SELECT 1')");
    let refused = pg_cron::give(&options, Some(&shop), &startup).await.unwrap_err();
    assert!(refused.to_string().contains("job \"c\": pg_cron has a job of that name"), "{refused}");
    // Workers leave them alone until they are taken back.
    assert_eq!(database.value("SELECT count(*) FROM cutover_worker._look()"), "1");
    let back = pg_cron::take_back(&options, &startup).await.unwrap();
    assert_eq!(back.removed, ["a", "tick"]);
    assert_eq!(database.value("SELECT string_agg(jobname, ' ') FROM cron.job"), "c");
    let worker = start(&options, settings("w"));
    due(&database, "a").await;
    ended(&database, "a", 1).await;
    worker.stops().await;
}
