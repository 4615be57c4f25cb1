//! Words of an instruction: quotes, escapes and variables, as BuildKit's `shell` package and its parser have them.

use std::iter::Peekable;
use std::str::Chars;

/// Splits at white space; quotes and escapes stay as they are, and keep together what stands in them.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', Some('"') | None) => {
                word.push(letter);
                word.extend(letters.next());
            }
            (letter, Some(open)) => {
                word.push(letter);
                if letter == open {
                    quote = None;
                }
            }
            ('"' | '\'', None) => {
                word.push(letter);
                quote = Some(letter);
            }
            (letter, None) if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (letter, None) => word.push(letter),
        }
    }
    if quote.is_some() {
        return Err(format!(
            "unexpected end of statement while looking for matching {}-quote",
            quote.map_or("", |quote| if quote == '"' { "double" } else { "single" })
        ));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A word without its quotes and escapes, its variables replaced.
pub fn expand(word: &str, env: &[String]) -> Result<String, String> {
    let mut letters = word.chars().peekable();
    let mut out = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                let mut closed = false;
                for inner in letters.by_ref() {
                    if inner == '\'' {
                        closed = true;
                        break;
                    }
                    out.push(inner);
                }
                if !closed {
                    return Err(
                        "unexpected end of statement while looking for matching single-quote".to_owned(),
                    );
                }
            }
            '"' => double_quoted(&mut letters, env, &mut out)?,
            '\\' => out.extend(letters.next()),
            '$' => out.push_str(&variable(&mut letters, env)?),
            other => out.push(other),
        }
    }
    Ok(out)
}

fn double_quoted(letters: &mut Peekable<Chars<'_>>, env: &[String], out: &mut String) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(()),
            '$' => out.push_str(&variable(letters, env)?),
            '\\' => match letters.next() {
                Some(escaped @ ('"' | '$' | '\\')) => out.push(escaped),
                Some(other) => out.extend(['\\', other]),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("unexpected end of statement while looking for matching double-quote".to_owned())
}

/// Behind a `$`.
fn variable(letters: &mut Peekable<Chars<'_>>, env: &[String]) -> Result<String, String> {
    let value = |name: &str| {
        let found = env
            .iter()
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    let is_part = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    if letters.next_if_eq(&'{').is_none() {
        let mut name = String::new();
        while let Some(letter) = letters.next_if(is_part) {
            name.push(letter);
            // A number is a parameter of its own.
            if name.len() == 1 && letter.is_ascii_digit() {
                break;
            }
        }
        return Ok(match name.is_empty() {
            true => "$".to_owned(),
            false => value(&name).unwrap_or_default(),
        });
    }
    let mut name = String::new();
    while let Some(letter) = letters.next_if(is_part) {
        name.push(letter);
    }
    if name.is_empty() {
        return Err("bad substitution".to_owned());
    }
    let (mut depth, mut rest, mut closed) = (0, String::new(), false);
    while let Some(letter) = letters.next() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                closed = true;
                break;
            }
            '}' => depth -= 1,
            '\\' => {
                rest.push(letter);
                rest.extend(letters.next());
                continue;
            }
            _ => {}
        }
        rest.push(letter);
    }
    if !closed {
        return Err("syntax error: missing '}'".to_owned());
    }
    let known = value(&name);
    let filled = known.clone().filter(|value| !value.is_empty());
    match rest.as_str() {
        "" => Ok(known.unwrap_or_default()),
        rest => match rest.get(..2).map(|start| (start, &rest[2..])) {
            Some((":-", other)) => filled.map_or_else(|| expand(other, env), Ok),
            Some((":+", other)) => filled.map_or_else(|| Ok(String::new()), |_| expand(other, env)),
            _ => match (rest.strip_prefix('-'), rest.strip_prefix('+')) {
                (Some(other), _) => known.map_or_else(|| expand(other, env), Ok),
                (_, Some(other)) => known.map_or_else(|| Ok(String::new()), |_| expand(other, env)),
                _ => Err(format!("unsupported modifier ({rest}) in substitution")),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_quotes_until_they_are_expanded() {
        let words = split(r#"a="b c" d='e $F' g\ h  ${X:-y z}"#).unwrap();
        assert_eq!(words, [r#"a="b c""#, "d='e $F'", r"g\ h", "${X:-y", "z}"]);
        let env = ["F=f".to_owned(), "EMPTY=".to_owned()];
        for (word, expanded) in [
            (r#"a="b c""#, "a=b c"),
            ("'$F'", "$F"),
            ("\"$F\"x", "fx"),
            (r"g\ h\$F", "g h$F"),
            ("${F}$F$NONE.", "ff."),
            ("${NONE:-a${F}}", "af"),
            ("${EMPTY:-d}${EMPTY-d}", "d"),
            ("${F:+yes}${NONE:+no}", "yes"),
            ("5$", "5$"),
        ] {
            assert_eq!(expand(word, &env).unwrap(), expanded, "{word}");
        }
        for bad in ["'a", "\"a", "${a", "${}", "${F%x}"] {
            assert!(expand(bad, &env).is_err(), "{bad}");
        }
        assert!(split("a 'b").is_err());
    }
}
