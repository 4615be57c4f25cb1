//! Containers that somebody wants by writing so into xenstore: `/hyper/requests/NAME` (`docs/xenstore.md`).
//!
//! Only dom0 may write there. Each request is answered in place, under `status`; removing it removes its container.

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::{Board, Change, GuestType};
use crate::spec::{CreateRequest, HostConfig, RestartPolicy};
use crate::state::Container;
use crate::{names, plan};
use images::Credentials;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// `NAME` and its text.
const REQUESTS: &str = "/hyper/requests";
/// Names of those that were served since the host was started.
const SERVED: &str = "/hyper/served";
/// Longer ones are refused: xenstore takes no more anyway.
const MAX_BYTES: usize = 4096;

/// What may be asked for.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Wanted {
    image: String,
    cmd: Vec<String>,
    env: Vec<String>,
    labels: BTreeMap<String, String>,
    memory_mib: u64,
    /// Processors, as `--cpus`.
    cpus: f64,
    guest_type: Option<GuestType>,
    /// `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:3`.
    restart: String,
}

fn parse(text: &str) -> Result<Wanted, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::invalid(format!(
            "the request is longer than {MAX_BYTES} bytes"
        )));
    }
    let wanted: Wanted = serde_json::from_str(text)
        .map_err(|error| Error::from_source(ErrorKind::Invalid, "the request is not understood", &error))?;
    if wanted.image.is_empty() {
        return Err(Error::invalid("the request names no image"));
    }
    if wanted.memory_mib != 0 && !(plan::MIN_MEMORY_MIB..=1 << 24).contains(&wanted.memory_mib) {
        return Err(Error::invalid(format!(
            "memory-mib is {}: it is at least {}",
            wanted.memory_mib,
            plan::MIN_MEMORY_MIB
        )));
    }
    if !(0.0..=4096.0).contains(&wanted.cpus) {
        return Err(Error::invalid("cpus makes no sense"));
    }
    Ok(wanted)
}

fn policy(text: &str) -> Result<RestartPolicy, Error> {
    let (name, count) = match text.split_once(':') {
        Some((name @ "on-failure", count)) => (name, count.parse().ok()),
        Some(_) => (text, None),
        None => (text, Some(0)),
    };
    match (name, count) {
        ("" | "no" | "always" | "unless-stopped" | "on-failure", Some(maximum_retry_count)) => {
            Ok(RestartPolicy {
                name: name.to_owned(),
                maximum_retry_count,
            })
        }
        _ => Err(Error::invalid(format!("restart policy {text:?} is unknown"))),
    }
}

impl Wanted {
    fn into_request(self, name: &str) -> Result<CreateRequest, Error> {
        Ok(CreateRequest {
            image: self.image,
            cmd: Some(self.cmd).filter(|cmd| !cmd.is_empty()),
            env: self.env,
            labels: self.labels,
            request: Some(name.to_owned()),
            host: HostConfig {
                guest_type: self.guest_type,
                memory_bytes: self.memory_mib << 20,
                nano_cpus: (self.cpus * 1e9) as u64,
                restart_policy: policy(&self.restart)?,
                network_mode: "default".to_owned(),
                ..HostConfig::default()
            },
            ..CreateRequest::default()
        })
    }
}

/// Answers requests, one after the other for each name.
struct Desk {
    engine: Engine,
    board: Arc<dyn Board>,
    turns: Mutex<BTreeMap<String, Arc<Turn>>>,
}

type Turn = tokio::sync::Mutex<()>;

/// Serves requests until the daemon ends.
pub async fn serve(engine: Engine, board: Arc<dyn Board>) {
    let mut changed = match board.watch(REQUESTS).await {
        Ok(changed) => changed,
        Err(error) => return tracing::error!(%error, "requests in xenstore are not served"),
    };
    // What was seen of each, so that it is done once. One that an earlier daemon served, in this life of xenstore, and that is
    // not there any more was taken away; after a start of the host there are none, of neither kind.
    let mut seen: BTreeMap<String, Option<String>> = match board.list(SERVED).await {
        Ok(served) => served.into_iter().map(|name| (name, None)).collect(),
        Err(error) => return tracing::error!(%error, "requests in xenstore are not served"),
    };
    let desk = Arc::new(Desk {
        engine,
        board,
        turns: Mutex::default(),
    });
    loop {
        match desk.requests().await {
            Ok(requests) => {
                for name in changes(&mut seen, requests) {
                    tokio::spawn(Arc::clone(&desk).settle(name));
                }
            }
            Err(error) => tracing::error!(%error, "requests in xenstore cannot be read"),
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Names whose request is not as it was seen last, or gone.
fn changes(seen: &mut BTreeMap<String, Option<String>>, requests: BTreeMap<String, String>) -> Vec<String> {
    let gone = seen.keys().filter(|name| !requests.contains_key(*name));
    let other = requests
        .iter()
        .filter(|(name, text)| seen.get(*name).and_then(Option::as_ref) != Some(text))
        .map(|(name, _)| name);
    let changed = gone.chain(other).cloned().collect();
    *seen = requests
        .into_iter()
        .map(|(name, text)| (name, Some(text)))
        .collect();
    changed
}

impl Desk {
    async fn requests(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut requests = BTreeMap::new();
        for name in self.board.list(REQUESTS).await? {
            if let Some(text) = self.request(&name).await? {
                requests.insert(name, text);
            }
        }
        Ok(requests)
    }

    async fn request(&self, name: &str) -> Result<Option<String>, Error> {
        let text = self.board.read(&format!("{REQUESTS}/{name}")).await?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Makes what there is of a request what the request says now.
    async fn settle(self: Arc<Self>, name: String) {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(name.clone()).or_default())
        };
        let taken = turn.lock().await;
        let settled = match self.request(&name).await {
            Ok(Some(text)) => self.fulfil(&name, &text).await,
            Ok(None) => self.take_away(&name).await,
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            tracing::error!(request = %name, %error, "a request in xenstore");
        }
        drop(taken);
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else waits for a turn: this one and the table's are all.
        if Arc::strong_count(&turn) == 2 {
            turns.remove(&name);
        }
    }

    async fn fulfil(&self, name: &str, text: &str) -> Result<(), Error> {
        let node = format!("{REQUESTS}/{name}");
        let answer = |key: &str, value: String| Change::Write(format!("{node}/{key}"), value);
        let answers = match self.begin(name, text).await {
            Ok(container) => vec![
                answer("container", container.id),
                answer("status", container.state.status.to_string()),
            ],
            Err(error) => vec![answer("status", format!("error: {error}"))],
        };
        // One that was taken away meanwhile is not made again by answering it.
        match self.request(name).await?.as_deref() {
            Some(still) if still == text => self.board.commit(answers).await,
            _ => Ok(()),
        }
    }

    /// The container of a request.
    fn container(&self, name: &str) -> Option<Container> {
        let mut all = self.engine.containers().into_iter();
        all.find(|container| container.config.request.as_deref() == Some(name))
    }

    /// The container of a request, made and started. A daemon that starts finds it as it left it: stopped by somebody or by
    /// itself, it stays so.
    async fn begin(&self, name: &str, text: &str) -> Result<Container, Error> {
        let name = names::check(name)?;
        let request = parse(text)?.into_request(name)?;
        let engine = &self.engine;
        let id = match self.container(name) {
            Some(there) if there.state.started_at.is_some() => return Ok(there),
            // The last daemon came no further.
            Some(there) => there.id,
            None => {
                // First, so that the next daemon knows of it, should it be gone by then.
                let served = Change::Write(format!("{SERVED}/{name}"), String::new());
                self.board.commit(vec![served]).await?;
                let image = request.image.clone();
                let created = match engine.create(Some(name), request.clone()).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        engine.pull(&image, Credentials::default(), &|_| {}).await?;
                        engine.create(Some(name), request).await?
                    }
                    created => created?,
                };
                created.id
            }
        };
        if let Err(error) = engine.start(&id).await {
            // So that a request that is mended begins anew.
            let _ = engine.remove(&id, true).await;
            return Err(error);
        }
        engine.container(&id)
    }

    /// The request is gone: so is its container.
    async fn take_away(&self, name: &str) -> Result<(), Error> {
        if let Some(container) = self.container(name) {
            match self.engine.remove(&container.id, true).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let served = Change::Remove(format!("{SERVED}/{name}"));
        self.board.commit(vec![served]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_read_or_refused_with_a_reason() {
        let wanted =
            parse(r#"{"image":"busybox","cmd":["sleep","9"],"memory-mib":64,"restart":"on-failure:3"}"#);
        let request = wanted.unwrap().into_request("web").unwrap();
        assert_eq!(request.request.as_deref(), Some("web"));
        assert_eq!(request.host.memory_bytes, 64 << 20);
        assert_eq!(request.host.restart_policy.maximum_retry_count, 3);
        for (bad, why) in [
            ("", "not understood"),
            ("{}", "names no image"),
            (r#"{"image":"x","volumes":[]}"#, "unknown field `volumes`"),
            (r#"{"image":"x","memory-mib":1}"#, "at least 32"),
            (r#"{"image":"x","cpus":-1}"#, "cpus"),
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
        for bad in ["sometimes", "always:3", "on-failure:x"] {
            assert!(policy(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_changed_is_settled_once() {
        let requests = |list: &[(&str, &str)]| {
            let pairs = list.iter();
            pairs
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        // After a start of the host nothing was served: that nothing is asked for yet means nothing.
        let mut seen = BTreeMap::new();
        assert_eq!(changes(&mut seen, requests(&[])), Vec::<String>::new());
        assert_eq!(changes(&mut seen, requests(&[("a", "1")])), ["a"]);
        assert_eq!(changes(&mut seen, requests(&[("a", "1"), ("b", "1")])), ["b"]);
        assert_eq!(changes(&mut seen, requests(&[("a", "2"), ("b", "1")])), ["a"]);
        assert_eq!(changes(&mut seen, requests(&[("b", "1")])), ["a"]);
        assert_eq!(changes(&mut seen, requests(&[("b", "1")])), Vec::<String>::new());
        // Another daemon looks at each that it knows of.
        let mut seen = BTreeMap::from([("b".to_owned(), None), ("c".to_owned(), None)]);
        assert_eq!(changes(&mut seen, requests(&[("b", "1")])), ["c", "b"]);
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_or_refused(text in "\\PC{0,200}") {
            if let Ok(wanted) = parse(&text) {
                let _ = wanted.into_request("name");
            }
        }
    }
}
