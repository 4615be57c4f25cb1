//! What happens, told to whoever listens, and remembered for who comes late.

use super::Engine;
use chrono::{DateTime, SubsecRound, Utc};
use images::Image;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Events that a slow listener may be behind by.
const BEHIND: usize = 1024;
/// As many as docker remembers.
const REMEMBERED: usize = 256;
/// The file is written anew when it has so many.
const MAX_LINES: usize = 4 * REMEMBERED;
/// What is read of a file that is none of ours.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `container`, `image`, `network`, `volume` or `daemon`.
    pub kind: Cow<'static, str>,
    /// As docker names it: create, start, die, destroy, …
    pub action: String,
    /// Of the container, the image or whatever it is.
    pub id: String,
    /// name, image, exitCode, … and the labels.
    pub attributes: BTreeMap<String, String>,
    pub at: DateTime<Utc>,
}

struct Memory {
    events: VecDeque<Event>,
    /// What the next daemon knows; gone when it cannot be written.
    file: Option<File>,
    lines: usize,
}

pub struct Events {
    path: PathBuf,
    listeners: broadcast::Sender<Event>,
    memory: Mutex<Memory>,
}

impl Events {
    /// With what an earlier daemon remembered.
    pub fn open(path: &Path) -> Self {
        let mut events = VecDeque::new();
        if let Ok(file) = File::open(path) {
            for line in BufReader::new(file.take(MAX_FILE_BYTES))
                .split(b'\n')
                .map_while(Result::ok)
            {
                // The last one may have been cut off.
                events.extend(serde_json::from_slice::<Event>(&line).ok());
                if events.len() > REMEMBERED {
                    events.pop_front();
                }
            }
        }
        let events = Self {
            path: path.to_owned(),
            listeners: broadcast::Sender::new(BEHIND),
            memory: Mutex::new(Memory {
                events,
                file: None,
                lines: 0,
            }),
        };
        events.renew(&mut events.memory());
        events
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, memory: &mut Memory) {
        let written = || -> io::Result<File> {
            let new = self.path.with_extension("new");
            let mut file = File::options()
                .create(true)
                .truncate(true)
                .write(true)
                .open(&new)?;
            let lines: Vec<u8> = memory.events.iter().flat_map(line).collect();
            file.write_all(&lines)?;
            fs::rename(&new, &self.path)?;
            Ok(file)
        };
        match written() {
            Ok(file) => (memory.file, memory.lines) = (Some(file), memory.events.len()),
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "events are not kept for the next daemon");
                memory.file = None;
            }
        }
    }

    pub fn send(&self, mut event: Event) {
        let mut memory = self.memory();
        // In the order of their times, which is how they are asked for; a clock that was set back does not undo that.
        if let Some(last) = memory.events.back() {
            event.at = event.at.max(last.at);
        }
        // As precise as they are told.
        event.at = event.at.trunc_subsecs(9);
        if let Some(file) = &mut memory.file {
            match file.write_all(&line(&event)) {
                Ok(()) => memory.lines += 1,
                Err(_) => memory.file = None,
            }
        }
        memory.events.push_back(event.clone());
        if memory.events.len() > REMEMBERED {
            memory.events.pop_front();
        }
        if memory.lines >= MAX_LINES {
            self.renew(&mut memory);
        }
        // Nobody listens: fine.
        let _ = self.listeners.send(event);
    }

    /// All that are remembered, and those that come: none is missed and none comes twice.
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let memory = self.memory();
        (
            memory.events.iter().cloned().collect(),
            self.listeners.subscribe(),
        )
    }
}

fn line(event: &Event) -> Vec<u8> {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}

impl Engine {
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        self.cx.events.subscribe()
    }

    /// Tells everyone of something that is no container's.
    pub fn tell(&self, kind: &'static str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        self.cx.events.send(Event {
            kind: kind.into(),
            action: action.to_owned(),
            id: id.to_owned(),
            attributes,
            at: Utc::now(),
        });
    }

    /// The same of an image: `id` and `name` are what docker says of the action.
    pub fn tell_image(&self, action: &str, id: &str, name: &str, image: Option<&Image>) {
        let labels = image.map(|image| image.config.labels.clone());
        let mut attributes: BTreeMap<String, String> = labels.unwrap_or_default();
        attributes.insert("name".to_owned(), name.to_owned());
        self.tell("image", action, id, attributes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> Event {
        Event {
            kind: "container".into(),
            action: "start".to_owned(),
            id: number.to_string(),
            attributes: BTreeMap::new(),
            at: Utc::now(),
        }
    }

    #[tokio::test]
    async fn the_last_are_remembered_also_by_the_next_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let events = Events::open(&path);
        for number in 0..3000 {
            events.send(event(number));
        }
        let (known, mut coming) = events.subscribe();
        let ids = |events: &[Event]| {
            events
                .iter()
                .map(|event| event.id.parse::<usize>().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&known), (3000 - REMEMBERED..3000).collect::<Vec<_>>());
        events.send(event(3000));
        assert_eq!(coming.recv().await.unwrap().id, "3000");
        drop(events);
        assert!(fs::read_to_string(&path).unwrap().lines().count() <= MAX_LINES);
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"kind\":\"cont")
            .unwrap();
        let (known, _) = Events::open(&path).subscribe();
        assert_eq!(ids(&known), (3001 - REMEMBERED..3001).collect::<Vec<_>>());
    }

    #[test]
    fn times_only_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let events = Events::open(&folder.path().join("events.json"));
        events.send(event(1));
        let mut early = event(2);
        early.at -= chrono::TimeDelta::hours(1);
        events.send(early);
        let (known, _) = events.subscribe();
        assert!(known[1].at >= known[0].at);
        // A folder that is not there is no reason not to tell.
        let events = Events::open(Path::new("/nonexistent/events.json"));
        events.send(event(1));
        assert_eq!(events.subscribe().0.len(), 1);
    }
}
