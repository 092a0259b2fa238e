-- The window of a vote is over. Who has not voted leaves the queue; who has said yes spins on with +10.

CREATE FUNCTION public.handle_idle_voter(p_match uuid, p_idle_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_partner uuid;
    v_partner_vote text;
BEGIN
    PERFORM public.spark_lock_own_match(p_idle_user, p_match);
    IF EXISTS (SELECT FROM public.votes WHERE match_id = p_match AND user_id = p_idle_user) THEN
        RAISE EXCEPTION 'user % has voted in match %', p_idle_user, p_match USING ERRCODE = 'SP005';
    END IF;
    IF NOT public.detect_vote_timeout(p_idle_user) THEN
        RAISE EXCEPTION 'the time to vote in match % is not over', p_match USING ERRCODE = 'SP005';
    END IF;
    v_partner := (SELECT CASE p_idle_user WHEN user1_id THEN user2_id ELSE user1_id END FROM public.matches WHERE id = p_match);
    v_partner_vote := (SELECT vote_type FROM public.votes WHERE match_id = p_match AND user_id = v_partner);
    PERFORM public.log_event('vote_timeout', p_idle_user,
        jsonb_build_object('match_id', p_match, 'related_user_id', v_partner, 'partner_vote', v_partner_vote),
        'INFO', 'handle_idle_voter');
    IF v_partner_vote IS NULL THEN
        DELETE FROM public.matches WHERE id = p_match;
        PERFORM public.queue_remove(v_partner, 'vote_timeout');
    ELSE
        PERFORM public.spark_break_match(p_match, p_idle_user, 'partner_idle',
            CASE v_partner_vote WHEN 'yes' THEN 'partner_idle_in_vote' END, false);
    END IF;
    PERFORM public.queue_remove(p_idle_user, 'vote_timeout');
END
$$;
