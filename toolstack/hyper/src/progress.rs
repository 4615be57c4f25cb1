//! What is shown while layers come in or go out.

use std::collections::HashMap;
use std::io::{self, Write};

use anyhow::{Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::isatty;
use serde_json::Value;

use crate::json_lines::JsonLines;
use crate::output;
use crate::units::human_size;

/// Width of docker's bar, between its brackets.
const BAR_WIDTH: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// `pull`
    Stdout,
    /// `run`: stdout belongs to the container.
    Stderr,
    /// `--quiet`
    Nowhere,
}

impl Sink {
    fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => isatty(io::stdout()),
            Self::Stderr => isatty(io::stderr()),
            Self::Nowhere => false,
        }
    }

    pub fn line(self, text: &str) -> Result<()> {
        match self {
            Self::Stdout => writeln!(io::stdout().lock(), "{text}")?,
            Self::Stderr => writeln!(io::stderr().lock(), "{text}")?,
            Self::Nowhere => {}
        }
        Ok(())
    }
}

/// Shows the stream to its end. An error within the stream is the pull's.
pub async fn show(mut lines: JsonLines, sink: Sink) -> Result<()> {
    let mut bars = sink.is_terminal().then(|| Bars::new(sink));
    while let Some(line) = lines.next().await? {
        if let Some(error) = error_of(&line) {
            bail!("{error}");
        }
        if let Some(text) = line.get("stream").and_then(Value::as_str) {
            // Outcomes, which are told in any case.
            let text = text.trim_end();
            match &bars {
                Some(bars) => bars.all.println(text)?,
                None => output::line(text)?,
            }
            continue;
        }
        match &mut bars {
            Some(bars) => bars.update(&line),
            None => {
                if let Some(text) = plain(&line) {
                    sink.line(&text)?;
                }
            }
        }
    }
    Ok(())
}

fn error_of(line: &Value) -> Option<&str> {
    line.pointer("/errorDetail/message")
        .or_else(|| line.get("error"))
        .and_then(Value::as_str)
}

/// A line for a log: steps, not the progress within them.
fn plain(line: &Value) -> Option<String> {
    let status = line.get("status").and_then(Value::as_str)?;
    if progress(line).is_some() {
        return None;
    }
    Some(match id(line) {
        Some(id) => format!("{id}: {status}"),
        None => status.to_owned(),
    })
}

fn id(line: &Value) -> Option<&str> {
    line.get("id").and_then(Value::as_str).filter(|id| !id.is_empty())
}

/// `[=====>     ]  12MB/30MB`
fn progress(line: &Value) -> Option<String> {
    let detail = line.get("progressDetail")?;
    let number = |key| detail.get(key).and_then(Value::as_i64).unwrap_or(0).max(0);
    let (current, total) = match (number("current"), number("total")) {
        (0, 0) => return None,
        (current, 0) => return Some(human_size(current)),
        both => both,
    };
    let filled = BAR_WIDTH as i64 * current.min(total) / total;
    let filled = usize::try_from(filled).unwrap_or(0);
    let head = if filled < BAR_WIDTH { ">" } else { "" };
    let bar = format!("{}{head}", "=".repeat(filled));
    Some(format!(
        "[{bar:<BAR_WIDTH$}]  {}/{}",
        human_size(current),
        human_size(total)
    ))
}

/// One line of the terminal for each layer.
struct Bars {
    all: MultiProgress,
    by_id: HashMap<String, ProgressBar>,
    style: ProgressStyle,
}

impl Bars {
    fn new(sink: Sink) -> Self {
        let target = match sink {
            Sink::Stdout => ProgressDrawTarget::stdout(),
            Sink::Stderr | Sink::Nowhere => ProgressDrawTarget::stderr(),
        };
        Self {
            all: MultiProgress::with_draw_target(target),
            by_id: HashMap::new(),
            style: ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
        }
    }

    fn update(&mut self, line: &Value) {
        // One without is for programs.
        let Some(status) = line.get("status").and_then(Value::as_str) else {
            return;
        };
        // A tag's own line stays, as do those that belong to no layer.
        let Some(id) = id(line) else {
            self.add().finish_with_message(status.to_owned());
            return;
        };
        if !self.by_id.contains_key(id) {
            let bar = self.add();
            self.by_id.insert(id.to_owned(), bar);
        }
        if let Some(bar) = self.by_id.get(id) {
            let progress = progress(line).map(|text| format!(" {text}"));
            bar.set_message(format!("{id}: {status}{}", progress.unwrap_or_default()));
        }
    }

    fn add(&self) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(self.style.clone());
        bar
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for bar in self.by_id.values() {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_log_has_the_steps_only() {
        let step = json!({"status": "Pull complete", "progressDetail": {}, "id": "0123456789ab"});
        assert_eq!(plain(&step).unwrap(), "0123456789ab: Pull complete");
        let part = json!({"status": "Downloading", "progressDetail": {"current": 1, "total": 2}, "id": "0"});
        assert_eq!(plain(&part), None);
        let begun = json!({"status": "Downloading", "progressDetail": {"current": 0, "total": 2}, "id": "0"});
        assert_eq!(plain(&begun), None);
        let last = json!({"status": "Digest: sha256:00"});
        assert_eq!(plain(&last).unwrap(), "Digest: sha256:00");
    }

    #[test]
    fn the_bar_is_dockers() {
        let line =
            |current, total| progress(&json!({"progressDetail": {"current": current, "total": total}}));
        let half = line(12_000_000, 24_000_000).unwrap();
        assert_eq!(
            half,
            format!("[{}>{}]  12MB/24MB", "=".repeat(25), " ".repeat(24))
        );
        assert_eq!(line(5, 5).unwrap(), format!("[{}]  5B/5B", "=".repeat(50)));
        assert_eq!(line(7, 5).unwrap(), format!("[{}]  7B/5B", "=".repeat(50)));
        assert_eq!(line(1500, 0).unwrap(), "1.5kB");
        assert_eq!(line(0, 5).unwrap(), format!("[>{}]  0B/5B", " ".repeat(49)));
        assert_eq!(line(0, 0), None);
    }

    #[test]
    fn errors_come_within_the_stream() {
        let line = json!({"errorDetail": {"message": "denied"}, "error": "other"});
        assert_eq!(error_of(&line), Some("denied"));
        assert_eq!(error_of(&json!({"error": "denied"})), Some("denied"));
        assert_eq!(error_of(&json!({"status": "x"})), None);
    }
}
