//! What images take of the disk, layers that several of them have counted once.

use crate::Image;
use std::collections::HashMap;

/// Of all images of a store.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of all layers together.
    pub layers_bytes: u64,
    /// For each image, as given: what of it other images have too.
    pub shared_bytes: Vec<u64>,
}

impl Usage {
    pub fn of(images: &[Image]) -> Self {
        let layers = |image: &Image| {
            let diff_ids = image.configuration.rootfs().diff_ids().clone();
            // A layer may stand twice in one image.
            let sizes: HashMap<String, u64> = diff_ids
                .into_iter()
                .zip(image.layer_bytes.iter().copied())
                .collect();
            sizes
        };
        let mut users: HashMap<String, (u64, usize)> = HashMap::new();
        for image in images {
            for (diff_id, bytes) in layers(image) {
                users.entry(diff_id).or_insert((bytes, 0)).1 += 1;
            }
        }
        let is_shared = |diff_id: &String| users.get(diff_id).is_some_and(|(_, count)| *count > 1);
        Self {
            layers_bytes: users.values().map(|(bytes, _)| bytes).sum(),
            shared_bytes: images
                .iter()
                .map(|image| {
                    let layers = layers(image).into_iter();
                    layers
                        .filter(|(diff_id, _)| is_shared(diff_id))
                        .map(|(_, bytes)| bytes)
                        .sum()
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::save::tests::image;

    #[tokio::test]
    async fn shared_layers_count_once() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let images = [
            image(&store, "a:1", &[b"base", b"a"]).await,
            image(&store, "b:1", &[b"base", b"b", b"b"]).await,
            image(&store, "c:1", &[b"c"]).await,
        ];
        let layer = images[2].size;
        let usage = Usage::of(&images);
        assert_eq!(usage.layers_bytes, 4 * layer);
        assert_eq!(usage.shared_bytes, [layer, layer, 0]);
        assert_eq!(Usage::of(&[]), Usage::default());
    }
}
