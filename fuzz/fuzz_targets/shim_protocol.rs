//! Any bytes from the other end of a shim's socket, in any pieces: frames or errors. What can be read can be written,
//! and is read as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_shim::{FrameBuffer, Message, RawFrame, Request, split_frame};

fn frame(bytes: &[u8]) -> RawFrame<'_> {
    match split_frame(bytes) {
        Ok(Some((frame, used))) if used == bytes.len() => frame,
        other => panic!("not one frame: {other:?}"),
    }
}

fn message(raw: RawFrame<'_>) {
    if let Ok(message) = Message::decode(raw) {
        let bytes = message.to_bytes();
        assert_eq!(Message::decode(frame(&bytes)).expect("what was written"), message);
    }
}

fn request(raw: RawFrame<'_>) {
    if let Ok(request) = Request::decode(raw) {
        let bytes = request.to_bytes();
        assert_eq!(Request::decode(frame(&bytes)).expect("what was written"), request);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[kind, piece], rest)) = bytes.split_first_chunk::<2>() else { return };
    // every kind is reached without guessing a length
    message(RawFrame { kind, body: rest });
    request(RawFrame { kind, body: rest });
    let mut buffer = FrameBuffer::default();
    for part in rest.chunks(usize::from(piece).max(1)) {
        buffer.extend(part);
        loop {
            match buffer.next_frame() {
                Ok(Some(raw)) => {
                    message(raw);
                    request(raw);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
