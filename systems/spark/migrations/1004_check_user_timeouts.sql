-- Ends what has lasted too long for one user. Returns what it ended, and {} where there was nothing.

CREATE FUNCTION public.check_user_timeouts(p_user uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match uuid;
    v_fired jsonb := '{}';
BEGIN
    v_match := public.spark_lock_match(p_user, true);
    PERFORM public.spark_require_user(p_user);
    IF public.detect_spin_timeout(p_user) THEN
        PERFORM public.state_machine_transition(p_user, 'spin_timeout');
        v_fired := v_fired || '{"spin_timeout": true}';
    END IF;
    IF public.detect_reveal_timeout(p_user) THEN
        PERFORM public.handle_reveal_timeout(v_match, public.spark_idle_user(v_match));
        v_fired := v_fired || '{"reveal_timeout": true}';
    ELSIF public.detect_vote_timeout(p_user) THEN
        PERFORM public.handle_idle_voter(v_match, public.spark_idle_user(v_match));
        v_fired := v_fired || '{"vote_timeout": true}';
    END IF;
    RETURN v_fired;
END
$$;

-- The first of a match who has not done what both must do: revealed, or, once they vote, voted.
CREATE FUNCTION public.spark_idle_user(p_match uuid) RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT u.id
          FROM public.matches m, LATERAL (VALUES (m.user1_id), (m.user2_id)) u (id)
         WHERE m.id = p_match
           AND CASE WHEN m.metadata ? 'voting_started_at'
               THEN NOT EXISTS (SELECT FROM public.votes v WHERE v.match_id = m.id AND v.user_id = u.id)
               ELSE NOT coalesce(m.metadata -> 'revealed_users', '[]') ? u.id::text END
         ORDER BY u.id LIMIT 1);
END
$$;
