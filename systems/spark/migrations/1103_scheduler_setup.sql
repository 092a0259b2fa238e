-- Gives the 8 schedules to whoever runs them: the worker of cutover, or else pg_cron of 1.5 or newer.

-- What runs, and how often.
CREATE FUNCTION public.spark_schedules() RETURNS TABLE (name text, seconds integer, command text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('cleanup-soft-offline', 5, 'SELECT public.cleanup_expired_soft_offline()'),
           ('matching-orchestrator', 5, 'SELECT public.matching_orchestrator()'),
           ('check-vote-timeouts', 10, 'SELECT public.check_vote_timeouts()'),
           ('check-reveal-timeouts', 10, 'SELECT public.check_reveal_timeouts()'),
           ('queue-monitoring', 30, 'SELECT public.collect_queue_metrics()'),
           ('guardian-queue-consistency', 30, 'SELECT public.guardian_queue_consistency()'),
           ('gender-balancing', 60, 'SELECT public.apply_gender_ratio_balancing()'),
           ('queue-size-monitoring', 60, 'SELECT public.monitor_queue_size()')
$$;

-- Who could run them here: worker, pg_cron, or NULL; and, where nobody can, what is missing.
CREATE FUNCTION public.spark_scheduler(OUT scheduler text, OUT missing text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_version text := (SELECT extversion FROM pg_extension WHERE extname = 'pg_cron');
    v_numbers integer[] := string_to_array(substring(v_version FROM '^[0-9]+(?:\.[0-9]+)?'), '.')::integer[];
BEGIN
    IF to_regprocedure('cutover_worker.schedule(text,text,text,text,text,interval,integer)') IS NOT NULL THEN
        scheduler := 'worker';
    ELSIF v_version IS NULL THEN
        missing := 'nobody runs schedules here: neither cutover worker (schema cutover_worker) nor extension pg_cron is in this database';
    ELSIF (v_numbers[1], coalesce(v_numbers[2], 0)) < (1, 5) THEN
        missing := format('pg_cron %s has no intervals of seconds: 1.5 or newer is needed, or cutover worker', v_version);
    ELSE
        scheduler := 'pg_cron';
    END IF;
END
$$;

-- Whether the worker has handed a job on to pg_cron (cutover worker pg-cron).
CREATE FUNCTION public.spark_handed_on(p_job text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_is boolean;
BEGIN
    IF to_regclass('cutover_worker.job') IS NOT NULL THEN
        EXECUTE 'SELECT bool_or(runner = ''pg_cron'') FROM cutover_worker.job WHERE name = $1' INTO v_is USING p_job;
    END IF;
    RETURN coalesce(v_is, false);
END
$$;

CREATE FUNCTION public.setup_schedulers() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_scheduler text;
    v_missing text;
    v_job record;
BEGIN
    SELECT s.scheduler, s.missing INTO v_scheduler, v_missing FROM public.spark_scheduler() s;
    IF v_scheduler IS NULL THEN
        RAISE EXCEPTION '%', v_missing
            USING ERRCODE = 'SP010', HINT = 'Run "cutover worker" once, or have pg_cron 1.5 or newer (CREATE EXTENSION pg_cron, ALTER EXTENSION pg_cron UPDATE), and call public.setup_schedulers() again.';
    END IF;
    -- Neither needs to be there when this file is applied.
    FOR v_job IN SELECT * FROM public.spark_schedules() LOOP
        IF v_scheduler = 'worker' THEN
            EXECUTE 'SELECT cutover_worker.schedule($1, $2, $3)' USING v_job.name, v_job.seconds || ' seconds', v_job.command;
            -- What pg_cron was given before there was a worker would run beside it; what the worker has handed on stays.
            IF to_regclass('cron.job') IS NOT NULL THEN
                EXECUTE 'SELECT cron.unschedule(c.jobid) FROM cron.job c WHERE c.jobname = $1 AND c.command = $2 AND $3'
                    USING v_job.name, v_job.command, NOT public.spark_handed_on(v_job.name);
            END IF;
        ELSE
            -- pg_cron counts to 59 seconds; a minute is written as one.
            EXECUTE 'SELECT cron.schedule($1, $2, $3)'
                USING v_job.name, CASE WHEN v_job.seconds < 60 THEN v_job.seconds || ' seconds' ELSE '* * * * *' END, v_job.command;
        END IF;
    END LOOP;
    PERFORM public.log_event('schedulers_set_up', NULL, jsonb_build_object('scheduler', v_scheduler, 'source', 'scheduler'), 'INFO',
        'setup_schedulers');
    RETURN jsonb_build_object('scheduler', v_scheduler, 'registered', (SELECT count(*) FROM public.spark_schedules()),
        'schedules', (SELECT jsonb_object_agg(name, seconds || ' seconds') FROM public.spark_schedules()));
END
$$;
