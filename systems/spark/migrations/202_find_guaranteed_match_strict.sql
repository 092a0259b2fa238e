-- The third tier: no preferences, but everything that is never waived.

CREATE FUNCTION public.find_guaranteed_match_strict(p_user uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN public.find_candidate(p_user, 3);
END
$$;
