-- A boost is kept by itself, so that computing the score anew does not lose it, and boosts add up.

CREATE FUNCTION public.apply_fairness_boost(p_user uuid, p_amount numeric, p_reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM public.spark_lock_profiles(ARRAY[p_user], NULL, true);
    PERFORM public.spark_require_user(p_user);
    -- NaN is above every number.
    IF p_amount IS NULL OR round(p_amount, 2) <= 0 OR p_amount > 1000 THEN
        RAISE EXCEPTION 'a boost is above 0 and at most 1000, not %', coalesce(p_amount::text, 'NULL') USING ERRCODE = 'SP007';
    END IF;
    UPDATE public.matching_queue
       SET fairness_boost = fairness_boost + p_amount, fairness_score = fairness_score + p_amount, updated_at = public.spark_now()
     WHERE user_id = p_user;
    IF FOUND THEN
        PERFORM public.log_event('fairness_boost_applied', p_user, jsonb_build_object('boost_amount', p_amount, 'reason', p_reason),
            'INFO', 'apply_fairness_boost');
    END IF;
END
$$;
