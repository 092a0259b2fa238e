-- One user looks for a partner: exact preferences, then expanded ones, then anybody who is possible at all.

-- Makes a match with a candidate and tells both. NULL where there is none, or somebody was quicker.
CREATE FUNCTION public.spark_pair(p_user uuid, p_candidate uuid, p_tier integer) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match uuid := public.create_match_atomic(p_user, p_candidate);
BEGIN
    IF v_match IS NOT NULL THEN
        PERFORM public.state_machine_transition(least(p_user, p_candidate), 'match_found',
            jsonb_build_object('match_id', v_match, 'tier', p_tier));
        PERFORM public.state_machine_transition(greatest(p_user, p_candidate), 'match_found',
            jsonb_build_object('match_id', v_match, 'tier', p_tier));
    END IF;
    RETURN v_match;
END
$$;

-- The engine with so many cycles of the third tier. A tick gives each user one and the count goes on from tick to tick; a direct
-- call gives all 30. Whoever comes out with nothing was passed over.
CREATE FUNCTION public.spark_engine(p_user uuid, p_cycles integer) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_cycle integer;
    v_candidate uuid;
    v_match uuid;
BEGIN
    IF NOT public.is_matchable(p_user) OR public.is_user_already_matched(p_user) THEN
        RETURN NULL;
    END IF;
    v_match := public.spark_pair(p_user, public.find_candidate(p_user, 1), 1);
    IF v_match IS NULL THEN
        PERFORM public.apply_preference_expansion(p_user);
        v_match := public.spark_pair(p_user, public.find_candidate(p_user, 2), 2);
    END IF;
    IF v_match IS NOT NULL THEN
        RETURN v_match;
    END IF;

    v_candidate := public.find_guaranteed_match_strict(p_user);
    IF v_candidate IS NULL AND NOT public.spark_is_anybody_there(p_user) THEN
        PERFORM public.log_event('no_online_candidates', p_user, '{}', 'INFO', 'unified_matching_engine');
    ELSE
        v_cycle := CASE WHEN p_cycles = 1 THEN (SELECT engine_cycles FROM public.matching_queue WHERE user_id = p_user) ELSE 0 END;
        FOR v_i IN 1..p_cycles LOOP
            -- Who was busy, or had just met this user, may be free by now.
            IF v_i > 1 THEN
                v_candidate := public.find_guaranteed_match_strict(p_user);
            END IF;
            v_cycle := v_cycle + 1;
            IF v_cycle % 5 = 0 THEN
                PERFORM public.calculate_fairness_score(p_user);
            END IF;
            IF NOT public.is_user_online(p_user) THEN
                EXIT;
            END IF;
            IF v_candidate IS NOT NULL AND public.is_user_online(v_candidate) THEN
                v_match := public.spark_pair(p_user, v_candidate, 3);
                IF v_match IS NOT NULL THEN
                    RETURN v_match;
                END IF;
            END IF;
        END LOOP;
        IF v_cycle >= 30 THEN
            PERFORM public.log_event('guaranteed_match_failed', p_user, jsonb_build_object('cycles', v_cycle), 'ERROR',
                'unified_matching_engine');
            v_cycle := 0;
        END IF;
        UPDATE public.matching_queue SET engine_cycles = v_cycle WHERE user_id = p_user;
    END IF;
    UPDATE public.matching_queue SET skip_count = skip_count + 1, attempted_at = public.spark_now() WHERE user_id = p_user;
    PERFORM public.calculate_fairness_score(p_user);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.unified_matching_engine(p_user uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Before anything is looked for: whoever else changes this user now is waited for here, with nobody else locked.
    PERFORM public.spark_lock_profiles(ARRAY[p_user], NULL, true);
    PERFORM public.spark_require_user(p_user);
    PERFORM FROM public.matching_queue WHERE user_id = p_user FOR UPDATE;
    RETURN public.spark_engine(p_user, 30);
END
$$;
