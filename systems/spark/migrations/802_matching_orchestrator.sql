-- Schedule matching-orchestrator: one tick is one transaction. Its lock is the transaction's and goes with it however it ends, and
-- not before others see the matches.

-- One user's search within a tick. What of them is free was made sure of before; whatever else somebody has locked is not waited for long.
CREATE FUNCTION public.spark_tick_for(p_user uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms'
AS $$
BEGIN
    RETURN public.spark_engine(p_user, 1);
END
$$;

CREATE FUNCTION public.matching_orchestrator() RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off SET spark.source = 'scheduler'
AS $$
DECLARE
    v_now timestamptz := public.spark_now();
    v_user uuid;
    v_tier integer;
    v_processed integer[] := '{0,0,0}';
    v_matched integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(public.spark_lock_key()) THEN
        RETURN jsonb_build_object('status', 'locked');
    END IF;

    -- At most so many a tick: the others are as well off in the next one. Who has no profile is the guardian's.
    FOR v_user IN
        SELECT q.user_id FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
         WHERE q.status = 'spin_active' AND coalesce(q.last_spun_at, q.joined_at) <= v_now - interval '60 seconds'
         ORDER BY coalesce(q.last_spun_at, q.joined_at) LIMIT 500
           FOR KEY SHARE OF p SKIP LOCKED FOR UPDATE OF q SKIP LOCKED
    LOOP
        PERFORM public.state_machine_transition(v_user, 'spin_timeout');
    END LOOP;
    -- What profiles say by now.
    FOR v_user IN
        SELECT q.user_id FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
         WHERE q.status IN ('spin_active', 'queue_waiting')
           AND (q.spin_gender, q.spin_age, q.spin_latitude, q.spin_longitude)
               IS DISTINCT FROM (p.gender, p.age, p.latitude, p.longitude)
         ORDER BY q.user_id LIMIT 500
           FOR KEY SHARE OF p SKIP LOCKED FOR UPDATE OF q SKIP LOCKED
    LOOP
        UPDATE public.matching_queue q
           SET spin_gender = p.gender, spin_age = p.age, spin_latitude = p.latitude, spin_longitude = p.longitude
          FROM public.profiles p WHERE q.user_id = v_user AND p.id = v_user;
    END LOOP;
    FOR v_user IN
        SELECT q.user_id FROM public.matching_queue q JOIN public.user_preferences f ON f.user_id = q.user_id
          JOIN public.profiles p ON p.id = q.user_id
         WHERE q.expansion_level > 0 AND f.expanded_until <= v_now
         ORDER BY f.expanded_until LIMIT 500
           FOR KEY SHARE OF p SKIP LOCKED FOR UPDATE OF q SKIP LOCKED FOR NO KEY UPDATE OF f SKIP LOCKED
    LOOP
        PERFORM public.reset_preference_expansion(v_user);
    END LOOP;

    -- Of each tier those who were looked for least recently, so that nobody for whom nobody is there keeps the others waiting.
    FOR v_user, v_tier IN
        WITH waiting AS (
            SELECT q.user_id, q.attempted_at, q.skip_count, q.fairness_score, q.joined_at,
                   CASE WHEN q.fairness_score >= 200 OR v_now - q.joined_at >= interval '120 seconds' THEN 1
                        WHEN q.fairness_score >= 50 THEN 2 ELSE 3 END AS tier
              FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
             WHERE q.status IN ('spin_active', 'queue_waiting') AND isfinite(q.joined_at) AND p.is_online AND p.gender IN ('male', 'female')
        ), ranked AS (
            SELECT user_id, tier,
                   row_number() OVER (PARTITION BY tier ORDER BY attempted_at NULLS FIRST, skip_count,
                                      fairness_score DESC, joined_at, user_id) AS n
              FROM waiting
        )
        SELECT user_id, tier FROM ranked WHERE n <= 20 ORDER BY tier, n
    LOOP
        -- Matched in this tick already, or being changed by somebody.
        CONTINUE WHEN NOT public.spark_hold(v_user);
        PERFORM FROM public.matching_queue
         WHERE user_id = v_user AND status IN ('spin_active', 'queue_waiting') FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            CONTINUE;
        END IF;
        v_processed[v_tier] := v_processed[v_tier] + 1;
        BEGIN
            IF public.spark_tick_for(v_user) IS NOT NULL THEN
                v_matched := v_matched + 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- Somebody is at it; the next tick looks again.
        WHEN OTHERS THEN
            -- One entry that something is wrong with does not stop everybody's matching.
            PERFORM public.log_event('matching_failed', v_user, jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM),
                'ERROR', 'matching_orchestrator');
        END;
    END LOOP;
    RETURN jsonb_build_object(
        'status', 'success', 'tier1_processed', v_processed[1], 'tier2_processed', v_processed[2],
        'tier3_processed', v_processed[3], 'total_processed', v_processed[1] + v_processed[2] + v_processed[3],
        'matched', v_matched);
END
$$;
