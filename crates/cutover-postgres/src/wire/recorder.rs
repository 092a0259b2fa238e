//! What passed by on one connection: outcomes per request, parameters, the transaction status.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::frames::Frames;
use super::sieve::{CopySink, Sieve};
use crate::message::ServerMessage;
use crate::session::TransactionStatus;
use crate::sqlstate;

/// Bytes of an error or notice that are read; the rest of a longer one is cut off.
const MESSAGE_LIMIT: usize = 256 << 10;
/// Notices kept for one request; further ones are counted.
const NOTICE_LIMIT: usize = 1_000;
/// Parameters kept for one request. A server reports about fifteen; an extension or a pooler may have some of its own.
const PARAMETER_LIMIT: usize = 100;

/// One piece on its way into a `COPY FROM STDIN`.
#[derive(Debug)]
pub(crate) enum CopyPart {
    /// Data, any cut.
    Data(Bytes),
    /// All data is sent.
    Done,
    /// Give up with this reason; the server answers with an error.
    Fail(String),
}

/// Everything the server answered to one simple query, up to its `ReadyForQuery`.
#[derive(Debug, Default)]
pub(crate) struct Cycle {
    pub(crate) tags: Vec<String>,
    pub(crate) error: Option<ServerMessage>,
    pub(crate) notices: Vec<ServerMessage>,
    pub(crate) notices_after: Vec<usize>,
    pub(crate) notices_dropped: usize,
    /// Parameters reported to have changed meanwhile, each with its last value.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) status: TransactionStatus,
}

/// What a `ReadyForQuery` to come belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// A simple query, by its number on this connection.
    Simple(u64),
    /// A `Sync` of the extended protocol; its outcome is tokio-postgres' own business.
    Extended,
}

/// Shared between the stream (which fills it) and the session (which reads it).
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    from_server: Frames,
    to_server: Frames,
    /// The start of a session has frames without a type; listening begins after it.
    listening: bool,
    state: State,
}

/// See [`Recorder`].
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts about one connection, not a state")]
pub(crate) struct State {
    /// When bytes last came or went.
    pub(crate) moved: Option<Instant>,
    requests: VecDeque<Request>,
    simple_sent: u64,
    cycle: Cycle,
    finished: VecDeque<(u64, Cycle)>,
    pub(crate) status: TransactionStatus,
    pub(crate) parameters: HashMap<String, String>,
    /// Process id and secret key, for cancel requests.
    pub(crate) backend: Option<(i32, i32)>,
    /// The server accepted the login.
    pub(crate) authenticated: bool,
    /// Notices outside simple queries.
    pub(crate) other_notices: Vec<ServerMessage>,
    /// The server waits for COPY data.
    pub(crate) copy_active: bool,
    /// Nobody has data for the COPY that the server asks it for.
    copy_by_mistake: bool,
    /// Why the answers to come cannot be told apart any more: the connection must end.
    pub(crate) out_of_step: Option<String>,
    /// Where the COPY data of a simple query (by its number) comes from.
    pub(crate) copy_source: Option<(u64, mpsc::Receiver<CopyPart>)>,
    /// What takes the data of the `COPY TO` that is simple query `.0`.
    pub(crate) sink_waiting: Option<(u64, Box<dyn CopySink>)>,
    /// The sink of simple query `.0`, which has ended.
    pub(crate) sink_done: Option<(u64, Box<dyn CopySink>)>,
    /// How many notifications (NOTIFY) came.
    pub(crate) notifications: u64,
    /// The server has said that it ends the session: nothing but the end of the connection follows.
    pub(crate) dismissed: bool,
    /// The server said nothing for so long that the connection was given up.
    pub(crate) silent: bool,
    /// Why the connection ended, once it has.
    pub(crate) lost: Option<String>,
    /// Wakes whoever waits for [`State::is_settled`], or for a notification.
    pub(crate) settled: Arc<Notify>,
}

pub(crate) type SharedRecorder = Arc<Mutex<Recorder>>;

/// A new recorder.
pub(crate) fn share() -> SharedRecorder {
    SharedRecorder::default()
}

/// The lock; a panic elsewhere while it was held leaves values that are still true.
pub(crate) fn lock(recorder: &SharedRecorder) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("requests", &self.requests)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// A sieve for the sink that waits, where one does and no frame from the server is half read.
    pub(super) fn begin_sieve(&mut self) -> Option<Sieve> {
        if !self.from_server.at_boundary() {
            return None;
        }
        let (query, sink) = self.state.sink_waiting.take()?;
        Some(Sieve::new(query, sink))
    }

    /// Whether what comes from the server now answers this simple query.
    pub(super) fn answers(&self, query: u64) -> bool {
        self.state.requests.front() == Some(&Request::Simple(query))
    }

    /// The session is established: from now on the client's frames have types.
    pub(crate) fn start_listening(&mut self) {
        self.listening = true;
    }

    pub(crate) fn state(&mut self) -> &mut State {
        &mut self.state
    }

    /// Whether the client's last frame is whole, so that another may be put behind it.
    pub(super) fn at_boundary(&self) -> bool {
        self.to_server.at_boundary()
    }

    /// Bytes came or went.
    pub(super) fn moved(&mut self) {
        self.state.moved = Some(Instant::now());
    }

    /// Bytes that came from the server.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.moved();
        self.from_server.feed(bytes, wanted_from_server, |tag, body| {
            self.state.received(tag, body);
        });
    }

    /// Bytes that went to the server.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.moved();
        if self.listening {
            self.to_server.feed(bytes, |_| 0, |tag, _| self.state.sent(tag));
        }
    }
}

fn wanted_from_server(tag: u8) -> usize {
    match tag {
        b'E' | b'N' => MESSAGE_LIMIT,
        b'C' | b'K' | b'S' | b'R' | b'Z' => 1 << 10,
        _ => 0,
    }
}

impl State {
    /// Every request that was sent has been answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.requests.is_empty() || self.lost.is_some()
    }

    /// Takes the outcome of simple query `number`, and forgets those of earlier ones nobody waited for.
    pub(crate) fn take(&mut self, number: u64) -> Option<Cycle> {
        while self.finished.front().is_some_and(|(found, _)| *found < number) {
            self.finished.pop_front();
        }
        match self.finished.front() {
            Some((found, _)) if *found == number => self.finished.pop_front().map(|(_, cycle)| cycle),
            _ => None,
        }
    }

    /// Takes what is known of a request that was cut off.
    pub(crate) fn take_unfinished(&mut self) -> Cycle {
        std::mem::take(&mut self.cycle)
    }

    /// Hands over the source of the data the server asks for.
    pub(crate) fn take_copy_source(&mut self) -> Option<mpsc::Receiver<CopyPart>> {
        let Some(Request::Simple(asking)) = self.requests.front() else {
            return None;
        };
        self.copy_source.take_if(|(of, _)| of == asking).map(|(_, source)| source)
    }

    fn sent(&mut self, tag: u8) {
        match tag {
            b'Q' => {
                self.requests.push_back(Request::Simple(self.simple_sent));
                self.simple_sent += 1;
            }
            b'S' => self.requests.push_back(Request::Extended),
            _ => {}
        }
    }

    fn received(&mut self, tag: u8, body: &[u8]) {
        match tag {
            b'C' => self.cycle.tags.push(text(body)),
            b'E' => self.error(ServerMessage::from_body(body)),
            b'N' => self.notice(ServerMessage::from_body(body)),
            b'Z' => self.ready(body),
            b'G' => {
                self.copy_active = true;
                self.copy_by_mistake = !self.has_copy_source();
            }
            b'S' => {
                let mut parts = body.split(|byte| *byte == 0);
                if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                    self.parameter(text(name), text(value));
                }
            }
            b'K' => self.backend = backend_key(body),
            b'A' => {
                self.notifications += 1;
                self.settled.notify_waiters();
            }
            b'R' if body == [0; 4] => self.authenticated = true,
            _ => {}
        }
    }

    fn has_copy_source(&self) -> bool {
        let asking = self.requests.front();
        self.copy_source.as_ref().is_some_and(|(of, _)| asking == Some(&Request::Simple(*of)))
    }

    /// Servers before 14 take a query for bad COPY data, swallow it, and never answer it. Newer ones end the connection.
    fn error(&mut self, error: ServerMessage) {
        let swallowed = self.copy_by_mistake && self.requests.len() > 1;
        if swallowed && error.code == sqlstate::PROTOCOL_VIOLATION {
            self.out_of_step = Some(error.to_string());
        }
        self.dismissed |= error.is_fatal();
        self.cycle.error = Some(error);
    }

    fn notice(&mut self, notice: ServerMessage) {
        let simple = matches!(self.requests.front(), Some(Request::Simple(_)));
        let list = if simple { &mut self.cycle.notices } else { &mut self.other_notices };
        if list.len() < NOTICE_LIMIT {
            list.push(notice);
            if simple {
                self.cycle.notices_after.push(self.cycle.tags.len());
            }
        } else if simple {
            self.cycle.notices_dropped += 1;
        }
    }

    /// Servers before 14 report every change at once, later ones the last of each before they are ready again.
    fn parameter(&mut self, name: String, value: String) {
        let changed = &mut self.cycle.parameters;
        match changed.iter().position(|(known, _)| *known == name) {
            Some(at) => changed[at].1.clone_from(&value),
            None if changed.len() < PARAMETER_LIMIT => changed.push((name.clone(), value.clone())),
            None => {}
        }
        self.parameters.insert(name, value);
    }

    fn ready(&mut self, body: &[u8]) {
        self.status = TransactionStatus::from_wire(body.first().copied());
        self.copy_active = false;
        self.copy_by_mistake = false;
        let mut cycle = std::mem::take(&mut self.cycle);
        cycle.status = self.status;
        if let Some(Request::Simple(number)) = self.requests.pop_front() {
            // Who still sends data learns that it is over.
            self.copy_source.take_if(|(of, _)| *of <= number);
            self.finished.push_back((number, cycle));
        }
        self.settled.notify_waiters();
    }
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

fn backend_key(body: &[u8]) -> Option<(i32, i32)> {
    let (process, secret) = body.split_at_checked(4)?;
    Some((i32::from_be_bytes(process.try_into().ok()?), i32::from_be_bytes(secret.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn listening() -> Recorder {
        let mut recorder = Recorder::default();
        recorder.start_listening();
        recorder
    }

    #[test]
    fn each_query_gets_its_own_tags_notices_and_status() {
        let mut recorder = listening();
        recorder.sent(&[frame(b'Q', b"BEGIN\0"), frame(b'S', b""), frame(b'Q', b"COMMIT\0")].concat());
        let answer = [
            frame(b'C', b"BEGIN\0"),
            frame(b'Z', b"T"),
            frame(b'N', b"VNOTICE\0C00000\0Mof the extended query\0\0"),
            frame(b'E', b"VERROR\0C42P01\0Mmissing\0\0"),
            frame(b'Z', b"E"),
            frame(b'N', b"VWARNING\0C25P01\0Mof the commit\0\0"),
            frame(b'C', b"ROLLBACK\0"),
            frame(b'Z', b"I"),
        ]
        .concat();
        for byte in answer.chunks(1) {
            recorder.received(byte);
        }
        let state = recorder.state();
        let begin = state.take(0).unwrap();
        assert_eq!((begin.tags, begin.status), (vec!["BEGIN".to_owned()], TransactionStatus::InTransaction));
        let commit = state.take(1).unwrap();
        assert_eq!(commit.tags, ["ROLLBACK"]);
        assert_eq!(commit.error, None);
        assert_eq!(commit.notices.len(), 1);
        assert_eq!(state.status, TransactionStatus::Idle);
        assert_eq!(state.other_notices.len(), 1);
        assert!(state.is_settled());
    }

    #[test]
    fn outcomes_nobody_waited_for_do_not_shift_later_ones() {
        let mut recorder = listening();
        recorder.sent(&[frame(b'Q', b"SELECT 1\0"), frame(b'Q', b"SELECT 2\0")].concat());
        recorder.received(&[frame(b'C', b"SELECT 1\0"), frame(b'Z', b"I")].concat());
        assert!(recorder.state().take(1).is_none());
        recorder.received(&[frame(b'C', b"SELECT 2\0"), frame(b'Z', b"I")].concat());
        assert_eq!(recorder.state().take(1).unwrap().tags, ["SELECT 2"]);
    }

    #[test]
    fn a_query_taken_for_copy_data_is_noticed() {
        let refusal = frame(b'E', b"VERROR\0C08P01\0Munexpected message type 0x51\0\0");
        let queries = [frame(b'Q', b"COPY t FROM STDIN\0"), frame(b'Q', b"SELECT 1\0")];
        let mut recorder = listening();
        recorder.sent(&queries.concat());
        recorder.received(&[frame(b'G', b""), refusal.clone()].concat());
        assert!(recorder.state().out_of_step.as_ref().unwrap().contains("unexpected message"));
        // With nothing behind the COPY, nothing was swallowed.
        let mut recorder = listening();
        recorder.sent(&queries[0]);
        recorder.received(&[frame(b'G', b""), refusal.clone(), frame(b'Z', b"I")].concat());
        assert_eq!(recorder.state().out_of_step, None);
        // Nor where the error belongs to another query.
        recorder.sent(&[queries[1].clone(), queries[1].clone()].concat());
        recorder.received(&refusal);
        assert_eq!(recorder.state().out_of_step, None);
    }

    #[test]
    fn a_fatal_error_is_the_end_also_when_nobody_asked() {
        let mut recorder = listening();
        recorder.received(&frame(b'E', b"VERROR\0C42P01\0Mmissing\0\0"));
        assert!(!recorder.state().dismissed);
        recorder.received(&frame(b'E', b"VFATAL\0C57P01\0Mbye\0\0"));
        assert!(recorder.state().dismissed);
    }

    #[test]
    fn a_changed_parameter_belongs_to_the_query_that_changed_it() {
        let mut recorder = listening();
        recorder.sent(&[frame(b'Q', b"SELECT f()\0"), frame(b'Q', b"SELECT 1\0")].concat());
        let report = |value: &str| frame(b'S', format!("client_encoding\0{value}\0").as_bytes());
        let answer = [
            report("SQL_ASCII"),
            report("LATIN1"),
            frame(b'C', b"SELECT 1\0"),
            frame(b'Z', b"T"),
            frame(b'C', b"SELECT 1\0"),
            frame(b'Z', b"T"),
        ];
        recorder.received(&answer.concat());
        let state = recorder.state();
        let changed = state.take(0).unwrap().parameters;
        assert_eq!(changed, [("client_encoding".to_owned(), "LATIN1".to_owned())]);
        assert_eq!(state.take(1).unwrap().parameters, []);
        assert_eq!(state.parameters["client_encoding"], "LATIN1");
    }

    #[test]
    fn a_flood_of_notices_is_counted() {
        let mut recorder = listening();
        recorder.sent(&frame(b'Q', b"DO\0"));
        for _ in 0..1_005 {
            recorder.received(&frame(b'N', b"VNOTICE\0C00000\0Mhere\0\0"));
        }
        recorder.received(&frame(b'Z', b"I"));
        let cycle = recorder.state().take(0).unwrap();
        assert_eq!((cycle.notices.len(), cycle.notices_dropped), (1_000, 5));
    }
}
