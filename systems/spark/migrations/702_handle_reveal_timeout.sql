-- The time to reveal is over. Who has not leaves the queue, both where neither has; who has spins on with +10.

CREATE FUNCTION public.handle_reveal_timeout(p_match uuid, p_idle_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_partner uuid;
    v_revealed jsonb;
BEGIN
    PERFORM public.spark_lock_own_match(p_idle_user, p_match);
    SELECT CASE p_idle_user WHEN user1_id THEN user2_id ELSE user1_id END, coalesce(metadata -> 'revealed_users', '[]')
      INTO v_partner, v_revealed
      FROM public.matches WHERE id = p_match;
    IF v_revealed ? p_idle_user::text THEN
        RAISE EXCEPTION 'user % has revealed in match %', p_idle_user, p_match USING ERRCODE = 'SP005';
    END IF;
    IF NOT public.detect_reveal_timeout(p_idle_user) THEN
        RAISE EXCEPTION 'the time to reveal in match % is not over', p_match USING ERRCODE = 'SP005';
    END IF;
    PERFORM public.log_event('reveal_timeout', p_idle_user, jsonb_build_object('match_id', p_match, 'related_user_id', v_partner),
        'INFO', 'handle_reveal_timeout');
    IF v_revealed ? v_partner::text THEN
        PERFORM public.spark_break_match(p_match, p_idle_user, 'partner_reveal_timeout', 'partner_reveal_timeout', false);
    ELSE
        DELETE FROM public.matches WHERE id = p_match;
        PERFORM public.queue_remove(v_partner, 'reveal_timeout');
    END IF;
    PERFORM public.queue_remove(p_idle_user, 'reveal_timeout');
END
$$;
