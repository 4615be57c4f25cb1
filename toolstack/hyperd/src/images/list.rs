//! `/images/json`.

use super::created;
use crate::api::Call;
use crate::containers::prune::until;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::pattern::glob;
use crate::request;
use chrono::{DateTime, Utc};
use engine::images::{Image, Name, Usage};
use serde_json::{Value, json};

const FILTERS: &[&str] = &[
    "before",
    "dangling",
    "label",
    "label!",
    "reference",
    "since",
    "until",
];

pub fn list(call: &Call) -> Answer {
    // `all` adds intermediate images, of which there are none; digests are always shown.
    let filters = Filters::of(&call.query, FILTERS)?;
    let dangling = filters.flag("dangling")?;
    let before = built(call, filters.get("before"))?;
    let since = built(call, filters.get("since"))?;
    let until = until(&filters, Utc::now())?;
    let all = call.engine().images().list()?;
    let shared = call
        .query
        .flag("shared-size")
        .then(|| Usage::of(&all).shared_bytes);
    let images: Vec<Value> = all
        .iter()
        .enumerate()
        .filter(|(_, image)| {
            let at = created(image).unwrap_or_default();
            dangling.is_none_or(|dangling| dangling == image.names.is_empty())
                && before.is_none_or(|before| at < before)
                && since.is_none_or(|since| at > since)
                && until.is_none_or(|until| at < until)
                && filters.labels(&image.config.labels)
                && filters.any("reference", |pattern| {
                    image.names.iter().any(|name| reference_fits(pattern, name))
                })
        })
        .map(|(index, image)| image_json(image, None, shared.as_ref().map(|shared| shared[index])))
        .collect();
    Ok(request::ok_json(&images))
}

fn built(call: &Call, names: &[String]) -> Result<Option<DateTime<Utc>>, ApiError> {
    match names {
        [] => Ok(None),
        [name] => Ok(created(&call.engine().images().find(name)?)),
        _ => Err(ApiError::invalid("the filters before and since take one image")),
    }
}

/// A pattern is for the name with its tag or without.
fn reference_fits(pattern: &str, name: &str) -> bool {
    if glob(pattern, name) {
        return true;
    }
    // As the pattern's author may write what is shown shorter: docker.io/library/busybox.
    let parsed = name.parse::<Name>();
    let wanted = pattern.parse::<Name>();
    let repository = parsed.as_ref().map(Name::repository).unwrap_or_default();
    glob(pattern, &repository)
        || matches!((parsed, wanted), (Ok(name), Ok(wanted)) if pattern.contains('/') && name == wanted)
}

/// `users`: how many containers use it, and `shared`: how much of it other images have, where that was counted.
pub fn image_json(image: &Image, users: Option<usize>, shared: Option<u64>) -> Value {
    json!({
        "Id": image.id,
        "ParentId": "",
        "RepoTags": image.names,
        "RepoDigests": image.digests,
        "Created": created(image).map_or(0, |at| at.timestamp()),
        "Size": image.size,
        "SharedSize": shared.map_or(json!(-1), |shared| json!(shared)),
        "Labels": image.config.labels,
        "Containers": users.map_or(json!(-1), |users| json!(users)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (pattern, name, expected) in [
            ("busybox", "busybox:latest", true),
            ("busybox:latest", "busybox:latest", true),
            ("busybox:1", "busybox:latest", false),
            ("busy*", "busybox:latest", true),
            ("*:1.*", "busybox:1.36", true),
            ("docker.io/library/busybox", "busybox:latest", true),
            ("host:5000/*", "host:5000/a:1", true),
            ("a", "host:5000/a:1", false),
        ] {
            assert_eq!(reference_fits(pattern, name), expected, "{pattern} of {name}");
        }
    }
}
