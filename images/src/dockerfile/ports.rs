//! `EXPOSE`: ports as docker names them, `80/tcp`.

use super::{ChangeError, wrong};

/// The container's ports of `[[ip:]host:]port[-port][/protocol]`.
pub fn parse(spec: &str) -> Result<Vec<String>, ChangeError> {
    let (ports, protocol) = match spec.rsplit_once('/') {
        Some((ports, protocol)) => (ports, protocol.to_ascii_lowercase()),
        None => (spec, "tcp".to_owned()),
    };
    let ports = ports.rsplit(':').next().unwrap_or(ports);
    if ports.is_empty() {
        return Err(wrong(format!("no port specified: {spec}<empty>")));
    }
    let protocol = match protocol.as_str() {
        "" => "tcp",
        "tcp" | "udp" | "sctp" => &protocol,
        other => return Err(wrong(format!("invalid proto: {other}"))),
    };
    let invalid = || wrong(format!("invalid containerPort: {ports}"));
    let port = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u16>().map_err(|_| invalid()),
        false => Err(invalid()),
    };
    let (first, last) = match ports.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(ports)?, port(ports)?),
    };
    if last < first {
        return Err(invalid());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}
