//! A file for each verb.

pub mod attach;
pub mod commit;
pub mod completion;
pub mod cp;
pub mod create;
pub mod df;
pub mod diff;
pub mod doctor;
pub mod events;
pub mod exec;
pub mod export;
pub mod fip;
pub mod halt;
pub mod history;
pub mod images;
pub mod import;
pub mod info;
pub mod inspect;
pub mod kill;
pub mod link;
pub mod load;
pub mod login;
pub mod logout;
pub mod logs;
pub mod network;
pub mod pause;
pub mod port;
pub mod prune;
pub mod prune_images;
pub mod ps;
pub mod pull;
pub mod push;
pub mod rename;
pub mod restart;
pub mod rm;
pub mod rmi;
pub mod run;
pub mod save;
pub mod search;
pub mod sg;
pub mod start;
pub mod stats;
pub mod stop;
pub mod tag;
pub mod top;
pub mod unpause;
pub mod update;
pub mod verify;
pub mod version;
pub mod wait;

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::error::is_unreachable;
use crate::output;
use crate::output::complain;

/// A connect beyond the daemon's backlog fails at once, so there is a limit to what is asked together; docker's is the
/// same.
const AT_ONCE: usize = 50;

/// Acts on every target at once and prints what each gives, in the order of `targets`. One that fails does not stop
/// the others; the code is 1 then.
async fn each<F, Fut>(client: &Arc<Client>, targets: Vec<String>, act: F) -> Result<i32>
where
    F: Fn(Arc<Client>, String) -> Fut,
    Fut: Future<Output = Result<String>> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let tasks: Vec<_> = targets
        .into_iter()
        .map(|target| {
            let (act, turns) = (act(Arc::clone(client), target), Arc::clone(&turns));
            tokio::spawn(async move {
                // It is never closed.
                let _turn = turns.acquire_owned().await;
                act.await
            })
        })
        .collect();
    let mut code = 0;
    for task in tasks {
        match task.await? {
            Ok(text) if text.is_empty() => {}
            Ok(text) => output::line(&text)?,
            // The others would only say the same.
            Err(error) if is_unreachable(&error) => return Err(error),
            Err(error) => {
                complain!("{error:#}");
                code = 1;
            }
        }
    }
    Ok(code)
}

/// A field of an answer that is text; empty when it is missing.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A list of text; what is no text is left out.
fn strings<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What a list shows of an object's id.
fn id(value: &Value, whole: bool) -> String {
    let id = text(value, "Id");
    if whole { id.to_owned() } else { truncated_id(id) }
}

/// The twelve digits by which people know a container or an image.
fn truncated_id(id: &str) -> String {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.chars().take(12).collect()
}
