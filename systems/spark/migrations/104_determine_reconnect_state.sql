-- Where somebody comes back to. data names the user: {user_id}.

CREATE FUNCTION public.determine_reconnect_state(p_data jsonb) RETURNS public.user_matching_state
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user uuid;
    v_match public.matches;
    v_partner uuid;
BEGIN
    IF (p_data ->> 'user_id' ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$') IS NOT TRUE THEN
        RAISE EXCEPTION 'user_id must be a uuid, not %', public.spark_shown(p_data ->> 'user_id') USING ERRCODE = 'SP007';
    END IF;
    v_user := p_data ->> 'user_id';
    SELECT m.* INTO v_match FROM public.match_participants mp JOIN public.matches m ON m.id = mp.match_id WHERE mp.user_id = v_user;
    IF NOT FOUND THEN
        RETURN 'queue_waiting';
    END IF;
    v_partner := CASE v_user WHEN v_match.user1_id THEN v_match.user2_id ELSE v_match.user1_id END;
    IF EXISTS (SELECT FROM public.votes WHERE match_id = v_match.id AND user_id = v_partner AND vote_type = 'pass') THEN
        RETURN 'spin_active';
    ELSIF v_match.metadata -> 'revealed_users' ?& ARRAY[v_user::text, v_partner::text]
        OR EXISTS (SELECT FROM public.votes WHERE match_id = v_match.id AND user_id = v_user)
    THEN
        RETURN 'vote_active';
    END IF;
    RETURN 'paired';
END
$$;
