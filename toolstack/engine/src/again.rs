//! Work that is tried again until it is done, where nothing tells when it can be.

use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Does it whenever it is asked for, and again while it says that something is left, until the daemon ends.
pub async fn whenever<F: Future<Output = bool>>(
    closing: &CancellationToken,
    asked: &Notify,
    mut is_done: impl FnMut() -> F,
) {
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            () = asked.notified() => {}
        }
        let mut pause = FIRST_PAUSE;
        while !is_done().await {
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
