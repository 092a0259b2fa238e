-- Schedule check-reveal-timeouts: ends every match in which a reveal is overdue. Whoever is being changed waits for the next run.

CREATE FUNCTION public.check_reveal_timeouts() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match uuid;
    v_user uuid;
    v_ended integer := 0;
    v_skipped integer := 0;
BEGIN
    FOR v_match, v_user IN
        SELECT m.id, m.user1_id FROM public.matches m
         WHERE m.id IN (SELECT match_id FROM public.match_participants)
           AND NOT m.metadata ? 'voting_started_at' AND m.matched_at <= public.spark_now() - interval '15 seconds'
         ORDER BY m.id
    LOOP
        BEGIN
            IF public.spark_lock_match(v_user, false) = v_match AND public.detect_reveal_timeout(v_user) THEN
                PERFORM public.handle_reveal_timeout(v_match, public.spark_idle_user(v_match));
                v_ended := v_ended + 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            v_skipped := v_skipped + 1;
        END;
    END LOOP;
    RETURN jsonb_build_object('ended', v_ended, 'skipped', v_skipped);
END
$$;
