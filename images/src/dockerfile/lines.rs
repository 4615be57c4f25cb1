//! Lines to instructions: comments, continued lines, flags.

use super::{ChangeError, words, wrong};

#[derive(Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The keyword as written.
    pub word: String,
    /// `--…` right behind it.
    pub flags: Vec<String>,
    pub rest: String,
}

impl Instruction {
    pub fn keyword(&self) -> String {
        self.word.to_ascii_uppercase()
    }
}

const ESCAPE: char = '\\';

/// The instructions of a text, and the character that escapes in it.
pub fn parse(text: &str) -> Result<(Vec<Instruction>, char), ChangeError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut escape = ESCAPE;
    let mut directives = Directives::default();
    let mut instructions = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        if let Some(token) = directives.read(line)? {
            escape = token;
        }
        let (mut whole, mut goes_on) = match line.starts_with('#') {
            true => (String::new(), false),
            false => continued(line, escape),
        };
        if !goes_on && whole.is_empty() {
            continue;
        }
        while goes_on {
            let Some(line) = lines.next() else { break };
            if line.trim_start().starts_with('#') || line.trim_start().is_empty() {
                continue;
            }
            let (part, more) = continued(line, escape);
            whole.push_str(&part);
            goes_on = more;
        }
        instructions.push(instruction(&whole, escape)?);
    }
    match instructions.is_empty() {
        true => Err(wrong("file with no instructions")),
        false => Ok((instructions, escape)),
    }
}

/// A line without the sign that it goes on, and whether it had one.
fn continued(line: &str, escape: char) -> (String, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(line) => (line.to_owned(), true),
        None => (line.to_owned(), false),
    }
}

/// `# escape=\`` before anything else.
#[derive(Default)]
struct Directives {
    over: bool,
    seen: Vec<String>,
}

impl Directives {
    fn read(&mut self, line: &str) -> Result<Option<char>, ChangeError> {
        if self.over {
            return Ok(None);
        }
        let directive = line.strip_prefix('#').and_then(|line| line.split_once('='));
        let name = directive.map(|(name, _)| name.trim().to_ascii_lowercase());
        let (Some((_, value)), Some(name @ ("escape" | "syntax" | "check"))) = (directive, name.as_deref())
        else {
            self.over = true;
            return Ok(None);
        };
        if self.seen.iter().any(|seen| seen == name) {
            return Err(wrong(format!("only one {name} parser directive can be used")));
        }
        self.seen.push(name.to_owned());
        match (name, value.trim()) {
            ("escape", "`") => Ok(Some('`')),
            ("escape", "\\") => Ok(Some('\\')),
            ("escape", other) => Err(wrong(format!(
                "invalid escape token '{other}' does not match ` or \\"
            ))),
            _ => Ok(None),
        }
    }
}

fn instruction(line: &str, escape: char) -> Result<Instruction, ChangeError> {
    let line = line.trim();
    let word = words::first(line);
    let mut rest = line[word.len()..].trim_start();
    let mut flags = Vec::new();
    while rest.starts_with("--") {
        let (flag, behind) = words::next(rest, escape);
        rest = behind.trim_start();
        let is_last = flag == "--";
        flags.push(flag);
        if is_last {
            break;
        }
    }
    Ok(Instruction {
        word: word.to_owned(),
        flags,
        rest: rest.trim().to_owned(),
    })
}
