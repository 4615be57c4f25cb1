//! The values of a template, and how Go prints them.

use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    /// A key that a map does not have.
    NoValue,
    Json(Value),
    /// In docker's types a map, not a struct: a missing key is no error.
    Map(Map<String, Value>),
}

/// The maps among the objects of the API.
const MAPS: &[&str] = &[
    "Annotations",
    "Attributes",
    "ExposedPorts",
    "Labels",
    "LogOpts",
    "Networks",
    "Options",
    "Ports",
    "PortBindings",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

impl Val {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Json(Value::String(text.into()))
    }

    pub fn number(number: usize) -> Self {
        Self::Json(number.into())
    }

    pub fn boolean(truth: bool) -> Self {
        Self::Json(truth.into())
    }

    /// `.name` of this value; None when it has no such field, which is an error.
    pub fn field(&self, name: &str) -> Option<Val> {
        match self {
            Self::Map(map) => Some(map.get(name).cloned().map_or(Self::NoValue, Self::Json)),
            Self::Json(Value::Object(object)) => object.get(name).map(|value| match value {
                Value::Object(map) if MAPS.contains(&name) => Self::Map(map.clone()),
                value => Self::Json(value.clone()),
            }),
            Self::NoValue => Some(Self::NoValue),
            Self::Json(_) => None,
        }
    }

    pub fn to_json(&self) -> Value {
        match self {
            Self::NoValue => Value::Null,
            Self::Json(value) => value.clone(),
            Self::Map(map) => Value::Object(map.clone()),
        }
    }

    pub fn object(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Map(map) | Self::Json(Value::Object(map)) => Some(map),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Json(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Json(value) => value.as_f64(),
            _ => None,
        }
    }

    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Json(value) => value.as_i64(),
            _ => None,
        }
    }

    /// Go: false, 0, nil and what is empty are false.
    pub fn truth(&self) -> bool {
        match self {
            Self::NoValue | Self::Json(Value::Null) => false,
            Self::Json(Value::Bool(truth)) => *truth,
            Self::Json(Value::Number(number)) => number.as_f64() != Some(0.0),
            Self::Json(Value::String(text)) => !text.is_empty(),
            Self::Json(Value::Array(items)) => !items.is_empty(),
            Self::Map(map) => !map.is_empty(),
            // A struct is always true.
            Self::Json(Value::Object(_)) => true,
        }
    }

    /// `%v`
    pub fn print(&self) -> String {
        let mut out = String::new();
        match self {
            Self::NoValue => out.push_str("<no value>"),
            Self::Json(value) => print(value, &mut out),
            Self::Map(map) => print_map(map, &mut out),
        }
        out
    }
}

fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => print_map(map, out),
        other => out.push_str(&other.to_string()),
    }
}

fn print_map(map: &Map<String, Value>, out: &mut String) {
    out.push_str("map[");
    for (at, key) in sorted_keys(map).into_iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(key);
        out.push(':');
        print(&map[key.as_str()], out);
    }
    out.push(']');
}

/// Go prints and ranges over maps in the order of their keys.
pub fn sorted_keys(map: &Map<String, Value>) -> Vec<&String> {
    let mut keys: Vec<_> = map.keys().collect();
    keys.sort();
    keys
}
