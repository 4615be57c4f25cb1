//! `SizeRw` and `SizeRootFs`: what containers take of the disk.

use engine::{Container, Engine};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Bytes by image, looked up once for a whole list.
pub struct Sizes<'a> {
    engine: &'a Engine,
    images: HashMap<String, u64>,
}

impl<'a> Sizes<'a> {
    pub fn new(engine: &'a Engine) -> Self {
        // Without the images that cannot be read: their bytes are not known.
        let images = engine.images().list().unwrap_or_default();
        Self {
            engine,
            images: images.into_iter().map(|image| (image.id, image.size)).collect(),
        }
    }

    /// Adds the sizes of a container to what is told of it.
    pub fn add_to(&self, value: &mut Value, container: &Container) {
        let written = self.engine.written_bytes(container);
        let image = self.images.get(&container.image_id).copied().unwrap_or(0);
        value["SizeRw"] = json!(written);
        value["SizeRootFs"] = json!(image.saturating_add(written));
    }
}
