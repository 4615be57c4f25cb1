//! Starting processes in a container.

use crate::container::Container;
use crate::error::{Context, Failure, failure, plain};
use crate::limits::{limit_capabilities, set_limit};
use crate::program::{DEFAULT_PATH, Exec, environment, find_program};
use crate::sys::{self, Forked};
use crate::user;
use guest_protocol::message::{ErrorKind, ProcessSpec, WindowSize};
use rustix::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::path::Path;

/// The longest report of a child about why it failed.
const MAX_REPORT_BYTES: usize = 8192;

/// A process that runs, and our ends of its stdio.
pub struct Started {
    pub pid: i32,
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// The terminal, which is both stdin and stdout then.
    pub terminal: Option<OwnedFd>,
}

/// What namespaces a container's later processes join.
pub struct Namespaces {
    pid: OwnedFd,
    others: Vec<(OwnedFd, i32)>,
}

/// The cgroup namespace comes later, when the process is in its cgroup, which is the root that it then sees.
const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;

fn open_namespace(pid: i32, name: &str) -> Result<OwnedFd, Failure> {
    openat(
        CWD,
        format!("/proc/{pid}/ns/{name}"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .context(format_args!("open {name} namespace"))
}

impl Namespaces {
    /// Those of a container's first process.
    pub fn of(pid: i32) -> Result<Self, Failure> {
        let others = [
            ("uts", libc::CLONE_NEWUTS),
            ("ipc", libc::CLONE_NEWIPC),
            ("cgroup", libc::CLONE_NEWCGROUP),
            ("mnt", libc::CLONE_NEWNS),
        ];
        Ok(Self {
            pid: open_namespace(pid, "pid")?,
            others: others
                .into_iter()
                .map(|(name, flag)| Ok((open_namespace(pid, name)?, flag)))
                .collect::<Result<_, Failure>>()?,
        })
    }

    /// The descriptor of its mounts.
    pub fn mounts(&self) -> RawFd {
        let of_mounts = self.others.iter().find(|(_, flag)| *flag == libc::CLONE_NEWNS);
        of_mounts.map_or(-1, |(namespace, _)| namespace.as_raw_fd())
    }

    /// Puts this process among its mounts, at their root.
    pub fn join_mounts(&self) -> io::Result<()> {
        sys::setns(self.mounts(), libc::CLONE_NEWNS)
    }
}

/// stdio of a child before the fork: its end and ours.
#[derive(Default)]
struct Pipes {
    theirs: [Option<OwnedFd>; 3],
    ours: [Option<OwnedFd>; 3],
}

impl Pipes {
    fn new(spec: &ProcessSpec) -> Result<Self, Failure> {
        let mut pipes = Self::default();
        if spec.tty.is_some() {
            return Ok(pipes);
        }
        for (index, stream) in [spec.stdin, spec.stdout, spec.stderr].into_iter().enumerate() {
            if stream.is_none() {
                let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
                pipes.theirs[index] = Some(null.context("open /dev/null")?);
                continue;
            }
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context("pipe")?;
            let (ours, theirs) = if index == 0 {
                (writer, reader)
            } else {
                (reader, writer)
            };
            set_nonblocking(&ours)?;
            pipes.ours[index] = Some(ours);
            pipes.theirs[index] = Some(theirs);
        }
        Ok(pipes)
    }
}

pub fn set_nonblocking(fd: &impl AsFd) -> Result<(), Failure> {
    let flags = rustix::fs::fcntl_getfl(fd).context("fcntl")?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).context("fcntl")
}

/// Starts a process: the first of a container when there are no `namespaces` yet. Returns once `execve` succeeded.
pub fn start(
    container: &Container,
    spec: &ProcessSpec,
    namespaces: Option<&Namespaces>,
) -> Result<Started, Failure> {
    if spec.args.first().is_none_or(String::is_empty) {
        return Err(failure(ErrorKind::Invalid, "no command specified"));
    }
    let pipes = Pipes::new(spec)?;
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .context("socketpair")?;
    let forked = match namespaces {
        None => sys::fork(NEW_NAMESPACES),
        Some(namespaces) => fork_into(namespaces),
    };
    match forked.context("fork")? {
        Forked::Child => {
            drop(ours);
            let failed = child(container, spec, namespaces, pipes.theirs, &theirs);
            // Whoever reads it is the agent; when it cannot be told there is nobody to tell.
            let _ = rustix::net::send(&theirs, &report(failed), SendFlags::NOSIGNAL);
            std::process::exit(127);
        }
        Forked::Parent(pid) => {
            drop(theirs);
            drop(pipes.theirs);
            let terminal = wait_for_exec(&ours, spec.tty.is_some()).inspect_err(|_| reap(pid))?;
            let [stdin, stdout, stderr] = pipes.ours;
            Ok(Started {
                pid,
                stdin,
                stdout,
                stderr,
                terminal,
            })
        }
    }
}

/// A failure as bytes of a limited length; a command's name may be longer than that.
fn report(failed: Failure) -> Vec<u8> {
    let message = failed.message.chars().take(MAX_REPORT_BYTES / 16).collect();
    let short = Failure { message, ..failed };
    serde_json::to_vec(&short).unwrap_or_default()
}

/// A child that failed to start is no process of anyone's.
fn reap(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
}

/// Children are born into the pid namespace that is set for them, so the agent's is set for a moment.
fn fork_into(namespaces: &Namespaces) -> io::Result<Forked> {
    let own = fs::File::open("/proc/self/ns/pid")?;
    sys::setns(namespaces.pid.as_raw_fd(), libc::CLONE_NEWPID)?;
    let forked = sys::fork(0);
    if !matches!(forked, Ok(Forked::Child)) {
        sys::setns(own.as_raw_fd(), libc::CLONE_NEWPID)?;
    }
    forked
}

/// Reads the child's reports: a terminal, a failure, or the end that `execve` makes of it.
fn wait_for_exec(reports: &OwnedFd, tty: bool) -> Result<Option<OwnedFd>, Failure> {
    let mut terminal = None;
    loop {
        let mut bytes = vec![0; MAX_REPORT_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg(reports, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).context("recvmsg")?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message {
                terminal = fds.next();
            }
        }
        match received.bytes {
            0 if tty && terminal.is_none() => {
                return Err(failure(ErrorKind::Guest, "the child gave no terminal"));
            }
            0 => return Ok(terminal),
            1 => {}
            length => {
                return Err(serde_json::from_slice(&bytes[..length])
                    .unwrap_or_else(|_| failure(ErrorKind::Guest, "the child failed without a reason")));
            }
        }
    }
}

/// The child's side. Comes back only with a failure.
fn child(
    container: &Container,
    spec: &ProcessSpec,
    namespaces: Option<&Namespaces>,
    stdio: [Option<OwnedFd>; 3],
    reports: &OwnedFd,
) -> Failure {
    match prepare(container, spec, namespaces, stdio, reports) {
        Ok(exec) => exec.run(),
        Err(failure) => failure,
    }
}

fn prepare(
    container: &Container,
    spec: &ProcessSpec,
    namespaces: Option<&Namespaces>,
    stdio: [Option<OwnedFd>; 3],
    reports: &OwnedFd,
) -> Result<Exec, Failure> {
    sys::default_signals();
    rustix::process::setsid().context("setsid")?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = (spec.first && container.spec.init)
        .then(|| openat(CWD, "/proc/self/exe", flags, Mode::empty()))
        .transpose()
        .context("open the init")?;
    match namespaces {
        None => {
            container.join_cgroup();
            sys::new_cgroup_namespace().context("cgroup namespace")?;
            container.enter(&spec.cwd)?;
        }
        Some(namespaces) => {
            container.join_cgroup();
            for (namespace, flag) in &namespaces.others {
                sys::setns(namespace.as_raw_fd(), *flag).context("join the container's namespaces")?;
            }
        }
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let user = user::resolve(&spec.user, &spec.groups)?;
    match spec.tty {
        Some(size) => open_terminal(size, user.uid, reports, spec.first)?,
        None => {
            let streams = [spec.stdin, spec.stdout, spec.stderr];
            for (number, fd) in stdio.iter().enumerate() {
                if let Some(fd) = fd {
                    onto(number, fd)?;
                    // A program may open /dev/stdout anew, as another user. /dev/null is everyone's as it is.
                    if streams[number].is_some() {
                        let _ = rustix::fs::fchown(fd, Some(rustix::fs::Uid::from_raw(user.uid)), None);
                    }
                }
            }
        }
    }
    for limit in &spec.rlimits {
        set_limit(limit)?;
    }
    enter_directory(&spec.cwd)?;
    if !container.spec.privileged {
        limit_capabilities(spec.capabilities.as_deref())?;
    }
    let env = environment(container, spec, &user);
    // Before the user changes, so that root's own search is the same as the user's to the error message.
    let path = env
        .iter()
        .find_map(|pair| pair.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
        .to_owned();
    sys::become_user(user.uid, user.gid, &user.groups).context("change user")?;
    if spec.no_new_privileges {
        sys::no_new_privileges().context("no new privileges")?;
    }
    let program = find_program(&spec.args[0], &path)?;
    Exec::new(&program, &spec.args, &env, own)
}

fn onto(number: usize, fd: &OwnedFd) -> Result<(), Failure> {
    match number {
        0 => rustix::stdio::dup2_stdin(fd),
        1 => rustix::stdio::dup2_stdout(fd),
        _ => rustix::stdio::dup2_stderr(fd),
    }
    .context("dup2")
}

/// A pseudo-terminal of the container's own as stdio; its other end goes to the agent.
fn open_terminal(size: WindowSize, uid: u32, reports: &OwnedFd, first: bool) -> Result<(), Failure> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let leader = openat(CWD, "/dev/pts/ptmx", flags, Mode::empty()).context("open /dev/ptmx")?;
    rustix::pty::unlockpt(&leader).context("unlockpt")?;
    resize(&leader, size).context("set the terminal's size")?;
    let name = rustix::pty::ptsname(&leader, Vec::new()).context("ptsname")?;
    let follower = openat(CWD, name.as_c_str(), flags, Mode::empty()).context("open the terminal")?;
    let _ = rustix::fs::fchown(&follower, Some(rustix::fs::Uid::from_raw(uid)), None);
    sys::set_controlling_terminal(follower.as_raw_fd()).context("set the controlling terminal")?;
    for number in 0..3 {
        onto(number, &follower)?;
    }
    if first && let Ok(name) = name.to_str() {
        let console = Path::new("/dev/console");
        if fs::write(console, "").is_ok() {
            let _ = rustix::mount::mount_bind(name, console);
        }
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [leader.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(reports, &[IoSlice::new(b"T")], &mut control, SendFlags::NOSIGNAL).context("sendmsg")?;
    Ok(())
}

pub fn resize(terminal: &impl AsFd, size: WindowSize) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

fn enter_directory(cwd: &str) -> Result<(), Failure> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    std::env::set_current_dir(cwd).map_err(|error| {
        failure(
            ErrorKind::BadWorkingDirectory,
            format!("chdir to cwd ({cwd:?}) failed: {}", plain(&error)),
        )
    })
}
