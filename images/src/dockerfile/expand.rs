//! Variables and quotes in a word, in the manner of a shell.

use super::{ChangeError, wrong};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// `${a:-${b:-…}}`.
const MAX_NESTING: usize = 64;

pub struct Shell {
    env: BTreeMap<String, String>,
    escape: char,
}

/// What became of a word, and where it may be split into several.
#[derive(Default)]
struct Expanded {
    text: String,
    words: Vec<String>,
    word: String,
}

impl Expanded {
    /// Stays in its word even if it is blank.
    fn raw(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    fn split(&mut self, text: &str) {
        self.text.push_str(text);
        for char in text.chars() {
            if !char.is_whitespace() {
                self.word.push(char);
            } else if !self.word.is_empty() {
                self.words.push(std::mem::take(&mut self.word));
            }
        }
    }

    fn into_words(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

impl Shell {
    pub fn new(env: BTreeMap<String, String>, escape: char) -> Self {
        Self { env, escape }
    }

    pub fn word(&self, word: &str) -> Result<String, ChangeError> {
        Ok(self.expand(word)?.text)
    }

    /// The same, split at blanks that are not quoted.
    pub fn words(&self, word: &str) -> Result<Vec<String>, ChangeError> {
        Ok(self.expand(word)?.into_words())
    }

    fn expand(&self, word: &str) -> Result<Expanded, ChangeError> {
        let mut lexer = Lexer {
            shell: self,
            chars: word.chars().peekable(),
            nesting: 0,
        };
        lexer
            .until(None)
            .map_err(|error| wrong(format!("failed to process {word:?}: {error}")))
    }
}

struct Lexer<'a> {
    shell: &'a Shell,
    chars: Peekable<Chars<'a>>,
    nesting: usize,
}

impl Lexer<'_> {
    fn until(&mut self, stop: Option<char>) -> Result<Expanded, ChangeError> {
        let mut done = Expanded::default();
        while let Some(&char) = self.chars.peek() {
            if Some(char) == stop {
                self.chars.next();
                return Ok(done);
            }
            match char {
                '$' => done.split(&self.dollar()?),
                '\'' => done.raw(&self.single_quoted()?),
                '"' => done.raw(&self.double_quoted()?),
                _ => {
                    self.chars.next();
                    if char != self.shell.escape {
                        done.split(char.encode_utf8(&mut [0; 4]));
                    } else if let Some(escaped) = self.chars.next() {
                        done.raw(escaped.encode_utf8(&mut [0; 4]));
                    }
                }
            }
        }
        match stop {
            None => Ok(done),
            Some(_) => Err(wrong("syntax error: missing '}'")),
        }
    }

    fn single_quoted(&mut self) -> Result<String, ChangeError> {
        self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.next() {
                Some('\'') => return Ok(text),
                Some(char) => text.push(char),
                None => {
                    return Err(wrong(
                        "unexpected end of statement while looking for matching single-quote",
                    ));
                }
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, ChangeError> {
        self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.peek().copied() {
                None => {
                    return Err(wrong(
                        "unexpected end of statement while looking for matching double-quote",
                    ));
                }
                Some('"') => {
                    self.chars.next();
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(char) => {
                    self.chars.next();
                    let escaped = |next: &char| matches!(next, '"' | '$') || *next == self.shell.escape;
                    match char == self.shell.escape {
                        true => match self.chars.peek().copied() {
                            None => {}
                            Some(next) if escaped(&next) => {
                                self.chars.next();
                                text.push(next);
                            }
                            Some(_) => text.push(char),
                        },
                        false => text.push(char),
                    }
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<String, ChangeError> {
        self.chars.next();
        if self.chars.peek() != Some(&'{') {
            let name = self.name();
            return Ok(match name.is_empty() {
                true => "$".to_owned(),
                false => self.get(&name).unwrap_or_default().to_owned(),
            });
        }
        self.chars.next();
        match self.chars.peek() {
            None => return Err(wrong("syntax error: missing '}'")),
            Some('{' | '}' | ':') => return Err(wrong("syntax error: bad substitution")),
            Some(_) => {}
        }
        let name = self.name();
        let mut modifier = self.chars.next().map(String::from).unwrap_or_default();
        if modifier == "}" {
            return Ok(self.get(&name).unwrap_or_default().to_owned());
        }
        if modifier == ":" {
            modifier.extend(self.chars.next());
        }
        let unsupported = || wrong(format!("unsupported modifier ({modifier}) in substitution"));
        let Some(kind @ ('-' | '+' | '?')) = modifier.chars().last() else {
            return Err(unsupported());
        };
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(wrong("syntax error: substitutions are nested too deep"));
        }
        let word = self.until(Some('}'))?.text;
        self.nesting -= 1;
        let value = self.get(&name);
        let is_set = value.is_some_and(|value| !modifier.starts_with(':') || !value.is_empty());
        match (kind, value.filter(|_| is_set)) {
            ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value.to_owned()),
            ('-', None) => Ok(word),
            (_, None) => {
                let state = if value.is_some() { "empty" } else { "unset" };
                let why = match word.as_str() {
                    "" => format!("is not allowed to be {state}"),
                    _ => word,
                };
                Err(wrong(format!("{name}: {why}")))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.shell.env.get(name).map(String::as_str)
    }

    /// Letters, digits and `_`; a number; or one of the shell's own.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let is_number = self.chars.peek().is_some_and(char::is_ascii_digit);
        let fits = |char: &char| match is_number {
            true => char.is_ascii_digit(),
            false => char.is_alphanumeric() || *char == '_',
        };
        if let Some(special) = self.chars.next_if(|char| "@*#?-$!".contains(*char)) {
            return special.to_string();
        }
        while let Some(char) = self.chars.next_if(fits) {
            name.push(char);
        }
        name
    }
}
