-- One advisory lock for whoever makes matches for many. It belongs to a session, or to a transaction: either keeps the other out,
-- and both go with their session.

CREATE FUNCTION public.spark_lock_key() RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 8010802202608026
$$;

-- For work over several transactions: kept until release_matching_lock, or until the session ends. False where somebody has it.
CREATE FUNCTION public.acquire_matching_lock() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN pg_try_advisory_lock(public.spark_lock_key());
END
$$;

-- Nothing happens where this session does not have it.
CREATE FUNCTION public.release_matching_lock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = 'error'
AS $$
BEGIN
    PERFORM pg_advisory_unlock(public.spark_lock_key());
END
$$;
