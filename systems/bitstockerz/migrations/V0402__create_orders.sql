-- Sprint 4.2. Source: ddl/02_trading.sql.
-- Creates: table orders with its indexes idx_orders_account_requested, idx_orders_symbol.

-- An order of an account. A client may name its order once; orders without such a name are not limited.
CREATE TABLE orders (
    id uuid NOT NULL,
    paper_account_id bigint NOT NULL,
    symbol_id bigint NOT NULL,
    side varchar(8) NOT NULL,
    quantity numeric(18, 8) NOT NULL,
    order_type varchar(16) NOT NULL,
    status varchar(16) NOT NULL,
    avg_fill_price numeric(18, 8),
    reject_reason varchar(255),
    client_order_id varchar(64),
    requested_at timestamptz NOT NULL DEFAULT now(),
    filled_at timestamptz,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT uq_orders_account_client_order UNIQUE (paper_account_id, client_order_id),
    CONSTRAINT ck_orders_side CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT ck_orders_order_type CHECK (order_type IN ('MARKET')),
    CONSTRAINT ck_orders_status CHECK (status IN ('PENDING', 'FILLED', 'REJECTED', 'CANCELLED')),
    CONSTRAINT fk_orders_account FOREIGN KEY (paper_account_id)
        REFERENCES paper_accounts (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT fk_orders_symbol FOREIGN KEY (symbol_id)
        REFERENCES symbols (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE INDEX idx_orders_account_requested ON orders (paper_account_id, requested_at);
CREATE INDEX idx_orders_symbol ON orders (symbol_id);
