-- How much a user has waited for, as a number; boosts on top. Kept in the entry, where there is one.

CREATE FUNCTION public.calculate_fairness_score(p_user uuid) RETURNS numeric(10,2)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_wait numeric := 0;
    v_skips integer := 0;
    v_boost numeric := 0;
    v_others bigint;
    v_breadth numeric;
    v_score numeric(10,2);
BEGIN
    PERFORM public.spark_lock_profiles(ARRAY[p_user], NULL, true);
    PERFORM public.spark_require_user(p_user);
    SELECT greatest(extract(epoch FROM public.spark_now() - joined_at), 0), skip_count, fairness_boost
      INTO v_wait, v_skips, v_boost
      FROM public.matching_queue WHERE user_id = p_user;
    -- More than ten make no difference.
    SELECT count(*) INTO v_others
      FROM (SELECT FROM public.matching_queue WHERE user_id <> p_user AND status IN ('spin_active', 'queue_waiting') LIMIT 10) others;
    -- What the user wants by themselves: expansions are not held against them.
    SELECT (least(CASE WHEN expanded THEN original_max_age::bigint - original_min_age ELSE max_age::bigint - min_age END, 100) / 50.0
            + least(CASE WHEN expanded THEN original_max_distance ELSE max_distance END, 100000) / 200.0) / 2
      INTO v_breadth
      FROM public.user_preferences WHERE user_id = p_user;
    v_breadth := coalesce(v_breadth, ((30 - 18) / 50.0 + 50 / 200.0) / 2);
    v_score := least(coalesce(v_wait, 0) / 10, 500) + least(coalesce(v_skips, 0) * 50, 300) + (1 - v_breadth) * 100
        + greatest(0, (10 - v_others) * 10) + coalesce(v_boost, 0);
    UPDATE public.matching_queue SET fairness_score = v_score, updated_at = public.spark_now() WHERE user_id = p_user;
    RETURN v_score;
END
$$;
