//! Runs a template.

use serde_json::{Map, Value};

use super::TemplateError;
use super::functions;
use super::parser::{Base, Branch, Node, Operand, Pipeline};
use super::value::{Val, sorted_keys};

type Result<T> = std::result::Result<T, TemplateError>;

pub fn run(nodes: &[Node], data: &Value, labels: &Map<String, Value>) -> Result<String> {
    let dot = Val::Json(data.clone());
    let mut state = State {
        out: String::new(),
        variables: vec![("$".to_owned(), dot.clone())],
        labels,
    };
    state.list(nodes, &dot)?;
    Ok(state.out)
}

struct State<'a> {
    out: String,
    /// Innermost last.
    variables: Vec<(String, Val)>,
    labels: &'a Map<String, Value>,
}

impl State<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Val) -> Result<()> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.out.push_str(&value.print());
                    } else {
                        self.bind(pipeline, value)?;
                    }
                }
                Node::If(branch) => self.scoped(|state| state.condition(branch, dot, false))?,
                Node::With(branch) => self.scoped(|state| state.condition(branch, dot, true))?,
                Node::Range(branch) => self.scoped(|state| state.range(branch, dot))?,
            }
        }
        Ok(())
    }

    /// Variables declared inside end with it.
    fn scoped(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let depth = self.variables.len();
        let result = body(self);
        self.variables.truncate(depth);
        result
    }

    fn condition(&mut self, branch: &Branch, dot: &Val, moves_dot: bool) -> Result<()> {
        let value = self.pipeline(&branch.pipeline, dot)?;
        if !branch.pipeline.variables.is_empty() {
            self.bind(&branch.pipeline, value.clone())?;
        }
        match (value.truth(), moves_dot) {
            (true, true) => self.list(&branch.then, &value),
            (true, false) => self.list(&branch.then, dot),
            (false, _) => self.list(&branch.otherwise, dot),
        }
    }

    fn range(&mut self, branch: &Branch, dot: &Val) -> Result<()> {
        let over = self.pipeline(&branch.pipeline, dot)?;
        let items: Vec<(Val, Val)> = match &over {
            Val::Json(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(at, item)| (Val::number(at), Val::Json(item.clone())))
                .collect(),
            Val::NoValue | Val::Json(Value::Null) => Vec::new(),
            other => match other.object() {
                Some(map) => sorted_keys(map)
                    .into_iter()
                    .map(|key| (Val::text(key), Val::Json(map[key.as_str()].clone())))
                    .collect(),
                None => {
                    return Err(TemplateError::new(format!(
                        ":1: executing \"\": range can't iterate over {}",
                        other.print()
                    )));
                }
            },
        };
        if items.is_empty() {
            return self.list(&branch.otherwise, dot);
        }
        for (key, item) in items {
            self.scoped(|state| {
                match branch.pipeline.variables.as_slice() {
                    [] => {}
                    [value] => state.variables.push((value.clone(), item.clone())),
                    [index, value, ..] => {
                        state.variables.push((index.clone(), key));
                        state.variables.push((value.clone(), item.clone()));
                    }
                }
                state.list(&branch.then, &item)
            })?;
        }
        Ok(())
    }

    fn bind(&mut self, pipeline: &Pipeline, value: Val) -> Result<()> {
        let [name] = pipeline.variables.as_slice() else {
            return Err(TemplateError::new(":1: too many declarations"));
        };
        if !pipeline.assign {
            self.variables.push((name.clone(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(n, _)| n == name) {
            Some((_, slot)) => *slot = value,
            None => return Err(undefined(name)),
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Val) -> Result<Val> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, dot, piped)?);
        }
        // The parser makes no empty pipeline.
        Ok(piped.unwrap_or(Val::NoValue))
    }

    fn command(&mut self, operands: &[Operand], dot: &Val, piped: Option<Val>) -> Result<Val> {
        let Some((first, rest)) = operands.split_first() else {
            return Ok(Val::NoValue);
        };
        let label = first.fields.last().is_some_and(|field| field == "Label");
        if let Base::Function(name) = &first.base {
            let mut arguments = rest
                .iter()
                .map(|operand| self.operand(operand, dot))
                .collect::<Result<Vec<_>>>()?;
            arguments.extend(piped);
            let value = self.call(name, &arguments, first.position)?;
            return fields(value, first);
        }
        if label && (!rest.is_empty() || piped.is_some()) {
            let key = match rest.first() {
                Some(operand) => self.operand(operand, dot)?,
                None => piped.unwrap_or(Val::NoValue),
            };
            let found = key.as_str().and_then(|key| self.labels.get(key));
            return Ok(found.cloned().map_or_else(|| Val::text(""), Val::Json));
        }
        if !rest.is_empty() || piped.is_some() {
            let name = name_of(first);
            return Err(TemplateError::new(format!(
                ":1:{}: executing \"\" at <{name}>: can't give argument to non-function {name}",
                first.position
            )));
        }
        self.operand(first, dot)
    }

    fn operand(&mut self, operand: &Operand, dot: &Val) -> Result<Val> {
        let value = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Constant(value) => value.clone(),
            Base::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.clone())
                .ok_or_else(|| undefined(name))?,
            Base::Function(name) => self.call(name, &[], operand.position)?,
            Base::Pipeline(inner) => self.pipeline(inner, dot)?,
        };
        fields(value, operand)
    }

    fn call(&self, name: &str, arguments: &[Val], position: usize) -> Result<Val> {
        // The parser knows only functions that exist.
        let Some(function) = functions::find(name) else {
            return Ok(Val::NoValue);
        };
        function(arguments).map_err(|why| {
            TemplateError::new(format!(
                ":1:{position}: executing \"\" at <{name}>: error calling {name}: {why}"
            ))
        })
    }
}

fn fields(mut value: Val, operand: &Operand) -> Result<Val> {
    for field in &operand.fields {
        value = value.field(field).ok_or_else(|| {
            TemplateError::new(format!(
                ":1:{}: executing \"\" at <{}>: map has no entry for key {field:?}",
                operand.position,
                name_of(operand)
            ))
        })?;
    }
    Ok(value)
}

fn name_of(operand: &Operand) -> String {
    let base = match &operand.base {
        Base::Variable(name) | Base::Function(name) => name.as_str(),
        Base::Dot | Base::Constant(_) | Base::Pipeline(_) => "",
    };
    match operand.fields.as_slice() {
        [] if base.is_empty() => ".".to_owned(),
        [] => base.to_owned(),
        fields => format!("{base}.{}", fields.join(".")),
    }
}

fn undefined(name: &str) -> TemplateError {
    TemplateError::new(format!(":1: undefined variable {name:?}"))
}
