-- Schedule cleanup-soft-offline: ends graces, and takes entries away 5 minutes later. Whoever is being changed waits for the next run.

CREATE FUNCTION public.cleanup_expired_soft_offline() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' SET spark.source = 'scheduler'
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_user uuid;
    v_finalized integer := 0;
    v_removed integer := 0;
    v_skipped integer := 0;
BEGIN
    FOR v_user IN
        SELECT q.user_id FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
         WHERE q.status = 'soft_offline' AND q.disconnected_at <= v_now - interval '10 seconds' ORDER BY q.user_id
    LOOP
        BEGIN
            PERFORM public.spark_lock_match(v_user, false, true);
            PERFORM public.finalize_user_offline(v_user);
            v_finalized := v_finalized + 1;
        EXCEPTION WHEN lock_not_available OR SQLSTATE 'SP003' THEN -- Busy, or the account is gone meanwhile: then it is the guardian's.
            v_skipped := v_skipped + 1;
        END;
    END LOOP;
    FOR v_user IN
        SELECT user_id FROM public.matching_queue
         WHERE status = 'disconnected' AND disconnected_at <= v_now - interval '5 minutes' ORDER BY user_id
    LOOP
        BEGIN
            PERFORM public.spark_lock_match(v_user, false);
            PERFORM FROM public.matching_queue
             WHERE user_id = v_user AND status = 'disconnected' AND disconnected_at <= v_now - interval '5 minutes';
            IF FOUND THEN
                PERFORM public.queue_remove(v_user, 'offline');
                v_removed := v_removed + 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            v_skipped := v_skipped + 1;
        END;
    END LOOP;
    RETURN jsonb_build_object('finalized', v_finalized, 'removed', v_removed, 'skipped', v_skipped);
END
$$;
