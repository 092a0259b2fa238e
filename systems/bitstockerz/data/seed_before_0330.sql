-- Four backtest runs for a database that has V0303 but not V0330: one with a job that exists, one without a job, and two
-- whose job is gone, which nothing refuses before V0330. Stands beside seed.sql or alone. No transaction control.

INSERT INTO users (id, email) VALUES ('0330aaaa-0000-4000-8000-000000000001', 'dangling@example.com');
INSERT INTO symbols (symbol, name, asset_type, currency) VALUES ('V0330', 'Symbol of the dangling runs', 'EQUITY', 'USD');
INSERT INTO jobs (id, job_type, user_id, status)
VALUES ('0330bbbb-0000-4000-8000-000000000001', 'backtest', '0330aaaa-0000-4000-8000-000000000001', 'completed');
INSERT INTO strategies (id, user_id, name, asset_type, symbol_scope, timeframe)
VALUES ('0330cccc-0000-4000-8000-000000000001', '0330aaaa-0000-4000-8000-000000000001', 'Dangling', 'EQUITY', 'single', '1d');
INSERT INTO strategy_versions (strategy_id, version_number, definition_json)
VALUES ('0330cccc-0000-4000-8000-000000000001', 1, '{"indicators": []}');

INSERT INTO backtest_runs (id, user_id, strategy_id, strategy_version_id, symbol_id, timeframe, start_date, end_date,
    initial_equity, status, job_id)
SELECT r.id, v.user_id, v.strategy_id, v.version_id, s.id, '1d', '2024-01-01 00:00Z', '2024-12-31 00:00Z', 10000, 'completed', r.job_id
FROM (VALUES
    (uuid '0330dddd-0000-4000-8000-000000000001', uuid '0330bbbb-0000-4000-8000-000000000001'),
    (uuid '0330dddd-0000-4000-8000-000000000002', NULL),
    (uuid '0330dddd-0000-4000-8000-000000000003', uuid '0330eeee-0000-4000-8000-000000000003'),
    (uuid '0330dddd-0000-4000-8000-000000000004', uuid '0330eeee-0000-4000-8000-000000000004')
) AS r (id, job_id)
CROSS JOIN (
    SELECT st.user_id, st.id AS strategy_id, x.id AS version_id
    FROM strategies st
    JOIN strategy_versions x ON x.strategy_id = st.id
    WHERE st.id = '0330cccc-0000-4000-8000-000000000001'
) v
CROSS JOIN (SELECT id FROM symbols WHERE symbol = 'V0330') s
ORDER BY r.id;
