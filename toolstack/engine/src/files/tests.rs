//! Jobs against an agent in the same process: one that behaves, and ones that do not.

use super::download::Download;
use super::job::{Job, Sent};
use crate::error::Error;
use crate::session::Session;
use crate::session::tests::{Agent, Wire};
use crate::visit::Lease;
use guest_protocol::files::FileJob;
use guest_protocol::message::{ErrorKind, Event, GuestState, ReplyBody, RequestBody, RequestError};
use guest_protocol::mux::Incoming;
use std::io::{self, Read};
use std::sync::Arc;

const STREAM: u32 = 20;

async fn connected() -> (Session, Agent) {
    let wire = Wire::default();
    let (session, _) = Session::open(Box::new(wire.clone()));
    let mut agent = Agent::new(&wire);
    let (state, ()) = tokio::join!(session.hello(), agent.answer_hello(GuestState::default()));
    state.unwrap();
    session.settled();
    (session, agent)
}

fn job(session: &Session) -> Job {
    Job::new(Arc::new(Lease::running(session.clone())), STREAM)
}

/// What a download gives of an agent that acts on the request of this number.
async fn downloaded(act: impl AsyncFnOnce(&mut Agent, &Session, u64)) -> Result<Vec<u8>, String> {
    let (session, mut agent) = connected().await;
    let mut download = Download::start(job(&session), "c", FileJob::Export { stream: STREAM });
    let serve = async {
        let request = agent.request().await;
        assert!(matches!(request.body, RequestBody::Files { .. }));
        agent.mux.open(STREAM);
        act(&mut agent, &session, request.id).await;
    };
    let take = async {
        let mut all = Vec::new();
        while let Some(part) = download.next().await {
            all.extend(part.map_err(|error: Error| error.to_string())?);
        }
        Ok(all)
    };
    tokio::join!(take, serve).0
}

fn transferred(bytes: u64) -> ReplyBody {
    ReplyBody::Transferred { bytes }
}

#[tokio::test]
async fn an_end_counts_when_it_is_vouched_for() {
    let whole = downloaded(async |agent, _, id| {
        agent.mux.send(STREAM, b"all of it");
        agent.mux.finish(STREAM);
        agent.flush();
        agent.reply(id, transferred(9));
    });
    assert_eq!(whole.await, Ok(b"all of it".to_vec()));
    let miscounted = downloaded(async |agent, _, id| {
        agent.mux.send(STREAM, b"some");
        agent.mux.finish(STREAM);
        agent.flush();
        agent.reply(id, transferred(9));
    });
    assert!(miscounted.await.unwrap_err().contains("makes no sense"));
    let early = downloaded(async |agent, _, id| {
        agent.mux.send(STREAM, b"some");
        agent.flush();
        agent.reply(id, transferred(4));
    });
    assert!(early.await.unwrap_err().contains("makes no sense"));
    let other = downloaded(async |agent, _, id| agent.reply(id, ReplyBody::Done));
    assert!(other.await.is_err());
    let refused = downloaded(async |agent, _, id| {
        agent.mux.finish(STREAM);
        agent.flush();
        let result = Err(RequestError {
            kind: ErrorKind::Guest,
            message: "no\u{7} room".to_owned(),
        });
        agent.send(&Event::Reply { id, result });
    });
    assert_eq!(refused.await, Err("no room".to_owned()));
    let gone = downloaded(async |agent, session, _| {
        agent.mux.send(STREAM, b"some");
        agent.flush();
        session.end().await;
    });
    assert_eq!(gone.await, Err("the guest is gone".to_owned()));
}

#[tokio::test]
async fn what_nobody_reads_any_more_is_cancelled() {
    let (session, mut agent) = connected().await;
    let download = Download::start(job(&session), "c", FileJob::Export { stream: STREAM });
    agent.request().await;
    drop(download);
    assert_eq!(
        agent.request().await.body,
        RequestBody::CancelFiles { stream: STREAM }
    );
}

async fn sent(
    from: impl Read + Send + 'static,
    act: impl AsyncFnOnce(&mut Agent, u64),
) -> Result<Sent, Error> {
    let (session, mut agent) = connected().await;
    let request = FileJob::Extract {
        path: "/".to_owned(),
        stream: STREAM,
        no_overwrite_dir_non_dir: true,
        owner: None,
    };
    let serve = async {
        let request = agent.request().await;
        agent.mux.open(STREAM);
        act(&mut agent, request.id).await;
    };
    tokio::join!(job(&session).send("c", request, from), serve).0
}

#[tokio::test]
async fn all_is_sent_and_counted() {
    let content = vec![b'x'; 1 << 20];
    let result = sent(io::Cursor::new(content), async |agent, id| {
        let mut bytes = 0;
        loop {
            match agent.next().await {
                Incoming::Data(STREAM, data) => {
                    bytes += data.len() as u64;
                    agent.mux.consumed(STREAM, data.len());
                    agent.flush();
                }
                Incoming::End(STREAM) => break,
                _ => {}
            }
        }
        agent.reply(id, transferred(bytes));
    });
    let sent = result.await.unwrap();
    assert_eq!(
        (sent.bytes, sent.reply),
        (Some(1 << 20), Ok(transferred(1 << 20)))
    );
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_rest() {
    // Nobody ever writes to it, nor closes it.
    let (reader, _writer) = std::io::pipe().unwrap();
    let result = sent(
        io::Cursor::new(vec![b'x'; 4096]).chain(reader),
        async |agent, id| {
            let result = Err(RequestError {
                kind: ErrorKind::Invalid,
                message: "extraction point is not a directory".to_owned(),
            });
            agent.send(&Event::Reply { id, result });
        },
    );
    let sent = result.await.unwrap();
    assert!(sent.reply.is_err() && sent.bytes.is_none());
    drop(_writer);
}

#[tokio::test]
async fn a_source_that_breaks_off_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the client is gone"))
        }
    }
    let result = sent(io::Cursor::new(vec![b'x'; 4096]).chain(Broken), async |_, _| {});
    assert!(
        result
            .await
            .unwrap_err()
            .to_string()
            .contains("the client is gone")
    );
}
