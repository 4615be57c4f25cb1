//! A stream of JSON values, one a line: the progress of a pull.

use std::collections::VecDeque;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// A line of progress has some hundred bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

pub struct JsonLines {
    body: Incoming,
    splitter: Splitter,
}

impl JsonLines {
    pub fn new(body: Incoming) -> Self {
        Self {
            body,
            splitter: Splitter::default(),
        }
    }

    pub async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(line) = self.splitter.ready.pop_front() {
                let value = serde_json::from_str(&line)
                    .with_context(|| format!("hyperd sent a line that is not JSON: {line}"))?;
                return Ok(Some(value));
            }
            match self.body.frame().await {
                Some(frame) => {
                    let frame = frame.map_err(|error| anyhow!("read hyperd's progress: {error}"))?;
                    if let Ok(data) = frame.into_data() {
                        self.splitter.feed(&data)?;
                    }
                }
                None if self.splitter.partial.is_empty() => return Ok(None),
                None => self.splitter.feed(b"\n")?,
            }
        }
    }
}

#[derive(Default)]
struct Splitter {
    partial: Vec<u8>,
    ready: VecDeque<String>,
}

impl Splitter {
    fn feed(&mut self, data: &[u8]) -> Result<()> {
        for piece in data.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if self.partial.len() > MAX_LINE_BYTES {
                bail!("hyperd sent a line of more than {MAX_LINE_BYTES} bytes");
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if !line.is_empty() {
                    self.ready.push_back(line);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_survive_any_cut(lines in prop::collection::vec("[a-z]{1,9}", 0..8), cut in 1usize..9) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let mut splitter = Splitter::default();
            for chunk in text.as_bytes().chunks(cut) {
                splitter.feed(chunk).unwrap();
            }
            prop_assert_eq!(Vec::from(splitter.ready), lines);
            prop_assert!(splitter.partial.is_empty());
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut splitter = Splitter::default();
        assert!(splitter.feed(&vec![b'x'; MAX_LINE_BYTES + 1]).is_err());
    }
}
