//! `/images/{name}/json` and `/images/{name}/history`.

use super::created;
use crate::api::Call;
use crate::error::Answer;
use crate::request;
use crate::system::STORAGE_DRIVER;
use crate::text;
use chrono::DateTime;
use engine::images::{Image, ImageConfig};
use serde_json::{Map, Value, json};

pub fn inspect(call: &Call, name: &str) -> Answer {
    let image = call.engine().images().find(name)?;
    Ok(request::ok_json(&image_json(&image)))
}

fn image_json(image: &Image) -> Value {
    let configuration = &image.configuration;
    let comment = configuration
        .history()
        .as_ref()
        .and_then(|history| history.last()?.comment().clone());
    json!({
        "Id": image.id,
        "RepoTags": image.names,
        "RepoDigests": image.digests,
        "Parent": "",
        "Comment": comment.unwrap_or_default(),
        "Created": text::moment_or_never(created(image)),
        "DockerVersion": "",
        "Author": configuration.author().clone().unwrap_or_default(),
        "Config": config_json(&image.config),
        "Architecture": configuration.architecture().to_string(),
        "Os": configuration.os().to_string(),
        "Size": image.size,
        "GraphDriver": { "Name": STORAGE_DRIVER, "Data": {} },
        "RootFS": { "Type": "layers", "Layers": configuration.rootfs().diff_ids() },
        "Metadata": {
            "LastTagTime": text::moment_or_never(DateTime::from_timestamp(image.pulled_at, 0)),
        },
        "Descriptor": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": image.manifest,
            "size": 0,
        },
    })
}

fn config_json(config: &ImageConfig) -> Value {
    let list = |words: &[String]| {
        if words.is_empty() {
            Value::Null
        } else {
            json!(words)
        }
    };
    let set = |names: &[String]| match names {
        [] => Value::Null,
        names => names
            .iter()
            .map(|name| (name.clone(), json!({})))
            .collect::<Map<_, _>>()
            .into(),
    };
    let mut value = json!({
        "Hostname": "", "Domainname": "",
        "User": config.user,
        "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": config.env,
        "Cmd": list(&config.cmd),
        "Image": "",
        "Volumes": set(&config.volumes),
        "WorkingDir": config.working_dir,
        "Entrypoint": list(&config.entrypoint),
        "OnBuild": list(&config.on_build),
        "Labels": config.labels,
    });
    if !config.exposed_ports.is_empty() {
        value["ExposedPorts"] = set(&config.exposed_ports);
    }
    if let Some(signal) = &config.stop_signal {
        value["StopSignal"] = json!(signal);
    }
    if let Some(healthcheck) = &config.healthcheck {
        value["Healthcheck"] = json!(healthcheck);
    }
    if !config.shell.is_empty() {
        value["Shell"] = json!(config.shell);
    }
    value
}

pub fn history(call: &Call, name: &str) -> Answer {
    let image = call.engine().images().find(name)?;
    Ok(request::ok_json(&history_json(&image)))
}

/// The newest step first, each with what its layer takes.
fn history_json(image: &Image) -> Vec<Value> {
    let steps = image.configuration.history().clone().unwrap_or_default();
    let mut layers = image.layer_bytes.iter();
    let mut entries: Vec<Value> = steps
        .iter()
        .map(|step| {
            let at = step
                .created()
                .as_ref()
                .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            let layer = match step.empty_layer() {
                Some(true) => None,
                _ => layers.next(),
            };
            json!({
                "Id": "<missing>",
                "Created": at.map_or(0, |at| at.timestamp()),
                "CreatedBy": step.created_by().clone().unwrap_or_default(),
                "Tags": null,
                "Size": layer.unwrap_or(&0),
                "Comment": step.comment().clone().unwrap_or_default(),
            })
        })
        .collect();
    entries.reverse();
    if entries.is_empty() {
        entries.push(json!({
            "Id": "<missing>", "Created": created(image).map_or(0, |at| at.timestamp()), "CreatedBy": "",
            "Tags": null, "Size": image.size, "Comment": "",
        }));
    }
    entries[0]["Id"] = json!(image.id);
    if !image.names.is_empty() {
        entries[0]["Tags"] = json!(image.names);
    }
    entries
}
