-- The third tier: no preferences, but everything that is never waived.

CREATE FUNCTION public.find_guaranteed_match_strict(p_user uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN public.find_candidate(p_user, 3);
END
$$;

-- Whether anybody eligible is online at all: also who met this user a moment ago, or is busy just now. Settings as in 206, for the same reasons.
CREATE FUNCTION public.spark_is_anybody_there(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_wanted text := (SELECT CASE gender WHEN 'male' THEN 'female' WHEN 'female' THEN 'male' END FROM public.profiles WHERE id = p_user);
BEGIN
    PERFORM
      FROM public.matching_queue q
     CROSS JOIN LATERAL (SELECT * FROM public.profiles WHERE id = q.user_id OFFSET 0) p
     WHERE q.status IN ('spin_active', 'queue_waiting') AND q.user_id <> p_user
       AND coalesce(q.spin_gender = v_wanted, true)
       AND p.is_online AND p.gender = v_wanted
       AND public.spark_are_eligible(p_user, p.id)
     LIMIT 1;
    RETURN FOUND;
END
$$;
