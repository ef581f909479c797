//! Consoles in frames.

use super::{drain, events, interrupt, send, told};
use crate::CHANNEL_HIGH;
use evisor_contract::frames::{ASKS, CONTROL, Control, Decoder, Step, VERSION, write};
use evisor_contract::tag;
use evisor_testkit::{Event, Random, Rig};

fn rig() -> Rig {
    let mut rig = Rig::new("evisor,console");
    rig.connect_of(0, Some("first"));
    rig.connect_of(1, Some("second"));
    rig
}

fn frame(port: u8, bytes: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    write(port, bytes, &mut |byte| line.push(byte));
    line
}

fn control(control: Control<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    control.write(&mut |byte| line.push(byte));
    line
}

fn type_in(rig: &mut Rig, bytes: &[u8]) {
    rig.serial().type_in(bytes);
    while rig.serial().unread() != 0 {
        interrupt(rig);
    }
}

/// Everything that is on the line by now: whose, and what; eVisor's own without a port.
fn heard(rig: &mut Rig) -> Vec<(Option<u8>, Vec<u8>)> {
    drain(rig);
    let mut decoder = Decoder::new();
    let mut heard: Vec<(Option<u8>, Vec<u8>)> = Vec::new();
    for byte in rig.serial().take_sent() {
        let (who, bytes) = match decoder.take(byte) {
            Step::Nothing => continue,
            Step::Stray(bytes) => (None, bytes),
            Step::Frame { port, payload } => (Some(port), payload),
        };
        match heard.last_mut() {
            Some((last, said)) if *last == who && who != Some(CONTROL) => said.extend(bytes),
            _ => heard.push((who, bytes.to_vec())),
        }
    }
    heard
}

fn asked(rig: &mut Rig) {
    type_in(rig, &control(Control::Ask(VERSION)));
    let granted = [&b"+\x01"[..], b"n\0first", b"n\x01second"];
    let wanted = granted.map(|payload| (Some(CONTROL), payload.to_vec()));
    assert_eq!(heard(rig), wanted);
}

#[test]
fn each_console_is_in_frames_and_evisors_lines_are_between() {
    let mut rig = rig();
    asked(&mut rig);
    send(&mut rig, 1, b"\x1b[1mraw\xff\xfe\xfd\0\n");
    rig.messages().say("evisor: own");
    interrupt(&mut rig);
    send(&mut rig, 0, b"no line end");
    let wanted = [
        (Some(1), b"\x1b[1mraw\xff\xfe\xfd\0\n".to_vec()),
        (Some(0), b"no line end".to_vec()),
        (None, b"evisor: own\r\n".to_vec()),
    ];
    assert_eq!(heard(&mut rig), wanted);
}

#[test]
fn typed_frames_reach_their_console_and_no_key_is_a_command() {
    let mut rig = rig();
    asked(&mut rig);
    let long: Vec<u8> = (0..64).collect();
    let bytes = [frame(1, b"\x14n"), b"noise".to_vec(), frame(0, &long), frame(9, b"x")].concat();
    type_in(&mut rig, &bytes);
    let input = |port, bytes: &[u8]| Event::Input { port, bytes: bytes.to_vec() };
    let wanted = [input(1, b"\x14n"), input(0, &long[..32]), input(0, &long[32..])];
    assert_eq!(events(&mut rig), wanted);
}

#[test]
fn another_version_is_refused_with_a_message() {
    let mut rig = rig();
    type_in(&mut rig, &control(Control::Ask(2)));
    rig.advance(300_000);
    let heard = heard(&mut rig);
    let said = String::from_utf8(heard[0].1.clone()).expect("text");
    assert!(said.contains("frames of version 2 were asked for, and version 1 is what there is"));
    assert_eq!(heard[1], (Some(CONTROL), b"-\x01".to_vec()));
    send(&mut rig, 1, b"text still\n");
    assert!(super::framed::heard(&mut rig)[0].1.ends_with(b"second| text still\r\n"));
}

#[test]
fn text_comes_back_when_the_host_says_so() {
    let mut rig = rig();
    asked(&mut rig);
    type_in(&mut rig, &control(Control::Plain));
    send(&mut rig, 1, b"text\n");
    assert_eq!(heard(&mut rig), [(None, b"second| text\r\n".to_vec())]);
}

/// What begins like a request is typed after all when its rest does not come.
#[test]
fn a_request_that_is_not_one_is_typed() {
    let mut rig = Rig::new("evisor,console");
    rig.connect_of(0, Some("only"));
    let request = control(Control::Ask(VERSION));
    let mut typed = Vec::new();
    for count in 1..request.len() {
        let part = &request[..count];
        type_in(&mut rig, part);
        assert_eq!(events(&mut rig), [], "{count} bytes are held back");
        rig.advance(50_000);
        typed.extend(events(&mut rig));
        let input = Event::Input { port: 0, bytes: part.to_vec() };
        assert_eq!(typed.pop(), Some(input));
        if count < ASKS.len() {
            type_in(&mut rig, &[part, b"x"].concat());
            let input = Event::Input { port: 0, bytes: [part, b"x"].concat() };
            assert_eq!(events(&mut rig), [input]);
        }
    }
    // The first byte twice: the second begins it.
    type_in(&mut rig, &[&request[..1], &request].concat());
    assert_eq!(events(&mut rig), [Event::Input { port: 0, bytes: request[..1].to_vec() }]);
    assert_eq!(heard(&mut rig)[0], (Some(CONTROL), b"+\x01".to_vec()));
}

/// A host that asks before anybody speaks gets everything in frames, though its request
/// comes in pieces.
#[test]
fn nobody_speaks_while_a_host_is_asking() {
    let mut rig = rig();
    let request = control(Control::Ask(VERSION));
    rig.serial().type_in(&request[..8]);
    send(&mut rig, 0, b"first words\n");
    assert_eq!(rig.serial().take_sent(), b"");
    type_in(&mut rig, &request[8..]);
    let heard = heard(&mut rig);
    assert_eq!(heard.len(), 4);
    assert_eq!(heard[3], (Some(0), b"first words\n".to_vec()));
}

#[test]
fn nothing_is_lost_on_a_slow_line_and_none_is_kept_out() {
    let mut rig = rig();
    asked(&mut rig);
    rig.serial().set_room(0);
    let flood: Vec<u8> = (0..CHANNEL_HIGH + 200).map(|n| n.to_le_bytes()[0]).collect();
    send(&mut rig, 0, &flood);
    assert_eq!(events(&mut rig), [told(0, tag::CONSOLE_FULL)]);
    send(&mut rig, 1, b"calm");
    rig.serial().set_room(usize::MAX);
    let heard = heard(&mut rig);
    let before: usize =
        heard.iter().take_while(|(who, _)| *who != Some(1)).map(|(_, b)| b.len()).sum();
    assert!(before <= 64, "{before} bytes before the other's turn");
    let of =
        |port| heard.iter().filter(move |(who, _)| *who == Some(port)).flat_map(|(_, b)| b.clone());
    assert!(of(0).eq(flood) && of(1).eq(*b"calm"));
    assert_eq!(events(&mut rig), [told(0, tag::CONSOLE_READY)]);
}

/// What a VM lost while nobody watched it is told in its place.
#[test]
fn a_loss_is_told() {
    let mut rig = rig();
    type_in(&mut rig, b"\x141");
    send(&mut rig, 1, &vec![b'.'; crate::channel::KEPT + 7]);
    heard(&mut rig);
    asked_again(&mut rig);
    let heard = heard(&mut rig);
    assert!(heard.contains(&(Some(CONTROL), b"l\x01\x07\0\0\0".to_vec())), "{heard:?}");
}

fn asked_again(rig: &mut Rig) {
    type_in(rig, &control(Control::Ask(VERSION)));
}

/// Any cuts, any noise: what the VMs say arrives, each on its own port and in order.
#[test]
fn each_shows_only_its_own() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let mut rig = rig();
        asked_again(&mut rig);
        let mut said = [Vec::new(), Vec::new()];
        for _ in 0..300 {
            let number = random.number();
            let (port, bytes) = ((number >> 60) as usize % 2, number.to_le_bytes());
            let bytes = &bytes[..number as usize % 8];
            said[port].extend(bytes);
            send(&mut rig, port as u32, bytes);
            match number >> 8 & 7 {
                0 => rig.messages().say("evisor: own"),
                1 => type_in(&mut rig, bytes),
                2 => rig.serial().set_room((number >> 16) as usize % 200),
                _ => interrupt(&mut rig),
            }
        }
        rig.serial().set_room(usize::MAX);
        interrupt(&mut rig);
        let heard = heard(&mut rig);
        for (port, said) in (0..).zip(said) {
            let heard = heard.iter().filter(|(who, _)| *who == Some(port)).flat_map(|(_, b)| b);
            assert!(heard.eq(&said), "seed {seed}, port {port}");
        }
        let own = heard.iter().filter(|(who, _)| who.is_none()).flat_map(|(_, b)| b.clone());
        let own = String::from_utf8(own.collect()).expect("text");
        assert_eq!(own.replace("evisor: own\r\n", ""), "", "seed {seed}");
    }
}
