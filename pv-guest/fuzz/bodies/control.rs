//! Control messages from any bytes: none may end the decoder in anything but an error, and it may keep no more than
//! one message. What it understands it says again in the same way.

use crate::control::{Decoder, encode};
use crate::message::{Event, MAX_MESSAGE_BYTES, Request};
use serde::{Serialize, de::DeserializeOwned};

pub fn run(bytes: &[u8]) {
    as_stream::<Request>(bytes);
    as_stream::<Event>(bytes);
    // Most bytes are no stream of messages: as one message, too.
    if let Ok(length) = u32::try_from(bytes.len()) {
        let framed = [&length.to_le_bytes()[..], bytes].concat();
        as_stream::<Request>(&framed);
        as_stream::<Event>(&framed);
    }
}

fn as_stream<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    for chunk in bytes.chunks(100) {
        decoder.push(chunk);
        loop {
            match decoder.decode::<T>() {
                Ok(None) => break,
                Ok(Some(message)) => says_the_same_again(&message),
                Err(_) => return,
            }
        }
        assert!(decoder.pending() <= 4 + MAX_MESSAGE_BYTES + 100);
    }
}

fn says_the_same_again<T: DeserializeOwned + Serialize>(message: &T) {
    // What was short may be long with all its defaults.
    let Ok(bytes) = encode(message) else { return };
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    let again: T = decoder.decode().expect("its own words").expect("a whole message");
    assert_eq!(encode(&again).expect("as before"), bytes);
}
