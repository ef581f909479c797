//! Frames that are cut anywhere, with anything in between.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::{
    ASK_MOST, ASKS, CONTROL, Control, Decoder, END, MOST, NAME, START, Step, VERSION, crc, write,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Frame(u8, Vec<u8>),
    Text(Vec<u8>),
}

/// What a decoder makes of `line`, with neighbouring stray bytes as one piece.
fn decode(line: &[u8]) -> Vec<Piece> {
    let mut decoder = Decoder::new();
    let mut pieces = Vec::new();
    let mut note = |step: Step<'_>| match (step, pieces.last_mut()) {
        (Step::Nothing, _) => {}
        (Step::Stray(more), Some(Piece::Text(text))) => text.extend(more),
        (Step::Stray(text), _) => pieces.push(Piece::Text(text.to_vec())),
        (Step::Frame { port, payload }, _) => pieces.push(Piece::Frame(port, payload.to_vec())),
    };
    line.iter().for_each(|byte| note(decoder.take(*byte)));
    note(decoder.finish());
    pieces
}

fn encode(pieces: &[Piece]) -> Vec<u8> {
    let mut line = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Frame(port, payload) => write(*port, payload, &mut |byte| line.push(byte)),
            Piece::Text(text) => line.extend(text),
        }
    }
    line
}

fn frame() -> impl Strategy<Value = Piece> {
    (any::<u8>(), vec(any::<u8>(), 0..=MOST)).prop_map(|(port, bytes)| Piece::Frame(port, bytes))
}

fn piece() -> impl Strategy<Value = Piece> {
    let text = "[ -~\r\né]{1,80}".prop_map(|text| Piece::Text(text.into_bytes()));
    prop_oneof![frame(), text]
}

/// Two texts side by side are one.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (piece, joined.last_mut()) {
            (Piece::Text(more), Some(Piece::Text(text))) => text.extend(more),
            (piece, _) => joined.push(piece),
        }
    }
    joined
}

/// The check of "123456789" that CRC catalogues give for CRC-16/IBM-3740.
#[test]
fn the_check_is_the_known_one() {
    assert_eq!(b"123456789".iter().fold(0xffff, crc), 0x29b1);
}

#[test]
fn a_frame_looks_so() {
    let line = encode(&[Piece::Frame(1, b"hi\n".to_vec())]);
    assert_eq!(line[..9], [START, 0xfd, 0x41, 0xfd, 0x43, b'h', b'i', 0xfd, 0x4a]);
    assert_eq!(line.last(), Some(&END));
}

#[test]
fn controls_come_back() {
    let name = [b'n'; NAME];
    for control in [
        Control::Ask(VERSION),
        Control::Ask(0),
        Control::Granted(1),
        Control::Refused(255),
        Control::Plain,
        Control::Name(3, &name),
        Control::Lost(0, 0xfedc_ba98),
    ] {
        let mut line = Vec::new();
        control.write(&mut |byte| line.push(byte));
        let [Piece::Frame(CONTROL, payload)] = &decode(&line)[..] else { panic!("{control:?}") };
        assert_eq!(Control::read(payload), Some(control));
    }
    assert_eq!(Control::read(b""), None);
    assert_eq!(Control::read(b"?evisor"), None);
    assert_eq!(Control::read(b"x"), None);
}

#[test]
fn every_request_begins_alike() {
    for version in 0..=255 {
        let mut line = Vec::new();
        Control::Ask(version).write(&mut |byte| line.push(byte));
        assert!(line.starts_with(&ASKS) && line.len() <= ASK_MOST, "{version}");
    }
}

proptest! {
    #[test]
    fn frames_and_text_come_back(pieces in vec(piece(), 0..12)) {
        prop_assert_eq!(decode(&encode(&pieces)), joined(pieces));
    }

    /// No terminal's line discipline and no software flow control touches one.
    #[test]
    fn no_control_character_is_on_the_line(frame in frame()) {
        prop_assert!(encode(&[frame]).iter().all(|byte| *byte >= 0x20 && *byte != 0x7f));
    }

    /// A panic's text in the middle of a frame: it is shown, the frame is not taken for
    /// whole, and the next one is.
    #[test]
    fn text_that_breaks_a_frame_is_shown(
        broken in frame(), text in "[ -~]{1,200}", at in any::<prop::sample::Index>(), next in frame(),
    ) {
        let mut line = encode(&[broken]);
        let at = 1 + at.index(line.len() - 1);
        line.splice(at..at, text.bytes());
        line.extend(encode(std::slice::from_ref(&next)));
        let pieces = decode(&line);
        prop_assert_eq!(pieces.len(), 2);
        let Piece::Text(shown) = &pieces[0] else { panic!("{pieces:?}") };
        let shown = String::from_utf8_lossy(shown);
        // An escape that was cut flips the first character.
        prop_assert!(shown.contains(&text[1..]), "{}", shown);
        prop_assert_eq!(&pieces[1], &next);
    }

    /// Bytes that were lost or changed cost the frames that they were in.
    #[test]
    fn noise_costs_no_more_than_what_it_hits(
        frames in vec(frame(), 3), hit in any::<prop::sample::Index>(), noise in vec(any::<u8>(), 0..4),
    ) {
        let middle = encode(&frames[1..2]);
        let hit = hit.index(middle.len());
        let mut line = encode(&frames[..1]);
        line.extend(&middle[..hit]);
        line.extend(&noise);
        line.extend(&middle[hit + 1..]);
        line.extend(encode(&frames[2..]));
        // Behind an END that was lost the next START begins anew.
        let pieces = decode(&line);
        prop_assert_eq!(pieces.first(), Some(&frames[0]));
        prop_assert_eq!(pieces.last(), Some(&frames[2]));
    }

    #[test]
    fn anything_is_survived(line in vec(any::<u8>(), 0..500)) {
        decode(&line);
    }
}
