//! Who runs the 8 schedules: the worker, `pg_cron` that knows seconds, or nobody, which is said. Both are stood in for by what they
//! have in the database.

use crate::support::Spark;

pub(crate) const SCHEDULES: &str = "check-reveal-timeouts 10 seconds, check-vote-timeouts 10 seconds, cleanup-soft-offline 5 seconds, \
    gender-balancing 60 seconds, guardian-queue-consistency 30 seconds, matching-orchestrator 5 seconds, \
    queue-monitoring 30 seconds, queue-size-monitoring 60 seconds";

const WORKER: &str = "
    CREATE SCHEMA cutover_worker;
    CREATE TABLE cutover_worker.jobs (name text PRIMARY KEY, schedule text, command text, last_succeeded timestamptz,
                                      enabled boolean DEFAULT true, overdue boolean DEFAULT false);
    CREATE FUNCTION cutover_worker.schedule(name text, schedule text, command text, time_zone text DEFAULT 'UTC',
        missed text DEFAULT 'skip', timeout interval DEFAULT '1 minute', retries int DEFAULT 0) RETURNS void LANGUAGE sql AS $$
        INSERT INTO cutover_worker.jobs VALUES (name, schedule, command)
            ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, command = excluded.command $$;
    CREATE VIEW cutover_worker.status AS
        SELECT name, schedule, enabled, last_succeeded AS last_started, last_succeeded AS last_ended, 'done'::text AS last_outcome,
               last_succeeded, last_succeeded AS next_at, overdue FROM cutover_worker.jobs;";

/// An extension is a row of the catalogue here; its functions are made beside it.
fn pg_cron(version: &str) -> String {
    format!(
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
            VALUES (999999, 'pg_cron', 10, 'pg_catalog'::regnamespace, false, '{version}');
         CREATE SCHEMA cron;
         CREATE TABLE cron.job (jobid bigint GENERATED ALWAYS AS IDENTITY, jobname text UNIQUE, schedule text, command text, active boolean DEFAULT true);
         CREATE TABLE cron.job_run_details (jobid bigint, status text, start_time timestamptz, end_time timestamptz);
         CREATE FUNCTION cron.unschedule(job_id bigint) RETURNS boolean LANGUAGE sql AS $$
             DELETE FROM cron.job WHERE jobid = job_id RETURNING true $$;
         CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql AS $$
             INSERT INTO cron.job (jobname, schedule, command) VALUES (job_name, schedule, command)
                 ON CONFLICT (jobname) DO UPDATE SET schedule = excluded.schedule RETURNING jobid $$;"
    )
}

fn health(spark: &Spark, at: u32) -> String {
    spark.value(
        at,
        "SELECT concat_ws(' ', h -> 'active_schedulers', h -> 'inactive_schedulers', h -> 'total_expected', h -> 'healthy', (h ->> 'checked_at')::timestamptz = spark_now()) FROM check_scheduler_health() h",
    )
}

#[test]
fn where_nobody_runs_them_it_is_said() {
    let spark = Spark::with(0);
    let message = spark.refused("SELECT setup_schedulers()", "SP010");
    assert!(message.contains("cutover worker") && message.contains("pg_cron"), "{message}");
    assert_eq!(health(&spark, 0), "0 8 8 false t");
}

#[test]
fn the_worker_gets_all_eight_and_health_tells_who_is_late() {
    let spark = Spark::with(2);
    spark.0.run(WORKER);
    for _ in 0..2 {
        let done = spark.value(
            0,
            "SELECT concat_ws(' ', s ->> 'scheduler', s ->> 'registered') FROM setup_schedulers() s",
        );
        assert_eq!(done, "worker 8");
    }
    let known = "SELECT string_agg(name || ' ' || schedule, ', ' ORDER BY name) FROM cutover_worker.jobs";
    assert_eq!(spark.0.value(known), SCHEDULES);
    // Each command is a statement that runs.
    for row in spark.0.rows("SELECT command FROM cutover_worker.jobs") {
        spark.0.run(row[0].as_ref().unwrap());
    }
    assert_eq!(health(&spark, 0), "0 8 8 false t");
    spark.0.run("UPDATE cutover_worker.jobs SET last_succeeded = '2026-01-01 12:00Z'");
    assert_eq!(health(&spark, 30_000), "8 0 8 true t");
    assert_eq!(health(&spark, 30_001), "4 4 8 false t");
    for otherwise in ["overdue = true", "enabled = false", "last_succeeded = NULL"] {
        spark.0.run(&format!("UPDATE cutover_worker.jobs SET {otherwise} WHERE name = 'gender-balancing'"));
        assert_eq!(health(&spark, 0), "7 1 8 false t", "{otherwise}");
        let late = spark.value(0, "SELECT check_scheduler_health() ->> 'late'");
        assert_eq!(late, "[\"gender-balancing\"]");
        spark.0.run("UPDATE cutover_worker.jobs SET overdue = false, enabled = true, last_succeeded = '2026-01-01 12:00Z'");
    }
}

/// One of the two runs them, whoever came first, and health asks the one that does.
#[test]
fn the_worker_takes_over_from_pg_cron_and_hands_on_to_it() {
    let spark = Spark::with(0);
    spark.0.run(&pg_cron("1.6"));
    spark.value(0, "SELECT setup_schedulers()");
    assert_eq!(spark.count("cron.job"), "8");
    spark.0.run(WORKER);
    spark.0.run("CREATE TABLE cutover_worker.job (name text, runner text DEFAULT 'worker')");
    spark.value(0, "SELECT setup_schedulers()");
    assert_eq!((spark.count("cron.job"), spark.count("cutover_worker.jobs")), ("0".into(), "8".into()));
    // As `cutover worker pg-cron` leaves it.
    spark.0.run(
        "INSERT INTO cron.job (jobname, command) SELECT name, command FROM cutover_worker.jobs;
         INSERT INTO cutover_worker.job SELECT name, 'pg_cron' FROM cutover_worker.jobs;
         INSERT INTO cron.job_run_details SELECT jobid, 'succeeded', '2026-01-01 12:00Z', '2026-01-01 12:00Z' FROM cron.job",
    );
    assert_eq!(health(&spark, 1000), "8 0 8 true t");
    spark.value(0, "SELECT setup_schedulers()");
    assert_eq!(spark.count("cron.job"), "8");
}

#[test]
fn pg_cron_gets_them_from_1_5_on_and_older_is_refused_by_name() {
    for (version, refused) in
        [("1.4", true), ("1.4-1", true), ("1.5", false), ("1.6", false), ("1.10", false), ("2.0", false)]
    {
        let spark = Spark::with(0);
        spark.0.run("UPDATE pg_extension SET extversion = extversion");
        spark.0.run(&pg_cron(version));
        if refused {
            let message = spark.refused("SELECT setup_schedulers()", "SP010");
            assert!(message.contains(&format!("pg_cron {version}")) && message.contains("1.5"), "{message}");
            continue;
        }
        let done = spark.value(
            0,
            "SELECT concat_ws(' ', s ->> 'scheduler', s ->> 'registered') FROM setup_schedulers() s",
        );
        assert_eq!(done, "pg_cron 8");
        let known = "SELECT string_agg(jobname || ' ' || CASE schedule WHEN '* * * * *' THEN '60 seconds' ELSE schedule END, ', ' ORDER BY jobname) FROM cron.job";
        assert_eq!(spark.0.value(known), SCHEDULES);
        assert_eq!(health(&spark, 0), "0 8 8 false t");
        spark.0.run("INSERT INTO cron.job_run_details SELECT jobid, 'succeeded', '2026-01-01 12:00Z', '2026-01-01 12:00Z' FROM cron.job");
        spark.0.run("INSERT INTO cron.job_run_details SELECT jobid, 'failed', '2026-01-01 12:10Z', '2026-01-01 12:10Z' FROM cron.job");
        assert_eq!(health(&spark, 1000), "8 0 8 true t");
        assert_eq!(health(&spark, 181_000), "0 8 8 false t");
    }
}
