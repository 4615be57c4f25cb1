//! What a process may not do: capabilities and resource limits.

use crate::error::{Context, Failure, failure};
use crate::sys;
use guest_protocol::capability;
use guest_protocol::message::{ErrorKind, Rlimit};

/// Docker's default capabilities, by number (linux/capability.h): chown, dac_override, fowner, fsetid, kill, setgid,
/// setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
const DEFAULT_CAPABILITIES: &[u32] = &[0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

pub fn set_limit(limit: &Rlimit) -> Result<(), Failure> {
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

pub fn limit_capabilities(wanted: Option<&[String]>) -> Result<(), Failure> {
    let number = |name: &String| -> Result<u32, Failure> {
        let plain = name.strip_prefix("CAP_").unwrap_or(name);
        capability::NAMES
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
