//! Opening the stream of bytes to one address: socket, keepalives, and TLS as far as it is wished for.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::problem::Problem;
use crate::connect::{ConnectOptions, Keepalives, SslNegotiation};
use crate::message::ServerMessage;
use crate::tls::TlsClient;
use crate::wire::Transport;

/// Longest error text read in place of an answer to the request for TLS.
const EARLY_ERROR_LIMIT: usize = 30_000;

/// One address of one server, with what is needed to reach it again (for cancel requests).
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: Address,
    /// Host name as the certificate has it; empty when there is none.
    pub(super) server_name: String,
    pub(super) keepalives: Keepalives,
    pub(super) negotiation: SslNegotiation,
    pub(super) tls: Option<TlsClient>,
    pub(super) connect_timeout: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// How much TLS is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// None.
    Plain,
    /// TLS, or none when the server has none.
    IfOffered,
    /// TLS.
    Tls,
}

/// A stream of bytes and what is known of it.
pub(super) struct Opened {
    pub(super) transport: Transport,
    pub(super) channel_binding: Option<Vec<u8>>,
    pub(super) encrypted: bool,
}

impl Opened {
    fn plain(transport: Transport) -> Self {
        Self { transport, channel_binding: None, encrypted: false }
    }
}

impl Endpoint {
    pub(super) fn new(
        address: Address,
        server_name: String,
        tls: Option<TlsClient>,
        options: &ConnectOptions,
    ) -> Self {
        Self {
            address,
            server_name,
            keepalives: options.keepalives.clone(),
            negotiation: options.tls.negotiation,
            tls,
            connect_timeout: options.connect_timeout,
        }
    }

    /// Opens the stream; TLS is never spoken over a Unix-domain socket.
    pub(super) async fn open(&self, wish: Wish) -> Result<Opened, Problem> {
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(Problem::Io)?;
                Ok(Opened::plain(Transport::Unix(stream)))
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(Problem::Io)?;
                configure(&stream, &self.keepalives).map_err(Problem::Io)?;
                self.secure(stream, wish).await
            }
        }
    }

    async fn secure(&self, mut stream: TcpStream, wish: Wish) -> Result<Opened, Problem> {
        let client = match (wish, &self.tls) {
            (Wish::Plain, _) | (Wish::IfOffered, None) => return Ok(Opened::plain(Transport::Tcp(stream))),
            (Wish::Tls, None) => return Err(Problem::NoTls),
            (_, Some(client)) => client,
        };
        if self.negotiation == SslNegotiation::Postgres && !ask_for_tls(&mut stream).await? {
            return match wish {
                Wish::Tls => Err(Problem::NoTls),
                _ => Ok(Opened::plain(Transport::Tcp(stream))),
            };
        }
        let (stream, channel_binding) =
            client.handshake(stream, &self.server_name).await.map_err(Problem::Tls)?;
        Ok(Opened { transport: Transport::Tls(Box::new(stream)), channel_binding, encrypted: true })
    }
}

/// Asks whether the server speaks TLS.
async fn ask_for_tls(stream: &mut TcpStream) -> Result<bool, Problem> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await.map_err(Problem::Io)?;
    // One byte exactly: what follows belongs to the handshake.
    match stream.read_u8().await.map_err(Problem::Io)? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        b'E' => Err(early_error(stream).await),
        _ => Err(Problem::Login("what answers there is no PostgreSQL server".to_owned())),
    }
}

/// A server too busy to answer the request for TLS sends an error. It is not authenticated in any way, so its text
/// is read with a limit and nothing follows from it but the failure.
async fn early_error(stream: &mut TcpStream) -> Problem {
    let mut body = Vec::new();
    let read = async {
        let length = stream.read_u32().await? as usize;
        body.resize(length.saturating_sub(4).min(EARLY_ERROR_LIMIT), 0);
        stream.read_exact(&mut body).await
    };
    match read.await {
        Ok(_) => Problem::Server(Box::new(ServerMessage::from_body(&body))),
        Err(error) => Problem::Io(error),
    }
}

fn configure(stream: &TcpStream, keepalives: &Keepalives) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if keepalives.enabled {
        let mut wish = TcpKeepalive::new();
        if let Some(idle) = keepalives.idle {
            wish = wish.with_time(idle);
        }
        if let Some(interval) = keepalives.interval {
            wish = wish.with_interval(interval);
        }
        if let Some(count) = keepalives.count {
            wish = wish.with_retries(count);
        }
        socket.set_keepalive(true)?;
        socket.set_tcp_keepalive(&wish)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(keepalives.user_timeout)?;
    Ok(())
}
