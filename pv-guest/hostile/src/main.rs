//! PID 1 of a guest that attacks the engine over its link; for tests only.
//!
//! It offers a link and answers as the agent does, without doing anything, until a process is to be started. Then it
//! attacks as the process's environment says, `ATTACK=NAME`, or else its first argument:
//!
//! | name | what it does |
//! | --- | --- |
//! | `frame-length` | a frame says that it is longer than any may be |
//! | `frame-kind` | a frame of a kind that there is not |
//! | `ring-index` | the index of the ring says that there is more than the ring holds |
//! | `cut-frame` | the index stands in the middle of a frame |
//! | `window` | more output than was asked for, while it claims to read nothing, so that it is granted no more |
//! | `after-end` | output behind the end of output |
//! | `message-length` | a control message of 4 GiB |
//! | `utf8` | a control message that is no UTF-8, so no JSON |
//! | `reset` | its answer to the engine's reset again |
//! | `replies` | the start is answered with the reply to another request |
//! | `flood` | without end: data of streams that nobody opened, and replies to requests that nobody made |
//! | `silence` | the start is not answered, and nothing is from then on |
//! | `deaf` | the process is said to run, and nothing is answered from then on |
//!
//! All but the last four break a rule, for which the engine has to end the guest; those it has to survive, and end the
//! guest when it is told to.
//!
//! With these the process is said to run, and the attack is what is sent when somebody wants the container's files:
//!
//! | name | what it does |
//! | --- | --- |
//! | `files-count` | vouches for more bytes than it has sent |
//! | `files-garbage` | what it sends is no tar and no list |
//! | `files-reply` | vouches for an end that it has not sent |
//! | `files-other` | answers with what was not asked for |
//! | `files-death` | the guest ends in the middle |
//! | `files-endless` | zeros without end |
//! | `files-silence` | nothing |
//!
//! None of that may become an image; whoever waits may leave, and the guest can be ended.

#![forbid(unsafe_code)]

mod attack;
mod files;
mod link;

use guest_agent::error::{Context, Failure};
use guest_agent::{guest, kmsg};
use guest_protocol::message::{Event, GuestState, ProcessSpec, ReplyBody, RequestBody, VERSION};

fn main() {
    if let Err(failure) = run() {
        kmsg::log(&format!("hostile: {}", failure.message));
    }
    guest::power_off();
}

fn run() -> Result<(), Failure> {
    guest::prepare()?;
    let mut link = link::Hostile::offer().context("offer the link")?;
    loop {
        for request in link.requests()? {
            let result = match request.body {
                RequestBody::Hello { .. } => ReplyBody::State(state()),
                RequestBody::Start { process } => {
                    let name = attack_of(&process);
                    kmsg::log(&format!("hostile: {name}"));
                    return attack::run(&mut link, &name, request.id, &process);
                }
                _ => ReplyBody::Done,
            };
            link.send(&Event::Reply {
                id: request.id,
                result: Ok(result),
            });
        }
        link.flush()?;
        link.wait()?;
    }
}

fn state() -> GuestState {
    GuestState {
        version: VERSION,
        ..GuestState::default()
    }
}

fn attack_of(process: &ProcessSpec) -> String {
    let set = process.env.iter().find_map(|pair| pair.strip_prefix("ATTACK="));
    let first = process.args.first().map(String::as_str);
    set.or(first).unwrap_or("silence").to_owned()
}
