//! `hyper image verify`

use anyhow::Result;
use serde_json::Value;

use super::{strings, text, truncated_id};
use crate::client::Client;
use crate::output;
use crate::output::complain;
use crate::target::Target;
use crate::units::human_size;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to read; all when none is given
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let target = || Target::extension("images").push("verify");
    let mut answers = Vec::new();
    if args.images.is_empty() {
        answers.push(client.post(target()).await?);
    }
    for image in &args.images {
        answers.push(client.post(target().query("name", image)).await?);
    }
    let list = |answer: &Value| answer.get("Images").and_then(Value::as_array).cloned();
    let mut damaged = false;
    for image in answers.iter().filter_map(list).flatten() {
        let (lines, whole) = report(&image);
        output::line(&lines)?;
        damaged |= !whole;
    }
    if damaged {
        complain!("hyper: damaged images: pull them again; where that says up to date, remove them first");
    }
    Ok(i32::from(damaged))
}

/// The lines of an image, and whether it is whole.
fn report(image: &Value) -> (String, bool) {
    let name = match strings(image, "Names").as_slice() {
        [] => truncated_id(text(image, "Id")),
        names => names.join(", "),
    };
    let repaired = strings(image, "Repaired").into_iter();
    let repaired: String = repaired
        .map(|what| format!("{name}: repaired: {what}\n"))
        .collect();
    match strings(image, "Damage").as_slice() {
        [] => {
            let bytes = image.get("Bytes").and_then(Value::as_i64).unwrap_or(0);
            (format!("{repaired}{name}: ok ({})", human_size(bytes)), true)
        }
        damage => (
            damage
                .iter()
                .map(|damage| format!("{name}: damaged: {damage}"))
                .collect::<Vec<_>>()
                .join("\n"),
            false,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_damage_has_a_line() {
        let whole = json!({ "Id": "sha256:00", "Names": ["a:1", "b:1"], "Bytes": 2000, "Damage": [] });
        assert_eq!(report(&whole), ("a:1, b:1: ok (2kB)".to_owned(), true));
        let mended = json!({ "Names": ["a:1"], "Bytes": 2, "Damage": [], "Repaired": ["the index"] });
        assert_eq!(
            report(&mended),
            ("a:1: repaired: the index\na:1: ok (2B)".to_owned(), true)
        );
        let broken =
            json!({ "Id": "sha256:00", "Names": ["a:1"], "Bytes": 1, "Damage": ["layer x is missing", "y"] });
        assert_eq!(
            report(&broken),
            (
                "a:1: damaged: layer x is missing\na:1: damaged: y".to_owned(),
                false
            )
        );
    }
}
