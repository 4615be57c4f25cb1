//! Starting processes in a container.

use crate::container::Container;
use crate::error::{Context, Failure, failure, plain};
use crate::sys::{self, Forked};
use crate::user;
use guest_protocol::message::{ErrorKind, ProcessSpec, Rlimit, WindowSize};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, access, openat};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::CString;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::path::Path;

/// The longest report of a child about why it failed.
const MAX_REPORT_BYTES: usize = 8192;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's default capabilities, by number (linux/capability.h): chown, dac_override, fowner, fsetid, kill, setgid,
/// setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
const DEFAULT_CAPABILITIES: &[u32] = &[0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

const CAPABILITY_NAMES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

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

const NEW_NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWCGROUP;

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
            let report = serde_json::to_vec(&failed).unwrap_or_default();
            let report = &report[..report.len().min(MAX_REPORT_BYTES)];
            let _ = rustix::net::send(&theirs, report, SendFlags::NOSIGNAL);
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
    match namespaces {
        None => {
            container.join_cgroup();
            container.enter()?;
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
            for (number, fd) in stdio.iter().enumerate() {
                if let Some(fd) = fd {
                    onto(number, fd)?;
                    // A program may open /dev/stdout anew, as another user.
                    let _ = rustix::fs::fchown(fd, Some(rustix::fs::Uid::from_raw(user.uid)), None);
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
    Exec::new(&program, &spec.args, &env)
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

fn set_limit(limit: &Rlimit) -> Result<(), Failure> {
    let resource = match limit.name.as_str() {
        "cpu" => libc::RLIMIT_CPU,
        "fsize" => libc::RLIMIT_FSIZE,
        "data" => libc::RLIMIT_DATA,
        "stack" => libc::RLIMIT_STACK,
        "core" => libc::RLIMIT_CORE,
        "rss" => libc::RLIMIT_RSS,
        "nproc" => libc::RLIMIT_NPROC,
        "nofile" => libc::RLIMIT_NOFILE,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "as" => libc::RLIMIT_AS,
        "locks" => libc::RLIMIT_LOCKS,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "rttime" => libc::RLIMIT_RTTIME,
        other => return Err(failure(ErrorKind::Invalid, format!("unknown limit {other:?}"))),
    };
    sys::set_limit(resource, limit.soft, limit.hard).context(format_args!("set limit {}", limit.name))
}

fn enter_directory(cwd: &str) -> Result<(), Failure> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    let failed = |what: &str, error: &io::Error| {
        failure(
            ErrorKind::BadWorkingDirectory,
            format!("{what} to cwd ({cwd:?}) failed: {}", plain(error)),
        )
    };
    if !Path::new(cwd).exists() {
        fs::create_dir_all(cwd).map_err(|error| failed("mkdir", &error))?;
    }
    std::env::set_current_dir(cwd).map_err(|error| failed("chdir", &error))
}

fn limit_capabilities(wanted: Option<&[String]>) -> Result<(), Failure> {
    let number = |name: &String| -> Result<u32, Failure> {
        let plain = name.strip_prefix("CAP_").unwrap_or(name);
        CAPABILITY_NAMES
            .iter()
            .position(|known| known.eq_ignore_ascii_case(plain))
            .map(|index| index as u32)
            .ok_or_else(|| failure(ErrorKind::Invalid, format!("unknown capability {name:?}")))
    };
    let kept: Vec<u32> = match wanted {
        Some(names) => names.iter().map(number).collect::<Result<_, _>>()?,
        None => DEFAULT_CAPABILITIES.to_vec(),
    };
    for capability in (0..64).take_while(|number| sys::has_capability(*number)) {
        if !kept.contains(&capability) {
            sys::drop_capability(capability).context("drop capabilities")?;
        }
    }
    Ok(())
}

/// The environment with what docker adds.
fn environment(container: &Container, spec: &ProcessSpec, user: &user::User) -> Vec<String> {
    let mut env = spec.env.clone();
    let mut add = |name: &str, value: &str| {
        if !env.iter().any(|pair| pair.split('=').next() == Some(name)) {
            env.push(format!("{name}={value}"));
        }
    };
    add("PATH", DEFAULT_PATH);
    add("HOSTNAME", &container.spec.hostname);
    if spec.tty.is_some() {
        add("TERM", "xterm");
    }
    add("HOME", &user.home);
    env
}

/// The program's path, sought as a shell does, with docker's words when it is not there.
fn find_program(name: &str, path: &str) -> Result<String, Failure> {
    use rustix::fs::Access;
    let not_found = |why: &str| failure(ErrorKind::CommandNotFound, format!("exec: {name:?}: {why}"));
    let denied = || {
        failure(
            ErrorKind::CommandNotExecutable,
            format!("exec: {name:?}: permission denied"),
        )
    };
    if name.contains('/') {
        let metadata = fs::metadata(name).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => denied(),
            _ => not_found(&format!("stat {name}: {}", plain(&error))),
        })?;
        if metadata.is_dir() {
            return Err(failure(
                ErrorKind::CommandNotExecutable,
                format!("exec: {name:?}: is a directory"),
            ));
        }
        access(name, Access::EXEC_OK).map_err(|_| denied())?;
        return Ok(name.to_owned());
    }
    let mut seen = false;
    for directory in path.split(':') {
        let candidate = format!("{}/{name}", if directory.is_empty() { "." } else { directory });
        if fs::metadata(&candidate).is_ok_and(|metadata| metadata.is_file()) {
            if access(&candidate, Access::EXEC_OK).is_ok() {
                return Ok(candidate);
            }
            seen = true;
        }
    }
    Err(if seen {
        denied()
    } else {
        not_found("executable file not found in $PATH")
    })
}

struct Exec {
    program: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Exec {
    fn new(program: &str, args: &[String], env: &[String]) -> Result<Self, Failure> {
        let c = |text: &str| {
            CString::new(text).map_err(|_| failure(ErrorKind::Invalid, "a NUL byte in the command"))
        };
        let all = |texts: &[String]| texts.iter().map(|text| c(text)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            program: c(program)?,
            args: all(args)?,
            env: all(env)?,
        })
    }

    fn run(self) -> Failure {
        // Ours are all close-on-exec, and 0 to 2 are not.
        for fd in [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ] {
            let _ = fcntl_setfd(fd, FdFlags::empty());
        }
        let error = sys::execve(&self.program, &self.args, &self.env);
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::CommandNotFound,
            _ => ErrorKind::CommandNotExecutable,
        };
        failure(
            kind,
            format!("exec {}: {}", self.program.to_string_lossy(), plain(&error)),
        )
    }
}
