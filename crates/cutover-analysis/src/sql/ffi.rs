//! The one place with unsafe code: PostgreSQL's parsers in the library that `pg_query` links.
//!
//! `pg_query::parse` answers an error without its position, and `pg_query::parse_plpgsql` refuses what the library
//! prints wrongly for triggers, so the C functions behind them are called here once more with their real result
//! types. Nothing but the calls, copying their answers and freeing them may be done here.
//!
//! The library keeps its state per thread, so that several threads may parse at once. Built without its own `DEBUG`
//! it would point the process's standard error elsewhere meanwhile; a test holds that it is not.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};

/// What the parser says about wrong text.
pub(super) struct RawError {
    pub(super) message: String,
    /// In characters, from 1; 0 if the parser does not know.
    pub(super) cursor: usize,
    /// The C function that raised the error; tells a limit of the library from an error of the text.
    pub(super) function: String,
}

// The layout of these four is that of `pg_query.h` of libpg_query 18. A test calls both outcomes, so that a changed
// layout does not go unnoticed with a new version.

#[repr(C)]
struct PgQueryError {
    message: *mut c_char,
    funcname: *mut c_char,
    filename: *mut c_char,
    lineno: c_int,
    cursorpos: c_int,
    context: *mut c_char,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct PgQueryProtobuf {
    len: usize,
    data: *mut c_char,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct PgQueryProtobufParseResult {
    parse_tree: PgQueryProtobuf,
    stderr_buffer: *mut c_char,
    error: *mut PgQueryError,
}

#[repr(C)]
struct PgQueryPlpgsqlParseResult {
    plpgsql_funcs: *mut c_char,
    error: *mut PgQueryError,
}

unsafe extern "C" {
    fn pg_query_parse_plpgsql(input: *const c_char) -> PgQueryPlpgsqlParseResult;
    fn pg_query_free_plpgsql_parse_result(result: PgQueryPlpgsqlParseResult);
    fn pg_query_parse_protobuf(input: *const c_char) -> PgQueryProtobufParseResult;
    fn pg_query_free_protobuf_parse_result(result: PgQueryProtobufParseResult);
}

/// Gives the tree of `sql` as protobuf bytes to `read`, where the library has put them: they are not copied.
pub(super) fn parse<T>(sql: &CString, read: impl FnOnce(&[u8]) -> T) -> Result<T, RawError> {
    // SAFETY: the argument is NUL-terminated and outlives the call, which keeps no pointer to it. The library catches
    // its own errors (it never unwinds into this frame) and keeps its state per thread.
    let result = Answer(unsafe { pg_query_parse_protobuf(sql.as_ptr()) });
    result.tree().map(read)
}

/// What the library answers, until it is freed: also where whoever reads it panics.
struct Answer(PgQueryProtobufParseResult);

impl Answer {
    fn tree(&self) -> Result<&[u8], RawError> {
        let PgQueryProtobufParseResult { parse_tree, error, .. } = &self.0;
        // SAFETY: the error is null or points to a struct that lives until the result is freed.
        if let Some(error) = unsafe { error_of(*error) } {
            return Err(error);
        }
        if parse_tree.data.is_null() {
            return Ok(&[]);
        }
        // SAFETY: without an error the tree is `len` initialised bytes at `data`, which live until the result is freed.
        Ok(unsafe { std::slice::from_raw_parts(parse_tree.data.cast::<u8>(), parse_tree.len) })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: it comes from the matching parse function, is freed once, and nothing borrowed from it is left.
        unsafe { pg_query_free_protobuf_parse_result(self.0) };
    }
}

/// The trees of the PL/pgSQL bodies in `sql` (`CREATE FUNCTION`, `DO`), as the JSON the library prints.
pub(super) fn parse_plpgsql(sql: &CString) -> Result<String, RawError> {
    // SAFETY: as in `parse`.
    let result = unsafe { pg_query_parse_plpgsql(sql.as_ptr()) };
    // SAFETY: `result` was just returned and has not been freed; its strings live until it is.
    let answer = unsafe {
        match error_of(result.error) {
            Some(error) => Err(error),
            None => Ok(text(result.plpgsql_funcs)),
        }
    };
    // SAFETY: `result` comes from the matching parse function, is freed once, and nothing borrowed from it is left.
    unsafe { pg_query_free_plpgsql_parse_result(result) };
    answer
}

/// # Safety
/// `error` is null or points to an error of a result that has not been freed.
unsafe fn error_of(error: *const PgQueryError) -> Option<RawError> {
    // SAFETY: as the caller promises.
    let error = unsafe { error.as_ref() }?;
    // SAFETY: the strings of the error are null or NUL-terminated, and live as long as it does.
    let (message, function) = unsafe { (text(error.message), text(error.funcname)) };
    let cursor = usize::try_from(error.cursorpos).unwrap_or(0);
    Some(RawError { message, cursor, function })
}

/// # Safety
/// `pointer` is null or points to a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, and NUL-terminated as the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
