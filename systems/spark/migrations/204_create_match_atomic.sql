-- A pending match of two users, or NULL: never an error, and never a wait.

-- What must hold of two users whenever they are matched, but for their genders.
CREATE FUNCTION public.spark_are_eligible(p_user1 uuid, p_user2 uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_both uuid[] := ARRAY[p_user1, p_user2];
BEGIN
    RETURN 2 = (SELECT count(*) FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
                 WHERE q.user_id = ANY (v_both) AND q.status IN ('spin_active', 'queue_waiting') AND p.is_online)
        AND NOT EXISTS (SELECT FROM public.match_participants WHERE user_id = ANY (v_both))
        AND NOT EXISTS (SELECT FROM public.blocked_users WHERE blocker_id = p_user1 AND blocked_user_id = p_user2)
        AND NOT EXISTS (SELECT FROM public.blocked_users WHERE blocker_id = p_user2 AND blocked_user_id = p_user1)
        AND NOT EXISTS (SELECT FROM public.yes_yes_pairs
                         WHERE least(user1_id, user2_id) = least(p_user1, p_user2)
                           AND greatest(user1_id, user2_id) = greatest(p_user1, p_user2));
END
$$;

-- And that they have not just met.
CREATE FUNCTION public.spark_may_match(p_user1 uuid, p_user2 uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_since timestamptz := public.spark_now() - interval '5 minutes';
BEGIN
    RETURN public.spark_are_eligible(p_user1, p_user2)
        AND NOT EXISTS (SELECT FROM public.match_history
                         WHERE user1_id = p_user1 AND user2_id = p_user2 AND created_at > v_since)
        AND NOT EXISTS (SELECT FROM public.match_history
                         WHERE user1_id = p_user2 AND user2_id = p_user1 AND created_at > v_since);
END
$$;

-- lock_timeout is for who writes matches past the queue: their key in match_participants is waited for, and not for long.
CREATE FUNCTION public.create_match_atomic(p_user1 uuid, p_user2 uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms'
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_match uuid;
BEGIN
    IF p_user1 = p_user2 OR NOT public.validate_gender_compatibility(p_user1, p_user2) THEN
        RETURN NULL;
    END IF;
    BEGIN
        PERFORM public.spark_lock_profiles(ARRAY[p_user1, p_user2], NULL, false);
        PERFORM FROM public.matching_queue WHERE user_id IN (p_user1, p_user2) ORDER BY user_id FOR UPDATE NOWAIT;
        IF NOT public.spark_may_match(p_user1, p_user2) THEN
            -- Gives the locks back, as everything below does.
            RAISE EXCEPTION USING ERRCODE = 'SP020';
        END IF;
        INSERT INTO public.matches (user1_id, user2_id, matched_at, status, created_at, updated_at)
            VALUES (least(p_user1, p_user2), greatest(p_user1, p_user2), v_now, 'pending', v_now, v_now)
            RETURNING id INTO v_match;
        RETURN v_match;
    EXCEPTION
        WHEN SQLSTATE 'SP020' OR lock_not_available OR unique_violation OR serialization_failure OR deadlock_detected THEN
            RETURN NULL;
        WHEN OTHERS THEN
            -- Nothing that is known; nobody shall look for it in vain.
            PERFORM public.log_event('create_match_failed', p_user1,
                jsonb_build_object('related_user_id', p_user2, 'sqlstate', SQLSTATE, 'message', SQLERRM),
                'ERROR', 'create_match_atomic');
            RETURN NULL;
    END;
END
$$;
