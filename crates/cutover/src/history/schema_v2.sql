-- cutover.migration.version may be more than numbers with dots: =NAME, +N=NAME for the N-th of a name, BNUMBERS of a baseline
-- migration, ~NAME#RUN of a repeatable one, which has a row for each run that applied it. Builds that know version 1 alone
-- would take none of them for what it is. Nothing else changes, so that whoever may write the history may upgrade it.
UPDATE cutover.meta SET version = 2, changed_at = now();
