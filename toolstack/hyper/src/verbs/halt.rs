//! `hyper system halt`

use anyhow::Result;
use serde_json::Value;

use super::text;
use crate::client::Client;
use crate::output;
use crate::output::complain;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(client: &Client, Args {}: Args) -> Result<i32> {
    let answer = client.post(Target::extension("halt")).await?;
    let containers = answer.get("Containers").and_then(Value::as_array);
    let mut code = 0;
    for container in containers.into_iter().flatten() {
        match text(container, "Error") {
            "" => output::line(text(container, "Name"))?,
            error => {
                complain!("hyper: {}: {error}", text(container, "Name"));
                code = 1;
            }
        }
    }
    Ok(code)
}
