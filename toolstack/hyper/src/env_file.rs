//! `--env`, `--env-file`, `--label`, `--label-file`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One `--env` as typed: `NAME=value`, or `NAME`, which takes our own value if we have one. A name alone that we do
/// not have goes on as it is: the daemon then drops the image's variable.
pub fn env_argument(text: &str) -> Result<String, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, _)) => (name, Some(())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(match value {
        Some(()) => text.to_owned(),
        None => from_environment(name).unwrap_or_else(|| name.to_owned()),
    })
}

fn from_environment(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(format!("{name}={value}"))
}

/// Files first, then what was typed, which wins.
pub fn environment(files: &[PathBuf], typed: &[String]) -> Result<Vec<String>> {
    let mut variables = Vec::new();
    for file in files {
        for line in lines(file)? {
            match line {
                Line::Pair(pair) => variables.push(pair),
                // A name that we do not have is no variable at all here.
                Line::Name(name) => variables.extend(from_environment(&name)),
            }
        }
    }
    variables.extend(typed.iter().cloned());
    Ok(variables)
}

pub fn labels(files: &[PathBuf], typed: &[String]) -> Result<Vec<(String, String)>> {
    let mut labels = Vec::new();
    for file in files {
        for line in lines(file)? {
            let (Line::Pair(text) | Line::Name(text)) = line;
            labels.push(pair(&text));
        }
    }
    labels.extend(typed.iter().map(|text| pair(text)));
    Ok(labels)
}

/// `key=value`, or `key` with an empty value.
pub fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Pair(String),
    Name(String),
}

fn lines(file: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read(file).with_context(|| format!("open {}", file.display()))?;
    let Ok(text) = String::from_utf8(text) else {
        bail!("{} is not valid UTF-8", file.display());
    };
    parse(&text).with_context(|| format!("invalid file {}", file.display()))
}

/// Docker's grammar: a line is `NAME=value` with the value verbatim, or `NAME`; empty lines and those that begin with
/// `#` do not count.
fn parse(text: &str) -> Result<Vec<Line>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parsed = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line.trim_end(), None),
        };
        if name.is_empty() {
            bail!("no variable name on line '{line}'");
        }
        if name.contains(char::is_whitespace) {
            bail!("variable '{name}' contains whitespaces");
        }
        parsed.push(match value {
            Some(value) => Line::Pair(format!("{name}={value}")),
            None => Line::Name(name.to_owned()),
        });
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_grammar_is_dockers() {
        let text = "\u{feff}# note\n\n  A=1\r\nB= two words # kept \nC=\nD\nE=a=b\n";
        let want = [
            Line::Pair("A=1".into()),
            Line::Pair("B= two words # kept ".into()),
            Line::Pair("C=".into()),
            Line::Name("D".into()),
            Line::Pair("E=a=b".into()),
        ];
        assert_eq!(parse(text).unwrap(), want);
        assert!(parse("=x").is_err());
        assert!(parse("A B=x").is_err());
        assert!(parse("A =x").is_err());
    }

    #[test]
    fn a_name_alone_takes_our_value() {
        // Cargo sets it for its tests.
        let ours = std::env::var("CARGO_PKG_NAME").unwrap();
        assert_eq!(
            env_argument("CARGO_PKG_NAME"),
            Ok(format!("CARGO_PKG_NAME={ours}"))
        );
        assert_eq!(env_argument("NOT_SET_ANYWHERE"), Ok("NOT_SET_ANYWHERE".into()));
        assert_eq!(env_argument("A="), Ok("A=".into()));
        assert!(env_argument("=x").is_err());
        assert!(env_argument("").is_err());
    }

    proptest! {
        #[test]
        fn values_are_verbatim(name in "[A-Z_]{1,8}", value in "[^\r\n]{0,20}") {
            let line = format!("{name}={value}");
            prop_assert_eq!(parse(&line).unwrap(), [Line::Pair(line)]);
        }

        #[test]
        fn no_file_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
