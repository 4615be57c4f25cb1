//! The attacks of an agent that is asked for a container's files.

use crate::link::Hostile;
use guest_agent::error::Failure;
use guest_agent::kmsg;
use guest_protocol::files::FileJob;
use guest_protocol::message::{Event, ReplyBody, RequestBody, StreamId};
use guest_protocol::mux::MAX_PAYLOAD;

/// Serves all else as if it did it, until it is asked for files.
pub fn run(link: &mut Hostile, name: &str) -> Result<(), Failure> {
    loop {
        link.wait()?;
        for request in link.requests()? {
            match request.body {
                RequestBody::Files { job, .. } => attack(link, name, request.id, &job)?,
                _ => answer(link, request.id, ReplyBody::Done),
            }
        }
        link.flush()?;
    }
}

fn answer(link: &mut Hostile, id: u64, body: ReplyBody) {
    link.send(&Event::Reply { id, result: Ok(body) });
}

fn attack(link: &mut Hostile, name: &str, id: u64, job: &FileJob) -> Result<(), Failure> {
    kmsg::log(&format!("hostile: {name}"));
    let Some(stream) = job.output() else {
        answer(link, id, ReplyBody::Done);
        return Ok(());
    };
    link.mux.open(stream);
    let end_of_tar = [0; 1024];
    let (content, told): (&[u8], u64) = match name {
        "files-count" => (&end_of_tar, 1025),
        "files-garbage" => (&[b'x'; 4096], 4096),
        "files-reply" => {
            // An end that is vouched for before it has come.
            link.mux.send(stream, &end_of_tar);
            answer(link, id, ReplyBody::Transferred { bytes: 1024 });
            return link.flush_all();
        }
        "files-other" => {
            answer(link, id, ReplyBody::Done);
            return link.flush_all();
        }
        "files-death" => {
            link.mux.send(stream, &end_of_tar);
            link.flush_all()?;
            guest_agent::guest::power_off();
        }
        // Of whoever waits for it.
        "files-silence" => return Ok(()),
        _ => return endless(link, stream),
    };
    link.mux.send(stream, content);
    link.mux.finish(stream);
    link.flush_all()?;
    answer(link, id, ReplyBody::Transferred { bytes: told });
    Ok(())
}

fn endless(link: &mut Hostile, stream: StreamId) -> Result<(), Failure> {
    loop {
        link.mux.send(stream, &[0; MAX_PAYLOAD]);
        link.flush()?;
        while link.mux.room(stream) < MAX_PAYLOAD {
            link.wait()?;
            for request in link.requests()? {
                answer(link, request.id, ReplyBody::Done);
            }
            link.flush()?;
        }
    }
}
