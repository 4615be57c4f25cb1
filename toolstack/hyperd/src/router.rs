//! From method and path to what is meant. By hand, since names of images contain slashes.

use crate::error::ApiError;
use axum::http::Method;

/// The newest version of the API that is spoken, 1.51.
pub const API_MINOR: u32 = 51;
pub const MIN_API_MINOR: u32 = 24;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Ping,
    Version,
    Info,
    Events,
    Metrics,
    Auth,
    DiskUsage,
    ContainerCreate,
    ContainerList,
    ContainerPrune,
    Commit,
    Container(ContainerRoute, String),
    ExecStart(String),
    ExecResize(String),
    ExecInspect(String),
    ImageCreate,
    ImageList,
    ImageLoad,
    ImagePrune,
    ImageSave,
    ImageSearch,
    ImageVerify,
    Halt,
    Image(ImageRoute, String),
    NetworkList,
    NetworkCreate,
    NetworkPrune,
    Network(NetworkRoute, String),
    VolumeList,
    VolumeInspect(String),
    FloatingList,
    FloatingAllocate,
    Floating(FloatingRoute, String),
    GroupList,
    GroupCreate,
    Group(GroupRoute, String),
    Link(String),
    Regroup(String),
    Plan(String),
    Console(String),
    /// Docker has it; what it is called.
    Unsupported(&'static str),
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerRoute {
    Inspect,
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
    Rename,
    Wait,
    Remove,
    Attach,
    Resize,
    Logs,
    Top,
    Stats,
    Update,
    ExecCreate,
    PathStat,
    Archive,
    Extract,
    Changes,
    Export,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageRoute {
    Inspect,
    History,
    Save,
    Tag,
    Push,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkRoute {
    Inspect,
    Remove,
    Connect,
    Disconnect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatingRoute {
    Associate,
    Disassociate,
    Name,
    Release,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupRoute {
    Inspect,
    Remove,
    Update,
}

/// The minor version a path asks for, and the rest of it.
pub fn split_version(path: &str) -> Result<(u32, &str), ApiError> {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let (version, _) = rest.split_once('/')?;
        let looks =
            version.contains('.') && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        looks.then(|| (version, &rest[version.len()..]))
    });
    let Some((version, rest)) = versioned else {
        return Ok((API_MINOR, path));
    };
    let number = version
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)))
        .ok_or_else(|| ApiError::invalid(format!("{version} is not a version of the API")))?;
    if number > (1, API_MINOR) {
        return Err(ApiError::invalid(format!(
            "client version {version} is too new. Maximum supported API version is 1.{API_MINOR}"
        )));
    }
    if number < (1, MIN_API_MINOR) {
        return Err(ApiError::invalid(format!(
            "client version {version} is too old. Minimum supported API version is 1.{MIN_API_MINOR}, \
             please upgrade your client to a newer version"
        )));
    }
    Ok((number.1, rest))
}

/// `path` without its version.
pub fn route(method: &Method, path: &str) -> Route {
    let Some(segments) = path
        .trim_start_matches('/')
        .trim_end_matches('/')
        .split('/')
        .map(decode)
        .collect::<Option<Vec<String>>>()
    else {
        return Route::Unknown;
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["containers", rest @ ..] => container(method, rest),
        ["exec", rest @ ..] => exec(method, rest),
        ["images", rest @ ..] => image(method, rest),
        ["networks", rest @ ..] => network(method, rest),
        ["hyper", "v1", "fips", rest @ ..] => floating(method, rest),
        ["hyper", "v1", "sgs", rest @ ..] => group(method, rest),
        ["hyper", "v1", "images", "verify"] if method == Method::POST => Route::ImageVerify,
        ["hyper", "v1", "halt"] if method == Method::POST => Route::Halt,
        ["hyper", "v1", "containers", id, "sgs"] if method == Method::POST => {
            Route::Regroup((*id).to_owned())
        }
        ["hyper", "v1", "containers", id, "links"] if method == Method::POST => Route::Link((*id).to_owned()),
        ["hyper", "v1", "containers", id, "plan"] if method == Method::GET => Route::Plan((*id).to_owned()),
        ["hyper", "v1", "containers", id, "console"] if method == Method::GET => {
            Route::Console((*id).to_owned())
        }
        other => system(method, other),
    }
}

fn container(method: &Method, rest: &[&str]) -> Route {
    use ContainerRoute as To;
    let of = |to, id: &&str| Route::Container(to, (*id).to_owned());
    match (method.as_str(), rest) {
        (_, [_, "attach", "ws"]) => Route::Unsupported("attaching by websocket"),
        ("POST", ["create"]) => Route::ContainerCreate,
        ("GET", ["json"]) => Route::ContainerList,
        ("POST", ["prune"]) => Route::ContainerPrune,
        ("DELETE", [id]) => of(To::Remove, id),
        ("GET", [id, "json"]) => of(To::Inspect, id),
        ("GET", [id, "logs"]) => of(To::Logs, id),
        ("POST", [id, "start"]) => of(To::Start, id),
        ("POST", [id, "stop"]) => of(To::Stop, id),
        ("POST", [id, "restart"]) => of(To::Restart, id),
        ("POST", [id, "kill"]) => of(To::Kill, id),
        ("POST", [id, "pause"]) => of(To::Pause, id),
        ("POST", [id, "unpause"]) => of(To::Unpause, id),
        ("POST", [id, "rename"]) => of(To::Rename, id),
        ("POST", [id, "wait"]) => of(To::Wait, id),
        ("POST", [id, "attach"]) => of(To::Attach, id),
        ("POST", [id, "resize"]) => of(To::Resize, id),
        ("POST", [id, "exec"]) => of(To::ExecCreate, id),
        ("GET", [id, "top"]) => of(To::Top, id),
        ("GET", [id, "stats"]) => of(To::Stats, id),
        ("POST", [id, "update"]) => of(To::Update, id),
        ("GET", [id, "changes"]) => of(To::Changes, id),
        ("GET", [id, "export"]) => of(To::Export, id),
        ("HEAD", [id, "archive"]) => of(To::PathStat, id),
        ("GET", [id, "archive"]) => of(To::Archive, id),
        ("PUT", [id, "archive"]) => of(To::Extract, id),
        (_, [_, "checkpoints", ..]) => Route::Unsupported("checkpointing a container"),
        _ => Route::Unknown,
    }
}

fn exec(method: &Method, rest: &[&str]) -> Route {
    match (method.as_str(), rest) {
        ("POST", [id, "start"]) => Route::ExecStart((*id).to_owned()),
        ("POST", [id, "resize"]) => Route::ExecResize((*id).to_owned()),
        ("GET", [id, "json"]) => Route::ExecInspect((*id).to_owned()),
        _ => Route::Unknown,
    }
}

fn image(method: &Method, rest: &[&str]) -> Route {
    use ImageRoute as To;
    let of = |to, name: &[&str]| match name {
        [] => Route::Unknown,
        name => Route::Image(to, name.join("/")),
    };
    match (method.as_str(), rest) {
        ("POST", ["create"]) => Route::ImageCreate,
        ("GET", ["json"]) => Route::ImageList,
        ("POST", ["prune"]) => Route::ImagePrune,
        ("GET", ["search"]) => Route::ImageSearch,
        ("POST", ["load"]) => Route::ImageLoad,
        ("GET", ["get"]) => Route::ImageSave,
        ("GET", [name @ .., "get"]) => of(To::Save, name),
        ("POST", [name @ .., "push"]) => of(To::Push, name),
        ("GET", [name @ .., "json"]) => of(To::Inspect, name),
        ("GET", [name @ .., "history"]) => of(To::History, name),
        ("POST", [name @ .., "tag"]) => of(To::Tag, name),
        ("DELETE", name) => of(To::Remove, name),
        _ => Route::Unknown,
    }
}

fn network(method: &Method, rest: &[&str]) -> Route {
    use NetworkRoute as To;
    let of = |to, name: &&str| Route::Network(to, (*name).to_owned());
    match (method.as_str(), rest) {
        ("GET", []) => Route::NetworkList,
        ("POST", ["create"]) => Route::NetworkCreate,
        ("POST", ["prune"]) => Route::NetworkPrune,
        ("GET", [name]) => of(To::Inspect, name),
        ("DELETE", [name]) => of(To::Remove, name),
        ("POST", [name, "connect"]) => of(To::Connect, name),
        ("POST", [name, "disconnect"]) => of(To::Disconnect, name),
        _ => Route::Unknown,
    }
}

fn floating(method: &Method, rest: &[&str]) -> Route {
    use FloatingRoute as To;
    let of = |to, fip: &&str| Route::Floating(to, (*fip).to_owned());
    match (method.as_str(), rest) {
        ("GET", []) => Route::FloatingList,
        ("POST", ["allocate"]) => Route::FloatingAllocate,
        ("DELETE", [fip]) => of(To::Release, fip),
        ("POST", [fip, "associate"]) => of(To::Associate, fip),
        ("POST", [fip, "disassociate"]) => of(To::Disassociate, fip),
        ("POST", [fip, "name"]) => of(To::Name, fip),
        _ => Route::Unknown,
    }
}

fn group(method: &Method, rest: &[&str]) -> Route {
    use GroupRoute as To;
    let of = |to, name: &&str| Route::Group(to, (*name).to_owned());
    match (method.as_str(), rest) {
        ("GET", []) => Route::GroupList,
        ("POST", ["create"]) => Route::GroupCreate,
        ("GET", [name]) => of(To::Inspect, name),
        ("DELETE", [name]) => of(To::Remove, name),
        ("POST", [name, "update"]) => of(To::Update, name),
        _ => Route::Unknown,
    }
}

fn system(method: &Method, path: &[&str]) -> Route {
    match (method.as_str(), path) {
        ("GET" | "HEAD", ["_ping"]) => Route::Ping,
        ("GET", ["version"]) => Route::Version,
        ("GET", ["info"]) => Route::Info,
        ("GET", ["events"]) => Route::Events,
        ("GET", ["metrics"]) => Route::Metrics,
        ("GET", ["system", "df"]) => Route::DiskUsage,
        ("GET", ["volumes"]) => Route::VolumeList,
        ("GET", ["volumes", name]) => Route::VolumeInspect((*name).to_owned()),
        // buildx takes "not found" for "no BuildKit here" and looks elsewhere.
        (_, ["grpc" | "session"]) => Route::Unknown,
        ("POST", ["auth"]) => Route::Auth,
        ("POST", ["build"]) => Route::Unsupported("building images"),
        ("POST", ["build", ..]) => Route::Unsupported("building images"),
        ("POST", ["commit"]) => Route::Commit,
        (_, ["volumes", ..]) => Route::Unsupported("managing volumes"),
        (_, ["plugins", ..]) => Route::Unsupported("managing plugins"),
        (
            _,
            [
                "swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs",
                ..,
            ],
        ) => Route::Unsupported("swarm mode"),
        (_, ["distribution", _, ..]) => Route::Unsupported("asking a registry about an image"),
        _ => Route::Unknown,
    }
}

/// Percent-decoded; `None` when that is no text.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
