//! Where to connect to and as whom, by libpq's rules: URLs and conninfo strings, `PG*` variables, the password file
//! and the service file, with the origin of each value. Reads files the options name; opens no connection.

mod error;
mod options;

pub use error::{Attempt, ConnectError};
pub use options::{
    ChannelBinding, ClientCertificate, ConnectOptions, Host, HostAddress, Keepalives, LoadBalance, Secret,
    SslMode, SslNegotiation, TargetSessionAttrs, TlsOptions, TlsVersion,
};
