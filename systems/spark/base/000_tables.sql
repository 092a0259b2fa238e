-- The tables that exist before: what the live service has, and what the 44 files must find.

CREATE TABLE public.profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    age integer NOT NULL,
    bio text,
    photo text,
    location text,
    latitude numeric(10,8),
    longitude numeric(11,8),
    gender text CONSTRAINT profiles_gender CHECK (gender IN ('male', 'female', 'non-binary', 'prefer_not_to_say')),
    is_online boolean NOT NULL DEFAULT false,
    last_seen timestamptz,
    visibility_penalty integer NOT NULL DEFAULT 0,
    onboarding_completed boolean NOT NULL DEFAULT false,
    last_active_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE public.user_preferences (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL UNIQUE REFERENCES public.profiles ON DELETE CASCADE,
    min_age integer NOT NULL DEFAULT 18,
    max_age integer NOT NULL DEFAULT 30,
    max_distance integer NOT NULL DEFAULT 50,
    gender_preference text NOT NULL DEFAULT 'all'
        CONSTRAINT user_preferences_gender CHECK (gender_preference IN ('male', 'female', 'non-binary', 'all')),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- A pair may match again later: nothing makes (user1_id, user2_id) unique.
CREATE TABLE public.matches (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user1_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    user2_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    matched_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'pending' CONSTRAINT matches_status CHECK (status IN
        ('pending', 'matched', 'video_date_scheduled', 'video_date_completed', 'contact_exchanged', 'unmatched')),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT matches_users_in_order CHECK (user1_id < user2_id)
);
CREATE INDEX matches_user1_id ON public.matches (user1_id);
CREATE INDEX matches_user2_id ON public.matches (user2_id);

CREATE TABLE public.votes (
    match_id uuid NOT NULL REFERENCES public.matches ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    vote_type text NOT NULL CONSTRAINT votes_type CHECK (vote_type IN ('yes', 'pass')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (match_id, user_id)
);
CREATE INDEX votes_user_id ON public.votes (user_id);

CREATE TABLE public.blocked_users (
    blocker_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    blocked_user_id uuid NOT NULL REFERENCES public.profiles ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (blocker_id, blocked_user_id),
    CONSTRAINT blocked_users_different CHECK (blocker_id <> blocked_user_id)
);
CREATE INDEX blocked_users_blocked_user_id ON public.blocked_users (blocked_user_id);

-- Whoever is in a pending match, once: this key makes two pending matches of one user impossible.
CREATE TABLE public.match_participants (
    user_id uuid PRIMARY KEY REFERENCES public.profiles ON DELETE CASCADE,
    match_id uuid NOT NULL REFERENCES public.matches ON DELETE CASCADE
);
CREATE INDEX match_participants_match_id ON public.match_participants (match_id);

CREATE FUNCTION public.keep_match_participants() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status = 'pending' THEN
        DELETE FROM public.match_participants WHERE match_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'pending' THEN
        -- The lower id first, as everywhere.
        INSERT INTO public.match_participants (user_id, match_id) VALUES (NEW.user1_id, NEW.id);
        INSERT INTO public.match_participants (user_id, match_id) VALUES (NEW.user2_id, NEW.id);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER matches_keep_participants
    AFTER INSERT OR DELETE OR UPDATE OF status, user1_id, user2_id ON public.matches
    FOR EACH ROW EXECUTE FUNCTION public.keep_match_participants();

-- No key to profiles: an entry can outlive its profile, and the guardian takes it away. status is one of user_matching_state,
-- which comes with 101.
CREATE TABLE public.matching_queue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL UNIQUE,
    joined_at timestamptz NOT NULL DEFAULT now(),
    fairness_score numeric(10,2) NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'idle',
    skip_count integer NOT NULL DEFAULT 0,
    expansion_level integer NOT NULL DEFAULT 0,
    last_expansion_at timestamptz,
    last_spun_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
