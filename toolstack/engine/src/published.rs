//! What of the containers stands in xenstore under `/hyper`, for people and automation (`docs/xenstore.md`).
//!
//! One task writes, in the order in which things came to be, and each change as one transaction: whoever watches sees
//! every state once and never half of one.

use crate::error::Error;
use crate::hypervisor::{Board, Change};
use crate::network::Endpoint;
use crate::state::Container;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

const ROOT: &str = "/hyper";
/// Of a value; xenstore takes 4096 bytes with the path.
const MAX_VALUE_BYTES: usize = 2048;

enum News {
    Stands(String, Vec<(&'static str, String)>),
    Gone(String),
    /// There are no others than these.
    Only(BTreeSet<String>),
    /// All that came before is written.
    Told(oneshot::Sender<()>),
}

/// Tells the task that writes.
pub struct Publisher {
    news: mpsc::UnboundedSender<News>,
}

impl Publisher {
    /// Goes on from what the last daemon wrote.
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

    /// All containers that there are: what else stands is of one that is gone.
    pub fn only(&self, ids: BTreeSet<String>) {
        self.send(News::Only(ids));
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

/// Keys and values of each container.
type Standing = BTreeMap<String, BTreeMap<String, String>>;

/// What the last daemon wrote.
async fn standing(board: &dyn Board) -> Result<Standing, Error> {
    let mut standing = Standing::new();
    for id in board.list(&format!("{ROOT}/containers")).await? {
        let mut values = BTreeMap::new();
        for key in board.list(&folder(&id)).await? {
            if let Some(value) = board.read(&format!("{}/{key}", folder(&id))).await? {
                values.insert(key, value);
            }
        }
        standing.insert(id, values);
    }
    Ok(standing)
}

async fn write(board: Arc<dyn Board>, mut news: mpsc::UnboundedReceiver<News>) {
    let mut known = match standing(board.as_ref()).await {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(%error, "how the containers stood is not in xenstore");
            Standing::new()
        }
    };
    let version = Change::Write(format!("{ROOT}/version"), env!("CARGO_PKG_VERSION").to_owned());
    commit(board.as_ref(), vec![version]).await;
    while let Some(news) = news.recv().await {
        match news {
            News::Stands(id, values) => {
                let before = known.remove(&id).unwrap_or_default();
                let changes = difference(&folder(&id), &before, &values);
                // After a failure all of it is written the next time.
                if changes.is_empty() || commit(board.as_ref(), changes).await {
                    let values = values.into_iter().map(|(key, value)| (key.to_owned(), value));
                    known.insert(id, values.collect());
                }
            }
            News::Gone(id) => {
                known.remove(&id);
                commit(board.as_ref(), vec![Change::Remove(folder(&id))]).await;
            }
            News::Only(ids) => {
                let strangers: Vec<String> = known.keys().filter(|id| !ids.contains(*id)).cloned().collect();
                for id in strangers {
                    known.remove(&id);
                    commit(board.as_ref(), vec![Change::Remove(folder(&id))]).await;
                }
            }
            News::Told(told) => {
                let _ = told.send(());
            }
        }
    }
}

async fn commit(board: &dyn Board, changes: Vec<Change>) -> bool {
    let committed = board.commit(changes).await;
    if let Err(error) = &committed {
        tracing::error!(%error, "xenstore does not say how a container stands");
    }
    committed.is_ok()
}

/// What leads from one state to the next: what is no more goes, what is new or other is written.
fn difference(
    folder: &str,
    before: &BTreeMap<String, String>,
    after: &[(&'static str, String)],
) -> Vec<Change> {
    let gone = before
        .keys()
        .filter(|key| !after.iter().any(|(other, _)| other == *key))
        .map(|key| Change::Remove(format!("{folder}/{key}")));
    let written = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value))
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
        // The next daemon goes on from there: who watches sees nothing but what changed meanwhile.
        drop(publisher);
        let publisher = Publisher::start(Arc::clone(&board) as Arc<dyn Board>);
        publisher.stands(&container(Status::Exited, true, true));
        publisher.only(BTreeSet::from(["abc".to_owned()]));
        publisher.told().await;
        assert_eq!(board.commits().len(), 5, "the version and nothing else");
        publisher.only(BTreeSet::new());
        publisher.told().await;
        assert_eq!(board.get("/hyper/containers/abc/state"), None);
        publisher.stands(&container(Status::Exited, true, true));
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
                before = now.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            }
        }
    }
}
