//! `hyper images`

use anyhow::Result;
use serde_json::Value;

use super::id;
use crate::client::Client;
use crate::options::values::{filter, filters};
use crate::output;
use crate::table::{self, Column, Row};
use crate::target::Target;
use crate::time;
use crate::units::human_size;

pub(super) const COLUMNS: &[Column] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];
const NONE: &str = "<none>";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "FILTER", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "STRING")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Only images of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let mut conditions = args.filter.clone();
    conditions.extend(args.repository.clone().map(|name| ("reference".to_owned(), name)));
    let target = Target::api("images/json")
        .flag("all", args.all)
        .query_opt("filters", filters(&conditions));
    let answer = client.get(target).await?;
    let images = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let wants_digests = args.digests
        || args
            .format
            .as_deref()
            .is_some_and(|format| format.contains(".Digest"));
    if args.quiet && args.format.is_none() {
        for image in images {
            // As often as it has names, as docker does.
            for _ in names(image, wants_digests) {
                output::line(&id(image, args.no_trunc))?;
            }
        }
        return Ok(0);
    }
    let rows: Vec<_> = images
        .iter()
        .flat_map(|image| {
            names(image, wants_digests)
                .into_iter()
                .map(|name| row(image, name, args.no_trunc))
        })
        .collect();
    let shown: &[&str] = if args.digests {
        &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"]
    } else {
        &["Repository", "Tag", "ID", "CreatedSince", "Size"]
    };
    table::print(args.format.as_deref(), COLUMNS, shown, &rows)?;
    Ok(0)
}

#[derive(Debug, PartialEq, Eq)]
struct Name {
    repository: String,
    tag: String,
    digest: String,
}

/// A line for each tag; with digests for each digest of its repository too; one line for an image without a name.
fn names(image: &Value, digests: bool) -> Vec<Name> {
    let list = |key: &str, separator: char| -> Vec<(String, String)> {
        let values = image.get(key).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .filter_map(|value| value.as_str()?.rsplit_once(separator))
            .filter(|(repository, _)| *repository != NONE)
            .map(|(repository, rest)| (repository.to_owned(), rest.to_owned()))
            .collect()
    };
    let tags = list("RepoTags", ':');
    let digested = list("RepoDigests", '@');
    let of = |repository: &str| -> Vec<String> {
        let own = digested.iter().filter(|(name, _)| name == repository);
        let own: Vec<_> = own.map(|(_, digest)| digest.clone()).collect();
        match own.as_slice() {
            [] => vec![NONE.to_owned()],
            _ if !digests => own[..1].to_vec(),
            _ => own,
        }
    };
    let mut names = Vec::new();
    for (repository, tag) in &tags {
        names.extend(of(repository).into_iter().map(|digest| Name {
            repository: repository.clone(),
            tag: tag.clone(),
            digest,
        }));
    }
    // And one for each repository that has digests only.
    let mut untagged: Vec<&str> = Vec::new();
    for (repository, _) in &digested {
        if !untagged.contains(&repository.as_str()) && !tags.iter().any(|(tagged, _)| tagged == repository) {
            untagged.push(repository);
        }
    }
    for repository in untagged {
        names.extend(of(repository).into_iter().map(|digest| Name {
            repository: repository.to_owned(),
            tag: NONE.to_owned(),
            digest,
        }));
    }
    if names.is_empty() {
        names.push(Name {
            repository: NONE.to_owned(),
            tag: NONE.to_owned(),
            digest: NONE.to_owned(),
        });
    }
    names
}

/// With the first of its names alone.
pub(super) fn first_row(image: &Value, whole: bool) -> Row {
    let none = || Name {
        repository: NONE.to_owned(),
        tag: NONE.to_owned(),
        digest: NONE.to_owned(),
    };
    let name = names(image, false).into_iter().find(|name| name.tag != NONE);
    row(image, name.unwrap_or_else(none), whole)
}

fn row(image: &Value, name: Name, whole: bool) -> Row {
    let mut row = Row::default();
    let number = |key: &str| image.get(key).and_then(Value::as_i64);
    let created = number("Created").unwrap_or(0);
    let size = human_size(number("Size").unwrap_or(0));
    let known = |count: Option<i64>, show: fn(i64) -> String| match count {
        Some(count) if count >= 0 => show(count),
        _ => "N/A".to_owned(),
    };
    let unique = number("SharedSize")
        .filter(|shared| *shared >= 0)
        .map(|shared| number("Size").unwrap_or(0) - shared);
    row.set("ID", id(image, whole));
    row.set("Repository", name.repository);
    row.set("Tag", name.tag);
    row.set("Digest", name.digest);
    row.set(
        "CreatedSince",
        if created > 0 {
            time::ago(created)
        } else {
            "N/A".to_owned()
        },
    );
    row.set("CreatedAt", time::local(created));
    row.set("VirtualSize", size.as_str());
    row.set("Size", size);
    row.set(
        "Containers",
        known(number("Containers"), |count| count.to_string()),
    );
    row.set("SharedSize", known(number("SharedSize"), human_size));
    row.set("UniqueSize", known(unique, human_size));
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn triples(image: &Value, digests: bool) -> Vec<[String; 3]> {
        let names = names(image, digests).into_iter();
        names
            .map(|name| [name.repository, name.tag, name.digest])
            .collect()
    }

    #[test]
    fn a_line_for_each_name() {
        let image = json!({
            "RepoTags": ["host:5000/a:v1", "b:latest"],
            "RepoDigests": ["host:5000/a@sha256:00"],
        });
        assert_eq!(
            triples(&image, true),
            [
                ["host:5000/a", "v1", "sha256:00"].map(str::to_owned),
                ["b", "latest", NONE].map(str::to_owned),
            ]
        );
        let untagged = json!({"RepoTags": ["<none>:<none>"], "RepoDigests": ["a@sha256:00"]});
        assert_eq!(
            triples(&untagged, false),
            [["a", NONE, "sha256:00"].map(str::to_owned)]
        );
        let both = json!({"RepoTags": ["a:1"], "RepoDigests": ["a@sha256:00", "b@sha256:00", "b@sha256:01"]});
        assert_eq!(triples(&both, false)[1], ["b", NONE, "sha256:00"]);
        assert_eq!(
            triples(&json!({"RepoTags": []}), false),
            [[NONE; 3].map(str::to_owned)]
        );
    }
}
