-- Schedule gender-balancing: where one gender is scarce, those of it who wait come first.

CREATE FUNCTION public.apply_gender_ratio_balancing() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET spark.source = 'scheduler'
AS $$
DECLARE
    v_m public.queue_metrics;
    v_scarce text;
    v_user uuid;
    v_boosted integer := 0;
BEGIN
    v_m := public.spark_measure_queue();
    IF v_m.gender_imbalance_score >= 0.3 THEN
        v_scarce := CASE WHEN v_m.male_count < v_m.female_count THEN 'male' ELSE 'female' END;
        FOR v_user IN
            SELECT q.user_id FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
             WHERE q.status IN ('spin_active', 'queue_waiting') AND q.fairness_score < 200
               AND p.is_online AND p.gender = v_scarce
             ORDER BY q.fairness_score DESC, q.joined_at, q.user_id LIMIT 20
               FOR KEY SHARE OF p SKIP LOCKED FOR UPDATE OF q SKIP LOCKED
        LOOP
            PERFORM public.apply_fairness_boost(v_user, 10, 'gender_balancing');
            v_boosted := v_boosted + 1;
        END LOOP;
    END IF;
    RETURN jsonb_build_object('gender_imbalance_score', v_m.gender_imbalance_score, 'scarce_gender', v_scarce,
        'boosted', v_boosted);
END
$$;
