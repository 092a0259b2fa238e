//! A server that says nothing: what is waited for, and what counts as lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use common::{connect, database};
use cutover_postgres::connect::{ConnectError, ConnectOptions, Host, HostAddress};
use cutover_postgres::session::{Failure, Session, Startup};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A network that can be told to swallow what passes through it.
struct Network {
    port: u16,
    /// Connections below this number, counted from 0, are swallowed, in both directions.
    swallowed: watch::Sender<usize>,
}

impl Network {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (swallowed, watched) = watch::channel(0);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((client, _)) = listener.accept().await {
                let upstream = (Ipv4Addr::LOCALHOST, common::server().port());
                let (client_in, client_out) = client.into_split();
                let (server_in, server_out) = TcpStream::connect(upstream).await.unwrap().into_split();
                tokio::spawn(pass(number, watched.clone(), client_in, server_out));
                tokio::spawn(pass(number, watched.clone(), server_in, client_out));
                number += 1;
            }
        });
        Self { port, swallowed }
    }

    fn options(&self, options: &ConnectOptions) -> ConnectOptions {
        let address = HostAddress::Tcp { name: "127.0.0.1".to_owned(), address: None };
        let password = options.hosts[0].password.clone();
        ConnectOptions { hosts: vec![Host { address, port: self.port, password }], ..options.clone() }
    }

    fn swallow(&self, connections: usize) {
        self.swallowed.send_replace(connections);
    }
}

async fn pass(
    number: usize,
    swallowed: watch::Receiver<usize>,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if number >= *swallowed.borrow() {
            to.write_all(&buffer[..count]).await.unwrap();
        }
    }
}

/// A session whose server may say nothing for a moment only.
async fn impatient(options: &ConnectOptions) -> Session {
    // Connecting, also to look, may take longer.
    impatient_within(options, Duration::from_secs(10)).await.unwrap()
}

async fn impatient_within(options: &ConnectOptions, limit: Duration) -> Result<Session, ConnectError> {
    let options = ConnectOptions { connect_timeout: Some(limit), ..options.clone() };
    let startup = Startup { silence: Some(Duration::from_millis(100)), ..Startup::default() };
    Session::connect(&options, &startup).await
}

/// Ends on its own only if nothing hangs.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hangs")
}

fn why(failure: Failure) -> String {
    match failure {
        Failure::Lost(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn work_is_waited_for_however_long_it_takes() {
    let mut session = impatient(&database().await).await;
    // Three looks. A server that is seen idle because it has not begun yet has a second to answer.
    let slow = "SELECT 1 FROM pg_sleep(0.6)";
    assert_eq!(session.query(slow, &[]).await.unwrap().len(), 1);
    assert_eq!(session.execute(slow).await.unwrap().scalar(), Some("1"));
    let copy = format!("COPY ({slow}) TO STDOUT");
    assert_eq!(
        session.copy_out(&copy).await.unwrap().next().await.unwrap(),
        Some(Bytes::from_static(b"1\n"))
    );
    assert!(!session.fell_silent());
}

/// The server takes nobody who could look: that it says so shows that it can be reached.
#[tokio::test]
async fn a_server_that_takes_no_more_sessions_is_waited_for() {
    let options = database().await;
    let mut admin = connect(&options).await;
    admin.execute("CREATE ROLE lonely LOGIN PASSWORD 'p' CONNECTION LIMIT 1").await.unwrap();
    let options = ConnectOptions { user: "lonely".to_owned(), ..options }.with_password(Some("p"));
    let mut session = impatient(&options).await;
    assert!(Session::connect(&options, &Startup::default()).await.is_err());
    assert_eq!(session.execute("SELECT 1 FROM pg_sleep(0.6)").await.unwrap().scalar(), Some("1"));
}

type Asking<'a> = BoxFuture<'a, Result<(), Failure>>;

/// In each way of asking, the network takes the question.
#[tokio::test]
async fn a_session_that_the_network_forgot_is_given_up() {
    let database = database().await;
    let asks: [fn(&mut Session) -> Asking<'_>; 5] = [
        |session| Box::pin(async { session.query("SELECT 1", &[]).await.map(drop) }),
        |session| Box::pin(async { session.query("SELECT $1::int", &[&1]).await.map(drop) }),
        |session| Box::pin(async { session.query_typed("SELECT 1", &[]).await.map(drop) }),
        |session| Box::pin(async { session.execute("SELECT 1").await.map(drop) }),
        |session| Box::pin(async { session.copy_in("COPY t FROM STDIN").await.map(drop) }),
    ];
    for (number, ask) in asks.into_iter().enumerate() {
        let network = Network::start().await;
        let mut session = impatient(&network.options(&database)).await;
        session.execute("CREATE TEMPORARY TABLE t (n int)").await.unwrap();
        network.swallow(1);
        let expected = "it did not answer within 0.1 s, and the server is not at work on it any more";
        assert_eq!(why(within(ask(&mut session)).await.unwrap_err()), expected, "way {number}");
        assert!(session.is_closed() && session.fell_silent());
        // Nothing waits again.
        assert_eq!(why(within(session.execute("SELECT 1")).await.unwrap_err()), expected);
        within(session.close()).await;
    }
}

/// The answer of a pipeline is swallowed: what came before stands.
#[tokio::test]
async fn answers_before_the_silence_stand() {
    let network = Network::start().await;
    let database = database().await;
    let mut session = impatient(&network.options(&database)).await;
    let mut watcher = connect(&database).await;
    watcher.execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let first = session.launch("SELECT 1").await;
    let second = session.launch("SELECT pg_advisory_lock(1)").await;
    assert!(within(session.land(first)).await.result.is_ok());
    let waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while watcher.query(waits, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    network.swallow(1);
    watcher.execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    let outcome = within(session.land(second)).await;
    assert!(why(outcome.result.unwrap_err()).contains("is not at work on it any more"));
}

#[tokio::test]
async fn a_network_that_takes_everything_is_given_up() {
    let network = Network::start().await;
    let options = network.options(&database().await);
    // The limit is for the look. It holds for the session itself too, which may need another attempt.
    let mut session = within(async {
        loop {
            if let Ok(session) = impatient_within(&options, Duration::from_secs(2)).await {
                return session;
            }
        }
    })
    .await;
    network.swallow(usize::MAX);
    let failure = within(session.execute("SELECT 1")).await.unwrap_err();
    assert_eq!(why(failure), "it did not answer within 0.1 s, and the server cannot be reached anew");
}
