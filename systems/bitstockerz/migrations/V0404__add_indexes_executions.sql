-- Sprint 4.2, optional. Indexes only.
-- Creates: index idx_executions_order.

-- The fills of an order; also looked up when an order is deleted.
CREATE INDEX CONCURRENTLY idx_executions_order ON executions (order_id);
