//! `hyper rmi`

use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use super::each;
use crate::client::Client;
use crate::error::is_not_found;
use crate::output::complain;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Images to remove
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    let Args {
        force,
        no_prune,
        images,
    } = args;
    each(client, images, |client, image| async move {
        let target = Target::image(&image)
            .flag("force", force)
            .flag("noprune", no_prune);
        match client.delete(target).await {
            Ok(answer) => Ok(lines(&answer)),
            Err(error) if force && is_not_found(&error) => {
                complain!("{error:#}");
                Ok(String::new())
            }
            Err(error) => Err(error),
        }
    })
    .await
}

/// `[{"Untagged": "a:b"}, {"Deleted": "sha256:…"}]`
fn lines(answer: &Value) -> String {
    let done = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<_> = done
        .iter()
        .filter_map(Value::as_object)
        .flatten()
        .filter_map(|(what, name)| Some(format!("{what}: {}", name.as_str()?)))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_in_order() {
        let answer = serde_json::json!([{"Untagged": "a:b"}, {"Deleted": "sha256:00"}]);
        assert_eq!(lines(&answer), "Untagged: a:b\nDeleted: sha256:00");
        assert_eq!(lines(&Value::Null), "");
    }
}
