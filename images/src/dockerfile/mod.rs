//! Instructions of a Dockerfile that change an image's config, as `commit` and `import` take them with `--change`.
//!
//! They are read and carried out as docker's classic builder does it, with its messages.

mod expand;
mod health;
mod lines;
mod ports;
mod words;

use expand::Shell;
use lines::Instruction;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Changes that cannot be made, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChangeError(String);

fn wrong(why: impl Into<String>) -> ChangeError {
    ChangeError(why.into())
}

/// All changes of one request together.
const MAX_BYTES: usize = 1 << 20;
/// What variables may make of them.
const MAX_EXPANDED_BYTES: usize = 4 << 20;

/// Makes changes to the `config` of an image's config, one instruction after the other; a failure leaves it undefined.
/// `is_signal` says whether a `STOPSIGNAL` is known.
pub fn change(
    config: &mut Map<String, Value>,
    changes: &[String],
    is_signal: impl Fn(&str) -> bool,
) -> Result<(), ChangeError> {
    if changes.is_empty() {
        return Ok(());
    }
    let text = changes.join("\n");
    if text.len() > MAX_BYTES {
        return Err(wrong(format!("changes exceed the limit of {MAX_BYTES} bytes")));
    }
    let (instructions, escape) = lines::parse(&text)?;
    for instruction in &instructions {
        if !KEYWORDS.contains(&instruction.keyword().as_str()) {
            return Err(wrong(format!(
                "{} is not a valid change command",
                instruction.word
            )));
        }
    }
    let mut builder = Builder {
        config,
        is_signal: &is_signal,
        escape,
        cmd_set: false,
        expanded_bytes: 0,
    };
    instructions
        .iter()
        .try_for_each(|instruction| builder.carry_out(instruction))
}

const KEYWORDS: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

struct Builder<'a> {
    config: &'a mut Map<String, Value>,
    is_signal: &'a dyn Fn(&str) -> bool,
    escape: char,
    /// A `CMD` was among the changes, so an `ENTRYPOINT` leaves it alone.
    cmd_set: bool,
    expanded_bytes: usize,
}

impl Builder<'_> {
    fn carry_out(&mut self, instruction: &Instruction) -> Result<(), ChangeError> {
        let keyword = instruction.keyword();
        if keyword != "HEALTHCHECK" {
            no_flags(&instruction.flags)?;
        }
        let rest = instruction.rest.as_str();
        match keyword.as_str() {
            "CMD" => {
                let command = words::command(rest)?;
                self.cmd_set |= !command.words.is_empty();
                let words = self.command_line(command);
                self.set("Cmd", json!(words));
            }
            "ENTRYPOINT" => {
                let command = words::command(rest)?;
                let words = match command.words.is_empty() {
                    true => Value::Null,
                    false => json!(self.command_line(command)),
                };
                self.set("Entrypoint", words);
                if !self.cmd_set {
                    self.set("Cmd", Value::Null);
                }
            }
            "ENV" => {
                for (name, value) in self.pairs("ENV", rest)? {
                    self.set_env(&name, &value);
                }
            }
            "LABEL" => {
                for (name, value) in self.pairs("LABEL", rest)? {
                    self.object("Labels").insert(name, json!(value));
                }
            }
            "EXPOSE" => self.expose(rest)?,
            "HEALTHCHECK" => {
                let health = health::parse(rest, &instruction.flags)?;
                self.set("Healthcheck", health);
            }
            "ONBUILD" => self.on_build(rest)?,
            "STOPSIGNAL" => {
                let signal = self.one("STOPSIGNAL", rest)?;
                if !(self.is_signal)(&signal) {
                    return Err(wrong(format!("invalid signal: {signal}")));
                }
                self.set("StopSignal", json!(signal));
            }
            "USER" => {
                let user = self.one("USER", rest)?;
                self.set("User", json!(user));
            }
            "VOLUME" => self.volume(rest)?,
            // The only one left of those that were let in.
            _ => self.work_dir(rest)?,
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
    }

    /// The object below a key; whatever else stood there is replaced.
    fn object(&mut self, key: &str) -> &mut Map<String, Value> {
        let value = self.config.entry(key).or_insert(Value::Null);
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(object) => object,
            _ => unreachable!("it was just made an object"),
        }
    }

    fn strings(&self, key: &str) -> Vec<String> {
        let list = self.config.get(key).and_then(Value::as_array);
        let strings = list.into_iter().flatten().filter_map(Value::as_str);
        strings.map(str::to_owned).collect()
    }

    /// The shell goes before what is not in JSON.
    fn command_line(&self, command: words::Command) -> Vec<String> {
        if command.is_json {
            return command.words;
        }
        let mut line = self.strings("Shell");
        if line.is_empty() {
            line = vec!["/bin/sh".to_owned(), "-c".to_owned()];
        }
        line.extend(command.words);
        line
    }

    fn env(&self) -> BTreeMap<String, String> {
        let pairs = self.strings("Env").into_iter();
        pairs
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (pair, String::new()),
            })
            .collect()
    }

    fn shell(&self) -> Shell {
        Shell::new(self.env(), self.escape)
    }

    /// Replaces variables in a word and takes its quotes away.
    fn expand(&mut self, shell: &Shell, word: &str) -> Result<String, ChangeError> {
        let expanded = shell.word(word)?;
        self.count(expanded.len())?;
        Ok(expanded)
    }

    fn count(&mut self, bytes: usize) -> Result<(), ChangeError> {
        self.expanded_bytes += bytes;
        match self.expanded_bytes > MAX_EXPANDED_BYTES {
            true => Err(wrong(format!(
                "changes exceed the limit of {MAX_EXPANDED_BYTES} bytes with their variables"
            ))),
            false => Ok(()),
        }
    }

    /// All of one instruction are read with the variables from before it.
    fn pairs(&mut self, keyword: &str, rest: &str) -> Result<Vec<(String, String)>, ChangeError> {
        let pairs = words::pairs(keyword, rest, self.escape)?;
        if pairs.is_empty() {
            return Err(at_least_one(keyword));
        }
        if pairs.iter().any(|(name, _)| name.is_empty()) {
            return Err(wrong(format!("{keyword} names can not be blank")));
        }
        let shell = self.shell();
        let expanded = pairs
            .iter()
            .map(|(name, value)| Ok((self.expand(&shell, name)?, self.expand(&shell, value)?)));
        expanded.collect()
    }

    fn one(&mut self, keyword: &str, rest: &str) -> Result<String, ChangeError> {
        if rest.is_empty() {
            return Err(wrong(format!("{keyword} requires exactly one argument")));
        }
        let shell = self.shell();
        self.expand(&shell, rest)
    }

    fn set_env(&mut self, name: &str, value: &str) {
        let mut env = self.strings("Env");
        let new = format!("{name}={value}");
        let same = |pair: &&mut String| pair.split('=').next() == Some(name);
        match env.iter_mut().find(same) {
            Some(pair) => *pair = new,
            None => env.push(new),
        }
        self.set("Env", json!(env));
    }

    fn expose(&mut self, rest: &str) -> Result<(), ChangeError> {
        let specs = words::plain(rest);
        if specs.is_empty() {
            return Err(at_least_one("EXPOSE"));
        }
        let shell = self.shell();
        for spec in specs {
            // One variable may have several ports.
            let expanded = shell.words(&spec)?;
            self.count(expanded.iter().map(String::len).sum())?;
            for spec in expanded {
                for port in ports::parse(&spec)? {
                    self.object("ExposedPorts").insert(port, json!({}));
                }
            }
        }
        Ok(())
    }

    fn on_build(&mut self, rest: &str) -> Result<(), ChangeError> {
        let trigger = words::first(rest).to_ascii_uppercase();
        match trigger.as_str() {
            "" => return Err(at_least_one("ONBUILD")),
            "ONBUILD" => return Err(wrong("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
            "MAINTAINER" | "FROM" => {
                return Err(wrong(format!("{trigger} isn't allowed as an ONBUILD trigger")));
            }
            _ => {}
        }
        let mut triggers = self.strings("OnBuild");
        triggers.push(rest.to_owned());
        self.set("OnBuild", json!(triggers));
        Ok(())
    }

    fn volume(&mut self, rest: &str) -> Result<(), ChangeError> {
        let paths = words::list(rest)?;
        if paths.is_empty() {
            return Err(at_least_one("VOLUME"));
        }
        let shell = self.shell();
        for path in paths {
            let path = self.expand(&shell, &path)?;
            if path.trim().is_empty() {
                return Err(wrong("VOLUME specified can not be an empty string"));
            }
            self.object("Volumes").insert(path, json!({}));
        }
        Ok(())
    }

    fn work_dir(&mut self, rest: &str) -> Result<(), ChangeError> {
        let path = self.one("WORKDIR", rest)?;
        if path.is_empty() {
            return Err(wrong("cannot normalize nothing"));
        }
        let path = match path.starts_with('/') {
            true => path,
            false => {
                let current = self.config.get("WorkingDir").and_then(Value::as_str);
                join(current.unwrap_or_default(), &path)
            }
        };
        self.set("WorkingDir", json!(path));
        Ok(())
    }
}

fn at_least_one(keyword: &str) -> ChangeError {
    wrong(format!("{keyword} requires at least one argument"))
}

fn no_flags(flags: &[String]) -> Result<(), ChangeError> {
    match flags.first().map(String::as_str) {
        None | Some("--") => Ok(()),
        Some(flag) => Err(wrong(format!(
            "unknown flag: {}",
            flag.split('=').next().unwrap_or(flag)
        ))),
    }
}

/// A path below another, cleaned as Go's `path.Join("/", …)` does it.
fn join(current: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in current.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
#[path = "../dockerfile_tests.rs"]
mod tests;
