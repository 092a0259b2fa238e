-- Who was matched with whom, and who said yes to each other. And what time it is, which every later file asks.

-- The time of all that is done here. It is the transaction's, not the clock's: whatever one tick, vote or heartbeat compares is
-- compared at one moment, and a condition on it can be answered from an index. Tests say what time it is with
-- SET spark.now = '2026-01-01 12:00:10+00'. Whoever can set that can write the tables as well: it gives nobody more.
CREATE FUNCTION public.spark_now() RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := coalesce(nullif(current_setting('spark.now', true), '')::timestamptz, now());
BEGIN
    IF NOT isfinite(v_now) THEN
        RAISE EXCEPTION 'it is never %', v_now USING ERRCODE = 'SP007';
    END IF;
    RETURN v_now;
END
$$;

-- match_id refers to nothing: history outlives the match.
CREATE TABLE public.match_history (
    id uuid CONSTRAINT match_history_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user1_id uuid NOT NULL CONSTRAINT match_history_user1_id_fkey REFERENCES public.profiles ON DELETE CASCADE,
    user2_id uuid NOT NULL CONSTRAINT match_history_user2_id_fkey REFERENCES public.profiles ON DELETE CASCADE,
    match_id uuid,
    created_at timestamptz NOT NULL DEFAULT public.spark_now(),
    CONSTRAINT match_history_once UNIQUE (user1_id, user2_id, match_id)
);
CREATE INDEX match_history_users ON public.match_history (user1_id, user2_id, created_at);
CREATE INDEX match_history_user2_id ON public.match_history (user2_id);
CREATE INDEX match_history_created_at ON public.match_history (created_at);

CREATE TABLE public.yes_yes_pairs (
    id uuid CONSTRAINT yes_yes_pairs_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user1_id uuid NOT NULL CONSTRAINT yes_yes_pairs_user1_id_fkey REFERENCES public.profiles ON DELETE CASCADE,
    user2_id uuid NOT NULL CONSTRAINT yes_yes_pairs_user2_id_fkey REFERENCES public.profiles ON DELETE CASCADE,
    match_id uuid,
    created_at timestamptz NOT NULL DEFAULT public.spark_now()
);
-- One row for two people, whoever of them is called the first.
CREATE UNIQUE INDEX yes_yes_pairs_once ON public.yes_yes_pairs (least(user1_id, user2_id), greatest(user1_id, user2_id));
CREATE INDEX yes_yes_pairs_user1_id ON public.yes_yes_pairs (user1_id);
CREATE INDEX yes_yes_pairs_user2_id ON public.yes_yes_pairs (user2_id);
