//! Containers that somebody wants by writing so into xenstore: `/hyper/requests/NAME` (`docs/xenstore.md`).
//!
//! Only dom0 may write there. Each request is answered in place, under `status`; removing it removes its container.

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::hypervisor::{Board, Change, GuestType};
use crate::published::ROOT;
use crate::spec::{CreateRequest, HostConfig, RestartPolicy};
use crate::{names, plan};
use images::Credentials;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Tells which request a container is of.
const LABEL: &str = "hyper.request";
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
        let mut labels = self.labels;
        labels.insert(LABEL.to_owned(), name.to_owned());
        Ok(CreateRequest {
            image: self.image,
            cmd: Some(self.cmd).filter(|cmd| !cmd.is_empty()),
            env: self.env,
            labels,
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

/// Serves requests until the daemon ends. `same_life`: xenstore is the one that the last daemon wrote to, so that a request
/// that is not there any more was taken away; after a start of the host none are there yet.
pub async fn serve(engine: Engine, board: Arc<dyn Board>, same_life: bool) {
    let folder = format!("{ROOT}/requests");
    let mut changed = match board.watch(&folder).await {
        Ok(changed) => changed,
        Err(error) => return tracing::error!(%error, "requests in xenstore are not served"),
    };
    // What was seen of each, so that it is done once.
    let mut seen = BTreeMap::<String, String>::new();
    let mut first = true;
    loop {
        match round(&engine, &board, &folder, &mut seen, !first || same_life).await {
            Ok(()) => first = false,
            Err(error) => tracing::error!(%error, "requests in xenstore cannot be read"),
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn round(
    engine: &Engine,
    board: &Arc<dyn Board>,
    folder: &str,
    seen: &mut BTreeMap<String, String>,
    may_remove: bool,
) -> Result<(), Error> {
    let names: BTreeSet<String> = board.list(folder).await?.into_iter().collect();
    let mut texts = BTreeMap::new();
    for name in &names {
        if let Some(text) = board.read(&format!("{folder}/{name}")).await?
            && !text.is_empty()
        {
            texts.insert(name.clone(), text);
        }
    }
    if may_remove {
        remove_unwanted(engine, &texts);
    }
    seen.retain(|name, _| texts.contains_key(name));
    for (name, text) in texts {
        if seen.get(&name) != Some(&text) {
            seen.insert(name.clone(), text.clone());
            tokio::spawn(fulfil(
                engine.clone(),
                Arc::clone(board),
                format!("{folder}/{name}"),
                name,
                text,
            ));
        }
    }
    Ok(())
}

/// Containers whose request is gone.
fn remove_unwanted(engine: &Engine, wanted: &BTreeMap<String, String>) {
    for container in engine.containers() {
        let request = container.config.labels.get(LABEL);
        if request.is_some_and(|name| !wanted.contains_key(name)) {
            let engine = engine.clone();
            tokio::spawn(async move {
                if let Err(error) = engine.remove(&container.id, true).await {
                    tracing::error!(container = %container.id, %error, "a container whose request is gone");
                }
            });
        }
    }
}

async fn fulfil(engine: Engine, board: Arc<dyn Board>, node: String, name: String, text: String) {
    let answer = |key: &str, value: String| Change::Write(format!("{node}/{key}"), value);
    let changes = match begin(&engine, &name, &text).await {
        Ok(id) => vec![answer("container", id), answer("status", "running".to_owned())],
        Err(error) => vec![answer("status", format!("error: {error}"))],
    };
    // One that was taken away meanwhile is not made again by answering it.
    match board.read(&node).await {
        Ok(Some(still)) if still == text => {
            if let Err(error) = board.commit(changes).await {
                tracing::error!(request = %name, %error, "a request in xenstore is not answered");
            }
        }
        _ => {}
    }
}

/// The container of a request, made and started; one that is there already is started if it does not run.
async fn begin(engine: &Engine, name: &str, text: &str) -> Result<String, Error> {
    let name = names::check(name)?;
    let request = parse(text)?.into_request(name)?;
    if let Ok(there) = engine.container(name) {
        if there.config.labels.get(LABEL).map(String::as_str) != Some(name) {
            return Err(Error::conflict(format!(
                "a container {name} is there already, which is of no request"
            )));
        }
        // A daemon that starts finds it as it left it: stopped by somebody or by itself, it stays so.
        return Ok(there.id);
    }
    let image = request.image.clone();
    let created = match engine.create(Some(name), request.clone()).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            engine.pull(&image, Credentials::default(), &|_| {}).await?;
            engine.create(Some(name), request).await?
        }
        created => created?,
    };
    if let Err(error) = engine.start(&created.id).await {
        // So that a request that is mended begins anew.
        let _ = engine.remove(&created.id, true).await;
        return Err(error);
    }
    Ok(created.id)
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
        assert_eq!(request.labels[LABEL], "web");
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

    proptest! {
        #[test]
        fn whatever_is_written_is_read_or_refused(text in "\\PC{0,200}") {
            if let Ok(wanted) = parse(&text) {
                let _ = wanted.into_request("name");
            }
        }
    }
}
