//! `/containers/{id}/update`: limits and the restart policy of a container that is there already.

use super::body::RestartPolicy;
use super::create::{memory_bytes, restart_policy};
use crate::api::Call;
use crate::error::{Answer, ApiError, to_the_end};
use crate::request;
use engine::Update;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Body {
    memory: Option<i64>,
    nano_cpus: Option<i64>,
    restart_policy: Option<RestartPolicy>,

    // What is refused, unless it is nothing.
    cpu_shares: Option<Value>,
    cpu_period: Option<Value>,
    cpu_quota: Option<Value>,
    cpu_realtime_period: Option<Value>,
    cpu_realtime_runtime: Option<Value>,
    cpuset_cpus: Option<Value>,
    cpuset_mems: Option<Value>,
    memory_reservation: Option<Value>,
    blkio_weight: Option<Value>,
    pids_limit: Option<Value>,
}

pub async fn update(call: Call, id: String) -> Answer {
    let body: Body = request::need_json(call.request.into_body()).await?;
    let update = translate(body)?;
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.update(&id, update).await }).await?;
    Ok(request::ok_json(&json!({ "Warnings": null })))
}

fn translate(body: Body) -> Result<Update, ApiError> {
    for (what, value) in [
        ("cpu shares", &body.cpu_shares),
        ("a cpu period (use --cpus)", &body.cpu_period),
        ("a cpu quota (use --cpus)", &body.cpu_quota),
        ("a real-time period", &body.cpu_realtime_period),
        ("a real-time runtime", &body.cpu_realtime_runtime),
        ("the cpus that a container runs on", &body.cpuset_cpus),
        ("the memory nodes of a container", &body.cpuset_mems),
        ("a soft limit of memory", &body.memory_reservation),
        ("the weight of block input and output", &body.blkio_weight),
        ("a limit of processes", &body.pids_limit),
    ] {
        let nothing = match value {
            None | Some(Value::Null) => true,
            Some(Value::Number(number)) => number.as_i64() == Some(0),
            Some(Value::String(text)) => text.is_empty(),
            Some(_) => false,
        };
        if !nothing {
            return Err(ApiError::invalid(format!(
                "{what} cannot be changed: a container is a virtual machine"
            )));
        }
    }
    // 0 and an empty name stand for "as it is", as in docker.
    let memory = body
        .memory
        .filter(|bytes| *bytes != 0)
        .map(memory_bytes)
        .transpose()?;
    let nano_cpus = match body.nano_cpus.filter(|cpus| *cpus != 0) {
        Some(cpus) => {
            Some(u64::try_from(cpus).map_err(|_| ApiError::invalid(format!("invalid NanoCpus: {cpus}")))?)
        }
        None => None,
    };
    let policy = body
        .restart_policy
        .filter(|policy| policy.name.as_deref().is_some_and(|name| !name.is_empty()));
    Ok(Update {
        memory_bytes: memory,
        nano_cpus,
        restart_policy: policy.map(restart_policy).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Update, ApiError> {
        translate(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_is_given_is_changed() {
        // As docker's client sends it.
        let update = of(
            r#"{"BlkioWeight":0,"CpuShares":0,"CpuQuota":0,"CpusetCpus":"","Memory":67108864,"MemorySwap":0,"NanoCpus":500000000,"PidsLimit":null,"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}"#,
        )
        .unwrap();
        assert_eq!(
            (update.memory_bytes, update.nano_cpus),
            (Some(64 << 20), Some(500_000_000))
        );
        assert_eq!(update.restart_policy.unwrap().maximum_retry_count, 3);
        assert_eq!(
            of(r#"{"Memory":0,"RestartPolicy":{"Name":""}}"#).unwrap(),
            Update::default()
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, expected) in [
            (r#"{"CpuShares":5}"#, "cpu shares cannot be changed"),
            (r#"{"CpusetCpus":"0"}"#, "cpus that a container runs on"),
            (r#"{"Memory":1000}"#, "Minimum memory limit"),
            (r#"{"NanoCpus":-1}"#, "invalid NanoCpus"),
            (r#"{"RestartPolicy":{"Name":"sometimes"}}"#, "unknown policy"),
        ] {
            let error = of(text).unwrap_err().message;
            assert!(error.contains(expected), "{error}");
        }
    }
}
