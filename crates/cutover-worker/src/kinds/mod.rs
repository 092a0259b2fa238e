//! Kinds of jobs, one file each. A kind says what of a declaration it takes and which statement does the work.

mod sql;

/// A kind of job.
pub trait Kind: Sync {
    /// Its name in declarations.
    fn name(&self) -> &'static str;

    /// What is wrong with a job's command, if anything.
    ///
    /// # Errors
    /// In words.
    fn check(&self, command: &str) -> Result<(), String>;

    /// The one statement that does the work, in a transaction of ours.
    fn statement(&self, command: &str) -> String;
}

/// All kinds there are.
pub const KINDS: &[&dyn Kind] = &[&sql::Sql];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// Complaint about a kind that there is not.
pub fn unknown(name: &str) -> String {
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
    format!("unknown kind of job {name:?}; there is: {}", known.join(", "))
}
