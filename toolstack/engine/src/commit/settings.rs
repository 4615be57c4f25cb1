//! The part of an image's config that says how to run it, in docker's JSON.

use crate::error::{Error, ErrorKind};
use crate::signal;
use crate::spec::Config;
use images::Healthcheck;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A set as Go writes it.
type Set = BTreeMap<String, Value>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Settings {
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Set::is_empty")]
    pub exposed_ports: Set,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Set::is_empty")]
    pub volumes: Set,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

/// Go writes null for what is empty.
fn or_default<'a, D: Deserializer<'a>, T: Default + Deserialize<'a>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Docker takes one string for a list of one.
fn words<'a, D: Deserializer<'a>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::deserialize(from)?.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    }))
}

pub fn set(names: &[String]) -> Set {
    names.iter().map(|name| (name.clone(), json!({}))).collect()
}

pub fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

impl Settings {
    pub fn of_json(value: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(value)
    }

    pub fn of_container(config: &Config) -> Self {
        let some = |words: &Vec<String>| Some(words.clone()).filter(|words| !words.is_empty());
        Self {
            user: config.user.clone(),
            exposed_ports: set(&config.exposed_ports),
            env: config.env.clone(),
            entrypoint: some(&config.entrypoint),
            cmd: some(&config.cmd),
            healthcheck: config.healthcheck.clone(),
            volumes: set(&config.volumes),
            working_dir: config.working_dir.clone(),
            on_build: Vec::new(),
            labels: config.labels.clone(),
            stop_signal: config.stop_signal.clone(),
        }
    }

    /// Applies instructions as in a Dockerfile.
    pub fn change(&mut self, changes: &[String]) -> Result<(), Error> {
        let mut config = match self.to_json() {
            Value::Object(config) => config,
            _ => Map::new(),
        };
        images::change(&mut config, changes, |name| signal::parse(name).is_some())
            .map_err(|error| Error::invalid(error.to_string()))?;
        *self = Self::of_json(&Value::Object(config))
            .map_err(|error| Error::from_source(ErrorKind::Invalid, "invalid changes", &error))?;
        Ok(())
    }

    /// Takes from the container what is not set, by docker's rules (`daemon/commit.go`).
    pub fn merge(&mut self, container: Self) {
        let or = |own: &mut String, other: String| {
            if own.is_empty() {
                *own = other;
            }
        };
        or(&mut self.user, container.user);
        or(&mut self.working_dir, container.working_dir);
        or(&mut self.stop_signal, container.stop_signal);
        for (port, value) in container.exposed_ports {
            self.exposed_ports.entry(port).or_insert(value);
        }
        for (volume, value) in container.volumes {
            self.volumes.entry(volume).or_insert(value);
        }
        for (label, value) in container.labels {
            self.labels.entry(label).or_insert(value);
        }
        for pair in container.env {
            if !self.env.iter().any(|known| name_of(known) == name_of(&pair)) {
                self.env.push(pair);
            }
        }
        let is_empty = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
        if is_empty(&self.entrypoint) {
            if is_empty(&self.cmd) {
                self.cmd = container.cmd;
            }
            if self.entrypoint.is_none() {
                self.entrypoint = container.entrypoint;
            }
        }
        self.healthcheck = match self.healthcheck.take() {
            Some(own) => Some(own.over(container.healthcheck.as_ref())),
            None => container.healthcheck,
        };
    }

    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_is_understood_and_completed() {
        let mut settings = Settings::of_json(&json!({
            "Hostname": "x", "Cmd": "one", "Env": ["A=new"], "Entrypoint": null, "ExposedPorts": null,
            "Labels": { "a": "own" },
        }))
        .unwrap();
        let container = Settings {
            user: "me".to_owned(),
            env: vec!["A=old".to_owned(), "B=b".to_owned()],
            entrypoint: Some(vec!["/entry".to_owned()]),
            cmd: Some(vec!["other".to_owned()]),
            labels: BTreeMap::from([("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y".to_owned())]),
            exposed_ports: set(&["80/tcp".to_owned()]),
            ..Settings::default()
        };
        settings.merge(container);
        assert_eq!(
            settings.to_json(),
            json!({
                "User": "me", "ExposedPorts": { "80/tcp": {} }, "Env": ["A=new", "B=b"],
                "Entrypoint": ["/entry"], "Cmd": ["one"], "Labels": { "a": "own", "b": "y" },
            })
        );
        settings
            .change(&["USER you\nENV B=c".to_owned(), "CMD [\"two\"]".to_owned()])
            .unwrap();
        assert_eq!(
            (&settings.user[..], &settings.env[1][..], &settings.cmd),
            ("you", "B=c", &Some(vec!["two".to_owned()]))
        );
        assert!(settings.change(&["RUN x".to_owned()]).is_err());
        // An entrypoint of one's own goes without the container's command.
        let mut settings = Settings::of_json(&json!({ "Entrypoint": ["/own"] })).unwrap();
        settings.merge(Settings {
            cmd: Some(vec!["other".to_owned()]),
            ..Settings::default()
        });
        assert_eq!(settings.to_json(), json!({ "Entrypoint": ["/own"] }));
    }

    #[test]
    fn a_containers_own_health_check_goes_along() {
        let check = |test: &[&str]| Healthcheck {
            test: test.iter().map(|word| (*word).to_owned()).collect(),
            interval: 3_000_000_000,
            ..Healthcheck::default()
        };
        let container = |check| {
            Settings::of_container(&Config {
                healthcheck: check,
                ..Config::default()
            })
        };
        assert_eq!(container(None).to_json(), json!({}));
        let own = container(Some(check(&["CMD-SHELL", "true"])));
        let json = json!({ "Test": ["CMD-SHELL", "true"], "Interval": 3_000_000_000_i64 });
        assert_eq!(own.to_json(), json!({ "Healthcheck": json }));
        // One that is switched off stays so.
        let off = container(Some(check(&["NONE"]))).to_json();
        assert_eq!(off["Healthcheck"]["Test"], json!(["NONE"]));

        let mut settings = Settings::of_json(&json!({ "Healthcheck": null })).unwrap();
        settings.merge(own.clone());
        assert_eq!(settings.healthcheck, own.healthcheck);
        let mut settings = Settings::of_json(&json!({ "Healthcheck": { "Retries": 7 } })).unwrap();
        settings.merge(own.clone());
        assert_eq!(
            settings.to_json()["Healthcheck"],
            json!({ "Test": ["CMD-SHELL", "true"], "Interval": 3_000_000_000_i64, "Retries": 7 })
        );
        let mut settings = own;
        settings.change(&["HEALTHCHECK NONE".to_owned()]).unwrap();
        assert_eq!(settings.to_json()["Healthcheck"], json!({ "Test": ["NONE"] }));
    }
}
