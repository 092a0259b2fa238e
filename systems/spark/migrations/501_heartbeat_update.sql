-- A user is there. Who was away comes back: within 10 seconds to where they were, after that as somebody free.

CREATE FUNCTION public.heartbeat_update(p_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_match uuid;
    v_state text;
    v_since timestamptz;
BEGIN
    -- Nearly always they are not away, and nothing is locked but the profile.
    IF EXISTS (SELECT FROM public.matching_queue WHERE user_id = p_user AND status IN ('soft_offline', 'disconnected')) THEN
        PERFORM public.spark_lock_match(p_user, true, true);
        -- The schedule may be late; the grace is over all the same.
        PERFORM public.finalize_user_offline(p_user);
        SELECT status, disconnected_at INTO v_state, v_since FROM public.matching_queue WHERE user_id = p_user;
        IF v_state = 'disconnected' AND v_since <= v_now - interval '5 minutes' THEN
            PERFORM public.queue_remove(p_user, 'offline');
        ELSIF v_state IN ('soft_offline', 'disconnected') THEN
            PERFORM public.state_machine_transition(p_user, 'user_reconnected');
            v_match := (SELECT match_id FROM public.match_participants WHERE user_id = p_user);
            IF v_match IS NOT NULL THEN
                -- The partner may have voted meanwhile.
                PERFORM public.spark_resolve_votes(v_match);
            END IF;
        END IF;
    END IF;
    UPDATE public.profiles SET is_online = true, last_seen = v_now, last_active_at = v_now WHERE id = p_user;
    IF NOT FOUND THEN
        PERFORM public.spark_require_user(p_user);
    END IF;
END
$$;
