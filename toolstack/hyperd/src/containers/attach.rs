//! Attaching to a container's first process.

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::frames::Framing;
use crate::hijack::{self, Client};
use crate::query::Query;
use crate::request;
use axum::http::StatusCode;
use engine::AttachOptions;

fn options(query: &Query) -> Result<AttachOptions, ApiError> {
    let options = AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        logs: query.flag("logs"),
        stream: query.flag("stream"),
    };
    if !options.logs && !options.stream {
        return Err(ApiError::invalid(
            "attach without stream and logs has nothing to do: set one of them",
        ));
    }
    Ok(options)
}

/// Answered before the guest exists: clients attach first and start then.
pub async fn attach(mut call: Call, id: String) -> Answer {
    let options = options(&call.query)?;
    let attachment = call.engine().attach(&id, options).await?;
    let framing = Framing::of(attachment.tty);
    let content_type = framing.content_type(call.api_minor);
    let client = match hijack::wants_upgrade(call.request.headers()) {
        true => Client::Upgrades(hyper::upgrade::on(&mut call.request)),
        false => Client::Plain(Some(call.request.into_body())),
    };
    Ok(hijack::answer(
        client,
        content_type,
        framing,
        attachment.output,
        attachment.input,
    ))
}

pub async fn resize(call: &Call, id: &str) -> Answer {
    let size = super::window_size_of(&call.query)?;
    call.engine().resize(id, size).await?;
    Ok(request::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_attach() {
        let of = |text: &str| options(&Query::parse(&format!("/x?{text}").parse().unwrap()).unwrap());
        let all = of("stream=1&stdin=1&stdout=1&stderr=1&logs=0").unwrap();
        assert!(all.stdin && all.stdout && all.stderr && all.stream && !all.logs);
        assert!(of("stdout=1").is_err());
    }
}
