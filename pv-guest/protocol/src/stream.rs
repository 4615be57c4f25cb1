//! What one side knows of one stream: how far it has come each way, and how far it may go.

use crate::mux::{INITIAL_WINDOW, Position};
use std::collections::VecDeque;

/// How far ahead of what was sent a window may lie: what the other side grants is [`INITIAL_WINDOW`] beyond what it
/// has disposed of, and more only shows that it cannot count.
const MAX_WINDOW: u64 = 4 * INITIAL_WINDOW;

#[derive(Debug)]
pub(crate) struct Stream {
    pub queue: VecDeque<u8>,
    /// End after the queue.
    pub finish: bool,
    pub sent_end: bool,
    pub sent: u64,
    /// The peer takes bytes up to this count; never below `sent`, except as long as `provisional`.
    pub send_limit: u64,
    pub received: u64,
    pub received_end: bool,
    pub receive_limit: u64,
    /// Of `received`, what our side has disposed of.
    pub consumed: u64,
    pub window_due: bool,
    /// Seen only in frames of a peer that we took over: its counts begin at a place that is not known yet, so nothing
    /// is sent on it, windows neither.
    pub provisional: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            finish: false,
            sent_end: false,
            sent: 0,
            send_limit: INITIAL_WINDOW,
            received: 0,
            received_end: false,
            receive_limit: INITIAL_WINDOW,
            consumed: 0,
            window_due: false,
            provisional: false,
        }
    }
}

impl Stream {
    pub fn sendable(&self) -> usize {
        if self.provisional {
            return 0;
        }
        self.queue.len().min(self.credit())
    }

    fn credit(&self) -> usize {
        usize::try_from(self.send_limit.saturating_sub(self.sent)).unwrap_or(usize::MAX)
    }

    /// See [`crate::mux::Mux::room`].
    pub fn room(&self) -> usize {
        if self.provisional || self.finish {
            return 0;
        }
        let most = self.credit().min(INITIAL_WINDOW as usize);
        most.saturating_sub(self.queue.len())
    }

    pub fn end_due(&self) -> bool {
        self.finish && !self.sent_end && !self.provisional && self.queue.is_empty()
    }

    pub fn window_due(&self) -> bool {
        self.window_due && !self.provisional
    }

    /// The window to tell now.
    pub fn next_window(&mut self) -> u64 {
        self.window_due = false;
        // Never back: the peer may have used what it was granted.
        self.receive_limit = self
            .receive_limit
            .max(self.consumed.saturating_add(INITIAL_WINDOW));
        self.receive_limit
    }

    pub fn consume(&mut self, bytes: usize) {
        self.consumed = self.consumed.saturating_add(bytes as u64).min(self.received);
        let gained = (self.consumed + INITIAL_WINDOW).saturating_sub(self.receive_limit);
        if gained >= INITIAL_WINDOW / 4 && !self.received_end {
            self.window_due = true;
        }
    }

    /// Takes the peer's window; `false` when it makes no sense. `unsettled`: what it counts from is not known yet.
    pub fn grant(&mut self, limit: u64, unsettled: bool) -> bool {
        let sane = limit >= self.sent && limit - self.sent <= MAX_WINDOW;
        if sane || unsettled {
            self.send_limit = self.send_limit.max(limit);
        }
        sane || unsettled
    }

    /// Ends the time in which the peer's windows could not be judged.
    pub fn settle(&mut self) {
        self.send_limit = self
            .send_limit
            .clamp(self.sent, self.sent.saturating_add(MAX_WINDOW));
    }

    pub fn position(&self) -> Position {
        Position {
            sent: self.sent,
            received: self.received,
            sent_end: self.sent_end,
            received_end: self.received_end,
        }
    }

    /// Counts from `at`, which includes all that has come so far.
    pub fn resume(&mut self, at: Position) {
        // A liar's counts must not end the arithmetic.
        let (sent, received) = (at.sent.min(u64::MAX / 2), at.received.min(u64::MAX / 2));
        let unread = self.received - self.consumed;
        self.provisional = false;
        self.sent = sent;
        self.sent_end = at.sent_end;
        self.finish |= at.sent_end;
        self.settle();
        self.received = received;
        self.received_end |= at.received_end;
        self.consumed = received.saturating_sub(unread);
        // The engine that died may have granted that much: its window followed what it had taken.
        self.receive_limit = received + INITIAL_WINDOW;
        self.window_due = !self.received_end;
    }

    /// The receiving half as new, the sending half as it is.
    pub fn restart_receiving(&mut self) {
        let new = Self::default();
        self.received = new.received;
        self.received_end = new.received_end;
        self.receive_limit = new.receive_limit;
        self.consumed = new.consumed;
        self.window_due = new.window_due;
    }
}
