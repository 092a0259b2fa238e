-- [Task] T-008
-- Accounts. Everything else belongs to one of them.

CREATE TABLE users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email         varchar(255) NOT NULL UNIQUE,
    password_hash varchar(255) NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- The unique constraint has an index of its own; this one repeats it.
CREATE INDEX idx_users_email ON users (email);
