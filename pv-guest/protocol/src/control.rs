//! Messages on the control stream: a little-endian `u32` length, then that many bytes of JSON.

use crate::message::MAX_MESSAGE_BYTES;
use crate::mux::Violation;
use serde::{Serialize, de::DeserializeOwned};

/// Puts messages together from the bytes of the control stream.
#[derive(Debug, Default)]
pub struct Decoder(Vec<u8>);

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes of a message that is not whole yet.
    pub fn pending(&self) -> usize {
        self.0.len()
    }

    /// The next whole message.
    pub fn decode<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Violation> {
        let Some(head) = self.0.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*head) as usize;
        if length > MAX_MESSAGE_BYTES {
            return Err(Violation::MessageTooLong(length));
        }
        let Some(body) = self.0.get(4..4 + length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body).map_err(|error| Violation::Message(error.to_string()))?;
        self.0.drain(..4 + length);
        Ok(Some(message))
    }
}

/// A message as bytes for the control stream.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, Violation> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(|error| Violation::Message(error.to_string()))?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE_BYTES {
        return Err(Violation::MessageTooLong(length));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}
