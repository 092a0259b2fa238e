-- Whether the 30 seconds to vote are over in a user's match, and somebody has not voted.

CREATE FUNCTION public.detect_vote_timeout(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM public.spark_require_user(p_user);
    RETURN EXISTS (
        SELECT FROM public.match_participants mp JOIN public.matches m ON m.id = mp.match_id
         WHERE mp.user_id = p_user
           AND (m.metadata ->> 'voting_started_at')::timestamptz <= public.spark_now() - interval '30 seconds'
           AND 2 > (SELECT count(*) FROM public.votes v WHERE v.match_id = m.id AND v.user_id IN (m.user1_id, m.user2_id)));
END
$$;
