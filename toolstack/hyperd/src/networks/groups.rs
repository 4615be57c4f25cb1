//! `/hyper/v1/sgs`: security groups.

use super::create::parse;
use crate::api::Call;
use crate::error::{Answer, ApiError, to_the_end};
use crate::request;
use crate::text;
use axum::http::StatusCode;
use engine::network::{GroupProtocol, GroupRule, GroupRules, SecurityGroup};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Body {
    name: Option<String>,
    description: Option<String>,
    ingress: Option<Vec<Rule>>,
    /// Everything when absent.
    egress: Option<Vec<Rule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Rule {
    protocol: Option<String>,
    /// `80`, `8000-8080`
    ports: Option<Vec<String>>,
    #[serde(rename = "RemoteIP")]
    remote_ip: Option<String>,
    remote_group: Option<String>,
}

fn ports(text: &str) -> Result<(u16, u16), ApiError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) => Ok((first, last)),
        _ => Err(ApiError::invalid(format!("invalid ports: {text}"))),
    }
}

fn protocol(text: &str) -> Result<Option<GroupProtocol>, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "" | "all" | "any" => Ok(None),
        "tcp" => Ok(Some(GroupProtocol::Tcp)),
        "udp" => Ok(Some(GroupProtocol::Udp)),
        "icmp" => Ok(Some(GroupProtocol::Icmp)),
        _ => Err(ApiError::invalid(format!(
            "invalid protocol: {text} (it is tcp, udp, icmp or all)"
        ))),
    }
}

impl Rule {
    fn translate(self) -> Result<GroupRule, ApiError> {
        let texts = self.ports.unwrap_or_default();
        let remote = self.remote_ip.filter(|text| !text.is_empty());
        // One address is a network, too.
        let remote = remote.map(|text| match text.parse::<std::net::IpAddr>() {
            Ok(address) => engine::network::IpNet::from(address).to_string(),
            Err(_) => text,
        });
        Ok(GroupRule {
            protocol: protocol(&self.protocol.unwrap_or_default())?,
            ports: texts.iter().map(|text| ports(text)).collect::<Result<_, _>>()?,
            remote_ip: parse("remote IP", remote.as_deref())?,
            remote_group: self.remote_group.filter(|group| !group.is_empty()),
        })
    }
}

fn rules(ingress: Option<Vec<Rule>>, egress: Option<Vec<Rule>>) -> Result<GroupRules, ApiError> {
    let all = |rules: Vec<Rule>| {
        rules
            .into_iter()
            .map(Rule::translate)
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(GroupRules {
        ingress: all(ingress.unwrap_or_default())?,
        egress: egress.map(all).transpose()?,
    })
}

fn rule_json(rule: &GroupRule) -> Value {
    let range = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    json!({
        "Protocol": rule.protocol.map_or(json!("all"), |protocol| json!(protocol)),
        "Ports": rule.ports.iter().map(range).collect::<Vec<_>>(),
        "RemoteIP": rule.remote_ip.map_or_else(String::new, |net| net.to_string()),
        "RemoteGroup": rule.remote_group.as_deref().unwrap_or_default(),
    })
}

fn group_json(group: &SecurityGroup, containers: Vec<String>) -> Value {
    let rules = |rules: &Vec<GroupRule>| rules.iter().map(rule_json).collect::<Vec<_>>();
    json!({
        "Name": group.name,
        "Description": group.description,
        "Created": text::moment(group.created_at),
        "Ingress": rules(&group.rules.ingress),
        "Egress": group.rules.egress.as_ref().map(rules),
        "Containers": containers,
    })
}

pub fn list(call: &Call) -> Answer {
    let engine = call.engine();
    let groups = engine.groups();
    let shown = groups
        .iter()
        .map(|group| group_json(group, engine.in_group(&group.name)));
    Ok(request::ok_json(&shown.collect::<Vec<_>>()))
}

pub fn inspect(call: &Call, name: &str) -> Answer {
    let group = call.engine().group(name)?;
    Ok(request::ok_json(&group_json(
        &group,
        call.engine().in_group(name),
    )))
}

pub async fn create(call: Call) -> Answer {
    let body: Body = request::need_json(call.request.into_body()).await?;
    let (name, description) = (
        body.name.unwrap_or_default(),
        body.description.unwrap_or_default(),
    );
    let rules = rules(body.ingress, body.egress)?;
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.create_group(&name, description, rules).await }).await?;
    Ok(request::empty(StatusCode::CREATED))
}

pub async fn update(call: Call, name: String) -> Answer {
    let body: Body = request::need_json(call.request.into_body()).await?;
    let rules = rules(body.ingress, body.egress)?;
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.update_group(&name, body.description, rules).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}

pub async fn remove(call: &Call, name: String) -> Answer {
    let engine = call.engine().clone();
    to_the_end(async move { engine.remove_group(&name).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RegroupBody {
    add: Vec<String>,
    remove: Vec<String>,
}

/// `/hyper/v1/containers/{id}/sgs`: into which groups a container comes, and which it leaves.
pub async fn regroup(call: Call, id: String) -> Answer {
    let body: RegroupBody = request::need_json(call.request.into_body()).await?;
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.regroup(&id, &body.add, &body.remove).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rule: Value) -> Result<GroupRule, ApiError> {
        serde_json::from_value::<Rule>(rule).unwrap().translate()
    }

    #[test]
    fn rules_are_read_and_shown_again() {
        let rule =
            read(json!({ "Protocol": "TCP", "Ports": ["22", "8000-8080"], "RemoteIP": "10.0.0.1" })).unwrap();
        assert_eq!(rule.ports, [(22, 22), (8000, 8080)]);
        assert_eq!(
            rule_json(&rule),
            json!({ "Protocol": "tcp", "Ports": ["22", "8000-8080"], "RemoteIP": "10.0.0.1/32", "RemoteGroup": "" })
        );
        assert_eq!(read(rule_json(&rule)).unwrap(), rule);
        assert_eq!(read(json!({})).unwrap(), GroupRule::default());
        for bad in [
            json!({ "Protocol": "sctp" }),
            json!({ "Ports": ["x"] }),
            json!({ "Ports": ["1-70000"] }),
            json!({ "RemoteIP": "10.0.0.0/33" }),
        ] {
            assert_eq!(read(bad.clone()).unwrap_err().status.as_u16(), 400, "{bad}");
        }
    }
}
