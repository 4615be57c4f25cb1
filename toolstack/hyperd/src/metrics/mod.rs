//! `/metrics`: what the containers use and how many there are, in Prometheus's text format. Containers' numbers have
//! cAdvisor's names and the daemon's have dockerd's, so that dashboards made for those work.

mod families;

use crate::api::{App, Call};
use crate::error::{Answer, ApiError};
use crate::request;
use crate::system::VERSION;
use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use engine::{Container, Engine, HostSummary, NicUsage, Sample};
use families::{Family, OF_CONTAINERS, OF_DAEMON, OF_NICS, Value, gauge};
use futures_util::{StreamExt, stream};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Guests that are asked at the same time; one that hangs keeps its place for seconds.
const MAX_ASKED: usize = 128;

type Labels = Vec<(&'static str, String)>;

/// A container that runs, and what it uses.
#[derive(Debug)]
struct Measured {
    container: Container,
    sample: Sample,
    labels: Labels,
    /// By the number of the interface.
    nic_labels: BTreeMap<u32, Labels>,
}

impl Measured {
    fn new(container: Container, sample: Sample) -> Self {
        let labels = vec![
            ("id", container.id.clone()),
            ("name", container.name.clone()),
            ("image", container.config.image.clone()),
        ];
        let of_nic = |index: &u32| {
            let interface = [("interface", format!("eth{index}"))];
            (*index, labels.iter().cloned().chain(interface).collect())
        };
        let nics = sample.host.iter().flat_map(|host| host.nics.keys());
        Self {
            nic_labels: nics.map(of_nic).collect(),
            container,
            sample,
            labels,
        }
    }

    /// Of each of its interfaces.
    fn nics(&self) -> impl Iterator<Item = (&Labels, &NicUsage)> {
        let nics = self.sample.host.iter().flat_map(|host| &host.nics);
        nics.filter_map(|(index, nic)| Some((self.nic_labels.get(index)?, nic)))
    }
}

/// Of one moment.
#[derive(Debug)]
struct Snapshot {
    summary: HostSummary,
    containers: Vec<Measured>,
}

impl<T> Family<T> {
    fn encode<'a>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        members: impl Iterator<Item = (&'a Labels, &'a T)>,
    ) -> fmt::Result
    where
        T: 'a,
    {
        let mut encoder = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        for (labels, member) in members {
            if let Some(value) = (self.value)(member) {
                value.encode(self.kind, &mut encoder, labels)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(self, kind: MetricType, encoder: &mut MetricEncoder<'_>, labels: &Labels) -> fmt::Result {
        let mut encoder = encoder.encode_family(labels)?;
        match (kind, self) {
            (MetricType::Counter, Self::Whole(value)) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
            }
            (MetricType::Counter, Self::Seconds(value)) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
            }
            (_, Self::Whole(value)) => encoder.encode_gauge(&value),
            (_, Self::Seconds(value)) => encoder.encode_gauge(&value),
        }
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let none = Labels::new();
        for family in OF_DAEMON {
            family.encode(&mut encoder, std::iter::once((&none, &self.summary)))?;
        }
        let states = [
            ("running", self.summary.running),
            ("paused", self.summary.paused),
            ("stopped", self.summary.stopped),
        ]
        .map(|(state, count)| (vec![("state", state.to_owned())], count));
        gauge(
            "engine_daemon_container_states_containers",
            "Containers by state",
            |count: &usize| u64::try_from(*count).ok().map(Value::Whole),
        )
        .encode(&mut encoder, states.iter().map(|(labels, count)| (labels, count)))?;
        let info = vec![
            ("version", VERSION.to_owned()),
            ("xen", self.summary.host.xen_full_version.clone()),
        ];
        gauge("engine_daemon_engine_info", "The daemon", |_: &()| {
            Some(Value::Whole(1))
        })
        .encode(&mut encoder, std::iter::once((&info, &())))?;
        for family in OF_CONTAINERS {
            family.encode(&mut encoder, self.containers.iter().map(|of| (&of.labels, of)))?;
        }
        for family in OF_NICS {
            family.encode(&mut encoder, self.containers.iter().flat_map(Measured::nics))?;
        }
        Ok(())
    }
}

async fn snapshot(engine: &Engine) -> Result<Snapshot, engine::Error> {
    let up = engine
        .containers()
        .into_iter()
        .filter(|container| container.state.status.is_up());
    let containers = stream::iter(up)
        .map(|container| async {
            // One that was removed meanwhile has no more to tell.
            let sample = engine.sample(&container.id).await.ok()?;
            sample.host.is_some().then(|| Measured::new(container, sample))
        })
        .buffered(MAX_ASKED)
        .filter_map(std::future::ready)
        .collect();
    Ok(Snapshot {
        containers: containers.await,
        summary: engine.summary().await?,
    })
}

fn text(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

async fn answer(engine: &Engine) -> Answer {
    let text = text(snapshot(engine).await?)
        .map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot write the metrics"))?;
    Ok(request::of(
        StatusCode::OK,
        prometheus_text::CONTENT_TYPE,
        Body::from(text),
    ))
}

pub async fn metrics(call: &Call) -> Answer {
    answer(call.engine()).await
}

/// To be had by TCP, and nothing else with them.
pub struct Served(TcpListener);

impl Served {
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        Ok(Self(
            listener.with_context(|| format!("cannot serve metrics at {address}"))?,
        ))
    }

    /// Never ends.
    pub async fn run(self, app: Arc<App>) {
        async fn get_metrics(State(app): State<Arc<App>>) -> Response<Body> {
            answer(&app.engine).await.unwrap_or_else(ApiError::into_response)
        }
        let router = Router::new().route("/metrics", get(get_metrics)).with_state(app);
        if let Err(error) = axum::serve(self.0, router).await {
            tracing::error!(%error, "metrics are served no longer");
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use engine::{Config, ContainerUsage, GuestUsage, HostInfo, MemoryInfo};
    use std::time::Duration;

    fn measured() -> Measured {
        let at = DateTime::from_timestamp(1_700_000_000, 500_000_000).unwrap();
        let nic = |received_bytes| NicUsage {
            received_bytes,
            ..NicUsage::default()
        };
        Measured::new(
            Container {
                id: "ab".repeat(32),
                name: "web".to_owned(),
                created_at: at,
                image_id: String::new(),
                config: Config {
                    image: "odd\"name".to_owned(),
                    ..Config::default()
                },
                state: engine::State {
                    started_at: Some(at),
                    ..engine::State::default()
                },
            },
            Sample {
                at,
                host: Some(GuestUsage {
                    cpu: Duration::from_millis(1500),
                    nics: BTreeMap::from([(0, nic(5)), (3, nic(1 << 60))]),
                    ..GuestUsage::default()
                }),
                guest: Some(ContainerUsage {
                    memory_bytes: u64::MAX,
                    processes: 3,
                    ..ContainerUsage::default()
                }),
                memory_limit_bytes: 64 << 20,
                host_cpus: 2,
            },
        )
    }

    fn lines(containers: Vec<Measured>) -> Vec<String> {
        let summary = HostSummary {
            host: HostInfo {
                xen_version: "4.20".to_owned(),
                xen_full_version: "4.20.0".to_owned(),
                cpus: 2,
                guest_types: Vec::new(),
            },
            memory: MemoryInfo::default(),
            running: containers.len(),
            paused: 0,
            stopped: 7,
            images: 1,
            state_dir: "/".into(),
        };
        let text = text(Snapshot { summary, containers }).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn numbers_of_containers_their_interfaces_and_the_daemon() {
        let lines = lines(vec![measured()]);
        let of = format!(r#"id="{}",name="web",image="odd\"name""#, "ab".repeat(32));
        for line in [
            format!("container_cpu_usage_seconds_total{{{of}}} 1.5"),
            format!("container_start_time_seconds{{{of}}} 1700000000.5"),
            // A guest may boast.
            format!("container_memory_usage_bytes{{{of}}} {}", 64 << 20),
            format!("container_processes{{{of}}} 3"),
            format!(r#"container_network_receive_bytes_total{{{of},interface="eth0"}} 5"#),
            format!(r#"container_network_receive_bytes_total{{{of},interface="eth3"}} 1152921504606846976"#),
            "# TYPE container_network_receive_bytes_total counter".to_owned(),
            r#"engine_daemon_container_states_containers{state="running"} 1"#.to_owned(),
            r#"engine_daemon_container_states_containers{state="stopped"} 7"#.to_owned(),
            "engine_daemon_engine_cpus_cpus 2".to_owned(),
        ] {
            assert!(lines.contains(&line), "{line} is not in {lines:#?}");
        }
    }

    #[test]
    fn a_guest_that_tells_nothing_has_the_hosts_numbers() {
        let mut paused = measured();
        paused.sample.guest = None;
        let lines = lines(vec![paused]);
        let has = |name: &str| lines.iter().any(|line| line.starts_with(name));
        assert!(has("container_cpu_usage_seconds_total{"));
        assert!(!has("container_memory_usage_bytes{") && !has("container_cpu_user_seconds_total{"));
    }
}
