//! Processes beside a container's first.

use super::body::Words;
use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::frames::Framing;
use crate::hijack::{self, Client};
use crate::request;
use axum::http::StatusCode;
use bytes::Bytes;
use engine::{Attachment, Chunk, ErrorKind, Exec, ExecSpec, Source};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct CreateBody {
    cmd: Option<Words>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    tty: Option<bool>,
    privileged: Option<bool>,
    attach_stdin: Option<bool>,
    attach_stdout: Option<bool>,
    attach_stderr: Option<bool>,
}

impl CreateBody {
    fn into_spec(self) -> Result<ExecSpec, ApiError> {
        let args = self.cmd.map(Vec::from).unwrap_or_default();
        if args.is_empty() {
            return Err(ApiError::invalid("No exec command specified"));
        }
        Ok(ExecSpec {
            args,
            env: self.env.unwrap_or_default(),
            working_dir: self.working_dir.unwrap_or_default(),
            user: self.user.unwrap_or_default(),
            tty: self.tty.unwrap_or_default(),
            privileged: self.privileged.unwrap_or_default(),
            stdin: self.attach_stdin.unwrap_or_default(),
            stdout: self.attach_stdout.unwrap_or_default(),
            stderr: self.attach_stderr.unwrap_or_default(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct StartBody {
    detach: Option<bool>,
    tty: Option<bool>,
    /// Rows and columns.
    console_size: Option<Vec<u16>>,
}

pub async fn create(call: Call, id: String) -> Answer {
    let Call { app, request, .. } = call;
    let body: CreateBody = request::need_json(request.into_body()).await?;
    let exec = app.engine.exec_create(&id, body.into_spec()?)?;
    Ok(request::json(StatusCode::CREATED, &json!({ "Id": exec })))
}

pub async fn start(call: Call, id: String) -> Answer {
    let Call {
        app,
        api_minor,
        mut request,
        ..
    } = call;
    let client = match hijack::wants_upgrade(request.headers()) {
        true => Client::Upgrades(hyper::upgrade::on(&mut request)),
        false => Client::Plain(None),
    };
    let body: StartBody = request::read_json(request.into_body()).await?.unwrap_or_default();
    let detach = body.detach == Some(true);
    let tty = body.tty == Some(true);
    let size = match body.console_size.as_deref() {
        Some([rows, columns]) if tty && *rows > 0 && *columns > 0 => Some(engine::WindowSize {
            rows: *rows,
            columns: *columns,
        }),
        _ => None,
    };
    let attachment = match app.engine.exec_start(&id, size).await {
        Ok(attachment) => attachment,
        Err(error) if !detach && is_of_command(error.kind()) => said_on_stdout(&error.to_string(), tty),
        Err(error) => return Err(error.into()),
    };
    if detach {
        return Ok(request::empty(StatusCode::OK));
    }
    let framing = Framing::of(tty);
    let content_type = framing.content_type(api_minor);
    Ok(hijack::answer(
        client,
        content_type,
        framing,
        attachment.output,
        attachment.input,
    ))
}

fn is_of_command(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::CommandNotFound | ErrorKind::CommandNotExecutable)
}

/// Why a command did not run is said where its output would be, as docker does; its exit code is in the exec.
fn said_on_stdout(message: &str, tty: bool) -> Attachment {
    let (sender, output) = mpsc::channel(1);
    let line = Chunk {
        source: Source::Stdout,
        bytes: Bytes::from(format!("{message}\r\n")),
    };
    // There is room for one.
    let _ = sender.try_send(line);
    Attachment {
        output,
        input: None,
        tty,
    }
}

pub async fn resize(call: &Call, id: &str) -> Answer {
    let size = super::window_size_of(&call.query)?;
    call.engine().exec_resize(id, size).await?;
    Ok(request::empty(StatusCode::OK))
}

pub fn inspect(call: &Call, id: &str) -> Answer {
    Ok(request::ok_json(&exec_json(&call.engine().exec(id)?)))
}

fn exec_json(exec: &Exec) -> Value {
    let spec = &exec.spec;
    json!({
        "ID": exec.id,
        "Running": exec.running,
        "ExitCode": exec.exit_code,
        "ProcessConfig": {
            "tty": spec.tty,
            "entrypoint": spec.args.first().map_or("", String::as_str),
            "arguments": spec.args.get(1..).unwrap_or_default(),
            "privileged": spec.privileged,
            "user": spec.user,
        },
        "OpenStdin": spec.stdin,
        "OpenStderr": spec.stderr,
        "OpenStdout": spec.stdout,
        "CanRemove": !exec.running && exec.exit_code.is_some(),
        "ContainerID": exec.container,
        "DetachKeys": "",
        "Pid": exec.pid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(body: Value) -> Result<ExecSpec, ApiError> {
        serde_json::from_value::<CreateBody>(body).unwrap().into_spec()
    }

    #[test]
    fn what_docker_sends_is_understood() {
        let spec = spec(json!({
            "User": "", "Privileged": false, "Tty": true, "AttachStdin": true, "AttachStderr": true,
            "AttachStdout": true, "DetachKeys": "", "Env": null, "WorkingDir": "/tmp", "Cmd": ["sh", "-l"],
            "ConsoleSize": [24, 80],
        }))
        .unwrap();
        assert_eq!(spec.args, ["sh", "-l"]);
        assert!(spec.tty && spec.stdin && spec.stdout && spec.stderr && !spec.privileged);
        assert_eq!(spec.working_dir, "/tmp");
    }

    #[test]
    fn a_command_is_needed() {
        for body in [json!({}), json!({ "Cmd": null }), json!({ "Cmd": [] })] {
            assert_eq!(spec(body).unwrap_err().message, "No exec command specified");
        }
    }

    #[tokio::test]
    async fn why_a_command_did_not_run_is_said_once() {
        let mut attachment = said_on_stdout("exec: \"x\": executable file not found in $PATH", false);
        let chunk = attachment.output.recv().await.unwrap();
        assert_eq!(chunk.bytes, "exec: \"x\": executable file not found in $PATH\r\n");
        assert_eq!(attachment.output.recv().await, None);
    }

    #[test]
    fn inspect_tells_the_exit_code() {
        let exec = Exec {
            id: "e".to_owned(),
            container: "c".to_owned(),
            spec: ExecSpec {
                args: vec!["ls".to_owned(), "/".to_owned()],
                ..ExecSpec::default()
            },
            running: false,
            pid: 0,
            exit_code: Some(2),
        };
        let value = exec_json(&exec);
        assert_eq!(value["ExitCode"], 2);
        assert_eq!(value["ProcessConfig"]["entrypoint"], "ls");
        assert_eq!(value["ProcessConfig"]["arguments"], json!(["/"]));
        assert_eq!(value["CanRemove"], true);
        let running = exec_json(&Exec {
            running: true,
            exit_code: None,
            ..exec
        });
        assert_eq!(running["ExitCode"], Value::Null);
    }
}
