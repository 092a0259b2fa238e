-- A user spins and waits. Who waits already keeps their place, and who is with somebody keeps them: a client that has had no answer may
-- call again. Who was lost for a moment comes back to their match, as with a heartbeat. preferences, where given, are kept: {min_age, max_age, max_distance,
-- gender_preference}, each of them or not. Returns the entry in the queue.

CREATE FUNCTION public.queue_join(p_user uuid, p_prefs jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_prefs jsonb := coalesce(p_prefs, '{}');
    v_wrong text;
    v_match uuid;
    v_state text;
BEGIN
    IF jsonb_typeof(v_prefs) <> 'object' THEN
        RAISE EXCEPTION 'preferences must be an object, not %', public.spark_shown(v_prefs::text) USING ERRCODE = 'SP007';
    END IF;
    SELECT string_agg(format('%s: %s', left(key, 60), left(value::text, 60)), ', ' ORDER BY key) INTO v_wrong
      FROM jsonb_each(v_prefs)
     WHERE CASE
        WHEN key IN ('min_age', 'max_age') THEN value::text !~ '^[0-9]{2,3}$' OR value::text::integer NOT BETWEEN 18 AND 120
        WHEN key = 'max_distance' THEN value::text !~ '^[0-9]{1,5}$'
        WHEN key = 'gender_preference' THEN value NOT IN ('"male"', '"female"', '"non-binary"', '"all"')
        ELSE true END;
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION 'preferences that are not possible: %', left(v_wrong, 200) USING ERRCODE = 'SP007';
    END IF;

    -- Also where there is no entry yet: whoever makes one locks the profile for writing.
    v_match := public.spark_lock_match(p_user, true, true);
    PERFORM public.spark_require_user(p_user);
    v_state := (SELECT status FROM public.matching_queue WHERE user_id = p_user);
    IF v_state = 'soft_offline' AND v_match IS NOT NULL THEN
        PERFORM public.heartbeat_update(p_user);
        v_state := (SELECT status FROM public.matching_queue WHERE user_id = p_user);
    END IF;
    IF v_prefs <> '{}' THEN
        PERFORM public.reset_preference_expansion(p_user);
        INSERT INTO public.user_preferences (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
        UPDATE public.user_preferences SET
            min_age = coalesce((v_prefs ->> 'min_age')::integer, min_age),
            max_age = coalesce((v_prefs ->> 'max_age')::integer, max_age),
            max_distance = coalesce((v_prefs ->> 'max_distance')::integer, max_distance),
            gender_preference = coalesce(v_prefs ->> 'gender_preference', gender_preference),
            updated_at = v_now
         WHERE user_id = p_user
        RETURNING CASE WHEN min_age > max_age THEN format('min_age %s is above max_age %s', min_age, max_age) END INTO v_wrong;
        IF v_wrong IS NOT NULL THEN
            RAISE EXCEPTION 'preferences that are not possible: %', v_wrong USING ERRCODE = 'SP007';
        END IF;
    END IF;
    IF v_match IS NOT NULL AND v_state IN ('paired', 'vote_active', 'video_date') THEN
        NULL;
    ELSIF v_state IS NULL OR v_state NOT IN ('spin_active', 'queue_waiting') THEN
        PERFORM public.state_machine_transition(p_user, 'spin_start');
        PERFORM public.calculate_fairness_score(p_user);
        PERFORM public.state_machine_transition(p_user, 'queue_joined');
    ELSE
        UPDATE public.matching_queue q
           SET spin_gender = p.gender, spin_age = p.age, spin_latitude = p.latitude, spin_longitude = p.longitude
          FROM public.profiles p WHERE q.user_id = p_user AND p.id = p_user;
    END IF;
    -- Who joins is there: as with a heartbeat.
    UPDATE public.profiles SET is_online = true, last_seen = v_now, last_active_at = v_now WHERE id = p_user;
    RETURN (SELECT id FROM public.matching_queue WHERE user_id = p_user);
END
$$;
