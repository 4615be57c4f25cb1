//! `/containers/{id}/stats`: what a container uses, once or each second.

use crate::api::Call;
use crate::error::Answer;
use crate::request;
use crate::text::{NEVER, moment};
use axum::http::StatusCode;
use bytes::Bytes;
use engine::{Container, ContainerUsage, Engine, GuestUsage, Sample};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Docker's.
const INTERVAL: Duration = Duration::from_secs(1);

/// What two samples are compared by.
struct Taken {
    sample: Sample,
    /// On a clock that nobody sets, from when this process began to look.
    at: Duration,
}

pub async fn stats(call: &Call, id: &str) -> Answer {
    let container = super::find(call, id)?;
    let began = Instant::now();
    let stream = call.query.flag_or("stream", true);
    let engine = call.app.engine.clone();
    if stream {
        let lines = lines(engine, container, began);
        let body = request::stream_body(lines.filter(|line| std::future::ready(!line.is_empty())));
        return Ok(request::of(StatusCode::OK, "application/json", body));
    }
    let first = take(&engine, &container, began).await?;
    if call.query.flag("one-shot") || first.sample.host.is_none() {
        return Ok(request::ok_json(&stats_json(&container, None, &first)));
    }
    // A share of time is one of the time between two looks.
    tokio::time::sleep(INTERVAL).await;
    let second = take(&engine, &container, began).await?;
    Ok(request::ok_json(&stats_json(&container, Some(&first), &second)))
}

async fn take(engine: &Engine, container: &Container, began: Instant) -> Result<Taken, engine::Error> {
    let sample = engine.sample(&container.id).await?;
    Ok(Taken {
        sample,
        // Beyond 0, as the host's was when it began.
        at: began.elapsed() + INTERVAL,
    })
}

fn lines(
    engine: Engine,
    container: Container,
    began: Instant,
) -> impl futures_util::Stream<Item = Bytes> + Send {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let state = (ticks, None::<Arc<Taken>>);
    stream::unfold(state, move |(mut ticks, before)| {
        let (engine, container) = (engine.clone(), container.clone());
        async move {
            ticks.tick().await;
            // A container that was removed has no more to tell.
            let now = Arc::new(take(&engine, &container, began).await.ok()?);
            let line = request::json_line(&stats_json(&container, before.as_deref(), &now));
            Some((line.unwrap_or_default(), (ticks, Some(now))))
        }
    })
}

fn stats_json(container: &Container, before: Option<&Taken>, now: &Taken) -> Value {
    let name = format!("/{}", container.name);
    let before = before.filter(|before| before.sample.host.is_some());
    let Some(host) = &now.sample.host else {
        return json!({
            "name": name, "id": container.id, "read": NEVER, "preread": NEVER,
            "pids_stats": {}, "blkio_stats": blkio_json(None), "num_procs": 0, "storage_stats": {},
            "cpu_stats": cpu_json(None), "precpu_stats": cpu_json(None), "memory_stats": {},
        });
    };
    let mut value = json!({
        "name": name,
        "id": container.id,
        "read": moment(now.sample.at),
        "preread": before.map_or_else(|| NEVER.to_owned(), |before| moment(before.sample.at)),
        "pids_stats": now.sample.guest.map_or_else(|| json!({}), |guest| json!({ "current": guest.processes })),
        "blkio_stats": blkio_json(Some(host)),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu_json(Some(now)),
        "precpu_stats": cpu_json(before),
        "memory_stats": memory_json(now),
    });
    if !host.nics.is_empty() {
        value["networks"] = networks_json(host);
    }
    value
}

/// Time of the guest's virtual processors, as Xen counts it, and what all processors of the host have had.
fn cpu_json(taken: Option<&Taken>) -> Value {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let used = taken.and_then(|taken| taken.sample.host.as_ref());
    let guest = taken.and_then(|taken| taken.sample.guest).unwrap_or_default();
    let mut value = json!({
        "cpu_usage": {
            "total_usage": used.map_or(0, |host| nanos(host.cpu)),
            "usage_in_kernelmode": guest.system_cpu_us.saturating_mul(1000),
            "usage_in_usermode": guest.user_cpu_us.saturating_mul(1000),
        },
        "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 },
    });
    if let Some(taken) = taken.filter(|_| used.is_some()) {
        let cpus = taken.sample.host_cpus;
        value["system_cpu_usage"] = json!(nanos(taken.at).saturating_mul(cpus.into()));
        value["online_cpus"] = json!(cpus);
    }
    value
}

fn memory_json(taken: &Taken) -> Value {
    let limit = taken.sample.memory_limit_bytes;
    let Some(guest) = taken.sample.guest else {
        return json!({ "limit": limit });
    };
    // What a guest tells of itself is bounded by what it has.
    let most = |bytes: u64| bytes.min(limit);
    let ContainerUsage {
        memory_bytes,
        inactive_file_bytes,
        anonymous_bytes,
        file_bytes,
        ..
    } = guest;
    json!({
        "usage": most(memory_bytes),
        "stats": {
            "anon": most(anonymous_bytes),
            "file": most(file_bytes),
            "inactive_file": most(inactive_file_bytes.min(memory_bytes)),
        },
        "limit": limit,
    })
}

fn blkio_json(host: Option<&GuestUsage>) -> Value {
    // All disks of a guest are xvd: 202.
    let list = |read: u64, write: u64| {
        let entry = |op: &str, value: u64| json!({ "major": 202, "minor": 0, "op": op, "value": value });
        json!([entry("read", read), entry("write", write)])
    };
    let disks = host.map(|host| host.disks);
    json!({
        "io_service_bytes_recursive": disks.map(|disks| list(disks.read_bytes, disks.written_bytes)),
        "io_serviced_recursive": disks.map(|disks| list(disks.reads, disks.writes)),
        "io_queue_recursive": null, "io_service_time_recursive": null, "io_wait_time_recursive": null,
        "io_merged_recursive": null, "io_time_recursive": null, "sectors_recursive": null,
    })
}

fn networks_json(host: &GuestUsage) -> Value {
    let nics = host.nics.iter().map(|(index, nic)| {
        let counts = json!({
            "rx_bytes": nic.received_bytes, "rx_packets": nic.received_packets,
            "rx_errors": nic.received_errors, "rx_dropped": nic.received_dropped,
            "tx_bytes": nic.sent_bytes, "tx_packets": nic.sent_packets,
            "tx_errors": nic.sent_errors, "tx_dropped": nic.sent_dropped,
        });
        (format!("eth{index}"), counts)
    });
    Value::Object(nics.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use engine::{Config, DiskUsage, NicUsage, State};
    use std::collections::BTreeMap;

    fn container() -> Container {
        Container {
            id: "ab".repeat(32),
            name: "web".to_owned(),
            created_at: DateTime::from_timestamp(1, 0).unwrap(),
            image_id: String::new(),
            config: Config::default(),
            state: State::default(),
        }
    }

    fn taken(cpu_ms: u64, at: Duration) -> Taken {
        Taken {
            sample: Sample {
                at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
                host: Some(GuestUsage {
                    cpu: Duration::from_millis(cpu_ms),
                    vcpus: 1,
                    memory_bytes: 512 << 20,
                    disks: DiskUsage {
                        read_bytes: 7,
                        ..DiskUsage::default()
                    },
                    nics: BTreeMap::from([(
                        2,
                        NicUsage {
                            received_bytes: 5,
                            ..NicUsage::default()
                        },
                    )]),
                }),
                guest: Some(ContainerUsage {
                    memory_bytes: u64::MAX,
                    inactive_file_bytes: 10,
                    processes: 3,
                    ..ContainerUsage::default()
                }),
                memory_limit_bytes: 64 << 20,
                host_cpus: 2,
            },
            at,
        }
    }

    #[test]
    fn two_samples_give_a_share_of_time() {
        let (first, second) = (taken(1000, INTERVAL), taken(1500, INTERVAL * 2));
        let value = stats_json(&container(), Some(&first), &second);
        let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap();
        let used = number("/cpu_stats/cpu_usage/total_usage") - number("/precpu_stats/cpu_usage/total_usage");
        let had = number("/cpu_stats/system_cpu_usage") - number("/precpu_stats/system_cpu_usage");
        // As docker's client reckons: half of one processor.
        assert_eq!(used * number("/cpu_stats/online_cpus") * 100 / had, 50);
        assert_eq!(number("/memory_stats/usage"), 64 << 20, "a guest may boast");
        assert_eq!(number("/memory_stats/stats/inactive_file"), 10);
        assert_eq!(number("/blkio_stats/io_service_bytes_recursive/0/value"), 7);
        assert_eq!(number("/networks/eth2/rx_bytes"), 5);
        assert_eq!(number("/pids_stats/current"), 3);
    }

    #[test]
    fn one_that_does_not_run_uses_nothing() {
        let mut nothing = taken(0, INTERVAL);
        nothing.sample.host = None;
        let value = stats_json(&container(), None, &nothing);
        assert_eq!(
            (&value["read"], &value["memory_stats"]),
            (&json!(NEVER), &json!({}))
        );
        assert_eq!(value.pointer("/cpu_stats/system_cpu_usage"), None);
        // Paused: what the host knows.
        let mut paused = taken(5, INTERVAL);
        paused.sample.guest = None;
        let value = stats_json(&container(), None, &paused);
        assert_eq!(value["memory_stats"], json!({ "limit": 64 << 20 }));
        assert_eq!(value["cpu_stats"]["cpu_usage"]["total_usage"], 5_000_000);
    }
}
