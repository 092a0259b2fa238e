-- Each of the 8 that are scheduled notes in its own transaction that it was called, and fails where it is called beside itself.
CREATE SCHEMA witness;
CREATE TABLE witness.called (job text NOT NULL, result jsonb);
-- A row and no advisory lock: what was committed is seen a moment before such a lock is given back.
CREATE TABLE witness.one AS SELECT name AS job FROM public.spark_schedules();
DO $make$
DECLARE
    job record;
BEGIN
    FOR job IN SELECT name, substring(command FROM '^SELECT public\.(\w+)\(\)$') AS function FROM public.spark_schedules() LOOP
        EXECUTE format('ALTER FUNCTION public.%I() SET SCHEMA witness', job.function);
        EXECUTE format(
            'CREATE FUNCTION public.%1$I() RETURNS jsonb LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
             BEGIN
                 PERFORM FROM witness.one WHERE job = %2$L FOR UPDATE NOWAIT;
                 INSERT INTO witness.called VALUES (%2$L, witness.%1$I());
                 RETURN NULL;
             END $$', job.function, job.name);
    END LOOP;
END $make$;
-- What must hold whatever was killed: each run that is recorded as done was done once, and nothing else was done.
CREATE FUNCTION witness.amiss() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws('; ',
        (SELECT string_agg(job || ': ' || outcome || ': ' || error, ', ') FROM cutover_worker.run WHERE outcome IN ('failed', 'timed_out')),
        (SELECT string_agg(job || ' was called ' || called || ' times for ' || done || ' runs', ', ')
           FROM (SELECT j.name AS job, (SELECT count(*) FROM witness.called c WHERE c.job = j.name) AS called,
                        (SELECT count(*) FROM cutover_worker.run r WHERE r.job = j.name AND r.outcome = 'done') AS done
                   FROM cutover_worker.job j) n WHERE called <> done),
        (SELECT string_agg(job || ' twice for ' || scheduled, ', ')
           FROM (SELECT job, scheduled FROM cutover_worker.run WHERE outcome = 'done' GROUP BY 1, 2 HAVING count(*) > 1) d))
$$;
-- The last run before all were made due.
CREATE TABLE witness.last (run bigint NOT NULL);
-- Makes all due, if nobody runs one just now: whether they are. One that is at work, or was lost, might not come again for a minute.
CREATE FUNCTION witness.all_due() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT coalesce(max(id), 0) FROM cutover_worker.run);
    made bigint;
BEGIN
    UPDATE cutover_worker.lease SET next_at = clock_timestamp(), seen_at = NULL
     WHERE run IS NULL AND NOT EXISTS (SELECT FROM cutover_worker.lease WHERE run IS NOT NULL);
    GET DIAGNOSTICS made = ROW_COUNT;
    PERFORM pg_notify('cutover_worker', '');
    DELETE FROM witness.last;
    INSERT INTO witness.last VALUES (before);
    RETURN made = 8;
END $$;
-- How many of the 8 were done since then.
CREATE FUNCTION witness.done_again() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(DISTINCT job) FROM cutover_worker.run WHERE id > (SELECT run FROM witness.last) AND outcome = 'done'
$$;
-- While somebody holds this lock whoever tells the log of a match waits, without a limit: Spark's own would let them go on.
CREATE FUNCTION witness.gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(83);
    RETURN NULL;
END $$;
CREATE TRIGGER gate AFTER INSERT ON public.spark_event_log FOR EACH ROW WHEN (NEW.match_id IS NOT NULL) EXECUTE FUNCTION witness.gate();
-- Whether somebody waits there who has made a match that nobody sees yet, and told one of the two of it.
CREATE FUNCTION witness.is_in_a_match() RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_locks m ON m.pid = l.pid
                    WHERE l.locktype = 'advisory' AND l.objid = 83 AND NOT l.granted
                      AND m.relation = 'public.matches'::regclass AND m.mode = 'RowExclusiveLock')
$$;
