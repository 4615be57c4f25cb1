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

const SILENT: &str = "the guest does not answer";

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
        let _ = answer(&cx, &shared, PATIENCE, ping).await;
    }
}

/// Waits for a guest's answer; says so when that takes longer than it should, unless the guest has been paused.
pub async fn answer<T>(
    cx: &Context,
    shared: &Shared,
    patience: Duration,
    answer: impl Future<Output = T>,
) -> T {
    let running = || shared.with(|record| record.state.status == Status::Running);
    tokio::pin!(answer);
    let mut silent = false;
    let answer = loop {
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(answer) => break answer,
            Err(_) if silent || !running() => {}
            Err(_) => {
                silent = true;
                tracing::warn!(container = %shared.id, "{SILENT}");
                shared.note(cx, |record| SILENT.clone_into(&mut record.state.error));
            }
        }
    };
    if silent && running() {
        tracing::info!(container = %shared.id, "the guest answers again");
        shared.note(cx, |record| record.state.error.clear());
    }
    answer
}
