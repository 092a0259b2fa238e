-- Whether the engine may look for somebody for this user now.

CREATE FUNCTION public.is_matchable(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
         WHERE q.user_id = p_user AND q.status IN ('spin_active', 'queue_waiting')
           AND p.is_online AND p.gender IN ('male', 'female')
           AND NOT EXISTS (SELECT FROM public.match_participants mp WHERE mp.user_id = p_user));
END
$$;
