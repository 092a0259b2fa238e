//! The lock modes of tables, and which of them exclude each other.

use std::fmt;

/// A mode in which a statement locks a table until its transaction ends; later ones are stronger.
///
/// Source: <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockMode {
    /// `SELECT`
    AccessShare,
    /// `SELECT … FOR UPDATE`, and the other side of a foreign key when a row is written
    RowShare,
    /// `INSERT`, `UPDATE`, `DELETE`, `MERGE`
    RowExclusive,
    /// `VACUUM`, `ANALYZE`, `CREATE INDEX CONCURRENTLY`, `VALIDATE CONSTRAINT`
    ShareUpdateExclusive,
    /// `CREATE INDEX`: nobody writes
    Share,
    /// `ADD FOREIGN KEY`, `CREATE TRIGGER`: nobody writes
    ShareRowExclusive,
    /// `REFRESH MATERIALIZED VIEW CONCURRENTLY`: nobody writes or locks rows
    Exclusive,
    /// Most of `ALTER TABLE`, `DROP`, `TRUNCATE`: nobody reads or writes
    AccessExclusive,
}

impl LockMode {
    /// All of them, weakest first.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// As `LOCK TABLE` spells it, e.g. `SHARE ROW EXCLUSIVE`.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Its initials, e.g. `SRX`, as the measured facts write it; S is SHARE, SUX is SHARE UPDATE EXCLUSIVE.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::AccessShare => "AS",
            Self::RowShare => "RS",
            Self::RowExclusive => "RX",
            Self::ShareUpdateExclusive => "SUX",
            Self::Share => "S",
            Self::ShareRowExclusive => "SRX",
            Self::Exclusive => "X",
            Self::AccessExclusive => "AX",
        }
    }

    /// As `pg_locks.mode` spells it, e.g. `ShareRowExclusiveLock`.
    #[must_use]
    pub fn in_catalogue(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }

    /// Whether two transactions cannot hold these on one table at the same time.
    #[must_use]
    pub fn conflicts_with(self, other: Self) -> bool {
        use LockMode as M;
        let (weaker, stronger) = if self <= other { (self, other) } else { (other, self) };
        match weaker {
            M::AccessShare => stronger == M::AccessExclusive,
            M::RowShare => stronger >= M::Exclusive,
            M::RowExclusive => stronger >= M::Share,
            // The only mode above row locks that does not exclude itself.
            M::Share => stronger != M::Share,
            M::ShareUpdateExclusive | M::ShareRowExclusive | M::Exclusive | M::AccessExclusive => true,
        }
    }

    /// Whether clients that write to the table wait for it.
    #[must_use]
    pub fn blocks_writes(self) -> bool {
        self.conflicts_with(Self::RowExclusive)
    }

    /// Whether clients that only read the table wait for it.
    #[must_use]
    pub fn blocks_reads(self) -> bool {
        self.conflicts_with(Self::AccessShare)
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql())
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode;

    /// Table 13.2 of PostgreSQL's documentation, a row a mode.
    #[test]
    fn conflicts_are_those_of_the_manual() {
        let table =
            ["       x", "      xx", "    xxxx", "   xxxxx", "  xx xxx", "  xxxxxx", " xxxxxxx", "xxxxxxxx"];
        for (row, first) in table.iter().zip(LockMode::ALL) {
            for (cell, second) in row.chars().zip(LockMode::ALL) {
                assert_eq!(first.conflicts_with(second), cell == 'x', "{first} and {second}");
                assert_eq!(first.conflicts_with(second), second.conflicts_with(first));
            }
        }
    }
}
