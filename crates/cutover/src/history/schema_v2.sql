-- cutover.migration.version may be more than numbers with dots: =NAME, +N=NAME for the N-th of a name, BNUMBERS of a baseline
-- migration, ~NAME#RUN of a repeatable one, which has a row for each run that applied it. Builds that know version 1 alone
-- would take none of them for what it is.

-- Which rows were taken over from the table of another tool.
ALTER TABLE cutover.migration ADD COLUMN adopted json;
COMMENT ON COLUMN cutover.migration.adopted IS 'The tool that applied it, its table, and what its row there had: version and checksum; NULL where cutover applied or recorded it.';

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
