-- [Task] T-ISO-002
-- Who is served sees and changes what is theirs, whatever the statement says. The application connects as todo_app (or as a role that
-- was granted it) and says at the beginning of each transaction who is served: SET LOCAL app.user_id = '…'. The agent's messages
-- belong to the user whose conversation it is, and are written in that user's name.

-- Roles are of the whole server: another database of it may have made them, or be making them now. No way back drops them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'todo_app') THEN
        CREATE ROLE todo_app;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'todo_login') THEN
        CREATE ROLE todo_login;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

-- Whom this transaction serves. NULL, which is equal to nobody's id, where nothing is set or what is set is no uuid.
CREATE FUNCTION app_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN pg_catalog.current_setting('app.user_id', true)
                     OPERATOR(pg_catalog.~) '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
                THEN pg_catalog.current_setting('app.user_id', true)::pg_catalog.uuid END
$$;

-- Of everybody, the tables' owner too; superusers and roles with BYPASSRLS alone are not bound. In brackets, the function is asked
-- once a statement and not once a row.
CREATE POLICY users_own ON users
    USING (id = (SELECT app_user_id())) WITH CHECK (id = (SELECT app_user_id()));
CREATE POLICY tasks_own ON tasks
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY conversations_own ON conversations
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY messages_own ON messages
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));

-- Who logs in is nobody yet: their row is found by its address.
-- cutover: allow policy-always-true for todo_login alone, which may read three columns and write none
CREATE POLICY users_login ON users FOR SELECT TO todo_login USING (true);

-- Permissive policies add up, and what is granted too: of a role that is both, everything would be read without this one.
CREATE POLICY users_own_alone ON users AS RESTRICTIVE TO todo_app
    USING (id = (SELECT app_user_id())) WITH CHECK (id = (SELECT app_user_id()));

ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conversations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Not TRUNCATE, which asks no policy, nor REFERENCES, whose checks ask none.
GRANT SELECT, INSERT, UPDATE, DELETE ON users, tasks, conversations, messages TO todo_app;
GRANT SELECT (id, email, password_hash) ON users TO todo_login;
