-- Crowds, for tests and for the bench.
CREATE SCHEMA crowd;
-- So many men and women who join, of all ages, over some hundred miles.
CREATE FUNCTION crowd.joins(men int, women int) RETURNS void LANGUAGE sql AS $$
    SELECT setseed(0.5);
    INSERT INTO public.profiles (id, name, age, gender, is_online, latitude, longitude)
    SELECT gen_random_uuid(), g, 18 + (random() * 42)::int, g, true, 40 + random() * 5, -75 + random() * 5
      FROM (SELECT 'male' AS g FROM generate_series(1, men) UNION ALL SELECT 'female' FROM generate_series(1, women)) p;
    INSERT INTO public.user_preferences (user_id, min_age, max_age, max_distance)
    SELECT id, greatest(18, age - 5), age + 5, 20 + random() * 80 FROM public.profiles WHERE random() < 0.9;
    SELECT count(public.queue_join(id)) FROM public.profiles;
$$;
-- So many who wait, and would go so many miles. Written directly: joining by the thousands is not what is measured. All tiers have more
-- than a tick takes.
CREATE FUNCTION crowd.waits(people int, miles int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.profiles (id, name, age, gender, is_online, latitude, longitude)
    SELECT gen_random_uuid(), '', 18 + n % 42, CASE n % 2 WHEN 0 THEN 'male' ELSE 'female' END, true, 40 + n % 97 / 20.0, -75 + n % 89 / 20.0
      FROM generate_series(1, people) n;
    INSERT INTO public.user_preferences (user_id, min_age, max_age, max_distance) SELECT id, age - 5, age + 5, miles FROM public.profiles;
    INSERT INTO public.matching_queue (user_id, status, fairness_score, spin_gender, spin_age, spin_latitude, spin_longitude)
    SELECT id, 'queue_waiting', random() * 400, gender, age, latitude, longitude FROM public.profiles;
$$;
