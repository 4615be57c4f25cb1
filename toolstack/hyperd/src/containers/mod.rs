//! Containers and what runs in them.

pub mod archive;
pub mod attach;
pub mod body;
pub mod commit;
pub mod create;
pub mod exec;
pub mod inspect;
pub mod lifecycle;
pub mod list;
pub mod logs;
pub mod prune;
mod refused;
pub mod sizes;
pub mod stats;
pub mod top;
pub mod update;

use crate::api::Call;
use crate::error::ApiError;
use crate::query::Query;
use engine::{Container, WindowSize};

/// A terminal's size, from `h` and `w`, both needed.
pub fn window_size_of(query: &Query) -> Result<WindowSize, ApiError> {
    let need = |name: &str| {
        query.number::<u16>(name)?.ok_or_else(|| {
            ApiError::invalid(format!("{name} is missing: a terminal has h rows and w columns"))
        })
    };
    Ok(WindowSize {
        rows: need("h")?,
        columns: need("w")?,
    })
}

pub fn find(call: &Call, id: &str) -> Result<Container, ApiError> {
    Ok(call.engine().container(id)?)
}

/// `NAME` or number of a signal, if the query has one.
pub fn signal(query: &Query) -> Result<Option<i32>, ApiError> {
    query.text("signal").map(parse_signal).transpose()
}

pub fn parse_signal(text: &str) -> Result<i32, ApiError> {
    engine::parse_signal(text).ok_or_else(|| ApiError::invalid(format!("invalid signal: {text}")))
}
