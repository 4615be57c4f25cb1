//! `hyper inspect`

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::client::Client;
use crate::error::is_not_found;
use crate::output;
use crate::output::complain;
use crate::target::Target;
use crate::template::Template;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Container,
    Image,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "STRING")]
    format: Option<String>,
    /// Show the guest of a container as one value: type, memory, vcpus, disks, command line
    #[arg(long)]
    plan: bool,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long = "type", value_name = "STRING", value_enum)]
    kind: Option<Kind>,
    /// Objects to inspect
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

impl Args {
    /// As `hyper container inspect` and `hyper image inspect` are called.
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    let template = match args.format.as_deref() {
        None | Some("json") => None,
        Some(format) => Some(Template::parse(format)?),
    };
    if !args.plan {
        return show(args.format.as_deref(), &args.names, |name| {
            inspect(client, &args, name)
        })
        .await;
    }
    let mut errors = Vec::new();
    for name in &args.names {
        match inspect(client, &args, name).await {
            Ok(object) => match &template {
                Some(template) => output::line(&template.render(&object)?)?,
                // One value, not a list of what was found.
                None if args.format.is_some() => output::line(&object.to_string())?,
                None => output::line(&pretty(&object)?)?,
            },
            Err(error) if crate::error::is_unreachable(&error) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    for error in &errors {
        complain!("{error:#}");
    }
    Ok(i32::from(!errors.is_empty()))
}

/// Shows objects as `format` says, all that there are, and tells of those that there are not.
pub async fn show<'a, F, Fut>(format: Option<&str>, names: &'a [String], get: F) -> Result<i32>
where
    F: Fn(&'a str) -> Fut,
    Fut: Future<Output = Result<Value>>,
{
    let template = match format {
        None | Some("json") => None,
        Some(format) => Some(Template::parse(format)?),
    };
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        match get(name).await {
            Ok(object) => match &template {
                Some(template) => output::line(&template.render(&object)?)?,
                None => found.push(object),
            },
            Err(error) if crate::error::is_unreachable(&error) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    if template.is_none() {
        let found = Value::Array(found);
        match format {
            Some(_) => output::line(&found.to_string())?,
            None => output::line(&pretty(&found)?)?,
        }
    }
    for error in &errors {
        complain!("{error:#}");
    }
    Ok(i32::from(!errors.is_empty()))
}

async fn inspect(client: &Client, args: &Args, name: &str) -> Result<Value> {
    if args.plan {
        let target = Target::extension("containers").push(name).push("plan");
        return client.get(target).await;
    }
    let container = || Target::container(name).push("json").flag("size", args.size);
    let image = || Target::image(name).push("json");
    match args.kind {
        Some(Kind::Container) => client.get(container()).await,
        Some(Kind::Image) => client.get(image()).await,
        None => match client.get(container()).await {
            Err(error) if is_not_found(&error) => match client.get(image()).await {
                Err(error) if is_not_found(&error) => bail!("Error: No such object: {name}"),
                answer => answer,
            },
            answer => answer,
        },
    }
}

/// Docker indents by four.
fn pretty(value: &Value) -> Result<String> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    value.serialize(&mut serializer)?;
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_indented_by_four() {
        let text = pretty(&serde_json::json!([{"b": 1, "a": []}])).unwrap();
        assert_eq!(text, "[\n    {\n        \"b\": 1,\n        \"a\": []\n    }\n]");
        assert_eq!(pretty(&serde_json::json!([])).unwrap(), "[]");
    }
}
