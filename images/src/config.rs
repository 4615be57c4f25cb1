//! What an image says about how to run it.

use crate::Error;
use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The parts of an image's config that a container takes over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    pub user: String,
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub working_dir: String,
    pub stop_signal: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub exposed_ports: Vec<String>,
    pub volumes: Vec<String>,
    pub healthcheck: Option<Healthcheck>,
    pub on_build: Vec<String>,
    pub shell: Vec<String>,
}

/// Docker's `HealthConfig`; 0 stands for its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `NONE`, or `CMD` and words, or `CMD-SHELL` and a line; nothing when it is inherited.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Nanoseconds, as the ones below.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

impl Healthcheck {
    /// What a request says over what the image says.
    pub fn over(self, image: Option<&Self>) -> Self {
        let Some(image) = image else { return self };
        let or = |own, other| if own == 0 { other } else { own };
        Self {
            test: match self.test.is_empty() {
                true => image.test.clone(),
                false => self.test,
            },
            interval: or(self.interval, image.interval),
            timeout: or(self.timeout, image.timeout),
            start_period: or(self.start_period, image.start_period),
            start_interval: or(self.start_interval, image.start_interval),
            retries: or(self.retries, image.retries),
        }
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes what is empty as null.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// What docker has in a config and OCI's specification has not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    config: Option<DockerOnly>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DockerOnly {
    healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "or_default")]
    on_build: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    shell: Vec<String>,
}

impl ImageConfig {
    /// Reads the config of an image; `name` is for errors.
    pub(crate) fn parse(bytes: &[u8], name: &str) -> Result<(ImageConfiguration, Self), Error> {
        let malformed = |error: serde_json::Error| Error::Malformed {
            what: "config",
            name: name.to_owned(),
            why: error.to_string(),
        };
        let configuration: ImageConfiguration = serde_json::from_slice(bytes).map_err(malformed)?;
        let document: Document = serde_json::from_slice(bytes).map_err(malformed)?;
        let only = document.config.unwrap_or_default();
        let config = Self {
            healthcheck: only.healthcheck,
            on_build: only.on_build,
            shell: only.shell,
            ..Self::from(&configuration)
        };
        Ok((configuration, config))
    }
}

impl From<&ImageConfiguration> for ImageConfig {
    fn from(configuration: &ImageConfiguration) -> Self {
        let Some(config) = configuration.config() else {
            return Self::default();
        };
        Self {
            user: config.user().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            cmd: config.cmd().clone().unwrap_or_default(),
            working_dir: config.working_dir().clone().unwrap_or_default(),
            stop_signal: config.stop_signal().clone(),
            labels: config.labels().clone().unwrap_or_default().into_iter().collect(),
            exposed_ports: config.exposed_ports().clone().unwrap_or_default(),
            volumes: config.volumes().clone().unwrap_or_default(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ImageConfig {
        ImageConfig::parse(text.as_bytes(), "test").unwrap().1
    }

    #[test]
    fn what_docker_writes_is_understood() {
        let read = config(
            r#"{"architecture":"amd64","os":"linux","created":"0001-01-01T00:00:00Z","container":"x",
                "config":{"Hostname":"","User":"","AttachStdin":false,"ExposedPorts":{"80/tcp":{}},"Env":["A=b"],
                    "Cmd":["sh"],"Image":"x","Volumes":{"/data":{}},"WorkingDir":"/w","Entrypoint":["/e"],
                    "OnBuild":["RUN x"],"Labels":{"k":"v"},"StopSignal":"SIGQUIT","ArgsEscaped":true,
                    "Healthcheck":{"Test":["CMD","x"],"Interval":5000000000},"Shell":["/bin/bash","-c"]},
                "history":[{"created_by":"x","empty_layer":true}],"rootfs":{"type":"layers","diff_ids":[]}}"#,
        );
        assert_eq!(
            (&read.env[..], &read.cmd[..]),
            (&["A=b".to_owned()][..], &["sh".to_owned()][..])
        );
        assert_eq!(
            (&read.volumes[..], &read.exposed_ports[..]),
            (&["/data".to_owned()][..], &["80/tcp".to_owned()][..])
        );
        assert_eq!(
            (read.working_dir.as_str(), read.stop_signal.as_deref()),
            ("/w", Some("SIGQUIT"))
        );
        assert_eq!(read.labels["k"], "v");
        let health = read.healthcheck.unwrap();
        assert_eq!((health.interval, health.retries), (5_000_000_000, 0));
        assert_eq!(
            serde_json::to_string(&health).unwrap(),
            r#"{"Test":["CMD","x"],"Interval":5000000000}"#
        );
        assert_eq!(
            (&read.on_build[..], &read.shell[..]),
            (
                &["RUN x".to_owned()][..],
                &["/bin/bash".to_owned(), "-c".to_owned()][..]
            )
        );
    }

    #[test]
    fn a_requests_health_check_goes_over_the_images() {
        let image = Healthcheck {
            test: vec!["CMD".to_owned(), "x".to_owned()],
            interval: 5,
            ..Healthcheck::default()
        };
        let own: Healthcheck = serde_json::from_str(r#"{"Test":null,"Retries":7,"Timeout":null}"#).unwrap();
        let both = own.over(Some(&image));
        assert_eq!((both.retries, both.interval, both.test), (7, 5, image.test));
    }

    #[test]
    fn null_is_nothing() {
        let read = config(
            r#"{"architecture":"amd64","os":"linux","config":{"User":null,"ExposedPorts":null,"Env":null,"Cmd":null,
                "Volumes":null,"WorkingDir":null,"Entrypoint":null,"OnBuild":null,"Labels":null,
                "Healthcheck":null,"Shell":null},
                "history":null,"rootfs":{"type":"layers","diff_ids":[]}}"#,
        );
        assert_eq!(read, ImageConfig::default());
        assert_eq!(
            config(r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#),
            read
        );
    }
}
