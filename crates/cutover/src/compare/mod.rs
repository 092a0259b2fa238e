//! Two schemas side by side, wherever they come from: folders of migrations, files of DDL, databases, saved snapshots. Every
//! one that is not in a catalogue yet is built on a throwaway server and read there, so that texts on both sides are
//! PostgreSQL's own.
//!
//! It changes no database that anybody else uses.

pub mod drift;
pub mod rename;
mod side;
mod words;
mod written;

pub use cutover_analysis::diff::{Change, Diff, Left, Options, diff};
pub use cutover_analysis::schema::{Schema, Sql};
pub use side::{Built, Side, SideError};
pub use words::told;
pub(crate) use words::told_each;
pub use written::migration;
