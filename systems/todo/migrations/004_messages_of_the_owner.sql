-- [Task] T-ISO-001
-- A message's user owns its conversation: one key from both columns takes the place of the one from the conversation alone.
-- Each statement is a transaction of its own, so that the tables stay in use: the index is built beside writers, the rows are
-- looked at under a lock that keeps nobody from reading or writing, and at no moment is there no key.

-- What the key refers to. No two rows are equal in it: id alone is the primary key.
CREATE UNIQUE INDEX CONCURRENTLY conversations_id_user_id_key ON conversations (id, user_id);

ALTER TABLE conversations ADD CONSTRAINT conversations_id_user_id_key UNIQUE USING INDEX conversations_id_user_id_key;

-- cutover: allow foreign-key-without-index idx_messages_conversation_id finds them: a conversation's messages are all of one user
ALTER TABLE messages ADD CONSTRAINT messages_conversation_id_user_id_fkey
    FOREIGN KEY (conversation_id, user_id) REFERENCES conversations (id, user_id) ON DELETE CASCADE NOT VALID;

ALTER TABLE messages VALIDATE CONSTRAINT messages_conversation_id_user_id_fkey;

-- cutover: allow drop-foreign-key the key of both columns says this and more, and is valid by now
ALTER TABLE messages DROP CONSTRAINT messages_conversation_id_fkey;
