-- Schedule guardian-queue-consistency: takes entries away that should not be there. The schedules that end graces and take entries
-- away get 15 seconds more than the limits to do so: what they are about to do is in order.

-- What is wrong with an entry, or NULL.
CREATE FUNCTION public.spark_what_is_wrong(p_entry public.matching_queue) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_away interval := public.spark_now() - p_entry.disconnected_at - interval '15 seconds';
    v_online boolean := (SELECT is_online FROM public.profiles WHERE id = p_entry.user_id);
BEGIN
    RETURN CASE
        WHEN v_online IS NULL THEN 'no_profile'
        WHEN p_entry.status = 'soft_offline' THEN CASE WHEN v_away <= interval '10 seconds' THEN NULL ELSE 'away_too_long' END
        WHEN p_entry.status = 'disconnected' THEN CASE WHEN v_away <= interval '5 minutes' THEN NULL ELSE 'away_too_long' END
        WHEN p_entry.status NOT IN ('spin_active', 'queue_waiting', 'paired', 'vote_active', 'video_date', 'ended') THEN 'state'
        WHEN NOT isfinite(p_entry.joined_at) THEN 'joined_at'
        WHEN NOT v_online THEN 'offline'
    END;
END
$$;

CREATE FUNCTION public.guardian_queue_consistency() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' SET spark.source = 'guardian'
AS $$
DECLARE
    v_user uuid;
    v_wrong text;
    v_found jsonb := '[]';
    v_entry jsonb;
    v_cleaned integer := 0;
BEGIN
    -- Whose match is gone with the partner's account, or by hand, spins on.
    FOR v_user IN
        SELECT q.user_id FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
         WHERE q.status IN ('paired', 'vote_active')
           AND NOT EXISTS (SELECT FROM public.match_participants mp WHERE mp.user_id = q.user_id)
         ORDER BY q.user_id
    LOOP
        BEGIN
            CONTINUE WHEN public.spark_lock_match(v_user, false) IS NOT NULL;
            -- As it is behind the lock: one expression would see it as it was before.
            PERFORM FROM public.matching_queue WHERE user_id = v_user AND status IN ('paired', 'vote_active');
            IF FOUND THEN
                PERFORM public.state_machine_transition(v_user, 'partner_disconnected');
                PERFORM public.log_event('match_gone', v_user, jsonb_build_object('source', 'guardian'), 'INFO', 'guardian_queue_consistency');
            END IF;
        EXCEPTION WHEN lock_not_available OR SQLSTATE 'SP003' THEN
            NULL; -- Somebody is at it, or has just deleted the account; the next run looks again.
        END;
    END LOOP;
    -- All are found, and told in one warning, before any is removed.
    FOR v_user IN
        SELECT q.user_id FROM public.matching_queue q WHERE public.spark_what_is_wrong(q) IS NOT NULL ORDER BY q.user_id
    LOOP
        BEGIN
            PERFORM public.spark_lock_match(v_user, false);
            v_wrong := (SELECT public.spark_what_is_wrong(q) FROM public.matching_queue q WHERE q.user_id = v_user);
            IF v_wrong IS NOT NULL THEN
                v_found := v_found || jsonb_build_object('user_id', v_user, 'wrong', v_wrong);
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- Somebody is at it; the next run looks again.
        END;
    END LOOP;
    IF v_found <> '[]' THEN
        PERFORM public.log_event('guardian_warning', NULL,
            jsonb_build_object('type', 'queue_consistency', 'invalid_entries', jsonb_array_length(v_found), 'entries', v_found,
                'source', 'guardian'),
            'WARNING', 'guardian_queue_consistency');
        FOR v_entry IN SELECT * FROM jsonb_array_elements(v_found) LOOP
            BEGIN
                PERFORM public.queue_remove((v_entry ->> 'user_id')::uuid, 'guardian: ' || (v_entry ->> 'wrong'));
                v_cleaned := v_cleaned + 1;
            EXCEPTION WHEN lock_not_available THEN
                NULL; -- Somebody is at what goes with it.
            END;
        END LOOP;
    END IF;
    RETURN jsonb_build_object('cleaned', v_cleaned);
END
$$;
