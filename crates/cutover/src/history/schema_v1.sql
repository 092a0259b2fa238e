CREATE SCHEMA cutover;
COMMENT ON SCHEMA cutover IS 'Migration history of this database, kept by cutover.';

CREATE TABLE cutover.meta (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version    integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO cutover.meta (version) VALUES (1);

-- Every writing transaction of a run locks this row FOR SHARE and checks the token: a runner that lost its lock
-- without noticing cannot commit once another has taken over.
CREATE TABLE cutover.fence (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    token    bigint NOT NULL,
    run      text,
    holder   text,
    since    timestamptz
);
INSERT INTO cutover.fence (token) VALUES (0);

CREATE TABLE cutover.run (
    id          text PRIMARY KEY,
    project     text NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    outcome     text,
    head        json NOT NULL
);
-- Read back whole or not at all, and a large plan takes longer to compress than to write.
ALTER TABLE cutover.run ALTER COLUMN head SET STORAGE EXTERNAL;
CREATE INDEX run_project_started ON cutover.run (project, started_at);
CREATE INDEX run_open ON cutover.run (project) WHERE finished_at IS NULL;

CREATE TABLE cutover.event (
    run   text NOT NULL,
    seq   bigint NOT NULL,
    at    timestamptz NOT NULL,
    event jsonb NOT NULL,
    PRIMARY KEY (run, seq)
);

CREATE TABLE cutover.migration (
    project      text COLLATE "C" NOT NULL,
    root         text COLLATE "C" NOT NULL,
    version      text COLLATE "C" NOT NULL,
    version_text text NOT NULL,
    name         text NOT NULL,
    path         text NOT NULL,
    stage        text,
    checksum     text NOT NULL,
    checksum_raw text NOT NULL,
    bytes        bigint NOT NULL,
    source       bytea,
    run          text NOT NULL,
    seq          bigint NOT NULL,
    end_seq      bigint NOT NULL,
    began_at     timestamptz NOT NULL,
    began_after  double precision NOT NULL,
    attempts     integer NOT NULL,
    statements   integer NOT NULL,
    role         text NOT NULL,
    applied_at   timestamptz NOT NULL,
    took         double precision NOT NULL,
    ran_as       json,
    PRIMARY KEY (project, root, version)
);
-- Keys are compared byte by byte: it is faster, and no change of the system's collations can corrupt their index.
-- A row is also the journal's record of the beginning (seq, began_at, began_after) and the end (end_seq, took) of its
-- step: both are events of the run, written where the effects are.
COMMENT ON COLUMN cutover.migration.source IS 'The text that was applied, raw DEFLATE; NULL where it was too large to keep.';
COMMENT ON COLUMN cutover.migration.ran_as IS 'Identity and path it ran under, where its file has been given another number since.';
ALTER TABLE cutover.migration ALTER COLUMN source SET STORAGE EXTERNAL;

-- Units (transactions, or statements outside one) of migrations that have more than one and are not finished yet.
CREATE TABLE cutover.unit (
    project      text COLLATE "C" NOT NULL,
    root         text COLLATE "C" NOT NULL,
    version      text COLLATE "C" NOT NULL,
    version_text text NOT NULL,
    unit         integer NOT NULL,
    state        text NOT NULL CHECK (state IN ('started', 'failed', 'done')),
    digest       text NOT NULL,
    first_line   integer NOT NULL,
    last_line    integer NOT NULL,
    statement    text NOT NULL,
    run          text NOT NULL,
    at           timestamptz NOT NULL,
    code         text,
    error        text,
    found        text,
    PRIMARY KEY (project, root, version, unit)
);
COMMENT ON COLUMN cutover.unit.state IS 'started: what is there of it is not known; failed: nothing of it is there; done: all of it is.';
COMMENT ON COLUMN cutover.unit.code IS 'SQLSTATE of the error it ended with; NULL where it ended otherwise, or nobody saw its end.';
COMMENT ON COLUMN cutover.unit.error IS 'That error, secrets starred.';
COMMENT ON COLUMN cutover.unit.found IS 'OIDs of indexes that were there just before a statement outside a transaction began: the one to be dropped, or invalid ones that are not its leftovers.';
COMMENT ON COLUMN cutover.unit.digest IS 'SHA-256 over its statements and COPY data as the file writes them: what is done must stay as it was.';
COMMENT ON COLUMN cutover.unit.statement IS 'How it begins, placeholders not replaced.';

-- The texts of the migrations that have units: what a run that went on with them found in the file.
CREATE TABLE cutover.begun (
    project      text NOT NULL,
    root         text NOT NULL,
    version      text NOT NULL,
    version_text text NOT NULL,
    path         text NOT NULL,
    checksum     text NOT NULL,
    source       bytea,
    run          text NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (project, root, version)
);
COMMENT ON COLUMN cutover.begun.source IS 'Raw DEFLATE; NULL where it was too large to keep.';
ALTER TABLE cutover.begun ALTER COLUMN source SET STORAGE EXTERNAL;

-- Migrations that a run was told to leave for later; they may go in out of order.
CREATE TABLE cutover.deferral (
    project      text COLLATE "C" NOT NULL,
    root         text COLLATE "C" NOT NULL,
    version      text COLLATE "C" NOT NULL,
    version_text text NOT NULL,
    run          text NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (project, root, version)
);
