//! Connections and throwaway servers: the only crate that opens a socket or starts a server.
//!
//! * [`connect`] finds out where to connect to, as libpq does;
//! * [`session`] is one connection whose outcomes are read from the wire;
//! * [`environment`] is what a caller says of its surroundings: nothing here reads the process environment itself.
//!
//! Nothing here prints, prompts, or decides what to run.

pub mod connect;
pub mod environment;
mod message;
pub mod sandbox;
pub mod session;
pub mod sqlstate;
mod tls;
mod wire;

pub use environment::Environment;
pub use message::ServerMessage;
pub use tokio_postgres::Row;
pub use tokio_postgres::types;
