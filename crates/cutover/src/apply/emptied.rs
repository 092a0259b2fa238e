//! What a way back drops and held nothing when it was looked, looked at again under its lock: what was committed in between
//! must not go unseen. It knows only of ways back; other migrations drop what their files say.

use std::time::Duration;

use super::failure::{self, StepFailure};
use super::step::{Step, Tools};
use super::worker::{FIRST_LOCK_TIMEOUT, Trouble};
use crate::revert::losses;
use crate::text::visible;

/// Whether what is looked at is locked before, so that it stays as it is until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    Yes,
    /// What drops it runs outside a transaction: a lock would end before that begins.
    No,
}

/// How long a look without a lock waits for those of others.
const LOOK: Duration = FIRST_LOCK_TIMEOUT.saturating_mul(200);

impl Step<'_> {
    /// Whether something is to be looked at before it runs.
    pub(super) fn is_guarded(&self) -> bool {
        self.migration.takes_back.as_ref().is_some_and(|way| !way.emptied.is_empty())
    }

    /// In the open transaction: whether what was found empty still is. What is not there any more is no hindrance.
    pub(super) async fn still_empty(
        &self,
        locked: Locked,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<(), Trouble> {
        let Some(way) = &self.migration.takes_back else { return Ok(()) };
        for id in &way.emptied {
            let Some(question) = losses::holds_sql(id) else { continue };
            let (worker, watch) = (&mut *tools.worker, &mut *tools.watch);
            if worker.ask(&losses::is_there_sql(id), watch).await?.as_deref() != Some("t") {
                continue;
            }
            if locked == Locked::Yes {
                let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", id.table_sql());
                worker.ask(&lock, watch).await?;
            }
            worker.ask("SAVEPOINT cutover_emptied; SET LOCAL row_security = off", watch).await?;
            match worker.ask(&question, watch).await {
                Ok(held) if held.as_deref() == Some("f") => {}
                // A policy that cannot be left aside, for one, hides what is there.
                Ok(_) | Err(Trouble::Refused { .. }) => return Err(no_longer_empty(id)),
                Err(trouble) => return Err(trouble),
            }
            worker
                .ask("ROLLBACK TO SAVEPOINT cutover_emptied; RELEASE SAVEPOINT cutover_emptied", watch)
                .await?;
        }
        Ok(())
    }

    /// The same before a statement outside a transaction.
    pub(super) async fn still_empty_outside(
        &self,
        index: usize,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<(), StepFailure> {
        if !self.is_guarded() {
            return Ok(());
        }
        let mut looked = tools.worker.begin(LOOK, tools.watch).await;
        if looked.is_ok() {
            looked = self.still_empty(Locked::No, tools).await;
        }
        tools.worker.roll_back().await;
        looked.map_err(|trouble| failure::from_trouble(self, index, &trouble, None, tools))
    }
}

fn no_longer_empty(id: &cutover_analysis::schema::Id) -> Trouble {
    Trouble::Unreadable(format!(
        "{} would be lost: there was nothing in it when it was looked at, and there is something now\n  \
         hint: --allow data-loss accepts its loss",
        visible(&id.to_string())
    ))
}
