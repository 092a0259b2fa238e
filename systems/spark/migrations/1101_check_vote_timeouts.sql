-- Schedule check-vote-timeouts: ends every match in which a vote is overdue, or that nobody has settled. Whoever is being changed waits for the next run.

CREATE FUNCTION public.check_vote_timeouts() RETURNS jsonb
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
           AND (m.metadata ->> 'voting_started_at')::timestamptz <= public.spark_now() - interval '30 seconds'
         ORDER BY m.id
    LOOP
        BEGIN
            IF public.spark_lock_match(v_user, false) = v_match THEN
                IF public.detect_vote_timeout(v_user) THEN
                    PERFORM public.handle_idle_voter(v_match, public.spark_idle_user(v_match));
                    v_ended := v_ended + 1;
                -- Both have voted, and nobody has settled it.
                ELSIF public.spark_resolve_votes(v_match) ->> 'outcome' <> 'waiting' THEN
                    v_ended := v_ended + 1;
                END IF;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            v_skipped := v_skipped + 1;
        END;
    END LOOP;
    RETURN jsonb_build_object('ended', v_ended, 'skipped', v_skipped);
END
$$;
