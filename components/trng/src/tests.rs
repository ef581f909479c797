//! Checked against DEN 0098, version 1.0.

use evisor_testkit::{Rig, Setup, describe};

const VERSION: u32 = 0x8400_0050;
const FEATURES: u32 = 0x8400_0051;
const GET_UUID: u32 = 0x8400_0052;
const RND32: u32 = 0x8400_0053;
const RND64: u32 = 0xc400_0053;

const NOT_SUPPORTED: u64 = u64::MAX;
const INVALID_PARAMETERS: u64 = u64::MAX - 1;
const NO_ENTROPY: u64 = u64::MAX - 2;

const A: u64 = 0xaaaa_aaaa_1111_1111;
const B: u64 = 0xbbbb_bbbb_2222_2222;
const C: u64 = 0xcccc_cccc_3333_3333;

fn rig(words: &[u64]) -> Rig {
    let entropy = Some(words.to_vec());
    Rig::with("evisor,trng", &Setup { entropy, ..Setup::default() })
}

/// Every id of both ranges, by what TRNG_FEATURES says and by what a call answers.
#[test]
fn what_is_there_and_what_is_not() {
    let mut rig = rig(&[]);
    let ranges = rig.parts().call_ranges.clone();
    assert_eq!(ranges, [0x8400_0050..=0x8400_005f, 0xc400_0050..=0xc400_005f]);
    let there = [VERSION, FEATURES, GET_UUID, RND32, RND64];
    for function in ranges.into_iter().flatten() {
        let is_there = there.contains(&function);
        let expected = if is_there { 0 } else { NOT_SUPPORTED };
        assert_eq!(rig.call(FEATURES, &[u64::from(function)])[0], expected, "{function:#x}");
        if !is_there {
            assert_eq!(rig.call(function, &[1])[0], NOT_SUPPORTED, "{function:#x}");
        }
    }
    assert_eq!(rig.call(FEATURES, &[0x8400_0000])[0], NOT_SUPPORTED);
    assert_eq!(rig.call(VERSION, &[])[0], 0x1_0000);
}

/// The UUID's bytes in order, four a register, the first lowest; and its first
/// word is not NOT_SUPPORTED.
#[test]
fn uuid() {
    let text = "5a6be0b23c1d4f7e8a44e0150b5e0002";
    let byte = |at: usize| u64::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap();
    let word = |n: usize| (0..4).map(|b| byte(n * 4 + b) << (8 * b)).sum::<u64>();
    let answer = rig(&[]).call(GET_UUID, &[]);
    assert_eq!(answer, [word(0), word(1), word(2), word(3)]);
    assert_ne!(answer[0], 0xffff_ffff);
}

/// TRNG_RND64: (bits, x1 to x3). The entropy is right-aligned over the three, the
/// rest zero.
#[test]
fn wide() {
    for (bits, expected) in [
        (1, [0, 0, A & 1]),
        (8, [0, 0, 0x11]),
        (63, [0, 0, A & !(1 << 63)]),
        (64, [0, 0, A]),
        (65, [0, A & 1, B]),
        (128, [0, A, B]),
        (129, [A & 1, B, C]),
        (191, [A & !(1 << 63), B, C]),
        (192, [A, B, C]),
    ] {
        let [status, got @ ..] = rig(&[A, B, C]).call(RND64, &[bits]);
        assert_eq!((status, got), (0, expected), "{bits} bits");
    }
}

/// TRNG_RND32: (bits, w1 to w3).
#[test]
fn narrow() {
    for (bits, expected) in [
        (1, [0, 0, 1]),
        (32, [0, 0, 0x1111_1111]),
        (33, [0, 0xaaaa_aaaa & 1, 0x1111_1111]),
        (64, [0, 0xaaaa_aaaa, 0x1111_1111]),
        (65, [1, 0xbbbb_bbbb, 0x2222_2222]),
        (96, [0x1111_1111, 0xbbbb_bbbb, 0x2222_2222]),
        (0xdead_beef_0000_0008, [0, 0, 0x11]), // the upper half is not an argument's
    ] {
        let [status, got @ ..] = rig(&[A, B, C]).call(RND32, &[bits]);
        assert_eq!((status, got), (0, expected), "{bits} bits");
    }
}

#[test]
fn too_many_bits_or_none() {
    let mut rig = rig(&[A; 100]);
    for (function, bits) in
        [(RND32, 0), (RND32, 97), (RND32, 1 << 32), (RND64, 0), (RND64, 193), (RND64, 1 << 32)]
    {
        let expected = [INVALID_PARAMETERS, 0, 0, 0];
        assert_eq!(rig.call(function, &[bits]), expected, "{function:#x}: {bits}");
    }
}

/// A source that is dry gives nothing, not even the part that it had.
#[test]
fn no_entropy() {
    for had in 0..3 {
        let words = &[A, B, C][..had];
        assert_eq!(rig(words).call(RND64, &[192]), [NO_ENTROPY, 0, 0, 0], "{had} words");
    }
    assert_eq!(rig(&[]).call(RND32, &[1]), [NO_ENTROPY, 0, 0, 0]);
}

/// Nothing is asked twice: a word is given to one caller, once.
#[test]
fn words_are_given_once() {
    let mut rig = rig(&[A, B]);
    assert_eq!(rig.call(RND64, &[64]), [0, 0, 0, A]);
    assert_eq!(rig.call(RND64, &[64]), [0, 0, 0, B]);
    assert_eq!(rig.call(RND64, &[64])[0], NO_ENTROPY);
}

#[test]
fn a_machine_without_a_source_has_no_functions() {
    let mut rig = Rig::new("evisor,trng");
    for function in rig.parts().call_ranges.clone().into_iter().flatten() {
        assert_eq!(rig.call(function, &[64])[0], NOT_SUPPORTED, "{function:#x}");
    }
    assert_eq!(rig.call(FEATURES, &[u64::from(RND64)])[0], NOT_SUPPORTED);
}

#[test]
fn any_bytes_are_survived() {
    let mut random = evisor_testkit::Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    evisor_testkit::drive("evisor,trng", &bytes);
}

#[test]
fn guest_node() {
    assert_eq!(describe(rig(&[]).declaration(), &[]), "");
}
