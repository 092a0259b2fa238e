-- Whether a user has spun for 60 seconds.

CREATE FUNCTION public.detect_spin_timeout(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM spark_require_user(p_user);
    RETURN EXISTS (
        SELECT FROM matching_queue
         WHERE user_id = p_user AND status = 'spin_active'
           AND coalesce(last_spun_at, joined_at) <= spark_now() - interval '60 seconds');
END
$$;
