//! What systemd is told. Without it there is nobody to tell, and nothing differs.

use crate::api::App;
use sd_notify::NotifyState;
use std::sync::Arc;

pub fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Around a reload; [`ready`] ends it.
pub fn reloading() {
    let since = NotifyState::monotonic_usec_now().ok();
    let states: Vec<_> = [Some(NotifyState::Reloading), since]
        .into_iter()
        .flatten()
        .collect();
    let _ = sd_notify::notify(&states);
}

/// Tells twice in each period that systemd grants that the daemon is alive: that its runtime has a turn for this, and
/// that the engine's containers can be looked at. A daemon that hangs is ended and started again; guests run on.
pub fn watchdog(app: &Arc<App>) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(period / 2);
        while let Some(app) = app.upgrade() {
            let looked = tokio::task::spawn_blocking(move || drop(app.engine.containers())).await;
            if looked.is_ok() {
                let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            }
            ticks.tick().await;
        }
    });
}
