//! The point at which a test build ends itself. Ordinary builds do not read the variable.

use cutover::apply::CrashPoints;
use cutover_postgres::Environment;

use crate::error::CliError;

/// Which point of the apply is the last one.
#[cfg(feature = "crash-points")]
pub(crate) fn points(environment: &Environment) -> Result<CrashPoints, CliError> {
    let Some(text) = environment.var("CUTOVER_CRASH_AT") else { return Ok(CrashPoints::default()) };
    let point =
        text.parse().map_err(|_| CliError::usage(format!("CUTOVER_CRASH_AT={text}: not a number")))?;
    Ok(CrashPoints::at(point))
}

/// No point: nothing ends this build before its time.
#[cfg(not(feature = "crash-points"))]
#[allow(clippy::unnecessary_wraps, reason = "the test build can fail here")]
pub(crate) fn points(_: &Environment) -> Result<CrashPoints, CliError> {
    Ok(CrashPoints::default())
}
