//! The way back of each applied migration and what it loses, as the rehearsal of `cutover revert` finds it.

use serde::Serialize;

use super::migrations::Labels;
use crate::revert::{Back, Outlook};

/// The ways back of all that is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rollback {
    /// In the order to go them: the last applied one first.
    pub(super) ways: Vec<Way>,
    /// Why they are not known, where they are not.
    pub(super) not_measured: Option<String>,
    /// What is otherwise behind all of them than it was before.
    pub(super) differs: Vec<String>,
    /// What would fail on what is there.
    pub(super) misfits: Vec<String>,
    /// Codes that `--allow` has to name.
    pub(super) to_allow: Vec<String>,
    pub(super) remarks: Vec<String>,
}

/// The way back of a migration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Way {
    pub(super) label: String,
    pub(super) version: String,
    pub(super) path: String,
    /// Its own down file; none where what undoes it was found out.
    pub(super) down: Option<String>,
    pub(super) sql: String,
    pub(super) losses: Vec<String>,
    pub(super) stays: Vec<String>,
}

impl Rollback {
    pub(super) fn of(outlook: Result<Outlook, String>, labels: &Labels) -> Self {
        let outlook = match outlook {
            Ok(outlook) => outlook,
            Err(why) => return Self { not_measured: Some(why), ..Self::default() },
        };
        let way = |back: Back| Way {
            label: labels.of_id(&back.migration),
            version: labels.version(&back.migration),
            path: back.path,
            down: back.down,
            sql: back.shown,
            losses: back.losses,
            stays: back.stays,
        };
        Self {
            ways: outlook.backs.into_iter().map(way).collect(),
            not_measured: None,
            differs: outlook.differs,
            misfits: outlook.misfits,
            to_allow: outlook.missing.iter().map(|&code| code.to_owned()).collect(),
            remarks: outlook.remarks,
        }
    }
}
