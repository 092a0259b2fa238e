CREATE TYPE role AS ENUM ('user', 'agent');
CREATE TABLE hero (
    name varchar NOT NULL,
    secret varchar(50) NOT NULL,
    age integer,
    id serial NOT NULL,
    team_id integer,
    role role NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE team (
    id serial NOT NULL,
    name varchar NOT NULL,
    hq varchar NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE messages (
    id uuid NOT NULL,
    hero_id integer NOT NULL,
    a varchar(4000) NOT NULL,
    b double precision NOT NULL,
    at timestamptz NOT NULL,
    at2 timestamp with time zone NOT NULL DEFAULT now(),
    at3 timestamp with time zone NOT NULL DEFAULT CURRENT_TIMESTAMP,
    price numeric(8, 3) NOT NULL,
    plain numeric NOT NULL,
    calls json,
    extra jsonb NOT NULL,
    day date,
    mail varchar NOT NULL,
    ok boolean NOT NULL,
    blob bytea NOT NULL,
    big_one bigint,
    txt text,
    PRIMARY KEY (id)
);
CREATE INDEX ix_hero_name ON hero (name);
CREATE INDEX ix_hero_age ON hero (age);
ALTER TABLE team ADD UNIQUE (name);
ALTER TABLE messages ADD CONSTRAINT uq_ab UNIQUE (a, b);
CREATE INDEX idx_ab ON messages (a, at);
ALTER TABLE hero ADD FOREIGN KEY (team_id) REFERENCES team (id) ON DELETE SET NULL;
ALTER TABLE messages ADD FOREIGN KEY (hero_id) REFERENCES hero (id) ON DELETE CASCADE;
