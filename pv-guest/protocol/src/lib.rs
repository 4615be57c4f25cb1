//! Messages, framing, flow control and ring layout of the link between engine and guest agent.
