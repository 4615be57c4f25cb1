//! The states of a container, which are docker's.
//!
//! ```text
//!              start                     exit, kill, stop
//!   created ──────────► running ───────────────────────────► exited ──► (removed)
//!      │                 │   ▲   ▲                            │ ▲ ▲
//!      │           pause │   │   └── back-off ── restarting ◄─┼─┘ │ stop calls the back-off off;
//!      │                 ▼   │ unpause       as policies say  │   │ a start fails
//!      │                paused                                ▼   │
//!      │                                                   running
//!      └──────────────────────────────────────────────────────────────► (removed)
//! ```
//!
//! A start that fails leaves a container as it was, with the reason in [`State::error`]. One whose files cannot be removed
//! is *dead* until they can. What leads from one state to the next is in `task/machine.rs`.

use crate::health::Health;
use crate::network::Endpoint;
use crate::spec::Config;
use chrono::{DateTime, Utc};
use network::Published;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl Status {
    /// A guest runs for it.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Docker takes it for running: one that is to be restarted, too.
    pub fn is_running(self) -> bool {
        self.is_up() || self == Self::Restarting
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

/// How a container stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub status: Status,
    /// Of the guest, while there is one.
    pub domid: Option<u32>,
    /// Names the guest among all domains, from before it is built until nothing of it is left.
    pub guest: Option<Uuid>,
    /// Of the first process, in its guest.
    pub pid: u32,
    pub exit_code: i32,
    pub error: String,
    pub oom_killed: bool,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// On its networks, while there is a guest.
    pub endpoints: Vec<Endpoint>,
    pub published: Vec<Published>,
    /// Since it was started by hand.
    pub restart_count: u32,
    /// What its health check says, if it has one; of the last run when it does not run.
    pub health: Option<Health>,
    /// Somebody stopped or killed it, and it was not started since.
    pub stopped_by_hand: bool,
    /// It ran until its host was halted, and was not started since.
    pub halted: bool,
}

/// A container as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    pub name: String,
    pub created_at: DateTime<Utc>,
    /// `sha256:…` of the image's config.
    pub image_id: String,
    pub config: Config,
    pub state: State,
}

impl Container {
    pub fn short_id(&self) -> &str {
        crate::names::short(&self.id)
    }
}
