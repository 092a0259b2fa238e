//! The roadmap written down a second time, by hand: what the tests compare with. Nothing here is read from the project.

/// A migration of the roadmap.
pub(crate) struct Entry {
    pub(crate) version: &'static str,
    pub(crate) file: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) creates: &'static str,
    /// Empty for the optional migrations, which are not cut from the design.
    pub(crate) ddl: &'static str,
}

impl Entry {
    /// The name part of the file name.
    pub(crate) fn name(&self) -> &'static str {
        let (_, name) = self.file.split_once("__").expect("a file of the flyway convention");
        name.trim_end_matches(".sql")
    }
}

const fn entry(
    version: &'static str,
    file: &'static str,
    stage: &'static str,
    creates: &'static str,
    ddl: &'static str,
) -> Entry {
    Entry { version, file, stage, creates, ddl }
}

/// The 20 migrations in order.
pub(crate) const MIGRATIONS: [Entry; 20] = [
    entry("0001", "V0001__create_users.sql", "0.1", "table users", "ddl/00_core.sql"),
    entry(
        "0002",
        "V0002__create_webauthn_credentials.sql",
        "0.1",
        "table webauthn_credentials",
        "ddl/00_core.sql",
    ),
    entry("0100", "V0100__create_symbols.sql", "1.1", "table symbols", "ddl/01_market_data.sql"),
    entry(
        "0101",
        "V0101__create_equity_daily_bars.sql",
        "1.1",
        "table equity_daily_bars",
        "ddl/01_market_data.sql",
    ),
    entry(
        "0102",
        "V0102__create_crypto_daily_bars.sql",
        "1.1",
        "table crypto_daily_bars",
        "ddl/01_market_data.sql",
    ),
    entry(
        "0103",
        "V0103__create_crypto_hourly_bars.sql",
        "1.1",
        "table crypto_hourly_bars",
        "ddl/01_market_data.sql",
    ),
    entry("0130", "V0130__create_jobs.sql", "1.3", "table jobs", "ddl/06_infra.sql"),
    entry("0131", "V0131__create_audit_events.sql", "1.4", "table audit_events", "ddl/06_infra.sql"),
    entry("0200", "V0200__create_strategies.sql", "2.1", "table strategies", "ddl/03_strategy_lab.sql"),
    entry(
        "0201",
        "V0201__create_strategy_versions.sql",
        "2.1",
        "table strategy_versions",
        "ddl/03_strategy_lab.sql",
    ),
    entry("0300", "V0300__create_backtest_runs.sql", "3.2", "table backtest_runs", "ddl/04_backtesting.sql"),
    entry(
        "0301",
        "V0301__create_backtest_results.sql",
        "3.2",
        "table backtest_results",
        "ddl/04_backtesting.sql",
    ),
    entry(
        "0302",
        "V0302__create_backtest_trades.sql",
        "3.2",
        "table backtest_trades",
        "ddl/04_backtesting.sql",
    ),
    entry(
        "0303",
        "V0303__create_backtest_equity_points.sql",
        "3.2",
        "table backtest_equity_points",
        "ddl/04_backtesting.sql",
    ),
    entry(
        "0330",
        "V0330__add_fk_backtest_runs_job.sql",
        "3.2",
        "constraint backtest_runs.fk_backtest_runs_job",
        "ddl/04_backtesting.sql",
    ),
    entry("0400", "V0400__create_paper_accounts.sql", "4.1", "table paper_accounts", "ddl/02_trading.sql"),
    entry("0401", "V0401__create_positions.sql", "4.1", "table positions", "ddl/02_trading.sql"),
    entry("0402", "V0402__create_orders.sql", "4.2", "table orders", "ddl/02_trading.sql"),
    entry("0403", "V0403__create_executions.sql", "4.2", "table executions", "ddl/02_trading.sql"),
    entry("0600", "V0600__create_ai_usage.sql", "6.1", "table ai_usage", "ddl/05_ai_kernel.sql"),
];

/// The index-only migrations outside the 20, in order. `creates` is the first index of each.
pub(crate) const OPTIONAL: [Entry; 3] = [
    entry("0230", "V0230__add_indexes_strategies.sql", "2.3", "index idx_strategies_user", ""),
    entry("0331", "V0331__add_indexes_backtests.sql", "3.3", "index idx_backtests_user_created", ""),
    entry("0404", "V0404__add_indexes_executions.sql", "4.2", "index idx_executions_order", ""),
];

/// The sprints with their titles, in order.
pub(crate) const SPRINTS: [(&str, &str); 21] = [
    ("0.1", "Core Infra + Auth Skeleton"),
    ("1.1", "Symbols & Schemas"),
    ("1.2", "Market Data Read APIs"),
    ("1.3", "Data Ingestion & Jobs"),
    ("1.4", "Data Health & Observability"),
    ("2.1", "Strategy Persistence & Versioning"),
    ("2.2", "Indicators & Rule Schema"),
    ("2.3", "Strategy CRUD & Validation"),
    ("3.1", "Backtest Engine Core"),
    ("3.2", "Backtest Persistence"),
    ("3.3", "Backtest Execution & Limits"),
    ("3.4", "Backtest UI"),
    ("4.1", "Accounts & Positions"),
    ("4.2", "Orders & Executions"),
    ("4.3", "Trading Views"),
    ("5.1", "Shell & Navigation"),
    ("5.2", "Dashboard Widgets"),
    ("6.1", "AI Infrastructure"),
    ("6.2", "Intelligence"),
    ("6.3", "Intelligence"),
    ("7.1", "Polish & Caching"),
];

/// The sprints that have none of the 20 migrations.
pub(crate) const EMPTY_SPRINTS: [&str; 12] =
    ["1.2", "2.2", "2.3", "3.1", "3.3", "3.4", "4.3", "5.1", "5.2", "6.2", "6.3", "7.1"];

/// What sprints read.
pub(crate) const USES: [(&str, &[&str]); 4] = [
    ("1.2", &["symbols", "equity_daily_bars", "crypto_daily_bars", "crypto_hourly_bars"]),
    ("4.3", &["paper_accounts", "positions", "orders", "executions"]),
    ("6.2", STRATEGIES_AND_BACKTESTS),
    ("6.3", STRATEGIES_AND_BACKTESTS),
];

const STRATEGIES_AND_BACKTESTS: &[&str] = &[
    "strategies",
    "strategy_versions",
    "backtest_runs",
    "backtest_results",
    "backtest_trades",
    "backtest_equity_points",
];

/// The tables, with their columns as PostgreSQL names the types; `?` marks one that may be null.
pub(crate) const TABLES: [(&str, &str); 19] = [
    (
        "users",
        "id uuid, email varchar(255), created_at timestamptz, updated_at timestamptz, deleted_at timestamptz?",
    ),
    (
        "webauthn_credentials",
        "credential_id varchar(255), user_id uuid, public_key text, sign_count bigint, transports varchar(255)?, \
         aaguid varchar(36)?, created_at timestamptz",
    ),
    (
        "symbols",
        "id#, symbol varchar(32), name varchar(255), asset_type varchar(16), exchange varchar(64)?, \
         currency varchar(16), base_asset varchar(32)?, quote_asset varchar(32)?, is_active boolean, \
         created_at timestamptz, updated_at timestamptz",
    ),
    (
        "equity_daily_bars",
        "id#, symbol_id bigint, date date, open numeric(18,6), high numeric(18,6), low numeric(18,6), \
         close numeric(18,6), volume bigint, provider varchar(64), created_at timestamptz",
    ),
    (
        "crypto_daily_bars",
        "id#, symbol_id bigint, date date, open numeric(18,6), high numeric(18,6), low numeric(18,6), \
         close numeric(18,6), volume numeric(24,8), provider varchar(64), created_at timestamptz",
    ),
    (
        "crypto_hourly_bars",
        "id#, symbol_id bigint, ts timestamptz, open numeric(18,6), high numeric(18,6), low numeric(18,6), \
         close numeric(18,6), volume numeric(24,8), provider varchar(64), created_at timestamptz",
    ),
    (
        "jobs",
        "id uuid, job_type varchar(32), user_id uuid, payload_json jsonb, status varchar(16), error_message text?, \
         created_at timestamptz, started_at timestamptz?, finished_at timestamptz?",
    ),
    (
        "audit_events",
        "id#, user_id uuid?, event_type varchar(64), payload_json jsonb, created_at timestamptz",
    ),
    (
        "strategies",
        "id uuid, user_id uuid, name varchar(255), description text?, asset_type varchar(16), \
         symbol_scope varchar(16), timeframe varchar(8), is_active boolean, created_at timestamptz, \
         updated_at timestamptz",
    ),
    (
        "strategy_versions",
        "id#, strategy_id uuid, version_number integer, definition_json jsonb, created_at timestamptz",
    ),
    (
        "backtest_runs",
        "id uuid, user_id uuid, strategy_id uuid, strategy_version_id bigint, symbol_id bigint, \
         timeframe varchar(8), start_date timestamptz, end_date timestamptz, initial_equity numeric(18,2), \
         status varchar(16), job_id uuid?, error_message text?, created_at timestamptz, updated_at timestamptz, \
         started_at timestamptz?, finished_at timestamptz?",
    ),
    (
        "backtest_results",
        "id#, backtest_run_id uuid, final_equity numeric(18,2), total_return_pct numeric(9,4), \
         max_drawdown_pct numeric(9,4), win_rate_pct numeric(9,4), num_trades integer, avg_win_pct numeric(9,4), \
         avg_loss_pct numeric(9,4), sharpe_ratio numeric(9,4)?",
    ),
    (
        "backtest_trades",
        "id#, backtest_run_id uuid, symbol_id bigint, entry_time timestamptz, exit_time timestamptz, \
         side varchar(8), entry_price numeric(18,8), exit_price numeric(18,8), quantity numeric(18,8), \
         pnl_abs numeric(18,8), pnl_pct numeric(9,4)",
    ),
    ("backtest_equity_points", "id#, backtest_run_id uuid, ts timestamptz, equity numeric(18,2)"),
    (
        "paper_accounts",
        "id#, user_id uuid, name varchar(255), base_currency varchar(16), starting_balance numeric(18,2), \
         cash_balance numeric(18,2), is_active boolean, created_at timestamptz, updated_at timestamptz",
    ),
    (
        "positions",
        "id#, paper_account_id bigint, symbol_id bigint, quantity numeric(18,8), avg_cost numeric(18,8), \
         updated_at timestamptz",
    ),
    (
        "orders",
        "id uuid, paper_account_id bigint, symbol_id bigint, side varchar(8), quantity numeric(18,8), \
         order_type varchar(16), status varchar(16), avg_fill_price numeric(18,8)?, reject_reason varchar(255)?, \
         client_order_id varchar(64)?, requested_at timestamptz, filled_at timestamptz?",
    ),
    (
        "executions",
        "id uuid, order_id uuid, paper_account_id bigint, symbol_id bigint, side varchar(8), \
         quantity numeric(18,8), price numeric(18,8), executed_at timestamptz",
    ),
    ("ai_usage", "id#, user_id uuid, date date, calls integer"),
];

/// The foreign keys: column, table it points to, and what happens when that row is deleted (`r` refused, `c` deleted
/// along, `n` set to null). Every one follows a changed id.
pub(crate) const FOREIGN_KEYS: [(&str, &str, char); 26] = [
    ("webauthn_credentials.user_id", "users", 'r'),
    ("equity_daily_bars.symbol_id", "symbols", 'r'),
    ("crypto_daily_bars.symbol_id", "symbols", 'r'),
    ("crypto_hourly_bars.symbol_id", "symbols", 'r'),
    ("jobs.user_id", "users", 'r'),
    ("audit_events.user_id", "users", 'n'),
    ("strategies.user_id", "users", 'r'),
    ("strategy_versions.strategy_id", "strategies", 'r'),
    ("backtest_runs.user_id", "users", 'r'),
    ("backtest_runs.strategy_id", "strategies", 'r'),
    ("backtest_runs.strategy_version_id", "strategy_versions", 'r'),
    ("backtest_runs.symbol_id", "symbols", 'r'),
    ("backtest_runs.job_id", "jobs", 'n'),
    ("backtest_results.backtest_run_id", "backtest_runs", 'c'),
    ("backtest_trades.backtest_run_id", "backtest_runs", 'c'),
    ("backtest_trades.symbol_id", "symbols", 'r'),
    ("backtest_equity_points.backtest_run_id", "backtest_runs", 'c'),
    ("paper_accounts.user_id", "users", 'r'),
    ("positions.paper_account_id", "paper_accounts", 'r'),
    ("positions.symbol_id", "symbols", 'r'),
    ("orders.paper_account_id", "paper_accounts", 'r'),
    ("orders.symbol_id", "symbols", 'r'),
    ("executions.order_id", "orders", 'r'),
    ("executions.paper_account_id", "paper_accounts", 'r'),
    ("executions.symbol_id", "symbols", 'r'),
    ("ai_usage.user_id", "users", 'r'),
];

/// Indexes besides primary keys, each as `table (columns)`; `unique` where no two rows may be alike.
pub(crate) const INDEXES: [&str; 28] = [
    "unique users (lower(email))",
    "webauthn_credentials (user_id)",
    "unique symbols (lower(symbol))",
    "symbols (asset_type)",
    "unique equity_daily_bars (symbol_id, date)",
    "unique crypto_daily_bars (symbol_id, date)",
    "unique crypto_hourly_bars (symbol_id, ts)",
    "jobs (user_id, created_at)",
    "jobs (job_type, status)",
    "audit_events (user_id, created_at)",
    "audit_events (event_type, created_at)",
    "unique strategies (user_id, lower(name))",
    "unique strategy_versions (strategy_id, version_number)",
    "backtest_runs (strategy_id)",
    "backtest_runs (symbol_id)",
    "unique backtest_results (backtest_run_id)",
    "backtest_trades (backtest_run_id, entry_time)",
    "backtest_trades (symbol_id)",
    "backtest_equity_points (backtest_run_id, ts)",
    "unique paper_accounts (user_id)",
    "unique positions (paper_account_id, symbol_id)",
    "positions (symbol_id)",
    "unique orders (paper_account_id, client_order_id)",
    "orders (paper_account_id, requested_at)",
    "orders (symbol_id)",
    "executions (paper_account_id, executed_at)",
    "executions (symbol_id, executed_at)",
    "unique ai_usage (user_id, date)",
];

/// Names of all tables.
pub(crate) fn tables() -> Vec<String> {
    TABLES.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// The migrations of all sprints up to this one, in order.
pub(crate) fn up_to(sprint: &str) -> impl Iterator<Item = &'static Entry> {
    let place =
        |id: &str| SPRINTS.iter().position(|(sprint, _)| *sprint == id).expect("a sprint of the roadmap");
    let last = place(sprint);
    MIGRATIONS.iter().filter(move |entry| place(entry.stage) <= last)
}
