//! Any bytes from a line; what is found in them is written and found again.

#![no_main]

use evisor_frames::{Control, Decoder, Step, write};

libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    let mut decoder = Decoder::new();
    for byte in line {
        if let Step::Frame { port, payload } = decoder.take(*byte) {
            let _ = Control::read(payload);
            let (mut again, mut found) = (Decoder::new(), false);
            write(port, payload, &mut |byte| {
                found |= again.take(byte) == Step::Frame { port, payload };
            });
            assert!(found);
        }
    }
});
