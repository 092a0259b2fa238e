-- What a transition does besides writing the state, which state_machine_transition does itself. Both users' entries are locked
-- wherever a match is broken.

-- Ends a pending match without an outcome. The partner of who leaves goes on spinning, with +10 where a reason is given.
-- Returns the partner, or NULL where they are away themselves.
CREATE FUNCTION public.spark_break_match(p_match uuid, p_leaver uuid, p_event text, p_boost_reason text, p_history boolean)
RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match public.matches;
    v_partner uuid;
    v_state text;
BEGIN
    SELECT * INTO v_match FROM public.matches WHERE id = p_match AND status = 'pending';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_partner := CASE p_leaver WHEN v_match.user1_id THEN v_match.user2_id ELSE v_match.user1_id END;
    IF p_history THEN
        INSERT INTO public.match_history (user1_id, user2_id, match_id) VALUES (v_match.user1_id, v_match.user2_id, p_match)
            ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM public.matches WHERE id = p_match;
    PERFORM public.log_event('match_broken', p_leaver,
        jsonb_build_object('match_id', p_match, 'related_user_id', v_partner, 'event', p_event), 'INFO', 'spark_break_match');
    v_state := (SELECT status FROM public.matching_queue WHERE user_id = v_partner);
    IF v_state IS NULL OR v_state NOT IN ('paired', 'vote_active') THEN
        -- Who is away for a moment has it when they come back.
        IF p_boost_reason IS NOT NULL AND EXISTS (
            SELECT FROM public.matching_queue
             WHERE user_id = v_partner AND status = 'soft_offline' AND disconnected_at > public.spark_now() - interval '10 seconds')
        THEN
            PERFORM public.apply_fairness_boost(v_partner, 10, p_boost_reason);
        END IF;
        RETURN NULL;
    END IF;
    -- Two events are those of one state each; the general one is possible in both.
    IF p_event = 'partner_reveal_timeout' AND v_state <> 'paired' OR p_event = 'partner_idle' AND v_state <> 'vote_active' THEN
        p_event := 'partner_disconnected';
    END IF;
    PERFORM public.state_machine_transition(v_partner, p_event, jsonb_build_object('match_id', p_match));
    IF p_boost_reason IS NOT NULL THEN
        PERFORM public.apply_fairness_boost(v_partner, 10, p_boost_reason);
    END IF;
    RETURN v_partner;
END
$$;

-- Ends a pending match over a block: the blocker leaves it, and the other goes on with +10. Both users' entries are locked. False where
-- nobody has blocked anybody.
CREATE FUNCTION public.spark_end_blocked(p_match uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_blocker uuid;
BEGIN
    SELECT b.blocker_id INTO v_blocker
      FROM public.matches m
      JOIN public.blocked_users b ON (b.blocker_id, b.blocked_user_id) IN ((m.user1_id, m.user2_id), (m.user2_id, m.user1_id))
     WHERE m.id = p_match AND m.status = 'pending'
     ORDER BY b.created_at, b.blocker_id LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM public.matching_queue WHERE user_id = v_blocker AND status IN ('paired', 'vote_active')) THEN
        PERFORM public.state_machine_transition(v_blocker, 'spin_start', jsonb_build_object('match_id', p_match, 'reason', 'blocked'));
    ELSE
        PERFORM public.spark_break_match(p_match, v_blocker, 'partner_disconnected', 'partner_left', true);
    END IF;
    RETURN true;
END
$$;

CREATE FUNCTION public.execute_transition(
    p_user uuid, p_from public.user_matching_state, p_to public.user_matching_state, p_data jsonb
) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_event text := p_data ->> 'event';
    v_match uuid := (SELECT match_id FROM public.match_participants WHERE user_id = p_user);
    v_voted_yes boolean;
    v_partner uuid;
BEGIN
    IF v_match IS NOT NULL AND v_event = 'spin_start' THEN
        -- Who spins again leaves; they have met, and do not meet again at once.
        v_partner := public.spark_break_match(v_match, p_user, 'partner_disconnected', 'partner_left', true);
    ELSIF v_match IS NOT NULL AND v_event = 'user_reconnected' AND p_to = 'spin_active' THEN
        -- The partner has passed meanwhile.
        v_voted_yes := EXISTS (SELECT FROM public.votes WHERE match_id = v_match AND user_id = p_user AND vote_type = 'yes');
        v_partner := public.spark_break_match(v_match, p_user, 'one_voted_pass', NULL, true);
        IF v_voted_yes THEN
            PERFORM public.apply_fairness_boost(p_user, 10, 'voted_yes_but_partner_passed');
        END IF;
    ELSIF v_match IS NOT NULL AND v_event = 'reveal_complete' THEN
        -- The window opens for both at once, with the first of them.
        UPDATE public.matches SET metadata = jsonb_build_object('voting_started_at', v_now) || metadata, updated_at = v_now
         WHERE id = v_match AND NOT metadata ? 'voting_started_at';
    END IF;

    IF p_to = 'spin_active' OR v_event = 'match_found' THEN
        PERFORM public.reset_preference_expansion(p_user);
    END IF;
    UPDATE public.matching_queue SET
        -- A new spin is a new wait; who was away while waiting has waited on.
        joined_at = CASE
            WHEN p_to = 'spin_active' THEN v_now
            WHEN p_to = 'queue_waiting' AND p_from IN ('soft_offline', 'disconnected')
                AND coalesce(state_before_offline, '') NOT IN ('spin_active', 'queue_waiting') THEN v_now
            ELSE joined_at END,
        last_spun_at = CASE WHEN p_to = 'spin_active' THEN v_now ELSE last_spun_at END,
        disconnected_at = CASE
            WHEN p_to = 'soft_offline' AND p_from = 'soft_offline' THEN coalesce(disconnected_at, v_now)
            WHEN p_to = 'soft_offline' THEN v_now
            -- From the end of the grace on, however late that is seen.
            WHEN p_to = 'disconnected' THEN coalesce(least(v_now, disconnected_at + interval '10 seconds'), v_now) END,
        state_before_offline = CASE
            WHEN p_to IN ('soft_offline', 'disconnected') AND p_from IN ('soft_offline', 'disconnected')
                THEN state_before_offline
            WHEN p_to = 'soft_offline' THEN p_from::text END,
        last_expansion_at = CASE WHEN p_to = 'spin_active' OR v_event = 'match_found' THEN NULL ELSE last_expansion_at END,
        engine_cycles = CASE WHEN p_to = 'spin_active' OR v_event = 'match_found' THEN 0 ELSE engine_cycles END,
        -- Also for who was away for a moment when the partner revealed, and comes back to the vote.
        fairness_score = CASE WHEN p_to = 'vote_active' THEN 0 ELSE fairness_score END,
        fairness_boost = CASE WHEN p_to = 'vote_active' THEN 0 ELSE fairness_boost END,
        skip_count = CASE WHEN p_to = 'vote_active' THEN 0 ELSE skip_count END
     WHERE user_id = p_user;
    IF p_to = 'spin_active' THEN
        UPDATE public.matching_queue q
           SET spin_gender = p.gender, spin_age = p.age, spin_latitude = p.latitude, spin_longitude = p.longitude
          FROM public.profiles p WHERE q.user_id = p_user AND p.id = p_user;
    END IF;
    RETURN jsonb_strip_nulls(jsonb_build_object('match_id', v_match, 'partner', v_partner));
END
$$;
