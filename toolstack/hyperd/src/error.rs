//! Failed requests as docker answers them: a status and `{"message": …}`.

use crate::request;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use engine::{Error, ErrorKind};
use serde_json::json;
use std::future::Future;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
}

pub type Answer = Result<Response<Body>, ApiError>;

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn unsupported(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("{what} is not supported yet"),
        )
    }

    pub fn page_not_found() -> Self {
        Self::not_found("page not found")
    }

    pub fn into_response(self) -> Response<Body> {
        request::json(self.status, &json!({ "message": self.message }))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Invalid | ErrorKind::CommandNotFound | ErrorKind::CommandNotExecutable => {
                StatusCode::BAD_REQUEST
            }
            ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Unavailable | ErrorKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<engine::images::Error> for ApiError {
    fn from(error: engine::images::Error) -> Self {
        Error::from(error).into()
    }
}

/// Runs to its end even when the client that asked for it goes away: half a start is worse than one nobody reads of.
pub async fn to_the_end<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    match tokio::spawn(work).await {
        Ok(result) => result.map_err(ApiError::from),
        Err(error) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the request failed inside hyperd: {error}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_dockers_status() {
        for (kind, status) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::Invalid, 400),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::Conflict, 409),
            (ErrorKind::CommandNotFound, 400),
            (ErrorKind::CommandNotExecutable, 400),
            (ErrorKind::Unavailable, 500),
            (ErrorKind::NotImplemented, 501),
            (ErrorKind::Failed, 500),
        ] {
            let error = ApiError::from(Error::new(kind, "why"));
            assert_eq!((error.status.as_u16(), error.message.as_str()), (status, "why"));
        }
    }

    #[tokio::test]
    async fn work_goes_on_when_the_client_is_gone() {
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (done, finished) = tokio::sync::oneshot::channel();
        let mut work = Box::pin(to_the_end(async move {
            let _ = gone.await;
            let _ = done.send(());
            Ok(())
        }));
        // Polled once, so that it has begun; then dropped as hyper drops the handler of a client that left.
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        go.send(()).unwrap();
        finished.await.unwrap();
    }
}
