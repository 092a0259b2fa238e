//! The session that changes the database: its preludes, its transactions sent in few flushes, and what the wire said
//! of each. It knows nothing of plans or stages.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cutover_postgres::session::{
    Done, Failure, InFlight, ServerMessage, Session, StatementOutcome, TransactionStatus,
};
use cutover_postgres::sqlstate;

use super::watch::{Watch, Watched};
use crate::history::journal;
use crate::reading::{self, Bent, Flush, Reported};

/// Lock timeout of the session: that of a first attempt, see [`super::step::lock_timeout`].
pub(super) const FIRST_LOCK_TIMEOUT: Duration = Duration::from_millis(5);

/// How the worker's session is set up. These are its defaults, so that `RESET ALL` brings them back.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// `None` leaves the server's own setting.
    pub(super) statement_timeout: Option<Duration>,
    /// Each transaction waits for the disk itself.
    pub(super) durable_each: bool,
    /// The server notices a vanished client while it works (14 and later, where the platform can).
    pub(super) checks_connection: bool,
}

impl Terms {
    /// The settings to start the session with.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![
            ("lock_timeout", FIRST_LOCK_TIMEOUT.as_millis().to_string()),
            // The text was split under this rule; under the other one a string could hide a COMMIT.
            ("standard_conforming_strings", "on".to_owned()),
            // So that a plain BEGIN begins what is meant, whatever the role or the database have set.
            ("default_transaction_isolation", "read committed".to_owned()),
            ("default_transaction_read_only", "off".to_owned()),
            ("default_transaction_deferrable", "off".to_owned()),
        ];
        settings.extend(
            self.statement_timeout.map(|timeout| ("statement_timeout", timeout.as_millis().to_string())),
        );
        if !self.durable_each {
            settings.push(("synchronous_commit", "off".to_owned()));
        }
        if self.checks_connection {
            settings.push(("client_connection_check_interval", "2000".to_owned()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Why a transaction did not commit.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused something.
    Refused {
        /// What it said.
        message: Box<ServerMessage>,
        /// Index of the statement among those queued since the transaction began; `None` for our own.
        statement: Option<usize>,
    },
    /// The connection is gone. `committing` says whether the commit may have been on its way.
    Lost { why: String, committing: bool },
    /// Another runner has taken over.
    Fenced,
    /// Cancelled on request.
    Cancelled,
    /// The file could not be read (again), or is not what was planned.
    Unreadable(String),
    /// What was sent before it did not end as it should, so nothing of this transaction ran.
    NotReached,
    /// Code of the transaction has bent the terms under which the rest of it would be read.
    Misread(Bent),
}

impl Trouble {
    /// Whether trying the whole transaction again is right: a lock was not had in time, or the server picked us to
    /// resolve a conflict.
    pub(super) fn is_retryable(&self) -> bool {
        let Self::Refused { message, .. } = self else { return false };
        sqlstate::is_retryable_lock(&message.code)
            || (message.code == "XX000" && message.message.contains("tuple concurrently"))
    }
}

/// What statements may have left behind in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Nothing,
    /// Code ran that may have changed settings or the role.
    Settings,
    /// Prepared statements, temporary tables, locks: anything.
    Anything,
}

/// The changing session.
pub(super) struct Worker {
    pub(super) session: Session,
    /// Fencing token every transaction checks.
    token: i64,
    /// What may have been left behind in the session.
    left: Left,
    /// Event triggers run with every command.
    pub(super) event_triggers: bool,
    /// A transaction is open and its prelude was checked.
    open: bool,
    /// Statements of the open transaction already answered.
    answered: usize,
    /// What its code has done to the terms under which texts are read.
    reported: Reported,
    /// Statements that may run code were sent in it.
    noisy: bool,
}

/// A server message with the number of the statement it came from.
pub(super) type Notices = Vec<(usize, ServerMessage)>;

impl Worker {
    pub(super) fn new(session: Session, token: i64, event_triggers: bool) -> Self {
        let reported = Reported::default();
        let left = Left::Anything;
        Self { session, token, left, event_triggers, open: false, answered: 0, reported, noisy: false }
    }

    /// Opens a transaction unless the previous flush already did.
    pub(super) async fn begin(
        &mut self,
        lock_timeout: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<(), Trouble> {
        self.begin_count();
        if self.open {
            return Ok(());
        }
        if self.session.transaction_status() != TransactionStatus::Idle {
            self.roll_back().await;
        }
        let prelude = self.prelude(lock_timeout);
        let texts: Vec<&str> = prelude.iter().map(String::as_str).collect();
        let answers = self.send(&texts, watch).await;
        self.check_prelude(&answers.outcomes, answers.cancelled)
    }

    /// Nothing of the transaction has run yet: every term is as the prelude sets it.
    fn begin_count(&mut self) {
        self.answered = 0;
        self.reported = Reported::default();
        self.noisy = self.event_triggers;
    }

    /// Everything a file may have left in the session is discarded; then a transaction begins and locks the fencing
    /// row. Settings and the role are reset wherever any code may have run, an event trigger or the default of a column
    /// too; the rest only where a statement of the file before could have left something.
    fn prelude(&self, lock_timeout: Duration) -> Vec<String> {
        let mut prelude = Vec::with_capacity(3);
        let mut begin = String::from("BEGIN; ");
        if self.left == Left::Anything {
            prelude.push("DISCARD ALL".to_owned());
            // Not in the transaction: preparing locks our tables.
            prelude.push(format!("{}; {PREPARE_FENCE}", journal::prepare_step()));
            begin.push_str("RESET ROLE; ");
        } else if self.left == Left::Settings {
            begin.push_str("RESET SESSION AUTHORIZATION; RESET ALL; RESET ROLE; ");
        } else {
            // What seems to run no code may do so all the same (a domain, in the bounds of a partition); the text of the
            // next file is read as it stands there.
            begin.push_str(reading::TERMS);
            begin.push_str("; ");
        }
        if lock_timeout != FIRST_LOCK_TIMEOUT {
            let _ = write!(begin, "SET LOCAL lock_timeout = {}; ", lock_timeout.as_millis());
        }
        begin.push_str(&self.fence());
        prelude.push(begin);
        prelude
    }

    fn fence(&self) -> String {
        format!("EXECUTE cutover_fence ({})", self.token)
    }

    fn check_prelude(&mut self, outcomes: &[StatementOutcome], cancelled: bool) -> Result<(), Trouble> {
        for outcome in outcomes {
            self.open = outcome.status != TransactionStatus::Idle;
            match &outcome.result {
                Ok(_) => {}
                Err(failure) if failure.code() == Some(sqlstate::DIVISION_BY_ZERO) => {
                    return Err(Trouble::Fenced);
                }
                Err(failure) => return Err(trouble(failure, None, cancelled, false)),
            }
        }
        self.left = Left::Nothing;
        Ok(())
    }

    /// Sends a question of our own in the open transaction, or a command: gives the first value of the answer.
    pub(super) async fn ask(&mut self, text: &str, watch: &mut Watch<'_>) -> Result<Option<String>, Trouble> {
        let Answers { outcomes, cancelled } = self.send(&[text], watch).await;
        match outcomes.into_iter().next().map(|outcome| outcome.result) {
            Some(Ok(done)) => Ok(done.scalar().map(str::to_owned)),
            Some(Err(failure)) => Err(trouble(&failure, None, cancelled, false)),
            None => Err(Trouble::Lost { why: "the server did not answer".into(), committing: false }),
        }
    }

    /// Sends statements of the open transaction and waits for their answers.
    pub(super) async fn run(
        &mut self,
        statements: &[Arc<str>],
        notices: &mut Notices,
        watch: &mut Watch<'_>,
    ) -> Result<(), Trouble> {
        // Not known here, so assumed.
        self.left = Left::Anything;
        if let Some(first) = statements.first() {
            self.is_read_as_written(first)?;
        }
        self.noisy |= !statements.iter().all(|statement| reading::is_quiet(statement));
        let mut flush = Flush::default();
        for statement in statements {
            flush.push(statement, reading::is_ambiguous(statement));
        }
        let answers = self.send(flush.texts(), watch).await;
        let texts = statements.iter().map(AsRef::as_ref);
        self.take(texts, &flush.outcomes(answers.outcomes), answers.cancelled, false, notices)
    }

    /// Whether the server reads a text as it stands in the file, after what has run in the transaction.
    fn is_read_as_written(&self, text: &str) -> Result<(), Trouble> {
        self.reported.misreads(text).map_or(Ok(()), |bent| Err(Trouble::Misread(bent.clone())))
    }

    /// Whether a text of the flush could be misread by what runs in the flush before it: only its answers tell.
    fn may_be_misread(&self, statements: &[Arc<str>]) -> bool {
        let mut noisy = self.noisy;
        statements.iter().enumerate().any(|(index, text)| {
            let misread = index > 0 && noisy && reading::depends_on_terms(text);
            noisy |= !reading::is_quiet(text);
            misread
        })
    }

    /// Sends the last statements, our own record of them with the commit, and, where a next transaction is sure to
    /// follow, its prelude, so that a step costs one round trip. Gives the time of the step as its history row has it,
    /// where that is known.
    pub(super) async fn commit(
        &mut self,
        closing: &Closing<'_>,
        notices: &mut Notices,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Duration>, Trouble> {
        if closing.session_state {
            self.left = Left::Anything;
        } else if closing.runs_code || self.event_triggers {
            self.left = self.left.max(Left::Settings);
        }
        let own = self.own_part(closing);
        let prelude = closing.next.map_or_else(Vec::new, |lock_timeout| self.prelude(lock_timeout));
        if closing.one_by_one || self.left == Left::Anything {
            return self.commit_in_messages(closing.statements, own, prelude, notices, watch).await;
        }
        let message = Message::new(None, closing.statements, &own, &prelude);
        let Answers { outcomes, cancelled } = self.send(&[&message.text], watch).await;
        let Some(outcome) = outcomes.into_iter().next() else {
            return Err(Trouble::Lost { why: "the server did not answer".into(), committing: true });
        };
        self.judge(closing.statements, &message, outcome, cancelled, notices)
    }

    /// Our record and the commit, under terms that nothing the statements left behind can bend.
    fn own_part(&self, closing: &Closing<'_>) -> String {
        let own_terms = match self.left {
            Left::Nothing => "",
            // The code may have changed the role; names in our own statements are qualified.
            Left::Settings => "RESET SESSION AUTHORIZATION; RESET ROLE; ",
            Left::Anything => journal::OWN_TERMS,
        };
        let record = match closing.record {
            Record::Text(text) => text.clone(),
            // Where code may have run, the row itself is in doubt.
            Record::Step { values, before, more } if self.left == Left::Anything || self.event_triggers => {
                journal::insert_step(values, *before) + more
            }
            Record::Step { values, before, more } => journal::execute_step(values, *before) + more,
        };
        format!("{own_terms}{record}; COMMIT")
    }

    /// Sends a whole transaction that leaves the session alone, without waiting for its outcome. `behind` says that
    /// the outcome of the one before is not known yet; its message must have opened this transaction.
    pub(super) async fn launch(&mut self, closing: &Closing<'_>, behind: bool) -> Launched {
        self.answered = 0;
        if closing.runs_code || self.event_triggers {
            self.left = self.left.max(Left::Settings);
        }
        let own = self.own_part(closing);
        let prelude = closing.next.map_or_else(Vec::new, |lock_timeout| self.prelude(lock_timeout));
        let message = Message::new(behind.then_some(GUARD), closing.statements, &own, &prelude);
        if closing.next.is_some() {
            // Should the prelude fail, the transaction is not open, and whatever is sent for it is refused.
            self.left = Left::Nothing;
        }
        let flight = self.session.launch(&message.text).await;
        Launched { flight, message, statements: closing.statements.to_vec() }
    }

    /// Waits for the outcome of a transaction sent with [`launch`](Self::launch). Gives the time of the step as its history
    /// row has it, where that is known.
    pub(super) async fn land(
        &mut self,
        launched: Launched,
        notices: &mut Notices,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Duration>, Trouble> {
        let Launched { flight, message, statements } = launched;
        self.answered = 0;
        let pid = self.session.backend_pid();
        let cancel = self.session.cancel_token();
        let (outcome, cancelled) = match watch.during(self.session.land(flight), pid, cancel).await {
            Watched::Done(outcome) => (outcome, watch.stop().is_cancelled()),
            Watched::Cancelled(outcome) => (outcome, true),
        };
        self.judge(&statements, &message, outcome, cancelled, notices)
    }

    /// What became of a transaction in one message: what comes after an error is not run, and the tags before it tell
    /// what ended. Only for statements that leave the session alone: the server parses the whole text before it runs
    /// any of it.
    fn judge(
        &mut self,
        statements: &[Arc<str>],
        message: &Message,
        outcome: StatementOutcome,
        cancelled: bool,
        notices: &mut Notices,
    ) -> Result<Option<Duration>, Trouble> {
        let StatementOutcome { result, tags, status, notices: said, notices_after, .. } = outcome;
        self.open = status != TransactionStatus::Idle;
        if let Err(failure) = &result
            && tags.len() < message.guard_tags
        {
            return Err(match failure {
                Failure::Server(_) => Trouble::NotReached,
                _ => trouble(failure, None, cancelled, true),
            });
        }
        let tags = tags.get(message.guard_tags..).unwrap_or_default();
        let first = self.answered;
        self.answered += tags.len().min(statements.len());
        let of_statement = |after: usize| first + after.saturating_sub(message.guard_tags);
        notices
            .extend(notices_after.into_iter().zip(said).map(|(after, notice)| (of_statement(after), notice)));
        let ended_ours = tags.get(statements.len()..).unwrap_or_default();
        let committed = ended_ours.iter().any(|tag| tag == "COMMIT");
        match result {
            Err(failure) if tags.len() < statements.len() => {
                let failure = message.within(failure, &statements[..=tags.len()]);
                Err(trouble(&failure, Some(first + tags.len()), cancelled, true))
            }
            Err(failure) if !committed => Err(trouble(&failure, None, cancelled, true)),
            // This transaction is committed; what is wrong with the next one is found when it begins. It cannot be
            // rolled back here: something may have been sent behind it.
            Err(error) => {
                tracing::debug!(%error, "the next transaction did not open");
                (self.open, self.left) = (false, Left::Anything);
                Ok(None)
            }
            Ok(_) if !committed => Err(Trouble::Lost {
                why: format!("the server answered COMMIT with {ended_ours:?}"),
                committing: true,
            }),
            // Statements that leave the session alone give no rows: the first one is that of our record.
            Ok(done) => Ok(time_of_row(&done)),
        }
    }

    /// Each statement in a message of its own, all in one flush.
    async fn commit_in_messages(
        &mut self,
        statements: &[Arc<str>],
        own: String,
        prelude: Vec<String>,
        notices: &mut Notices,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Duration>, Trouble> {
        // What has run must be known before the commit is sent.
        let statements = if self.may_be_misread(statements) {
            self.run(statements, notices, watch).await?;
            &[]
        } else {
            statements
        };
        if let Some(first) = statements.first() {
            self.is_read_as_written(first)?;
        }
        let mut flush = Flush::default();
        for statement in statements {
            flush.push(statement, reading::is_ambiguous(statement));
        }
        flush.push(&own, reading::depends_on_encoding(&own));
        for text in &prelude {
            flush.push(text, false);
        }
        let Answers { outcomes, cancelled } = self.send(flush.texts(), watch).await;
        let outcomes = flush.outcomes(outcomes);
        // Whatever happened to this transaction, the next one may be open by now.
        self.open = outcomes.last().is_some_and(|last| last.status != TransactionStatus::Idle);
        let (ours, after) = outcomes.split_at(statements.len() + 1);
        let (theirs, own) = ours.split_at(statements.len());
        self.take(statements.iter().map(AsRef::as_ref), theirs, cancelled, true, notices)?;
        let mut took = None;
        for outcome in own {
            match &outcome.result {
                // COMMIT of a failed transaction succeeds too: only its tag tells.
                Ok(done) if done.tag() == "COMMIT" => took = time_of_row(done),
                Ok(done) => {
                    let why = format!("the server answered COMMIT with {:?}", done.tag());
                    return Err(Trouble::Lost { why, committing: true });
                }
                Err(failure) => return Err(trouble(failure, None, cancelled, true)),
            }
        }
        if !after.is_empty()
            && let Err(error) = self.check_prelude(after, cancelled)
        {
            // This transaction is committed; what is wrong with the next one is found when it begins.
            tracing::debug!(?error, "the next transaction did not open");
            self.roll_back().await;
        }
        Ok(took)
    }

    /// Goes through the answers to statements of a file. One that was misread is not believed, whatever its answer.
    fn take<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t str>,
        outcomes: &[StatementOutcome],
        cancelled: bool,
        committing: bool,
        notices: &mut Notices,
    ) -> Result<(), Trouble> {
        for (text, outcome) in texts.zip(outcomes) {
            let number = self.answered;
            self.is_read_as_written(text)?;
            self.answered += 1;
            notices.extend(outcome.notices.iter().map(|notice| (number, notice.clone())));
            if let Err(failure) = &outcome.result {
                return Err(trouble(failure, Some(number), cancelled, committing));
            }
            self.reported.take(number, &outcome.parameters);
        }
        Ok(())
    }

    /// Counts a COPY, whose answer comes another way; its data is read as it stands in the file.
    pub(super) fn begin_copy(&mut self, statement: &str) -> Result<usize, Trouble> {
        if let Some(bent) = self.reported.misreads_copy(statement) {
            return Err(Trouble::Misread(bent.clone()));
        }
        self.noisy = true;
        self.answered += 1;
        Ok(self.answered - 1)
    }

    /// What changed while the COPY of this number ran: triggers run with it.
    pub(super) fn end_copy(&mut self, number: usize, outcome: &StatementOutcome) {
        self.reported.take(number, &outcome.parameters);
    }

    /// Ends whatever transaction is open. Trouble here means the connection is gone, which the next use will say.
    pub(super) async fn roll_back(&mut self) {
        self.open = false;
        self.left = Left::Anything;
        if !self.session.is_closed() {
            let _ = self.session.execute("ROLLBACK").await;
        }
    }

    /// A transaction of our own around `record`, checked against the fence.
    pub(super) async fn record(
        &mut self,
        record: &str,
        lock_timeout: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<(), Trouble> {
        self.begin(lock_timeout, watch).await?;
        let record = Record::Text(record.to_owned());
        let closing = Closing {
            statements: &[],
            record: &record,
            session_state: false,
            runs_code: false,
            one_by_one: false,
            next: None,
        };
        self.commit(&closing, &mut Vec::new(), watch).await.map(drop)
    }

    /// Runs one statement outside a transaction, under the session's defaults but without a lock timeout.
    pub(super) async fn outside(
        &mut self,
        statement: &str,
        notices: &mut Notices,
        watch: &mut Watch<'_>,
    ) -> Result<(), Trouble> {
        self.begin_count();
        if self.open {
            self.roll_back().await;
        }
        // A short lock timeout would make it fail and leave an invalid index behind.
        let answers = self.send(&["DISCARD ALL", "SET lock_timeout = 0"], watch).await;
        self.left = Left::Anything;
        for outcome in &answers.outcomes {
            if let Err(failure) = &outcome.result {
                return Err(trouble(failure, None, answers.cancelled, false));
            }
        }
        let answers = self.send(&[statement], watch).await;
        self.take(std::iter::once(statement), &answers.outcomes, answers.cancelled, true, notices)
    }

    async fn send(&mut self, texts: &[&str], watch: &mut Watch<'_>) -> Answers {
        let pid = self.session.backend_pid();
        let cancel = self.session.cancel_token();
        match watch.during(self.session.pipeline(texts), pid, cancel).await {
            Watched::Done(outcomes) => Answers { outcomes, cancelled: false },
            Watched::Cancelled(outcomes) => Answers { outcomes, cancelled: true },
        }
    }
}

/// What we write beside the effects of a transaction.
pub(super) enum Record {
    /// Statements as they are.
    Text(String),
    /// The history row of a step, and statements after it, each with a leading semicolon.
    Step { values: journal::StepValues, before: Duration, more: String },
}

/// What ends a transaction.
pub(super) struct Closing<'a> {
    /// The last statements of the file that belong to it.
    pub(super) statements: &'a [Arc<str>],
    /// Our own record of the transaction.
    pub(super) record: &'a Record,
    /// The statements may leave something behind in the session, or change what a text means.
    pub(super) session_state: bool,
    /// The statements may run functions.
    pub(super) runs_code: bool,
    /// Send every statement in a message of its own.
    pub(super) one_by_one: bool,
    /// Open the next transaction with this lock timeout.
    pub(super) next: Option<Duration>,
}

/// Locks the fencing row if it still has our token, and fails (division by zero) if it has another one: what is sent
/// behind it then does not run.
const PREPARE_FENCE: &str = "PREPARE cutover_fence (pg_catalog.int8) AS \
SELECT 1 OPERATOR(pg_catalog./) pg_catalog.count(*) FROM (SELECT FROM cutover.fence WHERE token OPERATOR(pg_catalog.=) $1 \
FOR SHARE) AS held";

/// Fails outside a transaction block and changes nothing inside one. A transaction that fails while it commits leaves
/// no transaction open: without this, the statements sent behind it would run in one of their own.
const GUARD: &str = "SAVEPOINT cutover; RELEASE SAVEPOINT cutover";

/// Between statements of one message.
const SEPARATOR: &str = ";\n";

/// A transaction, from its first statement to the beginning of the next one, as one text.
struct Message {
    text: String,
    /// Command tags of the guard at its beginning.
    guard_tags: usize,
    /// Characters before the first statement.
    skipped: usize,
}

impl Message {
    fn new(guard: Option<&str>, statements: &[Arc<str>], own: &str, prelude: &[String]) -> Self {
        let mut parts: Vec<&str> = guard.into_iter().collect();
        parts.extend(statements.iter().map(AsRef::<str>::as_ref));
        parts.push(own);
        parts.extend(prelude.iter().map(String::as_str));
        Self {
            text: parts.join(SEPARATOR),
            guard_tags: if guard.is_some() { 2 } else { 0 },
            skipped: guard.map_or(0, |guard| guard.chars().count() + SEPARATOR.len()),
        }
    }

    /// The error of the last of several statements of the text, with its position counted from that statement's start.
    fn within(&self, failure: Failure, statements: &[Arc<str>]) -> Failure {
        let Failure::Server(mut message) = failure else { return failure };
        let Some((last, before)) = statements.split_last() else { return Failure::Server(message) };
        let before: usize = before.iter().map(|text| text.chars().count() + SEPARATOR.len()).sum();
        let length = last.chars().count();
        message.position = message.position.and_then(|position| {
            let position = usize::try_from(position).ok()?.checked_sub(self.skipped + before)?;
            u32::try_from(position).ok().filter(|_| (1..=length + 1).contains(&position))
        });
        Failure::Server(message)
    }
}

/// A transaction on its way.
pub(super) struct Launched {
    flight: InFlight,
    message: Message,
    statements: Vec<Arc<str>>,
}

/// The time that the history row just written gives of its step.
fn time_of_row(done: &Done) -> Option<Duration> {
    Duration::try_from_secs_f64(done.scalar()?.parse().ok()?).ok()
}

/// Answers to one flush; `cancelled` when a cancel was sent meanwhile.
struct Answers {
    outcomes: Vec<StatementOutcome>,
    cancelled: bool,
}

fn trouble(failure: &Failure, statement: Option<usize>, cancelled: bool, committing: bool) -> Trouble {
    match failure {
        Failure::Server(message) if cancelled && message.code == sqlstate::QUERY_CANCELED => {
            Trouble::Cancelled
        }
        Failure::Server(message) => Trouble::Refused { message: message.clone(), statement },
        Failure::Lost(why) => Trouble::Lost { why: why.clone(), committing },
        Failure::Invalid(why) => Trouble::Unreadable(why.clone()),
    }
}
