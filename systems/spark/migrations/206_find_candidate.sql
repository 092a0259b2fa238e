-- The best candidate of a tier who is free: whose profile, preferences and entry nobody has locked. They stay locked until the
-- transaction ends.
--
-- Candidates are read in the order of an index until one fits, and each is looked up by its key: OFFSET 0 and the settings keep the
-- plan to that, whatever is known of the tables, and to one plan a session. A plan that sorts, or is compiled first, costs more than the
-- whole search.

CREATE FUNCTION public.find_candidate(p_user uuid, p_tier integer) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off
SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_me public.profiles;
    v_wanted text;
    v_min_age integer := 18;
    v_max_age integer := 30;
    v_max_distance integer := 50;
    v_latitude double precision;
    v_longitude double precision;
    v_exact boolean := p_tier = 1;
    v_found uuid;
BEGIN
    IF p_tier IS NULL OR p_tier NOT IN (1, 2, 3) THEN
        RAISE EXCEPTION 'there is no tier %, only 1, 2 and 3', coalesce(p_tier::text, 'NULL') USING ERRCODE = 'SP007';
    END IF;
    SELECT * INTO v_me FROM public.profiles WHERE id = p_user;
    v_wanted := CASE v_me.gender WHEN 'male' THEN 'female' WHEN 'female' THEN 'male' END;
    IF v_wanted IS NULL THEN
        RETURN NULL;
    END IF;

    IF p_tier = 3 THEN
        SELECT q.user_id INTO v_found
          FROM public.matching_queue q
         CROSS JOIN LATERAL (SELECT * FROM public.profiles WHERE id = q.user_id OFFSET 0) p
         WHERE q.status IN ('spin_active', 'queue_waiting') AND q.user_id <> p_user
           AND coalesce(q.spin_gender = v_wanted, true)
           AND p.is_online AND p.gender = v_wanted
           -- Asked last, of those who are left: the name is the profile's, so that it comes behind the join.
           AND public.spark_may_match(p_user, p.id) AND public.spark_hold(p.id)
         ORDER BY q.fairness_score DESC, q.joined_at, q.user_id
         LIMIT 1
           FOR UPDATE OF q SKIP LOCKED;
        RETURN v_found;
    END IF;

    SELECT CASE WHEN v_exact AND expanded THEN original_min_age ELSE min_age END,
           CASE WHEN v_exact AND expanded THEN original_max_age ELSE max_age END,
           CASE WHEN v_exact AND expanded THEN original_max_distance ELSE max_distance END
      INTO v_min_age, v_max_age, v_max_distance
      FROM public.user_preferences WHERE user_id = p_user;
    IF NOT FOUND THEN
        v_min_age := 18;
        v_max_age := 30;
        v_max_distance := 50;
    END IF;
    v_latitude := v_me.latitude;
    v_longitude := v_me.longitude;

    SELECT q.user_id INTO v_found
      FROM public.matching_queue q
     CROSS JOIN LATERAL (SELECT * FROM public.profiles WHERE id = q.user_id OFFSET 0) p
      LEFT JOIN LATERAL (SELECT * FROM public.user_preferences WHERE user_id = q.user_id OFFSET 0) f ON true
     WHERE q.status IN ('spin_active', 'queue_waiting') AND q.user_id <> p_user
       -- What the spin began with, where it is known: a first sieve, which costs nothing.
       AND coalesce(q.spin_gender = v_wanted AND q.spin_age BETWEEN v_min_age AND v_max_age, true)
       AND coalesce(abs(q.spin_latitude - v_latitude) * 69 <= v_max_distance, true)
       AND p.is_online AND p.gender = v_wanted
       AND p.age BETWEEN v_min_age AND v_max_age
       AND v_me.age >= CASE WHEN v_exact AND f.expanded THEN f.original_min_age ELSE coalesce(f.min_age, 18) END
       AND v_me.age <= CASE WHEN v_exact AND f.expanded THEN f.original_max_age ELSE coalesce(f.max_age, 30) END
       -- Miles on a sphere, within what both want. Unknown places are near enough.
       AND CASE WHEN v_latitude IS NULL OR v_longitude IS NULL OR p.latitude IS NULL OR p.longitude IS NULL THEN true
           ELSE 2 * 3958.8 * asin(least(1, sqrt(
                    power(sind((p.latitude::double precision - v_latitude) / 2), 2)
                    + cosd(v_latitude) * cosd(p.latitude::double precision)
                    * power(sind((p.longitude::double precision - v_longitude) / 2), 2))))
                <= least(v_max_distance,
                         CASE WHEN v_exact AND f.expanded THEN f.original_max_distance ELSE coalesce(f.max_distance, 50) END)
           END
       AND public.spark_may_match(p_user, coalesce(f.user_id, p.id))
       AND NOT (v_exact AND (
           EXISTS (SELECT FROM public.match_history h WHERE h.user1_id = p_user AND h.user2_id = q.user_id)
           OR EXISTS (SELECT FROM public.match_history h WHERE h.user1_id = q.user_id AND h.user2_id = p_user)))
       AND public.spark_hold(coalesce(f.user_id, p.id))
     ORDER BY q.fairness_score DESC, q.joined_at, q.user_id
     LIMIT 1
       FOR UPDATE OF q SKIP LOCKED;
    RETURN v_found;
END
$$;
