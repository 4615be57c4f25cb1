//! What a container does next, as pure code: requests and happenings go in, actions come out. No clock, no guest, no
//! record: the task (`mod.rs`) does what the actions say and tells what came of it.
//!
//! ```text
//!            start              process runs           exit, kill, guest gone
//!   idle ───────────► starting ──────────────► up ─────────────────────────────► ending
//!    ▲ ▲                │  ▲    adopting ──────┘ (after a restart of the daemon)   │ │
//!    │ └────────────────┘  │ back-off over                                         │ │
//!    │   fails             └──────────────── restarting ◄──────────────────────────┘ │
//!    │                                          │ stop, kill     the policy says so   │
//!    ├──────────────────────────────────────────┘                                     │
//!    ├────────────────────────────────────────────────────────────────────────────────┘
//!    │   remove                  done
//!    ├──────────────► erasing ──────────► removed
//!    │   somebody wants its files           nobody does any more
//!    └──────────────────────────► visiting ──────────────────────► idle
//! ```
//!
//! Docker's states are these: *created*, *exited* and *dead* are idle (and starting), *running* and *paused* are up (and
//! ending), *restarting* is restarting, visiting (`visit.rs`) is not seen from outside, *removing* is erasing.
//!
//! Each request has a ticket and is answered exactly once: at once, or when what it waits for has happened. One that cannot
//! be served in a phase but in the next waits in a queue for it.

use super::messages::{Action, Answer, Happening, Next, Phase, Refusal, Request, SIGKILL, Settled, Ticket};
use super::policy::{self, Backoff, Run};
use std::collections::VecDeque;
use std::time::Duration;

/// How long after SIGKILL a guest that still has not told of the end is destroyed.
pub const KILL_GRACE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    /// Answered when it runs.
    starts: Vec<Ticket>,
    /// Answered when it does not.
    stops: Vec<Ticket>,
    /// Want another run after this one.
    restarts: Vec<Ticket>,
    removals: Vec<Ticket>,
    deferred: VecDeque<(Ticket, Request)>,
    by_hand: bool,
    /// No policy acts until somebody starts it.
    cancelled: bool,
    backoff: Backoff,
}

type Actions = Vec<Action>;

impl Machine {
    pub fn idle(by_hand: bool) -> Self {
        Self {
            phase: Phase::Idle,
            starts: Vec::new(),
            stops: Vec::new(),
            restarts: Vec::new(),
            removals: Vec::new(),
            deferred: VecDeque::new(),
            by_hand,
            cancelled: by_hand,
            backoff: Backoff::default(),
        }
    }

    /// Of a container whose guest runs and is being taken over.
    pub fn adopting(by_hand: bool, restarts: u32) -> Self {
        let phase = Phase::Starting {
            adopting: true,
            interrupted: None,
        };
        Self {
            phase,
            backoff: Backoff::after(restarts),
            ..Self::idle(by_hand)
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How often policies have started it since somebody did.
    pub fn restarts(&self) -> u32 {
        self.backoff.restarts
    }

    pub fn request(&mut self, ticket: Ticket, request: Request) -> Actions {
        let mut actions = Actions::new();
        self.serve(ticket, request, &mut actions);
        actions
    }

    pub fn happened(&mut self, happening: Happening) -> Actions {
        let mut actions = Actions::new();
        self.react(happening, &mut actions);
        while matches!(self.phase, Phase::Idle | Phase::Visiting | Phase::Up { .. })
            && self
                .deferred
                .front()
                .is_some_and(|(_, request)| !self.waits(request))
            && let Some((ticket, request)) = self.deferred.pop_front()
        {
            self.serve(ticket, request, &mut actions);
            // The next one is served when it is known what came of this.
            if let Some(Action::Switch { .. }) = actions.last() {
                break;
            }
        }
        actions
    }

    /// Whether a request has to wait for the present phase to end.
    fn waits(&self, request: &Request) -> bool {
        matches!(
            (self.phase, request),
            (Phase::Erasing, _)
                | (Phase::Ending, Request::Start | Request::Remove { force: false })
                | (Phase::Starting { .. } | Phase::Ending, Request::Files)
                // It runs: what is asked of it is asked when it can be reached.
                | (
                    Phase::Starting { adopting: true, .. },
                    Request::Pause | Request::Unpause | Request::Kill { ends: false, .. }
                )
                | (
                    Phase::Visiting,
                    Request::Start | Request::Restart { .. } | Request::Remove { .. }
                )
        )
    }

    fn serve(&mut self, ticket: Ticket, request: Request, actions: &mut Actions) {
        use Refusal as No;
        let answer = |answer| Action::Answer(ticket, answer);
        let refuse = |refusal| answer(Answer::Refused(refusal));
        let done = |changed| answer(Answer::Done(changed));
        if self.waits(&request) {
            if let (Phase::Visiting, Request::Remove { force: true }) = (self.phase, &request) {
                actions.push(Action::CancelVisit);
            }
            return self.deferred.push_back((ticket, request));
        }
        let action = match (self.phase, request) {
            (Phase::Removed, _) => refuse(No::Removed),
            (_, Request::Renamed) => Action::Rename(ticket),

            (Phase::Idle, Request::Files) => {
                self.phase = Phase::Visiting;
                Action::Lease(ticket)
            }
            (Phase::Up { paused: true }, Request::Files) => refuse(No::FilesPaused),
            (Phase::Up { .. } | Phase::Visiting, Request::Files) => Action::Lease(ticket),
            (_, Request::Files) => refuse(No::Restarting),

            (Phase::Idle, Request::Start | Request::Restart { .. }) => {
                self.starts.push(ticket);
                return self.start_by_hand(actions);
            }
            (Phase::Starting { adopting, .. }, Request::Start) => {
                if !adopting {
                    return self.starts.push(ticket);
                }
                done(false)
            }
            (Phase::Up { paused: true }, Request::Start) => refuse(No::Paused),
            (_, Request::Start) => done(false),

            (Phase::Idle | Phase::Visiting, Request::Stop { .. }) => done(false),
            (_, Request::Stop { signal, timeout }) => {
                self.stops.push(ticket);
                self.want_end(actions);
                return self.end(signal, timeout, actions);
            }
            (Phase::Idle | Phase::Visiting, Request::Halt { .. }) => done(false),
            (_, Request::Halt { signal, timeout }) => {
                self.stops.push(ticket);
                self.stay_down(actions);
                actions.push(Action::Halted);
                return self.end(signal, timeout, actions);
            }
            (Phase::Restarting, Request::Restart { .. }) => {
                self.starts.push(ticket);
                actions.push(Action::StopBackOff);
                return self.start_by_hand(actions);
            }
            (_, Request::Restart { signal, timeout }) => {
                self.restarts.push(ticket);
                return self.end(signal, timeout, actions);
            }

            (Phase::Idle | Phase::Visiting | Phase::Ending | Phase::Erasing, Request::Kill { .. }) => {
                refuse(No::NotRunning)
            }
            (Phase::Starting { .. }, Request::Kill { ends: false, .. }) => refuse(No::NotRunning),
            (Phase::Starting { .. }, Request::Kill { signal, .. }) => {
                self.want_end(actions);
                self.end(signal, None, actions);
                done(true)
            }
            (Phase::Up { .. }, Request::Kill { signal: SIGKILL, .. }) => {
                self.want_end(actions);
                self.end(SIGKILL, None, actions);
                done(true)
            }
            (Phase::Up { paused: true }, Request::Kill { ends: false, .. }) => refuse(No::KillPaused),
            (Phase::Up { paused }, Request::Kill { signal, ends }) => {
                if ends {
                    self.want_end(actions);
                }
                if paused {
                    self.phase = Phase::Up { paused: false };
                    actions.push(Action::Resume);
                }
                Action::Send(ticket, signal)
            }
            (Phase::Restarting, Request::Kill { ends, .. }) => {
                if ends {
                    self.want_end(actions);
                    self.end(SIGKILL, None, actions);
                }
                done(true)
            }

            (Phase::Up { paused: false }, Request::Pause) => Action::Switch { ticket, pause: true },
            (Phase::Up { paused: true }, Request::Unpause) => Action::Switch { ticket, pause: false },
            (Phase::Up { .. }, Request::Pause) => refuse(No::AlreadyPaused),
            (Phase::Up { .. }, Request::Unpause) => refuse(No::NotPaused),
            (Phase::Restarting, Request::Pause | Request::Unpause) => refuse(No::Restarting),
            (_, Request::Pause | Request::Unpause) => refuse(No::NotRunning),

            (Phase::Idle, Request::Remove { .. }) => {
                self.removals.push(ticket);
                return self.erase(actions);
            }
            (Phase::Restarting, Request::Remove { force: false }) => refuse(No::Restarting),
            (_, Request::Remove { force: false }) => refuse(No::Running),
            (_, Request::Remove { force: true }) => {
                self.removals.push(ticket);
                self.want_end(actions);
                return self.take_down(actions);
            }
        };
        actions.push(action);
    }

    fn start_by_hand(&mut self, actions: &mut Actions) {
        self.backoff = Backoff::default();
        self.cancelled = false;
        self.mark_by_hand(false, actions);
        self.boot(actions);
    }

    fn boot(&mut self, actions: &mut Actions) {
        self.phase = Phase::Starting {
            adopting: false,
            interrupted: None,
        };
        actions.push(Action::Boot);
    }

    fn mark_by_hand(&mut self, by_hand: bool, actions: &mut Actions) {
        if self.by_hand != by_hand {
            self.by_hand = by_hand;
            actions.push(Action::ByHand(by_hand));
        }
    }

    /// Somebody wants its end.
    fn want_end(&mut self, actions: &mut Actions) {
        self.mark_by_hand(true, actions);
        self.stay_down(actions);
    }

    /// This daemon starts it again only by hand; who asked for a restart is told.
    fn stay_down(&mut self, actions: &mut Actions) {
        self.cancelled = true;
        let overtaken = std::mem::take(&mut self.restarts);
        answer_all(overtaken, Answer::Refused(Refusal::Overtaken), actions);
    }

    /// Brings the process to its end, whatever the phase.
    fn end(&mut self, signal: i32, timeout: Option<Duration>, actions: &mut Actions) {
        match &mut self.phase {
            Phase::Starting {
                adopting,
                interrupted,
            } => {
                if *adopting {
                    // It is taken over first and signalled then, and has no longer for both.
                    actions.push(deadline(signal, timeout));
                } else if interrupted.is_none() {
                    actions.push(Action::CancelBoot);
                }
                if interrupted.is_none_or(|(before, _)| before != SIGKILL) {
                    *interrupted = Some((signal, timeout));
                }
            }
            Phase::Up { paused } => {
                if *paused {
                    *paused = false;
                    actions.push(Action::Resume);
                }
                if signal == SIGKILL {
                    actions.push(Action::Hurry);
                }
                actions.push(Action::Signal(signal));
                actions.push(deadline(signal, timeout));
            }
            Phase::Restarting => {
                actions.push(Action::StopBackOff);
                self.rest(actions);
            }
            Phase::Idle | Phase::Visiting | Phase::Ending | Phase::Erasing | Phase::Removed => {}
        }
    }

    /// Ends a guest without asking it: what it has not written goes with its disk.
    fn take_down(&mut self, actions: &mut Actions) {
        match self.phase {
            Phase::Up { .. } => {
                actions.push(Action::Hurry);
                actions.push(Action::Killed);
                actions.push(Action::End { clean: false });
                self.phase = Phase::Ending;
            }
            Phase::Starting { adopting: true, .. } => actions.push(Action::CancelBoot),
            _ => self.end(SIGKILL, None, actions),
        }
    }

    fn react(&mut self, happening: Happening, actions: &mut Actions) {
        match (happening, self.phase) {
            (Happening::Booted { paused }, Phase::Starting { interrupted, .. }) => {
                self.phase = Phase::Up { paused };
                answer_all(std::mem::take(&mut self.starts), Answer::Done(true), actions);
                if !self.removals.is_empty() {
                    self.take_down(actions);
                } else if let Some((signal, timeout)) = interrupted {
                    self.end(signal, timeout, actions);
                }
            }
            (Happening::BootFailed { .. }, Phase::Starting { adopting: true, .. }) => {
                self.phase = Phase::Ending;
            }
            (Happening::BootFailed { auto_remove }, Phase::Starting { .. }) => {
                answer_all(std::mem::take(&mut self.starts), Answer::Failed, actions);
                self.over(auto_remove, actions);
            }
            (Happening::Ended { clean }, Phase::Up { .. }) => {
                actions.push(Action::End { clean });
                self.phase = Phase::Ending;
            }
            (Happening::Deadline(Next::Kill), Phase::Up { .. } | Phase::Starting { .. }) => {
                self.end(SIGKILL, None, actions);
            }
            // Whoever cannot take it over destroys it.
            (Happening::Deadline(Next::Destroy), Phase::Starting { .. }) => actions.push(Action::CancelBoot),
            (Happening::Deadline(Next::Destroy), Phase::Up { .. }) => {
                actions.push(Action::End { clean: false });
                self.phase = Phase::Ending;
            }
            (Happening::Gone(run), Phase::Ending) => self.gone(&run, actions),
            (Happening::BackedOff, Phase::Restarting) => self.boot(actions),
            (Happening::Visited, Phase::Visiting) => self.phase = Phase::Idle,
            (Happening::Switched { ticket, pause, done }, phase) => {
                if done && matches!(phase, Phase::Up { .. }) {
                    self.phase = Phase::Up { paused: pause };
                }
                let answer = if done { Answer::Done(true) } else { Answer::Failed };
                actions.push(Action::Answer(ticket, answer));
            }
            (Happening::Erased { done }, Phase::Erasing) => self.erased(done, actions),
            // Too late to matter.
            _ => {}
        }
    }

    fn gone(&mut self, run: &Run, actions: &mut Actions) {
        let again = self.removals.is_empty()
            && self.restarts.is_empty()
            && !self.cancelled
            && policy::restarts(run, self.by_hand, self.backoff.restarts);
        if again {
            let pause = self.backoff.next(run.lasted);
            actions.push(Action::Settle(Settled::Restarting(self.backoff.restarts)));
            actions.push(Action::BackOff(pause));
            self.phase = Phase::Restarting;
            // A removal that has no force is refused now, and a start has its answer.
            for (ticket, request) in std::mem::take(&mut self.deferred) {
                self.serve(ticket, request, actions);
            }
            return;
        }
        actions.push(Action::Settle(Settled::Exited));
        if !self.restarts.is_empty() {
            actions.push(Action::Stopped);
        }
        self.over(run.auto_remove, actions);
    }

    /// A run is over, and nothing starts it again by itself.
    fn over(&mut self, auto_remove: bool, actions: &mut Actions) {
        self.rest(actions);
        if self.phase == Phase::Idle {
            if !self.restarts.is_empty() {
                self.starts = std::mem::take(&mut self.restarts);
                self.start_by_hand(actions);
            } else if auto_remove {
                self.erase(actions);
            }
        }
    }

    /// It does not run: who waited for that is told.
    fn rest(&mut self, actions: &mut Actions) {
        self.phase = Phase::Idle;
        answer_all(std::mem::take(&mut self.stops), Answer::Done(true), actions);
        if !self.removals.is_empty() {
            self.erase(actions);
        }
    }

    fn erase(&mut self, actions: &mut Actions) {
        self.phase = Phase::Erasing;
        actions.push(Action::Erase);
    }

    fn erased(&mut self, done: bool, actions: &mut Actions) {
        let answer = if done { Answer::Done(true) } else { Answer::Failed };
        answer_all(std::mem::take(&mut self.removals), answer, actions);
        let removed = Answer::Refused(Refusal::Removed);
        let restarts = if done { removed } else { Answer::Failed };
        answer_all(std::mem::take(&mut self.restarts), restarts, actions);
        if !done {
            self.phase = Phase::Idle;
            return;
        }
        self.phase = Phase::Removed;
        for (ticket, _) in std::mem::take(&mut self.deferred) {
            actions.push(Action::Answer(ticket, removed));
        }
    }
}

/// When a process that got this signal gets the next, or loses its guest.
fn deadline(signal: i32, timeout: Option<Duration>) -> Action {
    match signal {
        SIGKILL => Action::Deadline(Some(KILL_GRACE), Next::Destroy),
        _ => Action::Deadline(timeout, Next::Kill),
    }
}

fn answer_all(tickets: Vec<Ticket>, answer: Answer, actions: &mut Actions) {
    actions.extend(tickets.into_iter().map(|ticket| Action::Answer(ticket, answer)));
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
