-- Takes a user out of the queue, whatever is written in the entry. A pending match ends, and the partner spins on with +10.

CREATE FUNCTION public.queue_remove(p_user uuid, p_reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match uuid;
    v_state text;
BEGIN
    v_match := public.spark_lock_match(p_user, true);
    v_state := (SELECT status FROM public.matching_queue WHERE user_id = p_user);
    IF v_state IS NULL THEN
        PERFORM public.spark_require_user(p_user);
        RETURN;
    END IF;
    IF v_match IS NOT NULL THEN
        PERFORM public.spark_break_match(v_match, p_user, 'partner_disconnected', 'partner_left', true);
    END IF;
    PERFORM public.reset_preference_expansion(p_user);
    DELETE FROM public.matching_queue WHERE user_id = p_user;
    PERFORM public.log_event('queue_removed', p_user, jsonb_build_object('reason', p_reason, 'from_state', v_state), 'INFO', 'queue_remove');
END
$$;
