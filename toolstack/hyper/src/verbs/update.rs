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
    /// Put the containers into a security group
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    sg_add: Vec<String>,
    /// Take the containers out of a security group
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    sg_rm: Vec<String>,
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
    let regroup = !args.sg_add.is_empty() || !args.sg_rm.is_empty();
    if body.is_empty() && !regroup {
        anyhow::bail!("you must provide one or more flags when using this command");
    }
    let groups = regroup.then(|| json!({ "Add": args.sg_add, "Remove": args.sg_rm }));
    each(client, args.containers, |client, container| {
        let (body, groups) = (body.clone(), groups.clone());
        async move {
            if let Some(groups) = groups {
                let target = Target::extension("containers").push(&container).push("sgs");
                client.post_body(target, &groups).await?;
            }
            if !body.is_empty() {
                let target = Target::container(&container).push("update");
                let answer = client.post_body(target, &Value::Object(body)).await?;
                for warning in strings(&answer, "Warnings") {
                    complain!("{warning}");
                }
            }
            Ok(container)
        }
    })
    .await
}
