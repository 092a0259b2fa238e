-- Sprint 2.3, optional. Indexes only.
-- Creates: index idx_strategies_user.

-- A user's strategies.
CREATE INDEX CONCURRENTLY idx_strategies_user ON strategies (user_id);
