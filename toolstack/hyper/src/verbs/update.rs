//! `hyper update`

use std::sync::Arc;

use anyhow::Result;
use bollard::models::RestartPolicy;
use serde_json::{Map, Value, json};

use super::{each, strings};
use crate::client::Client;
use crate::options::values::restart_policy;
use crate::output::complain;
use crate::target::Target;
use crate::units::{parse_nano_cpus, parse_size};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of CPUs
    #[arg(long, value_name = "DECIMAL", value_parser = parse_nano_cpus)]
    cpus: Option<i64>,
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = parse_size)]
    memory: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "STRING", value_parser = restart_policy)]
    restart: Option<RestartPolicy>,
    /// Containers to change
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub async fn run(client: &Arc<Client>, args: Args) -> Result<i32> {
    let mut body = Map::new();
    if let Some(cpus) = args.cpus {
        body.insert("NanoCpus".to_owned(), cpus.into());
    }
    if let Some(memory) = args.memory {
        body.insert("Memory".to_owned(), memory.into());
    }
    if let Some(policy) = args.restart {
        body.insert("RestartPolicy".to_owned(), json!(policy));
    }
    if body.is_empty() {
        anyhow::bail!("you must provide one or more flags when using this command");
    }
    let body = Value::Object(body);
    each(client, args.containers, |client, container| {
        let body = body.clone();
        async move {
            let target = Target::container(&container).push("update");
            let answer = client.post_body(target, &body).await?;
            for warning in strings(&answer, "Warnings") {
                complain!("{warning}");
            }
            Ok(container)
        }
    })
    .await
}
