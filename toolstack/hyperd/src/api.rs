//! One request: which version, which handler, what it answers.

use crate::containers::{
    archive, attach, commit, create, exec, inspect, lifecycle, list, logs, prune, stats, top, update,
};
use crate::error::{Answer, ApiError};
use crate::query::Query;
use crate::router::{self, ContainerRoute, FloatingRoute, GroupRoute, ImageRoute, NetworkRoute, Route};
use crate::{events, extension, images, metrics, networks, request, system};
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use engine::Engine;
use hyper::body::Incoming;
use std::sync::Arc;

/// What handlers work with.
pub struct App {
    pub engine: Engine,
    /// Names this daemon, for ever.
    pub id: String,
}

/// What a handler is given of its request.
pub struct Call {
    pub app: Arc<App>,
    pub query: Query,
    /// Minor version of the API that the client speaks.
    pub api_minor: u32,
    pub request: Request<Incoming>,
}

impl Call {
    pub fn engine(&self) -> &Engine {
        &self.app.engine
    }
}

pub async fn handle(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match answer(app, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%method, path, status = error.status.as_u16(), message = error.message, "request failed");
            error.into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("api-version", "1.51"),
        ("docker-experimental", "false"),
        ("ostype", "linux"),
        (
            header::SERVER.as_str(),
            concat!("Hyper/", env!("CARGO_PKG_VERSION"), " (linux)"),
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Answer {
    let (api_minor, path) = router::split_version(request.uri().path())?;
    let route = router::route(request.method(), path);
    let query = Query::parse(request.uri())?;
    let call = Call {
        app,
        query,
        api_minor,
        request,
    };
    match route {
        Route::Ping => Ok(system::ping()),
        Route::Version => system::version(&call).await,
        Route::Info => system::info(&call).await,
        Route::Auth => images::login::login(call).await,
        Route::DiskUsage => system::disk_usage(&call),
        Route::Events => events::stream(&call),
        Route::Metrics => metrics::metrics(&call).await,
        Route::ContainerCreate => create::create(call).await,
        Route::ContainerList => list::list(&call),
        Route::ContainerPrune => prune::prune(&call).await,
        Route::Commit => commit::commit(call).await,
        Route::Container(to, id) => container(to, call, id).await,
        Route::ExecStart(id) => exec::start(call, id).await,
        Route::ExecResize(id) => exec::resize(&call, &id).await,
        Route::ExecInspect(id) => exec::inspect(&call, &id),
        Route::ImageCreate => match call.query.text("fromSrc").map(str::to_owned) {
            Some(source) => images::import::import(call, &source).await,
            None => images::pull::create(&call).await,
        },
        Route::ImageLoad => images::load::load(call).await,
        Route::ImageSave => {
            let names = call.query.texts("names");
            images::save::save(&call, names).await
        }
        Route::ImageList => images::list::list(&call),
        Route::ImagePrune => images::remove::prune(&call).await,
        Route::ImageSearch => images::search::search(&call).await,
        Route::ImageVerify => extension::verify_images(&call).await,
        Route::Image(to, name) => match to {
            ImageRoute::Inspect => images::inspect::inspect(&call, &name),
            ImageRoute::History => images::inspect::history(&call, &name),
            ImageRoute::Save => images::save::save(&call, vec![name]).await,
            ImageRoute::Tag => images::tag(&call, &name),
            ImageRoute::Push => images::push::push(&call, &name).await,
            ImageRoute::Remove => images::remove::remove(&call, name).await,
        },
        Route::NetworkList => networks::list(&call),
        Route::NetworkCreate => networks::create::create(call).await,
        Route::NetworkPrune => networks::prune(&call).await,
        Route::Network(to, name) => match to {
            NetworkRoute::Inspect => networks::inspect(&call, &name),
            NetworkRoute::Remove => networks::remove(&call, name).await,
            NetworkRoute::Connect => networks::connect(call, name).await,
            NetworkRoute::Disconnect => networks::disconnect(call, name).await,
        },
        Route::VolumeList => networks::volumes(),
        Route::VolumeInspect(name) => Err(ApiError::not_found(format!("get {name}: no such volume"))),
        Route::FloatingList => networks::floating::list(&call),
        Route::FloatingAllocate => networks::floating::allocate(call).await,
        Route::Floating(to, fip) => match to {
            FloatingRoute::Associate => networks::floating::associate(call, fip).await,
            FloatingRoute::Disassociate => networks::floating::disassociate(&call, fip).await,
            FloatingRoute::Name => networks::floating::name(call, fip).await,
            FloatingRoute::Release => networks::floating::release(&call, fip).await,
        },
        Route::GroupList => networks::groups::list(&call),
        Route::GroupCreate => networks::groups::create(call).await,
        Route::Group(to, name) => match to {
            GroupRoute::Inspect => networks::groups::inspect(&call, &name),
            GroupRoute::Remove => networks::groups::remove(&call, name).await,
            GroupRoute::Update => networks::groups::update(call, name).await,
        },
        Route::Regroup(id) => networks::groups::regroup(call, id).await,
        Route::Link(id) => networks::link(call, id).await,
        Route::Halt => extension::halt(&call).await,
        Route::Plan(id) => extension::plan(&call, &id).await,
        Route::Console(id) => extension::console(&call, &id).await,
        Route::Unsupported(what) => Err(ApiError::unsupported(what)),
        Route::Unknown => Err(ApiError::page_not_found()),
    }
}

async fn container(to: ContainerRoute, call: Call, id: String) -> Answer {
    match to {
        ContainerRoute::Inspect => inspect::inspect(&call, &id),
        ContainerRoute::Start => lifecycle::start(&call, id).await,
        ContainerRoute::Stop => lifecycle::stop(&call, id).await,
        ContainerRoute::Restart => lifecycle::restart(&call, id).await,
        ContainerRoute::Kill => lifecycle::kill(&call, id).await,
        ContainerRoute::Pause => lifecycle::pause(&call, id).await,
        ContainerRoute::Unpause => lifecycle::unpause(&call, id).await,
        ContainerRoute::Rename => lifecycle::rename(&call, id).await,
        ContainerRoute::Remove => lifecycle::remove(&call, id).await,
        ContainerRoute::Wait => lifecycle::wait(&call, &id),
        ContainerRoute::Attach => attach::attach(call, id).await,
        ContainerRoute::Resize => attach::resize(&call, &id).await,
        ContainerRoute::Logs => logs::logs(&call, &id).await,
        ContainerRoute::Top => top::top(&call, &id).await,
        ContainerRoute::Stats => stats::stats(&call, &id).await,
        ContainerRoute::Update => update::update(call, id).await,
        ContainerRoute::ExecCreate => exec::create(call, id).await,
        ContainerRoute::PathStat => archive::head(&call, &id).await,
        ContainerRoute::Archive => archive::get(&call, &id).await,
        ContainerRoute::Extract => archive::put(call, &id).await,
        ContainerRoute::Changes => archive::changes(&call, &id).await,
        ContainerRoute::Export => archive::export(&call, &id).await,
    }
}

/// Done, and nothing to say about it.
pub fn no_content() -> Answer {
    Ok(request::empty(StatusCode::NO_CONTENT))
}
