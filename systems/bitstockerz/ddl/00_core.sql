-- Core: who may sign in.

-- A person with an account. Closing it sets deleted_at; the row stays, because what hangs on it stays.
CREATE TABLE users (
    id uuid NOT NULL,
    email varchar(255) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT pk_users PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_users_email ON users (lower(email));

-- A passkey registered by a user.
CREATE TABLE webauthn_credentials (
    credential_id varchar(255) NOT NULL,
    user_id uuid NOT NULL,
    public_key text NOT NULL,
    sign_count bigint NOT NULL,
    transports varchar(255),
    aaguid varchar(36),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_webauthn_credentials PRIMARY KEY (credential_id),
    CONSTRAINT fk_webauthn_credentials_user FOREIGN KEY (user_id)
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE INDEX idx_webauthn_credentials_user ON webauthn_credentials (user_id);
