//! One connection: startup, then frames in both directions.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::rules::{ConnectionKind, Direction, How, Message, Shared, When};

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
/// Messages are passed on in pieces of this size, so that large ones need no memory.
const PIECE: usize = 64 << 10;

/// Why a relay ended before its connection did.
enum End {
    Cut(How),
    Lost,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

/// Passes everything on until both sides have closed, one is lost, or a rule cuts.
pub(super) async fn relay(number: usize, mut client: TcpStream, mut server: TcpStream, shared: &Shared) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let mut everything = shared.watch_everything();
    let outcome = tokio::select! {
        outcome = session(number, &mut client, &mut server, shared) => outcome,
        _ = everything.changed() => Err(End::Cut((*everything.borrow()).unwrap_or(How::Close))),
    };
    if let Err(End::Cut(How::Reset)) = outcome {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    } else {
        // Said explicitly: closing a socket that has unread data resets it.
        let _ = client.shutdown().await;
        let _ = server.shutdown().await;
    }
}

async fn session(
    number: usize,
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
) -> Result<(), End> {
    let kind = startup(client, server).await?;
    shared.is(number, kind);
    if kind != ConnectionKind::Session {
        tokio::io::copy_bidirectional(client, server).await?;
        return Ok(());
    }
    let ready = AtomicBool::new(false);
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = server.split();
    let pump = |direction| Pump { connection: number, direction, ready: &ready, shared };
    tokio::try_join!(
        pump(Direction::Frontend).run(client_in, server_out),
        pump(Direction::Backend).run(server_in, client_out),
    )?;
    Ok(())
}

/// Passes on the messages without a type: requests for encryption and their one-byte answers, then the startup
/// message itself or a request to cancel.
async fn startup(client: &mut TcpStream, server: &mut TcpStream) -> Result<ConnectionKind, End> {
    loop {
        let length = client.read_u32().await?;
        let code = client.read_u32().await?;
        let mut rest = vec![0; usize::try_from(length).unwrap_or(0).saturating_sub(8)];
        client.read_exact(&mut rest).await?;
        let packet = [&length.to_be_bytes()[..], &code.to_be_bytes()[..], &rest].concat();
        server.write_all(&packet).await?;
        match code {
            CANCEL => return Ok(ConnectionKind::Cancel),
            TLS | GSS => {
                let answer = server.read_u8().await?;
                client.write_all(&[answer]).await?;
                if answer != b'N' {
                    return Ok(ConnectionKind::Encrypted);
                }
            }
            _ => return Ok(ConnectionKind::Session),
        }
    }
}

/// One direction of one session.
struct Pump<'a> {
    connection: usize,
    direction: Direction,
    /// Whether the startup is over: set by the backend's first `ReadyForQuery`.
    ready: &'a AtomicBool,
    shared: &'a Shared,
}

impl Pump<'_> {
    async fn run(self, from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<(), End> {
        let mut from = BufReader::with_capacity(PIECE, from);
        let mut number = 0;
        loop {
            let tag = from.read_u8().await;
            self.shared.unstalled(self.connection).await;
            let Ok(tag) = tag else {
                to.shutdown().await?;
                return Ok(());
            };
            let size = from.read_u32().await?;
            let counted = self.ready.load(Ordering::Relaxed);
            if tag == b'Z' && self.direction == Direction::Backend {
                // Before the client can have it, and so before its first message.
                self.ready.store(true, Ordering::Relaxed);
            }
            let body = usize::try_from(size).unwrap_or(0).saturating_sub(4);
            let frame = Frame { tag, size, body };
            if counted {
                number += 1;
                self.counted(&frame, number, &mut from, &mut to).await?;
            } else {
                frame.pass(&mut from, &mut to).await?;
            }
        }
    }

    async fn counted(
        &self,
        frame: &Frame,
        number: usize,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), End> {
        let message = Message {
            connection: self.connection,
            direction: self.direction,
            number,
            tag: frame.tag,
            length: frame.body + 5,
        };
        self.shared.saw(message);
        self.shared.pass(message, When::Before).await.map_err(End::Cut)?;
        // Only a message with a rule inside is sent in two halves.
        frame.pass_halves(from, to, self.shared.pass(message, When::Inside)).await?;
        self.shared.pass(message, When::After).await.map_err(End::Cut)
    }
}

struct Frame {
    tag: u8,
    size: u32,
    body: usize,
}

impl Frame {
    fn header(&self) -> Vec<u8> {
        let mut header = vec![self.tag];
        header.extend(self.size.to_be_bytes());
        header
    }

    async fn pass(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        copy(self.header(), self.body, from, to).await
    }

    async fn pass_halves(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        between: impl Future<Output = Result<(), How>>,
    ) -> Result<(), End> {
        let half = self.body / 2;
        let mut header = self.header();
        // A message without a body is torn inside its header.
        let rest = if self.body == 0 { header.split_off(3) } else { Vec::new() };
        copy(header, half, from, to).await?;
        between.await.map_err(End::Cut)?;
        copy(rest, self.body - half, from, to).await?;
        Ok(())
    }
}

/// Writes `first` and then `length` bytes from `from`, in as few writes as their size allows.
async fn copy(
    first: Vec<u8>,
    length: usize,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = first;
    let mut left = length;
    while left > 0 || !buffer.is_empty() {
        let start = buffer.len();
        buffer.resize(start + left.min(PIECE), 0);
        from.read_exact(&mut buffer[start..]).await?;
        left -= buffer.len() - start;
        to.write_all(&buffer).await?;
        buffer.clear();
    }
    Ok(())
}
