//! What the tables refuse, remove and set to null, asked directly of a database with rows in it.

use cutover_postgres::session::{Failure, Session};

use crate::support::{run, seeded, session, value};

const REFUSED: [&str; 2] = ["23503", "23001"];
const DUPLICATE: &str = "23505";

/// Runs statements in a transaction that is rolled back, and gives the failure of the last one.
async fn refused(session: &mut Session, before: &str, statement: &str) -> Failure {
    run(session, &format!("BEGIN; {before}")).await;
    let failure = session.execute(statement).await.expect_err(statement);
    run(session, "ROLLBACK").await;
    failure
}

/// Runs statements in a transaction that is rolled back, and gives what a query says after them.
async fn after(session: &mut Session, statements: &str, query: &str) -> String {
    run(session, &format!("BEGIN; {statements}")).await;
    let found = value(session, query).await;
    run(session, "ROLLBACK").await;
    found
}

#[tokio::test]
async fn deletions_are_refused_or_followed() {
    let database = seeded();
    let mut session = session(&database.options()).await;
    // Every user but the two without children stays.
    let others = "SELECT id FROM users WHERE id NOT IN (md5('user 39')::uuid, md5('user 40')::uuid)";
    let others = session.query_text(others).await.unwrap().rows;
    assert_eq!(others.len(), 38);
    for row in others {
        let id = row[0].clone().unwrap();
        let failure = refused(&mut session, "", &format!("DELETE FROM users WHERE id = '{id}'")).await;
        assert!(REFUSED.contains(&failure.code().unwrap()), "{failure}");
    }
    // Each table of its own refuses it, one key after the other.
    for (table, parent, owner) in [
        ("webauthn_credentials", "users", "user_id"),
        ("jobs", "users", "user_id"),
        ("strategies", "users", "user_id"),
        ("backtest_runs", "users", "user_id"),
        ("paper_accounts", "users", "user_id"),
        ("ai_usage", "users", "user_id"),
        ("equity_daily_bars", "symbols", "symbol_id"),
        ("crypto_daily_bars", "symbols", "symbol_id"),
        ("crypto_hourly_bars", "symbols", "symbol_id"),
        ("backtest_trades", "symbols", "symbol_id"),
        ("positions", "symbols", "symbol_id"),
        ("orders", "symbols", "symbol_id"),
        ("executions", "orders", "order_id"),
        ("executions", "paper_accounts", "paper_account_id"),
        ("strategy_versions", "strategies", "strategy_id"),
        ("backtest_runs", "strategy_versions", "strategy_version_id"),
    ] {
        // Whatever else points to the parent is out of the way, so that only this key can refuse.
        let others = session
            .query_text(&format!(
                "SELECT coalesce(string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname), ' '), '')
                   FROM pg_constraint WHERE contype = 'f' AND confrelid = '{parent}'::regclass
                    AND NOT (conrelid = '{table}'::regclass AND pg_get_constraintdef(oid) LIKE 'FOREIGN KEY ({owner})%')"
            ))
            .await
            .unwrap();
        let statement = format!("DELETE FROM {parent} WHERE id = (SELECT {owner} FROM {table} LIMIT 1)");
        let failure = refused(&mut session, others.scalar().unwrap(), &statement).await;
        assert!(REFUSED.contains(&failure.code().unwrap()), "{failure}");
        assert_eq!(failure.server().and_then(|message| message.table.as_deref()), Some(table), "{failure}");
    }
    // A user known to nothing may go; one known only to the audit trail goes, and the events stay without a name.
    let gone = "SELECT count(*) FROM users WHERE id = md5('user 39')::uuid";
    assert_eq!(after(&mut session, "DELETE FROM users WHERE id = md5('user 39')::uuid", gone).await, "0");
    let events = "SELECT count(*) FILTER (WHERE user_id IS NULL) || '/' || count(*) FROM audit_events";
    let before = value(&mut session, events).await;
    let known =
        value(&mut session, "SELECT count(*) FROM audit_events WHERE user_id = md5('user 40')::uuid").await;
    let now = after(&mut session, "DELETE FROM users WHERE id = md5('user 40')::uuid", events).await;
    let split = |text: &str| -> Vec<u32> { text.split('/').map(|number| number.parse().unwrap()).collect() };
    let (before, now) = (split(&before), split(&now));
    assert_eq!(known, "3");
    assert_eq!(now, [before[0] + 3, before[1]]);
}

#[tokio::test]
async fn deleting_a_job_leaves_its_runs_and_deleting_a_run_takes_its_results_along() {
    let database = seeded();
    let mut session = session(&database.options()).await;
    let run_id = value(
        &mut session,
        "SELECT id FROM backtest_runs WHERE job_id IS NOT NULL AND status = 'completed' ORDER BY id LIMIT 1",
    )
    .await;
    let job = format!("DELETE FROM jobs WHERE id = (SELECT job_id FROM backtest_runs WHERE id = '{run_id}')");
    let left = format!("SELECT count(*) FROM backtest_runs WHERE id = '{run_id}' AND job_id IS NULL");
    assert_eq!(after(&mut session, &job, &left).await, "1");
    for child in ["backtest_results", "backtest_trades", "backtest_equity_points"] {
        let rows = format!("SELECT count(*) FROM {child} WHERE backtest_run_id = '{run_id}'");
        let all = format!("SELECT count(*) FROM {child}");
        let number = |text: String| text.parse::<u64>().unwrap();
        let (own, total) =
            (number(value(&mut session, &rows).await), number(value(&mut session, &all).await));
        assert!(own > 0, "{child}");
        let delete = format!("DELETE FROM backtest_runs WHERE id = '{run_id}'");
        assert_eq!(number(after(&mut session, &delete, &all).await), total - own, "{child}");
    }
}

/// Copies of rows that are there already: the key columns alike, a new id.
const DUPLICATES: [(&str, &str); 12] = [
    ("uq_users_email", "INSERT INTO users (id, email) SELECT md5(random()::text)::uuid, upper(email) FROM users LIMIT 1"),
    (
        "uq_symbols_symbol",
        "INSERT INTO symbols (symbol, name, asset_type, currency) SELECT lower(symbol), name, asset_type, currency FROM symbols LIMIT 1",
    ),
    ("uq_equity_daily_bars_symbol_date", BAR),
    ("uq_crypto_daily_bars_symbol_date", BAR),
    ("uq_crypto_hourly_bars_symbol_ts", BAR),
    (
        "uq_strategies_user_name",
        "INSERT INTO strategies (id, user_id, name, asset_type, symbol_scope, timeframe)
         SELECT md5(random()::text)::uuid, user_id, upper(name), asset_type, symbol_scope, timeframe FROM strategies LIMIT 1",
    ),
    (
        "uq_strategy_versions_strategy_number",
        "INSERT INTO strategy_versions (strategy_id, version_number, definition_json)
         SELECT strategy_id, version_number, '{}' FROM strategy_versions LIMIT 1",
    ),
    (
        "uq_backtest_results_run",
        "INSERT INTO backtest_results (backtest_run_id, final_equity, total_return_pct, max_drawdown_pct, win_rate_pct,
             num_trades, avg_win_pct, avg_loss_pct)
         SELECT backtest_run_id, 1, 1, 1, 1, 1, 1, 1 FROM backtest_results LIMIT 1",
    ),
    (
        "uq_paper_accounts_user",
        "INSERT INTO paper_accounts (user_id, name, base_currency, starting_balance, cash_balance)
         SELECT user_id, 'Second', 'EUR', 1, 1 FROM paper_accounts LIMIT 1",
    ),
    (
        "uq_positions_account_symbol",
        "INSERT INTO positions (paper_account_id, symbol_id, quantity, avg_cost)
         SELECT paper_account_id, symbol_id, 1, 1 FROM positions LIMIT 1",
    ),
    (
        "uq_orders_account_client_order",
        "INSERT INTO orders (id, paper_account_id, symbol_id, side, quantity, order_type, status, client_order_id)
         SELECT md5(random()::text)::uuid, paper_account_id, symbol_id, 'BUY', 1, 'MARKET', 'PENDING', client_order_id
         FROM orders WHERE client_order_id IS NOT NULL LIMIT 1",
    ),
    (
        "uq_ai_usage_user_date",
        "INSERT INTO ai_usage (user_id, date, calls) SELECT user_id, date, 1 FROM ai_usage LIMIT 1",
    ),
];

const BAR: &str = "INSERT INTO {table} (symbol_id, {day}, open, high, low, close, volume, provider)
     SELECT symbol_id, {day}, 1, 1, 1, 1, 1, 'again' FROM {table} LIMIT 1";

#[tokio::test]
async fn duplicates_are_refused() {
    let database = seeded();
    let mut session = session(&database.options()).await;
    for (constraint, statement) in DUPLICATES {
        let table = constraint.strip_prefix("uq_").unwrap().split("_symbol").next().unwrap();
        let day = if table == "crypto_hourly_bars" { "ts" } else { "date" };
        let statement = statement.replace("{table}", table).replace("{day}", day);
        let failure = refused(&mut session, "", &statement).await;
        assert_eq!(failure.code(), Some(DUPLICATE), "{failure}");
        let named = failure.server().and_then(|message| message.constraint.as_deref());
        assert_eq!(named, Some(constraint), "{failure}");
    }
}

#[tokio::test]
async fn orders_without_a_client_order_id_are_not_limited() {
    let database = seeded();
    let mut session = session(&database.options()).await;
    let insert = "INSERT INTO orders (id, paper_account_id, symbol_id, side, quantity, order_type, status)
         SELECT md5(random()::text)::uuid, a.id, (SELECT min(id) FROM symbols), 'BUY', 1, 'MARKET', 'PENDING'
           FROM (SELECT min(id) AS id FROM paper_accounts) a, generate_series(1, 20)";
    let count = "SELECT count(*) FROM orders WHERE client_order_id IS NULL AND reject_reason IS NULL AND status = 'PENDING'
         AND paper_account_id = (SELECT min(id) FROM paper_accounts)";
    let before: u32 = value(&mut session, count).await.parse().unwrap();
    assert_eq!(after(&mut session, insert, count).await, (before + 20).to_string());
    // The same client order id of another account is another order.
    let other = "INSERT INTO orders (id, paper_account_id, symbol_id, side, quantity, order_type, status, client_order_id)
         SELECT md5(random()::text)::uuid, id, (SELECT min(id) FROM symbols), 'BUY', 1, 'MARKET', 'PENDING', 'the-same' FROM paper_accounts";
    let count = "SELECT count(*) = (SELECT count(*) FROM paper_accounts) FROM orders WHERE client_order_id = 'the-same'";
    assert_eq!(after(&mut session, other, count).await, "t");
}

#[tokio::test]
async fn values_are_limited() {
    let database = seeded();
    let mut session = session(&database.options()).await;
    for (table, column, value) in [
        ("symbols", "asset_type", "BOND"),
        ("strategies", "asset_type", "BOND"),
        ("jobs", "status", "sleeping"),
        ("backtest_runs", "status", "sleeping"),
        ("orders", "side", "HOLD"),
        ("orders", "order_type", "LIMIT"),
        ("orders", "status", "LOST"),
        ("executions", "side", "HOLD"),
    ] {
        let statement = format!("UPDATE {table} SET {column} = '{value}'");
        let failure = refused(&mut session, "", &statement).await;
        assert_eq!(failure.code(), Some("23514"), "{statement}: {failure}");
    }
}
