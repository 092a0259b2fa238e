//! Reference system: see `cutover.toml`, `ddl/` and `migrations/` beside this file; `tests/` proves its specification.
