-- The backend that is live: join, pair and vote on tables of its own. It reads profiles and user_preferences, and must go on without
-- an error while the 44 files come and go.

CREATE TABLE public.old_queue (
    user_id uuid PRIMARY KEY REFERENCES public.profiles ON DELETE CASCADE,
    joined_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE public.old_pairs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user1_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    user2_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    outcome text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX old_pairs_user1_id ON public.old_pairs (user1_id);
CREATE INDEX old_pairs_user2_id ON public.old_pairs (user2_id);

CREATE TABLE public.old_votes (
    pair_id uuid NOT NULL REFERENCES public.old_pairs ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    vote text NOT NULL CONSTRAINT old_votes_vote CHECK (vote IN ('yes', 'pass')),
    PRIMARY KEY (pair_id, user_id)
);
CREATE INDEX old_votes_user_id ON public.old_votes (user_id);

CREATE FUNCTION public.old_join(p_user uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE public.profiles SET last_seen = now() WHERE id = p_user;
    INSERT INTO public.user_preferences (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
    INSERT INTO public.old_queue (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
END
$$;

-- Whoever has waited longest and wants somebody of that age. NULL where nobody is there.
CREATE FUNCTION public.old_pair(p_user uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_partner uuid;
    v_pair uuid;
BEGIN
    PERFORM FROM public.old_queue WHERE user_id = p_user FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT q.user_id INTO v_partner
      FROM public.old_queue q
      JOIN public.profiles me ON me.id = p_user
      JOIN public.user_preferences f ON f.user_id = q.user_id
     WHERE q.user_id <> p_user AND me.age BETWEEN f.min_age AND f.max_age
     ORDER BY q.joined_at
     LIMIT 1
       FOR UPDATE OF q SKIP LOCKED;
    IF v_partner IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM public.old_queue WHERE user_id IN (p_user, v_partner);
    INSERT INTO public.old_pairs (user1_id, user2_id) VALUES (p_user, v_partner) RETURNING id INTO v_pair;
    RETURN v_pair;
END
$$;

CREATE FUNCTION public.old_vote(p_user uuid, p_pair uuid, p_vote text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_outcome text;
BEGIN
    PERFORM FROM public.old_pairs WHERE id = p_pair AND p_user IN (user1_id, user2_id) FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'user % is not of pair %', p_user, p_pair;
    END IF;
    INSERT INTO public.old_votes (pair_id, user_id, vote) VALUES (p_pair, p_user, p_vote)
        ON CONFLICT (pair_id, user_id) DO UPDATE SET vote = excluded.vote;
    SELECT CASE WHEN bool_or(vote = 'pass') THEN 'pass' WHEN count(*) = 2 THEN 'date' ELSE 'waiting' END
      INTO v_outcome FROM public.old_votes WHERE pair_id = p_pair;
    UPDATE public.old_pairs SET outcome = v_outcome WHERE id = p_pair;
    RETURN v_outcome;
END
$$;
