//! What the server really said. tokio-postgres hides command tags and the transaction status and answers a COMMIT
//! that was turned into a ROLLBACK with success; a thin stream under it reads the frames as they pass by.
//! It only listens, with one exception: data of a `COPY FROM STDIN` is written here. It never decides anything.

mod frames;
mod recorder;
mod stream;

pub(crate) use recorder::{CopyPart, Cycle, SharedRecorder, lock, share};
pub(crate) use stream::{Passthrough, Transport, Wire};
