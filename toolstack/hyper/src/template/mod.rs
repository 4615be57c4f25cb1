//! Go's `text/template` over JSON, as far as `--format` needs it.
//!
//! Our own, because the text must be what docker prints: lists as `[a b]`, fields and keys in order, `<no value>`,
//! Go's error texts. Not here: `define`, `template`, `block`, `break`, `continue`.

mod exec;
mod functions;
mod lexer;
mod parser;
mod printf;
mod value;

use std::fmt;

use serde_json::{Map, Value};

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<parser::Node>,
}

/// What is wrong with a template, in Go's words.
#[derive(Debug)]
pub struct TemplateError(String);

impl TemplateError {
    pub(self) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template parsing error: template: {}", self.0)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            nodes: parser::parse(lexer::lex(text)?)?,
        })
    }

    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        self.render_row(data, &Map::new())
    }

    /// `labels` are what `.Label "key"` finds.
    pub fn render_row(&self, data: &Value, labels: &Map<String, Value>) -> Result<String, TemplateError> {
        exec::run(&self.nodes, data, labels)
    }
}

#[cfg(test)]
mod tests;
