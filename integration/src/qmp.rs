//! The part of QEMU's machine protocol (docs/interop/qmp-spec) that starting and saving a machine needs.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A machine that does not answer for so long is taken for dead.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Qmp {
    stream: UnixStream,
    lines: std::io::Lines<BufReader<UnixStream>>,
}

impl Qmp {
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("no QEMU at {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let lines = BufReader::new(stream.try_clone()?).lines();
        let mut qmp = Self { stream, lines };
        qmp.receive(|message| message.get("QMP").is_some())?;
        qmp.run("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns what it returns.
    pub fn run(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes())?;
        let answer =
            self.receive(|message| message.get("return").is_some() || message.get("error").is_some())?;
        match answer.get("error") {
            Some(error) => bail!(
                "QEMU refused {command}: {}",
                error["desc"].as_str().unwrap_or("no reason given")
            ),
            None => Ok(answer["return"].clone()),
        }
    }

    /// Moves the machine's state to or from a file and waits for the end of that.
    pub fn migrate(&mut self, command: &str, file: &Path) -> Result<()> {
        let events = json!([{ "capability": "events", "state": true }]);
        self.run("migrate-set-capabilities", json!({ "capabilities": events }))?;
        self.run("migrate-set-parameters", json!({ "max-bandwidth": 0 }))?;
        self.run(command, json!({ "uri": format!("file:{}", file.display()) }))?;
        let end = self.receive(|message| {
            message["event"] == "MIGRATION"
                && matches!(message["data"]["status"].as_str(), Some("completed" | "failed"))
        })?;
        if end["data"]["status"] == "failed" {
            let why = self.run("query-migrate", json!({}))?;
            bail!(
                "QEMU could not move the machine's state: {}",
                why["error-desc"].as_str().unwrap_or("no reason")
            );
        }
        Ok(())
    }

    fn receive(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let line = self.lines.next().context("QEMU closed its control socket")??;
            let message: Value = serde_json::from_str(&line).context("QEMU sent no JSON")?;
            if wanted(&message) {
                return Ok(message);
            }
        }
    }
}
