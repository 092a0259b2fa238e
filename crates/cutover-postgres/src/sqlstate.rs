//! The SQLSTATE codes that callers decide by, and the classes they fall into.

/// `lock_not_available`: `lock_timeout` passed, or `NOWAIT`.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// `deadlock_detected`.
pub const DEADLOCK_DETECTED: &str = "40P01";
/// `serialization_failure`.
pub const SERIALIZATION_FAILURE: &str = "40001";
/// `statement_completion_unknown`.
pub const STATEMENT_COMPLETION_UNKNOWN: &str = "40003";
/// `transaction_resolution_unknown`.
pub const TRANSACTION_RESOLUTION_UNKNOWN: &str = "08007";
/// `query_canceled`: a cancel request or `statement_timeout`.
pub const QUERY_CANCELED: &str = "57014";
/// `admin_shutdown`: the server stops or the session was terminated.
pub const ADMIN_SHUTDOWN: &str = "57P01";
/// `crash_shutdown`: another backend crashed.
pub const CRASH_SHUTDOWN: &str = "57P02";
/// `cannot_connect_now`: the server is starting, stopping or recovering.
pub const CANNOT_CONNECT_NOW: &str = "57P03";
/// `database_dropped`.
pub const DATABASE_DROPPED: &str = "57P04";
/// `idle_session_timeout`.
pub const IDLE_SESSION_TIMEOUT: &str = "57P05";
/// `idle_in_transaction_session_timeout`.
pub const IDLE_IN_TRANSACTION_TIMEOUT: &str = "25P03";
/// `in_failed_sql_transaction`: an earlier statement failed, everything but ROLLBACK is refused.
pub const IN_FAILED_TRANSACTION: &str = "25P02";
/// `read_only_sql_transaction`: a standby, or a read-only session.
pub const READ_ONLY_TRANSACTION: &str = "25006";
/// `protocol_violation`.
pub const PROTOCOL_VIOLATION: &str = "08P01";
/// The connection was lost.
pub const CONNECTION_FAILURE: &str = "08006";
/// `too_many_connections`.
pub const TOO_MANY_CONNECTIONS: &str = "53300";
/// `invalid_password`.
pub const INVALID_PASSWORD: &str = "28P01";
/// `invalid_authorization_specification`: no such role, no matching line in `pg_hba.conf`.
pub const INVALID_AUTHORIZATION: &str = "28000";
/// `invalid_catalog_name`: no such database.
pub const NO_SUCH_DATABASE: &str = "3D000";
/// `insufficient_privilege`.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// `unique_violation`.
pub const UNIQUE_VIOLATION: &str = "23505";
/// `foreign_key_violation`.
pub const FOREIGN_KEY_VIOLATION: &str = "23503";
/// `undefined_table`.
pub const UNDEFINED_TABLE: &str = "42P01";
/// `undefined_object`.
pub const UNDEFINED_OBJECT: &str = "42704";
/// `undefined_function`.
pub const UNDEFINED_FUNCTION: &str = "42883";
/// `undefined_column`.
pub const UNDEFINED_COLUMN: &str = "42703";
/// `invalid_schema_name`: no such schema.
pub const NO_SUCH_SCHEMA: &str = "3F000";
/// `duplicate_object`: also what a race of `IF NOT EXISTS` ends in.
pub const DUPLICATE_OBJECT: &str = "42710";
/// `duplicate_table`.
pub const DUPLICATE_TABLE: &str = "42P07";
/// `internal_error`: also "tuple concurrently updated" of two catalogue changes at once.
pub const INTERNAL_ERROR: &str = "XX000";
/// A number was divided by zero.
pub const DIVISION_BY_ZERO: &str = "22012";

/// Another session stood in the way and nothing was done: the same transaction may be tried again.
pub fn is_retryable_lock(code: &str) -> bool {
    matches!(code, LOCK_NOT_AVAILABLE | DEADLOCK_DETECTED | SERIALIZATION_FAILURE)
}

/// The server or an administrator ended the session; a new connection may work.
pub fn is_shutdown(code: &str) -> bool {
    matches!(
        code,
        ADMIN_SHUTDOWN
            | CRASH_SHUTDOWN
            | CANNOT_CONNECT_NOW
            | DATABASE_DROPPED
            | IDLE_SESSION_TIMEOUT
            | IDLE_IN_TRANSACTION_TIMEOUT
    )
}

/// The server itself does not know what became of the statement or its transaction.
pub fn leaves_outcome_open(code: &str) -> bool {
    matches!(code, STATEMENT_COMPLETION_UNKNOWN | TRANSACTION_RESOLUTION_UNKNOWN)
}

/// The login was refused (class 28).
pub fn is_authorization(code: &str) -> bool {
    code.starts_with("28")
}

/// A constraint refused the data (class 23).
pub fn is_constraint_violation(code: &str) -> bool {
    code.starts_with("23")
}

/// The server ran out of something: disk, memory, connections (class 53).
pub fn is_out_of_resources(code: &str) -> bool {
    code.starts_with("53")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_nothing_is_retryable() {
        for code in ["55P03", "40P01", "40001"] {
            assert!(is_retryable_lock(code), "{code}");
        }
        for code in ["57014", "23505", "XX000", "", "55000"] {
            assert!(!is_retryable_lock(code), "{code}");
        }
    }

    #[test]
    fn a_cancelled_query_is_no_shutdown() {
        assert!(is_shutdown(ADMIN_SHUTDOWN));
        assert!(!is_shutdown(QUERY_CANCELED));
        assert!(leaves_outcome_open("08007") && !leaves_outcome_open(QUERY_CANCELED));
    }
}
