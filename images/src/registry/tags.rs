//! The tags of a repository.

use super::session::{Fault, Session};
use crate::{Error, Name};
use reqwest::header::LINK;
use reqwest::{Method, Request, Url};
use serde::Deserialize;

/// More are a mistake to pull at once, and a registry must not keep us turning pages.
const MAX_TAGS: usize = 10_000;
const MAX_PAGES: usize = 1_000;
const PAGE: &str = "500";

#[derive(Deserialize)]
struct List {
    tags: Option<Vec<String>>,
}

impl Session {
    /// All tags of `name`'s repository as names; one that is no tag by the grammar is an error.
    pub async fn tags(&self, name: &Name) -> Result<Vec<Name>, Error> {
        let mut url = self.url("tags/list");
        url.query_pairs_mut().append_pair("n", PAGE);
        let mut names = Vec::new();
        for _ in 0..MAX_PAGES {
            let (tags, next) = self.page(&url).await.map_err(|fault| match fault {
                fault if fault.is_not_found() => Error::UnknownRepository(name.repository()),
                fault => self.failed(fault),
            })?;
            for tag in tags {
                names.push(name.with_tag(&tag)?);
            }
            if names.len() > MAX_TAGS {
                break;
            }
            match next {
                Some(next) => url = next,
                None => return Ok(names),
            }
        }
        Err(Error::Limit {
            what: format!("the list of tags of {}", name.repository()),
            limit: format!("{MAX_TAGS} tags"),
        })
    }

    async fn page(&self, url: &Url) -> Result<(Vec<String>, Option<Url>), Fault> {
        // The document is read to its end with its own limit; the link to the next page stands in the header.
        let response = self.send(&Request::new(Method::GET, url.clone())).await?;
        let link = response.headers().get(LINK);
        let link = link.and_then(|link| next(link.to_str().ok()?).map(str::to_owned));
        let link = link.map(|link| self.resolve(&link)).transpose()?;
        let body = super::session::read_limited(response, super::MAX_DOCUMENT_BYTES).await?;
        let list: List = serde_json::from_slice(&body)
            .map_err(|error| Fault::Nonsense(format!("its list of tags is not understood: {error}")))?;
        Ok((list.tags.unwrap_or_default(), link))
    }
}

/// `<URL>; rel="next"`
fn next(link: &str) -> Option<&str> {
    let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(url)
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn links_to_the_next_page() {
        assert_eq!(
            next(r#"</v2/a/tags/list?last=b>; rel="next""#),
            Some("/v2/a/tags/list?last=b")
        );
        for none in ["", "x", r#"<a>; rel="prev""#, "<a"] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
