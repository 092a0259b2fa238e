-- The only writer of a user's state.
--
-- Locks, everywhere in these files: rows of the queue first, the lower user id before the higher one; then the match; then profiles,
-- preferences and the rest. Whatever works on many users in one transaction (ticks and the other schedules) waits for no row of the
-- queue: it takes what is free and leaves the rest to its next run. So nobody waits in a circle.

-- SP003 where nobody is called so.
CREATE FUNCTION public.spark_require_user(p_user uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_user IS NULL OR NOT EXISTS (SELECT FROM public.profiles WHERE id = p_user) THEN
        RAISE EXCEPTION 'user % is unknown', coalesce(p_user::text, 'NULL') USING ERRCODE = 'SP003';
    END IF;
END
$$;

-- Locks a user's entry, and, where the user is in a pending match, the partner's and the match, which it returns.
-- Where it may not wait, a lock that somebody has is an error (55P03) and nothing is kept locked.
CREATE FUNCTION public.spark_lock_match(p_user uuid, p_wait boolean) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match uuid;
    v_users uuid[];
BEGIN
    FOR v_attempt IN 1..10 LOOP
        v_match := (SELECT match_id FROM public.match_participants WHERE user_id = p_user);
        v_users := array(SELECT user_id FROM public.match_participants WHERE match_id = v_match) || p_user;
        BEGIN
            IF p_wait THEN
                PERFORM FROM public.matching_queue WHERE user_id = ANY (v_users) ORDER BY user_id FOR UPDATE;
                PERFORM FROM public.matches WHERE id = v_match FOR UPDATE;
            ELSE
                PERFORM FROM public.matching_queue WHERE user_id = ANY (v_users) ORDER BY user_id FOR UPDATE NOWAIT;
                PERFORM FROM public.matches WHERE id = v_match FOR UPDATE NOWAIT;
            END IF;
            IF v_match IS NOT DISTINCT FROM (SELECT match_id FROM public.match_participants WHERE user_id = p_user) THEN
                RETURN v_match;
            END IF;
            -- While it waited the user got, or lost, a match: the locks are given back, so that their order holds.
            RAISE EXCEPTION USING ERRCODE = 'SP020';
        EXCEPTION WHEN SQLSTATE 'SP020' THEN
            NULL;
        END;
    END LOOP;
    RAISE EXCEPTION 'the match of user % changes too often', p_user USING ERRCODE = 'serialization_failure';
END
$$;

CREATE FUNCTION public.state_machine_transition(p_user uuid, p_event text, p_data jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_data jsonb := CASE WHEN jsonb_typeof(p_data) = 'object' THEN p_data ELSE '{}' END
        || jsonb_build_object('user_id', p_user, 'event', p_event);
    v_from public.user_matching_state;
    v_to public.user_matching_state;
BEGIN
    PERFORM public.spark_require_user(p_user);
    -- These two may break a match, which is the partner's too.
    IF p_event IN ('spin_start', 'user_reconnected') THEN
        PERFORM public.spark_lock_match(p_user, true);
    END IF;
    SELECT status INTO v_from FROM public.matching_queue WHERE user_id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        -- An event that is refused leaves no entry behind.
        PERFORM public.validate_transition('idle', p_event, v_data);
        INSERT INTO public.matching_queue (user_id, status, joined_at, created_at, updated_at)
            VALUES (p_user, 'idle', v_now, v_now, v_now) ON CONFLICT (user_id) DO NOTHING;
        SELECT status INTO v_from FROM public.matching_queue WHERE user_id = p_user FOR UPDATE;
    END IF;
    v_to := public.validate_transition(v_from, p_event, v_data);
    PERFORM public.execute_transition(p_user, v_from, v_to, v_data);
    UPDATE public.matching_queue SET status = v_to::text, updated_at = v_now WHERE user_id = p_user;
    PERFORM public.log_event('state_transition', p_user,
        jsonb_build_object('from_state', v_from, 'to_state', v_to, 'event_data', v_data), 'INFO', 'state_machine_transition');
    RETURN jsonb_build_object('user_id', p_user, 'from_state', v_from, 'to_state', v_to, 'timestamp', v_now);
END
$$;
