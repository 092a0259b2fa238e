//! `LISTEN`, on a session of its own: declarations that change are noticed at once. Without it (through a pooler that lends
//! sessions by the transaction) polling finds them a little later.

use std::sync::Arc;
use std::time::Duration;

use cutover::jitter::Jitter;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};
use tokio::sync::Notify;

/// The longest wait before another try to connect.
const LONGEST: Duration = Duration::from_secs(30);

/// Wakes `wake` at each notification, for ever; ends where nobody would be heard.
pub(crate) async fn listen(options: ConnectOptions, startup: Startup, wake: Arc<Notify>, seed: u64) {
    let mut jitter = Jitter::seeded(seed);
    let mut pause = Duration::from_millis(200);
    loop {
        match Session::connect(&options, &startup).await {
            Ok(mut session) => match hear(&mut session, &wake).await {
                Ok(()) => return session.close().await,
                Err(failure) => {
                    pause = Duration::from_millis(200);
                    tracing::debug!(%failure, "the listening session is lost");
                }
            },
            Err(error) => tracing::debug!(%error, "nobody listens"),
        }
        tokio::time::sleep(jitter.around(pause)).await;
        pause = (pause * 2).min(LONGEST);
    }
}

async fn hear(session: &mut Session, wake: &Notify) -> Result<(), Failure> {
    let own = session.query_typed("SELECT pg_catalog.pg_backend_pid()", &[]).await?;
    if own.first().map(|row| row.get::<_, i32>(0)) != Some(session.backend_pid()) {
        tracing::debug!("a pooler is in between: notifications are not listened to");
        return Ok(());
    }
    let mut seen = session.notifications();
    session.execute("LISTEN cutover_worker").await?;
    // What changed before it listened.
    wake.notify_one();
    loop {
        seen = session.notified(seen).await?;
        wake.notify_one();
    }
}
