-- The queue, measured every 30 seconds.

CREATE TABLE public.queue_metrics (
    id uuid CONSTRAINT queue_metrics_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    recorded_at timestamptz NOT NULL DEFAULT public.spark_now(),
    total_users integer NOT NULL DEFAULT 0,
    male_count integer NOT NULL DEFAULT 0,
    female_count integer NOT NULL DEFAULT 0,
    other_count integer NOT NULL DEFAULT 0,
    spin_active_count integer NOT NULL DEFAULT 0,
    queue_waiting_count integer NOT NULL DEFAULT 0,
    paired_count integer NOT NULL DEFAULT 0,
    vote_active_count integer NOT NULL DEFAULT 0,
    tier1_count integer NOT NULL DEFAULT 0,
    tier2_count integer NOT NULL DEFAULT 0,
    tier3_count integer NOT NULL DEFAULT 0,
    supply_demand_ratio numeric(10,4),
    gender_imbalance_score numeric(10,4),
    avg_fairness_score numeric(10,2),
    avg_wait_time_seconds integer
);
CREATE INDEX queue_metrics_recorded_at ON public.queue_metrics (recorded_at DESC);
