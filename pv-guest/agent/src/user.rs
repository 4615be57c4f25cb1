//! Users and groups, as the container's own `passwd` and `group` name them.

use crate::error::{Failure, bad_user};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

/// Longest `passwd` or `group` that is read; the file comes from the image.
const MAX_FILE_BYTES: u64 = 4 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Resolves `user[:group]` and more groups against the files of the current root.
pub fn resolve(user: &str, more_groups: &[String]) -> Result<User, Failure> {
    lookup(user, more_groups, &read("/etc/passwd"), &read("/etc/group"))
}

/// What the file says; nothing when there is none, or none that can be read.
fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    // Non-blocking, since an image may put a fifo there.
    if let Ok(file) = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        && file.metadata().is_ok_and(|metadata| metadata.is_file())
    {
        let _ = file.take(MAX_FILE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or("");
        Some(PasswdEntry { name, uid, gid, home })
    })
}

/// Name, number and members.
fn group(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or("")))
    })
}

fn lookup(spec: &str, more_groups: &[String], passwd_text: &str, group_text: &str) -> Result<User, Failure> {
    let (user, group_name) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let entry = passwd(passwd_text)
        .find(|entry| entry.name == user)
        .or_else(|| passwd(passwd_text).find(|entry| Some(entry.uid) == number));
    let mut found = match (&entry, number) {
        (Some(entry), _) => User {
            uid: entry.uid,
            gid: entry.gid,
            groups: Vec::new(),
            home: entry.home.to_owned(),
        },
        (None, Some(uid)) => User {
            uid,
            gid: 0,
            groups: Vec::new(),
            home: String::new(),
        },
        (None, None) => {
            return Err(bad_user(format!(
                "unable to find user {user}: no matching entries in passwd file"
            )));
        }
    };
    let group_id = |name: &str| {
        group(group_text)
            .find_map(|(entry, gid, _)| (entry == name).then_some(gid))
            .or_else(|| name.parse().ok())
            .ok_or_else(|| {
                bad_user(format!(
                    "unable to find group {name}: no matching entries in group file"
                ))
            })
    };
    match group_name {
        Some(name) if !name.is_empty() => found.gid = group_id(name)?,
        // Only without a group do the groups count that name the user, as docker has it.
        _ => {
            if let Some(entry) = &entry {
                let member = |members: &str| members.split(',').any(|member| member == entry.name);
                found.groups = group(group_text)
                    .filter(|(_, _, m)| member(m))
                    .map(|(_, gid, _)| gid)
                    .collect();
            }
        }
    }
    for name in more_groups {
        found.groups.push(group_id(name)?);
    }
    found.groups.push(found.gid);
    found.groups.sort_unstable();
    found.groups.dedup();
    if found.home.is_empty() {
        "/".clone_into(&mut found.home);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken\nwww:x:33:33:www:/var/www:/bin/false\n9:x:77:7::/nine:\n";
    const GROUP: &str = "root:x:0:\nwww:x:33:\nstaff:x:50:bob,www\n";

    fn ids(spec: &str, more: &[&str]) -> Result<(u32, u32, Vec<u32>), String> {
        let more: Vec<_> = more.iter().map(|name| (*name).to_owned()).collect();
        lookup(spec, &more, PASSWD, GROUP)
            .map(|user| (user.uid, user.gid, user.groups))
            .map_err(|failure| failure.message)
    }

    #[test]
    fn users_and_groups() {
        assert_eq!(ids("", &[]).unwrap(), (0, 0, vec![0]));
        assert_eq!(ids("www", &[]).unwrap(), (33, 33, vec![33, 50]));
        assert_eq!(ids("33", &[]).unwrap(), (33, 33, vec![33, 50]));
        assert_eq!(ids("www:root", &[]).unwrap(), (33, 0, vec![0]));
        assert_eq!(ids("1234", &[]).unwrap(), (1234, 0, vec![0]));
        assert_eq!(
            ids("1234:4321", &["staff"]).unwrap(),
            (1234, 4321, vec![50, 4321])
        );
        // A name made of digits wins over the number, as in docker.
        assert_eq!(ids("9", &[]).unwrap(), (77, 7, vec![7]));
        assert!(
            ids("nobody", &[])
                .unwrap_err()
                .contains("unable to find user nobody")
        );
        assert!(
            ids("www:none", &[])
                .unwrap_err()
                .contains("unable to find group none")
        );
    }
}
