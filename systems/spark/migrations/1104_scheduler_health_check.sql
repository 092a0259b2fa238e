-- Whether all 8 schedules run on time: their last success is not older than three of their intervals, and at least 30 seconds.

CREATE FUNCTION public.check_scheduler_health() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_scheduler text := (SELECT s.scheduler FROM public.spark_scheduler() s);
    v_job record;
    v_succeeded timestamptz;
    v_late text[] := '{}';
    v_expected integer := 0;
BEGIN
    FOR v_job IN SELECT * FROM public.spark_schedules() LOOP
        v_expected := v_expected + 1;
        v_succeeded := NULL;
        IF v_scheduler = 'worker' AND NOT public.spark_handed_on(v_job.name) THEN
            EXECUTE 'SELECT max(last_succeeded) FROM cutover_worker.status WHERE name = $1 AND enabled AND NOT overdue'
                INTO v_succeeded USING v_job.name;
        ELSIF v_scheduler IS NOT NULL AND to_regclass('cron.job_run_details') IS NOT NULL THEN
            EXECUTE 'SELECT max(r.end_time) FROM cron.job j JOIN cron.job_run_details r ON r.jobid = j.jobid
                      WHERE j.jobname = $1 AND j.active AND r.status = ''succeeded'''
                INTO v_succeeded USING v_job.name;
        END IF;
        IF v_succeeded IS NULL OR v_succeeded < v_now - greatest(3 * v_job.seconds, 30) * interval '1 second' THEN
            v_late := v_late || v_job.name;
        END IF;
    END LOOP;
    RETURN jsonb_build_object('active_schedulers', v_expected - cardinality(v_late), 'inactive_schedulers', cardinality(v_late),
        'total_expected', v_expected, 'healthy', v_late = '{}', 'checked_at', v_now, 'late', v_late);
END
$$;
