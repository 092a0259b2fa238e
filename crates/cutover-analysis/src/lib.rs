//! Pure analysis of SQL.
