//! `/containers/json`.

use super::create::annotations_of;
use super::sizes::Sizes;
use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::networks::{ports, settings};
use crate::request;
use crate::text;
use chrono::{DateTime, Utc};
use engine::{Container, HealthStatus, Status};
use serde_json::{Value, json};

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

const STATUSES: [&str; 7] = [
    "created",
    "dead",
    "exited",
    "paused",
    "removing",
    "restarting",
    "running",
];

pub fn list(call: &Call) -> Answer {
    let engine = call.engine();
    let filters = Filters::of(&call.query, FILTERS)?;
    let selection = Selection {
        all: call.query.flag("all"),
        limit: call
            .query
            .number::<i64>("limit")?
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|n| *n > 0),
        ancestors: filters
            .get("ancestor")
            .iter()
            .map(|name| {
                engine
                    .images()
                    .find(name)
                    .map_or_else(|_| name.clone(), |image| image.id)
            })
            .collect(),
        before: created_at(call, filters.get("before"))?,
        since: created_at(call, filters.get("since"))?,
        filters,
    };
    let chosen = selection.choose(engine.containers())?;
    let now = Utc::now();
    let sizes = call.query.flag("size").then(|| Sizes::new(engine));
    let list: Vec<Value> = chosen
        .iter()
        .map(|container| container_json(container, now, sizes.as_ref()))
        .collect();
    Ok(request::ok_json(&list))
}

/// When the container that a filter names was created.
fn created_at(call: &Call, names: &[String]) -> Result<Option<DateTime<Utc>>, ApiError> {
    match names {
        [] => Ok(None),
        [name] => Ok(Some(super::find(call, name)?.created_at)),
        _ => Err(ApiError::invalid(
            "the filters before and since take one container",
        )),
    }
}

/// What a client wants to see.
#[derive(Debug, Default)]
struct Selection {
    all: bool,
    limit: Option<usize>,
    /// Ids of images, or names of images that are gone.
    ancestors: Vec<String>,
    before: Option<DateTime<Utc>>,
    since: Option<DateTime<Utc>>,
    filters: Filters,
}

impl Selection {
    /// Of all containers, the newest first.
    fn choose(&self, containers: Vec<Container>) -> Result<Vec<Container>, ApiError> {
        if let Some(unknown) = self
            .filters
            .get("status")
            .iter()
            .find(|status| !STATUSES.contains(&status.as_str()))
        {
            return Err(ApiError::invalid(format!("invalid filter 'status={unknown}'")));
        }
        let mut codes = Vec::new();
        for code in self.filters.get("exited") {
            let code: i32 = code
                .parse()
                .map_err(|_| ApiError::invalid(format!("invalid filter 'exited={code}'")))?;
            codes.push(code);
        }
        let is_task = self.filters.flag("is-task")?;
        let all = self.all || self.limit.is_some() || self.filters.has("status");
        let fits = |container: &Container| {
            (all || container.state.status.is_running())
                && is_task != Some(true)
                && (codes.is_empty() || exited_with(container, &codes))
                && self.fits(container)
        };
        let chosen = containers.into_iter().filter(fits);
        Ok(chosen.take(self.limit.unwrap_or(usize::MAX)).collect())
    }

    fn fits(&self, container: &Container) -> bool {
        let filters = &self.filters;
        let config = &container.config;
        let named = |pattern: &str| {
            let bare = pattern.strip_prefix('/').unwrap_or(pattern);
            crate::pattern::found(bare, &container.name)
                || crate::pattern::found(pattern, &format!("/{}", container.name))
        };
        filters.pattern("id", &container.id)
            && filters.any("name", named)
            && filters.any("status", |status| status == container.state.status.to_string())
            && (self.ancestors.is_empty()
                || self.ancestors.iter().any(|image| *image == container.image_id || *image == config.image))
            && self.before.is_none_or(|before| container.created_at < before)
            && self.since.is_none_or(|since| container.created_at > since)
            && filters.labels(&config.labels)
            && filters.any("network", |network| {
                config.networks.iter().any(|(name, endpoint)| name == network || endpoint.network_id.starts_with(network))
                    || network == config.host.network_mode
            })
            && filters.any("expose", |port| config.exposed_ports.iter().any(|exposed| same_port(exposed, port)))
            // There are none of these.
            && !filters.has("volume")
            && filters.any("publish", |port| container.state.published.iter().any(|published| {
                same_port(&format!("{}/{}", published.host.port(), published.protocol), port)
            }))
            && filters.any("health", |wanted| wanted == health(container))
            && filters.any("isolation", |isolation| ["", "default"].contains(&isolation))
    }
}

/// As the filter names it.
fn health(container: &Container) -> String {
    let health = container.state.health.as_ref();
    health.map_or_else(|| "none".to_owned(), |health| health.status.to_string())
}

fn same_port(exposed: &str, wanted: &str) -> bool {
    exposed == wanted || exposed.strip_suffix("/tcp") == Some(wanted)
}

fn exited_with(container: &Container, codes: &[i32]) -> bool {
    let state = &container.state;
    !state.status.is_running() && state.started_at.is_some() && codes.contains(&state.exit_code)
}

/// Docker's words for how a container stands.
pub fn status_text(container: &Container, now: DateTime<Utc>) -> String {
    let state = &container.state;
    let since = |at: Option<DateTime<Utc>>| text::duration(now - at.unwrap_or(now));
    match state.status {
        Status::Running => match state.health.as_ref().map(|health| health.status) {
            None => format!("Up {}", since(state.started_at)),
            Some(HealthStatus::Starting) => format!("Up {} (health: starting)", since(state.started_at)),
            Some(health) => format!("Up {} ({health})", since(state.started_at)),
        },
        Status::Paused => format!("Up {} (Paused)", since(state.started_at)),
        Status::Restarting => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            since(state.finished_at)
        ),
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Created => "Created".to_owned(),
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_at)),
    }
}

fn command(container: &Container) -> String {
    let quoted = container.config.args().into_iter().enumerate().map(|(at, word)| {
        match at > 0 && word.contains(' ') {
            true => format!("'{word}'"),
            false => word,
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

pub fn container_json(container: &Container, now: DateTime<Utc>, sizes: Option<&Sizes<'_>>) -> Value {
    let config = &container.config;
    let mut value = json!({
        "Id": container.id,
        "Names": [format!("/{}", container.name)],
        "Image": config.image,
        "ImageID": container.image_id,
        "Command": command(container),
        "Created": container.created_at.timestamp(),
        "Ports": ports::list_json(config, &container.state),
        "Labels": config.labels,
        "State": container.state.status.to_string(),
        "Status": status_text(container, now),
        "HostConfig": {
            "NetworkMode": config.host.network_mode,
            "Annotations": annotations_of(&config.host),
        },
        "NetworkSettings": { "Networks": settings::networks_json(container) },
        "Mounts": [],
    });
    if let Some(sizes) = sizes {
        sizes.add_to(&mut value, container);
    }
    value
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
