-- Sprint 4.2. Source: ddl/02_trading.sql.
-- Creates: table executions with its indexes idx_executions_account_executed, idx_executions_symbol_executed.

-- One fill of an order.
CREATE TABLE executions (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    paper_account_id bigint NOT NULL,
    symbol_id bigint NOT NULL,
    side varchar(8) NOT NULL,
    quantity numeric(18, 8) NOT NULL,
    price numeric(18, 8) NOT NULL,
    executed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_executions PRIMARY KEY (id),
    CONSTRAINT ck_executions_side CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT fk_executions_order FOREIGN KEY (order_id)
        REFERENCES orders (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT fk_executions_account FOREIGN KEY (paper_account_id)
        REFERENCES paper_accounts (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT fk_executions_symbol FOREIGN KEY (symbol_id)
        REFERENCES symbols (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE INDEX idx_executions_account_executed ON executions (paper_account_id, executed_at);
CREATE INDEX idx_executions_symbol_executed ON executions (symbol_id, executed_at);
