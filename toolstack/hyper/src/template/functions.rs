//! Go's own functions and those that docker adds.

use std::cmp::Ordering;

use serde_json::Value;

use super::printf::sprintf;
use super::value::Val;

pub type Function = fn(&[Val]) -> Result<Val, String>;

pub fn find(name: &str) -> Option<Function> {
    Some(match name {
        "and" => |args| pick(args, |value| !value.truth()),
        "or" => |args| pick(args, Val::truth),
        "not" => |args| Ok(Val::boolean(!one(args)?.truth())),
        "len" => len,
        "index" => index,
        "slice" => slice,
        "print" => |args| Ok(Val::text(print(args))),
        "println" => |args| Ok(Val::text(println(args))),
        "printf" => |args| {
            let (format, rest) = args.split_first().ok_or("wants a format")?;
            Ok(Val::text(sprintf(&format.print(), rest)))
        },
        "eq" => |args| {
            let (first, rest) = args.split_first().ok_or("missing argument for comparison")?;
            Ok(Val::boolean(rest.iter().any(|other| equal(first, other))))
        },
        "ne" => |args| two(args).map(|(a, b)| Val::boolean(!equal(a, b))),
        "lt" => |args| Ok(Val::boolean(compare(args)?.is_lt())),
        "le" => |args| Ok(Val::boolean(compare(args)?.is_le())),
        "gt" => |args| Ok(Val::boolean(compare(args)?.is_gt())),
        "ge" => |args| Ok(Val::boolean(compare(args)?.is_ge())),
        "json" => |args| Ok(Val::text(one(args)?.to_json().to_string())),
        "lower" => |args| Ok(Val::text(text(one(args)?)?.to_lowercase())),
        "upper" => |args| Ok(Val::text(text(one(args)?)?.to_uppercase())),
        "title" => |args| Ok(Val::text(title(text(one(args)?)?))),
        "split" => |args| {
            let (whole, separator) = two(args)?;
            let parts = text(whole)?.split(text(separator)?).map(Value::from);
            Ok(Val::Json(parts.collect()))
        },
        "join" => join,
        "pad" => pad,
        "truncate" => |args| {
            let (whole, length) = two(args)?;
            let length = usize::try_from(length.as_i64().ok_or("wants a length")?).unwrap_or(0);
            Ok(Val::text(text(whole)?.chars().take(length).collect::<String>()))
        },
        _ => return None,
    })
}

/// The first argument that decides, else the last.
fn pick(args: &[Val], decides: fn(&Val) -> bool) -> Result<Val, String> {
    let last = args.last().ok_or("wants an argument")?;
    Ok(args.iter().find(|value| decides(value)).unwrap_or(last).clone())
}

fn one(args: &[Val]) -> Result<&Val, String> {
    match args {
        [value] => Ok(value),
        _ => Err(format!("wrong number of args: want 1 got {}", args.len())),
    }
}

fn two(args: &[Val]) -> Result<(&Val, &Val), String> {
    match args {
        [a, b] => Ok((a, b)),
        _ => Err(format!("wrong number of args: want 2 got {}", args.len())),
    }
}

fn text(value: &Val) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("wrong type: expected string, got {}", value.print()))
}

fn len(args: &[Val]) -> Result<Val, String> {
    let value = one(args)?;
    let length = match value {
        Val::Json(Value::String(text)) => text.len(),
        Val::Json(Value::Array(items)) => items.len(),
        Val::NoValue | Val::Json(Value::Null) => 0,
        other => match other.object() {
            Some(map) => map.len(),
            None => return Err(format!("len of type {}", other.print())),
        },
    };
    Ok(Val::number(length))
}

fn index(args: &[Val]) -> Result<Val, String> {
    let (first, keys) = args.split_first().ok_or("wants a value")?;
    let mut value = first.clone();
    for key in keys {
        value = match &value {
            Val::Json(Value::Array(items)) => {
                let at = key
                    .as_i64()
                    .ok_or_else(|| format!("cannot index slice/array with {}", key.print()))?;
                let item = usize::try_from(at).ok().and_then(|at| items.get(at));
                Val::Json(item.cloned().ok_or_else(|| format!("index out of range: {at}"))?)
            }
            Val::NoValue | Val::Json(Value::Null) => return Err("index of untyped nil".into()),
            other => match other.object() {
                // The zero value of a map of strings; of others Go prints much the same nothing.
                Some(map) => map
                    .get(text(key)?)
                    .cloned()
                    .map_or_else(|| Val::text(""), Val::Json),
                None => return Err(format!("can't index item of type {}", other.print())),
            },
        };
    }
    Ok(value)
}

fn slice(args: &[Val]) -> Result<Val, String> {
    let (value, bounds) = args.split_first().ok_or("wants a value")?;
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(bound) => bound
            .as_i64()
            .and_then(|bound| usize::try_from(bound).ok())
            .ok_or_else(|| format!("index out of range: {}", bound.print())),
    };
    let out_of_range = || "index out of range".to_owned();
    match value {
        Val::Json(Value::String(text)) => {
            let range = bound(0, 0)?..bound(1, text.len())?;
            text.get(range).map(Val::text).ok_or_else(out_of_range)
        }
        Val::Json(Value::Array(items)) => {
            let range = bound(0, 0)?..bound(1, items.len())?;
            let part = items.get(range).ok_or_else(out_of_range)?;
            Ok(Val::Json(Value::Array(part.to_vec())))
        }
        other => Err(format!("can't slice item of type {}", other.print())),
    }
}

/// Go: a space between two operands when neither is a string.
fn print(args: &[Val]) -> String {
    let mut out = String::new();
    for (at, value) in args.iter().enumerate() {
        if at > 0 && value.as_str().is_none() && args[at - 1].as_str().is_none() {
            out.push(' ');
        }
        out.push_str(&value.print());
    }
    out
}

fn println(args: &[Val]) -> String {
    let parts: Vec<_> = args.iter().map(Val::print).collect();
    parts.join(" ") + "\n"
}

fn equal(a: &Val, b: &Val) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a.to_json() == b.to_json(),
    }
}

fn compare(args: &[Val]) -> Result<Ordering, String> {
    let (a, b) = two(args)?;
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => return Ok(a.cmp(b)),
        (None, None) => {}
        _ => return Err("incompatible types for comparison".into()),
    }
    a.as_f64()
        .zip(b.as_f64())
        .and_then(|(a, b)| a.partial_cmp(&b))
        .ok_or_else(|| "invalid type for comparison".into())
}

fn join(args: &[Val]) -> Result<Val, String> {
    let (list, separator) = two(args)?;
    let items = match list.to_json() {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => return Err(format!("wrong type: expected a list, got {other}")),
    };
    let parts: Vec<_> = items.into_iter().map(|item| Val::Json(item).print()).collect();
    Ok(Val::text(parts.join(text(separator)?)))
}

fn pad(args: &[Val]) -> Result<Val, String> {
    let [value, before, after] = args else {
        return Err(format!("wrong number of args: want 3 got {}", args.len()));
    };
    // A width is what fits a line; more is a mistake that must not eat the memory.
    let width = |value: &Val| {
        let width = value.as_i64().ok_or("wants a width")?;
        Ok::<_, String>(usize::try_from(width).unwrap_or(0).min(4096))
    };
    let value = text(value)?;
    if value.is_empty() {
        return Ok(Val::text(""));
    }
    Ok(Val::text(format!(
        "{}{value}{}",
        " ".repeat(width(before)?),
        " ".repeat(width(after)?)
    )))
}

fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .flat_map(|c| {
            let upper = start && c.is_alphabetic();
            start = !c.is_alphanumeric() && c != '_' && c != '\'';
            if upper {
                c.to_uppercase().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
