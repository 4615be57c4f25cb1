//! All that needs `unsafe`: Xen's device files, shared memory, fork, and calls rustix leaves out.

use guest_protocol::ring::{PAGE_BYTES, SharedMemory};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ffi::CString;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// `IOCTL_GNTALLOC_ALLOC_GREF` and its argument with room for `PAGES` references, xen/gntalloc.h.
const GNTALLOC_ALLOC_GREF: libc::c_ulong = 24 << 16 | (b'G' as libc::c_ulong) << 8 | 5;
const GNTALLOC_FLAG_WRITABLE: u16 = 1;

#[repr(C)]
struct AllocGref<const PAGES: usize> {
    domid: u16,
    flags: u16,
    count: u32,
    index: u64,
    references: [u32; PAGES],
}

/// Pages granted to dom0. They stay for the life of the guest.
pub struct GrantedMemory {
    start: *mut u8,
    bytes: usize,
}

impl GrantedMemory {
    /// Allocates pages and gives them with their references.
    pub fn allocate<const PAGES: usize>() -> io::Result<(Self, [u32; PAGES])> {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/gntalloc")?;
        let mut argument = AllocGref::<PAGES> {
            domid: 0,
            flags: GNTALLOC_FLAG_WRITABLE,
            count: PAGES as u32,
            index: 0,
            references: [0; PAGES],
        };
        // SAFETY: the driver writes `count` references behind the fixed part, for which there is room.
        check(unsafe { libc::ioctl(file.as_raw_fd(), GNTALLOC_ALLOC_GREF as _, &mut argument) })?;
        let bytes = PAGES * PAGE_BYTES;
        // SAFETY: a new mapping; the kernel checks offset and length against what was allocated.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                argument.index as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // Closing the file would give the pages back.
        std::mem::forget(file);
        Ok((
            Self {
                start: start.cast(),
                bytes,
            },
            argument.references,
        ))
    }

    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        assert!(offset + length <= self.bytes, "outside the link's memory");
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.start.add(offset) }
    }

    fn index(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4));
        // SAFETY: aligned, inside the mapping, which is never unmapped, and touched only as an atomic.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }
}

impl SharedMemory for GrantedMemory {
    fn load(&self, offset: usize) -> u32 {
        u32::from_le(self.index(offset).load(Ordering::Acquire))
    }

    fn store(&self, offset: usize, value: u32) {
        self.index(offset).store(value.to_le(), Ordering::Release);
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        let from = self.at(offset, to.len());
        // SAFETY: `from` has so many bytes and overlaps nothing of ours. dom0 may write meanwhile: the copy is by raw
        // pointers through libc, what it copies is any bytes, and every check is made on the copy.
        unsafe { libc::memcpy(to.as_mut_ptr().cast(), from.cast(), to.len()) };
    }

    fn write(&self, offset: usize, from: &[u8]) {
        let to = self.at(offset, from.len());
        // SAFETY: as for `read`.
        unsafe { libc::memcpy(to.cast(), from.as_ptr().cast(), from.len()) };
    }
}

/// xen/evtchn.h
const EVTCHN_BIND_UNBOUND_PORT: libc::c_ulong = 4 << 16 | (b'E' as libc::c_ulong) << 8 | 2;
const EVTCHN_NOTIFY: libc::c_ulong = 4 << 16 | (b'E' as libc::c_ulong) << 8 | 4;

/// Offers an event channel to dom0 on an open `/dev/xen/evtchn`.
pub fn event_channel_offer(evtchn: RawFd) -> io::Result<u32> {
    let remote: u32 = 0;
    // SAFETY: the ioctl reads one u32.
    check(unsafe { libc::ioctl(evtchn, EVTCHN_BIND_UNBOUND_PORT as _, &remote) }).map(|port| port as u32)
}

pub fn event_channel_notify(evtchn: RawFd, port: u32) -> io::Result<()> {
    // SAFETY: the ioctl reads one u32.
    check(unsafe { libc::ioctl(evtchn, EVTCHN_NOTIFY as _, &port) }).map(drop)
}

/// Which side of a fork this is.
pub enum Forked {
    Child,
    Parent(i32),
}

/// Forks, the child in new namespaces when `flags` (`CLONE_NEW…`) say so. The agent has one thread, so the child may do
/// anything.
pub fn fork(flags: i32) -> io::Result<Forked> {
    // SAFETY: without CLONE_VM and with no stack given this is a fork; there is one thread.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags | libc::SIGCHLD),
            0 as libc::c_long,
            0 as libc::c_long,
            0 as libc::c_long,
            0 as libc::c_long,
        )
    };
    match check(pid as libc::c_int)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Closes all descriptors but these; only for a child that does not go back to what its parent did with the others.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<u32> = kept.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.sort_unstable();
    let mut from = 0;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if from < fd {
            // SAFETY: plain numbers. Whoever owns one of these descriptors is in a copy of the parent's memory that
            // is neither used nor dropped any more.
            unsafe { libc::close_range(from, fd - 1, 0) };
        }
        from = fd.saturating_add(1);
    }
}

/// Joins a namespace.
pub fn setns(namespace: RawFd, flags: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::setns(namespace, flags) }).map(drop)
}

/// An array as execve(2) takes it.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
    pointers.push(std::ptr::null());
    pointers
}

/// Replaces this process. Comes back only with an error.
pub fn execve(path: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with null and their strings outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Replaces this process by an open file. Comes back only with an error.
pub fn execve_file(file: &OwnedFd, args: &[CString], env: &[CString]) -> io::Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: as for `execve`; the path is a string, and an empty one stands for the file.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Gives this process a cgroup namespace whose root is its present cgroup.
pub fn new_cgroup_namespace() -> io::Result<()> {
    // SAFETY: plain numbers, and no memory or descriptors are unshared.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }).map(drop)
}

/// Sends any signal, real-time ones too.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: plain numbers; a process, no group.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Brings a network interface up.
pub fn interface_up(name: &str) -> io::Result<()> {
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays the NUL that ends the name.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: plain numbers.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: the ioctl reads and writes one ifreq.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &mut request) })?;
    // SAFETY: the ioctl has just filled in the flags.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    // SAFETY: the ioctl reads one ifreq.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) }).map(drop)
}

/// `EXT4_IOC_RESIZE_FS`, fs/ext4/ext4.h
const EXT4_RESIZE: libc::c_ulong = 1 << 30 | 8 << 16 | (b'f' as libc::c_ulong) << 8 | 16;

/// Grows a mounted ext4, by any file of it, to so many blocks.
pub fn grow_ext4(file: &std::fs::File, blocks: u64) -> io::Result<()> {
    // SAFETY: the ioctl reads one u64.
    check(unsafe { libc::ioctl(file.as_raw_fd(), EXT4_RESIZE as _, &blocks) }).map(drop)
}

/// Sets the groups, then group and user, for good.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the array has so many entries.
    check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: plain numbers.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: plain numbers.
    check(unsafe { libc::setresuid(uid, uid, uid) }).map(drop)
}

/// Takes a capability out of the bounding set.
pub fn drop_capability(number: u32) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) }).map(drop)
}

/// Whether the kernel knows a capability.
pub fn has_capability(number: u32) -> bool {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) >= 0 }
}

pub fn no_new_privileges() -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

pub fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` outlives the call.
    check(unsafe { libc::setrlimit(resource as _, &limit) }).map(drop)
}

/// Makes the terminal the controlling one of this session.
pub fn set_controlling_terminal(terminal: RawFd) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::ioctl(terminal, libc::TIOCSCTTY as _, 0) }).map(drop)
}

/// A descriptor that tells of SIGCHLD, which is blocked from now on.
pub fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset, and the descriptor is new.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Blocks every signal, for [`next_signal`].
pub fn block_signals() -> io::Result<()> {
    // SAFETY: the set is initialised by sigfillset.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        check(libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut())).map(drop)
    }
}

/// Waits for a signal, any that is blocked.
pub fn next_signal() -> i32 {
    // SAFETY: the set is initialised by sigfillset; what else a signal tells is not asked for.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        libc::sigwaitinfo(&set, std::ptr::null_mut())
    }
}

/// Lets a child begin with no signal blocked or ignored.
pub fn default_signals() {
    // SAFETY: the set is initialised by sigemptyset; SIG_DFL is always a valid disposition.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
