//! The component over a device that holds what is written to it.

use evisor_contract::{Reply, RestoreError, Status, Width};
use evisor_testkit::{Random, Rig, Setup, describe};

fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

fn setup(properties: &[(&'static str, Vec<u8>)]) -> Setup {
    Setup { properties: properties.to_vec(), window: 0x200, lines: Some(2), ..Setup::default() }
}

fn rig(properties: &[(&'static str, Vec<u8>)]) -> Rig {
    Rig::with("evisor,passthrough", &setup(properties))
}

/// In the guest's own width, once, and nothing besides.
#[test]
fn accesses_are_made_as_they_came() {
    let mut rig = rig(&[]);
    assert_eq!(rig.write(0x30, Width::Halfword, 0x301), Reply::DONE);
    assert_eq!(rig.write(0x1fc, Width::Word, 0xfeed_f00d), Reply::DONE);
    assert_eq!(rig.write(0, Width::Byte, 0x41), Reply::DONE);
    let expected =
        [(0x30, Width::Halfword, 0x301), (0x1fc, Width::Word, 0xfeed_f00d), (0, Width::Byte, 0x41)];
    assert_eq!(rig.device().written(), expected);
    assert_eq!(rig.read(0x31, Width::Byte), Reply::value(3));
    assert_eq!(rig.read32(0x1fc), 0xfeed_f00d);
    assert_eq!(rig.device().written(), []);
    assert_eq!(rig.events(), []);
}

#[test]
fn what_is_behind_the_window_is_not_there() {
    let mut rig = rig(&[]);
    assert_eq!(rig.read(0x200, Width::Word), Reply::ABSENT);
    assert_eq!(rig.write(!3, Width::Word, 1), Reply::ABSENT);
    assert_eq!(rig.device().written(), []);
}

/// The guest gets the abort that it would have had without eVisor.
#[test]
fn a_bus_error_is_the_guests() {
    let mut rig = rig(&[]);
    rig.device().set_broken(true);
    assert_eq!(rig.read(0, Width::Word), Reply::ABSENT);
    assert_eq!(rig.write(0, Width::Word, 1), Reply::ABSENT);
    rig.device().set_broken(false);
    assert_eq!(rig.read(0, Width::Word), Reply::value(0));
}

/// As for a PL011 (DDI 0183G §3.3): disabled, nothing masked in, nothing pending.
#[test]
fn reset_writes_the_words_in_order() {
    for direct in [false, true] {
        let words = ("evisor,reset", cells(&[0x30, 0, 0x38, 0, 0x44, 0x7ff]));
        let mut rig = Rig::with("evisor,passthrough", &Setup { direct, ..setup(&[words]) });
        assert_eq!(rig.device().written(), [], "building writes nothing");
        rig.reset();
        let word = Width::Word;
        assert_eq!(rig.device().written(), [(0x30, word, 0), (0x38, word, 0), (0x44, word, 0x7ff)]);
    }
}

#[test]
fn a_reset_that_the_device_refuses_goes_on() {
    let mut rig = rig(&[("evisor,reset", cells(&[0, 1]))]);
    rig.device().set_broken(true);
    rig.reset();
    rig.device().set_broken(false);
    rig.reset();
    assert_eq!(rig.device().written(), [(0, Width::Word, 1)]);
}

#[test]
#[should_panic(expected = "0x200 is not the offset of a word of the 0x200 bytes in reg")]
fn reset_stays_inside() {
    rig(&[("evisor,reset", cells(&[0x1fc, 1, 0x200, 1]))]);
}

#[test]
#[should_panic(expected = "0x2 is not the offset of a word")]
fn reset_is_of_words() {
    rig(&[("evisor,reset", cells(&[2, 1]))]);
}

#[test]
#[should_panic(expected = "evisor,reset: is not pairs of offset and value")]
fn reset_is_of_pairs() {
    rig(&[("evisor,reset", cells(&[0, 1, 4]))]);
}

#[test]
fn each_line_is_linked() {
    let lines = |count: usize| {
        let listed = cells(&[0, 7, 4, 0, 8, 4]).into_iter().take(12 * count).collect();
        rig(&[("interrupts", listed)]).hardware_lines().to_vec()
    };
    assert_eq!(lines(0), []);
    assert_eq!(lines(1), [(0, 32)]);
    assert_eq!(lines(2), [(0, 32), (1, 33)]);
}

/// What a device of the board is in the middle of cannot be written down, and so
/// not be put back.
#[test]
fn it_cannot_be_restored() {
    let mut rig = rig(&[]);
    let state = rig.save();
    assert_eq!(rig.restore(&state), Err(RestoreError::Impossible));
    assert_eq!(rig.restore(b"another0\x01\0\0\0"), Err(RestoreError::WrongTag));
}

/// Any access is answered, and reaches the device only inside of the window.
#[test]
fn any_accesses() {
    let mut numbers = Random::new(4);
    let mut rig = rig(&[]);
    for _ in 0..100_000 {
        let width = Width::from_sas(numbers.number() as u32 % 3);
        let offset = (numbers.number() % 0x280) & !(width.bytes() - 1);
        let inside = offset < 0x200;
        let value = numbers.number() & width.mask();
        let expected = if inside { Status::Done } else { Status::Absent };
        assert_eq!(rig.write(offset, width, value).status, expected);
        let written = rig.device().written();
        assert_eq!(written, if inside { vec![(offset, width, value)] } else { vec![] });
        assert_eq!(rig.read(offset, width).status, expected);
    }
}

/// The binding's own names and clocks, and none of eVisor's.
#[test]
fn the_guest_sees_the_device() {
    let declaration = rig(&[]).declaration();
    let hertz = 48_000_000_u32.to_be_bytes();
    let node: [(&str, &[u8]); 3] = [
        ("compatible", b"evisor,passthrough\0arm,pl011\0arm,primecell\0"),
        ("clock-names", b"uartclk\0apb_pclk\0"),
        ("evisor,clock-frequency", &hertz),
    ];
    assert_eq!(
        describe(declaration, &node),
        "clocks = <0x1 0x1>\ncompatible = \"arm,pl011\", \"arm,primecell\"\nclock 1 = 48000000 Hz"
    );
    assert_eq!(describe(declaration, &node[..1]), "compatible = \"arm,pl011\", \"arm,primecell\"");
    let unnamed = [node[0], node[2]];
    assert!(describe(declaration, &unnamed).starts_with("clocks = <0x1>\n"));
    assert_eq!(describe(declaration, &[("compatible", b"evisor,passthrough\0")]), "");
}
