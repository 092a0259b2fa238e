//! Simple queries: several sent in one flush, answered in order, each outcome read from the wire.

use std::pin::{Pin, pin};

use futures_util::StreamExt;
use tokio_postgres::{SimpleColumn, SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};

use super::{Done, Failure, Session, StatementOutcome};
use crate::wire::{Cycle, lock};

/// Rows kept of one statement in a pipeline.
const ROWS_KEPT: usize = 100;

/// A query on its way: its number on the wire and the stream of its answers.
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) answers: Pin<Box<SimpleQueryStream>>,
}

/// A piece of a result.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A result begins, with these columns.
    Columns(&'a [SimpleColumn]),
    /// A row of it.
    Row(&'a SimpleQueryRow),
}

impl<'a> Answer<'a> {
    /// The text of a column of a row; nothing for null.
    pub fn field(row: &'a SimpleQueryRow, index: usize) -> Option<&'a str> {
        row.try_get(index).ok().flatten()
    }
}

/// A text that was sent and whose outcome is not known yet. Dropped, its answer is read and thrown away.
#[derive(Debug)]
pub struct InFlight(Result<Sent, Failure>);

impl Session {
    /// Sends each text as a simple query, all of them before the first answer is awaited, and gives each one's
    /// outcome. A failure does not keep the server from running the rest: within a transaction they are refused
    /// (25P02) and its COMMIT says `ROLLBACK`. Of a result the first 100 rows are kept.
    ///
    /// `COPY … FROM STDIN` has no place here: as the last text it fails (57014), before others it ends the
    /// connection. The data of `COPY … TO STDOUT` is dropped.
    pub async fn pipeline(&mut self, texts: &[&str]) -> Vec<StatementOutcome> {
        let mut sent = Vec::with_capacity(texts.len());
        for text in texts {
            sent.push(self.launch(text).await);
        }
        let mut outcomes = Vec::with_capacity(sent.len());
        for flight in sent {
            outcomes.push(self.land(flight).await);
        }
        outcomes
    }

    /// Sends one text and does not wait: its outcome is asked for with [`land`](Self::land), in the order of sending.
    /// What [`pipeline`](Self::pipeline) says of failures holds between texts in flight too: the server goes on with
    /// the later ones, and only the transaction they are in keeps them from running.
    pub async fn launch(&mut self, text: &str) -> InFlight {
        InFlight(self.send(text).await)
    }

    /// Waits for the outcome of a text in flight. Of a result the first 100 rows are kept.
    pub async fn land(&mut self, flight: InFlight) -> StatementOutcome {
        match flight.0 {
            Ok(request) => self.outcome(request, ROWS_KEPT).await,
            Err(failure) => self.without_answer(failure),
        }
    }

    /// Runs one text, keeping at most 100 rows.
    ///
    /// # Errors
    /// As the server says; notices are lost, use [`pipeline`](Self::pipeline) for them.
    pub async fn execute(&mut self, text: &str) -> Result<Done, Failure> {
        self.run(text, ROWS_KEPT).await
    }

    /// Runs one text and keeps all rows, as text.
    ///
    /// # Errors
    /// As the server says.
    pub async fn query_text(&mut self, text: &str) -> Result<Done, Failure> {
        self.run(text, usize::MAX).await
    }

    /// Runs one text of any number of statements and gives away each result as it comes, keeping nothing. What was given
    /// away of a text that fails in the end counts for nothing.
    ///
    /// # Errors
    /// As the server says.
    pub async fn query_each(&mut self, text: &str, mut take: impl FnMut(Answer<'_>)) -> Result<(), Failure> {
        let request = self.send(text).await?;
        let taken = self.hear(request, |message| match &message {
            SimpleQueryMessage::RowDescription(columns) => take(Answer::Columns(columns)),
            SimpleQueryMessage::Row(row) => take(Answer::Row(row)),
            _ => {}
        });
        taken.await.map_or_else(Err, |cycle| cycle.error.map_or(Ok(()), |error| Err(error.into())))
    }

    async fn run(&mut self, text: &str, keep: usize) -> Result<Done, Failure> {
        let request = self.send(text).await?;
        self.outcome(request, keep).await.result
    }

    /// Queues a query; nothing is awaited but the queue.
    pub(super) async fn send(&mut self, text: &str) -> Result<Sent, Failure> {
        match self.client.simple_query_raw(text).await {
            Ok(answers) => {
                let number = self.simple_sent;
                self.simple_sent += 1;
                Ok(Sent { number, answers: Box::pin(answers) })
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// Reads all answers to a query, up to the server being ready again or the connection being over.
    pub(super) async fn outcome(&mut self, sent: Sent, keep: usize) -> StatementOutcome {
        let mut done = Done::default();
        match self.hear(sent, |message| take_message(&mut done, message, keep)).await {
            Ok(cycle) => finished(cycle, done),
            Err(failure) => self.without_answer(failure),
        }
    }

    async fn hear(
        &mut self,
        mut sent: Sent,
        mut take: impl FnMut(SimpleQueryMessage),
    ) -> Result<Cycle, Failure> {
        let answers = pin!(async {
            while let Some(answer) = sent.answers.next().await {
                match answer {
                    Ok(message) => take(message),
                    Err(error) if error.is_closed() => break,
                    // The server's errors are read from the wire; the rest is COPY, which tokio-postgres does not expect.
                    Err(_) => {}
                }
            }
        });
        if let Err(why) = self.ear().hear(answers).await {
            return Err(self.give_up(why));
        }
        let cycle = lock(&self.recorder).state().take(sent.number);
        cycle.ok_or_else(|| self.lost())
    }

    fn without_answer(&self, failure: Failure) -> StatementOutcome {
        StatementOutcome {
            result: Err(failure),
            status: self.transaction_status(),
            tags: Vec::new(),
            notices: Vec::new(),
            notices_after: Vec::new(),
            notices_dropped: 0,
            parameters: Vec::new(),
        }
    }
}

fn finished(cycle: Cycle, mut done: Done) -> StatementOutcome {
    let Cycle { tags, error, notices, notices_after, notices_dropped, parameters, status } = cycle;
    done.tags.clone_from(&tags);
    let result = error.map_or(Ok(done), |error| Err(error.into()));
    StatementOutcome { result, tags, status, notices, notices_after, notices_dropped, parameters }
}

fn take_message(done: &mut Done, message: SimpleQueryMessage, keep: usize) {
    match message {
        SimpleQueryMessage::RowDescription(columns) => {
            done.columns = columns.iter().map(|column| column.name().to_owned()).collect();
        }
        SimpleQueryMessage::Row(row) if done.rows.len() < keep => done.rows.push(texts(&row)),
        SimpleQueryMessage::Row(_) => done.rows_dropped += 1,
        _ => {}
    }
}

fn texts(row: &SimpleQueryRow) -> Vec<Option<String>> {
    (0..row.len()).map(|index| Answer::field(row, index).map(str::to_owned)).collect()
}
