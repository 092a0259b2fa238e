//! Where to connect to and as whom, by libpq's rules: URLs and conninfo strings, `PG*` variables, the password file
//! and the service file, with the origin of each value. Reads files the options name; opens no connection.

mod dotenv;
mod error;
mod keywords;
mod options;
mod origin;
mod passfile;
mod resolve;
mod service;
mod text;
mod typed;

pub use dotenv::{DotenvError, parse_dotenv};

pub use error::{Attempt, ConnectError};
pub use options::{
    ChannelBinding, ClientCertificate, ConnectOptions, Host, HostAddress, Keepalives, LoadBalance, Secret,
    SslMode, SslNegotiation, TargetSessionAttrs, TlsOptions, TlsVersion,
};
pub use origin::{Origin, Setting};
pub use resolve::{Inputs, Resolved};
