//! Reference system: see `cutover.toml` and `migrations/` beside this file; `tests/` proves its specification.
