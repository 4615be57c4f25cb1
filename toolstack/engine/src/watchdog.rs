//! Notices a guest that no longer answers. It is said in the container's state and the log; whether it is to be killed is for
//! its owner to say.

use crate::container::Shared;
use crate::context::Context;
use crate::plan::FIRST_PROCESS;
use crate::session::Session;
use crate::state::Status;
use guest_protocol::message::RequestBody;
use std::sync::Arc;
use std::time::Duration;

/// A guest that hangs tells nobody, so it is asked.
const INTERVAL: Duration = Duration::from_secs(30);
/// Longer than a busy guest takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub const SILENT: &str = "the guest does not answer";

/// Until it is dropped, or the link ends.
pub async fn watch(cx: Arc<Context>, shared: Arc<Shared>, session: Session) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let running = || shared.with(|record| record.state.status == Status::Running);
        if !running() {
            continue;
        }
        // Signal 0 does nothing. Whether the process is still there does not matter: the agent answers.
        let ping = session.request(RequestBody::Signal {
            process: FIRST_PROCESS,
            signal: 0,
        });
        tokio::pin!(ping);
        if tokio::time::timeout(PATIENCE, &mut ping).await.is_ok() || !running() {
            continue;
        }
        tracing::warn!(container = %shared.id, "{SILENT}");
        shared.note(&cx, |record| SILENT.clone_into(&mut record.state.error));
        let _ = ping.await;
        if running() {
            tracing::info!(container = %shared.id, "the guest answers again");
            shared.note(&cx, |record| record.state.error.clear());
        }
    }
}
