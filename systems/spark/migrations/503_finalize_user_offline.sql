-- The end of the grace: offline, out of the match, and the partner spins on with +10. Before it nothing happens.

CREATE FUNCTION public.finalize_user_offline(p_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_match uuid;
BEGIN
    v_match := public.spark_lock_match(p_user, true, true);
    PERFORM public.spark_require_user(p_user);
    PERFORM FROM public.matching_queue
     WHERE user_id = p_user AND status = 'soft_offline' AND disconnected_at <= public.spark_now() - interval '10 seconds';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_match IS NOT NULL THEN
        PERFORM public.spark_break_match(v_match, p_user, 'partner_disconnected', 'partner_offline', false);
    END IF;
    PERFORM public.reset_preference_expansion(p_user);
    PERFORM public.state_machine_transition(p_user, 'grace_period_expired');
    UPDATE public.profiles SET is_online = false WHERE id = p_user;
END
$$;
