-- Sprint 0.1. Source: ddl/00_core.sql.
-- Creates: table webauthn_credentials with its index idx_webauthn_credentials_user.

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
