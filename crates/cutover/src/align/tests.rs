//! Models against databases.
