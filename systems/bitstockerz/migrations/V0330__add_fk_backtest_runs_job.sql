-- Sprint 3.2. Source: ddl/04_backtesting.sql. Requires V0130 (jobs).
-- Creates: constraint fk_backtest_runs_job on backtest_runs.

-- NOT VALID checks new rows only, so the strong locks on both tables are held for an instant.
ALTER TABLE backtest_runs
    ADD CONSTRAINT fk_backtest_runs_job FOREIGN KEY (job_id)
        REFERENCES jobs (id) ON UPDATE CASCADE ON DELETE SET NULL
        NOT VALID;

-- The rows already there are read in a transaction of its own, under a lock that lets reads and writes go on.
-- cutover: new-transaction
ALTER TABLE backtest_runs VALIDATE CONSTRAINT fk_backtest_runs_job;
