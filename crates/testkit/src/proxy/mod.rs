//! A TCP proxy that understands the frames of PostgreSQL's protocol, to break connections exactly where it hurts.
//!
//! A test first runs its work through the proxy and asks for the messages it [recorded](Proxy::messages); then it
//! runs it again for each of them, with a [cut](Proxy::cut) before, inside or after that message. A
//! [hold](Proxy::hold) stops a message until the test says so, which takes the place of sleeping where two things
//! must happen in a certain order.
//!
//! Messages are numbered from 1 in each direction of each connection, from the end of the startup on: the login
//! itself is not counted. Connections are numbered from 0 in the order in which they were accepted, requests to
//! cancel included.

mod relay;
mod rules;

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use cutover_postgres::sandbox::Server;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use rules::Shared;
pub use rules::{ConnectionKind, Direction, Hold, How, Message, Point, Scope, Stall, When};

/// A running proxy; dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy in front of `server`, on a port of its own.
    pub fn start(server: &Server) -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("a port").port();
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port));
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(listener, upstream, &state, stopped));
        let server = Server { port, socket_folder: None, ..server.clone() };
        Self { server, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The server as seen through the proxy.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Cuts the connection at `point`, once. `scope` says whether the others go with it.
    pub fn cut(&self, point: Point, how: How, scope: Scope) {
        self.shared.add_cut(point, how, scope);
    }

    /// Holds the message at `point`, once, until the returned value is told to release it or is dropped.
    pub fn hold(&self, point: Point) -> Hold {
        self.shared.add_hold(point)
    }

    /// From now on nothing gets through a connection, in either direction: neither messages nor its end, as where a
    /// firewall has forgotten it. Lasts until the returned value is dropped.
    pub fn stall(&self, connection: usize) -> Stall {
        self.shared.add_stall(connection)
    }

    /// Every message seen so far, in the order in which they arrived here.
    pub fn messages(&self) -> Vec<Message> {
        self.shared.messages()
    }

    /// What each connection accepted so far turned out to be.
    pub fn connections(&self) -> Vec<ConnectionKind> {
        self.shared.connections()
    }

    /// How many cuts have happened. A client may know of the message before a cut that comes after it: a test that
    /// relies on one uses [`Proxy::wait_cuts`].
    pub fn cuts(&self) -> usize {
        self.shared.cuts()
    }

    /// Blocks until that many cuts have happened. Panics if they have not within a minute.
    pub fn wait_cuts(&self, wanted: usize) {
        self.shared.wait_cuts(wanted);
    }
}

impl Drop for Proxy {
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
    shared: &Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let accept = async {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                continue;
            };
            let number = shared.accepted();
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(upstream).await {
                    relay::relay(number, client, server, &shared).await;
                }
            });
        }
    };
    tokio::select! {
        () = accept => {}
        _ = stopped => {}
    }
}
