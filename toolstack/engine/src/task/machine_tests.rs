//! Any order of requests and happenings, against a host as small as can be.

use super::*;
use crate::spec::RestartPolicy;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const TERM: i32 = libc::SIGTERM;

/// What a test lets happen next.
#[derive(Debug, Clone)]
enum Event {
    Request(Request),
    /// The start that is on its way comes to this.
    Boot {
        works: bool,
    },
    /// The process ends, or its guest does.
    Exit {
        clean: bool,
        code: i32,
    },
    Gone,
    Deadline,
    BackedOff,
    Erased {
        done: bool,
    },
    /// Nobody wants its files any more.
    Visited,
    /// The daemon is killed and starts again.
    Daemon,
}

/// Guest, disk and clients, and what the record says.
struct World {
    machine: Machine,
    policy: RestartPolicy,
    auto_remove: bool,
    next_ticket: Ticket,
    open: BTreeSet<Ticket>,
    answers: BTreeMap<Ticket, Answer>,
    booting: bool,
    cancelled: bool,
    guest: bool,
    paused: bool,
    ending: bool,
    erasing: bool,
    backing_off: bool,
    visiting: bool,
    deadline: Option<Next>,
    code: i32,
    by_hand: bool,
    removed: bool,
}

impl World {
    fn new(policy: &str, auto_remove: bool) -> Self {
        Self {
            machine: Machine::idle(false),
            policy: RestartPolicy {
                name: policy.to_owned(),
                maximum_retry_count: 0,
            },
            auto_remove,
            next_ticket: 0,
            open: BTreeSet::new(),
            answers: BTreeMap::new(),
            booting: false,
            cancelled: false,
            guest: false,
            paused: false,
            ending: false,
            erasing: false,
            backing_off: false,
            visiting: false,
            deadline: None,
            code: 0,
            by_hand: false,
            removed: false,
        }
    }

    fn ask(&mut self, request: Request) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.open.insert(ticket);
        let actions = self.machine.request(ticket, request);
        self.perform(actions);
        ticket
    }

    fn happen(&mut self, happening: Happening) {
        let actions = self.machine.happened(happening);
        self.perform(actions);
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        assert!(self.open.remove(&ticket), "{ticket} is answered twice");
        self.answers.insert(ticket, answer);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Boot => {
                    assert!(
                        !self.booting && !self.guest && !self.removed && !self.erasing && !self.backing_off
                    );
                    self.booting = true;
                    self.cancelled = false;
                }
                Action::CancelBoot => {
                    assert!(self.booting);
                    self.cancelled = true;
                }
                Action::Signal(_) => assert!(self.guest && !self.ending && !self.paused),
                Action::Send(ticket, _) => {
                    assert!(self.guest && !self.ending && !self.paused);
                    self.answer(ticket, Answer::Done(true));
                }
                Action::Resume => {
                    assert!(self.paused);
                    self.paused = false;
                }
                Action::Switch { ticket, pause } => {
                    assert!(self.guest && !self.ending && self.paused != pause);
                    self.paused = pause;
                    self.happen(Happening::Switched {
                        ticket,
                        pause,
                        done: true,
                    });
                }
                Action::Rename(ticket) => self.answer(ticket, Answer::Done(true)),
                Action::Lease(ticket) => {
                    assert!(!self.booting && !self.ending && !self.erasing && !self.paused);
                    self.visiting = !self.guest;
                    self.answer(ticket, Answer::Done(true));
                }
                Action::CancelVisit => assert!(self.visiting),
                Action::Hurry => {}
                Action::Deadline(after, next) => {
                    assert!(self.guest && !self.ending);
                    if after.is_some() && self.deadline != Some(Next::Destroy) {
                        self.deadline = Some(next);
                    }
                }
                Action::End { .. } => {
                    assert!(self.guest && !self.ending, "there is nothing to end");
                    self.ending = true;
                    self.deadline = None;
                }
                Action::Settle(_) => assert!(!self.guest && !self.booting),
                Action::BackOff(pause) => {
                    assert!(!pause.is_zero());
                    self.backing_off = true;
                }
                Action::StopBackOff => {
                    assert!(self.backing_off);
                    self.backing_off = false;
                }
                Action::ByHand(by_hand) => self.by_hand = by_hand,
                Action::Killed | Action::Stopped | Action::Halted => {}
                Action::Erase => {
                    assert!(
                        !self.guest && !self.booting && !self.erasing && !self.backing_off && !self.removed
                    );
                    self.erasing = true;
                }
                Action::Answer(ticket, answer) => self.answer(ticket, answer),
            }
        }
        self.check();
    }

    /// Phase and world agree.
    fn check(&self) {
        let is = match self.machine.phase() {
            Phase::Idle => {
                !self.visiting && !self.guest && !self.booting && !self.backing_off && !self.erasing
            }
            Phase::Starting { adopting, .. } => self.booting && self.guest == adopting,
            Phase::Up { paused } => self.guest && !self.ending && self.paused == paused,
            Phase::Ending => self.guest && self.ending,
            Phase::Restarting => self.backing_off && !self.guest,
            Phase::Visiting => self.visiting && !self.guest && !self.booting,
            Phase::Erasing => self.erasing,
            Phase::Removed => self.removed && self.open.is_empty(),
        };
        assert!(is, "{:?}", self.machine);
    }

    fn step(&mut self, event: Event) {
        if self.removed {
            return;
        }
        match event {
            Event::Request(request) => drop(self.ask(request)),
            Event::Boot { works } if self.booting => {
                self.booting = false;
                let adopting = self.guest;
                if works {
                    self.guest = true;
                    self.happen(Happening::Booted { paused: self.paused });
                } else {
                    // One that cannot be taken over is being taken down.
                    self.ending = adopting;
                    let auto_remove = self.auto_remove;
                    self.happen(Happening::BootFailed { auto_remove });
                }
            }
            Event::Exit { clean, code } if self.guest && !self.ending && !self.booting && !self.paused => {
                self.code = code;
                self.happen(Happening::Ended { clean });
            }
            Event::Gone if self.ending => {
                self.guest = false;
                self.ending = false;
                self.paused = false;
                let run = Run {
                    exit_code: self.code,
                    lasted: Duration::ZERO,
                    policy: self.policy.clone(),
                    auto_remove: self.auto_remove,
                };
                self.happen(Happening::Gone(run));
            }
            Event::Deadline => {
                if let Some(next) = self.deadline.take() {
                    self.happen(Happening::Deadline(next));
                }
            }
            Event::BackedOff if self.backing_off => {
                self.backing_off = false;
                self.happen(Happening::BackedOff);
            }
            Event::Erased { done } if self.erasing => {
                self.erasing = false;
                self.removed = done;
                self.happen(Happening::Erased { done });
            }
            Event::Visited if self.visiting => {
                self.visiting = false;
                self.happen(Happening::Visited);
            }
            Event::Daemon => self.restart_daemon(),
            _ => {}
        }
    }

    fn restart_daemon(&mut self) {
        // Their connections broke.
        self.open.clear();
        // A start or an end that was cut off is undone or finished before anybody can ask for anything.
        let adopt = self.guest && !self.ending && !self.booting;
        self.booting = adopt;
        self.guest = adopt;
        self.paused &= adopt;
        self.ending = false;
        self.erasing = false;
        self.backing_off = false;
        self.visiting = false;
        self.deadline = None;
        self.machine = match adopt {
            true => Machine::adopting(self.by_hand, 0),
            false => Machine::idle(self.by_hand),
        };
        self.check();
    }

    /// Lets everything that is on its way come to its end.
    fn settle(&mut self) {
        for _ in 0..100 {
            if self.removed || (self.machine.phase() == Phase::Idle && self.open.is_empty()) {
                return;
            }
            if self.guest && !self.ending && !self.booting && self.open.is_empty() {
                return;
            }
            if self.backing_off && self.open.is_empty() {
                return;
            }
            // Somebody lets it go on, or it would never end.
            if self.paused && !self.ending && !self.booting {
                self.ask(Request::Unpause);
            }
            let works = !self.cancelled;
            self.step(Event::Boot { works });
            self.step(Event::Exit { clean: true, code: 0 });
            self.step(Event::Deadline);
            self.step(Event::Gone);
            self.step(Event::Erased { done: true });
            self.step(Event::Visited);
        }
        panic!(
            "it does not come to rest: {:?}, open {:?}",
            self.machine, self.open
        );
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let timeout = prop_oneof![
        Just(None),
        Just(Some(Duration::ZERO)),
        Just(Some(Duration::from_secs(9)))
    ];
    prop_oneof![
        3 => Just(Request::Start),
        2 => timeout.clone().prop_map(|timeout| Request::Stop { signal: TERM, timeout }),
        1 => timeout.clone().prop_map(|timeout| Request::Halt { signal: TERM, timeout }),
        2 => timeout.prop_map(|timeout| Request::Restart { signal: TERM, timeout }),
        1 => (prop_oneof![Just(SIGKILL), Just(TERM), Just(libc::SIGUSR1)], any::<bool>())
            .prop_map(|(signal, ends)| Request::Kill { signal, ends: ends || signal == SIGKILL }),
        1 => Just(Request::Pause),
        1 => Just(Request::Unpause),
        1 => Just(Request::Renamed),
        1 => any::<bool>().prop_map(|force| Request::Remove { force }),
        2 => Just(Request::Files),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => requests().prop_map(Event::Request),
        4 => prop::bool::weighted(0.8).prop_map(|works| Event::Boot { works }),
        3 => (any::<bool>(), 0..2).prop_map(|(clean, code)| Event::Exit { clean, code }),
        3 => Just(Event::Gone),
        1 => Just(Event::Deadline),
        2 => Just(Event::BackedOff),
        2 => prop::bool::weighted(0.8).prop_map(|done| Event::Erased { done }),
        2 => Just(Event::Visited),
        1 => Just(Event::Daemon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_request_is_answered_once_and_every_state_is_legal(
        policy in prop_oneof![Just(""), Just("always"), Just("unless-stopped"), Just("on-failure")],
        auto_remove in any::<bool>(),
        events in prop::collection::vec(events(), 1..60),
    ) {
        let mut world = World::new(policy, auto_remove && policy.is_empty());
        for event in events {
            world.step(event);
        }
        world.settle();
        prop_assert!(world.open.is_empty(), "never answered: {:?}", world.open);
    }
}

fn up(policy: &str) -> World {
    let mut world = World::new(policy, false);
    let start = world.ask(Request::Start);
    world.step(Event::Boot { works: true });
    assert_eq!(world.answers[&start], Answer::Done(true));
    world
}

fn exit(world: &mut World, code: i32) {
    world.step(Event::Exit { clean: true, code });
    world.step(Event::Gone);
}

#[test]
fn a_policy_starts_it_again_until_somebody_stops_it() {
    let mut world = up("always");
    exit(&mut world, 0);
    assert_eq!(world.machine.phase(), Phase::Restarting);
    world.step(Event::BackedOff);
    world.step(Event::Boot { works: true });
    assert_eq!(world.machine.phase(), Phase::Up { paused: false });
    let stop = world.ask(Request::Stop {
        signal: TERM,
        timeout: None,
    });
    exit(&mut world, 143);
    assert_eq!(world.answers[&stop], Answer::Done(true));
    assert_eq!(world.machine.phase(), Phase::Idle);
    assert!(world.by_hand);
    world.ask(Request::Start);
    assert!(!world.by_hand);
}

#[test]
fn a_host_that_halts_ends_it_though_nobody_has_wished_so() {
    let halt = Request::Halt {
        signal: TERM,
        timeout: None,
    };
    let mut world = up("always");
    let halted = world.ask(halt.clone());
    assert!(world.open.contains(&halted));
    exit(&mut world, 143);
    assert_eq!(world.answers[&halted], Answer::Done(true));
    assert_eq!(world.machine.phase(), Phase::Idle);
    assert!(!world.by_hand);
    let halted = world.ask(halt);
    assert_eq!(world.answers[&halted], Answer::Done(false));
}

#[test]
fn a_stop_calls_a_back_off_off() {
    let mut world = up("always");
    exit(&mut world, 1);
    let stop = world.ask(Request::Stop {
        signal: TERM,
        timeout: None,
    });
    assert_eq!(world.answers[&stop], Answer::Done(true));
    assert!(!world.backing_off);
    assert_eq!(world.machine.phase(), Phase::Idle);
}

#[test]
fn a_restart_is_one_request() {
    let mut world = up("");
    let restart = world.ask(Request::Restart {
        signal: TERM,
        timeout: None,
    });
    exit(&mut world, 143);
    assert!(world.open.contains(&restart));
    world.step(Event::Boot { works: true });
    assert_eq!(world.answers[&restart], Answer::Done(true));
}

#[test]
fn a_stop_comes_over_a_restart() {
    let mut world = up("");
    let restart = world.ask(Request::Restart {
        signal: TERM,
        timeout: None,
    });
    world.ask(Request::Stop {
        signal: TERM,
        timeout: None,
    });
    assert_eq!(world.answers[&restart], Answer::Refused(Refusal::Overtaken));
    exit(&mut world, 143);
    assert_eq!(world.machine.phase(), Phase::Idle);
}

#[test]
fn a_guest_that_does_not_answer_the_next_daemon_can_be_ended() {
    let mut world = up("");
    world.step(Event::Daemon);
    let stop = world.ask(Request::Stop {
        signal: TERM,
        timeout: Some(Duration::ZERO),
    });
    world.step(Event::Deadline);
    assert!(!world.cancelled && world.deadline == Some(Next::Destroy));
    world.step(Event::Deadline);
    assert!(world.cancelled);
    world.step(Event::Boot { works: false });
    world.step(Event::Gone);
    assert_eq!(world.answers[&stop], Answer::Done(true));
}

#[test]
fn a_kill_ends_a_start() {
    let mut world = World::new("", false);
    let start = world.ask(Request::Start);
    world.ask(Request::Kill {
        signal: SIGKILL,
        ends: true,
    });
    assert!(world.cancelled);
    world.step(Event::Boot { works: false });
    assert_eq!(world.answers[&start], Answer::Failed);
}
