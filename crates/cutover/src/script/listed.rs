//! What each statement of a file locks and works on, for plans that people review statement by statement.

use cutover_analysis::effects::{Effects, Lock, ObjectRef, Work};

use super::analysis::Analysis;
use super::{Script, schemas_agree};

/// So many statements of a file are listed: nobody reads more, and a file may have millions.
pub const MOST_LISTED: usize = 2_000;

/// What one statement does to what others use: not to what its own file has made before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Locks it takes.
    pub locks: Vec<Lock>,
    /// What else it locks that cannot be named.
    pub more_locks: Vec<String>,
    /// Work in proportion to the size of tables.
    pub work: Vec<Work>,
    /// Why this may not be all.
    pub opaque: Option<String>,
}

impl Script {
    /// What is known of the statement with this number, counted from 0 over those that are sent; only of the first
    /// [`MOST_LISTED`], and only where it was asked for ([`Texts::Listed`](super::Texts::Listed)).
    pub fn listed(&self, sent: usize) -> Option<&Listed> {
        self.listed.get(sent + usize::from(self.outer_transaction))
    }
}

impl Analysis<'_> {
    /// Remembers the next statement, where that is asked for.
    pub(super) fn list(&mut self, effects: &Effects) {
        // An outer BEGIN is not sent and stands before them.
        if !self.is_listing || self.script.listed.len() > MOST_LISTED {
            return;
        }
        let is_own = |object: &ObjectRef| {
            let made = self.created.get(&object.name);
            made.is_some_and(|made| made.iter().any(|made| schemas_agree(made, object)))
        };
        let listed = Listed {
            locks: effects.locks.iter().filter(|lock| !is_own(&lock.relation)).cloned().collect(),
            more_locks: effects.more_locks.clone(),
            work: effects.work.iter().filter(|work| !is_own(&work.relation)).cloned().collect(),
            opaque: effects.opaque.clone(),
        };
        self.script.listed.push(listed);
    }
}
