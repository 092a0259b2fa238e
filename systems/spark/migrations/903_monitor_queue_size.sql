-- Schedule queue-size-monitoring: says when the queue is too large, too small, too uneven or too slow.

CREATE FUNCTION public.monitor_queue_size() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET spark.source = 'scheduler'
AS $$
DECLARE
    v_m public.queue_metrics;
    v_warnings text[];
    v_warning text;
    v_found jsonb;
BEGIN
    v_m := public.spark_measure_queue();
    v_warnings := array_remove(ARRAY[
        CASE WHEN v_m.total_users > 500 THEN 'queue_too_large' END,
        CASE WHEN v_m.total_users < 10 THEN 'queue_too_small' END,
        CASE WHEN v_m.gender_imbalance_score > 0.5 THEN 'gender_imbalance' END,
        CASE WHEN v_m.avg_wait_time_seconds > 300 THEN 'long_wait' END], NULL);
    v_found := jsonb_build_object('queue_size', v_m.total_users, 'gender_imbalance_score', v_m.gender_imbalance_score,
        'avg_wait_time_seconds', v_m.avg_wait_time_seconds, 'warnings', v_warnings);
    FOREACH v_warning IN ARRAY v_warnings LOOP
        PERFORM public.log_event('queue_size_warning', NULL, v_found || jsonb_build_object('type', v_warning), 'WARNING',
            'monitor_queue_size');
    END LOOP;
    RETURN v_found;
END
$$;
