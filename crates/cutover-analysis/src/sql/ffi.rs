//! The one place with unsafe code: PostgreSQL's raw parser in the library that `pg_query` links.
//!
//! `pg_query::parse` answers an error without its position, so the C function behind it is called here once more
//! with its real result type. Nothing but the call, copying its answer and freeing it may be done here.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::{Mutex, PoisonError};

/// What the parser says about wrong text.
pub(super) struct RawError {
    pub(super) message: String,
    /// In characters, from 1; 0 if the parser does not know.
    pub(super) cursor: usize,
    /// The C function that raised the error; tells a limit of the library from an error of the text.
    pub(super) function: String,
}

// The layout of these three is that of `pg_query.h` of libpg_query 18. A test calls both outcomes, so that a changed
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

#[repr(C)]
struct PgQueryProtobuf {
    len: usize,
    data: *mut c_char,
}

#[repr(C)]
struct PgQueryProtobufParseResult {
    parse_tree: PgQueryProtobuf,
    stderr_buffer: *mut c_char,
    error: *mut PgQueryError,
}

unsafe extern "C" {
    fn pg_query_parse_protobuf(input: *const c_char) -> PgQueryProtobufParseResult;
    fn pg_query_free_protobuf_parse_result(result: PgQueryProtobufParseResult);
}

/// The library points the process's standard error elsewhere while it parses: two calls at a time would mix up whose
/// it was and leave it pointing nowhere.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The tree of `sql` as protobuf bytes.
pub(super) fn parse(sql: &CString) -> Result<Vec<u8>, RawError> {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the argument is NUL-terminated and outlives the call, which keeps no pointer to it. The library catches
    // its own errors (it never unwinds into this frame) and keeps its state per thread.
    let result = unsafe { pg_query_parse_protobuf(sql.as_ptr()) };
    // SAFETY: `result` was just returned and has not been freed.
    let answer = unsafe { copy(&result) };
    // SAFETY: `result` comes from the matching parse function, is freed once, and nothing borrowed from it is left.
    unsafe { pg_query_free_protobuf_parse_result(result) };
    answer
}

/// # Safety
/// `result` comes from `pg_query_parse_protobuf` and has not been freed.
unsafe fn copy(result: &PgQueryProtobufParseResult) -> Result<Vec<u8>, RawError> {
    // SAFETY: the error is null or points to a struct that lives until the result is freed.
    if let Some(error) = unsafe { result.error.as_ref() } {
        // SAFETY: the strings of the error are null or NUL-terminated, and live as long as it does.
        let (message, function) = unsafe { (text(error.message), text(error.funcname)) };
        let cursor = usize::try_from(error.cursorpos).unwrap_or(0);
        return Err(RawError { message, cursor, function });
    }
    if result.parse_tree.data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: without an error the tree is `len` initialised bytes at `data`, which live until the result is freed.
    let bytes =
        unsafe { std::slice::from_raw_parts(result.parse_tree.data.cast::<u8>(), result.parse_tree.len) };
    Ok(bytes.to_vec())
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
