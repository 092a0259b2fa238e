-- Whether a user is in a pending match.

CREATE FUNCTION public.is_user_already_matched(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM public.match_participants WHERE user_id = p_user);
END
$$;
