-- Sprint 3.3, optional. Indexes only.
-- Creates: indexes idx_backtests_user_created, idx_backtests_strategy_version, idx_backtests_job.

-- A user's runs by time.
CREATE INDEX CONCURRENTLY idx_backtests_user_created ON backtest_runs (user_id, created_at);

-- Referencing columns: PostgreSQL does not index them by itself, and deleting a version or a job looks them up.
CREATE INDEX CONCURRENTLY idx_backtests_strategy_version ON backtest_runs (strategy_version_id);
CREATE INDEX CONCURRENTLY idx_backtests_job ON backtest_runs (job_id);
