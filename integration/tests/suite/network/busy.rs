//! A server that has much to do.

use super::{HOST, Outside};
use crate::support::{Dom0, number};

const NGINX: &str = "localhost:5000/nginx";
const REQUESTS: u32 = 400;
const MIB: u32 = 24;

/// Asks for a page so many times, eight at a time: over connections that are kept, and over as many that are not. Then takes
/// a large file, and prints its digest.
const CLIENT: &str = r#"
import hashlib, http.client, sys, threading
host, port, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
wrong, lock, left = [], threading.Lock(), iter(range(requests))

def page(connection):
    connection.request("GET", "/")
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200 and b"Welcome to nginx" in text, (answer.status, text)

def client(keep):
    connection = http.client.HTTPConnection(host, port, timeout=240)
    while True:
        with lock:
            if next(left, None) is None:
                return
        try:
            page(connection)
        except Exception as error:
            wrong.append(repr(error))
            connection.close()
        if not keep:
            connection.close()

threads = [threading.Thread(target=client, args=[number % 2]) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(f"{requests - len(wrong)} of {requests} pages", *wrong[:5])
big = http.client.HTTPConnection(host, port, timeout=240)
big.request("GET", "/big")
answer, digest = big.getresponse(), hashlib.sha256()
while part := answer.read(1 << 20): digest.update(part)
print(digest.hexdigest())
"#;

/// `HYPER_REQUESTS` and `HYPER_TRANSFER_MIB` make it more.
pub fn busy(dom0: &Dom0<'_>) {
    let requests = number("HYPER_REQUESTS").unwrap_or(REQUESTS);
    let mib = number("HYPER_TRANSFER_MIB").unwrap_or(MIB);
    println!("{requests} requests, {mib} MiB");
    let outside = Outside::new(dom0);
    dom0.detached("web", &["-p", "8080:80", NGINX]);
    let big = format!(
        "head -c {mib}M /dev/urandom > /var/www/html/big; sha256sum < /var/www/html/big | cut -d' ' -f1"
    );
    let digest = dom0.exec("web", &["sh", "-c", &big]).ok().text();
    dom0.exec(
        "web",
        &[
            "bash",
            "-c",
            "until : 2> /dev/null < /dev/tcp/127.0.0.1/80; do sleep 0.2; done",
        ],
    )
    .ok();
    outside
        .command(&["python3", "-c", CLIENT, HOST, "8080", &requests.to_string()])
        .ok()
        .stdout(&format!("{requests} of {requests} pages\n{digest}\n"));
    dom0.remove("web");
    // What is left has nothing of what others look for room for.
    dom0.hyper(&["rmi", NGINX]).ok();
    dom0.forget_pulled();
}
