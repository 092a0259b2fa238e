-- Whether the 30 seconds to vote are over in a user's match, and somebody has not voted.

-- The time that a text says, or NULL where it says none.
CREATE FUNCTION public.spark_time(p_text text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- No word that means another time whenever it is asked, as 'now' does.
    RETURN CASE WHEN p_text ~ '^[0-9]' THEN p_text::timestamptz END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- When the vote of a match began; NULL where it has not. Where its metadata say no time, or none that it can have begun at (before the
-- match, or later than now by more than clocks differ), it is the match's: so nobody's time to vote is without an end.
CREATE FUNCTION public.spark_voting_since(p_match public.matches) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_at timestamptz := public.spark_time(p_match.metadata ->> 'voting_started_at');
BEGIN
    RETURN CASE WHEN NOT p_match.metadata ? 'voting_started_at' THEN NULL
        WHEN v_at BETWEEN p_match.matched_at AND public.spark_now() + interval '1 minute' THEN v_at
        WHEN isfinite(p_match.matched_at) THEN p_match.matched_at
        ELSE '-infinity' END;
END
$$;

CREATE FUNCTION public.detect_vote_timeout(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM public.spark_require_user(p_user);
    RETURN EXISTS (
        SELECT FROM public.match_participants mp JOIN public.matches m ON m.id = mp.match_id
         WHERE mp.user_id = p_user
           AND public.spark_voting_since(m) <= public.spark_now() - interval '30 seconds'
           AND 2 > (SELECT count(*) FROM public.votes v WHERE v.match_id = m.id AND v.user_id IN (m.user1_id, m.user2_id)));
END
$$;
