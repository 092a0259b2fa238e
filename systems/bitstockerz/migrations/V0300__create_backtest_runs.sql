-- Sprint 3.2. Source: ddl/04_backtesting.sql.
-- Creates: table backtest_runs with its indexes idx_backtest_runs_strategy, idx_backtest_runs_symbol.

-- One run of one version of a strategy over one symbol. The run outlives the job that computed it.
-- job_id has no foreign key yet: V0330 adds it.
CREATE TABLE backtest_runs (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    strategy_id uuid NOT NULL,
    strategy_version_id bigint NOT NULL,
    symbol_id bigint NOT NULL,
    timeframe varchar(8) NOT NULL,
    start_date timestamptz NOT NULL,
    end_date timestamptz NOT NULL,
    initial_equity numeric(18, 2) NOT NULL,
    status varchar(16) NOT NULL,
    job_id uuid,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT pk_backtest_runs PRIMARY KEY (id),
    CONSTRAINT ck_backtest_runs_status CHECK (status IN ('pending', 'running', 'completed', 'failed', 'timed_out')),
    CONSTRAINT fk_backtest_runs_user FOREIGN KEY (user_id)
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT fk_backtest_runs_strategy FOREIGN KEY (strategy_id)
        REFERENCES strategies (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT fk_backtest_runs_strategy_version FOREIGN KEY (strategy_version_id)
        REFERENCES strategy_versions (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT fk_backtest_runs_symbol FOREIGN KEY (symbol_id)
        REFERENCES symbols (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE INDEX idx_backtest_runs_strategy ON backtest_runs (strategy_id);
CREATE INDEX idx_backtest_runs_symbol ON backtest_runs (symbol_id);
