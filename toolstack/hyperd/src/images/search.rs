//! `/images/search`.

use super::login::credentials;
use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::request;
use engine::images::Found;

const FILTERS: &[&str] = &["is-automated", "is-official", "stars"];
const DEFAULT_LIMIT: u32 = 25;
const MAX_LIMIT: u32 = 100;

pub async fn search(call: &Call) -> Answer {
    let term = call.query.text("term");
    let term = term.ok_or_else(|| ApiError::invalid("the term to search for is missing"))?;
    let filters = Filters::of(&call.query, FILTERS)?;
    let wanted = Wanted::of(&filters)?;
    let limit = match call.query.number("limit")? {
        None | Some(0) => DEFAULT_LIMIT,
        Some(limit @ 1..=MAX_LIMIT) => limit,
        Some(limit) => {
            return Err(ApiError::invalid(format!(
                "limit {limit} is outside the range of [1, {MAX_LIMIT}]"
            )));
        }
    };
    let credentials = credentials(call.request.headers());
    let mut found = call.engine().search(term, limit, credentials).await?;
    found.retain(|found| wanted.fits(found));
    Ok(request::ok_json(&found))
}

struct Wanted {
    official: Option<bool>,
    automated: Option<bool>,
    stars: u64,
}

impl Wanted {
    fn of(filters: &Filters) -> Result<Self, ApiError> {
        let stars = filters.get("stars").iter().map(|text| {
            text.parse::<u64>()
                .map_err(|_| ApiError::invalid(format!("invalid filter 'stars={text}'")))
        });
        let stars = stars.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            official: filters.flag("is-official")?,
            automated: filters.flag("is-automated")?,
            stars: stars.into_iter().max().unwrap_or(0),
        })
    }

    fn fits(&self, found: &Found) -> bool {
        self.official.is_none_or(|official| official == found.is_official)
            && self
                .automated
                .is_none_or(|automated| automated == found.is_automated)
            && found.star_count >= self.stars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted() {
        let found = Found {
            star_count: 7,
            is_official: true,
            ..Found::default()
        };
        for (filters, expected) in [
            ("{}", true),
            (r#"{"stars":["7"]}"#, true),
            (r#"{"stars":["7","8"]}"#, false),
            (r#"{"is-official":["true"]}"#, true),
            (r#"{"is-official":["false"]}"#, false),
            (r#"{"is-automated":["1"]}"#, false),
        ] {
            let filters = Filters::parse(filters, FILTERS).unwrap();
            assert_eq!(
                Wanted::of(&filters).unwrap().fits(&found),
                expected,
                "{filters:?}"
            );
        }
        let wrong = Filters::parse(r#"{"stars":["many"]}"#, FILTERS).unwrap();
        assert!(Wanted::of(&wrong).is_err());
    }
}
