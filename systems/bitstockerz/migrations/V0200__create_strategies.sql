-- Sprint 2.1. Source: ddl/03_strategy_lab.sql.
-- Creates: table strategies with its index uq_strategies_user_name.

-- A user's strategy. Its name is unique for that user whatever its case.
CREATE TABLE strategies (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name varchar(255) NOT NULL,
    description text,
    asset_type varchar(16) NOT NULL,
    symbol_scope varchar(16) NOT NULL,
    timeframe varchar(8) NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_strategies PRIMARY KEY (id),
    CONSTRAINT ck_strategies_asset_type CHECK (asset_type IN ('EQUITY', 'CRYPTO')),
    CONSTRAINT fk_strategies_user FOREIGN KEY (user_id)
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE UNIQUE INDEX uq_strategies_user_name ON strategies (user_id, lower(name));
