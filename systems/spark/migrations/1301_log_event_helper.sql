-- Writes what happened. data may name {match_id, related_user_id, message, source}, which have columns of their own. Whom or what an
-- entry is about need not be there any more, or may be deleted just now: it is named in data all the same, and not waited for. Without a
-- source in data it is that of spark.source, which the schedules set.

CREATE FUNCTION public.log_event(
    p_type text, p_user uuid DEFAULT NULL, p_data jsonb DEFAULT '{}', p_severity text DEFAULT 'INFO', p_fn text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_data jsonb := CASE WHEN p_data IS NULL THEN '{}' WHEN jsonb_typeof(p_data) = 'object' THEN p_data
        ELSE jsonb_build_object('data', p_data) END;
    v_uuid text := '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$';
    v_user uuid;
    v_related uuid := CASE WHEN v_data ->> 'related_user_id' ~ v_uuid THEN v_data ->> 'related_user_id' END;
    v_match uuid := CASE WHEN v_data ->> 'match_id' ~ v_uuid THEN v_data ->> 'match_id' END;
    v_source text := coalesce(v_data ->> 'source', current_setting('spark.source', true));
    v_id uuid;
BEGIN
    IF p_type IS NULL THEN
        RAISE EXCEPTION 'an event has a type, not NULL' USING ERRCODE = 'SP007';
    ELSIF p_severity IS NULL OR p_severity NOT IN ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL') THEN
        RAISE EXCEPTION 'a severity is DEBUG, INFO, WARNING, ERROR or CRITICAL, not %', public.spark_shown(p_severity)
            USING ERRCODE = 'SP007';
    END IF;
    -- What the keys of the row refer to stays until the transaction ends: so writing it neither waits nor fails.
    SELECT id INTO v_user FROM public.profiles WHERE id = p_user FOR KEY SHARE SKIP LOCKED;
    SELECT id INTO v_related FROM public.profiles WHERE id = v_related FOR KEY SHARE SKIP LOCKED;
    SELECT id INTO v_match FROM public.matches WHERE id = v_match FOR KEY SHARE SKIP LOCKED;
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
            v_related,
            v_match,
            public.spark_now(),
            p_severity,
            p_fn,
            p_severity NOT IN ('ERROR', 'CRITICAL'),
            CASE WHEN v_source IN ('frontend', 'scheduler', 'guardian') THEN v_source ELSE 'backend' END)
    RETURNING id INTO v_id;
    RETURN v_id;
END
$$;
