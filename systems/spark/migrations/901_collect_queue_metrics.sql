-- Schedule queue-monitoring: the queue in numbers, kept in queue_metrics. Counted are those who are in it, waiting or with somebody;
-- tiers, score and wait are of those who wait.

-- Of whoever is counted: nothing here is written.
CREATE FUNCTION public.spark_measure_queue() RETURNS public.queue_metrics
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_m public.queue_metrics;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE p.gender = 'male'), count(*) FILTER (WHERE p.gender = 'female'),
           count(*) FILTER (WHERE p.gender IS NULL OR p.gender NOT IN ('male', 'female')),
           count(*) FILTER (WHERE q.status = 'spin_active'), count(*) FILTER (WHERE q.status = 'queue_waiting'),
           count(*) FILTER (WHERE q.status = 'paired'), count(*) FILTER (WHERE q.status = 'vote_active'),
           count(*) FILTER (WHERE w.tier = 1), count(*) FILTER (WHERE w.tier = 2), count(*) FILTER (WHERE w.tier = 3),
           coalesce(avg(q.fairness_score) FILTER (WHERE w.tier IS NOT NULL), 0),
           coalesce(avg(extract(epoch FROM v_now - q.joined_at)) FILTER (WHERE w.tier IS NOT NULL), 0)
      INTO v_m.total_users, v_m.male_count, v_m.female_count, v_m.other_count,
           v_m.spin_active_count, v_m.queue_waiting_count, v_m.paired_count, v_m.vote_active_count,
           v_m.tier1_count, v_m.tier2_count, v_m.tier3_count, v_m.avg_fairness_score, v_m.avg_wait_time_seconds
      FROM public.matching_queue q
      LEFT JOIN public.profiles p ON p.id = q.user_id,
           LATERAL (SELECT CASE WHEN q.status NOT IN ('spin_active', 'queue_waiting') THEN NULL
                                WHEN q.fairness_score >= 200 OR v_now - q.joined_at >= interval '120 seconds' THEN 1
                                WHEN q.fairness_score >= 50 THEN 2 ELSE 3 END AS tier) w
     WHERE q.status IN ('spin_active', 'queue_waiting', 'paired', 'vote_active');
    -- Men to a woman. Without women there is nothing to divide by: as many as there are men. An empty queue is balanced.
    v_m.supply_demand_ratio := CASE WHEN v_m.male_count = 0 AND v_m.female_count = 0 THEN 1
        ELSE v_m.male_count::numeric / greatest(v_m.female_count, 1) END;
    v_m.gender_imbalance_score := CASE WHEN v_m.male_count = 0 AND v_m.female_count = 0 THEN 0
        ELSE abs(v_m.male_count - v_m.female_count)::numeric / (v_m.male_count + v_m.female_count) END;
    v_m.recorded_at := v_now;
    v_m.id := gen_random_uuid();
    RETURN v_m;
END
$$;

CREATE FUNCTION public.collect_queue_metrics() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_m public.queue_metrics;
BEGIN
    v_m := public.spark_measure_queue();
    INSERT INTO public.queue_metrics SELECT v_m.*;
    RETURN jsonb_build_object(
        'total_users', v_m.total_users, 'male_count', v_m.male_count, 'female_count', v_m.female_count,
        'supply_demand_ratio', v_m.supply_demand_ratio, 'gender_imbalance_score', v_m.gender_imbalance_score,
        'avg_fairness_score', v_m.avg_fairness_score, 'avg_wait_time_seconds', v_m.avg_wait_time_seconds,
        'tier1_count', v_m.tier1_count, 'tier2_count', v_m.tier2_count, 'tier3_count', v_m.tier3_count,
        'needs_balancing',
        v_m.gender_imbalance_score > 0.3 OR v_m.supply_demand_ratio > 2 OR v_m.supply_demand_ratio < 0.5);
END
$$;
