//! Values of single flags. Each is checked where it is parsed, so that a mistake is a usage error.

use crate::units::parse_duration;
use bollard::models::{ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum};

/// `host:ip` or `host=ip`; an address of six parts has colons of its own.
pub fn add_host(text: &str) -> Result<String, String> {
    let bad = || format!("bad format for add-host: {text:?}");
    let (host, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(bad)?;
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || bare.is_empty() {
        return Err(bad());
    }
    if bare != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {address:?}"));
    }
    Ok(format!("{host}:{bare}"))
}

pub fn ip_address(text: &str) -> Result<String, String> {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

pub fn attach_stream(text: &str) -> Result<String, String> {
    let stream = text.to_ascii_lowercase();
    match stream.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(stream),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `nofile=1024` or `nofile=1024:2048`
pub fn ulimit(text: &str) -> Result<ResourcesUlimits, String> {
    let bad = || format!("invalid ulimit argument: {text}");
    let (name, limits) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_err(|_| bad());
    let (soft, hard) = (number(soft)?, number(hard)?);
    if name.is_empty() {
        return Err(bad());
    }
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(soft),
        hard: Some(hard),
    })
}

/// `no`, `always`, `unless-stopped`, `on-failure[:retries]`
pub fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let (name, retries) = match text.split_once(':') {
        Some((name, retries)) => (name, Some(retries)),
        None => (text, None),
    };
    let parsed = match name {
        "no" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => {
            return Err(format!(
                "invalid restart policy {name:?}: use one of no, always, on-failure, unless-stopped"
            ));
        }
    };
    let retries = match retries {
        None => None,
        Some(_) if name != "on-failure" => {
            return Err("maximum retry count can only be used with restart policy 'on-failure'".to_owned());
        }
        Some(retries) => match retries.parse::<u32>() {
            Ok(retries) => Some(i64::from(retries)),
            Err(_) => return Err("maximum retry count must be an integer".to_owned()),
        },
    };
    Ok(RestartPolicy {
        name: Some(parsed),
        maximum_retry_count: retries,
    })
}

/// `key=value`, both wanted, as in `--sysctl`.
pub fn key_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} must be of the form key=value")),
    }
}

/// `key=value`, as in `--log-opt`.
pub fn log_option(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "invalid argument {text:?}: an option of the log is of the form key=value"
        )),
    }
}

/// `/path` or `/path:options`
pub fn tmpfs(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("invalid tmpfs {text:?}: the path must be absolute"))
    }
}

/// `key=value` of `--filter`
pub fn filter(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("bad format of filter (expected name=value)")?;
    Ok((key.trim().to_lowercase(), value.trim().to_owned()))
}

/// The API's form: `{"label":{"a=b":true}}`. None when there are none.
pub fn filters(pairs: &[(String, String)]) -> Option<String> {
    let mut filters = serde_json::Map::new();
    for (key, value) in pairs {
        filters
            .entry(key.as_str())
            .or_insert_with(|| serde_json::json!({}))[value] = true.into();
    }
    (!filters.is_empty()).then(|| serde_json::Value::Object(filters).to_string())
}

/// Seconds, where -1 means without end.
/// A duration as Go writes it.
pub fn nanoseconds(text: &str) -> Result<i64, String> {
    let duration = parse_duration(text).ok_or_else(|| format!("invalid duration: {text:?}"))?;
    i64::try_from(duration.as_nanos()).map_err(|_| format!("duration {text:?} is too long"))
}

pub fn retries(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(retries) if retries >= 0 => Ok(retries),
        Ok(_) => Err("--health-retries cannot be negative".to_owned()),
        Err(_) => Err(format!("invalid number: {text:?}")),
    }
}

pub fn timeout_seconds(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(seconds) if seconds >= -1 => Ok(seconds),
        _ => Err(format!("{text:?} is not a number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(add_host("a:1.2.3.4").unwrap(), "a:1.2.3.4");
        assert_eq!(add_host("a=1.2.3.4").unwrap(), "a:1.2.3.4");
        assert_eq!(add_host("a:::1").unwrap(), "a:::1");
        assert_eq!(add_host("a=[::1]").unwrap(), "a:::1");
        assert_eq!(add_host("a:host-gateway").unwrap(), "a:host-gateway");
        for bad in ["a", "a:", ":1.2.3.4", "a:1.2.3"] {
            assert!(add_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ulimits() {
        let limit = ulimit("nofile=1024:2048").unwrap();
        assert_eq!((limit.soft, limit.hard), (Some(1024), Some(2048)));
        let limit = ulimit("core=-1").unwrap();
        assert_eq!((limit.soft, limit.hard), (Some(-1), Some(-1)));
        for bad in ["nofile", "nofile=x", "=1", "nofile=2:1", "nofile=-1:5"] {
            assert!(ulimit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn restart_policies() {
        let policy = restart_policy("on-failure:5").unwrap();
        assert_eq!(policy.maximum_retry_count, Some(5));
        assert!(restart_policy("unless-stopped").is_ok());
        for bad in ["", "sometimes", "always:3", "on-failure:x", "on-failure:-1"] {
            assert!(restart_policy(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_gather_values_by_key() {
        let pairs = ["label=a=b", "label=c", "Status=exited"].map(|text| filter(text).unwrap());
        assert_eq!(
            filters(&pairs).unwrap(),
            r#"{"label":{"a=b":true,"c":true},"status":{"exited":true}}"#
        );
        assert_eq!(filters(&[]), None);
        assert!(filter("label").is_err());
    }
}
