//! Logging drivers and their options.

use crate::error::Error;
use crate::state::Container;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `--log-driver` may be.
pub const DRIVERS: [&str; 3] = ["json-file", "journald", "none"];

/// Each rotation renames all of them.
const MAX_FILES: usize = 1000;

/// As asked for. An empty driver is json-file: what containers had before there was a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

/// When json-file begins another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotation {
    pub max_bytes: Option<u64>,
    /// The one that is written to among them; at least 1.
    pub max_files: usize,
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("logger: {why}"))
}

impl LogConfig {
    pub fn driver(&self) -> &str {
        match self.driver.as_str() {
            "" => "json-file",
            driver => driver,
        }
    }

    /// With what the daemon says of all containers, as docker puts them together.
    pub fn or(mut self, defaults: &Self) -> Self {
        if self.driver.is_empty() {
            defaults.driver().clone_into(&mut self.driver);
        }
        if self.driver == defaults.driver() {
            for (key, value) in &defaults.options {
                self.options.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        self
    }

    /// In docker's words.
    pub fn check(&self) -> Result<(), Error> {
        let driver = self.driver();
        if driver == "none" {
            return Ok(());
        }
        if !DRIVERS.contains(&driver) {
            return Err(refused(format!("no log driver named '{driver}' is registered")));
        }
        for (key, value) in &self.options {
            match key.as_str() {
                "mode" => self.check_mode(value)?,
                "max-buffer-size" if self.mode() == "non-blocking" => {
                    parse_bytes(value).ok_or_else(|| {
                        refused(format!(
                            "error parsing option max-buffer-size: invalid size: '{value}'"
                        ))
                    })?;
                }
                "max-buffer-size" => {
                    return Err(refused(
                        "max-buffer-size option is only supported with 'mode=non-blocking'",
                    ));
                }
                "labels" | "env" => {}
                "labels-regex" | "env-regex" => drop(expression(key, value)?),
                "tag" => drop(fill_tag(value, &|_| Some(String::new()))?),
                "max-size" | "max-file" if driver == "json-file" => {}
                // Rotated files are small beside what compressing them costs a host without a spare core.
                "compress" if driver == "json-file" => match value.as_str() {
                    "false" | "0" | "f" | "F" | "False" | "FALSE" => {}
                    _ => {
                        return Err(refused(
                            "compress is not supported: rotated files stay as they are",
                        ));
                    }
                },
                _ => {
                    return Err(Error::invalid(format!(
                        "unknown log opt '{key}' for {driver} log driver"
                    )));
                }
            }
        }
        self.rotation().map(drop)
    }

    fn mode(&self) -> &str {
        self.options.get("mode").map_or("", String::as_str)
    }

    /// Logging never waits long here, so both modes are kept and shown and mean the same.
    fn check_mode(&self, mode: &str) -> Result<(), Error> {
        match mode {
            "" | "blocking" | "non-blocking" => Ok(()),
            _ => Err(refused(format!("logging mode not supported: {mode}"))),
        }
    }

    pub(super) fn rotation(&self) -> Result<Rotation, Error> {
        let max_bytes = match self.options.get("max-size").map(String::as_str) {
            None | Some("-1") => None,
            Some(text) => Some(parse_bytes(text).filter(|bytes| *bytes > 0).ok_or_else(|| {
                refused(format!(
                    "invalid value for max-size: '{text}' is not a positive size"
                ))
            })?),
        };
        let max_files = match self.options.get("max-file") {
            None => 1,
            Some(text) => match text.parse::<usize>() {
                Ok(0) => return Err(refused("max-file cannot be less than 1")),
                Ok(files) if files > MAX_FILES => {
                    return Err(refused(format!("max-file cannot be more than {MAX_FILES}")));
                }
                Ok(files) => files,
                Err(_) => {
                    return Err(refused(format!(
                        "invalid value for max-file: '{text}' is not a number"
                    )));
                }
            },
        };
        Ok(Rotation { max_bytes, max_files })
    }

    /// What each entry tells besides the line.
    pub(super) fn attributes(&self, record: &Container) -> Result<BTreeMap<String, String>, Error> {
        let mut attributes = BTreeMap::new();
        let list = |key: &str| {
            let names = self.options.get(key).map_or("", String::as_str);
            names.split(',').filter(|name| !name.is_empty())
        };
        let found = |key: &str| {
            self.options
                .get(key)
                .map(|value| expression(key, value))
                .transpose()
        };
        let labels = &record.config.labels;
        for name in list("labels") {
            attributes.extend(labels.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        if let Some(wanted) = found("labels-regex")? {
            let fit = labels.iter().filter(|(name, _)| wanted.is_match(name));
            attributes.extend(fit.map(|(name, value)| (name.clone(), value.clone())));
        }
        let env: BTreeMap<&str, &str> = record
            .config
            .env
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .collect();
        for name in list("env") {
            attributes.extend(env.get(name).map(|value| (name.to_owned(), (*value).to_owned())));
        }
        if let Some(wanted) = found("env-regex")? {
            let fit = env.iter().filter(|(name, _)| wanted.is_match(name));
            attributes.extend(fit.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        }
        if self.driver() == "json-file" && self.options.contains_key("tag") {
            attributes.insert("tag".to_owned(), self.tag(record)?);
        }
        Ok(attributes)
    }

    /// The short id unless the option `tag` says otherwise.
    pub(super) fn tag(&self, record: &Container) -> Result<String, Error> {
        let template = self.options.get("tag").filter(|tag| !tag.is_empty());
        let image = record
            .image_id
            .strip_prefix("sha256:")
            .unwrap_or(&record.image_id);
        fill_tag(template.map_or("{{.ID}}", String::as_str), &|name| {
            Some(match name {
                "ID" => record.short_id().to_owned(),
                "FullID" => record.id.clone(),
                "Name" => record.name.clone(),
                "ImageID" => image.chars().take(12).collect(),
                "ImageFullID" => record.image_id.clone(),
                "ImageName" => record.config.image.clone(),
                "DaemonName" => "hyperd".to_owned(),
                _ => return None,
            })
        })
    }
}

fn expression(key: &str, text: &str) -> Result<Regex, Error> {
    // A pattern of a client's may be made to cost much: the default limit is 10 MiB.
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| refused(format!("invalid value for {key}: {error}")))
}

/// Docker's fields in braces; its functions are not known here.
fn fill_tag(template: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, Error> {
    let wrong = || {
        refused(format!(
            "invalid tag template '{template}': it takes fields like {{{{.Name}}}}"
        ))
    };
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (field, after) = after.split_once("}}").ok_or_else(wrong)?;
        let name = field.trim().strip_prefix('.').ok_or_else(wrong)?;
        let known = [
            "ID",
            "FullID",
            "Name",
            "ImageID",
            "ImageFullID",
            "ImageName",
            "DaemonName",
        ];
        if !known.contains(&name) {
            return Err(wrong());
        }
        filled.push_str(before);
        filled.push_str(&value(name).ok_or_else(wrong)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// `10m`: thousands, as docker's `units.FromHumanSize`.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text[number.len()..].trim_start();
    let unit = unit
        .strip_suffix("ib")
        .or_else(|| unit.strip_suffix('b'))
        .unwrap_or(unit);
    let power = ["", "k", "m", "g", "t", "p"]
        .iter()
        .position(|known| *known == unit)?;
    let number: f64 = number
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    let bytes = number * 1000f64.powi(i32::try_from(power).ok()?);
    // Floats hold whole numbers to 2^53, which no log reaches.
    (bytes < (1u64 << 53) as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;
    use crate::state::State;

    fn config(driver: &str, options: &[(&str, &str)]) -> LogConfig {
        LogConfig {
            driver: driver.to_owned(),
            options: options
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn sizes_are_dockers() {
        assert_eq!(parse_bytes("10m"), Some(10_000_000));
        assert_eq!(parse_bytes("1.5k"), Some(1500));
        assert_eq!(parse_bytes("32 KB"), Some(32_000));
        assert_eq!(parse_bytes("1GiB"), Some(1_000_000_000));
        for bad in ["", "m", "-1k", "1x", "1e99", "nan", "inf"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn options_are_checked_in_dockers_words() {
        let says = |driver: &str, options: &[(&str, &str)]| {
            config(driver, options).check().map_err(|error| error.to_string())
        };
        assert_eq!(says("", &[("max-size", "10m"), ("max-file", "3")]), Ok(()));
        assert_eq!(says("none", &[("anything", "goes")]), Ok(()));
        assert_eq!(says("journald", &[("tag", "{{.Name}}/{{.ID}}")]), Ok(()));
        for (driver, options, expected) in [
            (
                "syslog",
                &[][..],
                "logger: no log driver named 'syslog' is registered",
            ),
            (
                "json-file",
                &[("x", "1")],
                "unknown log opt 'x' for json-file log driver",
            ),
            (
                "journald",
                &[("max-size", "1m")],
                "unknown log opt 'max-size' for journald log driver",
            ),
            (
                "json-file",
                &[("max-file", "0")],
                "logger: max-file cannot be less than 1",
            ),
            (
                "json-file",
                &[("mode", "fast")],
                "logger: logging mode not supported: fast",
            ),
        ] {
            assert_eq!(says(driver, options).unwrap_err(), expected);
        }
        for bad in [
            &[("max-size", "lots")][..],
            &[("max-size", "0")],
            &[("max-size", "1m"), ("max-file", "x")],
            &[("compress", "true")],
            &[("tag", "{{.Name | upper}}")],
            &[("tag", "{{.Name")],
            &[("labels-regex", "(")],
            &[("max-buffer-size", "1m")],
        ] {
            assert!(says("json-file", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn defaults_of_the_daemon_belong_to_their_driver() {
        let defaults = config("json-file", &[("max-size", "10m"), ("max-file", "3")]);
        let own = config("", &[("max-file", "5")]).or(&defaults);
        assert_eq!(
            own,
            config("json-file", &[("max-size", "10m"), ("max-file", "5")])
        );
        assert_eq!(config("journald", &[]).or(&defaults), config("journald", &[]));
        assert_eq!(config("", &[]).or(&config("journald", &[])).driver(), "journald");
    }

    #[test]
    fn entries_tell_what_options_name() {
        let record = Container {
            id: "ab".repeat(32),
            name: "web".to_owned(),
            created_at: chrono::Utc::now(),
            image_id: "sha256:0123456789abcdef".to_owned(),
            config: Config {
                labels: [("tier", "front"), ("other", "x")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                env: vec!["MODE=fast".to_owned(), "MORE=1".to_owned(), "X=2".to_owned()],
                ..Config::default()
            },
            state: State::default(),
        };
        let log = config(
            "json-file",
            &[
                ("labels", "tier,none"),
                ("env-regex", "^MO"),
                ("tag", "{{.Name}}:{{.ImageID}}"),
            ],
        );
        let attributes = log.attributes(&record).unwrap();
        let told: Vec<_> = attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            told,
            ["MODE=fast", "MORE=1", "tag=web:0123456789ab", "tier=front"]
        );
        assert_eq!(config("journald", &[]).tag(&record).unwrap(), "abababababab");
    }
}
