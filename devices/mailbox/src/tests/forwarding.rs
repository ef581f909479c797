//! Tags that the board answers.

use super::*;
use evisor_contract::MAILBOX_WORDS;
use evisor_testkit::Event;

const TEMPERATURE: u32 = 0x0003_0006;
const MAC: u32 = 0x0001_0003;
const EDID: u32 = 0x0003_0020;

fn window(tags: &[u32]) -> Vec<(&'static str, Vec<u8>)> {
    vec![("evisor,firmware-tags", cells(tags))]
}

fn is_waiting(rig: &mut Rig) -> bool {
    is_empty(rig)
}

/// The answer of who has the window, of who has not, and of a board without firmware.
#[test]
fn the_window_decides_who_answers() {
    let asked = buffer(&[(MAC, 8, &[]), (TEMPERATURE, 8, &[0])]);
    let mut with = rig_with(&window(&[MAC, TEMPERATURE]), true);
    with.mailbox().answer(MAC, &[0x1234_5678, 0x9abc]);
    with.mailbox().answer(TEMPERATURE, &[0, 25_000]);
    let answered = ask(&mut with, &asked);
    let boards = [
        (1, code::RESPONSE),
        (4, 0x8000_0008),
        (5, 0x1234_5678),
        (6, 0x9abc),
        (9, 0x8000_0008),
        (11, 25_000),
    ];
    boards.iter().for_each(|(at, word)| assert_eq!(answered[*at], *word, "{at}"));
    let sent = [(MAC, vec![0x5555_5555; 2]), (TEMPERATURE, vec![0, 0x5555_5555])];
    assert_eq!(with.mailbox().asked(), sent);

    let mut one = rig_with(&window(&[TEMPERATURE]), true);
    one.mailbox().answer(MAC, &[0x1234_5678, 0x9abc]);
    one.mailbox().answer(TEMPERATURE, &[0, 25_000]);
    let answered = ask(&mut one, &asked);
    assert_eq!(answered[1], code::PARTIAL);
    assert_eq!(answered[4..7], asked[4..7], "not answered, and not touched");
    assert_eq!(answered[11], 25_000);
    assert_eq!(one.mailbox().asked().len(), 1);

    for mut without in [rig_with(&[], true), rig_with(&window(&[MAC, TEMPERATURE]), false)] {
        let answered = ask(&mut without, &asked);
        assert_eq!(answered[1], code::PARTIAL);
        assert_eq!(answered[4..7], asked[4..7]);
        assert_eq!(answered[9..12], [0x8000_0008, 0, 40_000], "eVisor's own answer");
    }
}

/// The mailbox stays empty meanwhile, and the board is looked after every 100 µs.
#[test]
fn the_guest_waits_and_el2_does_not() {
    let mut rig = rig_with(&window(&[TEMPERATURE]), true);
    rig.mailbox().answer(TEMPERATURE, &[0, 25_000]);
    rig.mailbox().set_delay(4);
    put(&rig, BUFFER, &buffer(&[(TEMPERATURE, 8, &[0]), (0x0003_0046, 4, &[5])]));
    rig.write32(offset::CONFIG, 1);
    rig.write32(offset::WRITE, BUFFER | 8);
    let pause = rig.frequency() / 10_000;
    for look in 1..=4 {
        assert!(is_waiting(&mut rig) && !rig.line(0), "look {look}");
        assert_eq!(words(&rig, BUFFER, 14)[1], 0);
        assert_eq!(rig.deadline(), Some(look * pause));
        rig.advance(pause);
    }
    assert!(rig.line(0));
    assert_eq!(rig.read32(offset::READ), BUFFER | 8);
    let answered = words(&rig, BUFFER, 11);
    assert_eq!(answered[1..7], [code::RESPONSE, TEMPERATURE, 8, 0x8000_0008, 0, 25_000]);
    assert_eq!(answered[9..11], [0x8000_0004, 0]);
}

/// Others use it: tried again until it is free, for a second.
#[test]
fn a_busy_firmware_is_asked_again() {
    let mut rig = rig_with(&window(&[TEMPERATURE]), true);
    rig.mailbox().answer(TEMPERATURE, &[0, 25_000]);
    let other = evisor_contract::HostMailbox::start(&rig.mailbox(), 1, &[]);
    assert!(other.is_some());
    rig.mailbox().asked();
    put(&rig, BUFFER, &buffer(&[(TEMPERATURE, 8, &[0])]));
    rig.write32(offset::WRITE, BUFFER | 8);
    for _ in 0..50 {
        rig.advance(rig.frequency() / 10_000);
    }
    assert!(is_waiting(&mut rig));
    assert_eq!(rig.mailbox().asked(), []);
    rig.mailbox().lose();
    rig.advance(rig.frequency() / 10_000);
    assert_eq!(rig.read32(offset::READ), BUFFER | 8);
    assert_eq!(words(&rig, BUFFER, 7)[6], 25_000);

    let other = evisor_contract::HostMailbox::start(&rig.mailbox(), 1, &[]);
    assert!(other.is_some());
    put(&rig, BUFFER, &buffer(&[(TEMPERATURE, 8, &[0])]));
    rig.write32(offset::WRITE, BUFFER | 8);
    for _ in 0..10_001 {
        assert!(is_waiting(&mut rig));
        rig.advance(rig.frequency() / 10_000);
    }
    assert_eq!(rig.read32(offset::READ), BUFFER | 8, "given up");
    assert_eq!(words(&rig, BUFFER, 5)[1..5], [code::PARTIAL, TEMPERATURE, 8, 0]);
}

#[test]
fn a_firmware_that_does_not_know_the_tag() {
    let mut rig = rig_with(&window(&[TEMPERATURE]), true);
    let asked = buffer(&[(TEMPERATURE, 8, &[0])]);
    let answered = ask(&mut rig, &asked);
    assert_eq!(answered[1], code::PARTIAL);
    assert_eq!(answered[2..], asked[2..]);
}

/// No more than a board's buffer holds is handed on, and no more than the guest's
/// holds is written.
#[test]
fn long_values_are_cut() {
    let mut rig = rig_with(&window(&[EDID, TEMPERATURE]), true);
    let block: Vec<u32> = (0..MAILBOX_WORDS as u32).collect();
    rig.mailbox().answer(EDID, &block);
    rig.mailbox().answer(TEMPERATURE, &block);
    let answered = ask(&mut rig, &buffer(&[(EDID, 200, &[0]), (TEMPERATURE, 6, &[7])]));
    assert_eq!(answered[4], 0x8000_0088);
    assert_eq!(answered[5..5 + MAILBOX_WORDS], block);
    assert!(answered[5 + MAILBOX_WORDS..55].iter().all(|word| *word == 0x5555_5555));
    assert_eq!(answered[57..60], [0x8000_0088, 0, 0x5555_0001], "six bytes");
    assert_eq!(rig.mailbox().asked()[0].1.len(), MAILBOX_WORDS);
}

/// What a VM asked before it started anew goes nowhere.
#[test]
fn a_reset_forgets_what_is_with_the_board() {
    let mut rig = rig_with(&window(&[TEMPERATURE]), true);
    rig.mailbox().answer(TEMPERATURE, &[0, 25_000]);
    rig.mailbox().set_delay(1);
    let asked = buffer(&[(TEMPERATURE, 8, &[0])]);
    put(&rig, BUFFER, &asked);
    rig.write32(offset::WRITE, BUFFER | 8);
    rig.reset();
    assert_eq!(rig.notify(tag::DEADLINE, 0).value, 0);
    assert!(is_empty(&mut rig));
    assert_eq!(words(&rig, BUFFER, asked.len()), asked);
    rig.mailbox().lose();
    assert_eq!(ask(&mut rig, &asked)[6], 25_000);
}

/// Saved while the board is asked: the restored one asks again.
#[test]
fn a_tag_in_flight_is_saved() {
    let mut rig = rig_with(&window(&[TEMPERATURE]), true);
    rig.mailbox().set_delay(5);
    put(&rig, BUFFER, &buffer(&[(0x0003_0046, 4, &[5]), (TEMPERATURE, 8, &[0])]));
    rig.write32(offset::WRITE, BUFFER | 8);
    rig.write32(offset::WRITE, (BUFFER + 0x100) | 8);
    let state = rig.save();

    let mut second = rig_with(&window(&[TEMPERATURE]), true);
    second.mailbox().answer(TEMPERATURE, &[0, 30_000]);
    put(&second, BUFFER, &words(&rig, BUFFER, 14));
    assert_eq!(second.restore(&state), Ok(()));
    assert_eq!(second.save(), state);
    assert_eq!(second.notify(tag::DEADLINE, 0).value, 0);
    assert_eq!(second.read32(offset::READ), BUFFER | 8);
    assert_eq!(second.read32(offset::READ), (BUFFER + 0x100) | 8);
    let answered = words(&second, BUFFER, 14);
    assert_eq!(answered[1], code::RESPONSE);
    assert_eq!(answered[8..11], [0x8000_0008, 0, 30_000]);

    let mut narrow = rig_with(&window(&[MAC]), true);
    assert!(narrow.restore(&state).is_err(), "that VM may not ask for it");
    for length in 0..state.len() {
        assert!(narrow.restore(&state[..length]).is_err());
    }
}

#[test]
fn a_window_has_only_what_the_board_may_be_asked() {
    let refused = |tags: &[u8]| {
        let rig = rig();
        let setup = [("evisor,firmware-tags", tags)];
        let node = evisor_contract::Node::new("/vm/mailbox", &setup, &[]);
        let memory = rig.guest_memory();
        let clock = &Still;
        let policy = crate::policy::Policy::new(&node, Vec::new(), memory, clock);
        policy.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let remedy = "remove it; devices/mailbox/README.md says why";
    assert_eq!(
        refused(&cells(&[TEMPERATURE, 0x0003_0010])),
        format!("evisor,firmware-tags: 0x00030010 stays with eVisor; {remedy}")
    );
    assert_eq!(
        refused(&cells(&[0x1234])),
        format!("evisor,firmware-tags: 0x00001234 is no tag that eVisor knows; {remedy}")
    );
    assert_eq!(refused(&[1, 2, 3]), "evisor,firmware-tags: lists no tags; write a cell for each");
    assert_eq!(refused(&cells(&[TEMPERATURE, MAC, EDID])), "");
}

/// A clock that stands.
struct Still;

impl evisor_contract::Clock for Still {
    fn now(&self) -> u64 {
        0
    }
    fn frequency(&self) -> u64 {
        1
    }
    fn unix_seconds(&self) -> u64 {
        0
    }
}

/// Nothing but lines and deadlines comes of it.
#[test]
fn the_only_effects_are_the_line_and_the_deadline() {
    let mut rig = rig_with(&window(&[TEMPERATURE]), true);
    rig.mailbox().set_delay(3);
    ask(&mut rig, &buffer(&[(TEMPERATURE, 8, &[0])]));
    let events = rig.events();
    assert!(events.iter().all(|event| matches!(event, Event::Deadline(_) | Event::Line { .. })));
}
