//! What a job's own process does: in the container's root, with one pipe for the bytes and one socket for the result.

use super::overlay::{Overlay, is_kept};
use crate::container::Container;
use crate::error::{Context, Failure, failure, plain};
use crate::process::Namespaces;
use crate::user;
use archive::{Error, Options, Owner, Root, Writer, pack, path, unpack};
use guest_protocol::files::{FileJob, PathStat};
use guest_protocol::message::{ErrorKind, ReplyBody};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const BUFFER_BYTES: usize = 64 << 10;

/// What a job works on, and with.
pub struct Work<'a> {
    pub container: &'a Container,
    /// Of the container's first process, when it has one.
    pub namespaces: Option<&'a Namespaces>,
    pub input: Option<OwnedFd>,
    pub output: Option<OwnedFd>,
}

fn failed(error: Error) -> Failure {
    let kind = match &error {
        error if error.is_not_found() => ErrorKind::NotFound,
        Error::NotADirectory => ErrorKind::Invalid,
        _ => ErrorKind::Guest,
    };
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        let text = error
            .downcast_ref::<io::Error>()
            .map_or_else(|| error.to_string(), plain);
        message.push_str(&format!(": {text}"));
        source = error.source();
    }
    failure(kind, message)
}

impl Work<'_> {
    pub fn run(self, job: &FileJob) -> Result<ReplyBody, Failure> {
        // Of all processes of the guest this one is missed least.
        let _ = fs::write("/proc/self/oom_score_adj", "1000");
        rustix::process::umask(Mode::empty());
        match job {
            FileJob::Stat { path } => self.stat(path.as_bytes()),
            FileJob::Archive { path, .. } => self.archive(path.as_bytes()),
            FileJob::Extract {
                path,
                no_overwrite_dir_non_dir,
                owner,
                ..
            } => self.extract(path.as_bytes(), *no_overwrite_dir_non_dir, owner.as_deref()),
            FileJob::Changes { .. } => self.changes(),
            FileJob::Layer { pause, .. } => {
                if *pause && self.namespaces.is_some() {
                    freeze(&self.container.cgroup())?;
                }
                self.layer()
            }
            FileJob::Export { .. } => self.export(),
        }
    }

    /// The container's root as its processes see it, of which this process sees nothing else from now on.
    fn enter(&self) -> Result<Root, Failure> {
        match self.namespaces {
            Some(namespaces) => namespaces.join_mounts().context("join the container's mounts")?,
            None => {
                std::env::set_current_dir(self.container.root()).context("chdir to root")?;
                rustix::process::chroot(".").context("chroot")?;
            }
        }
        std::env::set_current_dir("/").context("chdir to /")?;
        Ok(Root::of_container(Root::directory(b"/").map_err(failed)?))
    }

    fn stat(&self, path: &[u8]) -> Result<ReplyBody, Failure> {
        let path = path::absolute(path);
        let root = self.enter()?;
        let stat = root.stat(&path).map_err(failed)?;
        let link_target = match stat.kind().is_symlink() {
            true => root.resolve(&path).map_err(failed)?,
            false => Vec::new(),
        };
        Ok(ReplyBody::PathStat(PathStat {
            bytes: stat.bytes,
            mode: stat.mode,
            mtime: stat.mtime,
            mtime_ns: stat.mtime_ns,
            link_target: String::from_utf8_lossy(&link_target).into_owned(),
        }))
    }

    fn output(&self) -> Result<BufWriter<File>, Failure> {
        let output = self.output.as_ref().map(OwnedFd::try_clone);
        match output {
            Some(output) => {
                let output = output.context("duplicate the job's pipe")?;
                Ok(BufWriter::with_capacity(BUFFER_BYTES, File::from(output)))
            }
            None => Err(failure(ErrorKind::Invalid, "the job has no stream")),
        }
    }

    fn archive(&self, path: &[u8]) -> Result<ReplyBody, Failure> {
        let path = path::absolute(path);
        let root = self.enter()?;
        let (directory, file) = root.find(&path).map_err(failed)?;
        // As docker names them: `/` stands for itself, and `a/.` for what is in `a`.
        let name = path::base(&path);
        let mut writer = Writer::new(self.output()?, is_kept);
        pack(&mut writer, &directory, &file, name).map_err(failed)?;
        finish(writer)
    }

    fn extract(&self, path: &[u8], no_overwrite: bool, owner: Option<&str>) -> Result<ReplyBody, Failure> {
        let path = path::absolute(path);
        let root = self.enter()?;
        let owner = match owner {
            Some(owner) => {
                let user = user::resolve(owner, &[])?;
                Owner::Fixed(user.uid, user.gid)
            }
            None => Owner::Archive,
        };
        let input = self.input.as_ref().map(OwnedFd::try_clone);
        let Some(input) = input else {
            return Err(failure(ErrorKind::Invalid, "the job has no stream"));
        };
        let input = input.context("duplicate the job's pipe")?;
        let mut counted = Counted {
            inner: BufReader::with_capacity(BUFFER_BYTES, File::from(input)),
            bytes: 0,
        };
        let options = Options {
            no_overwrite_dir_non_dir: no_overwrite,
            owner,
            rename: None,
        };
        unpack(&root, &path, &mut counted, &options).map_err(failed)?;
        if self.namespaces.is_none() {
            // A guest that only is there for this job may be ended by force as soon as it is done.
            rustix::fs::syncfs(&root).context("sync")?;
        }
        Ok(ReplyBody::Transferred { bytes: counted.bytes })
    }

    fn overlay(&self) -> Result<Overlay, Failure> {
        let open = |path: &Path| Root::directory(path.as_os_str().as_bytes()).map_err(failed);
        Ok(Overlay {
            upper: open(&self.container.upper())?,
            lower: open(&self.container.lower())?,
        })
    }

    fn changes(&self) -> Result<ReplyBody, Failure> {
        let mut output = self.output()?;
        let (mut bytes, mut record) = (0, Vec::new());
        let mut each = |change: guest_protocol::files::Change| {
            record.clear();
            change.encode(&mut record);
            bytes += record.len() as u64;
            output.write_all(&record).map_err(Error::Write)
        };
        self.overlay()?.changes(&mut each).map_err(failed)?;
        output.flush().context("write the changes")?;
        Ok(ReplyBody::Transferred { bytes })
    }

    fn layer(&self) -> Result<ReplyBody, Failure> {
        let mut writer = Writer::new(self.output()?, is_kept);
        self.overlay()?.layer(&mut writer).map_err(failed)?;
        finish(writer)
    }

    /// All of the root as it is outside of the container's mounts.
    fn export(&self) -> Result<ReplyBody, Failure> {
        let path = self.container.root();
        let root = Root::directory(path.as_os_str().as_bytes()).map_err(failed)?;
        let mut writer = Writer::new(self.output()?, is_kept);
        for file in archive::list(&root, b"/").map_err(failed)? {
            pack(&mut writer, &root, &file, &file).map_err(failed)?;
        }
        finish(writer)
    }
}

fn finish(writer: Writer<impl Write>) -> Result<ReplyBody, Failure> {
    let bytes = writer.finish().map_err(failed)?;
    Ok(ReplyBody::Transferred { bytes })
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

/// Stops the container's processes, and waits until all have. The agent lets them go when this process has ended.
fn freeze(cgroup: &Path) -> Result<(), Failure> {
    let what = "pause the container's processes";
    fs::write(cgroup.join("cgroup.freeze"), "1").context(what)?;
    let mut events = File::open(cgroup.join("cgroup.events")).context(what)?;
    loop {
        let mut text = String::new();
        events.rewind().context(what)?;
        events.read_to_string(&mut text).context(what)?;
        if text.lines().any(|line| line == "frozen 1") {
            return Ok(());
        }
        match poll(&mut [PollFd::new(&events, PollFlags::PRI)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context(what),
        }
    }
}

pub fn thaw(cgroup: &Path) {
    if let Err(error) = fs::write(cgroup.join("cgroup.freeze"), "0") {
        crate::kmsg::log(&format!("the container's processes stay paused: {error}"));
    }
}
