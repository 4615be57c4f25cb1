//! What a container is and may become: guests, devices, records, streams.
