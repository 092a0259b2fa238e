//! What the server really said. tokio-postgres hides command tags and the transaction status and answers a COMMIT
//! that was turned into a ROLLBACK with success; a thin stream under it reads the frames as they pass by.
//! It only listens, with two exceptions: data of a `COPY FROM STDIN` is written here, and that of a `COPY TO STDOUT` may
//! be taken out on its way. It never decides anything.

mod frames;
mod recorder;
mod sieve;
mod stream;

pub(crate) use recorder::{CopyPart, Cycle, SharedRecorder, lock, share};
pub use sieve::CopySink;
pub(crate) use stream::{Passthrough, Transport, Wire};
