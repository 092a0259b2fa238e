-- A male user with a female one; false for everybody else and for unknown users.

CREATE FUNCTION public.validate_gender_compatibility(p_user1 uuid, p_user2 uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM public.profiles one, public.profiles other
         WHERE one.id = p_user1 AND other.id = p_user2
           AND one.gender IN ('male', 'female') AND other.gender IN ('male', 'female') AND one.gender <> other.gender);
END
$$;

CREATE FUNCTION public.is_user_online(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM public.profiles WHERE id = p_user AND is_online);
END
$$;
