//! The daemon's life: locks, engine, socket, connections, end.

use crate::api::{self, App};
use crate::config::Config;
use crate::metrics::Served;
use crate::reload::{Reader, reload};
use crate::{listener, service, system};
use anyhow::Context;
use engine::Engine;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the end waits for the engine to let go.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is being asked when the daemon ends is answered, unless it is a stream, which has no end.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Out of file descriptors, the next attempt would fail at once, too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub async fn run(config: Config, read: Reader) -> anyhow::Result<()> {
    // Before anything else opens a descriptor: those of systemd have their numbers.
    let inherited = listener::inherited()?;
    // From the first moment on: a signal during a long start ends it, too.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;

    let folder = config.socket.parent().unwrap_or(Path::new("/"));
    listener::make_folder(folder, 0o755)?;
    listener::make_folder(&config.state_dir, 0o710)?;
    // One for the socket, one for the state: two daemons may share neither.
    let _socket_lock = listener::lock(&listener::lock_path(&config.socket))?;
    let _state_lock = listener::lock(&config.state_dir.join("hyperd.lock"))?;
    let metrics = match config.metrics_addr {
        Some(address) => Some(Served::bind(address).await?),
        None => None,
    };

    let engine = tokio::select! {
        engine = Engine::open(config.engine()) => engine.context("cannot start")?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let app = Arc::new(App {
        id: system::daemon_id(&config.state_dir)?,
        engine,
    });
    let group = std::fs::read_to_string("/etc/group")
        .ok()
        .and_then(|groups| listener::group_id(&config.group, &groups));
    let activated = inherited.is_some();
    let socket = match inherited {
        Some(socket) => listener::adopt(socket, group)?,
        None => listener::listen(&config.socket, group)?,
    };
    let socket = UnixListener::from_std(socket).context("cannot listen")?;
    service::ready();
    service::watchdog(&app);
    tracing::info!(socket = %config.socket.display(), version = env!("CARGO_PKG_VERSION"), "hyperd is ready");

    let connections = Connections::default();
    let reloads = async {
        while hangup.recv().await.is_some() {
            service::reloading();
            reload(&app, &config, &read);
            service::ready();
        }
    };
    let metrics = async {
        match metrics {
            Some(metrics) => metrics.run(Arc::clone(&app)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = metrics => {}
        () = accept(socket, &app, &connections) => {}
        () = reloads => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    service::stopping();
    // One that systemd gave stays: who connects meanwhile is served by the next daemon.
    if !activated {
        let _ = std::fs::remove_file(&config.socket);
    }
    connections.end().await;
    if tokio::time::timeout(CLOSE_TIMEOUT, app.engine.close())
        .await
        .is_err()
    {
        tracing::warn!("the engine did not let go in time");
    }
    tracing::info!("hyperd ends; guests run on");
    Ok(())
}

/// Connections, which are let finish what they are at.
#[derive(Clone, Default)]
struct Connections {
    tracker: TaskTracker,
    ending: CancellationToken,
}

impl Connections {
    /// No more requests on them; those that are answered soon still are.
    async fn end(&self) {
        self.ending.cancel();
        self.tracker.close();
        let _ = tokio::time::timeout(LAST_ANSWERS, self.tracker.wait()).await;
    }
}

async fn accept(socket: UnixListener, app: &Arc<App>, connections: &Connections) {
    let ended = Arc::new(Notify::new());
    loop {
        match socket.accept().await {
            Ok((connection, _)) => {
                let (app, ended) = (Arc::clone(app), Arc::clone(&ended));
                let ending = connections.ending.clone();
                connections.tracker.spawn(async move {
                    serve(connection, app, ending).await;
                    ended.notify_one();
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // A connection that ends gives its descriptor back; so may others.
                let _ = tokio::time::timeout(ACCEPT_PAUSE, ended.notified()).await;
            }
        }
    }
}

async fn serve(connection: UnixStream, app: Arc<App>, ending: CancellationToken) {
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(api::handle(app, request).await) }
    });
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // Clients leave streams like this all the time.
        tracing::debug!(%error, "a connection ended");
    }
}
