-- [Task] T-ISO-003
-- updated_at says when a row was changed, whatever a client says, and never goes back. A new message changes its conversation.
-- A trigger keeps writers out until its transaction ends: each has one of its own.

CREATE FUNCTION keep_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        -- The row is locked by now: whoever was waited for has written OLD.
        NEW.updated_at := greatest(OLD.updated_at, clock_timestamp());
    ELSIF NEW.updated_at > clock_timestamp() THEN
        -- A new row may bring its past along, and no future: it would be stuck there.
        NEW.updated_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;

-- Once a statement, and as whoever writes the messages: policies are asked here too. Conversations are locked in the order of their
-- ids, so that of two statements that write into the same ones, one waits. The lock goes together with the one that the
-- key of messages takes (KEY SHARE): of two messages for one conversation, neither waits for the other to give that back.
CREATE FUNCTION touch_conversations() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Until the function ends. Conversations are where the messages are, whatever the client's path.
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);
    PERFORM FROM conversations WHERE id IN (SELECT conversation_id FROM added) ORDER BY id FOR NO KEY UPDATE;
    UPDATE conversations SET updated_at = clock_timestamp() WHERE id IN (SELECT conversation_id FROM added);
    RETURN NULL;
END
$$;

-- cutover: new-transaction
-- cutover: allow create-trigger-locks it is alone in its transaction
CREATE TRIGGER users_keep_updated_at BEFORE INSERT OR UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION keep_updated_at();

-- cutover: new-transaction
-- cutover: allow create-trigger-locks it is alone in its transaction
CREATE TRIGGER tasks_keep_updated_at BEFORE INSERT OR UPDATE ON tasks
    FOR EACH ROW EXECUTE FUNCTION keep_updated_at();

-- cutover: new-transaction
-- cutover: allow create-trigger-locks it is alone in its transaction
CREATE TRIGGER conversations_keep_updated_at BEFORE INSERT OR UPDATE ON conversations
    FOR EACH ROW EXECUTE FUNCTION keep_updated_at();

-- cutover: new-transaction
-- cutover: allow create-trigger-locks it is alone in its transaction
CREATE TRIGGER messages_touch_conversations AFTER INSERT ON messages
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION touch_conversations();
