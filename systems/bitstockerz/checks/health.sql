-- What must hold at any time. Each statement returns the rows that are wrong, and so none.

-- An index that CREATE INDEX CONCURRENTLY left behind unfinished.
-- cutover: name no invalid index
SELECT i.indexrelid::pg_catalog.regclass AS invalid_index
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND NOT (i.indisvalid AND i.indisready);

-- A constraint that was added NOT VALID and never validated.
-- cutover: name no constraint is left unvalidated
SELECT k.conrelid::pg_catalog.regclass AS table_name, k.conname AS constraint_name
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
WHERE n.nspname = current_schema() AND NOT k.convalidated;

-- A table of ours without a primary key.
-- cutover: name every table has a primary key
SELECT c.oid::pg_catalog.regclass AS table_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p'
    );
