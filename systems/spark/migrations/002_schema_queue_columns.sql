-- What a queue entry and preferences must remember. The only file that touches tables which exist before.

ALTER TABLE public.matching_queue
    ADD COLUMN disconnected_at timestamptz,
    -- Where a user was who went offline.
    ADD COLUMN state_before_offline text,
    -- The part of fairness_score that was given and not computed.
    ADD COLUMN fairness_boost numeric(10,2) NOT NULL DEFAULT 0,
    -- How often the engine has tried a guaranteed match for this spin, and when it looked for this user last.
    ADD COLUMN engine_cycles integer NOT NULL DEFAULT 0,
    ADD COLUMN attempted_at timestamptz,
    -- What the profile said when the spin began: with it most of those who do not fit are passed by without a look at theirs.
    ADD COLUMN spin_gender text,
    ADD COLUMN spin_age integer,
    ADD COLUMN spin_latitude double precision,
    ADD COLUMN spin_longitude double precision;

ALTER TABLE public.user_preferences
    ADD COLUMN expanded boolean NOT NULL DEFAULT false,
    ADD COLUMN expanded_until timestamptz,
    ADD COLUMN original_min_age integer,
    ADD COLUMN original_max_age integer,
    ADD COLUMN original_max_distance integer;

-- Candidates in the order in which they are taken.
-- cutover: allow create-index-blocks-writes the queue holds who waits now, and nobody before these files are whole
-- cutover: allow work-while-holding-access-exclusive the queue holds who waits now, and nobody before these files are whole
CREATE INDEX matching_queue_candidates ON public.matching_queue (fairness_score DESC, joined_at, user_id)
    WHERE status IN ('spin_active', 'queue_waiting');
-- cutover: allow create-index-blocks-writes as above
-- cutover: allow work-while-holding-access-exclusive as above
CREATE INDEX matching_queue_spinning ON public.matching_queue ((coalesce(last_spun_at, joined_at)))
    WHERE status = 'spin_active';
-- cutover: allow create-index-blocks-writes as above
-- cutover: allow work-while-holding-access-exclusive as above
CREATE INDEX matching_queue_offline ON public.matching_queue (disconnected_at)
    WHERE status IN ('soft_offline', 'disconnected');
-- cutover: allow create-index-blocks-writes as above
-- cutover: allow work-while-holding-access-exclusive as above
CREATE INDEX matching_queue_expanded ON public.matching_queue (user_id) WHERE expansion_level > 0;

-- Gives all whose wishes are widened their own again. For the way back, which must not forget them.
CREATE FUNCTION public.spark_put_wishes_back() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE public.user_preferences SET
        min_age = coalesce(original_min_age, min_age),
        max_age = coalesce(original_max_age, max_age),
        max_distance = coalesce(original_max_distance, max_distance),
        original_min_age = NULL, original_max_age = NULL, original_max_distance = NULL,
        expanded = false, expanded_until = NULL
     WHERE expanded;
    -- Else who waits would not be widened again, once all this is applied again.
    UPDATE public.matching_queue SET expansion_level = 0 WHERE expansion_level <> 0;
END
$$;
