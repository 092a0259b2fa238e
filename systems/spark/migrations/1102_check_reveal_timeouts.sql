-- Schedule check-reveal-timeouts: ends every match in which a reveal is overdue, or over which somebody has been blocked. Whoever is being
-- changed waits for the next run.

CREATE FUNCTION public.check_reveal_timeouts() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' SET spark.source = 'scheduler'
AS $$
DECLARE
    v_match public.matches;
    v_ended integer := 0;
    v_skipped integer := 0;
BEGIN
    -- By those who are in a match: matches that are over are not looked at.
    FOR v_match IN
        SELECT m.*
          FROM (SELECT DISTINCT match_id FROM public.match_participants) mp
         CROSS JOIN LATERAL (SELECT * FROM public.matches WHERE id = mp.match_id OFFSET 0) m
         WHERE NOT m.metadata ? 'voting_started_at'
           AND (m.matched_at <= public.spark_now() - interval '15 seconds'
                OR EXISTS (SELECT FROM public.blocked_users
                            WHERE (blocker_id, blocked_user_id) IN ((m.user1_id, m.user2_id), (m.user2_id, m.user1_id))))
         ORDER BY m.id
    LOOP
        BEGIN
            IF public.spark_lock_match(v_match.user1_id, false) = v_match.id THEN
                IF public.spark_end_blocked(v_match.id) THEN
                    v_ended := v_ended + 1;
                ELSIF public.detect_reveal_timeout(v_match.user1_id) THEN
                    PERFORM public.handle_reveal_timeout(v_match.id, public.spark_idle_user(v_match.id));
                    v_ended := v_ended + 1;
                END IF;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            v_skipped := v_skipped + 1;
        WHEN OTHERS THEN
            -- One match that something is wrong with does not stop the others.
            PERFORM public.log_event('reveal_timeout_failed', NULL,
                jsonb_build_object('match_id', v_match.id, 'sqlstate', SQLSTATE, 'message', SQLERRM), 'ERROR', 'check_reveal_timeouts');
        END;
    END LOOP;
    RETURN jsonb_build_object('ended', v_ended, 'skipped', v_skipped);
END
$$;
