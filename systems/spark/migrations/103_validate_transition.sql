-- Which event leads from where to where, and nothing else does.

CREATE FUNCTION public.validate_transition(p_state public.user_matching_state, p_event text, p_data jsonb)
RETURNS public.user_matching_state
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_state public.user_matching_state := coalesce(p_state, 'idle');
    v_from text[];
    v_to public.user_matching_state;
BEGIN
    CASE p_event
        WHEN 'spin_start' THEN
            v_from := '{idle,ended,disconnected,soft_offline,queue_waiting,paired,vote_active}';
            v_to := 'spin_active';
        WHEN 'queue_joined', 'spin_timeout' THEN
            v_from := '{spin_active}';
            v_to := 'queue_waiting';
        WHEN 'match_found' THEN
            v_from := '{queue_waiting,spin_active}';
            v_to := 'paired';
        WHEN 'reveal_complete' THEN
            v_from := '{paired}';
            v_to := 'vote_active';
        WHEN 'both_voted_yes' THEN
            v_from := '{vote_active}';
            v_to := 'video_date';
        WHEN 'one_voted_pass', 'partner_idle' THEN
            v_from := '{vote_active}';
            v_to := 'spin_active';
        WHEN 'session_ended' THEN
            v_from := '{video_date}';
            v_to := 'ended';
        WHEN 'user_disconnected' THEN
            v_from := enum_range(NULL::public.user_matching_state)::text[];
            v_to := 'soft_offline';
        WHEN 'user_reconnected' THEN
            v_from := '{soft_offline,disconnected}';
            v_to := CASE WHEN v_state::text = ANY (v_from) THEN public.determine_reconnect_state(p_data) END;
        WHEN 'grace_period_expired' THEN
            v_from := '{soft_offline}';
            v_to := 'disconnected';
        WHEN 'reveal_timeout', 'partner_reveal_timeout' THEN
            v_from := '{paired}';
            v_to := 'spin_active';
        WHEN 'partner_disconnected' THEN
            v_from := '{paired,vote_active}';
            v_to := 'spin_active';
        ELSE
            RAISE EXCEPTION 'unknown event %', public.spark_shown(p_event) USING ERRCODE = 'SP002';
    END CASE;
    IF v_state::text <> ALL (v_from) THEN
        RAISE EXCEPTION 'event % is not possible in state %', p_event, v_state USING ERRCODE = 'SP001';
    END IF;
    RETURN v_to;
END
$$;
