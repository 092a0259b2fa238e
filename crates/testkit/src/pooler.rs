//! A connection pooler of one's own: it speaks the protocol well enough to lend sessions of the server to clients as
//! the usual poolers do.
//!
//! Each client logs in over a session that is opened for it. From then on that session belongs to the pool. In
//! [`PoolMode::Transaction`] a client gets the session that came back last for as long as a transaction lasts; in
//! [`PoolMode::Session`] it keeps one until it leaves. Clients are told process ids and keys of the pooler's own, with
//! which nothing can be cancelled.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cutover_postgres::sandbox::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// The first message that asks for encryption, TLS or GSSAPI; it is declined.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];
/// The first message of a request to cancel.
const CANCEL: u32 = 80_877_102;

/// How long a client keeps a session of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until it leaves.
    Session,
    /// For one transaction.
    Transaction,
}

/// How a pooler works.
#[derive(Debug, Clone, Copy)]
pub struct PoolerOptions {
    /// How long a client keeps a session of the server.
    pub mode: PoolMode,
    /// What becomes of the settings a client wants to begin with (`options`).
    pub settings: PoolSettings,
}

/// What becomes of the settings a client wants its session to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSettings {
    /// They reach the server.
    Passed,
    /// They are dropped without a word.
    Dropped,
    /// Whoever has any is turned away.
    Refused,
}

/// A running pooler; dropping it ends all its connections.
#[derive(Debug)]
pub struct Pooler {
    server: Server,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pooler {
    /// Starts a pooler in front of `server`, on a port of its own.
    pub fn start(server: &Server, options: PoolerOptions) -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("a port").port();
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || serve(listener, upstream, options, stopped));
        let server = Server { port, socket_folder: None, ..server.clone() };
        Self { server, stop: Some(stop), thread: Some(thread) }
    }

    /// The server as seen through the pooler.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(
    listener: StdListener,
    upstream: SocketAddr,
    options: PoolerOptions,
    stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let pool = Arc::new(Pool::default());
    let accept = async {
        for number in 1.. {
            let Ok((client, _)) = listener.accept().await else { continue };
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                // A client or server that goes away ends only this.
                let _ = attend(client, upstream, options, &pool, number).await;
            });
        }
    };
    tokio::select! {
        () = accept => {}
        _ = stopped => {}
    }
}

/// Sessions of the server that nobody uses just now, the one that came back last at the end.
#[derive(Default)]
struct Pool(Mutex<Vec<Side>>);

impl Pool {
    fn put(&self, side: Side) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(side);
    }

    /// Each client has brought one along and uses one at most: there is always one left.
    fn take(&self) -> io::Result<Side> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        taken.ok_or_else(|| io::Error::other("the pool is empty"))
    }
}

/// A message with a type.
struct Frame {
    tag: u8,
    body: Vec<u8>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len() + 4).expect("a message of a test is not that long");
        [&[self.tag], &length.to_be_bytes()[..], &self.body].concat()
    }

    async fn read(from: &mut OwnedReadHalf) -> io::Result<Self> {
        let tag = from.read_u8().await?;
        let length = from.read_u32().await? as usize;
        let mut body = vec![0; length.saturating_sub(4)];
        from.read_exact(&mut body).await?;
        Ok(Self { tag, body })
    }
}

/// One end of a connection: what it says, whole messages, and where to answer.
struct Side {
    says: mpsc::UnboundedReceiver<Frame>,
    answers: OwnedWriteHalf,
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        let (mut from, answers) = stream.into_split();
        let (sender, says) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(frame) = Frame::read(&mut from).await {
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        Self { says, answers }
    }

    async fn next(&mut self) -> io::Result<Frame> {
        self.says.recv().await.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    async fn tell(&mut self, frame: &Frame) -> io::Result<()> {
        self.answers.write_all(&frame.bytes()).await
    }
}

/// Serves one client from its login to its end.
async fn attend(
    mut client: TcpStream,
    upstream: SocketAddr,
    options: PoolerOptions,
    pool: &Pool,
    number: i32,
) -> io::Result<()> {
    let Some(startup) = startup(&mut client, options.settings).await? else { return Ok(()) };
    let mut stream = TcpStream::connect(upstream).await?;
    let _ = (client.set_nodelay(true), stream.set_nodelay(true));
    stream.write_all(&startup).await?;
    let (mut client, mut server) = (Side::new(client), Side::new(stream));
    log_in(&mut client, &mut server, number).await?;
    if options.mode == PoolMode::Session {
        return lend(&mut client, &mut server, None, |_| false).await;
    }
    pool.put(server);
    loop {
        let first = client.next().await?;
        if first.tag == b'X' {
            return Ok(());
        }
        let mut server = pool.take()?;
        lend(&mut client, &mut server, Some(first), |status| status == b'I').await?;
        pool.put(server);
    }
}

/// The client's first message, as it goes to the server; nothing for a request to cancel and for who is turned away.
async fn startup(client: &mut TcpStream, settings: PoolSettings) -> io::Result<Option<Vec<u8>>> {
    loop {
        let length = client.read_u32().await? as usize;
        let code = client.read_u32().await?;
        let mut body = vec![0; length.saturating_sub(8)];
        client.read_exact(&mut body).await?;
        if ENCRYPTION.contains(&code) {
            client.write_all(b"N").await?;
            continue;
        }
        if code == CANCEL {
            return Ok(None);
        }
        let bare = without_options(&body);
        if settings == PoolSettings::Refused && bare.len() < body.len() {
            let said = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0".to_vec();
            client.write_all(&Frame { tag: b'E', body: said }.bytes()).await?;
            return Ok(None);
        }
        if settings == PoolSettings::Dropped {
            body = bare;
        }
        let length = u32::try_from(body.len() + 8).map_err(io::Error::other)?;
        return Ok(Some([&length.to_be_bytes()[..], &code.to_be_bytes(), &body].concat()));
    }
}

/// Names and values, each ended by a zero byte, then another zero byte.
fn without_options(body: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = body.split(|byte| *byte == 0).collect();
    let pairs = words.chunks_exact(2).filter(|pair| !pair[0].is_empty() && pair[0] != b"options");
    let mut kept: Vec<u8> = pairs.flat_map(|pair| [pair[0], b"\0", pair[1], b"\0"].concat()).collect();
    kept.push(0);
    kept
}

/// Passes the login on, up to the server being ready, with a key of our own.
async fn log_in(client: &mut Side, server: &mut Side, number: i32) -> io::Result<()> {
    loop {
        tokio::select! {
            frame = client.next() => server.tell(&frame?).await?,
            frame = server.next() => {
                let mut frame = frame?;
                if frame.tag == b'K' {
                    frame.body = [number.to_be_bytes(), [0; 4]].concat();
                }
                client.tell(&frame).await?;
                if frame.tag == b'Z' {
                    return Ok(());
                }
            }
        }
    }
}

/// Passes messages on until everything is answered and the server's status is one to part with.
async fn lend(
    client: &mut Side,
    server: &mut Side,
    first: Option<Frame>,
    parts: impl Fn(u8) -> bool,
) -> io::Result<()> {
    let mut open = Open::default();
    if let Some(first) = first {
        open.asked(&first);
        server.tell(&first).await?;
    }
    loop {
        tokio::select! {
            frame = client.next() => {
                let frame = frame?;
                open.asked(&frame);
                server.tell(&frame).await?;
            }
            frame = server.next() => {
                let frame = frame?;
                client.tell(&frame).await?;
                if frame.tag == b'Z' {
                    open.requests = open.requests.saturating_sub(1);
                    if open.requests == 0 && !open.unfinished && parts(frame.body.first().copied().unwrap_or(0)) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// What a client has asked for and is not answered yet.
#[derive(Default)]
struct Open {
    /// Requests that end with the server being ready.
    requests: usize,
    /// Messages of the extended protocol without their Sync.
    unfinished: bool,
}

impl Open {
    fn asked(&mut self, frame: &Frame) {
        match frame.tag {
            b'Q' | b'F' => self.requests += 1,
            b'S' => {
                self.requests += 1;
                self.unfinished = false;
            }
            _ => self.unfinished = true,
        }
    }
}
