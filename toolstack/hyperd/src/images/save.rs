//! `/images/get` and `/images/{name}/get`: images as one tar.

use super::body::download;
use super::check_platform;
use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::request;
use axum::http::StatusCode;
use engine::{Error, ErrorKind};
use std::sync::Arc;

pub async fn save(call: &Call, names: Vec<String>) -> Answer {
    check_platform(call.query.text("platform"))?;
    if names.is_empty() {
        return Err(ApiError::invalid("names of images are missing"));
    }
    let store = Arc::clone(call.engine().images());
    let saved: Vec<_> = names.iter().filter_map(|name| store.find(name).ok()).collect();
    let export = tokio::task::spawn_blocking(move || store.export(&names))
        .await
        .map_err(|error| Error::from_source(ErrorKind::Failed, "saving images", &error))??;
    for image in saved {
        call.engine()
            .tell_image("save", &image.id, &image.id, Some(&image));
    }
    let body = download(move |out| export.write(out));
    Ok(request::of(StatusCode::OK, "application/x-tar", body))
}
