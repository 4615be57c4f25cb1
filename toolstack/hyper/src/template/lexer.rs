//! Text and tokens of a template.

use super::TemplateError;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// `.Name`
    Field(String),
    Dot,
    /// `$` or `$name`
    Variable(String),
    Identifier(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Pipe,
    Open,
    Close,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

#[derive(Clone, Debug)]
pub struct Lexeme {
    pub token: Token,
    /// Byte offset in the template, for errors.
    pub position: usize,
    /// `.A .B` is two operands, `.A.B` one.
    pub after_space: bool,
}

#[derive(Clone, Debug)]
pub enum Piece {
    Text(String),
    Action(Vec<Lexeme>),
}

pub fn lex(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let trim_before = after.is_some_and(starts_trim);
        let mut literal = before;
        if trim_next {
            literal = literal.trim_start();
        }
        if trim_before {
            literal = literal.trim_end();
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.to_owned()));
        }
        let Some(mut after) = after else {
            return Ok(pieces);
        };
        if trim_before {
            after = &after[1..];
        }
        if after.trim_start().starts_with("/*") {
            let Some((_, tail)) = after.split_once("*/") else {
                return Err(TemplateError::new(":1: unclosed comment"));
            };
            let tail = tail.trim_start();
            trim_next = tail.starts_with("-}}");
            rest = tail
                .trim_start_matches('-')
                .strip_prefix("}}")
                .ok_or_else(|| TemplateError::new(":1: comment ends before closing delimiter"))?;
            continue;
        }
        let start = text.len() - after.len();
        let mut lexer = Lexer {
            text,
            at: start,
            lexemes: Vec::new(),
        };
        trim_next = lexer.action()?;
        rest = &text[lexer.at..];
        pieces.push(Piece::Action(lexer.lexemes));
    }
}

/// `{{- `: the dash needs a space after it, or it is a negative number.
fn starts_trim(after: &str) -> bool {
    let mut chars = after.chars();
    chars.next() == Some('-') && chars.next().is_some_and(char::is_whitespace)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    lexemes: Vec<Lexeme>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Reads to the end of the action. True when it ends with ` -}}`.
    fn action(&mut self) -> Result<bool, TemplateError> {
        loop {
            let space = self.take_while(char::is_whitespace);
            let after_space = !space.is_empty();
            if self.rest().starts_with("}}") {
                self.at += 2;
                return Ok(false);
            }
            if after_space && self.rest().starts_with("-}}") {
                self.at += 3;
                return Ok(true);
            }
            let position = self.at;
            let token = self.token()?;
            self.lexemes.push(Lexeme {
                token,
                position,
                after_space,
            });
        }
    }

    fn token(&mut self) -> Result<Token, TemplateError> {
        let Some(first) = self.rest().chars().next() else {
            return Err(TemplateError::new(":1: unclosed action"));
        };
        for (text, token) in [
            (":=", Token::Declare),
            ("=", Token::Assign),
            ("|", Token::Pipe),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ] {
            if self.rest().starts_with(text) {
                self.at += text.len();
                return Ok(token);
            }
        }
        match first {
            '"' => self.quoted(),
            '`' => {
                let (raw, _) = self.rest()[1..]
                    .split_once('`')
                    .ok_or_else(|| TemplateError::new(":1: unterminated raw quoted string"))?;
                self.at += raw.len() + 2;
                Ok(Token::Text(raw.to_owned()))
            }
            '.' => {
                self.at += 1;
                let name = self.take_while(is_word);
                Ok(match name {
                    "" => Token::Dot,
                    name => Token::Field(name.to_owned()),
                })
            }
            '$' => {
                self.at += 1;
                Ok(Token::Variable(format!("${}", self.take_while(is_word))))
            }
            '0'..='9' | '-' | '+' => self.number(),
            c if is_word(c) => Ok(Token::Identifier(self.take_while(is_word).to_owned())),
            c => Err(TemplateError::new(format!(":1: unexpected {c:?} in command"))),
        }
    }

    fn number(&mut self) -> Result<Token, TemplateError> {
        let start = self.at;
        self.at += 1;
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '.');
        let text = &self.text[start..self.at];
        if let Ok(integer) = text.parse() {
            Ok(Token::Integer(integer))
        } else if let Ok(float) = text.parse() {
            Ok(Token::Float(float))
        } else {
            Err(TemplateError::new(format!(":1: bad number syntax: {text:?}")))
        }
    }

    fn quoted(&mut self) -> Result<Token, TemplateError> {
        let unterminated = || TemplateError::new(":1: unterminated quoted string");
        let mut chars = self.rest().char_indices().skip(1);
        let mut text = String::new();
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += offset + 1;
                    return Ok(Token::Text(text));
                }
                '\\' => match chars.next().ok_or_else(unterminated)?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    c @ ('"' | '\\' | '\'') => text.push(c),
                    c => {
                        return Err(TemplateError::new(format!(
                            ":1: invalid syntax: \\{c} in a string"
                        )));
                    }
                },
                '\n' => return Err(unterminated()),
                c => text.push(c),
            }
        }
        Err(unterminated())
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
