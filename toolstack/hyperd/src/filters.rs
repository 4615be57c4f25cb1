//! `filters={"label":{"k=v":true}}`, and the older `{"label":["k=v"]}`.

use crate::error::ApiError;
use crate::pattern;
use crate::query::Query;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a list is narrowed to: of each key, the values asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    values: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Set(BTreeMap<String, bool>),
    List(Vec<String>),
    Nothing,
}

impl Filters {
    /// A filter that is not understood is refused: a client that removes what it has listed relies on it.
    pub fn of(query: &Query, known: &[&str]) -> Result<Self, ApiError> {
        query
            .text("filters")
            .map_or_else(|| Ok(Self::default()), |text| Self::parse(text, known))
    }

    pub fn parse(text: &str, known: &[&str]) -> Result<Self, ApiError> {
        let raw: Option<BTreeMap<String, Values>> = serde_json::from_str(text)
            .map_err(|error| ApiError::invalid(format!("invalid filter: {error}")))?;
        let mut values = BTreeMap::new();
        for (key, of_key) in raw.unwrap_or_default() {
            if !known.contains(&key.as_str()) {
                return Err(ApiError::invalid(format!("invalid filter '{key}'")));
            }
            let list: Vec<String> = match of_key {
                Values::Set(set) => set
                    .into_iter()
                    .filter(|(_, on)| *on)
                    .map(|(value, _)| value)
                    .collect(),
                Values::List(list) => list,
                Values::Nothing => Vec::new(),
            };
            if !list.is_empty() {
                values.insert(key, list);
            }
        }
        Ok(Self { values })
    }

    pub fn get(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// No such filter, or one of its values fits.
    pub fn any(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        !self.has(key) || self.get(key).iter().any(|value| fits(value))
    }

    /// No such filter, or one of its patterns is found in the text.
    pub fn pattern(&self, key: &str, text: &str) -> bool {
        self.any(key, |value| value == text || pattern::found(value, text))
    }

    /// `key` or `key=value`: all of them must fit, and none of `label!`.
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let fits = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
            None => labels.contains_key(wanted),
        };
        self.get("label").iter().all(fits) && !self.get("label!").iter().any(fits)
    }

    /// A filter whose value is yes or no.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ApiError> {
        match self.get(key) {
            [] => Ok(None),
            [value] => match value.as_str() {
                "1" | "true" | "True" | "TRUE" | "t" => Ok(Some(true)),
                "0" | "false" | "False" | "FALSE" | "f" => Ok(Some(false)),
                other => Err(ApiError::invalid(format!("invalid filter '{key}={other}'"))),
            },
            _ => Err(ApiError::invalid(format!(
                "invalid filter '{key}': it takes one value"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &[&str] = &["label", "label!", "name", "dangling"];

    #[test]
    fn both_forms_are_read() {
        let new = Filters::parse(r#"{"label":{"a=1":true,"b":true,"off":false},"name":{}}"#, KNOWN).unwrap();
        let old = Filters::parse(r#"{"label":["a=1","b"],"name":[]}"#, KNOWN).unwrap();
        assert_eq!(new, old);
        assert_eq!(new.get("label"), ["a=1", "b"]);
        assert!(!new.has("name"));
        assert_eq!(Filters::parse("null", KNOWN).unwrap(), Filters::default());
        assert_eq!(
            Filters::parse(r#"{"label":null}"#, KNOWN).unwrap(),
            Filters::default()
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let message = |text: &str| Filters::parse(text, KNOWN).unwrap_err().message;
        assert_eq!(message(r#"{"x":["y"]}"#), "invalid filter 'x'");
        assert!(message("{").starts_with("invalid filter: "));
        assert!(message(r#"{"label":{"a":1}}"#).starts_with("invalid filter: "));
        let twice = Filters::parse(r#"{"dangling":["true","false"]}"#, KNOWN).unwrap();
        assert!(twice.flag("dangling").is_err());
    }

    #[test]
    fn labels_must_all_fit() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        let fits = |text: &str| Filters::parse(text, KNOWN).unwrap().labels(&labels);
        assert!(fits("{}"));
        assert!(fits(r#"{"label":["a"]}"#));
        assert!(fits(r#"{"label":["a=1","b"]}"#));
        assert!(fits(r#"{"label":["b="]}"#));
        assert!(!fits(r#"{"label":["a=1","c"]}"#));
        assert!(!fits(r#"{"label":["a=2"]}"#));
        assert!(!fits(r#"{"label!":["a"]}"#));
        assert!(fits(r#"{"label!":["c"]}"#));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = Filters::parse(&text, KNOWN);
        }

        #[test]
        fn both_forms_mean_the_same(values in proptest::collection::btree_set(".{0,20}", 0..5)) {
            let set: BTreeMap<&String, bool> = values.iter().map(|value| (value, true)).collect();
            let new = serde_json::json!({ "label": set }).to_string();
            let old = serde_json::json!({ "label": values }).to_string();
            prop_assert_eq!(Filters::parse(&new, KNOWN).unwrap(), Filters::parse(&old, KNOWN).unwrap());
        }
    }
}
