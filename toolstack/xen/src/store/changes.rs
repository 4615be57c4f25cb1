//! What changes xenstore, on a connection of its own: any number of requests go out in one write, so xenstored is woken
//! once for all of them. They are served in the order in which they were given, also when nobody waits for them any more.
//!
//! The wire format is that of xen/io/xs_wire.h and docs/misc/xenstore.txt.

use super::{Access, StoreError};
use crate::DomId;
use std::env;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use tokio::sync::oneshot;
use xen_sys::stable;
use xen_sys::stable::xsd_sockmsg_type::{
    XS_ERROR, XS_INTRODUCE, XS_RM, XS_SET_PERMS, XS_TRANSACTION_END, XS_TRANSACTION_START, XS_WATCH_EVENT,
    XS_WRITE,
};

const MAX_PAYLOAD: usize = stable::XENSTORE_PAYLOAD_MAX as usize;
const HEAD: usize = size_of::<stable::xsd_sockmsg>();

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    kind: u32,
    what: &'static str,
    path: String,
    payload: Vec<u8>,
}

impl Request {
    fn new(kind: u32, what: &'static str, path: &str, rest: &[u8]) -> Self {
        Self {
            kind,
            what,
            path: path.to_owned(),
            payload: [path.as_bytes(), b"\0", rest].concat(),
        }
    }

    pub fn write(path: &str, value: &str) -> Self {
        Self::new(XS_WRITE, "write", path, value.as_bytes())
    }

    /// With all below it; one that is not there is no error.
    pub fn remove(path: &str) -> Self {
        Self::new(XS_RM, "remove", path, b"")
    }

    fn set_permissions(path: &str, access: Access) -> Self {
        let permissions = match access {
            Access::Reader(domid) => format!("n0\0r{domid}\0"),
            // dom0 may do everything anyway; the second entry names it for readers of the tree.
            Access::Owner(domid) => format!("n{domid}\0r0\0"),
        };
        Self::new(
            XS_SET_PERMS,
            "set the permissions of",
            path,
            permissions.as_bytes(),
        )
    }

    /// Makes a node of which the guest has so much; what is written below it inherits that.
    pub(crate) fn grant(path: &str, access: Access) -> [Self; 2] {
        [Self::write(path, ""), Self::set_permissions(path, access)]
    }

    /// A domain and its ring.
    pub(crate) fn introduce(domid: DomId, frame: u64, port: u32) -> Self {
        Self {
            kind: XS_INTRODUCE,
            what: "introduce",
            path: format!("/local/domain/{domid}"),
            payload: format!("{domid}\0{frame}\0{port}\0").into_bytes(),
        }
    }

    fn transaction(kind: u32, payload: &[u8]) -> Self {
        Self {
            kind,
            what: "change",
            path: "in a transaction".to_owned(),
            payload: payload.to_owned(),
        }
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::at(self.what, &self.path)(source)
    }

    fn concluded(&self, answer: io::Result<Vec<u8>>) -> Result<Vec<u8>, StoreError> {
        match answer {
            Err(error) if self.kind == XS_RM && error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            answer => answer.map_err(|error| self.failed(error)),
        }
    }
}

struct Job {
    requests: Vec<Request>,
    as_one: bool,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// Hands requests to a thread that has the connection.
#[derive(Clone)]
pub struct Changes(mpsc::Sender<Job>);

impl Changes {
    pub fn open() -> Result<Self, StoreError> {
        Self::over(Wire::open)
    }

    fn over(open: impl Fn() -> io::Result<Wire> + Send + 'static) -> Result<Self, StoreError> {
        let first = open().map_err(StoreError::Connect)?;
        let (jobs, waiting) = mpsc::channel();
        thread::Builder::new()
            .name("xenstore".to_owned())
            .spawn(move || work(first, open, waiting))
            .map_err(StoreError::Connect)?;
        Ok(Self(jobs))
    }

    /// Makes all of them, in order, and goes on after an error; gives the first.
    pub async fn make(&self, requests: Vec<Request>) -> Result<(), StoreError> {
        self.job(requests, false).await
    }

    /// The same, for whoever watches at one moment, and all or none.
    pub async fn make_as_one(&self, requests: Vec<Request>) -> Result<(), StoreError> {
        self.job(requests, true).await
    }

    async fn job(&self, requests: Vec<Request>, as_one: bool) -> Result<(), StoreError> {
        let (done, made) = oneshot::channel();
        let gone = || StoreError::Connect(io::ErrorKind::BrokenPipe.into());
        let job = Job {
            requests,
            as_one,
            done,
        };
        self.0.send(job).map_err(|_| gone())?;
        made.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Each answer wakes who waits for it. This thread is to run when xenstored has nothing more to do, not between every two
/// requests.
fn let_xenstored_go_on() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: of this thread, and reads the parameter only. Without it all goes on, but slower.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &none) };
}

fn work(first: Wire, open: impl Fn() -> io::Result<Wire>, jobs: mpsc::Receiver<Job>) {
    let_xenstored_go_on();
    let mut connected = Some(first);
    for Job {
        requests,
        as_one,
        done,
    } in jobs
    {
        let made = match connected.take().map_or_else(&open, Ok) {
            Err(error) => Err(StoreError::Connect(error)),
            Ok(mut wire) => {
                let made = match as_one {
                    true => wire.transact(&requests),
                    false => wire.send_all(&requests, 0),
                };
                // One that is broken may have answers under way to what nobody asks any more.
                connected = Some(wire).filter(|wire| !wire.is_broken);
                made
            }
        };
        let _ = done.send(made);
    }
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    /// How many requests may be under way.
    burst: usize,
    is_broken: bool,
}

impl Wire {
    /// As libxenstore looks for it: xenstored's socket, or else the kernel's, which takes one request at a time.
    fn open() -> io::Result<Self> {
        let socket = env::var("XENSTORED_PATH").unwrap_or_else(|_| "/run/xenstored/socket".to_owned());
        if let Ok(stream) = UnixStream::connect(socket) {
            return Ok(Self::new(stream, usize::MAX));
        }
        let device = File::options().read(true).write(true).open("/dev/xen/xenbus")?;
        Ok(Self::new(device, 1))
    }

    fn new(stream: impl Stream + 'static, burst: usize) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            burst,
            is_broken: false,
        }
    }

    fn transact(&mut self, requests: &[Request]) -> Result<(), StoreError> {
        loop {
            let start = Request::transaction(XS_TRANSACTION_START, b"\0");
            let number = self.exchange(&[&start], 0)?.swap_remove(0);
            let number = start.concluded(number)?;
            let number = std::str::from_utf8(&number)
                .ok()
                .and_then(|text| text.trim_end_matches('\0').parse().ok())
                .filter(|number| *number != 0)
                .ok_or_else(|| start.failed(io::Error::other("a transaction without a number")))?;
            let made = self.send_all(requests, number);
            let verdict: &[u8] = if made.is_ok() { b"T\0" } else { b"F\0" };
            let end = Request::transaction(XS_TRANSACTION_END, verdict);
            let ended = self.exchange(&[&end], number)?.swap_remove(0);
            made?;
            match end.concluded(ended) {
                // Somebody else changed what this depends on.
                Err(StoreError::Request { source, .. }) if source.raw_os_error() == Some(libc::EAGAIN) => {}
                ended => return ended.map(drop),
            }
        }
    }

    fn send_all(&mut self, requests: &[Request], transaction: u32) -> Result<(), StoreError> {
        let mut result = Ok(());
        for burst in requests.chunks(self.burst.min(requests.len()).max(1)) {
            let answers = self.exchange(&burst.iter().collect::<Vec<_>>(), transaction)?;
            for (request, answer) in burst.iter().zip(answers) {
                result = result.and(request.concluded(answer).map(drop));
            }
        }
        result
    }

    /// The answers to some requests. An error is one of the connection, or a request that is too long: then none is sent.
    fn exchange(
        &mut self,
        requests: &[&Request],
        transaction: u32,
    ) -> Result<Vec<io::Result<Vec<u8>>>, StoreError> {
        let mut bytes = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            if request.payload.len() > MAX_PAYLOAD {
                return Err(request.failed(io::Error::from_raw_os_error(libc::E2BIG)));
            }
            let head = [
                request.kind,
                number as u32,
                transaction,
                request.payload.len() as u32,
            ];
            bytes.extend(head.iter().flat_map(|word| word.to_ne_bytes()));
            bytes.extend(&request.payload);
        }
        let mut answers = Vec::with_capacity(requests.len());
        if let Some(first) = requests.first() {
            let sent = self.stream.get_mut().write_all(&bytes);
            sent.map_err(|error| self.broken(first, error))?;
        }
        for (number, request) in requests.iter().enumerate() {
            let answer = self.answer(request.kind, number as u32);
            answers.push(answer.map_err(|error| self.broken(request, error))?);
        }
        Ok(answers)
    }

    fn broken(&mut self, request: &Request, error: io::Error) -> StoreError {
        self.is_broken = true;
        request.failed(error)
    }

    fn answer(&mut self, kind: u32, number: u32) -> io::Result<io::Result<Vec<u8>>> {
        loop {
            let mut head = [0; HEAD];
            self.stream.read_exact(&mut head)?;
            let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let (of, to, length) = (word(0), word(4), word(12) as usize);
            if length > MAX_PAYLOAD {
                return Err(io::Error::other(format!("an answer of {length} bytes")));
            }
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload)?;
            return match of {
                XS_WATCH_EVENT => continue,
                _ if to != number => Err(io::Error::other(format!("answer {to}, not {number}"))),
                XS_ERROR => Ok(Err(error(&payload))),
                of if of == kind => Ok(Ok(payload)),
                of => Err(io::Error::other(format!("an answer of kind {of}, not {kind}"))),
            };
        }
    }
}

/// `xsd_errors`
fn error(name: &[u8]) -> io::Error {
    let name = String::from_utf8_lossy(name.strip_suffix(b"\0").unwrap_or(name));
    let number = match &*name {
        "EINVAL" => libc::EINVAL,
        "EACCES" => libc::EACCES,
        "EEXIST" => libc::EEXIST,
        "EISDIR" => libc::EISDIR,
        "ENOENT" => libc::ENOENT,
        "ENOMEM" => libc::ENOMEM,
        "ENOSPC" => libc::ENOSPC,
        "EIO" => libc::EIO,
        "ENOTEMPTY" => libc::ENOTEMPTY,
        "ENOSYS" => libc::ENOSYS,
        "EROFS" => libc::EROFS,
        "EBUSY" => libc::EBUSY,
        "EAGAIN" => libc::EAGAIN,
        "EISCONN" => libc::EISCONN,
        "E2BIG" => libc::E2BIG,
        "EPERM" => libc::EPERM,
        name => return io::Error::other(format!("xenstored says {name:?}")),
    };
    io::Error::from_raw_os_error(number)
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
