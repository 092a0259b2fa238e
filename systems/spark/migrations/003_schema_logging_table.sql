-- What happened, in the words of the functions. Rows outlive whom and what they are about.

CREATE TABLE public.spark_event_log (
    id uuid CONSTRAINT spark_event_log_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type text NOT NULL,
    event_category text,
    event_message text,
    event_data jsonb NOT NULL DEFAULT '{}',
    user_id uuid CONSTRAINT spark_event_log_user_id_fkey REFERENCES public.profiles ON DELETE SET NULL,
    related_user_id uuid CONSTRAINT spark_event_log_related_user_id_fkey REFERENCES public.profiles ON DELETE SET NULL,
    match_id uuid CONSTRAINT spark_event_log_match_id_fkey REFERENCES public.matches ON DELETE SET NULL,
    "timestamp" timestamptz NOT NULL DEFAULT public.spark_now(),
    severity text NOT NULL DEFAULT 'INFO'
        CONSTRAINT spark_event_log_severity CHECK (severity IN ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')),
    function_name text,
    success boolean NOT NULL DEFAULT true,
    source text NOT NULL DEFAULT 'backend'
        CONSTRAINT spark_event_log_source CHECK (source IN ('frontend', 'backend', 'scheduler', 'guardian'))
);
CREATE INDEX spark_event_log_timestamp ON public.spark_event_log ("timestamp" DESC);
CREATE INDEX spark_event_log_user_id ON public.spark_event_log (user_id, "timestamp" DESC);
CREATE INDEX spark_event_log_event_type ON public.spark_event_log (event_type, "timestamp" DESC);
CREATE INDEX spark_event_log_match_id ON public.spark_event_log (match_id, "timestamp" DESC);
CREATE INDEX spark_event_log_errors ON public.spark_event_log ("timestamp" DESC) WHERE severity IN ('ERROR', 'CRITICAL');
CREATE INDEX spark_event_log_transitions ON public.spark_event_log (user_id, "timestamp" DESC)
    WHERE event_type = 'state_transition';
-- For the key: a profile that goes takes its name out of here.
CREATE INDEX spark_event_log_related_user_id ON public.spark_event_log (related_user_id) WHERE related_user_id IS NOT NULL;

-- Two accounts that are deleted at once would each take the other's name out of rows that the first has locked: of A about B, and of B
-- about A. So deletions go one after the other, each taking its turn before it locks anything. Nothing else takes this lock.
CREATE FUNCTION public.spark_deletions_take_turns() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(3003202608028010);
    RETURN NULL;
END
$$;

-- cutover: allow create-trigger-locks the foreign keys above have the same lock already
CREATE TRIGGER spark_deletions_take_turns
    BEFORE DELETE ON public.profiles FOR EACH STATEMENT EXECUTE FUNCTION public.spark_deletions_take_turns();
