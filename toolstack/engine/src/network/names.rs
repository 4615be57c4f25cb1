//! What the containers of a network are called in it.

use super::spec::EndpointConfig;
use crate::state::Container;

/// Docker's: its name, the aliases it has there, its short id, and its host name.
pub fn names_of(container: &Container, config: &EndpointConfig) -> Vec<String> {
    let mut names = vec![container.name.clone()];
    let more = config.aliases.iter().map(String::as_str);
    for name in more.chain([container.short_id(), container.config.hostname.as_str()]) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}
