//! The ways back and what they lose, as the rehearsal of `cutover revert` finds them: what is said of one command is untrue of
//! another, for behind more ways back less stays.

use serde::Serialize;

use super::migrations::Labels;
use crate::revert::{Back, Outlook};

/// What one command takes back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rollback {
    /// The command that looks at it, and changes nothing.
    pub(super) look: String,
    /// The command that does it, with all that it has to be allowed; none where it would fail, or nothing is known.
    pub(super) command: Option<String>,
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
    /// What `cutover revert` with these `arguments` would do.
    pub(super) fn of(arguments: &str, outlook: Result<Outlook, String>, labels: &Labels) -> Self {
        let command = format!("cutover revert{arguments}");
        let look = format!("{command} --dry-run");
        let outlook = match outlook {
            Ok(outlook) => outlook,
            Err(why) => return Self { look, not_measured: Some(why), ..Self::default() },
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
        let allowed = outlook.missing.iter().flat_map(|code| [" --allow ", code]).collect::<String>();
        let can_be_done = outlook.misfits.is_empty() && !outlook.backs.is_empty();
        Self {
            look,
            command: can_be_done.then(|| command + &allowed),
            ways: outlook.backs.into_iter().map(way).collect(),
            not_measured: None,
            differs: outlook.differs,
            misfits: outlook.misfits,
            to_allow: outlook.missing.iter().map(|&code| code.to_owned()).collect(),
            remarks: outlook.remarks,
        }
    }
}
