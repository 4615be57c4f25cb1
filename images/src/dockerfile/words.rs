//! The words behind a keyword. Quotes stay in them until variables are replaced.

use super::{ChangeError, wrong};
use serde_json::Value;

/// What separates words that know no quotes.
const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// The first word, without regard to quotes.
pub fn first(text: &str) -> &str {
    text.split(BLANKS).next().unwrap_or(text)
}

pub fn plain(text: &str) -> Vec<String> {
    let words = text.split(BLANKS).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// The next word, quotes and escapes kept, and what is behind it.
pub fn next(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match quote {
            None if char.is_whitespace() => return (word, &text[at..]),
            None if char == '\'' || char == '"' => quote = Some(char),
            Some(open) if char == open => quote = None,
            // Between single quotes nothing is escaped.
            _ if char == escape && quote != Some('\'') => {
                // At the very end it means nothing.
                let Some((_, escaped)) = chars.next() else { break };
                word.push(char);
                word.push(escaped);
                continue;
            }
            _ => {}
        }
        word.push(char);
    }
    (word, "")
}

fn quoted(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, behind) = next(rest, escape);
        if !word.is_empty() {
            words.push(word);
        }
        rest = behind.trim_start();
    }
    words
}

/// `name=value …`, or one `name value`.
pub fn pairs(keyword: &str, text: &str, escape: char) -> Result<Vec<(String, String)>, ChangeError> {
    let words = quoted(text, escape);
    match words.first() {
        None => return Ok(Vec::new()),
        Some(word) if !word.contains('=') => {
            let name = first(text);
            let value = text[name.len()..].trim_start_matches(BLANKS);
            return match text.len() == name.len() {
                true => Err(wrong(format!("{keyword} must have two arguments"))),
                false => Ok(vec![(name.to_owned(), value.to_owned())]),
            };
        }
        Some(_) => {}
    }
    let pairs = words.iter().map(|word| match word.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(wrong(format!(
            "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
        ))),
    });
    pairs.collect()
}

/// A command: words in JSON, or one for a shell.
pub struct Command {
    pub words: Vec<String>,
    pub is_json: bool,
}

pub fn command(text: &str) -> Result<Command, ChangeError> {
    Ok(match json(text)? {
        Some(words) => Command { words, is_json: true },
        None => Command {
            words: Some(text.to_owned())
                .filter(|text| !text.is_empty())
                .into_iter()
                .collect(),
            is_json: false,
        },
    })
}

/// Words in JSON or between blanks.
pub fn list(text: &str) -> Result<Vec<String>, ChangeError> {
    Ok(json(text)?.unwrap_or_else(|| plain(text)))
}

/// An array of strings; `None` when it is no JSON array at all.
fn json(text: &str) -> Result<Option<Vec<String>>, ChangeError> {
    let Ok(Value::Array(values)) = serde_json::from_str(text) else {
        return Ok(None);
    };
    let words = values.into_iter().map(|value| match value {
        Value::String(word) => Ok(word),
        _ => Err(wrong(
            "when using JSON array syntax, arrays must be comprised of strings only",
        )),
    });
    words.collect::<Result<Vec<_>, _>>().map(Some)
}
