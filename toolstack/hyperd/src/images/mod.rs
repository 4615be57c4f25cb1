//! Images and where they come from.

pub mod body;
pub mod import;
pub mod inspect;
pub mod list;
pub mod load;
pub mod login;
mod progress;
pub mod pull;
pub mod push;
pub mod remove;
pub mod save;
pub mod search;
mod transfer;

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::request;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use engine::images::{Image, Name};
use reference::Parts;

/// When it was built, as its config says.
pub fn created(image: &Image) -> Option<DateTime<Utc>> {
    let text = image.configuration.created().as_ref()?;
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// Guests are amd64; another platform is refused before anything is fetched.
pub fn check_platform(platform: Option<&str>) -> Result<(), ApiError> {
    match platform {
        None | Some("linux" | "linux/amd64" | "linux/x86_64" | "linux/amd64/v1" | "amd64") => Ok(()),
        // Newer clients send the platform as an object.
        Some(text) if is_amd64_object(text) => Ok(()),
        Some(other) => Err(ApiError::invalid(format!(
            "platform {other:?} is not supported: guests run linux/amd64"
        ))),
    }
}

fn is_amd64_object(text: &str) -> bool {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        return false;
    };
    value["os"] == "linux" && (value["architecture"] == "amd64" || value["architecture"] == "")
}

/// `image[:tag|@digest]` and the tag or digest that is given apart, which goes before.
pub fn full_name(image: &str, tag: Option<&str>) -> String {
    let Some(tag) = tag else {
        return image.to_owned();
    };
    let Parts { name, .. } = Parts::of(image);
    match tag.contains(':') {
        true => format!("{name}@{tag}"),
        false => format!("{name}:{tag}"),
    }
}

pub fn tag(call: &Call, image: &str) -> Answer {
    let repository = call
        .query
        .text("repo")
        .ok_or_else(|| ApiError::invalid("invalid reference format: repo is missing"))?;
    let name: Name = full_name(repository, call.query.text("tag")).parse()?;
    call.engine().images().tag(image, &name)?;
    if let Ok(image) = call.engine().images().find(&name.to_string()) {
        call.engine()
            .tell_image("tag", &image.id, &name.to_string(), Some(&image));
    }
    Ok(request::empty(StatusCode::CREATED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_tags() {
        for (image, tag, expected) in [
            ("busybox", None, "busybox"),
            ("busybox", Some("1.36"), "busybox:1.36"),
            ("busybox:old", Some("new"), "busybox:new"),
            ("host:5000/a/b", Some("1"), "host:5000/a/b:1"),
            ("host:5000/a/b:0", Some("1"), "host:5000/a/b:1"),
            ("busybox", Some("sha256:ab"), "busybox@sha256:ab"),
            ("busybox:x@sha256:cd", Some("1"), "busybox:1"),
        ] {
            assert_eq!(full_name(image, tag), expected);
        }
    }

    #[test]
    fn platforms() {
        for fits in [
            None,
            Some("linux/amd64"),
            Some("linux"),
            Some(r#"{"os":"linux","architecture":"amd64"}"#),
        ] {
            assert!(check_platform(fits).is_ok(), "{fits:?}");
        }
        for other in [
            "linux/arm64",
            "windows/amd64",
            r#"{"os":"linux","architecture":"arm64"}"#,
            "{}",
        ] {
            assert!(check_platform(Some(other)).is_err(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_apart_replaces_one_within(
            name in "[a-z]{1,5}(:[0-9]{2,4}/[a-z]{1,5})?(/[a-z]{1,5}){0,2}",
            old in proptest::option::of("[a-z0-9.]{1,5}"),
            new in "[a-z0-9.]{1,5}",
        ) {
            let image = old.map_or(name.clone(), |old| format!("{name}:{old}"));
            prop_assert_eq!(full_name(&image, Some(&new)), format!("{name}:{new}"));
        }
    }
}
