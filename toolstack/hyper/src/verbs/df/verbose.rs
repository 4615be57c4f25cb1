//! `hyper system df -v`: each image, container and volume with what it takes.

use anyhow::Result;
use serde_json::{Value, json};

use crate::output;
use crate::table::{self, Column, Row};
use crate::template::Template;
use crate::units::human_size;
use crate::verbs::{images, ps, text};

const VOLUME_COLUMNS: &[Column] = &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")];
const CACHE_COLUMNS: &[Column] = &[
    ("ID", "CACHE ID"),
    ("CacheType", "CACHE TYPE"),
    ("Size", "SIZE"),
    ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"),
    ("UsageCount", "USAGE"),
    ("Shared", "SHARED"),
];

/// One of the tables.
struct Section {
    /// In `--format` templates.
    name: &'static str,
    title: String,
    columns: &'static [Column],
    shown: Vec<&'static str>,
    rows: Vec<Row>,
}

pub fn print(usage: &Value, format: Option<&str>) -> Result<()> {
    let is_table = matches!(format, None | Some("table"));
    let sections = sections(usage, !is_table);
    if is_table {
        for (index, section) in sections.iter().enumerate() {
            let blank = if index == 0 { "" } else { "\n" };
            output::line(&format!("{blank}{}\n", section.title))?;
            table::print(None, section.columns, &section.shown, &section.rows)?;
        }
        return Ok(());
    }
    let lists = sections.iter().map(|section| {
        let rows = section.rows.iter().map(Row::to_value).collect();
        (section.name.to_owned(), Value::Array(rows))
    });
    let all = Value::Object(lists.collect());
    match format {
        Some("json") => output::line(&all.to_string()),
        Some(format) => output::line(&Template::parse(&table::unescape(format))?.render(&all)?),
        None => Ok(()),
    }
}

fn sections(usage: &Value, whole: bool) -> [Section; 4] {
    let list = |key: &str| {
        let list = usage.get(key).and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    };
    let cached = usage.get("BuilderSize").and_then(Value::as_i64).unwrap_or(0);
    [
        Section {
            name: "Images",
            title: "Images space usage:".to_owned(),
            columns: images::COLUMNS,
            shown: vec![
                "Repository",
                "Tag",
                "ID",
                "CreatedSince",
                "Size",
                "SharedSize",
                "UniqueSize",
                "Containers",
            ],
            rows: list("Images")
                .iter()
                .map(|image| images::first_row(image, whole))
                .collect(),
        },
        Section {
            name: "Containers",
            title: "Containers space usage:".to_owned(),
            columns: ps::COLUMNS,
            shown: vec![
                "ID",
                "Image",
                "Command",
                "LocalVolumes",
                "Size",
                "RunningFor",
                "Status",
                "Names",
            ],
            rows: list("Containers")
                .iter()
                .map(|container| {
                    // What of it is its image's stands above.
                    let mut own = container.clone();
                    own["SizeRootFs"] = json!(0);
                    ps::row(&own, whole)
                })
                .collect(),
        },
        Section {
            name: "Volumes",
            title: "Local Volumes space usage:".to_owned(),
            columns: VOLUME_COLUMNS,
            shown: VOLUME_COLUMNS.iter().map(|(field, _)| *field).collect(),
            rows: list("Volumes").iter().map(volume_row).collect(),
        },
        Section {
            name: "BuildCache",
            title: format!("Build cache usage: {}", human_size(cached)),
            columns: CACHE_COLUMNS,
            shown: CACHE_COLUMNS.iter().map(|(field, _)| *field).collect(),
            // Nothing is built here.
            rows: Vec::new(),
        },
    ]
}

fn volume_row(volume: &Value) -> Row {
    let number = |key: &str| {
        volume
            .pointer(&format!("/UsageData/{key}"))
            .and_then(Value::as_i64)
    };
    let known = |number: Option<i64>, show: fn(i64) -> String| match number {
        Some(number) if number >= 0 => show(number),
        _ => "N/A".to_owned(),
    };
    let mut row = Row::default();
    row.set("Name", text(volume, "Name"));
    row.set("Links", known(number("RefCount"), |count| count.to_string()));
    row.set("Size", known(number("Size"), human_size));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_row() {
        let usage = json!({
            "Images": [{ "Id": "sha256:0123456789abcdef", "RepoTags": ["a:1", "b:2"], "Size": 3000, "SharedSize": 1000,
                "Containers": 2, "Created": 0 }],
            "Containers": [{ "Id": "c", "Names": ["/web"], "SizeRw": 5000, "SizeRootFs": 9000, "Command": "sh" }],
            "Volumes": [{ "Name": "data", "UsageData": { "RefCount": 1, "Size": 7000 } }, { "Name": "other" }],
            "BuilderSize": 0,
        });
        let [images, containers, volumes, cache] = sections(&usage, false);
        let row = |section: &Section, index: usize| section.rows[index].to_value();
        assert_eq!(images.rows.len(), 1);
        let image = row(&images, 0);
        assert_eq!(
            (&image["Repository"], &image["ID"]),
            (&json!("a"), &json!("0123456789ab"))
        );
        assert_eq!(
            (&image["SharedSize"], &image["UniqueSize"]),
            (&json!("1kB"), &json!("2kB"))
        );
        assert_eq!(image["Containers"], "2");
        assert_eq!(row(&containers, 0)["Size"], "5kB");
        assert_eq!(
            (&row(&volumes, 0)["Size"], &row(&volumes, 0)["Links"]),
            (&json!("7kB"), &json!("1"))
        );
        assert_eq!(row(&volumes, 1)["Size"], "N/A");
        assert!(cache.rows.is_empty());
        assert_eq!(cache.title, "Build cache usage: 0B");
    }
}
