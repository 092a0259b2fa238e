//! What a rule says of itself: its page of the documentation is made of it, and its tests.

use super::finding::{Seen, Severity};

/// What a rule is for.
#[derive(Debug)]
pub struct About {
    /// Its code, which configuration, suppressions and `--allow` call it by.
    pub code: &'static str,
    /// How bad it is where nobody says otherwise.
    pub severity: Severity,
    /// It looks where nobody says otherwise.
    pub on: bool,
    /// What is bad, in one sentence.
    pub why: &'static str,
    /// What to do instead.
    pub safe: &'static str,
    /// Who can see it.
    pub seen: &'static [Seen],
    /// What it is about.
    pub origin: Origin,
    /// SQL in which it is found.
    pub bad: &'static [Example],
    /// SQL in which it is not: the safe way, and what it must not take for its matter.
    pub good: &'static [Example],
}

/// Where findings of a rule come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The SQL of statements.
    Sql,
    /// Names of files, or what is said in them to the tool.
    Files,
    /// The database as it is.
    Database,
}

/// A migration, what is there before it, and on which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The migration.
    pub sql: &'static str,
    /// SQL that has made what is there; nothing where the database is not known.
    pub there: &'static str,
    /// The server's version, as `server_version_num` says it; 0 where it is not known.
    pub server: u32,
    /// Tables of the database that have no rows.
    pub empty: &'static [&'static str],
    /// There is nothing else in the database.
    pub complete: bool,
}

impl Example {
    /// A migration, with nothing known of the database.
    pub const fn of(sql: &'static str) -> Self {
        Self { sql, there: "", server: 0, empty: &[], complete: false }
    }

    /// The same in a database that this SQL has made.
    #[must_use]
    pub const fn over(self, there: &'static str) -> Self {
        Self { there, ..self }
    }

    /// The same on a server of this version.
    #[must_use]
    pub const fn on(self, server: u32) -> Self {
        Self { server, ..self }
    }

    /// The same where nothing else is in the database.
    #[must_use]
    pub const fn and_nothing_else(self) -> Self {
        Self { complete: true, ..self }
    }

    /// The same where these tables, named with their schemas, are known to have no rows.
    #[must_use]
    pub const fn with_empty(self, empty: &'static [&'static str]) -> Self {
        Self { empty, ..self }
    }
}
