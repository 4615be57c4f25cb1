//! Commands and files in a lab's dom0, over one shared ssh connection.

use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// How to reach a dom0.
#[derive(Debug, Clone)]
pub struct Host {
    pub port: u16,
    pub key: PathBuf,
    /// Socket of the shared connection: a handshake costs seconds in emulation.
    pub control: PathBuf,
}

/// What a command in dom0 gave.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Outcome {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl Host {
    /// An ssh that runs `args` as they are given: no shell of dom0 changes them.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S], terminal: bool) -> Command {
        let mut command = self.ssh();
        // A shell that stays tells a death by signal as 128 + N, where ssh itself would tell nothing; what bash has to
        // say about it goes nowhere.
        let line: OsString = [
            "exec 9>&2 2>/dev/null; ".into(),
            quote(args),
            " 2>&9 9>&-; exit $?".into(),
        ]
        .into_iter()
        .collect();
        command
            .arg(if terminal { "-tt" } else { "-T" })
            .arg("root@127.0.0.1")
            .arg(line);
        command
    }

    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.options()).arg("-p").arg(self.port.to_string());
        command
    }

    fn options(&self) -> Vec<OsString> {
        let mut control = OsString::from("ControlPath=");
        control.push(&self.control);
        let mut options: Vec<OsString> = ["-F", "none", "-i"].map(OsString::from).to_vec();
        options.push(self.key.clone().into());
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=60",
            "ServerAliveInterval=30",
            "ControlMaster=auto",
            "ControlPersist=yes",
            "SendEnv=TERM",
        ] {
            options.extend([OsString::from("-o"), option.into()]);
        }
        options.extend([OsString::from("-o"), control]);
        options
    }

    /// Runs a command with nothing on its stdin and keeps what it prints.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Outcome> {
        let output = self
            .command(args, false)
            .stdin(Stdio::null())
            .output()
            .context("cannot run ssh")?;
        Ok(Outcome {
            code: exit_code(output.status),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    /// Runs a shell script of dom0; anything but exit code 0 is an error with what it printed.
    pub fn script(&self, script: &str) -> Result<String> {
        let outcome = self.run(&["bash", "-c", script])?;
        if outcome.code != 0 {
            bail!(
                "exit code {} of: {script}\n{}{}",
                outcome.code,
                outcome.out(),
                outcome.err()
            );
        }
        Ok(outcome.out())
    }

    /// Unpacks a tar archive in dom0.
    pub fn unpack(&self, archive: &[u8], folder: &str) -> Result<()> {
        let mut child = self
            .command(&["tar", "-x", "-C", folder], false)
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run ssh")?;
        child.stdin.take().context("no stdin")?.write_all(archive)?;
        if !child.wait()?.success() {
            bail!("cannot unpack files into {folder} of dom0");
        }
        Ok(())
    }

    /// Copies a file or folder; `:` in front of one path says that it is dom0's.
    pub fn copy(&self, from: &str, to: &str) -> Result<()> {
        let side = |path: &str| match path.strip_prefix(':') {
            Some(path) => format!("root@127.0.0.1:{path}"),
            None if Path::new(path).is_relative() => format!("./{path}"),
            None => path.to_owned(),
        };
        if from.starts_with(':') == to.starts_with(':') {
            bail!("one of the two paths must be in dom0: put a colon in front of it");
        }
        let status = Command::new("scp")
            .args(self.options())
            .args([
                "-q",
                "-r",
                "-p",
                "-P",
                &self.port.to_string(),
                &side(from),
                &side(to),
            ])
            .status()
            .context("cannot run scp")?;
        if !status.success() {
            bail!("cannot copy {from} to {to}");
        }
        Ok(())
    }

    /// Lets dom0 reach a server of this machine under dom0's own `localhost:port`.
    pub fn serve(&self, port: u16) -> Result<()> {
        self.control_command(&[
            "-O",
            "forward",
            "-R",
            &format!("127.0.0.1:{port}:127.0.0.1:{port}"),
        ])
    }

    /// Lets a unix socket of this machine lead to one of dom0.
    pub fn forward(&self, here: &Path, there: &str) -> Result<()> {
        self.control_command(&["-O", "forward", "-L", &format!("{}:{there}", here.display())])
    }

    /// Ends the shared connection, if there is one.
    pub fn disconnect(&self) {
        if self.control.exists() {
            let _ = self.control_command(&["-O", "exit"]);
        }
    }

    fn control_command(&self, args: &[&str]) -> Result<()> {
        let output = self
            .ssh()
            .args(args)
            .arg("root@127.0.0.1")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!(
                "ssh {}: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

/// As a shell counts: 128 + N for signal N.
pub fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// One string that a POSIX shell splits into exactly these words.
fn quote<S: AsRef<OsStr>>(args: &[S]) -> OsString {
    let mut line = Vec::new();
    for arg in args {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.push(b'\'');
        for &byte in arg.as_ref().as_bytes() {
            match byte {
                b'\'' => line.extend(b"'\\''"),
                _ => line.push(byte),
            }
        }
        line.push(b'\'');
    }
    OsString::from_vec(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gives_back_every_argument() {
        let args = [
            "plain",
            "",
            "two words",
            "it's",
            "$HOME `id` \\ \"x\"",
            "line\nbreak",
            "-n",
            "*",
        ];
        let mut script = OsString::from("printf '%s\\0' ");
        script.push(quote(&args));
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        let back: Vec<_> = output
            .stdout
            .split(|b| *b == 0)
            .map(|s| String::from_utf8_lossy(s).into_owned())
            .collect();
        assert_eq!(back[..args.len()], args);
    }
}
