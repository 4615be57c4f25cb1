//! `hyperd --doctor`: whether this host can run containers, and what to do if not.
//!
//! In the daemon's binary, because it has Xen's libraries and knows the config; nothing is changed, and a daemon that
//! runs is not disturbed.

mod dom0;
mod state;

use crate::config::Config;
use serde::Serialize;
use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It works, but something is not as it should be.
    Warn,
    /// Containers cannot run.
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    pub check: &'static str,
    pub level: Level,
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

fn ok(check: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        check,
        level: Level::Ok,
        message: message.into(),
        advice: None,
    }
}

fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding {
        check,
        level: Level::Warn,
        message: message.into(),
        advice: Some(advice.into()),
    }
}

fn fail(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding {
        level: Level::Fail,
        ..warn(check, message, advice)
    }
}

/// All findings. A config that cannot be read is one; the rest is checked with the defaults then.
pub async fn findings(config: anyhow::Result<Config>) -> Vec<Finding> {
    let (config, first) = match config {
        Ok(config) => (config, ok("config", "is right")),
        Err(error) => {
            let advice = "mend it: /usr/share/doc/hyper/hyperd.toml shows every key";
            (Config::default(), fail("config", format!("{error:#}"), advice))
        }
    };
    let mut all = vec![first];
    all.extend(dom0::findings(&config).await);
    all.extend(state::findings(&config));
    all
}

pub fn is_healthy(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Fail)
}

pub fn render(findings: &[Finding]) -> String {
    let width = findings
        .iter()
        .map(|finding| finding.check.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    // Writing to a String cannot fail.
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let _ = writeln!(text, "{level:<4}  {:<width$}  {}", finding.check, finding.message);
        if let Some(advice) = &finding.advice {
            let _ = writeln!(text, "{:<1$}  -> {advice}", "", width + 6);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_to_do() {
        let findings = [
            ok("xen", "4.20"),
            warn("clock", "is not set", "start chrony"),
            fail("loop", "no", "modprobe loop"),
        ];
        assert_eq!(
            render(&findings),
            "ok    xen    4.20\nwarn  clock  is not set\n             -> start chrony\nFAIL  loop   no\n             -> modprobe loop\n"
        );
        assert!(is_healthy(&findings[..2]) && !is_healthy(&findings));
        let json = serde_json::to_value(&findings[1]).unwrap();
        assert_eq!(json["Level"], "warn");
        assert_eq!(json["Advice"], "start chrony");
    }

    #[tokio::test]
    async fn a_wrong_config_is_a_finding_and_no_host_ends_it() {
        let findings = findings(Err(anyhow::anyhow!("line 1: unknown field"))).await;
        assert_eq!(findings[0].level, Level::Fail);
        assert!(findings.len() > 8, "{findings:?}");
    }
}
