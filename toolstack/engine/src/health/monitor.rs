//! Runs a container's check as long as it runs.

use super::{Check, Health, HealthStatus, Probe};
use crate::container::Shared;
use crate::context::Context;
use crate::engine::ExecSpec;
use crate::exec::{self, Keep};
use crate::session::Session;
use crate::state::Status;
use crate::stdio::Attachment;
use chrono::{DateTime, Utc};
use guest_protocol::message::RequestBody;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// What is kept of a check's output, as in docker.
const MAX_OUTPUT_BYTES: usize = 4096;

/// Until it is dropped. Goes on where an earlier engine stopped.
pub async fn watch(cx: Arc<Context>, shared: Arc<Shared>, session: Session) {
    let check = shared.with(|record| record.config.healthcheck.as_ref().and_then(Check::of));
    let Some(check) = check else { return };
    // One that took too long and has not ended yet: the next does not begin beside it.
    let mut leftover: Option<AbortOnDropHandle<()>> = None;
    loop {
        let (started, status) = shared.with(|record| {
            let health = record.state.health.as_ref();
            let status = health.map_or(HealthStatus::Starting, |health| health.status);
            (record.state.started_at.unwrap_or_else(Utc::now), status)
        });
        tokio::time::sleep(check.pause(status, since(started, Utc::now()))).await;
        if shared.with(|record| record.state.status != Status::Running) {
            continue;
        }
        let probe = match ended_in_time(&mut leftover, check.timeout).await {
            true => {
                let (probe, late) = probe(&cx, &shared, &session, &check).await;
                leftover = late;
                probe
            }
            false => Probe {
                start: Utc::now(),
                end: Utc::now(),
                exit_code: -1,
                output: "the last health check does not end".to_owned(),
            },
        };
        if shared.with(|record| record.state.status.is_up()) {
            take(&cx, &shared, &check, probe, started);
        }
    }
}

async fn ended_in_time(leftover: &mut Option<AbortOnDropHandle<()>>, timeout: Duration) -> bool {
    if let Some(late) = leftover {
        if tokio::time::timeout(timeout, late).await.is_err() {
            return false;
        }
        *leftover = None;
    }
    true
}

fn since(start: DateTime<Utc>, end: DateTime<Utc>) -> Duration {
    (end - start).to_std().unwrap_or_default()
}

fn take(cx: &Context, shared: &Shared, check: &Check, probe: Probe, started: DateTime<Utc>) {
    let mut change = None;
    shared.note(cx, |record| {
        let health = record.state.health.get_or_insert_with(Health::default);
        let before = health.status;
        let since_start = since(started, probe.start);
        health.take(check, probe, since_start);
        change = (health.status != before).then_some(health.status);
    });
    if let Some(status) = change {
        shared.tell(cx, &format!("health_status: {status}"), &[]);
    }
}

/// The engine's own exec, which nobody need remember.
struct Own {
    shared: Arc<Shared>,
    id: String,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.shared.execs.forget(&self.id);
    }
}

/// One run of the check, killed when it takes too long; and what waits for its end then.
async fn probe(
    cx: &Arc<Context>,
    shared: &Arc<Shared>,
    session: &Session,
    check: &Check,
) -> (Probe, Option<AbortOnDropHandle<()>>) {
    let start = Utc::now();
    let of = |exit_code, output| Probe {
        start,
        end: Utc::now(),
        exit_code,
        output,
    };
    let ended = |exit_code, output| (of(exit_code, output), None);
    let spec = ExecSpec {
        args: check.command.clone(),
        stdout: true,
        stderr: true,
        ..ExecSpec::default()
    };
    let command = exec::command(&spec);
    let own = match shared.execs.create(&shared.id, spec, Keep::No) {
        Ok((id, _)) => Own {
            shared: Arc::clone(shared),
            id,
        },
        Err(error) => return ended(-1, error.to_string()),
    };
    let with_id = [("execID", own.id.clone())];
    shared.tell(cx, &format!("exec_create: {command}"), &with_id);
    let mut output = Vec::new();
    let run = async {
        let mut attachment = exec::start(cx, shared, &own.id, None).await?;
        read(&mut attachment, &mut output).await;
        Ok::<_, crate::Error>(())
    };
    let ran = tokio::time::timeout(check.timeout, run).await;
    let text = text(&output);
    match ran {
        Ok(Ok(())) => {
            let code = shared.execs.get(&own.id).and_then(|exec| exec.exit_code);
            ended(code.unwrap_or(-1), text)
        }
        Ok(Err(error)) => ended(-1, error.to_string()),
        Err(_) => {
            let session = session.clone();
            let late = tokio::spawn(async move {
                if let Some(process) = own.shared.execs.process(&own.id) {
                    let signal = libc::SIGKILL;
                    let _ = session.request(RequestBody::Signal { process, signal }).await;
                    own.shared.execs.ended_or_gone(&own.id).await;
                }
            });
            let said = if text.is_empty() {
                text
            } else {
                format!(": {text}")
            };
            let output = format!("Health check exceeded timeout ({}){said}", shown(check.timeout));
            (of(-1, output), Some(AbortOnDropHandle::new(late)))
        }
    }
}

async fn read(attachment: &mut Attachment, output: &mut Vec<u8>) {
    while let Some(chunk) = attachment.output.recv().await {
        let room = (MAX_OUTPUT_BYTES + 1).saturating_sub(output.len());
        output.extend_from_slice(&chunk.bytes[..chunk.bytes.len().min(room)]);
    }
}

/// The guest writes it: whatever it is, it becomes text of a limited length.
fn text(output: &[u8]) -> String {
    let kept = &output[..output.len().min(MAX_OUTPUT_BYTES)];
    let mut text = String::from_utf8_lossy(kept).into_owned();
    if output.len() > MAX_OUTPUT_BYTES {
        text.push_str("...");
    }
    text
}

/// As Go writes a duration of whole seconds or milliseconds.
fn shown(duration: Duration) -> String {
    let (minutes, millis) = (duration.as_secs() / 60, duration.as_millis() % 60_000);
    let seconds = format!("{}", millis as f64 / 1000.0);
    match minutes {
        0 if duration.as_millis() < 1000 => format!("{}ms", duration.as_millis()),
        0 => format!("{seconds}s"),
        1..60 => format!("{minutes}m{seconds}s"),
        _ => format!("{}h{}m{seconds}s", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_as_go_does() {
        for (millis, text) in [
            (500, "500ms"),
            (30_000, "30s"),
            (1_500, "1.5s"),
            (60_000, "1m0s"),
            (3_661_000, "1h1m1s"),
        ] {
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn output_is_cut() {
        assert_eq!(text(b"fine\n\xff"), "fine\n\u{fffd}");
        let long = text(&[b'x'; MAX_OUTPUT_BYTES + 1]);
        assert_eq!(long.len(), MAX_OUTPUT_BYTES + 3);
    }
}
