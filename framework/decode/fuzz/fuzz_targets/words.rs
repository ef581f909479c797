//! Any word as an instruction, with any registers.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u32, u64, u64)| {
    let (word, base, value) = input;
    if let Some(access) = evisor_decode::decode(word) {
        let _ = (access.address(base, value), access.base_after(base), access.extended(value));
    }
});
