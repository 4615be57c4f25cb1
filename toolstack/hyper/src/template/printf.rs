//! Go's `fmt.Sprintf` for the values of a template.

use super::value::Val;

/// The widest field; a larger width is a mistake that must not eat the memory.
const MAX_WIDTH: usize = 4096;

#[derive(Default)]
struct Verb {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

pub fn sprintf(format: &str, args: &[Val]) -> String {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = chars.next_if(|c| "-0+# ".contains(*c)) {
            match flag {
                '-' => verb.left = true,
                '0' => verb.zero = true,
                '+' => verb.plus = true,
                _ => {}
            }
        }
        let mut digits = || {
            let mut number = 0usize;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                chars.next();
                number = (number * 10 + digit as usize).min(MAX_WIDTH);
            }
            (number, chars.next_if_eq(&'.').is_some())
        };
        let (width, has_precision) = digits();
        verb.width = width;
        if has_precision {
            verb.precision = Some(digits().0);
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(letter) => match args.next() {
                None => out.push_str(&format!("%!{letter}(MISSING)")),
                Some(value) => out.push_str(&verb.format(letter, value)),
            },
        }
    }
    let extra: Vec<_> = args.map(Val::print).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

impl Verb {
    fn format(&self, letter: char, value: &Val) -> String {
        let integer = value.as_i64();
        let text = match (letter, integer, value.as_f64()) {
            ('v', ..) => value.print(),
            ('s', ..) if value.as_f64().is_none() => self.cut(value.print()),
            ('q', ..) => format!("{:?}", self.cut(value.print())),
            ('t', ..) if value.to_json().is_boolean() => value.print(),
            ('d', Some(number), _) => number.to_string(),
            ('x', Some(number), _) => format!("{number:x}"),
            ('X', Some(number), _) => format!("{number:X}"),
            ('o', Some(number), _) => format!("{number:o}"),
            ('b', Some(number), _) => format!("{number:b}"),
            ('c', Some(number), _) => u32::try_from(number)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or(char::REPLACEMENT_CHARACTER)
                .to_string(),
            ('f' | 'F', _, Some(number)) => format!("{number:.*}", self.precision.unwrap_or(6)),
            ('g', _, Some(number)) => number.to_string(),
            ('x', None, None) => value.print().bytes().map(|b| format!("{b:02x}")).collect(),
            _ => format!("%!{letter}({})", value.print()),
        };
        self.pad(text, value.as_f64())
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text,
        }
    }

    fn pad(&self, mut text: String, number: Option<f64>) -> String {
        if self.plus && number.is_some_and(|number| number >= 0.0) {
            text.insert(0, '+');
        }
        let missing = self.width.saturating_sub(text.chars().count());
        if self.left {
            text + &" ".repeat(missing)
        } else if self.zero && number.is_some() {
            let digits = text.find(|c| c != '-' && c != '+').unwrap_or(0);
            text.insert_str(digits, &"0".repeat(missing));
            text
        } else {
            " ".repeat(missing) + &text
        }
    }
}
