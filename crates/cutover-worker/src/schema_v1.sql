-- What the worker keeps in a database. Made in one transaction, with search_path = pg_catalog, pg_temp; everything is qualified.
-- Rights: nothing is granted to PUBLIC. Functions run with the rights of whoever calls them.
CREATE SCHEMA cutover_worker;
COMMENT ON SCHEMA cutover_worker IS 'Jobs that cutover worker runs, and records of their runs.';

CREATE TABLE cutover_worker.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);
INSERT INTO cutover_worker.meta (version) VALUES (1);

-- What is declared.
CREATE TABLE cutover_worker.job (
    name text PRIMARY KEY CHECK (name ~ '\S' AND length(name) <= 200 AND name !~ '[\x01-\x1f\x7f]'),
    kind text NOT NULL DEFAULT 'sql',
    schedule text NOT NULL,
    command text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    missed text NOT NULL DEFAULT 'skip',
    timeout interval NOT NULL DEFAULT '1 minute',
    retries integer NOT NULL DEFAULT 0,
    enabled boolean NOT NULL DEFAULT true,
    -- Who runs it: 'worker', or 'pg_cron' once it was given away.
    runner text NOT NULL DEFAULT 'worker' CHECK (runner IN ('worker', 'pg_cron')),
    -- The project in whose cutover.toml it stands; none where SQL declared it.
    project text,
    -- Grows with each change.
    revision bigint NOT NULL DEFAULT 1,
    -- Why no worker can run it, where one has found that out.
    problem text
);

-- Locked by the transaction in which a job's work is done, from its beginning to its end: two cannot overlap.
CREATE TABLE cutover_worker.fence (
    job text PRIMARY KEY REFERENCES cutover_worker.job ON DELETE CASCADE
);

-- When a job is due, and who runs it.
CREATE TABLE cutover_worker.lease (
    job text PRIMARY KEY REFERENCES cutover_worker.job ON DELETE CASCADE,
    -- The due time that is settled next; none until a worker has found it out.
    next_at timestamptz,
    -- When a worker first saw that it was due.
    seen_at timestamptz,
    -- The due time that was chosen to be run, and the one behind it; none while nothing is chosen.
    scheduled timestamptz,
    following timestamptz,
    -- A further try waits until then.
    not_before timestamptz,
    failures integer NOT NULL DEFAULT 0,
    losses integer NOT NULL DEFAULT 0,
    -- Grows by one each time a run begins: an older one cannot commit any more.
    token bigint NOT NULL DEFAULT 0,
    run bigint,
    worker text,
    backend integer,
    backend_start timestamptz,
    until timestamptz,
    -- The due times that were last left out, and how often that happened.
    skipped_from timestamptz,
    skipped_until timestamptz,
    gaps bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE cutover_worker.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    scheduled timestamptz NOT NULL,
    attempt integer NOT NULL,
    token bigint NOT NULL,
    worker text NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz,
    -- None while it runs.
    outcome text CHECK (outcome IN ('done', 'failed', 'timed_out', 'lost')),
    rows bigint,
    error text,
    UNIQUE (job, scheduled, attempt)
);
CREATE INDEX run_by_end ON cutover_worker.run (ended);
CREATE INDEX run_by_job ON cutover_worker.run (job, started);

-- Jobs of pg_cron that were made of these.
CREATE TABLE cutover_worker.given (
    name text PRIMARY KEY
);

-- Declares a job or changes it. A job of a project's file is changed there and nowhere else, and the other way round.
CREATE FUNCTION cutover_worker._declare(
    _project text, _name text, _kind text, _schedule text, _command text, _time_zone text, _missed text,
    _timeout interval, _retries integer, _enabled boolean
) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known cutover_worker.job;
    same_times boolean;
    was_gone boolean;
BEGIN
    IF _name IS NULL OR _name !~ '\S' OR length(_name) > 200 OR _name ~ '[\x01-\x1f\x7f]' THEN
        RAISE EXCEPTION 'a job needs a name: visible text in one line, at most 200 characters' USING ERRCODE = '22023';
    END IF;
    IF _command IS NULL OR _command !~ '\S' THEN
        RAISE EXCEPTION 'job %: its command is empty', quote_literal(_name) USING ERRCODE = '22023';
    END IF;
    IF _schedule IS NULL OR NOT (_schedule ~ '^\s*0*[1-9][0-9]{0,8}\s*(seconds?|minutes?|hours?)\s*$'
                                 OR _schedule ~ '^\s*\S+(\s+\S+){4}\s*$') THEN
        RAISE EXCEPTION 'job %: % is no schedule', quote_literal(_name), coalesce(quote_literal(_schedule), 'NULL')
            USING ERRCODE = '22023', HINT = 'Write ''5 seconds'', ''10 minutes'', ''1 hour'', or five cron fields such as ''30 4 * * *''.';
    END IF;
    IF _missed IS NULL OR _missed NOT IN ('skip', 'one', 'all') THEN
        RAISE EXCEPTION 'job %: missed is %, not skip, one or all', quote_literal(_name), coalesce(quote_literal(_missed), 'NULL')
            USING ERRCODE = '22023';
    END IF;
    IF _timeout IS NULL OR _timeout < interval '1 millisecond' OR _timeout > interval '7 days' THEN
        RAISE EXCEPTION 'job %: its timeout must be between a millisecond and 7 days', quote_literal(_name) USING ERRCODE = '22023';
    END IF;
    IF _retries IS NULL OR _retries NOT BETWEEN 0 AND 100 THEN
        RAISE EXCEPTION 'job %: retries must be between 0 and 100', quote_literal(_name) USING ERRCODE = '22023';
    END IF;
    IF _time_zone IS NULL THEN
        RAISE EXCEPTION 'job %: it needs a time zone', quote_literal(_name) USING ERRCODE = '22023';
    END IF;
    -- Refuses a time zone that the server does not know.
    PERFORM timezone(_time_zone, now());
    -- Two that declare the same job at once: the second waits here for the first.
    PERFORM pg_advisory_xact_lock(hashtextextended('cutover_worker.job ' || _name, 0));
    SELECT * INTO known FROM cutover_worker.job WHERE name = _name;
    IF NOT FOUND THEN
        INSERT INTO cutover_worker.job (name, kind, schedule, command, time_zone, missed, timeout, retries, enabled, project)
        VALUES (_name, _kind, _schedule, _command, _time_zone, _missed, _timeout, _retries, coalesce(_enabled, true), _project);
        INSERT INTO cutover_worker.fence VALUES (_name);
        INSERT INTO cutover_worker.lease (job) VALUES (_name);
        PERFORM pg_notify('cutover_worker', '');
        RETURN true;
    END IF;
    IF known.project IS DISTINCT FROM _project THEN
        RAISE EXCEPTION 'job % is declared %', quote_literal(_name),
            CASE WHEN known.project IS NULL THEN 'by SQL (cutover_worker.schedule)'
                 ELSE 'in cutover.toml of project ' || quote_literal(known.project) END
            USING ERRCODE = '55006', HINT = CASE WHEN known.project IS NULL
                THEN 'Give one of them another name, or take this one away: SELECT cutover_worker.unschedule(' || quote_literal(_name) || ').'
                ELSE 'Change it there, or give this one another name.' END;
    END IF;
    -- Its file had lost it while it was at work.
    was_gone := known.problem IS NOT DISTINCT FROM 'its file does not declare it any more';
    same_times := known.schedule = _schedule AND known.time_zone = _time_zone;
    IF same_times AND known.kind = _kind AND known.command = _command AND known.missed = _missed
       AND known.timeout = _timeout AND known.retries = _retries AND known.enabled = coalesce(_enabled, known.enabled)
       AND NOT was_gone THEN
        RETURN false;
    END IF;
    IF NOT same_times THEN
        -- A run that is under way ends as it is; what comes behind it is found out anew.
        UPDATE cutover_worker.lease
           SET following = NULL,
               next_at = CASE WHEN run IS NULL THEN NULL ELSE next_at END,
               scheduled = CASE WHEN run IS NULL THEN NULL ELSE scheduled END,
               seen_at = NULL, not_before = NULL, failures = 0, losses = 0
         WHERE job = _name;
    END IF;
    UPDATE cutover_worker.job
       SET kind = _kind, schedule = _schedule, command = _command, time_zone = _time_zone, missed = _missed,
           timeout = _timeout, retries = _retries, enabled = coalesce(_enabled, known.enabled OR was_gone), revision = known.revision + 1, problem = NULL
     WHERE name = _name;
    PERFORM pg_notify('cutover_worker', '');
    RETURN true;
END
$$;

CREATE FUNCTION cutover_worker.schedule(
    name text, schedule text, command text, time_zone text DEFAULT 'UTC', missed text DEFAULT 'skip',
    timeout interval DEFAULT '1 minute', retries integer DEFAULT 0
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cutover_worker._declare(NULL, $1, 'sql', $2, $3, $4, $5, $6, $7, NULL);
END
$$;
COMMENT ON FUNCTION cutover_worker.schedule(text, text, text, text, text, interval, integer) IS
    'Declares a job of cutover worker, or changes it.';

-- Takes a job away. Where it runs, that is waited for: a transaction that is rolled back takes nothing away.
CREATE FUNCTION cutover_worker._remove(_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM cutover_worker.fence WHERE job = _name FOR UPDATE;
    PERFORM FROM cutover_worker.lease WHERE job = _name FOR UPDATE;
    UPDATE cutover_worker.run r SET outcome = 'lost', ended = clock_timestamp(), error = 'the job was taken away before it ran'
      FROM cutover_worker.lease l WHERE l.job = _name AND r.id = l.run AND r.outcome IS NULL;
    DELETE FROM cutover_worker.job WHERE name = _name;
    PERFORM pg_notify('cutover_worker', '');
END
$$;

CREATE FUNCTION cutover_worker.unschedule(name text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known cutover_worker.job;
BEGIN
    SELECT * INTO known FROM cutover_worker.job j WHERE j.name = $1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF known.project IS NOT NULL THEN
        RAISE EXCEPTION 'job % is declared in cutover.toml of project %', quote_literal($1), quote_literal(known.project)
            USING ERRCODE = '55006', HINT = 'Take it away there; the next worker that starts takes it away here.';
    END IF;
    PERFORM cutover_worker._remove($1);
    RETURN true;
END
$$;
COMMENT ON FUNCTION cutover_worker.unschedule(text) IS 'Takes a job of cutover worker away; whether there was one.';

-- Takes away what a project's file does not declare any more: how many.
CREATE FUNCTION cutover_worker._prune(_project text, _names text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone text;
    count bigint := 0;
BEGIN
    FOR gone IN SELECT name FROM cutover_worker.job WHERE project = _project AND name <> ALL (_names) ORDER BY name LOOP
        PERFORM FROM cutover_worker.fence WHERE job = gone FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM cutover_worker._remove(gone);
            count := count + 1;
        ELSE
            -- It is at work, which is not waited for: it does not begin again, and a later start takes it away.
            UPDATE cutover_worker.job SET enabled = false, problem = 'its file does not declare it any more', revision = revision + 1
             WHERE name = gone AND enabled;
        END IF;
    END LOOP;
    RETURN count;
END
$$;

-- Whether whoever held the lease is gone: its time is over, or the session that took it has ended.
CREATE FUNCTION cutover_worker._is_over(_until timestamptz, _backend integer, _start timestamptz) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT _until < clock_timestamp() OR NOT EXISTS (
        SELECT FROM pg_stat_activity a WHERE a.pid = _backend
           AND (a.backend_start IS NULL OR _start IS NULL OR a.backend_start = _start))
$$;

CREATE FUNCTION cutover_worker._micros(timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT round(extract(epoch FROM $1) * 1000000)::bigint
$$;

CREATE FUNCTION cutover_worker._time(bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT timestamptz '1970-01-01 00:00:00+00' + $1 * interval '1 microsecond'
$$;

-- What there is to do now: jobs whose due time is not known, or has come, or whose worker is gone. Notes when it was
-- first seen that one is due.
CREATE FUNCTION cutover_worker._look() RETURNS TABLE (
    job text, kind text, schedule text, command text, time_zone text, missed text, timeout_ms bigint, revision bigint,
    token bigint, next_us bigint, seen_us bigint, scheduled_us bigint, following_us bigint, taken boolean, now_us bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    UPDATE cutover_worker.lease l SET seen_at = at
     WHERE l.job IN (SELECT u.job FROM cutover_worker.lease u WHERE u.next_at <= at AND u.seen_at IS NULL
                        FOR UPDATE SKIP LOCKED);
    RETURN QUERY
    SELECT j.name, j.kind, j.schedule, j.command, j.time_zone, j.missed,
           ceil(extract(epoch FROM j.timeout) * 1000)::bigint, j.revision, l.token,
           cutover_worker._micros(l.next_at), cutover_worker._micros(l.seen_at), cutover_worker._micros(l.scheduled),
           cutover_worker._micros(l.following), l.run IS NOT NULL, cutover_worker._micros(at)
      FROM cutover_worker.job j JOIN cutover_worker.lease l ON l.job = j.name
     WHERE j.enabled AND j.runner = 'worker' AND j.problem IS NULL
       AND (l.next_at IS NULL AND l.run IS NULL
            OR l.next_at <= at AND (l.not_before IS NULL OR l.not_before <= at)
               AND (l.run IS NULL OR cutover_worker._is_over(l.until, l.backend, l.backend_start)))
     -- Who has waited longest since that was seen: a job with many due times behind it does not keep the others waiting.
     ORDER BY greatest(l.not_before, l.seen_at) NULLS FIRST, l.next_at, j.name
     LIMIT 1000;
END
$$;

-- Microseconds until the first due time, further try or end of a lease after `_at`; none where nothing is to come.
CREATE FUNCTION cutover_worker._wait(_at bigint) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT cutover_worker._micros(min(t.time)) - cutover_worker._micros(clock_timestamp())
      FROM cutover_worker.job j JOIN cutover_worker.lease l ON l.job = j.name,
           LATERAL (SELECT CASE WHEN l.run IS NULL THEN greatest(l.next_at, l.not_before) ELSE l.until END) t (time)
     WHERE j.enabled AND j.runner = 'worker' AND j.problem IS NULL AND t.time > cutover_worker._time(_at)
$$;

-- Settles a due time without a run: whether that was done. `_skipped`: the due times up to this one are left out.
CREATE FUNCTION cutover_worker._advance(
    _job text, _revision bigint, _token bigint, _next bigint, _following bigint, _skipped bigint
) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Whoever changes the job just now decides.
    PERFORM FROM cutover_worker.lease l WHERE l.job = _job FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE cutover_worker.lease l
       SET next_at = cutover_worker._time(_following), seen_at = NULL, not_before = NULL,
           skipped_from = CASE WHEN _skipped IS NULL THEN skipped_from ELSE next_at END,
           skipped_until = coalesce(cutover_worker._time(_skipped), skipped_until),
           gaps = gaps + CASE WHEN _skipped IS NULL THEN 0 ELSE 1 END
     WHERE l.job = _job AND l.token = _token AND l.run IS NULL AND l.scheduled IS NULL
       AND l.next_at IS NOT DISTINCT FROM cutover_worker._time(_next)
       AND EXISTS (SELECT FROM cutover_worker.job j WHERE j.name = _job AND j.revision = _revision);
    RETURN FOUND;
END
$$;

CREATE FUNCTION cutover_worker._problem(_job text, _revision bigint, _problem text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE cutover_worker.job SET problem = _problem
     WHERE name IN (SELECT j.name FROM cutover_worker.job j
                     WHERE j.name = _job AND j.revision = _revision AND j.problem IS NULL FOR UPDATE SKIP LOCKED);
    RETURN FOUND;
END
$$;

-- Begins a run, if nobody else has meanwhile: its token, number and try. A worker that is gone has lost its run by this.
CREATE FUNCTION cutover_worker._take(
    _job text, _revision bigint, _token bigint, _next bigint, _scheduled bigint, _following bigint, _skipped bigint,
    _worker text, _lease_ms bigint
) RETURNS TABLE (token bigint, run bigint, attempt integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    l cutover_worker.lease;
    at timestamptz := clock_timestamp();
    due timestamptz;
    behind timestamptz;
    tries integer;
    number bigint;
BEGIN
    SELECT x.* INTO l FROM cutover_worker.lease x WHERE x.job = _job FOR UPDATE SKIP LOCKED;
    IF NOT FOUND OR l.token <> _token OR l.next_at IS DISTINCT FROM cutover_worker._time(_next) OR l.next_at > at
       OR l.not_before > at THEN
        RETURN;
    END IF;
    PERFORM FROM cutover_worker.job j WHERE j.name = _job AND j.revision = _revision AND j.enabled AND j.runner = 'worker';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF l.run IS NOT NULL THEN
        IF NOT cutover_worker._is_over(l.until, l.backend, l.backend_start) THEN
            RETURN;
        END IF;
        -- While the transaction of the run lives, its work may still be committed: it is not lost.
        PERFORM FROM cutover_worker.fence f WHERE f.job = _job FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        UPDATE cutover_worker.run r SET outcome = 'lost', ended = at, error = 'its worker was gone before it ended'
         WHERE r.id = l.run AND r.outcome IS NULL;
        l.losses := l.losses + 1;
        IF l.losses > 5 THEN
            -- Whatever it is that ends the workers, it is not tried for ever.
            UPDATE cutover_worker.lease x
               SET next_at = l.following, scheduled = NULL, following = NULL, seen_at = NULL, not_before = NULL,
                   failures = 0, losses = 0, run = NULL, worker = NULL, backend = NULL, backend_start = NULL, until = NULL,
                   token = l.token + 1
             WHERE x.job = _job;
            RETURN;
        END IF;
    END IF;
    due := coalesce(l.scheduled, cutover_worker._time(_scheduled));
    behind := CASE WHEN l.scheduled IS NULL THEN cutover_worker._time(_following) ELSE l.following END;
    IF due IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM cutover_worker.run r WHERE r.job = _job AND r.scheduled = due AND r.outcome = 'done') THEN
        -- It was run already, before the clock went backwards or the job was declared anew.
        UPDATE cutover_worker.lease x
           SET next_at = behind, scheduled = NULL, following = NULL, seen_at = NULL, not_before = NULL, failures = 0, losses = 0,
               run = NULL, worker = NULL, backend = NULL, backend_start = NULL, until = NULL, token = l.token + 1
         WHERE x.job = _job;
        RETURN;
    END IF;
    SELECT coalesce(max(r.attempt), 0) + 1 INTO tries FROM cutover_worker.run r WHERE r.job = _job AND r.scheduled = due;
    INSERT INTO cutover_worker.run AS r (job, scheduled, attempt, token, worker, started)
    VALUES (_job, due, tries, l.token + 1, _worker, at) RETURNING r.id INTO number;
    UPDATE cutover_worker.lease x
       SET token = l.token + 1, run = number, worker = _worker, backend = pg_backend_pid(),
           backend_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()),
           until = at + _lease_ms * interval '1 millisecond', scheduled = due, following = behind, losses = l.losses,
           not_before = NULL,
           skipped_from = CASE WHEN _skipped IS NULL OR l.scheduled IS NOT NULL THEN x.skipped_from ELSE l.next_at END,
           skipped_until = CASE WHEN l.scheduled IS NULL THEN coalesce(cutover_worker._time(_skipped), x.skipped_until)
                                ELSE x.skipped_until END,
           gaps = x.gaps + CASE WHEN _skipped IS NULL OR l.scheduled IS NOT NULL THEN 0 ELSE 1 END
     WHERE x.job = _job;
    RETURN QUERY SELECT l.token + 1, number, tries;
END
$$;

-- The first statement of the transaction in which a job's work is done.
CREATE FUNCTION cutover_worker._begin(_job text, _token bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM cutover_worker.fence f WHERE f.job = _job FOR UPDATE;
    PERFORM FROM cutover_worker.lease l WHERE l.job = _job AND l.token = _token AND l.run IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of job % was taken over', quote_literal(_job) USING ERRCODE = '55006';
    END IF;
    RETURN true;
END
$$;

-- The last one: the run's end and the next due time, committed with the work.
CREATE FUNCTION cutover_worker._finish(_job text, _token bigint, _run bigint, _rows bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM cutover_worker.lease l WHERE l.job = _job AND l.token = _token AND l.run = _run FOR UPDATE;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM cutover_worker.lease l WHERE l.job = _job AND l.token >= _token) THEN
            RAISE EXCEPTION 'the lease of job % was taken over', quote_literal(_job) USING ERRCODE = '55006';
        END IF;
        -- The work took its own job away (or declared it anew): nobody else can while it holds the fence.
        UPDATE cutover_worker.run SET ended = clock_timestamp(), outcome = 'done', rows = _rows, error = NULL WHERE id = _run;
        RETURN true;
    END IF;
    UPDATE cutover_worker.run SET ended = clock_timestamp(), outcome = 'done', rows = _rows WHERE id = _run AND outcome IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % of job % is recorded as ended', _run, quote_literal(_job) USING ERRCODE = '55006';
    END IF;
    UPDATE cutover_worker.lease
       SET next_at = following, scheduled = NULL, following = NULL, seen_at = NULL, not_before = NULL, failures = 0, losses = 0,
           run = NULL, worker = NULL, backend = NULL, backend_start = NULL, until = NULL
     WHERE job = _job;
    RETURN true;
END
$$;

-- Records a run that failed: whether it is tried again. `_again`: it says nothing of the job, which is run again at once.
CREATE FUNCTION cutover_worker._fail(
    _job text, _token bigint, _run bigint, _outcome text, _error text, _wait_ms bigint, _again boolean
) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    most integer;
    again boolean;
BEGIN
    PERFORM FROM cutover_worker.lease l WHERE l.job = _job AND l.token = _token AND l.run = _run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT retries INTO most FROM cutover_worker.job WHERE name = _job;
    UPDATE cutover_worker.run SET ended = clock_timestamp(), outcome = _outcome, error = _error WHERE id = _run AND outcome IS NULL;
    UPDATE cutover_worker.lease
       SET failures = failures + CASE WHEN _again THEN 0 ELSE 1 END,
           run = NULL, worker = NULL, backend = NULL, backend_start = NULL, until = NULL
     WHERE job = _job RETURNING _again OR failures <= most INTO again;
    IF again THEN
        UPDATE cutover_worker.lease
           SET not_before = CASE WHEN _again THEN NULL ELSE clock_timestamp() + _wait_ms * interval '1 millisecond' END
         WHERE job = _job;
    ELSE
        UPDATE cutover_worker.lease
           SET next_at = following, scheduled = NULL, following = NULL, seen_at = NULL, not_before = NULL, failures = 0, losses = 0
         WHERE job = _job;
    END IF;
    RETURN again;
END
$$;

-- Keeps the leases of these runs: how many of them are still this worker's.
CREATE FUNCTION cutover_worker._keep(_worker text, _runs bigint[], _lease_ms bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept bigint;
BEGIN
    UPDATE cutover_worker.lease SET until = clock_timestamp() + _lease_ms * interval '1 millisecond'
     WHERE job IN (SELECT l.job FROM cutover_worker.lease l WHERE l.worker = _worker AND l.run = ANY (_runs)
                      FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS kept = ROW_COUNT;
    RETURN kept;
END
$$;

-- Forgets runs that ended so long ago, but for the last one of a job and the last one that was done: how many.
CREATE FUNCTION cutover_worker._forget(_keep_ms bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM cutover_worker.run WHERE id IN (
        SELECT r.id FROM cutover_worker.run r
         WHERE r.ended < clock_timestamp() - _keep_ms * interval '1 millisecond'
           AND EXISTS (SELECT FROM cutover_worker.run n WHERE n.job = r.job AND n.started > r.started AND n.outcome = 'done')
         ORDER BY r.ended LIMIT 10000 FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

CREATE VIEW cutover_worker.status AS
SELECT j.name, j.schedule, j.enabled, r.started AS last_started, r.ended AS last_ended,
       r.outcome AS last_outcome, d.ended AS last_succeeded,
       coalesce(l.not_before, l.next_at) AS next_at,
       j.enabled AND j.runner = 'worker' AND (j.problem IS NOT NULL
           OR l.run IS NULL AND greatest(l.next_at, l.not_before) < clock_timestamp() - interval '10 seconds'
           OR l.run IS NOT NULL AND cutover_worker._is_over(l.until, l.backend, l.backend_start)
           -- The clock went back: what is due by it waits until it is where it was.
           OR r.scheduled > clock_timestamp() + interval '10 seconds'
           OR l.next_at IS NULL AND l.run IS NULL) AS overdue,
       l.run IS NOT NULL AS running, l.worker, j.kind, j.time_zone, j.missed, j.timeout, j.retries, j.runner, j.project,
       r.attempt AS last_attempt, r.error AS last_error, l.gaps, l.skipped_from, l.skipped_until, j.problem
  FROM cutover_worker.job j
  JOIN cutover_worker.lease l ON l.job = j.name
  LEFT JOIN LATERAL (SELECT x.* FROM cutover_worker.run x WHERE x.job = j.name AND x.outcome IS NOT NULL
                      ORDER BY x.started DESC, x.id DESC LIMIT 1) r ON true
  LEFT JOIN LATERAL (SELECT x.ended FROM cutover_worker.run x WHERE x.job = j.name AND x.outcome = 'done'
                      ORDER BY x.started DESC, x.id DESC LIMIT 1) d ON true;
COMMENT ON VIEW cutover_worker.status IS 'Each job of cutover worker: its last run, and when it is due next.';
