//! A daemon of one container on a unix socket: the bits of the API that the command line lives on, with the order of
//! calls that a real one sees.

// Each file of tests uses its own part of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::{Value, json};

pub const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The process: reads its stdin, writes frames or raw bytes, returns its exit code.
pub type Process = fn(&mut dyn Read, &mut dyn Write) -> i32;

pub struct Setup {
    pub process: Process,
    pub tty: bool,
    pub image_present: bool,
    pub start_error: Option<(u16, &'static str)>,
    pub logs: Vec<u8>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            process: |_, _| 0,
            tty: false,
            image_present: true,
            start_error: None,
            logs: Vec::new(),
        }
    }
}

#[derive(Default)]
struct State {
    started: bool,
    exit_code: Option<i32>,
    pulled: bool,
    calls: Vec<String>,
    bodies: Vec<Value>,
}

struct Shared {
    setup: Setup,
    state: Mutex<State>,
    changed: Condvar,
    calls: Mutex<Sender<String>>,
}

pub struct Daemon {
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
    calls: Receiver<String>,
}

impl Daemon {
    pub fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("sock")).unwrap();
        let (sender, calls) = channel();
        let shared = Arc::new(Shared {
            setup,
            state: Mutex::default(),
            changed: Condvar::new(),
            calls: Mutex::new(sender),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&serving));
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self {
            directory,
            shared,
            calls,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hyper"));
        command
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .args(line)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, line: &[&str]) -> Output {
        self.command(line).output().unwrap()
    }

    /// Every call so far, without version and query.
    pub fn calls(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().calls.clone()
    }

    pub fn bodies(&self) -> Vec<Value> {
        self.shared.state.lock().unwrap().bodies.clone()
    }

    /// Waits for a call whose method and path with its query contain `text`.
    pub fn wait_for(&self, text: &str) -> String {
        self.calls.iter().find(|call| call.contains(text)).unwrap()
    }
}

impl Shared {
    fn serve(&self, stream: UnixStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return;
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let mut length = 0;
        let mut upgrade = false;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let header = header.trim().to_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            upgrade |= header == "upgrade: tcp";
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let path = target.split('?').next().unwrap();
        let path = path.strip_prefix("/v1.51").unwrap_or(path).to_owned();
        {
            let mut state = self.state.lock().unwrap();
            state.calls.push(format!("{method} {path}").replace(ID, "ID"));
            state.bodies.push(body);
        }
        let _ = self.calls.lock().unwrap().send(format!("{method} {target}"));
        self.answer(method, &path, &target, upgrade, reader, stream);
    }

    fn answer(
        &self,
        method: &str,
        path: &str,
        target: &str,
        upgrade: bool,
        mut reader: BufReader<UnixStream>,
        mut stream: UnixStream,
    ) {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["containers", "create"]) => {
                let present = self.setup.image_present || self.state.lock().unwrap().pulled;
                match present {
                    true => reply(&mut stream, 201, &json!({"Id": ID, "Warnings": ["odd"]})),
                    false => error(&mut stream, 404, "No such image: busybox:latest"),
                }
            }
            ("POST", ["images", "create"]) => {
                self.state.lock().unwrap().pulled = true;
                let lines = [
                    json!({"status": "Pulling from library/busybox", "id": "latest"}),
                    json!({"status": "Downloading", "id": "aa", "progressDetail": {"current": 1, "total": 2}}),
                    json!({"status": "Pull complete", "id": "aa", "progressDetail": {}}),
                    json!({"status": "Status: Downloaded newer image for busybox:latest"}),
                ];
                let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
                raw(&mut stream, "200 OK", "application/json", text.as_bytes());
            }
            ("POST", ["containers", _, "attach"]) | ("POST", ["exec", _, "start"]) if upgrade => {
                let kind = match self.setup.tty {
                    true => "raw-stream",
                    false => "multiplexed-stream",
                };
                write!(
                    stream,
                    "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
                     Content-Type: application/vnd.docker.{kind}\r\n\r\n"
                )
                .unwrap();
                if parts[0] == "containers" {
                    self.until(|state| state.started.then_some(()));
                }
                let code = (self.setup.process)(&mut reader, &mut stream);
                self.change(|state| state.exit_code = Some(code));
            }
            ("POST", ["containers", _, "wait"]) => {
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                .unwrap();
                let code = self.until(|state| state.exit_code);
                let body = json!({"StatusCode": code}).to_string();
                let _ = write!(stream, "{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
            }
            ("POST", ["containers", _, "start"]) => match self.setup.start_error {
                Some((status, message)) => error(&mut stream, status, message),
                None => {
                    reply(&mut stream, 204, &Value::Null);
                    self.change(|state| state.started = true);
                }
            },
            ("POST", ["containers", _, "kill"]) => {
                reply(&mut stream, 204, &Value::Null);
                if target.ends_with("signal=TERM") {
                    self.change(|state| state.exit_code = Some(143));
                }
            }
            ("POST", ["containers", _, "exec"]) => reply(&mut stream, 201, &json!({"Id": "e1"})),
            ("GET", ["exec", _, "json"]) => {
                let code = self.until(|state| state.exit_code);
                reply(&mut stream, 200, &json!({"ExitCode": code, "Running": false}));
            }
            ("GET", ["containers", "json"]) => reply(
                &mut stream,
                200,
                &json!([{
                    "Id": ID, "Names": ["/web"], "Image": "busybox", "Command": "sh", "Created": 1,
                    "State": "running", "Status": "Up 5 seconds", "Labels": {"a": "b"}, "Ports": [],
                }]),
            ),
            ("GET", ["containers", name, "json"]) if *name != "missing" => reply(
                &mut stream,
                200,
                &json!({
                    "Id": ID,
                    "Name": format!("/{name}"),
                    "Config": {"Tty": self.setup.tty, "OpenStdin": true, "Labels": {}},
                    "State": {"Running": true, "ExitCode": 0},
                    "HostConfig": {"AutoRemove": false},
                }),
            ),
            ("GET", ["containers", _, "logs"]) | ("GET", ["hyper", "v1", "containers", _, "console"]) => {
                raw(
                    &mut stream,
                    "200 OK",
                    "application/octet-stream",
                    &self.setup.logs,
                );
            }
            ("GET", ["hyper", "v1", "containers", _, "plan"]) => {
                reply(&mut stream, 200, &json!({"type": "pvh", "memory_mib": 64}));
            }
            ("POST", ["containers", _, "resize"]) => reply(&mut stream, 200, &Value::Null),
            ("DELETE", ["containers", name]) if *name != "missing" => {
                reply(&mut stream, 204, &Value::Null);
            }
            (_, [_, name, ..]) => error(&mut stream, 404, &format!("No such container: {name}")),
            _ => error(&mut stream, 404, "page not found"),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn until<T>(&self, ready: impl Fn(&State) -> Option<T>) -> T {
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(value) = ready(&state) {
                return value;
            }
            state = self.changed.wait(state).unwrap();
        }
    }
}

fn raw(stream: &mut UnixStream, status: &str, kind: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let head = match status {
        "204 No Content" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        _ => head,
    };
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

fn reply(stream: &mut UnixStream, status: u16, body: &Value) {
    let text = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let status = match status {
        200 => "200 OK",
        201 => "201 Created",
        204 => "204 No Content",
        400 => "400 Bad Request",
        404 => "404 Not Found",
        _ => "500 Internal Server Error",
    };
    raw(stream, status, "application/json", text.as_bytes());
}

fn error(stream: &mut UnixStream, status: u16, message: &str) {
    reply(stream, status, &json!({"message": message}));
}

pub fn frame(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![channel, 0, 0, 0];
    bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}
