CREATE SCHEMA app;
CREATE SCHEMA audit;
COMMENT ON SCHEMA app IS 'the application';
CREATE EXTENSION pgcrypto SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE app.point AS (x numeric(10, 2), y numeric(10, 2));
CREATE TYPE app.span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE DOMAIN app.email AS varchar(255) COLLATE "C" DEFAULT 'nobody@example.org' NOT NULL CONSTRAINT email_at CHECK (VALUE LIKE '%@%');
CREATE COLLATION app.german (PROVIDER = icu, LOCALE = 'de-DE');
CREATE SEQUENCE app.tickets AS integer INCREMENT BY 5 START WITH 100 MAXVALUE 10000 CYCLE;
CREATE FUNCTION app.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE PROCEDURE app.tidy() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.total (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE FUNCTION app.mood_number(m app.mood) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE CAST (app.mood AS integer) WITH FUNCTION app.mood_number(app.mood) AS ASSIGNMENT;
CREATE TABLE app.users (
    id uuid PRIMARY KEY DEFAULT app.gen_random_uuid(),
    email app.email UNIQUE,
    name text COLLATE app.german,
    mood app.mood DEFAULT 'ok',
    tags text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT named CHECK (name <> '')
) WITH (fillfactor = 70);
CREATE TABLE app.orders (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY,
    number serial,
    user_id uuid NOT NULL REFERENCES app.users ON DELETE CASCADE,
    quantity integer NOT NULL CHECK (quantity > 0),
    doubled integer GENERATED ALWAYS AS (app.twice(quantity)) STORED,
    during tstzrange,
    EXCLUDE USING gist (during WITH &&)
);
CREATE TABLE app.events (id bigint NOT NULL, at timestamptz NOT NULL, what text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_2026 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT;
CREATE INDEX events_what ON app.events (what);
CREATE TABLE app.base (a integer);
CREATE TABLE app.derived (b integer) INHERITS (app.base);
CREATE INDEX orders_user ON app.orders (user_id) INCLUDE (quantity) WHERE quantity > 1;
CREATE VIEW app.big_orders WITH (security_barrier) AS SELECT o.id, u.email FROM app.orders o JOIN app.users u ON u.id = o.user_id WHERE o.quantity > 100;
COMMENT ON COLUMN app.big_orders.email IS 'of the user';
CREATE VIEW app.bigger AS SELECT * FROM app.big_orders WHERE id > 5000;
CREATE MATERIALIZED VIEW app.totals AS SELECT user_id, sum(quantity) AS total FROM app.orders GROUP BY user_id;
CREATE UNIQUE INDEX totals_user ON app.totals (user_id);
CREATE TRIGGER touch BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE RULE quiet AS ON DELETE TO app.base DO INSTEAD NOTHING;
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.orders FOR SELECT USING (user_id = current_setting('app.user', true)::uuid);
CREATE STATISTICS app.related ON user_id, quantity FROM app.orders;
CREATE PUBLICATION changes FOR TABLE app.users, app.orders;
CREATE FUNCTION audit.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER noted ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION audit.note();
ALTER EVENT TRIGGER noted DISABLE;
GRANT SELECT ON app.users TO PUBLIC;
GRANT UPDATE (name) ON app.users TO PUBLIC;
REVOKE EXECUTE ON FUNCTION app.twice(integer) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing OPTIONS (host 'example.org');
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere;
CREATE FOREIGN TABLE app.remote (id integer OPTIONS (key 'true')) SERVER elsewhere OPTIONS (name 'x');
CREATE TYPE app.label;
CREATE FUNCTION app.label_in(cstring) RETURNS app.label LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION app.label_out(app.label) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE app.label (INPUT = app.label_in, OUTPUT = app.label_out, INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended, CATEGORY = 'S', DEFAULT = 'none');
COMMENT ON TYPE app.label IS 'a base type';
CREATE TABLE app.labelled (l app.label);
CREATE OPERATOR app.=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq, COMMUTATOR = OPERATOR(app.===), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR app.!! (RIGHTARG = integer, FUNCTION = app.twice);
CREATE OPERATOR FAMILY app.integers USING btree;
ALTER OPERATOR FAMILY app.integers USING btree ADD OPERATOR 1 < (integer, bigint), FUNCTION 1 (integer, bigint) btint48cmp(integer, bigint);
CREATE OPERATOR CLASS app.whole FOR TYPE integer USING btree FAMILY app.integers AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 app.===, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(integer, integer);
CREATE INDEX base_whole ON app.base (a app.whole);
CREATE CONVERSION app.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE FUNCTION app.handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE TRUSTED LANGUAGE calm HANDLER app.handler;
CREATE TRANSFORM FOR app.mood LANGUAGE calm (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE ACCESS METHOD tree TYPE INDEX HANDLER bthandler;
CREATE TEXT SEARCH PARSER app.words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, HEADLINE = prsd_headline, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE app.plain (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY app.simple (TEMPLATE = app.plain, accept = 'false');
CREATE TEXT SEARCH CONFIGURATION app.english (PARSER = app.words);
ALTER TEXT SEARCH CONFIGURATION app.english ADD MAPPING FOR asciiword, word WITH app.simple, simple;
