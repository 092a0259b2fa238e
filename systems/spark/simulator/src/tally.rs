//! What the clients' calls came to.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cutover_postgres::session::Failure;

use crate::agent::KINDS;

/// How many errors are kept word for word.
const KEPT: usize = 50;

/// Calls of one kind.
#[derive(Debug, Clone, Default)]
pub struct Kind {
    /// How long each took, in microseconds.
    pub micros: Vec<u32>,
    /// Errors by SQLSTATE; `lost` where the connection was.
    pub errors: BTreeMap<String, u64>,
    /// Errors that tell of an account that somebody was deleting: these are none of those above.
    pub met_a_deletion: u64,
}

/// All calls.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// In the order of [`KINDS`].
    pub kinds: [Kind; KINDS.len()],
    /// How long after users meant to call they did, in simulated milliseconds: where it is long, clients could not keep up.
    pub late: Vec<u32>,
    /// Errors that must not be, word for word: the first of them.
    pub unexpected: Vec<String>,
    /// Accounts that are gone, or going.
    going: HashSet<String>,
}

/// What a call hears that meets the end of an account: the user is unknown, or a row refers to nobody.
const OF_WHO_IS_GONE: [&str; 2] = ["SP003", "23503"];

impl Tally {
    /// Somebody deletes this account now.
    pub fn goes(&mut self, id: &str) {
        self.going.insert(id.to_owned());
    }

    /// They could not.
    pub fn stays(&mut self, id: &str) {
        self.going.remove(id);
    }

    /// Whether an error is in order since it names an account that is going.
    fn meets_a_deletion(&self, failure: &Failure) -> bool {
        let Some(message) =
            failure.server().filter(|message| OF_WHO_IS_GONE.contains(&message.code.as_str()))
        else {
            return false;
        };
        let told = format!("{} {}", message.message, message.detail.as_deref().unwrap_or_default());
        let words = told.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
        words.into_iter().any(|word| self.going.contains(word))
    }

    /// Counts a call.
    pub fn count(&mut self, kind: usize, took: Duration, failure: Option<&Failure>) {
        let meets = failure.is_some_and(|failure| self.meets_a_deletion(failure));
        let (Some(counted), Some((name, lawful))) = (self.kinds.get_mut(kind), KINDS.get(kind)) else {
            return;
        };
        counted.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        let Some(failure) = failure else { return };
        if meets {
            counted.met_a_deletion += 1;
            return;
        }
        let code = failure.code().unwrap_or("lost").to_owned();
        if !lawful.contains(&code.as_str()) && self.unexpected.len() < KEPT {
            self.unexpected.push(format!("{name}: {code}: {failure}"));
        }
        *counted.errors.entry(code).or_default() += 1;
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.micros.len() as u64).sum()
    }

    /// How often this error came.
    pub fn errors(&self, is_meant: impl Fn(&str, &[&str]) -> bool) -> u64 {
        let of = |(kind, (_, lawful)): (&Kind, &(&str, &[&str]))| -> u64 {
            kind.errors.iter().filter(|(code, _)| is_meant(code, lawful)).map(|(_, times)| times).sum()
        };
        self.kinds.iter().zip(&KINDS).map(of).sum()
    }
}

/// Something that several write to.
#[derive(Debug, Default)]
pub struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    /// Of this.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// Locked; to be let go of at once.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
