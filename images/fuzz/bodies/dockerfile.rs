//! Instructions that change a config.

use crate::dockerfile::change;
use serde_json::{Map, Value};

pub fn run(bytes: &[u8]) {
    // The config before it is an image's, so anything, too.
    let text = String::from_utf8_lossy(bytes);
    let (config, changes) = text.split_once('\0').unwrap_or(("{}", &text));
    let mut config = match serde_json::from_str(config) {
        Ok(Value::Object(config)) => config,
        _ => Map::new(),
    };
    let changes: Vec<_> = changes.split('\0').map(str::to_owned).collect();
    if change(&mut config, &changes, |_| true).is_ok() {
        let length = Value::Object(config).to_string().len();
        assert!(length <= 64 << 20, "{length}");
    }
}
