-- A connection is gone. Somebody in the queue has 10 seconds to come back; telling it again does not begin them anew.

CREATE FUNCTION public.handle_user_offline(p_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_state text;
BEGIN
    PERFORM public.spark_lock_profiles(ARRAY[p_user], p_user, true);
    PERFORM public.spark_require_user(p_user);
    SELECT status INTO v_state FROM public.matching_queue WHERE user_id = p_user FOR UPDATE;
    IF v_state IS NULL THEN
        -- Nothing to keep for them.
        UPDATE public.profiles SET is_online = false WHERE id = p_user;
    ELSIF v_state NOT IN ('soft_offline', 'disconnected') THEN
        PERFORM public.state_machine_transition(p_user, 'user_disconnected');
    END IF;
END
$$;
