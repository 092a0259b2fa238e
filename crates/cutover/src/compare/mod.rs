//! Two schemas side by side, wherever they come from: folders of migrations, files of DDL, databases, saved snapshots. Every
//! one that is not in a catalogue yet is built on a throwaway server and read there, so that texts on both sides are
//! PostgreSQL's own.
//!
//! What a database that was made by other means is held against is built in the same way (`basis`). It changes no database that
//! anybody else uses.

mod basis;
pub mod drift;
pub mod rename;
mod side;
mod words;
mod written;

pub(crate) use basis::{Basis, Departures};
pub use cutover_analysis::diff::{Change, Diff, Left, Options, diff};
pub use cutover_analysis::schema::{Schema, Sql};
pub use side::{Built, Side, SideError, read_both};
pub(crate) use side::{as_they_stand, likeness};
pub(crate) use words::{not_as, told_each};
pub use words::{starred, told};
pub use written::migration;
