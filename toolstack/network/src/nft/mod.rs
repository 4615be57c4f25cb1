//! nf_tables by netlink: transactions of tables, chains, rules, sets and their elements.
//!
//! Written out here since no library for Rust has all that our rules are made of (`fib`, maps of joined keys) without a
//! subprocess or libnftnl. Formats and numbers are those of linux/netfilter/nf_tables.h and nfnetlink.h.

mod attributes;
mod rule;
mod set;

pub use attributes::Attributes;
pub use rule::*;
pub use set::{Counter, Element, Meter, Set, Type};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt,
};
use std::io;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

const HEADER_BYTES: usize = 16;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;

/// Of any list that nf_tables takes.
const LIST_ELEM: u16 = 1;

#[derive(Debug, thiserror::Error)]
pub enum NftError {
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    #[error("cannot send {0} bytes of rules")]
    Send(usize, #[source] io::Error),
    #[error("nf_tables does not answer")]
    Silent(#[source] io::Error),
    #[error("nf_tables refuses {what}")]
    Refused {
        what: String,
        #[source]
        source: io::Error,
    },
}

impl NftError {
    /// The kernel does not know something of it, as one that was built without it.
    pub fn is_unknown(&self) -> bool {
        let Self::Refused { source, .. } = self else {
            return false;
        };
        matches!(
            Errno::from_io_error(source),
            Some(Errno::NOENT | Errno::OPNOTSUPP | Errno::INVAL)
        )
    }
}

/// A table of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// `NFPROTO_…`
    pub family: u8,
    pub name: &'static str,
}

/// Where packets come into a chain.
#[derive(Debug, Clone, Copy)]
pub struct Hook {
    pub kind: &'static str,
    pub number: u32,
    pub priority: i32,
}

fn data_value(value: &[u8]) -> Attributes {
    Attributes::new().raw(1, value)
}

/// Changes that happen all at once or not at all.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    /// What each message is, for errors.
    messages: Vec<String>,
    /// Where the flags of the last message are.
    last: usize,
    sets: u32,
}

impl Default for Batch {
    fn default() -> Self {
        let mut batch = Self {
            bytes: Vec::new(),
            messages: Vec::new(),
            last: 0,
            sets: 0,
        };
        batch.message(
            BATCH_BEGIN,
            REQUEST,
            0,
            SUBSYSTEM,
            &Attributes::new(),
            "the transaction",
        );
        batch
    }
}

impl Batch {
    fn message(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        attributes: &Attributes,
        what: &str,
    ) {
        let length = HEADER_BYTES + 4 + attributes.len();
        self.last = self.bytes.len() + 6;
        self.bytes.extend_from_slice(&(length as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes
            .extend_from_slice(&(self.messages.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        // struct nfgenmsg
        self.bytes.extend_from_slice(&[family, 0]);
        self.bytes.extend_from_slice(&resource.to_be_bytes());
        self.bytes.extend_from_slice(attributes.bytes());
        self.messages.push(what.to_owned());
    }

    fn put(&mut self, table: Table, kind: u16, flags: u16, attributes: &Attributes, what: &str) {
        self.message(
            SUBSYSTEM << 8 | kind,
            REQUEST | flags,
            table.family,
            0,
            attributes,
            what,
        );
    }

    pub fn table(&mut self, table: Table) {
        let attributes = Attributes::new().text(1, table.name);
        self.put(
            table,
            NEW_TABLE,
            CREATE,
            &attributes,
            &format!("table {}", table.name),
        );
    }

    /// It must exist.
    pub fn delete_table(&mut self, table: Table) {
        let attributes = Attributes::new().text(1, table.name);
        self.put(
            table,
            DELETE_TABLE,
            0,
            &attributes,
            &format!("the end of table {}", table.name),
        );
    }

    pub fn chain(&mut self, table: Table, name: &str, hook: Option<Hook>) {
        let mut attributes = Attributes::new().text(1, table.name).text(3, name);
        if let Some(hook) = hook {
            let place = Attributes::new()
                .number(1, hook.number)
                .number(2, hook.priority.cast_unsigned());
            const ACCEPT: u32 = 1;
            attributes = attributes.nested(4, &place).number(5, ACCEPT).text(7, hook.kind);
        }
        self.put(table, NEW_CHAIN, CREATE, &attributes, &format!("chain {name}"));
    }

    pub fn rule(&mut self, table: Table, chain: &str, rule: &Rule) {
        let attributes = Attributes::new()
            .text(1, table.name)
            .text(2, chain)
            .nested(4, rule.expressions());
        self.put(
            table,
            NEW_RULE,
            CREATE | APPEND,
            &attributes,
            &format!("a rule of chain {chain}"),
        );
    }

    pub fn set(&mut self, table: Table, set: &Set<'_>) {
        self.sets += 1;
        let attributes = set.attributes(table.name, self.sets);
        self.put(table, NEW_SET, CREATE, &attributes, &format!("set {}", set.name));
    }

    pub fn meter(&mut self, table: Table, meter: &Meter) {
        self.sets += 1;
        let attributes = meter.attributes(table.name, self.sets);
        self.put(
            table,
            NEW_SET,
            CREATE,
            &attributes,
            &format!("set {}", meter.name),
        );
    }

    pub fn counter(&mut self, table: Table, counter: &Counter) {
        self.sets += 1;
        let attributes = counter.attributes(table.name, self.sets);
        let what = format!("set {}", counter.name);
        self.put(table, NEW_SET, CREATE, &attributes, &what);
    }

    pub fn add(&mut self, table: Table, set: &str, elements: &[Element]) {
        self.elements(table, NEW_ELEMENTS, CREATE, set, elements);
    }

    /// They must all be there.
    pub fn remove(&mut self, table: Table, set: &str, elements: &[Element]) {
        self.elements(table, DELETE_ELEMENTS, 0, set, elements);
    }

    fn elements(&mut self, table: Table, kind: u16, flags: u16, set: &str, elements: &[Element]) {
        // A list is an attribute, of 64 KiB at most.
        for some in elements.chunks(256) {
            let mut list = Attributes::new();
            for element in some {
                list.append(&Attributes::new().nested(LIST_ELEM, &element.attributes()));
            }
            let attributes = Attributes::new()
                .text(1, table.name)
                .text(2, set)
                .nested(3, &list);
            self.put(table, kind, flags, &attributes, &format!("elements of {set}"));
        }
    }

    fn finish(&mut self) {
        let acknowledged = REQUEST | ACKNOWLEDGE;
        let flags = self.bytes.get_mut(self.last..self.last + 2);
        if let Some(flags) = flags {
            let now = u16::from_ne_bytes([flags[0], flags[1]]) | acknowledged;
            flags.copy_from_slice(&now.to_ne_bytes());
        }
        self.message(
            BATCH_END,
            REQUEST,
            0,
            SUBSYSTEM,
            &Attributes::new(),
            "the end of the transaction",
        );
    }

    /// Blocks until the kernel has done it.
    pub fn commit(mut self) -> Result<(), NftError> {
        self.finish();
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::NETFILTER),
        )
        .map_err(|error| NftError::Open(error.into()))?;
        // A transaction is one message to the socket, however long; and errors quote what they are about.
        let room = self.bytes.len() * 2 + (64 << 10);
        let _ = sockopt::set_socket_send_buffer_size_force(&socket, room);
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, room);
        let failed = |error: Errno| NftError::Send(self.bytes.len(), error.into());
        send(&socket, &self.bytes, SendFlags::empty()).map_err(failed)?;
        // The kernel has done its work when send returns: all answers are there.
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = match recv(&socket, &mut buffer, RecvFlags::empty()) {
                Ok((_, length)) => length.min(buffer.len()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(NftError::Silent(error.into())),
            };
            if self.answered(&buffer[..length])? {
                return Ok(());
            }
        }
    }

    /// Whether the acknowledgement is among the answers.
    fn answered(&self, mut answers: &[u8]) -> Result<bool, NftError> {
        let number = |bytes: &[u8], at: usize| {
            bytes
                .get(at..at + 4)
                .and_then(|four| four.try_into().ok())
                .map(u32::from_ne_bytes)
        };
        while let (Some(length), Some(kind), Some(sequence), Some(code)) = (
            number(answers, 0),
            answers.get(4..6),
            number(answers, 8),
            number(answers, HEADER_BYTES),
        ) {
            if u16::from_ne_bytes([kind[0], kind[1]]) == ERROR {
                match code.cast_signed() {
                    0 => return Ok(true),
                    code => {
                        let what = self.messages.get(sequence as usize);
                        return Err(NftError::Refused {
                            what: what.map_or("the transaction", String::as_str).to_owned(),
                            source: io::Error::from_raw_os_error(code.saturating_neg()),
                        });
                    }
                }
            }
            let next = (length as usize).max(HEADER_BYTES).next_multiple_of(4);
            answers = answers.get(next..).unwrap_or_default();
        }
        Ok(false)
    }
}
