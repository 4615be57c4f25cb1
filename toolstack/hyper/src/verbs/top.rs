//! `hyper top`

use anyhow::Result;
use serde_json::Value;

use super::strings;
use crate::client::Client;
use crate::output;
use crate::table::align_to;
use crate::target::Target;

/// What docker gives Go's tabwriter here.
const MIN_WIDTH: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container whose processes to show
    container: String,
    /// Options of ps that choose the columns: -ef, aux, -o pid,comm
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PS OPTIONS"
    )]
    options: Vec<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let options = args.options.join(" ");
    let target = Target::container(&args.container)
        .push("top")
        .query_opt("ps_args", Some(options).filter(|options| !options.is_empty()));
    output::line(render(&client.get(target).await?).trim_end_matches('\n'))?;
    Ok(0)
}

fn render(answer: &Value) -> String {
    let rows = answer.get("Processes").and_then(Value::as_array);
    let rows = rows.into_iter().flatten().filter_map(Value::as_array);
    let cells = |row: &Vec<Value>| {
        row.iter()
            .map(|cell| cell.as_str().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\t")
    };
    let lines: Vec<String> = std::iter::once(strings(answer, "Titles").join("\t"))
        .chain(rows.map(cells))
        .collect();
    align_to(&lines, MIN_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_wide() {
        let answer = serde_json::json!({ "Titles": ["PID", "CMD"], "Processes": [["1", "sleep 5"]] });
        assert_eq!(
            render(&answer),
            format!("PID{}CMD\n1{}sleep 5\n", " ".repeat(17), " ".repeat(19))
        );
    }
}
