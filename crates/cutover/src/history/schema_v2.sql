-- Versions that are no numbers, and rows for each run of a repeatable migration: builds that know version 1 alone would
-- take neither for what it is.
UPDATE cutover.meta SET version = 2, changed_at = now();
COMMENT ON COLUMN cutover.migration.version IS 'Numbers with dots; =NAME, +N=NAME for the N-th of a name; BNUMBERS of a baseline migration; ~NAME#RUN of a repeatable one, with a row for each run that applied it.';
