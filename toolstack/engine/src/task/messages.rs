//! What the machine of a container hears and what it says.

use super::policy::Run;
use std::time::Duration;

pub const SIGKILL: i32 = libc::SIGKILL;

/// Names a request until it is answered.
pub type Ticket = u64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Start,
    /// `timeout`: when to kill; `None` never does.
    Stop {
        signal: i32,
        timeout: Option<Duration>,
    },
    /// A stop for the time that the host is down: nobody has wished that it ends.
    Halt {
        signal: i32,
        timeout: Option<Duration>,
    },
    Restart {
        signal: i32,
        timeout: Option<Duration>,
    },
    Kill {
        signal: i32,
        /// Taken as the wish that it ends, so that no policy starts it again.
        ends: bool,
    },
    Pause,
    Unpause,
    /// Its record has a new name.
    Renamed,
    Remove {
        force: bool,
    },
    /// Somebody wants its files; the answer is an [`Action::Lease`].
    Files,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// The process runs; `paused` when it was taken over so.
    Booted {
        paused: bool,
    },
    /// Nothing is left of the guest, but for one that was to be taken over: that is being taken down.
    BootFailed {
        auto_remove: bool,
    },
    /// The process ended, and says so itself when `clean`; or the guest did.
    Ended {
        clean: bool,
    },
    /// The deadline is over.
    Deadline(Next),
    /// Nothing is left of the guest.
    Gone(Run),
    /// The back-off is over.
    BackedOff,
    /// What [`Action::Switch`] came to.
    Switched {
        ticket: Ticket,
        pause: bool,
        done: bool,
    },
    Erased {
        done: bool,
    },
    /// The guest for its files is gone.
    Visited,
}

/// What a deadline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Kill,
    Destroy,
}

/// How a run ends up in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Exited,
    /// For the so-maniest time since it was started by hand.
    Restarting(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Boot,
    CancelBoot,
    /// To the process, whoever waits for its end.
    Signal(i32),
    /// To the process; the ticket is answered by what comes of it.
    Send(Ticket, i32),
    /// Lets a paused guest run, so that it can die.
    Resume,
    /// Tells what came of it at once, before anything else.
    Switch {
        ticket: Ticket,
        pause: bool,
    },
    Rename(Ticket),
    /// Gives access to its files: by its guest, or by one for that which is made or there.
    Lease(Ticket),
    /// Ends the guest for its files.
    CancelVisit,
    /// Nobody may hold up the end any longer.
    Hurry,
    /// An earlier deadline stays, and one that destroys.
    Deadline(Option<Duration>, Next),
    /// Takes the guest down, after it has written its disk when `clean`.
    End {
        clean: bool,
    },
    /// Records the end of a run and tells of it.
    Settle(Settled),
    BackOff(Duration),
    /// The back-off is called off: it counts as stopped.
    StopBackOff,
    /// Records whether it was stopped by hand.
    ByHand(bool),
    /// Tells that its process dies with its guest.
    Killed,
    /// Tells that it was stopped, by who wants it started again.
    Stopped,
    /// Records that it ran until its host was halted.
    Halted,
    /// Tells what came of it at once, before anything else.
    Erase,
    Answer(Ticket, Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `false`: it was so already.
    Done(bool),
    Refused(Refusal),
    /// For the reason that was told last.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotRunning,
    Restarting,
    /// Of a start.
    Paused,
    /// Of a signal.
    KillPaused,
    /// Of access to its files: its agent does not run.
    FilesPaused,
    AlreadyPaused,
    NotPaused,
    /// Of a removal without force.
    Running,
    /// Another request came over it.
    Overtaken,
    Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Idle,
    Starting {
        adopting: bool,
        /// The signal that was sent before there was a process, and when to kill then.
        interrupted: Option<(i32, Option<Duration>)>,
    },
    Up {
        paused: bool,
    },
    Ending,
    Restarting,
    Visiting,
    Erasing,
    Removed,
}
