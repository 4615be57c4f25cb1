//! The query of a request, read as docker reads it.

use crate::error::ApiError;
use axum::extract::Query as Pairs;
use axum::http::Uri;
use chrono::{DateTime, Utc};

#[derive(Debug, Clone, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let Pairs(pairs) = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| ApiError::invalid("the query of the request cannot be read"))?;
        Ok(Self { pairs })
    }

    /// The first value of a name; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a name that are not empty.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.pairs
            .iter()
            .filter(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// True unless it says so, as docker's `BoolValue`.
    pub fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        match self.text(name) {
            None => default,
            Some(text) => !matches!(
                text.trim().to_ascii_lowercase().as_str(),
                "" | "0" | "no" | "false" | "none"
            ),
        }
    }

    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::invalid(format!(
                        "invalid value for {name}: {text:?} is not a number that fits"
                    ))
                })
            })
            .transpose()
    }

    /// A moment: seconds since the epoch, with a fraction or without, or RFC 3339. 0 stands for none.
    pub fn moment(&self, name: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
        match self.text(name) {
            None | Some("0") => Ok(None),
            Some(text) => parse_moment(text).map(Some).ok_or_else(|| {
                ApiError::invalid(format!("invalid value for {name:?}: {text:?} is not a time"))
            }),
        }
    }
}

pub fn parse_moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.to_utc());
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    DateTime::from_timestamp(seconds.parse().ok()?, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(&format!("/x?{text}").parse().unwrap()).unwrap()
    }

    #[test]
    fn flags_follow_docker() {
        for (text, expected) in [
            ("a=1", true),
            ("a=true", true),
            ("a=yes", true),
            ("a=0", false),
            ("a=False", false),
            ("a=no", false),
            ("a=none", false),
            ("a=", false),
            ("a", false),
            ("b=1", false),
        ] {
            assert_eq!(query(text).flag("a"), expected, "{text}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let query = query("name=a%20b+c&tag=%2F&h=24");
        assert_eq!(query.text("name"), Some("a b c"));
        assert_eq!(self::query("n=a&m=x&n=&n=b").texts("n"), ["a", "b"]);
        assert_eq!(query.text("tag"), Some("/"));
        assert_eq!(query.number::<u16>("h").unwrap(), Some(24));
        assert!(query.number::<u16>("name").is_err());
        assert_eq!(query.number::<u16>("w").unwrap(), None);
    }

    #[test]
    fn moments() {
        let show = |text: &str| parse_moment(text).map(|at| at.to_rfc3339());
        assert_eq!(show("1136073600").unwrap(), "2006-01-01T00:00:00+00:00");
        assert_eq!(show("1136073600.5").unwrap(), "2006-01-01T00:00:00.500+00:00");
        assert_eq!(
            show("1136073600.000000001").unwrap(),
            "2006-01-01T00:00:00.000000001+00:00"
        );
        assert_eq!(
            show("2006-01-01T02:00:00+02:00").unwrap(),
            "2006-01-01T00:00:00+00:00"
        );
        for bad in ["", "x", "1.x", "1.0000000001", "99999999999999999999"] {
            assert_eq!(show(bad), None, "{bad}");
        }
        assert_eq!(query("since=0").moment("since").unwrap(), None);
        assert!(query("since=soon").moment("since").is_err());
    }
}
