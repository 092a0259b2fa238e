-- Whether a user's match has waited 15 seconds for a reveal, the user's own or the partner's.

CREATE FUNCTION public.detect_reveal_timeout(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM public.spark_require_user(p_user);
    RETURN EXISTS (
        SELECT FROM public.match_participants mp JOIN public.matches m ON m.id = mp.match_id
         WHERE mp.user_id = p_user AND NOT m.metadata ? 'voting_started_at'
           AND NOT coalesce(m.metadata -> 'revealed_users', '[]') ?& ARRAY[m.user1_id::text, m.user2_id::text]
           AND m.matched_at <= public.spark_now() - interval '15 seconds');
END
$$;
