//! What an image says about how to run it.

use crate::healthcheck::{self, Healthcheck};
use oci_spec::image::ImageConfiguration;
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
    /// Docker's, of which the OCI's format says nothing.
    pub healthcheck: Option<Healthcheck>,
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
            healthcheck: None,
        }
    }
}

impl ImageConfig {
    /// Of a config and its bytes, which say more than the OCI's format knows.
    pub fn read(configuration: &ImageConfiguration, bytes: &[u8]) -> Self {
        Self {
            healthcheck: healthcheck::of_config(bytes),
            ..Self::from(configuration)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::parse_configuration;

    fn config(text: &str) -> ImageConfig {
        ImageConfig::from(&parse_configuration(text.as_bytes(), "test").unwrap())
    }

    #[test]
    fn what_docker_writes_is_understood() {
        let read = config(
            r#"{"architecture":"amd64","os":"linux","created":"0001-01-01T00:00:00Z","container":"x",
                "config":{"Hostname":"","User":"","AttachStdin":false,"ExposedPorts":{"80/tcp":{}},"Env":["A=b"],
                    "Cmd":["sh"],"Image":"x","Volumes":{"/data":{}},"WorkingDir":"/w","Entrypoint":["/e"],
                    "OnBuild":[],"Labels":{"k":"v"},"StopSignal":"SIGQUIT","ArgsEscaped":true,
                    "Healthcheck":{"Test":["NONE"]}},
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
    }

    #[test]
    fn null_is_nothing() {
        let read = config(
            r#"{"architecture":"amd64","os":"linux","config":{"User":null,"ExposedPorts":null,"Env":null,"Cmd":null,
                "Volumes":null,"WorkingDir":null,"Entrypoint":null,"OnBuild":null,"Labels":null},
                "history":null,"rootfs":{"type":"layers","diff_ids":[]}}"#,
        );
        assert_eq!(read, ImageConfig::default());
        assert_eq!(
            config(r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#),
            read
        );
    }
}
