//! The lab that is measured in.

use anyhow::Result;
use integration::{Install, Lab, XenRelease};
use std::ops::Deref;

/// Ends with the benchmark, however that ends.
pub struct BenchLab(Lab);

impl BenchLab {
    /// With the present build installed.
    pub fn up() -> Result<Self> {
        Ok(Self(Lab::up("bench", XenRelease::default(), Install::Current)?))
    }
}

impl Deref for BenchLab {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for BenchLab {
    fn drop(&mut self) {
        if let Err(error) = Lab::down(self.name()) {
            eprintln!("bench: {error:#}");
        }
    }
}
