-- The way back. Behind it nothing could put wishes back that are widened just now: that is done here. Whoever writes any meanwhile is
-- waited for, and waits.

LOCK TABLE public.matching_queue, public.user_preferences IN SHARE ROW EXCLUSIVE MODE;

SELECT public.spark_put_wishes_back();

DROP FUNCTION public.reset_preference_expansion(uuid);
DROP FUNCTION public.apply_preference_expansion(uuid);
