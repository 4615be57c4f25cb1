//! Rows of `ps`, `images` and `history`, in the formats of `--format`.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::output;
use crate::template::Template;

/// Between columns, and the least width of one: what docker gives Go's tabwriter.
const PADDING: usize = 3;
const MIN_WIDTH: usize = 10;

/// A field that templates may name, and what stands above it in a table.
pub type Column = (&'static str, &'static str);

#[derive(Debug, Default)]
pub struct Row {
    fields: Map<String, Value>,
    /// For `.Label "key"`.
    labels: Map<String, Value>,
}

impl Row {
    pub fn set(&mut self, field: &str, value: impl Into<String>) {
        self.fields.insert(field.to_owned(), Value::String(value.into()));
        // As `{{json .}}` of docker has them.
        self.fields.sort_keys();
    }

    /// The fields as one value.
    pub fn to_value(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    pub fn set_labels(&mut self, labels: Option<&Map<String, Value>>) {
        let labels = labels.cloned().unwrap_or_default();
        let mut pairs: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        pairs.sort();
        self.set("Labels", pairs.join(","));
        self.labels = labels;
    }
}

/// Prints `rows` as `format` says: `table` (with the columns `shown`), `table TEMPLATE`, `json` or `TEMPLATE`.
pub fn print(format: Option<&str>, columns: &[Column], shown: &[&str], rows: &[Row]) -> Result<()> {
    let text = render(format, columns, shown, rows)?;
    if text.is_empty() {
        return Ok(());
    }
    output::line(text.trim_end_matches('\n'))
}

/// What [`print`] prints.
pub fn render(format: Option<&str>, columns: &[Column], shown: &[&str], rows: &[Row]) -> Result<String> {
    let format = format.unwrap_or("table");
    if format == "json" {
        let lines = rows.iter().map(|row| {
            let mut fields: Vec<_> = row.fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let sorted: Map<_, _> = fields
                .into_iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            Value::Object(sorted).to_string() + "\n"
        });
        return Ok(lines.collect());
    }
    let (is_table, template) = match format.strip_prefix("table") {
        Some("") => (true, default_template(shown)),
        Some(rest) if rest.starts_with([' ', '\t']) => (true, unescape(rest.trim())),
        _ => (false, unescape(format)),
    };
    let template = Template::parse(&template)?;
    let mut lines = Vec::new();
    if is_table {
        let names = columns
            .iter()
            .map(|(field, header)| ((*field).to_owned(), Value::from(*header)));
        lines.push(template.render(&Value::Object(names.collect()))?);
    }
    for row in rows {
        let fields = Value::Object(row.fields.clone());
        lines.push(template.render_row(&fields, &row.labels)?);
    }
    if is_table {
        Ok(align(&lines))
    } else {
        Ok(lines.into_iter().map(|line| line + "\n").collect())
    }
}

fn default_template(shown: &[&str]) -> String {
    let fields: Vec<_> = shown.iter().map(|field| format!("{{{{.{field}}}}}")).collect();
    fields.join("\t")
}

/// A shell hands `\t` over as two characters.
pub fn unescape(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

/// Pads the cells of each column to the widest of them; the last cell of a line is not padded.
pub fn align(lines: &[String]) -> String {
    align_to(lines, MIN_WIDTH)
}

/// The same with another least width.
pub fn align_to(lines: &[String], min_width: usize) -> String {
    let cells: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            cells
                .iter()
                .filter(|line| line.len() > column + 1)
                .map(|line| line[column].chars().count() + PADDING)
                .max()
                .unwrap_or(0)
                .max(min_width)
        })
        .collect();
    let mut text = String::new();
    for line in &cells {
        for (column, cell) in line.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < line.len() {
                let missing = widths[column].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', missing));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &[Column] = &[("ID", "CONTAINER ID"), ("Names", "NAMES"), ("Labels", "LABELS")];

    fn rows() -> Vec<Row> {
        let mut row = Row::default();
        row.set("Names", "web");
        row.set("ID", "0123456789ab");
        row.set_labels(serde_json::json!({"b": "2", "a": "1"}).as_object());
        vec![row]
    }

    fn rendered(format: Option<&str>) -> String {
        render(format, COLUMNS, &["ID", "Names"], &rows()).unwrap()
    }

    #[test]
    fn the_formats() {
        let table = "CONTAINER ID   NAMES\n0123456789ab   web\n";
        assert_eq!(rendered(None), table);
        assert_eq!(rendered(Some("table")), table);
        assert_eq!(
            rendered(Some(r"table {{.Names}}\t{{.Labels}}")),
            "NAMES     LABELS\nweb       a=1,b=2\n"
        );
        assert_eq!(rendered(Some(r#"{{.Names}}\n{{.Label "a"}}"#)), "web\n1\n");
        assert_eq!(
            rendered(Some("json")),
            "{\"ID\":\"0123456789ab\",\"Labels\":\"a=1,b=2\",\"Names\":\"web\"}\n"
        );
        assert!(render(Some("{{.Nope}}"), COLUMNS, &[], &rows()).is_err());
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(
            render(None, COLUMNS, &["ID", "Names"], &[]).unwrap(),
            "CONTAINER ID   NAMES\n"
        );
    }

    proptest! {
        #[test]
        fn columns_stand_below_one_another(cells in prop::collection::vec(("[a-z]{0,15}", "[a-z]{1,5}"), 1..6)) {
            let lines: Vec<String> = cells.iter().map(|(a, b)| format!("{a}\t{b}")).collect();
            let text = align(&lines);
            let widest = cells.iter().map(|(a, _)| a.len()).max().unwrap();
            let start = (widest + PADDING).max(MIN_WIDTH);
            for (line, (a, b)) in text.lines().zip(&cells) {
                prop_assert!(line.starts_with(a.as_str()));
                prop_assert_eq!(&line[start..], b.as_str());
            }
        }
    }
}
