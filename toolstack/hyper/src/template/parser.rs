//! Tokens to a tree.

use std::collections::VecDeque;

use super::TemplateError;
use super::functions;
use super::lexer::{Lexeme, Piece, Token};
use super::value::Val;

#[derive(Debug)]
pub enum Node {
    Text(String),
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
}

#[derive(Debug)]
pub struct Branch {
    pub pipeline: Pipeline,
    pub then: Vec<Node>,
    pub otherwise: Vec<Node>,
}

#[derive(Debug, Default)]
pub struct Pipeline {
    /// `$v :=`, `$v =` or `$k, $v :=`
    pub variables: Vec<String>,
    pub assign: bool,
    pub commands: Vec<Vec<Operand>>,
}

#[derive(Debug)]
pub struct Operand {
    pub base: Base,
    pub fields: Vec<String>,
    pub position: usize,
}

#[derive(Debug)]
pub enum Base {
    Dot,
    Variable(String),
    Function(String),
    Constant(Val),
    Pipeline(Box<Pipeline>),
}

type Result<T> = std::result::Result<T, TemplateError>;

pub fn parse(pieces: Vec<Piece>) -> Result<Vec<Node>> {
    let mut parser = Parser {
        pieces: pieces.into(),
    };
    let (nodes, end) = parser.list(0)?;
    match end {
        Closing::Text => Ok(nodes),
        Closing::End => Err(TemplateError::new(":1: unexpected {{end}}")),
        Closing::Else(_) => Err(TemplateError::new(":1: unexpected {{else}}")),
    }
}

/// Deep enough for any template somebody writes, not for one made to overflow our stack.
const MAX_DEPTH: usize = 200;

struct Parser {
    pieces: VecDeque<Piece>,
}

/// What ends a list of nodes.
enum Closing {
    Text,
    End,
    /// The lexemes after `else`: empty, or `if …`.
    Else(Vec<Lexeme>),
}

impl Parser {
    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, Closing)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.pop_front() {
            let mut lexemes = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(lexemes) => lexemes,
            };
            let keyword = match lexemes.first().map(|lexeme| &lexeme.token) {
                None => return Err(TemplateError::new(":1: missing value for command")),
                Some(Token::Identifier(name)) => name.clone(),
                Some(_) => String::new(),
            };
            match keyword.as_str() {
                "end" => return Ok((nodes, Closing::End)),
                "else" => {
                    lexemes.remove(0);
                    return Ok((nodes, Closing::Else(lexemes)));
                }
                "if" | "with" | "range" => {
                    lexemes.remove(0);
                    nodes.push(self.branch(&keyword, lexemes, depth + 1)?);
                }
                "define" | "template" | "block" | "break" | "continue" => {
                    return Err(TemplateError::new(format!(
                        ":1: {{{{{keyword}}}}} is not supported"
                    )));
                }
                _ => nodes.push(Node::Action(whole_pipeline(lexemes)?)),
            }
        }
        Ok((nodes, Closing::Text))
    }

    fn branch(&mut self, keyword: &str, lexemes: Vec<Lexeme>, depth: usize) -> Result<Node> {
        if depth > MAX_DEPTH {
            return Err(TemplateError::new(":1: nested too deeply"));
        }
        let pipeline = whole_pipeline(lexemes)?;
        let (then, end) = self.list(depth)?;
        let otherwise = match end {
            Closing::End => Vec::new(),
            Closing::Else(rest) if rest.is_empty() => match self.list(depth)? {
                (nodes, Closing::End) => nodes,
                (_, Closing::Else(_)) => {
                    return Err(TemplateError::new(":1: expected end; found {{else}}"));
                }
                (_, Closing::Text) => return Err(TemplateError::new(":1: unexpected EOF")),
            },
            // `{{else if x}}` is an if of its own that shares our end.
            Closing::Else(mut rest) => match rest.remove(0).token {
                Token::Identifier(inner) if inner == keyword && keyword != "range" => {
                    vec![self.branch(keyword, rest, depth + 1)?]
                }
                _ => return Err(TemplateError::new(":1: unexpected token in {{else}}")),
            },
            Closing::Text => return Err(TemplateError::new(":1: unexpected EOF")),
        };
        let branch = Branch {
            pipeline,
            then,
            otherwise,
        };
        Ok(match keyword {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }
}

fn whole_pipeline(lexemes: Vec<Lexeme>) -> Result<Pipeline> {
    let mut lexemes = VecDeque::from(lexemes);
    let pipeline = pipeline(&mut lexemes, 0)?;
    match lexemes.front() {
        None => Ok(pipeline),
        Some(_) => Err(TemplateError::new(":1: unexpected right paren")),
    }
}

fn pipeline(lexemes: &mut VecDeque<Lexeme>, depth: usize) -> Result<Pipeline> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::new(":1: nested too deeply"));
    }
    let mut pipeline = Pipeline::default();
    declarations(lexemes, &mut pipeline);
    let mut command = Vec::new();
    loop {
        match lexemes.front().map(|lexeme| &lexeme.token) {
            None | Some(Token::Close) => break,
            Some(Token::Pipe) => {
                lexemes.pop_front();
                if command.is_empty() {
                    return Err(TemplateError::new(":1: missing value for command"));
                }
                pipeline.commands.push(std::mem::take(&mut command));
            }
            Some(_) => command.push(operand(lexemes, depth)?),
        }
    }
    if command.is_empty() {
        return Err(TemplateError::new(":1: missing value for command"));
    }
    pipeline.commands.push(command);
    Ok(pipeline)
}

fn declarations(lexemes: &mut VecDeque<Lexeme>, pipeline: &mut Pipeline) {
    let token = |at: usize| lexemes.get(at).map(|lexeme| &lexeme.token);
    let (names, consumed) = match (token(0), token(1), token(2), token(3)) {
        (Some(Token::Variable(name)), Some(operator @ (Token::Declare | Token::Assign)), ..) => {
            pipeline.assign = *operator == Token::Assign;
            (vec![name.clone()], 2)
        }
        (
            Some(Token::Variable(key)),
            Some(Token::Comma),
            Some(Token::Variable(value)),
            Some(Token::Declare),
        ) => (vec![key.clone(), value.clone()], 4),
        _ => return,
    };
    pipeline.variables = names;
    lexemes.drain(..consumed);
}

fn operand(lexemes: &mut VecDeque<Lexeme>, depth: usize) -> Result<Operand> {
    let Some(Lexeme { token, position, .. }) = lexemes.pop_front() else {
        return Err(TemplateError::new(":1: missing value for command"));
    };
    let mut fields = Vec::new();
    let base = match token {
        Token::Dot => Base::Dot,
        Token::Field(name) => {
            fields.push(name);
            Base::Dot
        }
        Token::Variable(name) => Base::Variable(name),
        Token::Text(text) => Base::Constant(Val::text(text)),
        Token::Integer(number) => Base::Constant(Val::Json(number.into())),
        Token::Float(number) => Base::Constant(Val::Json(number.into())),
        Token::Identifier(name) => match name.as_str() {
            "true" => Base::Constant(Val::Json(true.into())),
            "false" => Base::Constant(Val::Json(false.into())),
            "nil" => Base::Constant(Val::Json(serde_json::Value::Null)),
            name if functions::find(name).is_some() => Base::Function(name.to_owned()),
            name => {
                return Err(TemplateError::new(format!(":1: function {name:?} not defined")));
            }
        },
        Token::Open => {
            let inner = pipeline(lexemes, depth + 1)?;
            match lexemes.pop_front().map(|lexeme| lexeme.token) {
                Some(Token::Close) => Base::Pipeline(Box::new(inner)),
                _ => return Err(TemplateError::new(":1: unclosed left paren")),
            }
        }
        Token::Pipe | Token::Close | Token::Comma | Token::Declare | Token::Assign => {
            return Err(TemplateError::new(":1: unexpected token in operand"));
        }
    };
    while let Some(Lexeme {
        token: Token::Field(_),
        after_space: false,
        ..
    }) = lexemes.front()
    {
        if let Some(Token::Field(name)) = lexemes.pop_front().map(|lexeme| lexeme.token) {
            fields.push(name);
        }
    }
    Ok(Operand {
        base,
        fields,
        position,
    })
}
