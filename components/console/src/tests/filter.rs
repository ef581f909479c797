//! What of a guest reaches a terminal that others are shown on too.

use super::{interrupt, send};
use crate::escape::{Escape, Shown};
use evisor_testkit::{Random, Rig};

fn filtered(bytes: &[u8]) -> String {
    let mut escape = Escape::default();
    let shown = bytes.iter().filter_map(|byte| match escape.take(*byte) {
        Shown::As(byte) => Some(char::from(byte)),
        Shown::LineEnd => Some('\n'),
        Shown::Nothing => None,
    });
    shown.collect()
}

/// ECMA-48 §5.3 (C1 as two bytes), §5.4 (control sequences), §5.6 (command strings).
#[test]
fn sequences_are_removed_whole() {
    for (bytes, text) in [
        (&b"a\x1b[1;31mb\x1b[0mc"[..], "abc"),
        (b"a\x1b]0;title\x07b\x1b]2;x\x1b\\c", "abc"),
        (b"a\x1bPq#0\x1b\\b\x1b_z\x1b\\c\x1b^p\x1b\\d\x1bXs\x1b\\e", "abcde"),
        (b"a\x1b(Bb\x1b#8c\x1bcd\x1b=e", "abcde"),
        (b"\x1b[2J\x1b[H\x1b[?1049hx", "x"),
        (b"a\x08b\rc\x0ed\x0fe\x7ff\x00g\x05h", "abcdefgh"),
        (b"\x1b]no end\nnext", "\nnext"),
        (b"\x1b[12\nnext", "\nnext"),
        (b"\x1b[1\x18x\x1b[1\x1ay", "xy"),
        (b"\x1b\x1b[1mx", "x"),
        (b"\x9b31mx\x9d0;t\x9c", "31mx0;t"),
        ("é\u{9b}2J€".as_bytes(), "??2J?"),
        (b"a\tb", "a b"),
    ] {
        assert_eq!(filtered(bytes), text, "{bytes:x?}");
    }
}

/// Whatever a VM sends, each line on the terminal begins with its own name or is eVisor's,
/// nothing but text and line ends gets through, and no line is longer than the terminal
/// is wide.
#[test]
fn no_guest_touches_anothers_view() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut rig = Rig::new("evisor,console");
        rig.connect_of(0, Some("first"));
        rig.connect_of(1, Some("second"));
        for _ in 0..200 {
            let number = random.number();
            let pieces: [&[u8]; 8] = [
                b"second| fake\n",
                b"\r\x1b[A\x1b[2Ksecond| fake",
                b"\x1b]0;x",
                b"\x1b[",
                b"\nevisor: fake",
                b"\xff\xc2\x9b",
                b"\n",
                &number.to_le_bytes(),
            ];
            let piece = pieces[(number >> 8) as usize % 8];
            send(&mut rig, 0, piece);
            match number % 5 {
                0 => send(&mut rig, 1, b"true\n"),
                1 => rig.messages().say("evisor: own"),
                2 => rig.advance(number % 100_000),
                _ => interrupt(&mut rig),
            }
        }
        rig.advance(300_000);
        while rig.serial().interrupts_when_writable() || rig.deadline().is_some() {
            interrupt(&mut rig);
            rig.advance(300_000);
        }
        let text = String::from_utf8(rig.serial().take_sent()).expect("ASCII");
        for line in text.split("\r\n") {
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
            assert!(line.len() <= 80, "{line:?}");
            let own = ["evisor: own", "evisor: 2 consoles; Ctrl-T ? for help", "second| true", ""];
            let lost =
                line.starts_with("evisor: first: ") && line.ends_with(" bytes were lost here");
            assert!(own.contains(&line) || line.starts_with("first| ") || lost, "{line:?}");
        }
    }
}
