-- cutover.migration.version may be more than numbers with dots: =NAME, +N=NAME for the N-th of a name, BNUMBERS of a baseline
-- migration, ~NAME#RUN of a repeatable one, which has a row for each run that applied it. Builds that know version 1 alone
-- would take none of them for what it is.

-- Runs that ran nothing: they took over what another tool had applied. All rows of cutover.migration that are theirs are.
CREATE TABLE cutover.adoption (
    run          text PRIMARY KEY,
    project      text COLLATE "C" NOT NULL,
    tool         text NOT NULL,
    table_schema text NOT NULL,
    table_name   text NOT NULL,
    table_rows   bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN cutover.adoption.tool IS 'The tool, e.g. flyway; then where its table is, and how many rows it had.';

-- What the database was made of when a run ended, or when somebody accepted what had changed since.
CREATE TABLE cutover.snapshot (
    project     text COLLATE "C" NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    run         text,
    applied     integer NOT NULL,
    fingerprint text NOT NULL,
    accepted_by text,
    schema      bytea,
    PRIMARY KEY (project, at)
);
COMMENT ON COLUMN cutover.snapshot.run IS 'The run at whose end it was read; NULL where somebody accepted it.';
COMMENT ON COLUMN cutover.snapshot.applied IS 'How many migrations of the project were applied then.';
COMMENT ON COLUMN cutover.snapshot.fingerprint IS 'SHA-256 of the canonical text of the schema, hex.';
COMMENT ON COLUMN cutover.snapshot.schema IS 'As `cutover diff --save` writes it, raw DEFLATE; NULL where it was too large to keep.';
ALTER TABLE cutover.snapshot ALTER COLUMN schema SET STORAGE EXTERNAL;

UPDATE cutover.meta SET version = 2, changed_at = now();
