//! What of the containers stands in xenstore under `/hyper`, for people and automation (`docs/xenstore.md`).
//!
//! One task writes, in the order in which things came to be, and each change as one transaction: whoever watches sees
//! every state once and never half of one.

use crate::hypervisor::{Board, Change};
use crate::network::Endpoint;
use crate::state::Container;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

pub const ROOT: &str = "/hyper";
/// Of a value; xenstore takes 4096 bytes with the path.
const MAX_VALUE_BYTES: usize = 2048;

enum News {
    Stands(String, Vec<(&'static str, String)>),
    Gone(String),
    /// All that came before is written.
    Told(oneshot::Sender<()>),
}

/// Tells the task that writes.
pub struct Publisher {
    news: mpsc::UnboundedSender<News>,
}

impl Publisher {
    /// Begins with nothing but the version.
    pub fn start(board: Arc<dyn Board>) -> Self {
        let (news, receiver) = mpsc::unbounded_channel();
        tokio::spawn(write(board, receiver));
        Self { news }
    }

    fn send(&self, news: News) {
        // The task lives as long as this.
        let _ = self.news.send(news);
    }

    /// A container stands so.
    pub fn stands(&self, container: &Container) {
        self.send(News::Stands(container.id.clone(), values(container)));
    }

    pub fn gone(&self, id: &str) {
        self.send(News::Gone(id.to_owned()));
    }

    /// Waits until all that was told is written.
    pub async fn told(&self) {
        let (told, all) = oneshot::channel();
        self.send(News::Told(told));
        let _ = all.await;
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Keys and values of one container, in the order in which they are written: `state` comes last.
fn values(container: &Container) -> Vec<(&'static str, String)> {
    let state = &container.state;
    let up = state.status.is_up();
    let mut values = vec![
        ("name", container.name.clone()),
        ("image", container.config.image.clone()),
    ];
    if let Some(domid) = state.domid.filter(|_| up) {
        values.push(("domid", domid.to_string()));
        values.push(("pid", state.pid.to_string()));
    }
    if let Some(address) = state.endpoints.first().and_then(Endpoint::v4) {
        values.push(("ip", address.addr().to_string()));
    }
    if let Some(at) = state.started_at {
        values.push(("started-at", moment(at)));
    }
    if let Some(at) = state.finished_at.filter(|_| !up) {
        values.push(("finished-at", moment(at)));
        values.push(("exit-code", state.exit_code.to_string()));
    }
    values.push(("state", state.status.to_string()));
    for (_, value) in &mut values {
        let mut end = value.len().min(MAX_VALUE_BYTES);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        value.truncate(end);
    }
    values
}

fn folder(id: &str) -> String {
    format!("{ROOT}/containers/{id}")
}

async fn write(board: Arc<dyn Board>, mut news: mpsc::UnboundedReceiver<News>) {
    let first = vec![
        Change::Remove(format!("{ROOT}/containers")),
        Change::Write(format!("{ROOT}/version"), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if let Err(error) = board.commit(first).await {
        tracing::error!(%error, "xenstore does not say how the containers stand");
    }
    let mut known = BTreeMap::<String, BTreeMap<&'static str, String>>::new();
    while let Some(news) = news.recv().await {
        let (id, changes, after) = match news {
            News::Stands(id, values) => {
                let before = known.get(&id).cloned().unwrap_or_default();
                let changes = difference(&folder(&id), &before, &values);
                (id, changes, Some(values.into_iter().collect()))
            }
            News::Gone(id) => {
                let changes = vec![Change::Remove(folder(&id))];
                (id, changes, None)
            }
            News::Told(told) => {
                let _ = told.send(());
                continue;
            }
        };
        let written = match changes.is_empty() {
            true => Ok(()),
            false => board.commit(changes).await,
        };
        match (written, after) {
            (Ok(()), Some(after)) => drop(known.insert(id, after)),
            (Ok(()), None) => drop(known.remove(&id)),
            (Err(error), _) => {
                tracing::error!(container = %id, %error, "xenstore does not say how a container stands");
                // All of it the next time.
                known.remove(&id);
            }
        }
    }
}

/// What leads from one state to the next: what is no more goes, what is new or other is written.
fn difference(
    folder: &str,
    before: &BTreeMap<&'static str, String>,
    after: &[(&'static str, String)],
) -> Vec<Change> {
    let gone = before
        .keys()
        .filter(|key| !after.iter().any(|(other, _)| other == *key))
        .map(|key| Change::Remove(format!("{folder}/{key}")));
    let written = after
        .iter()
        .filter(|(key, value)| before.get(key) != Some(value))
        .map(|(key, value)| Change::Write(format!("{folder}/{key}"), value.clone()));
    gone.chain(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::fake::MemoryBoard;
    use crate::spec::Config;
    use crate::state::{State, Status};
    use proptest::prelude::*;

    fn container(status: Status, started: bool, finished: bool) -> Container {
        let at = |set: bool| set.then(|| DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default());
        Container {
            id: "abc".to_owned(),
            name: "web".to_owned(),
            created_at: DateTime::default(),
            image_id: String::new(),
            config: Config {
                image: "nginx".to_owned(),
                ..Config::default()
            },
            state: State {
                status,
                domid: Some(7),
                pid: 30,
                exit_code: 3,
                started_at: at(started),
                finished_at: at(finished),
                ..State::default()
            },
        }
    }

    #[tokio::test]
    async fn states_follow_one_another_whole() {
        let board = Arc::new(MemoryBoard::default());
        let publisher = Publisher::start(Arc::clone(&board) as Arc<dyn Board>);
        publisher.stands(&container(Status::Created, false, false));
        publisher.stands(&container(Status::Running, true, false));
        // A fact that is not shown is no change.
        publisher.stands(&container(Status::Running, true, true));
        publisher.stands(&container(Status::Exited, true, true));
        publisher.told().await;
        let commits = board.commits();
        // The first is the version.
        assert_eq!(commits.len(), 4, "{commits:?}");
        let last = |commit: &Vec<Change>| commit.last().cloned();
        let state = |value: &str| {
            Some(Change::Write(
                "/hyper/containers/abc/state".to_owned(),
                value.to_owned(),
            ))
        };
        assert_eq!(last(&commits[1]), state("created"));
        assert_eq!(last(&commits[2]), state("running"));
        assert_eq!(last(&commits[3]), state("exited"));
        assert!(commits[3].contains(&Change::Remove("/hyper/containers/abc/domid".to_owned())));
        assert_eq!(board.get("/hyper/containers/abc/exit-code").as_deref(), Some("3"));
        publisher.gone("abc");
        publisher.told().await;
        assert_eq!(board.get("/hyper/containers/abc/state"), None);
    }

    proptest! {
        #[test]
        fn what_stands_is_what_was_told_last(
            steps in prop::collection::vec((0..4_usize, any::<bool>(), any::<bool>()), 1..20),
        ) {
            let all = [Status::Created, Status::Running, Status::Paused, Status::Exited];
            let mut stands = BTreeMap::new();
            let mut before = BTreeMap::new();
            for (status, started, finished) in steps {
                let now = values(&container(all[status], started, finished));
                for change in difference("", &before, &now) {
                    match change {
                        Change::Write(path, value) => drop(stands.insert(path, value)),
                        Change::Remove(path) => prop_assert!(stands.remove(&path).is_some()),
                    }
                }
                let wanted: BTreeMap<String, String> =
                    now.iter().map(|(key, value)| (format!("/{key}"), value.clone())).collect();
                prop_assert_eq!(&stands, &wanted);
                before = now.into_iter().collect();
            }
        }
    }
}
