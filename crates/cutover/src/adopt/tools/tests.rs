//! Each tool against a table as it makes it.
