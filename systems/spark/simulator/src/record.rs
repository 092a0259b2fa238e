//! What the eye writes down itself, at the moment at which it happens: the log and the tables do not keep it. It lies in a schema of its
//! own, is written by triggers in the transactions that it is about, locks nothing of theirs, and nothing but the eye reads it.

/// The statements that make it. The triggers fire whatever `session_replication_role` says: who plants something is seen too.
pub const STATEMENTS: &str = r"
CREATE SCHEMA simulator;

-- Of lines of the log: whom they were about, where the account is gone.
CREATE TABLE simulator.named (log_id uuid PRIMARY KEY, user_id uuid NOT NULL);
CREATE FUNCTION simulator.keep_name() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO simulator.named VALUES (OLD.id, OLD.user_id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER simulator_keeps_names AFTER UPDATE OF user_id ON public.spark_event_log
    FOR EACH ROW WHEN (OLD.user_id IS NOT NULL AND NEW.user_id IS NULL) EXECUTE FUNCTION simulator.keep_name();
ALTER TABLE public.spark_event_log ENABLE ALWAYS TRIGGER simulator_keeps_names;

-- Accounts that are gone.
CREATE TABLE simulator.gone (user_id uuid PRIMARY KEY, gender text, at timestamptz NOT NULL);
CREATE FUNCTION simulator.keep_gone() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO simulator.gone VALUES (OLD.id, OLD.gender, coalesce(nullif(current_setting('spark.now', true), '')::timestamptz, now()));
    RETURN NULL;
END $$;
CREATE TRIGGER simulator_keeps_gone AFTER DELETE ON public.profiles FOR EACH ROW EXECUTE FUNCTION simulator.keep_gone();
ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER simulator_keeps_gone;

-- The two of a match as they were when it was made: what they wanted by themselves, and with what was added by an expansion.
CREATE TABLE simulator.met (
    match_id uuid, user_id uuid, age integer, latitude double precision, longitude double precision,
    own_min_age integer, own_max_age integer, own_max_distance integer, min_age integer, max_age integer, max_distance integer,
    had_met boolean, PRIMARY KEY (match_id, user_id));
-- The two of a match as they were when it was deleted: where they were, and whether the other's account was gone with it.
CREATE TABLE simulator.parted (
    match_id uuid, user_id uuid, status text, disconnected_at timestamptz, is_left_behind boolean, PRIMARY KEY (match_id, user_id));
CREATE FUNCTION simulator.keep_match() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO simulator.met
        SELECT NEW.id, p.id, p.age, p.latitude, p.longitude,
               coalesce(CASE WHEN f.expanded THEN f.original_min_age ELSE f.min_age END, 18),
               coalesce(CASE WHEN f.expanded THEN f.original_max_age ELSE f.max_age END, 30),
               coalesce(CASE WHEN f.expanded THEN f.original_max_distance ELSE f.max_distance END, 50),
               coalesce(f.min_age, 18), coalesce(f.max_age, 30), coalesce(f.max_distance, 50),
               EXISTS (SELECT FROM public.match_history h
                        WHERE h.user1_id IN (NEW.user1_id, NEW.user2_id) AND h.user2_id IN (NEW.user1_id, NEW.user2_id))
          FROM public.profiles p LEFT JOIN public.user_preferences f ON f.user_id = p.id
         WHERE p.id IN (NEW.user1_id, NEW.user2_id)
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO simulator.parted
        SELECT OLD.id, u.id, q.status, q.disconnected_at, NOT EXISTS (SELECT FROM public.profiles p WHERE p.id = u.other)
          FROM (VALUES (OLD.user1_id, OLD.user2_id), (OLD.user2_id, OLD.user1_id)) u (id, other)
          LEFT JOIN public.matching_queue q ON q.user_id = u.id
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER simulator_keeps_matches AFTER INSERT OR DELETE ON public.matches FOR EACH ROW EXECUTE FUNCTION simulator.keep_match();
ALTER TABLE public.matches ENABLE ALWAYS TRIGGER simulator_keeps_matches;
";
