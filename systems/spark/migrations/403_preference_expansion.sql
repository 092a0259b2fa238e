-- Who waits gets to see more: after 30 seconds, and once more after 60. What they wanted themselves is kept and comes back.

CREATE FUNCTION public.apply_preference_expansion(p_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_entry public.matching_queue;
    v_wait interval;
    v_due integer;
BEGIN
    PERFORM public.spark_lock_profiles(ARRAY[p_user], NULL, true);
    PERFORM public.spark_require_user(p_user);
    SELECT * INTO v_entry FROM public.matching_queue WHERE user_id = p_user FOR UPDATE;
    IF NOT FOUND OR v_entry.status NOT IN ('spin_active', 'queue_waiting') THEN
        RETURN;
    END IF;
    v_wait := v_now - v_entry.joined_at;
    v_due := CASE WHEN v_wait >= interval '60 seconds' THEN 2 WHEN v_wait >= interval '30 seconds' THEN 1 ELSE 0 END;
    -- What has expired does not come again for this spin.
    IF v_entry.expansion_level >= v_due OR v_entry.expansion_level = 0 AND v_entry.last_expansion_at >= v_entry.joined_at THEN
        RETURN;
    END IF;
    INSERT INTO public.user_preferences (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
    UPDATE public.user_preferences SET
        original_min_age = CASE WHEN expanded THEN original_min_age ELSE min_age END,
        original_max_age = CASE WHEN expanded THEN original_max_age ELSE max_age END,
        original_max_distance = CASE WHEN expanded THEN original_max_distance ELSE max_distance END,
        min_age = least(min_age, greatest(18, greatest(min_age, 0) - 5 * (v_due - v_entry.expansion_level))),
        max_age = greatest(max_age, least(100, least(max_age, 100) + 5 * (v_due - v_entry.expansion_level))),
        -- A hundred thousand is further than anybody is away; who wants more has it already.
        max_distance = greatest(max_distance, least(max_distance, 100000) + 50 * (v_due - v_entry.expansion_level)),
        expanded = true,
        expanded_until = v_now + interval '5 minutes',
        updated_at = v_now
     WHERE user_id = p_user;
    UPDATE public.matching_queue SET expansion_level = v_due, last_expansion_at = v_now, updated_at = v_now WHERE user_id = p_user;
    PERFORM public.log_event('preference_expanded', p_user, jsonb_build_object('level', v_due), 'INFO', 'apply_preference_expansion');
END
$$;

CREATE FUNCTION public.reset_preference_expansion(p_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM public.spark_lock_profiles(ARRAY[p_user], NULL, true);
    UPDATE public.matching_queue SET expansion_level = 0 WHERE user_id = p_user AND expansion_level <> 0;
    UPDATE public.user_preferences SET
        min_age = coalesce(original_min_age, min_age),
        max_age = coalesce(original_max_age, max_age),
        max_distance = coalesce(original_max_distance, max_distance),
        original_min_age = NULL, original_max_age = NULL, original_max_distance = NULL,
        expanded = false, expanded_until = NULL, updated_at = public.spark_now()
     WHERE user_id = p_user AND expanded;
END
$$;
