-- Writes what happened. data may name {match_id, related_user_id, message, source}, which have columns of their own. Whom or what an
-- entry is about need not be there any more: it is named in data all the same.

CREATE FUNCTION public.log_event(
    p_type text, p_user uuid DEFAULT NULL, p_data jsonb DEFAULT '{}', p_severity text DEFAULT 'INFO', p_fn text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_data jsonb := CASE WHEN p_data IS NULL THEN '{}' WHEN jsonb_typeof(p_data) = 'object' THEN p_data
        ELSE jsonb_build_object('data', p_data) END;
    v_user uuid := (SELECT id FROM public.profiles WHERE id = p_user);
    v_uuid text := '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$';
    v_related uuid := CASE WHEN v_data ->> 'related_user_id' ~ v_uuid THEN v_data ->> 'related_user_id' END;
    v_match uuid := CASE WHEN v_data ->> 'match_id' ~ v_uuid THEN v_data ->> 'match_id' END;
    v_id uuid;
BEGIN
    IF p_user IS NOT NULL AND v_user IS NULL THEN
        v_data := v_data || jsonb_build_object('user_id', p_user);
    END IF;
    INSERT INTO public.spark_event_log (event_type, event_category, event_message, event_data, user_id, related_user_id, match_id,
                                 "timestamp", severity, function_name, success, source)
    VALUES (p_type,
            CASE WHEN p_type = 'state_transition' THEN 'state_machine' ELSE split_part(p_type, '_', 1) END,
            coalesce(v_data ->> 'message', replace(p_type, '_', ' ')),
            v_data,
            v_user,
            (SELECT id FROM public.profiles WHERE id = v_related),
            (SELECT id FROM public.matches WHERE id = v_match),
            public.spark_now(),
            p_severity,
            p_fn,
            p_severity NOT IN ('ERROR', 'CRITICAL'),
            CASE WHEN v_data ->> 'source' IN ('frontend', 'scheduler', 'guardian') THEN v_data ->> 'source' ELSE 'backend' END)
    RETURNING id INTO v_id;
    RETURN v_id;
END
$$;
