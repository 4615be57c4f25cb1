use super::*;
use axum::http::Request;
use engine::Source;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::UnixStream;

impl Sink for mpsc::Sender<Bytes> {
    async fn send(&self, bytes: Bytes) -> bool {
        mpsc::Sender::send(self, bytes).await.is_ok()
    }
}

fn stdout(bytes: impl Into<Bytes>) -> Chunk {
    Chunk {
        source: Source::Stdout,
        bytes: bytes.into(),
    }
}

/// A process as seen from a client's side of the engine.
struct Process {
    output: mpsc::Sender<Chunk>,
    input: mpsc::Receiver<Bytes>,
}

/// Serves one connection whose every request is answered with a stream to the process.
fn serve(framing: Framing) -> (UnixStream, Process) {
    let (client, server) = UnixStream::pair().unwrap();
    let (output, output_receiver) = mpsc::channel(4);
    let (input_sender, input) = mpsc::channel(4);
    let streams = Arc::new(Mutex::new(Some((output_receiver, input_sender))));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (output, input) = streams.lock().unwrap().take().unwrap();
        async move {
            let client = match wants_upgrade(request.headers()) {
                true => {
                    let upgrade = hyper::upgrade::on(&mut request);
                    crate::request::read(request.into_body()).await.unwrap();
                    Client::Upgrades(upgrade)
                }
                false => Client::Plain(Some(request.into_body())),
            };
            Ok::<_, Infallible>(answer(
                client,
                framing.content_type(51),
                framing,
                output,
                Some(input),
            ))
        }
    });
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service)
            .with_upgrades(),
    );
    (client, Process { output, input })
}

async fn read_head(client: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

const UPGRADE: &[u8] =
    b"POST /x HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn an_upgrade_is_answered_before_there_is_output() {
    let (mut client, process) = serve(Framing::Multiplexed);
    client.write_all(UPGRADE).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: tcp\r\n"), "{head}");
    assert!(
        head.contains("application/vnd.docker.multiplexed-stream"),
        "{head}"
    );

    process.output.send(stdout("hi")).await.unwrap();
    let mut frame = [0; 10];
    client.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x01\0\0\0\0\0\0\x02hi");
}

#[tokio::test]
async fn a_half_close_ends_input_only() {
    let (mut client, mut process) = serve(Framing::Raw);
    client.write_all(UPGRADE).await.unwrap();
    read_head(&mut client).await;
    client.write_all(b"input").await.unwrap();
    client.shutdown().await.unwrap();
    let mut input = Vec::new();
    while let Some(bytes) = process.input.recv().await {
        input.extend_from_slice(&bytes);
    }
    assert_eq!(input, b"input");

    process.output.send(stdout("late")).await.unwrap();
    drop(process.output);
    let mut output = String::new();
    client.read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "late");
}

#[tokio::test]
async fn output_ends_though_input_is_blocked() {
    let (mut client, mut process) = serve(Framing::Raw);
    client.write_all(UPGRADE).await.unwrap();
    read_head(&mut client).await;
    let (mut reader, mut writer) = client.into_split();
    // The process reads nothing: the client's writes stop somewhere, and its output must come all the same.
    let writes = tokio::spawn(async move {
        let block = vec![0; 1 << 20];
        while writer.write_all(&block).await.is_ok() {}
    });
    process.input.recv().await.unwrap();
    process.output.send(stdout("done")).await.unwrap();
    drop(process.output);
    let mut output = Vec::new();
    reader.read_to_end(&mut output).await.unwrap();
    assert_eq!(output, b"done");
    drop(reader);
    writes.abort();
}

#[tokio::test]
async fn a_client_that_is_gone_lets_go_of_the_process() {
    let (mut client, process) = serve(Framing::Raw);
    client.write_all(UPGRADE).await.unwrap();
    read_head(&mut client).await;
    drop(client);
    while process.output.send(stdout("x")).await.is_ok() {}
}

#[tokio::test]
async fn without_an_upgrade_the_output_is_the_body() {
    let (mut client, mut process) = serve(Framing::Raw);
    let request =
        b"POST /x HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nin\r\n0\r\n\r\n";
    client.write_all(request).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert_eq!(process.input.recv().await.unwrap(), "in");
    assert_eq!(process.input.recv().await, None);
    process.output.send(stdout("out")).await.unwrap();
    let mut part = [0; 8];
    client.read_exact(&mut part).await.unwrap();
    assert_eq!(&part, b"3\r\nout\r\n");
}

#[tokio::test]
async fn much_output_arrives_whole_and_in_order() {
    const CHUNKS: usize = 400;
    const CHUNK: usize = 64 << 10;
    let (mut client, process) = serve(Framing::Multiplexed);
    client.write_all(UPGRADE).await.unwrap();
    read_head(&mut client).await;
    tokio::spawn(async move {
        for number in 0..CHUNKS {
            let bytes = vec![number as u8; CHUNK];
            process.output.send(stdout(bytes)).await.unwrap();
        }
    });
    for number in 0..CHUNKS {
        let mut header = [0; 8];
        client.read_exact(&mut header).await.unwrap();
        assert_eq!(header, crate::frames::header(1, CHUNK));
        let mut payload = vec![0; CHUNK];
        client.read_exact(&mut payload).await.unwrap();
        assert!(payload.iter().all(|byte| *byte == number as u8));
    }
}
