-- Sprint 0.1. Source: ddl/00_core.sql.
-- Creates: table users with its index uq_users_email.

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
