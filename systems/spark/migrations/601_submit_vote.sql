-- yes or pass, by somebody who sees their partner. Another vote goes in place of the first.

-- What the votes that are there come to. Both users' entries are locked. A yes of both counts when both are there: who is away
-- for a moment settles it by coming back. Whoever has blocked the other meanwhile has passed, whatever they have voted.
CREATE FUNCTION public.spark_resolve_votes(p_match uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match public.matches;
    v_users uuid[];
    v_yes uuid[];
    v_passes bigint;
    v_user uuid;
    v_ended boolean := public.spark_end_blocked(p_match);
BEGIN
    SELECT * INTO v_match FROM public.matches WHERE id = p_match AND status = 'pending';
    v_users := ARRAY[v_match.user1_id, v_match.user2_id];
    SELECT coalesce(array_agg(user_id) FILTER (WHERE vote_type = 'yes'), '{}'), count(*) FILTER (WHERE vote_type = 'pass')
      INTO v_yes, v_passes
      FROM public.votes WHERE match_id = p_match AND user_id = ANY (v_users);

    IF v_passes > 0 AND NOT v_ended THEN
        v_ended := true;
        INSERT INTO public.match_history (user1_id, user2_id, match_id) VALUES (v_match.user1_id, v_match.user2_id, p_match)
            ON CONFLICT DO NOTHING;
        DELETE FROM public.matches WHERE id = p_match;
        FOREACH v_user IN ARRAY v_users LOOP
            IF EXISTS (SELECT FROM public.matching_queue WHERE user_id = v_user AND status = 'vote_active') THEN
                PERFORM public.state_machine_transition(v_user, 'one_voted_pass', jsonb_build_object('match_id', p_match));
            END IF;
            IF v_user = ANY (v_yes) THEN
                PERFORM public.apply_fairness_boost(v_user, 10, 'voted_yes_but_partner_passed');
            END IF;
        END LOOP;
    END IF;
    IF v_ended THEN
        RETURN jsonb_build_object('outcome', 'one_pass');
    ELSIF cardinality(v_yes) = 2
        AND 2 = (SELECT count(*) FROM public.matching_queue WHERE user_id = ANY (v_users) AND status = 'vote_active')
    THEN
        UPDATE public.matches SET status = 'matched', updated_at = public.spark_now() WHERE id = p_match;
        INSERT INTO public.match_history (user1_id, user2_id, match_id) VALUES (v_match.user1_id, v_match.user2_id, p_match)
            ON CONFLICT DO NOTHING;
        INSERT INTO public.yes_yes_pairs (user1_id, user2_id, match_id) VALUES (v_match.user1_id, v_match.user2_id, p_match)
            ON CONFLICT DO NOTHING;
        FOREACH v_user IN ARRAY v_users LOOP
            PERFORM public.state_machine_transition(v_user, 'both_voted_yes', jsonb_build_object('match_id', p_match));
        END LOOP;
        RETURN jsonb_build_object('outcome', 'both_yes');
    END IF;
    RETURN jsonb_build_object('outcome', 'waiting');
END
$$;

-- Locks as spark_lock_match does, and makes sure that the match is this user's and pending (SP004).
CREATE FUNCTION public.spark_lock_own_match(p_user uuid, p_match uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match uuid := public.spark_lock_match(p_user, true);
BEGIN
    PERFORM public.spark_require_user(p_user);
    IF v_match IS DISTINCT FROM p_match OR p_match IS NULL THEN
        RAISE EXCEPTION 'match % is no pending match of user %', coalesce(p_match::text, 'NULL'), p_user USING ERRCODE = 'SP004';
    END IF;
END
$$;

CREATE FUNCTION public.submit_vote(p_user uuid, p_match uuid, p_vote text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_state text;
BEGIN
    IF p_vote IS NULL OR p_vote NOT IN ('yes', 'pass') THEN
        RAISE EXCEPTION 'a vote is yes or pass, not %', public.spark_shown(p_vote) USING ERRCODE = 'SP006';
    END IF;
    PERFORM public.spark_lock_own_match(p_user, p_match);
    v_state := (SELECT status FROM public.matching_queue WHERE user_id = p_user);
    IF v_state IS DISTINCT FROM 'vote_active' THEN
        RAISE EXCEPTION 'user % cannot vote in state %', p_user, coalesce(v_state, 'idle') USING ERRCODE = 'SP005';
    END IF;
    -- The schedule may be late; the time is over all the same.
    IF public.detect_vote_timeout(p_user) THEN
        RAISE EXCEPTION 'the time to vote in match % is over', p_match USING ERRCODE = 'SP005';
    END IF;
    -- A partner who votes from an older snapshot (REPEATABLE READ) and does not see this vote gets an error, and not a wait for ever.
    UPDATE public.matches SET updated_at = v_now WHERE id = p_match;
    INSERT INTO public.votes (match_id, user_id, vote_type, created_at, updated_at) VALUES (p_match, p_user, p_vote, v_now, v_now)
        ON CONFLICT (match_id, user_id) DO UPDATE SET vote_type = excluded.vote_type, updated_at = excluded.updated_at;
    PERFORM public.log_event('vote_submitted', p_user, jsonb_build_object('match_id', p_match, 'vote', p_vote), 'INFO', 'submit_vote');
    RETURN public.spark_resolve_votes(p_match);
END
$$;
