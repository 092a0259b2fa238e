-- The only writer of a user's state.
--
-- Locks, everywhere in these files: profiles first, of all users involved, the lower id before the higher one (FOR KEY SHARE, which keeps
-- accounts from being deleted; FOR NO KEY UPDATE of whose profile will be written); then their rows of the queue, in the same order; then
-- the match; then preferences and the rest. An account that is deleted is locked before all that goes with it, too. Whatever works on many
-- users in one transaction (ticks and the other schedules) waits for none of these: it takes what is free and leaves the rest to its
-- next run. So nobody waits in a circle.

-- A value that somebody gave, for a message: quoted, and not longer than a line.
CREATE FUNCTION public.spark_shown(p_value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(quote_literal(CASE WHEN length(p_value) > 60 THEN left(p_value, 60) || '…' ELSE p_value END), 'NULL');
END
$$;

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

-- Keeps these accounts from being deleted, and others from writing the profile of p_writes, until the transaction ends.
CREATE FUNCTION public.spark_lock_profiles(p_users uuid[], p_writes uuid, p_wait boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user uuid;
BEGIN
    FOR v_user IN SELECT DISTINCT u FROM unnest(p_users) u ORDER BY u LOOP
        -- Again where the account was deleted while this waited, and is there anew.
        FOR v_attempt IN 1..10 LOOP
            IF v_user = p_writes AND p_wait THEN
                PERFORM FROM public.profiles WHERE id = v_user FOR NO KEY UPDATE;
            ELSIF v_user = p_writes THEN
                PERFORM FROM public.profiles WHERE id = v_user FOR NO KEY UPDATE NOWAIT;
            ELSIF p_wait THEN
                PERFORM FROM public.profiles WHERE id = v_user FOR KEY SHARE;
            ELSE
                PERFORM FROM public.profiles WHERE id = v_user FOR KEY SHARE NOWAIT;
            END IF;
            EXIT WHEN FOUND OR NOT EXISTS (SELECT FROM public.profiles WHERE id = v_user);
        END LOOP;
    END LOOP;
END
$$;

-- Without waiting: keeps an account from being deleted, its entry, and its preferences, which a match puts back, from being changed. False
-- where somebody is at any of them. Searches ask this last, of whoever else they would take.
CREATE FUNCTION public.spark_hold(p_user uuid) RETURNS boolean
LANGUAGE plpgsql COST 1000000 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM public.profiles WHERE id = p_user FOR KEY SHARE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Whose entry somebody has, their preferences are that somebody's to write: two who pass each other over must not keep those.
    PERFORM FROM public.matching_queue WHERE user_id = p_user FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM public.user_preferences WHERE user_id = p_user FOR NO KEY UPDATE SKIP LOCKED;
    RETURN FOUND OR NOT EXISTS (SELECT FROM public.user_preferences WHERE user_id = p_user);
END
$$;

-- Locks a user's entry, and, where the user is in a pending match, the partner's and the match, which it returns; their profiles before,
-- the user's own for writing where p_writes says so. Where it may not wait, also preferences that are widened, which whoever leaves has
-- put back; a lock that somebody has is an error (55P03) then, and nothing is kept locked.
CREATE FUNCTION public.spark_lock_match(p_user uuid, p_wait boolean, p_writes boolean DEFAULT false) RETURNS uuid
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
            PERFORM public.spark_lock_profiles(v_users, CASE WHEN p_writes THEN p_user END, p_wait);
            IF p_wait THEN
                PERFORM FROM public.matching_queue WHERE user_id = ANY (v_users) ORDER BY user_id FOR UPDATE;
                PERFORM FROM public.matches WHERE id = v_match FOR UPDATE;
            ELSE
                PERFORM FROM public.matching_queue WHERE user_id = ANY (v_users) ORDER BY user_id FOR UPDATE NOWAIT;
                PERFORM FROM public.matches WHERE id = v_match FOR UPDATE NOWAIT;
                PERFORM FROM public.user_preferences WHERE user_id = ANY (v_users) AND expanded ORDER BY user_id FOR NO KEY UPDATE NOWAIT;
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
    -- Who makes an entry makes it alone: there is no row yet that others could wait for.
    v_makes boolean := NOT EXISTS (SELECT FROM public.matching_queue WHERE user_id = p_user);
BEGIN
    -- These two may break a match, which is the partner's too.
    IF p_event IN ('spin_start', 'user_reconnected') THEN
        PERFORM public.spark_lock_match(p_user, true, v_makes);
    ELSE
        PERFORM public.spark_lock_profiles(ARRAY[p_user], CASE WHEN v_makes THEN p_user END, true);
    END IF;
    PERFORM public.spark_require_user(p_user);
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
        jsonb_build_object('from_state', v_from, 'to_state', v_to, 'event_data', v_data)
            || CASE WHEN v_data ? 'match_id' THEN jsonb_build_object('match_id', v_data -> 'match_id') ELSE '{}' END,
        'INFO', 'state_machine_transition');
    RETURN jsonb_build_object('user_id', p_user, 'from_state', v_from, 'to_state', v_to, 'timestamp', v_now);
END
$$;
