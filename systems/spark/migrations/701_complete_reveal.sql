-- A user shows themselves. When both have, both vote.

CREATE FUNCTION public.complete_reveal(p_user uuid, p_match uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_state text;
    v_match public.matches;
    v_user uuid;
BEGIN
    PERFORM public.spark_lock_own_match(p_user, p_match);
    v_state := (SELECT status FROM public.matching_queue WHERE user_id = p_user);
    SELECT * INTO v_match FROM public.matches WHERE id = p_match;
    IF v_state = 'vote_active' THEN
        -- Told once more.
        RETURN jsonb_build_object('status', 'both_revealed', 'next_state', 'vote_active');
    ELSIF v_state IS DISTINCT FROM 'paired' THEN
        RAISE EXCEPTION 'user % cannot reveal in state %', p_user, coalesce(v_state, 'idle') USING ERRCODE = 'SP005';
    END IF;
    -- The schedule may be late; the time is over all the same.
    IF public.detect_reveal_timeout(p_user) THEN
        RAISE EXCEPTION 'the time to reveal in match % is over', p_match USING ERRCODE = 'SP005';
    END IF;
    IF public.spark_end_blocked(p_match) THEN
        RETURN jsonb_build_object('status', 'match_ended', 'next_state', 'spin_active');
    END IF;
    -- A set: each user once.
    UPDATE public.matches SET
        metadata = jsonb_set(metadata, '{revealed_users}', coalesce(metadata -> 'revealed_users', '[]') || to_jsonb(p_user)),
        updated_at = public.spark_now()
     WHERE id = p_match AND NOT coalesce(metadata -> 'revealed_users', '[]') ? p_user::text;
    IF FOUND THEN
        PERFORM public.log_event('user_revealed', p_user, jsonb_build_object('match_id', p_match), 'INFO', 'complete_reveal');
    END IF;
    IF NOT (SELECT metadata -> 'revealed_users' ?& ARRAY[user1_id::text, user2_id::text] FROM public.matches WHERE id = p_match) THEN
        RETURN jsonb_build_object('status', 'waiting_for_partner');
    END IF;
    -- Who is away for a moment comes back to the vote.
    FOREACH v_user IN ARRAY ARRAY[v_match.user1_id, v_match.user2_id] LOOP
        IF EXISTS (SELECT FROM public.matching_queue WHERE user_id = v_user AND status = 'paired') THEN
            PERFORM public.state_machine_transition(v_user, 'reveal_complete', jsonb_build_object('match_id', p_match));
        END IF;
    END LOOP;
    RETURN jsonb_build_object('status', 'both_revealed', 'next_state', 'vote_active');
END
$$;
