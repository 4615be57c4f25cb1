//! How to tell whether a container does its work: docker's `HEALTHCHECK`.

use serde::{Deserialize, Serialize};

/// As docker's JSON has it. What is 0 or empty is as the image says, or else docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", program, …]` or `["CMD-SHELL", command]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(
        rename = "Interval",
        deserialize_with = "or_default",
        skip_serializing_if = "is_zero"
    )]
    pub interval_ns: i64,
    #[serde(
        rename = "Timeout",
        deserialize_with = "or_default",
        skip_serializing_if = "is_zero"
    )]
    pub timeout_ns: i64,
    #[serde(
        rename = "StartPeriod",
        deserialize_with = "or_default",
        skip_serializing_if = "is_zero"
    )]
    pub start_period_ns: i64,
    #[serde(
        rename = "StartInterval",
        deserialize_with = "or_default",
        skip_serializing_if = "is_zero"
    )]
    pub start_interval_ns: i64,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes null for what is absent.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Healthcheck {
    /// What a request says over what the image says.
    pub fn over(self, image: Option<&Self>) -> Self {
        let Some(image) = image else { return self };
        let or = |own, other| if own == 0 { other } else { own };
        Self {
            test: if self.test.is_empty() {
                image.test.clone()
            } else {
                self.test
            },
            interval_ns: or(self.interval_ns, image.interval_ns),
            timeout_ns: or(self.timeout_ns, image.timeout_ns),
            start_period_ns: or(self.start_period_ns, image.start_period_ns),
            start_interval_ns: or(self.start_interval_ns, image.start_interval_ns),
            retries: or(self.retries, image.retries),
        }
    }
}

/// That of an image's config. One that makes no sense is none.
pub fn of_config(bytes: &[u8]) -> Option<Healthcheck> {
    #[derive(Deserialize)]
    struct Outer {
        config: Option<Inner>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inner {
        healthcheck: Option<Healthcheck>,
    }
    serde_json::from_slice::<Outer>(bytes).ok()?.config?.healthcheck
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_check_is_read_and_a_request_goes_over_it() {
        let image = of_config(
            br#"{"config":{"Healthcheck":{"Test":["CMD-SHELL","curl -f x"],"Interval":5000000000,"Retries":2}}}"#,
        )
        .unwrap();
        assert_eq!(image.interval_ns, 5_000_000_000);
        let own = Healthcheck {
            retries: 7,
            ..Healthcheck::default()
        };
        let both = own.over(Some(&image));
        assert_eq!((both.retries, both.interval_ns), (7, 5_000_000_000));
        assert_eq!(both.test, image.test);
        for none in [
            &br#"{"config":{}}"#[..],
            br#"{"config":null}"#,
            br#"{}"#,
            br#"{"config":{"Healthcheck":{"Test":7}}}"#,
            b"nonsense",
        ] {
            assert_eq!(of_config(none), None);
        }
        let null = of_config(br#"{"config":{"Healthcheck":{"Test":null,"Retries":null}}}"#);
        assert_eq!(null, Some(Healthcheck::default()));
    }
}
