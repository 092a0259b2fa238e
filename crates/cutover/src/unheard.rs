//! A last write whose answer never came: what became of it is asked, not guessed. Whether a run goes on is not decided here;
//! its steps have `apply::lost`, its end `apply::ending`.

use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;

use crate::apply::own_startup;
use crate::history::lock;

/// How long to try to connect again.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait until the session that wrote is gone from the server.
const GONE_LIMIT: Duration = Duration::from_secs(5);

/// A session to look with, once the one that wrote (known by its `id`, as [`own_startup`] takes it) is gone from the server:
/// what it wrote is there for good or not at all. `None` where that cannot be had.
pub(crate) async fn look_again(options: &ConnectOptions, id: &str) -> Option<Session> {
    let startup = own_startup(id, Some(CONNECT_LIMIT));
    let mut session = Session::connect(options, &startup).await.ok()?;
    match lock::end_own(&mut session, &startup.application_name, GONE_LIMIT).await {
        Ok(true) => Some(session),
        other => {
            tracing::debug!(?other, "the session that wrote may still be there");
            session.close().await;
            None
        }
    }
}
