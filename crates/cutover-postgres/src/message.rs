//! Errors and notices as the server sends them.

use std::fmt;

/// An `ErrorResponse` or `NoticeResponse` with its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerMessage {
    /// Severity in English whatever the server's language: `ERROR`, `FATAL`, `PANIC`, `WARNING`, `NOTICE`, ...
    pub severity: String,
    /// SQLSTATE, five characters. See [`crate::sqlstate`].
    pub code: String,
    /// The message itself, one line as a rule.
    pub message: String,
    /// `DETAIL`.
    pub detail: Option<String>,
    /// `HINT`.
    pub hint: Option<String>,
    /// Where in the statement text, in characters (not bytes), counted from 1.
    pub position: Option<u32>,
    /// Where in [`internal_query`](Self::internal_query), in characters, counted from 1.
    pub internal_position: Option<u32>,
    /// A statement the server made itself, e.g. inside PL/pgSQL.
    pub internal_query: Option<String>,
    /// `CONTEXT`: the call stack of functions.
    pub where_: Option<String>,
    /// Schema of the object concerned.
    pub schema: Option<String>,
    /// Table concerned.
    pub table: Option<String>,
    /// Column concerned.
    pub column: Option<String>,
    /// Data type concerned.
    pub data_type: Option<String>,
    /// Constraint concerned.
    pub constraint: Option<String>,
    /// Routine in the server's source that reported it.
    pub routine: Option<String>,
}

impl ServerMessage {
    /// Reads the body of an `ErrorResponse` or `NoticeResponse`: one byte of field type, a NUL-terminated text,
    /// and so on. Unknown fields and a last field that was cut off are left out.
    pub(crate) fn from_body(body: &[u8]) -> Self {
        let mut message = Self::default();
        let mut localized = None;
        for field in body.split(|byte| *byte == 0) {
            let Some((kind, value)) = field.split_first() else {
                break;
            };
            let text = String::from_utf8_lossy(value).into_owned();
            match kind {
                b'S' => localized = Some(text),
                b'V' => message.severity = text,
                b'C' => message.code = text,
                b'M' => message.message = text,
                b'D' => message.detail = Some(text),
                b'H' => message.hint = Some(text),
                b'P' => message.position = text.parse().ok(),
                b'p' => message.internal_position = text.parse().ok(),
                b'q' => message.internal_query = Some(text),
                b'W' => message.where_ = Some(text),
                b's' => message.schema = Some(text),
                b't' => message.table = Some(text),
                b'c' => message.column = Some(text),
                b'd' => message.data_type = Some(text),
                b'n' => message.constraint = Some(text),
                b'R' => message.routine = Some(text),
                _ => {}
            }
        }
        if message.severity.is_empty() {
            message.severity = localized.unwrap_or_default();
        }
        message
    }

    /// Whether the server ends the session with it.
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }
}

impl From<&tokio_postgres::error::DbError> for ServerMessage {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        use tokio_postgres::error::ErrorPosition;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (position, internal_position, internal_query) = match error.position() {
            Some(ErrorPosition::Original(at)) => (Some(*at), None, None),
            Some(ErrorPosition::Internal { position, query }) => (None, Some(*position), Some(query.clone())),
            None => (None, None, None),
        };
        Self {
            severity: error
                .parsed_severity()
                .map_or_else(|| error.severity().to_owned(), |severity| severity.to_string()),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            hint: owned(error.hint()),
            position,
            internal_position,
            internal_query,
            where_: owned(error.where_()),
            schema: owned(error.schema()),
            table: owned(error.table()),
            column: owned(error.column()),
            data_type: owned(error.datatype()),
            constraint: owned(error.constraint()),
            routine: owned(error.routine()),
        }
    }
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.severity, self.message, self.code)
    }
}

/// An error with its causes, in one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_unknown_ones_left_out() {
        let body = b"SFEHLER\0VERROR\0C42P01\0Mno such table\0P15\0Z?\0nfoo_key\0\0";
        let message = ServerMessage::from_body(body);
        assert_eq!(message.severity, "ERROR");
        assert_eq!(message.code, "42P01");
        assert_eq!(message.position, Some(15));
        assert_eq!(message.constraint.as_deref(), Some("foo_key"));
        assert_eq!(message.to_string(), "ERROR: no such table (42P01)");
    }

    #[test]
    fn an_old_server_without_the_english_severity_still_has_one() {
        assert_eq!(ServerMessage::from_body(b"SFATAL\0C57P01\0Mbye\0\0").severity, "FATAL");
        assert_eq!(ServerMessage::from_body(b""), ServerMessage::default());
    }
}
