-- [Task] T-M1-002
-- What was said in a conversation, by the user or by the agent.

CREATE TABLE messages (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            varchar(10) NOT NULL CHECK (role IN ('user', 'agent')),
    content         text NOT NULL,
    tool_calls      jsonb,
    created_at      timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_messages_conversation_id ON messages (conversation_id);
CREATE INDEX idx_messages_user_id ON messages (user_id);
CREATE INDEX idx_messages_conversation_id_created_at ON messages (conversation_id, created_at);
