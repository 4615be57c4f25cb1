//! `DELETE /images/{name}` and `/images/prune`.

use crate::api::Call;
use crate::containers::prune::{pruned, until};
use crate::error::{Answer, to_the_end};
use crate::filters::Filters;
use crate::images::created;
use crate::request;
use chrono::Utc;
use engine::images::Removed;
use serde_json::{Value, json};

const PRUNE_FILTERS: &[&str] = &["dangling", "label", "label!", "until"];

pub async fn remove(call: &Call, name: String) -> Answer {
    // `noprune` keeps untagged parents, of which there are none.
    let force = call.query.flag("force");
    let engine = call.app.engine.clone();
    let removed = to_the_end(async move { engine.remove_image(&name, force).await }).await?;
    Ok(request::ok_json(&removed_json(&removed)))
}

fn removed_json(removed: &[Removed]) -> Vec<Value> {
    removed
        .iter()
        .map(|removed| match removed {
            Removed::Untagged(name) => json!({ "Untagged": name }),
            Removed::Deleted(id) => json!({ "Deleted": id }),
        })
        .collect()
}

/// Images without a name, or with `dangling=false` all that no container uses.
pub async fn prune(call: &Call) -> Answer {
    let filters = Filters::of(&call.query, PRUNE_FILTERS)?;
    let only_nameless = filters.flag("dangling")?.unwrap_or(true);
    let until = until(&filters, Utc::now())?;
    let mut removed = Vec::new();
    let mut reclaimed = 0;
    for image in call.engine().images().list()? {
        let young = until.is_some_and(|until| created(&image).unwrap_or_default() >= until);
        if young || !filters.labels(&image.config.labels) {
            continue;
        }
        let engine = call.app.engine.clone();
        let size = image.size;
        match to_the_end(async move { engine.prune_image(&image, !only_nameless).await }).await {
            Ok(done) if done.is_empty() => {}
            Ok(done) => {
                removed.extend(removed_json(&done));
                reclaimed += size;
            }
            Err(error) => tracing::warn!(error = error.message, "an image was not pruned"),
        }
    }
    pruned(call, "image", reclaimed);
    Ok(request::ok_json(&json!({
        "ImagesDeleted": if removed.is_empty() { None } else { Some(removed) },
        "SpaceReclaimed": reclaimed,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_named_as_dockers() {
        let removed = [
            Removed::Untagged("a:1".to_owned()),
            Removed::Deleted("sha256:aa".to_owned()),
        ];
        assert_eq!(
            removed_json(&removed),
            [json!({ "Untagged": "a:1" }), json!({ "Deleted": "sha256:aa" })]
        );
    }
}
