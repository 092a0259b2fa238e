-- The way back. Whose wishes are widened just now has their own again before what they were is forgotten. The tables are locked first:
-- rows, and then a table, could lock each other out with whoever writes.

LOCK TABLE public.matching_queue, public.user_preferences IN ACCESS EXCLUSIVE MODE;

SELECT public.spark_put_wishes_back();

DROP FUNCTION public.spark_put_wishes_back();

ALTER TABLE public.user_preferences
    DROP COLUMN expanded,
    DROP COLUMN expanded_until,
    DROP COLUMN original_min_age,
    DROP COLUMN original_max_age,
    DROP COLUMN original_max_distance;

DROP INDEX public.matching_queue_expanded;
DROP INDEX public.matching_queue_offline;
DROP INDEX public.matching_queue_spinning;
DROP INDEX public.matching_queue_candidates;

ALTER TABLE public.matching_queue
    DROP COLUMN disconnected_at,
    DROP COLUMN state_before_offline,
    DROP COLUMN fairness_boost,
    DROP COLUMN engine_cycles,
    DROP COLUMN attempted_at,
    DROP COLUMN spin_gender,
    DROP COLUMN spin_age,
    DROP COLUMN spin_latitude,
    DROP COLUMN spin_longitude;
