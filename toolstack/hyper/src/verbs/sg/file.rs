//! A security group as people write it.
//!
//! ```yaml
//! description: web servers
//! ingress:
//!   - protocol: tcp
//!     ports: [80, 443, 8000-8080]
//!   - protocol: tcp
//!     ports: 22
//!     remote-ip: 10.0.0.0/8
//!   - protocol: icmp
//!     remote-group: monitors
//! egress:
//!   - protocol: udp
//!     ports: 123
//! ```

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    description: Option<String>,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    #[serde(alias = "proto")]
    protocol: Option<String>,
    ports: Option<Ports>,
    #[serde(alias = "remote_ip")]
    remote_ip: Option<String>,
    #[serde(alias = "remote_group")]
    remote_group: Option<String>,
}

/// `80`, `8000-8080`, `80,443`, or a list of these.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Ports {
    One(Port),
    Many(Vec<Port>),
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

impl Port {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Number(number) => vec![number.to_string()],
            Self::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        }
    }
}

pub fn parse(text: &str) -> Result<Group> {
    serde_saphyr::from_str(text).map_err(|error| anyhow!("{error}"))
}

impl Group {
    /// As the API takes it. What is not given is not sent.
    pub fn body(&self) -> Value {
        let rules = |rules: &Vec<Rule>| rules.iter().map(Rule::body).collect::<Value>();
        let parts = [
            ("Description", self.description.as_ref().map(|text| json!(text))),
            ("Ingress", self.ingress.as_ref().map(rules)),
            ("Egress", self.egress.as_ref().map(rules)),
        ];
        let given = parts
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(given.collect())
    }
}

impl Rule {
    fn body(&self) -> Value {
        let ports: Vec<String> = match &self.ports {
            None => Vec::new(),
            Some(Ports::One(port)) => port.texts(),
            Some(Ports::Many(ports)) => ports.iter().flat_map(Port::texts).collect(),
        };
        json!({
            "Protocol": self.protocol,
            "Ports": ports,
            "RemoteIP": self.remote_ip,
            "RemoteGroup": self.remote_group,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_are_written_in_several_ways() {
        let ports = |text: &str| {
            let group = parse(&format!("ingress: [{{protocol: tcp, ports: {text}}}]")).unwrap();
            group.body()["Ingress"][0]["Ports"].clone()
        };
        assert_eq!(ports("80"), json!(["80"]));
        assert_eq!(ports("8000-8080"), json!(["8000-8080"]));
        assert_eq!(ports("[80, 8000-8080]"), json!(["80", "8000-8080"]));
        assert_eq!(ports("\"22, 80\""), json!(["22", "80"]));
    }

    #[test]
    fn what_is_absent_is_not_sent() {
        assert_eq!(parse("egress: []").unwrap().body(), json!({ "Egress": [] }));
        let group = parse("description: d\ningress:\n  - proto: icmp\n    remote_group: web\n").unwrap();
        let rule = json!({ "Protocol": "icmp", "Ports": [], "RemoteIP": null, "RemoteGroup": "web" });
        assert_eq!(group.body(), json!({ "Description": "d", "Ingress": [rule] }));
        for bad in [
            "ingres: []",
            "ingress: [{port: 80}]",
            "ingress: 1",
            "ingress: [{ports: 70000}, {]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
