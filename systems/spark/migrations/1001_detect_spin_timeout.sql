-- Whether a user has spun for 60 seconds.

CREATE FUNCTION public.detect_spin_timeout(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM public.spark_require_user(p_user);
    RETURN EXISTS (
        SELECT FROM public.matching_queue
         WHERE user_id = p_user AND status = 'spin_active'
           AND coalesce(last_spun_at, joined_at) <= public.spark_now() - interval '60 seconds');
END
$$;
