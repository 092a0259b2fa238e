-- Schedule check-vote-timeouts: ends every match in which a vote is overdue, that nobody has settled, or over which somebody has been blocked.
-- Whoever is being changed waits for the next run.

CREATE FUNCTION public.check_vote_timeouts() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' SET spark.source = 'scheduler'
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_match public.matches;
    v_ended integer := 0;
    v_skipped integer := 0;
BEGIN
    -- By those who are in a match: matches that are over are not looked at.
    FOR v_match IN
        SELECT m.*
          FROM (SELECT DISTINCT match_id FROM public.match_participants) mp
         CROSS JOIN LATERAL (SELECT * FROM public.matches WHERE id = mp.match_id OFFSET 0) m
         WHERE m.metadata ? 'voting_started_at' ORDER BY m.id
    LOOP
        BEGIN
            CONTINUE WHEN public.spark_voting_since(v_match) > v_now - interval '30 seconds'
                AND public.spark_time(v_match.metadata ->> 'voting_started_at') = public.spark_voting_since(v_match)
                AND NOT EXISTS (SELECT FROM public.blocked_users
                                 WHERE (blocker_id, blocked_user_id)
                                       IN ((v_match.user1_id, v_match.user2_id), (v_match.user2_id, v_match.user1_id)));
            CONTINUE WHEN public.spark_lock_match(v_match.user1_id, false) IS DISTINCT FROM v_match.id;
            -- A time that is none is said once, and is the match's from now on.
            UPDATE public.matches m SET metadata = m.metadata || jsonb_build_object('voting_started_at', public.spark_voting_since(m))
             WHERE m.id = v_match.id
               AND public.spark_time(m.metadata ->> 'voting_started_at') IS DISTINCT FROM public.spark_voting_since(m);
            IF FOUND THEN
                PERFORM public.log_event('voting_time_unknown', NULL,
                    jsonb_build_object('match_id', v_match.id, 'found', left(v_match.metadata ->> 'voting_started_at', 60)),
                    'WARNING', 'check_vote_timeouts');
            END IF;
            IF public.spark_end_blocked(v_match.id) THEN
                v_ended := v_ended + 1;
            ELSIF public.detect_vote_timeout(v_match.user1_id) THEN
                PERFORM public.handle_idle_voter(v_match.id, public.spark_idle_user(v_match.id));
                v_ended := v_ended + 1;
            -- Both have voted, and nobody has settled it.
            ELSIF public.spark_voting_since(v_match) <= v_now - interval '30 seconds'
                AND public.spark_resolve_votes(v_match.id) ->> 'outcome' <> 'waiting'
            THEN
                v_ended := v_ended + 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            v_skipped := v_skipped + 1;
        WHEN OTHERS THEN
            -- One match that something is wrong with does not stop the others.
            PERFORM public.log_event('vote_timeout_failed', NULL,
                jsonb_build_object('match_id', v_match.id, 'sqlstate', SQLSTATE, 'message', SQLERRM), 'ERROR', 'check_vote_timeouts');
        END;
    END LOOP;
    RETURN jsonb_build_object('ended', v_ended, 'skipped', v_skipped);
END
$$;
