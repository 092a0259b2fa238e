//! COPY: data into a table and out of it, with bounded memory in both directions.

use std::any::Any;
use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::CopyOutStream;

use super::pipeline::Sent;
use super::{Done, Failure, Session, StatementOutcome};
use crate::wire::{CopyPart, CopySink, lock};

/// Pieces that wait to be written.
const QUEUE: usize = 2;
/// Largest piece put into one frame.
const PIECE: usize = 1 << 20;

/// A `COPY … FROM STDIN` that takes data. Dropped before [`finish`](Self::finish), the copy is given up and the
/// server rolls it back.
#[derive(Debug)]
pub struct CopyIn<'a> {
    session: &'a mut Session,
    sent: Option<Sent>,
    source: Option<mpsc::Sender<CopyPart>>,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Session {
    /// Starts a `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// As the server says; [`Failure::Invalid`] when the statement ran and was not such a COPY.
    pub async fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>, Failure> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        lock(&self.recorder).state().copy_source = Some((self.simple_sent, receiver));
        let mut sent = match self.send(sql).await {
            Ok(sent) => sent,
            Err(failure) => {
                lock(&self.recorder).state().copy_source = None;
                return Err(failure);
            }
        };
        // tokio-postgres calls the server's request for data unexpected; the wire knows better.
        let first = match self.ear().hear(pin!(sent.answers.next())).await {
            Ok(first) => first,
            Err(why) => return Err(self.give_up(why)),
        };
        let waiting = lock(&self.recorder).state().copy_active;
        if matches!(first, Some(Err(_))) && waiting {
            return Ok(CopyIn { session: self, sent: Some(sent), source: Some(sender) });
        }
        self.outcome(sent, 0).await.result?;
        Err(Failure::Invalid("this statement ran, and is no COPY FROM STDIN".to_owned()))
    }

    /// Runs a `COPY … TO STDOUT` and hands its data to `sink` where it lies in the buffer, cut anywhere; several times
    /// faster than [`copy_out`](Self::copy_out) where rows are short. Gives the sink back. The caller's future may be
    /// dropped: the rest of the data is thrown away.
    ///
    /// # Errors
    /// As [`copy_out`](Self::copy_out); what the sink took by then is lost.
    pub async fn copy_into<S: CopySink>(&mut self, sql: &str, sink: S) -> Result<S, Failure> {
        let number = self.simple_sent;
        lock(&self.recorder).state().sink_waiting = Some((number, Box::new(sink)));
        let sent = self.send(sql).await?;
        self.outcome(sent, 0).await.result?;
        let done = lock(&self.recorder).state().sink_done.take();
        let sink = done.filter(|(of, _)| *of == number).map(|(_, sink)| -> Box<dyn Any> { sink });
        match sink.map(<Box<dyn Any>>::downcast::<S>) {
            Some(Ok(sink)) => Ok(*sink),
            _ => Err(Failure::Invalid("this statement ran, and is no COPY TO STDOUT".to_owned())),
        }
    }

    /// Starts a `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// As the server says; [`Failure::Invalid`] when the statement is not such a COPY.
    pub async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>, Failure> {
        let answer = match self.ear().hear(pin!(self.client.copy_out(sql))).await {
            Ok(answer) => answer,
            Err(why) => return Err(self.give_up(why)),
        };
        match answer {
            Ok(stream) => Ok(CopyOut { session: self, stream: Box::pin(stream) }),
            Err(error) => {
                self.settled().await;
                Err(self.failure(&error))
            }
        }
    }
}

impl CopyIn<'_> {
    /// Sends data, any cut; waits while the server is slower than the caller.
    ///
    /// # Errors
    /// When the server has refused earlier data, or the connection is over: the copy has failed then.
    pub async fn send(&mut self, mut data: Bytes) -> Result<(), Failure> {
        while !data.is_empty() {
            let piece = data.split_to(PIECE.min(data.len()));
            let Some(source) = &self.source else {
                return Err(Failure::Invalid("the copy has failed before".to_owned()));
            };
            if source.send(CopyPart::Data(piece)).await.is_err() {
                return Err(self.refused().await);
            }
        }
        Ok(())
    }

    /// Ends the copy.
    ///
    /// # Errors
    /// When the server refuses the data.
    pub async fn finish(self) -> Result<Done, Failure> {
        self.end(CopyPart::Done).await.result
    }

    /// As [`finish`](Self::finish), with the transaction status and the notices.
    pub async fn finish_outcome(self) -> StatementOutcome {
        self.end(CopyPart::Done).await
    }

    /// Gives the copy up and waits until the server has rolled it back.
    ///
    /// # Errors
    /// When the connection is over; the server's own error about the copy given up is none.
    pub async fn abort(self, reason: &str) -> Result<(), Failure> {
        match self.end(CopyPart::Fail(reason.to_owned())).await.result {
            Err(lost @ Failure::Lost(_)) => Err(lost),
            _ => Ok(()),
        }
    }

    async fn end(mut self, part: CopyPart) -> StatementOutcome {
        if let Some(source) = self.source.take() {
            // Refused when the server has ended the copy already: its answer says why.
            let _ = source.send(part).await;
        }
        match self.sent.take() {
            Some(sent) => self.session.outcome(sent, 0).await,
            None => StatementOutcome {
                result: Err(Failure::Invalid("the copy has failed before".to_owned())),
                status: self.session.transaction_status(),
                tags: Vec::new(),
                notices: Vec::new(),
                notices_after: Vec::new(),
                notices_dropped: 0,
                parameters: Vec::new(),
            },
        }
    }

    async fn refused(&mut self) -> Failure {
        self.source = None;
        let Some(sent) = self.sent.take() else {
            return Failure::Invalid("the copy has failed before".to_owned());
        };
        match self.session.outcome(sent, 0).await.result {
            Err(failure) => failure,
            Ok(_) => Failure::Invalid("the server ended the copy early".to_owned()),
        }
    }
}

/// A `COPY … TO STDOUT` that gives data.
pub struct CopyOut<'a> {
    session: &'a mut Session,
    stream: Pin<Box<CopyOutStream>>,
}

impl CopyOut<'_> {
    /// The next piece, as the server cut it (one row in text format); `None` at the end.
    ///
    /// # Errors
    /// As the server says.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let answer = match self.session.ear().hear(pin!(self.stream.next())).await {
            Ok(answer) => answer,
            Err(why) => return Err(self.session.give_up(why)),
        };
        match answer {
            None => Ok(None),
            Some(Ok(data)) => Ok(Some(data)),
            Some(Err(error)) => {
                self.session.settled().await;
                Err(self.session.failure(&error))
            }
        }
    }
}

impl std::fmt::Debug for CopyOut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyOut").field("session", &self.session).finish_non_exhaustive()
    }
}
