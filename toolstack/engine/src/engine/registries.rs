//! What is asked of registries beside a pull of one image.

use super::Engine;
use crate::error::Error;
use images::{Credentials, Found, Name, Progress};

impl Engine {
    /// Pulls all tags of a repository.
    pub async fn pull_all(
        &self,
        name: &Name,
        credentials: Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), Error> {
        let (images, settings) = (self.images(), self.cx.settings());
        let registries = &settings.registries;
        images.pull_all(name, registries, credentials, progress).await?;
        self.tell_image("pull", &name.repository(), &name.repository(), None);
        Ok(())
    }

    /// Pushes an image under one of its names; with `all`, all images that have a tag in that repository.
    pub async fn push(
        &self,
        name: &Name,
        all: bool,
        credentials: Credentials,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), Error> {
        let (images, settings) = (self.images(), self.cx.settings());
        let registries = &settings.registries;
        match all {
            true => images.push_all(name, registries, credentials, progress).await?,
            false => images.push(name, registries, credentials, progress).await?,
        }
        let id = match all {
            true => name.repository(),
            false => name.to_string(),
        };
        self.tell_image("push", &id, &name.repository(), images.find(&id).ok().as_ref());
        Ok(())
    }

    /// Repositories that a registry finds for a term.
    pub async fn search(
        &self,
        term: &str,
        limit: u32,
        credentials: Credentials,
    ) -> Result<Vec<Found>, Error> {
        let settings = self.cx.settings();
        Ok(settings.registries.search(term, limit, credentials).await?)
    }
}
