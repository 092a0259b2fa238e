-- A platform after two years: rows for every table, the same on every machine and at every time.
-- For a database with all 20 migrations and no rows. Nothing here is random or reads the clock: numbers come from
-- digests of fixed texts, times are written down. No transaction control either: that is the caller's.
--
-- user 39 has no rows elsewhere, user 40 only audit events; everyone else has children and cannot be deleted.

-- A number in [0, 1), always the same for the same text.
CREATE FUNCTION pg_temp.noise(seed text) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT ('x' || substr(md5(seed), 1, 8))::bit(32)::bigint / 4294967296.0 $$;

-- A price history of so many steps around a first price, with what was traded at each step.
CREATE FUNCTION pg_temp.walk(ticker text, first_price numeric, steps integer)
    RETURNS TABLE (step integer, open numeric, high numeric, low numeric, close numeric, activity numeric)
    LANGUAGE sql IMMUTABLE
    AS $$
    WITH closes AS (
        SELECT s.step,
            round(first_price * greatest(0.2, 1 + sum((pg_temp.noise(ticker || s.step) - 0.49) * 0.03)
                OVER (ORDER BY s.step)), 6) AS close
        FROM generate_series(1, steps) AS s (step)
    ), bars AS (
        SELECT c.step, c.close, lag(c.close, 1, first_price) OVER (ORDER BY c.step) AS open FROM closes c
    )
    SELECT b.step, b.open,
        round(greatest(b.open, b.close) * (1 + pg_temp.noise('high' || ticker || b.step) * 0.01), 6),
        round(least(b.open, b.close) * (1 - pg_temp.noise('low' || ticker || b.step) * 0.01), 6),
        b.close,
        0.2 + pg_temp.noise('activity' || ticker || b.step)
    FROM bars b
    $$;

-- Sprint 0.1
INSERT INTO users (id, email, created_at, updated_at, deleted_at)
SELECT md5('user ' || n)::uuid,
    CASE WHEN n % 7 = 0 THEN 'User' ELSE 'user' END || n || '@example.com',
    t.joined, t.joined,
    CASE WHEN n = 38 THEN timestamptz '2024-09-01 12:00Z' END
FROM generate_series(1, 40) AS n,
    LATERAL (SELECT timestamptz '2023-01-01 09:00Z' + n * interval '31 hours') AS t (joined);

INSERT INTO webauthn_credentials (credential_id, user_id, public_key, sign_count, transports, aaguid, created_at)
SELECT md5('credential ' || n || '/' || k),
    md5('user ' || n)::uuid,
    repeat(md5('key ' || n || '/' || k), 4),
    floor(pg_temp.noise('signs ' || n || '/' || k) * 500),
    CASE k WHEN 1 THEN 'internal' ELSE 'usb,nfc' END,
    CASE WHEN n % 5 <> 0 THEN md5('model ' || n % 4)::uuid::text END,
    timestamptz '2023-01-01 10:00Z' + n * interval '31 hours' + k * interval '5 hours'
FROM generate_series(1, 38) AS n, generate_series(1, 1 + n % 2) AS k;

-- Sprint 1.1
INSERT INTO symbols (symbol, name, asset_type, exchange, currency, base_asset, quote_asset, is_active, created_at, updated_at)
SELECT s.symbol, s.name, s.asset_type, s.exchange, 'USD', s.base_asset, s.quote_asset, s.symbol <> 'XRX',
    timestamptz '2023-01-01 00:00Z', timestamptz '2023-01-01 00:00Z'
FROM (VALUES
    (1, 'AAPL', 'Apple', 'EQUITY', 'NASDAQ', NULL, NULL),
    (2, 'MSFT', 'Microsoft', 'EQUITY', 'NASDAQ', NULL, NULL),
    (3, 'NVDA', 'Nvidia', 'EQUITY', 'NASDAQ', NULL, NULL),
    (4, 'AMZN', 'Amazon', 'EQUITY', 'NASDAQ', NULL, NULL),
    (5, 'GOOGL', 'Alphabet A', 'EQUITY', 'NASDAQ', NULL, NULL),
    (6, 'BRK.B', 'Berkshire Hathaway B', 'EQUITY', 'NYSE', NULL, NULL),
    (7, 'JPM', 'JPMorgan Chase', 'EQUITY', 'NYSE', NULL, NULL),
    (8, 'KO', 'Coca-Cola', 'EQUITY', 'NYSE', NULL, NULL),
    (9, 'XOM', 'Exxon Mobil', 'EQUITY', 'NYSE', NULL, NULL),
    (10, 'PG', 'Procter & Gamble', 'EQUITY', 'NYSE', NULL, NULL),
    (11, 'DIS', 'Walt Disney', 'EQUITY', 'NYSE', NULL, NULL),
    (12, 'XRX', 'Xerox', 'EQUITY', 'NASDAQ', NULL, NULL),
    (13, 'BTC-USD', 'Bitcoin', 'CRYPTO', NULL, 'BTC', 'USD'),
    (14, 'ETH-USD', 'Ether', 'CRYPTO', NULL, 'ETH', 'USD'),
    (15, 'SOL-USD', 'Solana', 'CRYPTO', NULL, 'SOL', 'USD'),
    (16, 'LTC-USD', 'Litecoin', 'CRYPTO', NULL, 'LTC', 'USD'),
    (17, 'DOGE-USD', 'Dogecoin', 'CRYPTO', NULL, 'DOGE', 'USD'),
    (18, 'ADA-USD', 'Cardano', 'CRYPTO', NULL, 'ADA', 'USD')
) AS s (place, symbol, name, asset_type, exchange, base_asset, quote_asset)
ORDER BY s.place;

INSERT INTO equity_daily_bars (symbol_id, date, open, high, low, close, volume, provider, created_at)
SELECT s.id, d.date, w.open, w.high, w.low, w.close, (w.activity * 10000000)::bigint, 'stooq', timestamptz '2025-01-02 06:00Z'
FROM symbols s
CROSS JOIN LATERAL pg_temp.walk(s.symbol, 40 + round(pg_temp.noise(s.symbol) * 300), 522) w
JOIN (
    SELECT row_number() OVER (ORDER BY n) AS step, date '2023-01-02' + n AS date
    FROM generate_series(0, 729) AS n
    WHERE n % 7 < 5
) d ON d.step = w.step
WHERE s.asset_type = 'EQUITY'
ORDER BY s.id, d.date;

INSERT INTO crypto_daily_bars (symbol_id, date, open, high, low, close, volume, provider, created_at)
SELECT s.id, date '2023-01-01' + w.step - 1, w.open, w.high, w.low, w.close, round(w.activity * 12345.678, 8), 'kraken',
    timestamptz '2025-01-02 06:00Z'
FROM symbols s
CROSS JOIN LATERAL pg_temp.walk(s.symbol, CASE s.symbol WHEN 'BTC-USD' THEN 30000 WHEN 'DOGE-USD' THEN 0.08 ELSE 150 END, 731) w
WHERE s.asset_type = 'CRYPTO'
ORDER BY s.id, w.step;

INSERT INTO crypto_hourly_bars (symbol_id, ts, open, high, low, close, volume, provider, created_at)
SELECT s.id, timestamptz '2024-11-01 00:00Z' + (w.step - 1) * interval '1 hour', w.open, w.high, w.low, w.close,
    round(w.activity * 514.4, 8), 'kraken', timestamptz '2025-01-02 06:00Z'
FROM symbols s
CROSS JOIN LATERAL pg_temp.walk('hourly ' || s.symbol, CASE s.symbol WHEN 'BTC-USD' THEN 70000 WHEN 'DOGE-USD' THEN 0.2 ELSE 180 END, 1464) w
WHERE s.asset_type = 'CRYPTO'
ORDER BY s.id, w.step;

-- Sprint 1.3: one import a symbol, with its checkpoint, and one job for most of the backtests below
INSERT INTO jobs (id, job_type, user_id, payload_json, status, error_message, created_at, started_at, finished_at)
SELECT md5('import ' || s.symbol)::uuid, 'import', md5('user 1')::uuid,
    jsonb_build_object('symbol', s.symbol, 'checkpoint', jsonb_build_object('last_date', '2024-12-31', 'rows', 500 + s.id)),
    CASE WHEN s.symbol = 'XRX' THEN 'failed' ELSE 'completed' END,
    CASE WHEN s.symbol = 'XRX' THEN 'provider answered 404' END,
    t.at, t.at + interval '2 seconds', t.at + interval '1 minute'
FROM symbols s,
    LATERAL (SELECT timestamptz '2025-01-02 05:00Z' + s.id * interval '2 minutes') AS t (at);

INSERT INTO jobs (id, job_type, user_id, payload_json, status, error_message, created_at, started_at, finished_at)
SELECT md5('backtest ' || r)::uuid, 'backtest', md5('user ' || 1 + r % 30)::uuid, jsonb_build_object('backtest', r),
    t.status,
    CASE t.status WHEN 'failed' THEN 'no bars in range' WHEN 'timed_out' THEN 'stopped after 300 s' END,
    t.at,
    CASE WHEN t.status <> 'pending' THEN t.at + interval '3 seconds' END,
    CASE WHEN t.status NOT IN ('pending', 'running') THEN t.at + interval '40 seconds' END
FROM generate_series(1, 120) AS r,
    LATERAL (SELECT timestamptz '2025-01-03 08:00Z' + r * interval '47 minutes',
        CASE r % 12 WHEN 3 THEN 'failed' WHEN 5 THEN 'timed_out' WHEN 7 THEN CASE WHEN r > 100 THEN 'running' ELSE 'completed' END
            WHEN 9 THEN CASE WHEN r > 100 THEN 'pending' ELSE 'completed' END ELSE 'completed' END) AS t (at, status)
WHERE r % 6 <> 0;

-- Sprint 1.4
INSERT INTO audit_events (user_id, event_type, payload_json, created_at)
SELECT md5('user ' || n)::uuid,
    CASE WHEN pg_temp.noise('event ' || n || '/' || k) < 0.7 THEN 'login' ELSE 'strategy_saved' END,
    jsonb_build_object('ip', '192.0.2.' || n),
    timestamptz '2024-01-01 07:00Z' + k * interval '263 hours' + n * interval '13 minutes'
FROM generate_series(1, 38) AS n, generate_series(1, 30) AS k
ORDER BY k, n;

INSERT INTO audit_events (user_id, event_type, payload_json, created_at)
SELECT CASE WHEN k <= 3 THEN md5('user 40')::uuid END,
    CASE WHEN k <= 3 THEN 'login_failed' ELSE 'import_finished' END,
    '{}',
    timestamptz '2024-12-30 07:00Z' + k * interval '1 hour'
FROM generate_series(1, 12) AS k
ORDER BY k;

-- Sprint 2.1: two strategies for each of thirty users
INSERT INTO strategies (id, user_id, name, description, asset_type, symbol_scope, timeframe, is_active, created_at, updated_at)
SELECT md5('strategy ' || n)::uuid, md5('user ' || 1 + n % 30)::uuid,
    (ARRAY['Momentum', 'Mean reversion', 'Breakout', 'Golden cross', 'RSI dip'])[1 + n % 5] || ' ' || n,
    CASE WHEN n % 3 <> 0 THEN 'Tried on paper since sprint 4.1' END,
    CASE WHEN n % 4 = 0 THEN 'CRYPTO' ELSE 'EQUITY' END,
    'single', '1d', n % 10 <> 9, t.at, t.at
FROM generate_series(1, 60) AS n,
    LATERAL (SELECT timestamptz '2024-03-01 10:00Z' + n * interval '29 hours') AS t (at);

INSERT INTO strategy_versions (strategy_id, version_number, definition_json, created_at)
SELECT md5('strategy ' || n)::uuid, v,
    jsonb_build_object(
        'indicators', jsonb_build_array(
            jsonb_build_object('name', 'fast', 'kind', 'sma', 'length', 5 + v),
            jsonb_build_object('name', 'slow', 'kind', 'sma', 'length', 20 + n % 30)),
        'entry', jsonb_build_object('crosses_above', jsonb_build_array('fast', 'slow')),
        'exit', jsonb_build_object('crosses_below', jsonb_build_array('fast', 'slow'))),
    timestamptz '2024-03-01 11:00Z' + n * interval '29 hours' + v * interval '3 hours'
FROM generate_series(1, 60) AS n, generate_series(1, 1 + n % 3) AS v
ORDER BY n, v;

-- Sprint 3.2: 120 runs of the latest versions
INSERT INTO backtest_runs (id, user_id, strategy_id, strategy_version_id, symbol_id, timeframe, start_date, end_date,
    initial_equity, status, job_id, error_message, created_at, updated_at, started_at, finished_at)
SELECT md5('run ' || r)::uuid, st.user_id, st.id, v.id, sy.id, '1d',
    timestamptz '2024-01-01 00:00Z', timestamptz '2024-12-30 00:00Z',
    10000 + 500 * (r % 5), coalesce(j.status, 'completed'), j.id, j.error_message,
    t.at, t.at, coalesce(j.started_at, t.at), CASE WHEN j.id IS NULL THEN t.at + interval '40 seconds' ELSE j.finished_at END
FROM generate_series(1, 120) AS r
CROSS JOIN LATERAL (SELECT timestamptz '2025-01-03 08:00Z' + r * interval '47 minutes') AS t (at)
JOIN strategies st ON st.id = md5('strategy ' || 1 + (r - 1) % 60)::uuid
JOIN LATERAL (SELECT * FROM strategy_versions x WHERE x.strategy_id = st.id ORDER BY x.version_number DESC LIMIT 1) v ON true
JOIN LATERAL (
    SELECT x.id, row_number() OVER (ORDER BY x.symbol) AS place, count(*) OVER () AS places
    FROM symbols x
    WHERE x.asset_type = st.asset_type AND x.is_active
) sy ON sy.place = 1 + r % sy.places
LEFT JOIN jobs j ON j.id = md5('backtest ' || r)::uuid;

INSERT INTO backtest_trades (backtest_run_id, symbol_id, entry_time, exit_time, side, entry_price, exit_price, quantity,
    pnl_abs, pnl_pct)
SELECT b.id, b.symbol_id, t.entry_time, t.entry_time + interval '216 hours', 'BUY', p.entry_price, p.exit_price, q.quantity,
    round((p.exit_price - p.entry_price) * q.quantity, 8), round((p.exit_price / p.entry_price - 1) * 100, 4)
FROM generate_series(1, 120) AS r
JOIN backtest_runs b ON b.id = md5('run ' || r)::uuid AND b.status = 'completed'
CROSS JOIN LATERAL generate_series(1, 4 + r % 9) AS k
CROSS JOIN LATERAL (SELECT b.start_date + k * interval '600 hours') AS t (entry_time)
CROSS JOIN LATERAL (SELECT round(50 + 200 * pg_temp.noise('entry ' || r || '/' || k), 4)) AS e (entry_price)
CROSS JOIN LATERAL (SELECT e.entry_price, round(e.entry_price * (0.93 + 0.16 * pg_temp.noise('exit ' || r || '/' || k)), 4))
    AS p (entry_price, exit_price)
CROSS JOIN LATERAL (SELECT round(b.initial_equity * 0.2 / p.entry_price, 2)) AS q (quantity)
ORDER BY r, k;

INSERT INTO backtest_equity_points (backtest_run_id, ts, equity)
SELECT b.id, w.ts, b.initial_equity + round(coalesce(sum(t.pnl_abs), 0), 2)
FROM generate_series(1, 120) AS r
JOIN backtest_runs b ON b.id = md5('run ' || r)::uuid AND b.status = 'completed'
CROSS JOIN LATERAL (SELECT b.start_date + k * interval '168 hours' FROM generate_series(0, 52) AS k) AS w (ts)
LEFT JOIN backtest_trades t ON t.backtest_run_id = b.id AND t.exit_time <= w.ts
GROUP BY r, b.id, w.ts
ORDER BY r, w.ts;

INSERT INTO backtest_results (backtest_run_id, final_equity, total_return_pct, max_drawdown_pct, win_rate_pct, num_trades,
    avg_win_pct, avg_loss_pct, sharpe_ratio)
SELECT b.id, e.final_equity, round((e.final_equity / b.initial_equity - 1) * 100, 4), e.max_drawdown_pct,
    t.win_rate_pct, t.num_trades, t.avg_win_pct, t.avg_loss_pct, t.sharpe_ratio
FROM generate_series(1, 120) AS r
JOIN backtest_runs b ON b.id = md5('run ' || r)::uuid AND b.status = 'completed'
CROSS JOIN LATERAL (
    SELECT (array_agg(p.equity ORDER BY p.ts DESC))[1], round(max((p.peak - p.equity) / p.peak) * 100, 4)
    FROM (
        SELECT x.ts, x.equity, max(x.equity) OVER (ORDER BY x.ts) AS peak
        FROM backtest_equity_points x
        WHERE x.backtest_run_id = b.id
    ) p
) AS e (final_equity, max_drawdown_pct)
CROSS JOIN LATERAL (
    SELECT round(100.0 * count(*) FILTER (WHERE x.pnl_abs > 0) / count(*), 4), count(*),
        coalesce(round(avg(x.pnl_pct) FILTER (WHERE x.pnl_abs > 0), 4), 0),
        coalesce(round(avg(x.pnl_pct) FILTER (WHERE x.pnl_abs <= 0), 4), 0),
        CASE WHEN count(*) > 5 THEN round(avg(x.pnl_pct) / nullif(stddev_samp(x.pnl_pct), 0), 4) END
    FROM backtest_trades x
    WHERE x.backtest_run_id = b.id
) AS t (win_rate_pct, num_trades, avg_win_pct, avg_loss_pct, sharpe_ratio)
ORDER BY r;

-- Sprint 4.1: one account for each of thirty users; cash and positions follow from the executions below
INSERT INTO paper_accounts (user_id, name, base_currency, starting_balance, cash_balance, created_at, updated_at)
SELECT md5('user ' || n)::uuid, 'Paper account of user ' || n, 'USD', 100000, 100000,
    timestamptz '2024-05-01 09:00Z' + n * interval '1 hour', timestamptz '2024-05-01 09:00Z' + n * interval '1 hour'
FROM generate_series(1, 30) AS n
ORDER BY n;

-- Sprint 4.2: twelve purchases an account, each followed by an order to sell half of it
INSERT INTO orders (id, paper_account_id, symbol_id, side, quantity, order_type, status, avg_fill_price, reject_reason,
    client_order_id, requested_at, filled_at)
SELECT md5('order ' || n || '/' || k)::uuid, a.id, s.id, o.side,
    CASE o.side WHEN 'BUY' THEN q.half * 2 ELSE q.half END,
    'MARKET', o.status,
    CASE o.status WHEN 'FILLED' THEN bar.close END,
    CASE o.status WHEN 'REJECTED' THEN 'market closed' END,
    CASE WHEN k % 4 < 2 THEN 'web-' || k END,
    o.at,
    CASE o.status WHEN 'FILLED' THEN o.at + interval '2 seconds' END
FROM generate_series(1, 30) AS n
JOIN paper_accounts a ON a.user_id = md5('user ' || n)::uuid
CROSS JOIN generate_series(0, 23) AS k
CROSS JOIN LATERAL (
    SELECT CASE k % 2 WHEN 0 THEN 'BUY' ELSE 'SELL' END,
        CASE WHEN k % 2 = 0 THEN 'FILLED'
            ELSE (ARRAY['FILLED', 'CANCELLED', 'REJECTED', 'FILLED', 'PENDING'])[1 + (n + k / 2) % 5] END,
        timestamptz '2024-05-06 14:30Z' + (k / 2) * interval '336 hours' + k * interval '20 minutes' + n * interval '1 minute'
) AS o (side, status, at)
JOIN LATERAL (
    SELECT x.id, row_number() OVER (ORDER BY x.symbol) AS place FROM symbols x WHERE x.asset_type = 'EQUITY' AND x.is_active
) s ON s.place = 1 + (n + k / 2) % 11
JOIN LATERAL (
    SELECT x.close FROM equity_daily_bars x
    WHERE x.symbol_id = s.id AND x.date <= (o.at AT TIME ZONE 'UTC')::date
    ORDER BY x.date DESC LIMIT 1
) bar ON true
-- The sale is measured by the day of its purchase, which is the same day.
CROSS JOIN LATERAL (SELECT greatest(0.5, round(1000 / bar.close, 1))) AS q (half);

INSERT INTO executions (id, order_id, paper_account_id, symbol_id, side, quantity, price, executed_at)
SELECT md5('execution ' || o.id || '/' || k)::uuid, o.id, o.paper_account_id, o.symbol_id, o.side,
    o.quantity / f.fills, o.avg_fill_price, o.requested_at + k * interval '1 second'
FROM orders o
CROSS JOIN LATERAL (SELECT CASE WHEN pg_temp.noise('fills ' || o.id) < 0.3 THEN 2 ELSE 1 END) AS f (fills)
CROSS JOIN LATERAL generate_series(1, f.fills) AS k
WHERE o.status = 'FILLED';

INSERT INTO positions (paper_account_id, symbol_id, quantity, avg_cost, updated_at)
SELECT e.paper_account_id, e.symbol_id,
    sum(CASE e.side WHEN 'BUY' THEN e.quantity ELSE -e.quantity END),
    round(sum(e.quantity * e.price) FILTER (WHERE e.side = 'BUY') / sum(e.quantity) FILTER (WHERE e.side = 'BUY'), 8),
    max(e.executed_at)
FROM executions e
GROUP BY e.paper_account_id, e.symbol_id
ORDER BY e.paper_account_id, e.symbol_id;

UPDATE paper_accounts a
SET cash_balance = a.starting_balance + t.change, updated_at = t.at
FROM (
    SELECT e.paper_account_id,
        round(sum(e.quantity * e.price * CASE e.side WHEN 'BUY' THEN -1 ELSE 1 END), 2) AS change,
        max(e.executed_at) AS at
    FROM executions e
    GROUP BY e.paper_account_id
) t
WHERE t.paper_account_id = a.id;

-- Sprint 6.1
INSERT INTO ai_usage (user_id, date, calls)
SELECT md5('user ' || n)::uuid, date '2024-12-01' + d, 1 + floor(pg_temp.noise('calls ' || n || '/' || d) * 25)
FROM generate_series(1, 38) AS n, generate_series(0, 29) AS d
WHERE pg_temp.noise('asks ' || n || '/' || d) < 0.6
ORDER BY d, n;

DROP FUNCTION pg_temp.walk(text, numeric, integer);
DROP FUNCTION pg_temp.noise(text);

ANALYZE users, webauthn_credentials, symbols, equity_daily_bars, crypto_daily_bars, crypto_hourly_bars, jobs, audit_events,
    strategies, strategy_versions, backtest_runs, backtest_results, backtest_trades, backtest_equity_points, paper_accounts,
    positions, orders, executions, ai_usage;
