//! Figures for Prometheus, and the smallest server that answers with them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::error::WorkerError;
use crate::event::RunEnd;

/// Bytes of a request that are read.
const LONGEST_REQUEST: usize = 8 << 10;
/// How long a request and its answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Connections at once: so many that say nothing keep nobody waiting.
const AT_ONCE: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRun {
    job: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJob {
    job: String,
}

type Times = Family<OfJob, Histogram, fn() -> Histogram>;

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    runs: Family<OfRun, Counter>,
    seconds: Times,
    lag: Times,
    skipped: Family<OfJob, Counter>,
    held: Gauge<i64, AtomicI64>,
    connected: Gauge<i64, AtomicI64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("cutover_worker");
        let buckets: fn() -> Histogram =
            || Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1_800.0]);
        let (seconds, lag) = (Times::new_with_constructor(buckets), Times::new_with_constructor(buckets));
        let (runs, skipped) = (Family::default(), Family::default());
        let (held, connected) = (Gauge::default(), Gauge::default());
        registry.register("runs", "Runs that ended, by job and outcome", runs.clone());
        registry.register_with_unit("run", "How long runs took", Unit::Seconds, seconds.clone());
        registry.register_with_unit(
            "lag",
            "How long after its due time a run began",
            Unit::Seconds,
            lag.clone(),
        );
        registry.register("skipped", "Times that due times passed without a run", skipped.clone());
        registry.register("leases_held", "Runs that are under way here", held.clone());
        registry.register("connected", "Whether the database can be reached", connected.clone());
        Self { registry, runs, seconds, lag, skipped, held, connected }
    }

    pub(crate) fn ended(&self, end: &RunEnd) {
        let (job, outcome) = (end.job.clone(), end.outcome.name().to_owned());
        self.runs.get_or_create(&OfRun { job, outcome }).inc();
        let of = OfJob { job: end.job.clone() };
        self.seconds.get_or_create(&of).observe(end.seconds);
        self.lag.get_or_create(&of).observe(end.lag_seconds);
    }

    pub(crate) fn skipped(&self, job: &str) {
        self.skipped.get_or_create(&OfJob { job: job.to_owned() }).inc();
    }

    pub(crate) fn held(&self, held: usize) {
        self.held.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.set(i64::from(connected));
    }

    fn text(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

/// Takes the address, so that a wrong one is said at once.
///
/// # Errors
/// It cannot be had.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, WorkerError> {
    TcpListener::bind(address).await.map_err(|error| WorkerError::Metrics { address, why: error.to_string() })
}

/// Answers for ever.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LIMIT, answer(stream, &metrics)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        request.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    let (status, kind, body) = page(&request, metrics);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if !request.starts_with(b"HEAD ") {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn page(request: &[u8], metrics: &Metrics) -> (&'static str, &'static str, String) {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let line =
        String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let mut words = line.split(' ');
    match (words.next(), words.next().map(|path| path.split('?').next().unwrap_or_default())) {
        (Some("GET" | "HEAD"), Some("/metrics")) => {
            ("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics.text())
        }
        (Some("GET" | "HEAD"), Some(_)) => ("404 Not Found", PLAIN, "/metrics is what there is\n".to_owned()),
        _ => ("405 Method Not Allowed", PLAIN, "GET /metrics\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RunOutcome;

    #[test]
    fn a_page_says_what_was_counted_and_nothing_else_is_served() {
        let metrics = Metrics::new();
        let end = RunEnd {
            job: "tick \"a\"\n".into(),
            scheduled_micros: 0,
            attempt: 1,
            outcome: RunOutcome::TimedOut,
            rows: None,
            error: None,
            again: false,
            seconds: 0.3,
            lag_seconds: 1.5,
        };
        metrics.ended(&end);
        metrics.connected(true);
        let (status, _, text) = page(b"GET /metrics?x HTTP/1.1\r\nHost: a\r\n\r\n", &metrics);
        assert_eq!(status, "200 OK");
        for line in [
            "cutover_worker_runs_total{job=\"tick \\\"a\\\"\\n\",outcome=\"timed_out\"} 1",
            "cutover_worker_run_seconds_count{job=\"tick \\\"a\\\"\\n\"} 1",
            "cutover_worker_lag_seconds_sum{job=\"tick \\\"a\\\"\\n\"} 1.5",
            "cutover_worker_connected 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(page(b"GET / HTTP/1.1\r\n\r\n", &metrics).0, "404 Not Found");
        assert_eq!(page(b"POST /metrics HTTP/1.1\r\n\r\n", &metrics).0, "405 Method Not Allowed");
        assert_eq!(page(b"\xff\xfe", &metrics).0, "405 Method Not Allowed");
    }

    #[tokio::test]
    async fn connections_that_say_nothing_keep_nobody_waiting() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, Arc::new(Metrics::new())));
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut asking = TcpStream::connect(address).await.unwrap();
        asking.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        // None of them had to be given up for it.
        for stream in &silent {
            assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
        serving.abort();
    }
}
