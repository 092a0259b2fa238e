//! Reference system: see `cutover.toml`, `base/` and `migrations/` beside this file; `tests/` proves its specification.
