//! `commit --change`: those instructions of a Dockerfile that say how to run an image.

use super::settings::{Settings, name_of};
use super::words::{expand, split};
use crate::error::Error;
use crate::signal;
use serde_json::{Value, json};
use std::time::Duration;

const KNOWN: &[&str] = &[
    "CMD",
    "ENTRYPOINT",
    "HEALTHCHECK",
    "ENV",
    "EXPOSE",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Applies instructions, one a line; a line that ends with a backslash goes on in the next.
pub fn apply(settings: &mut Settings, text: &str) -> Result<(), Error> {
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    // An entrypoint takes an inherited command away, but not one of the same request.
    let mut has_cmd = false;
    for line in joined.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let name = name.to_ascii_uppercase();
        if !KNOWN.contains(&name.as_str()) {
            return Err(Error::invalid(format!("{name} is not a valid change command")));
        }
        let done = one(settings, &name, rest.trim(), &mut has_cmd);
        done.map_err(|why| Error::invalid(format!("{name}: {why}")))?;
    }
    Ok(())
}

fn one(settings: &mut Settings, name: &str, rest: &str, has_cmd: &mut bool) -> Result<(), String> {
    if rest.is_empty() {
        return Err(format!("{name} requires at least one argument"));
    }
    let expanded = |text: &str, settings: &Settings| expand(text, &settings.env);
    let single = |settings: &Settings| match &split(rest)?[..] {
        [word] => expanded(word, settings),
        _ => Err(format!("{name} requires exactly one argument")),
    };
    match name {
        "CMD" => {
            settings.cmd = Some(command(rest)).filter(|words| !words.is_empty());
            *has_cmd = true;
        }
        "ENTRYPOINT" => {
            settings.entrypoint = Some(command(rest)).filter(|words| !words.is_empty());
            if !*has_cmd {
                settings.cmd = None;
            }
        }
        "ENV" => {
            // All of one line see the variables as they were before it.
            let before = settings.env.clone();
            for (key, value) in pairs(rest)? {
                let pair = format!("{}={}", expand(&key, &before)?, expand(&value, &before)?);
                match settings
                    .env
                    .iter()
                    .position(|known| name_of(known) == name_of(&pair))
                {
                    Some(at) => settings.env[at] = pair,
                    None => settings.env.push(pair),
                }
            }
        }
        "LABEL" => {
            for (key, value) in pairs(rest)? {
                let (key, value) = (expanded(&key, settings)?, expanded(&value, settings)?);
                settings.labels.insert(key, value);
            }
        }
        "EXPOSE" => {
            for word in split(rest)? {
                for port in ports(&expanded(&word, settings)?)? {
                    settings.exposed_ports.insert(port, json!({}));
                }
            }
        }
        "VOLUME" => {
            let words = match json_words(rest) {
                Some(words) => words,
                None => split(rest)?,
            };
            for word in words {
                let volume = expanded(&word, settings)?.trim().to_owned();
                if volume.is_empty() {
                    return Err("VOLUME specified can not be an empty string".to_owned());
                }
                settings.volumes.insert(volume, json!({}));
            }
        }
        "USER" => settings.user = single(settings)?,
        "WORKDIR" => {
            let path = expanded(rest, settings)?;
            settings.working_dir = joined(&settings.working_dir, &path);
        }
        "STOPSIGNAL" => {
            let wanted = single(settings)?;
            if signal::parse(&wanted).is_none() {
                return Err(format!("invalid signal: {wanted}"));
            }
            settings.stop_signal = wanted;
        }
        "HEALTHCHECK" => settings.healthcheck = Some(healthcheck(rest)?),
        "ONBUILD" => {
            let trigger = rest
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match trigger.as_str() {
                "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
                "MAINTAINER" | "FROM" => {
                    return Err(format!("{trigger} isn't allowed as an ONBUILD trigger"));
                }
                _ => settings.on_build.push(rest.to_owned()),
            }
        }
        other => return Err(format!("{other} is not a valid change command")),
    }
    Ok(())
}

fn json_words(text: &str) -> Option<Vec<String>> {
    text.starts_with('[')
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// A list as it is, and anything else for the shell.
fn command(text: &str) -> Vec<String> {
    json_words(text).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

/// `a=b c=d`, or `a b c` for a single one.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = split(text)?;
    if !words.first().is_some_and(|word| word.contains('=')) {
        let (key, value) = text
            .split_once(char::is_whitespace)
            .ok_or("it must have two arguments")?;
        return Ok(vec![(key.to_owned(), value.trim_start().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) => Err("names can not be blank".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!(
            "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
        )),
    };
    words.into_iter().map(pair).collect()
}

/// `80`, `80/udp`, `8000-8002/tcp`; what is left of a colon is the host's and no matter of an image.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("invalid containerPort: {text}");
    let own = text.rsplit(':').next().unwrap_or(text);
    let (range, protocol) = own.split_once('/').unwrap_or((own, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn joined(before: &str, path: &str) -> String {
    let whole = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{before}/{path}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `[--interval=30s …] CMD command`, or `NONE`.
fn healthcheck(text: &str) -> Result<Value, String> {
    let mut check = serde_json::Map::new();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag
            .split_once('=')
            .ok_or_else(|| format!("missing a value on flag: --{flag}"))?;
        let key = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => {
                let count: u32 = value
                    .parse()
                    .map_err(|_| format!("--retries {value:?} is no number"))?;
                check.insert("Retries".to_owned(), json!(count));
                rest = after.trim_start();
                continue;
            }
            other => return Err(format!("unknown flag: --{other}")),
        };
        let length = duration(value).ok_or_else(|| format!("--{name} {value:?} is no duration"))?;
        check.insert(key.to_owned(), json!(length.as_nanos() as u64));
        rest = after.trim_start();
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "CMD" if rest.trim().is_empty() => return Err("Missing command after HEALTHCHECK CMD".to_owned()),
        "CMD" => match json_words(rest.trim()) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), rest.trim().to_owned()],
        },
        other => return Err(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)")),
    };
    check.insert("Test".to_owned(), json!(test));
    Ok(check.into())
}

/// Go's: `1h2m3.5s`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut all = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit) = rest.split_at(end);
        let end = unit
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        all = all.checked_add(part)?;
        rest = after;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str) -> Result<Value, String> {
        let mut settings = Settings {
            env: vec!["A=a".to_owned()],
            cmd: Some(vec!["old".to_owned()]),
            working_dir: "/w".to_owned(),
            ..Settings::default()
        };
        apply(&mut settings, text).map_err(|error| error.to_string())?;
        let mut value = settings.to_json();
        let all = value.as_object_mut().unwrap();
        for (key, usual) in [
            ("Env", json!(["A=a"])),
            ("Cmd", json!(["old"])),
            ("WorkingDir", json!("/w")),
        ] {
            if all.get(key) == Some(&usual) {
                all.remove(key);
            }
        }
        Ok(value)
    }

    #[test]
    fn instructions_do_as_in_a_dockerfile() {
        for (text, expected) in [
            ("CMD echo $A", json!({ "Cmd": ["/bin/sh", "-c", "echo $A"] })),
            ("cmd [\"a\", \"b\"]", json!({ "Cmd": ["a", "b"] })),
            ("ENTRYPOINT [\"/e\"]", json!({ "Entrypoint": ["/e"] })),
            (
                "CMD x\nENTRYPOINT [\"/e\"]",
                json!({ "Entrypoint": ["/e"], "Cmd": ["/bin/sh", "-c", "x"] }),
            ),
            ("ENV A=b B=\"$A c\"", json!({ "Env": ["A=b", "B=a c"] })),
            ("ENV KEY some words", json!({ "Env": ["A=a", "KEY=some words"] })),
            (
                "LABEL a=b \"c d\"='e f'",
                json!({ "Labels": { "a": "b", "c d": "e f" } }),
            ),
            (
                "EXPOSE 80 8000-8001/udp",
                json!({ "ExposedPorts": { "80/tcp": {}, "8000/udp": {}, "8001/udp": {} } }),
            ),
            (
                "VOLUME [\"/x\", \"/y z\"]",
                json!({ "Volumes": { "/x": {}, "/y z": {} } }),
            ),
            ("VOLUME /x /$A", json!({ "Volumes": { "/x": {}, "/a": {} } })),
            ("USER me:us", json!({ "User": "me:us" })),
            ("WORKDIR sub/../other", json!({ "WorkingDir": "/w/other" })),
            ("STOPSIGNAL SIGQUIT", json!({ "StopSignal": "SIGQUIT" })),
            ("HEALTHCHECK NONE", json!({ "Healthcheck": { "Test": ["NONE"] } })),
            (
                "HEALTHCHECK --interval=1m30s --retries=2 CMD curl x",
                json!({ "Healthcheck": { "Interval": 90_000_000_000_u64, "Retries": 2, "Test": ["CMD-SHELL", "curl x"] } }),
            ),
            ("ONBUILD RUN x", json!({ "OnBuild": ["RUN x"] })),
            ("# nothing\n\nUSER \\\nme", json!({ "User": "me" })),
        ] {
            let found = applied(text);
            if text.starts_with("ENTRYPOINT") {
                // What the image has said of the command is gone.
                assert_eq!(found.as_ref().unwrap().get("Cmd"), None);
            }
            assert_eq!(found, Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "RUN x",
            "FROM x",
            "CMD",
            "USER a b",
            "STOPSIGNAL NO",
            "EXPOSE x",
            "EXPOSE 5-1",
            "ENV x",
            "ENV a=b c",
            "ONBUILD FROM x",
            "ONBUILD ONBUILD RUN x",
            "HEALTHCHECK x",
            "HEALTHCHECK --interval=x CMD y",
            "LABEL =x",
        ] {
            assert!(applied(text).is_err(), "{text}");
        }
        assert_eq!(applied("RUN x").unwrap_err(), "RUN is not a valid change command");
    }
}
