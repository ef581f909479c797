//! Several consoles on a plain terminal.

use super::{drain, events, interrupt, send, told};
use crate::CHANNEL_HIGH;
use crate::channel::KEPT;
use crate::view::FIFO;
use evisor_contract::frames::{Control, VERSION, write};
use evisor_contract::tag;
use evisor_testkit::{Event, Rig, Setup};

const PREFIX: u8 = 0x14;
const GREETING: &str = "evisor: 2 consoles; Ctrl-T ? for help\r\n";

/// Two VMs, the first with two ports: 0, 1 and 2.
fn rig() -> Rig {
    let mut rig = Rig::new("evisor,console");
    rig.connect_of(0, Some("first"));
    rig.connect_of(1, Some("first"));
    rig.connect_of(2, Some("second"));
    interrupt(&mut rig);
    assert_eq!(written(&mut rig), GREETING);
    rig
}

/// Whatever takes time has come, and all is on the line.
fn settle(rig: &mut Rig) {
    drain(rig);
    rig.advance(300_000);
    while rig.serial().interrupts_when_writable() || rig.deadline().is_some() {
        interrupt(rig);
        rig.advance(300_000);
    }
}

fn sent(rig: &mut Rig) -> String {
    String::from_utf8(rig.serial().take_sent()).expect("text")
}

/// What is on the line before any time passes.
fn written(rig: &mut Rig) -> String {
    drain(rig);
    sent(rig)
}

fn shown(rig: &mut Rig) -> String {
    settle(rig);
    sent(rig)
}

fn keys(rig: &mut Rig, keys: &[u8]) {
    rig.serial().type_in(keys);
    while rig.serial().unread() != 0 {
        interrupt(rig);
    }
}

fn command(rig: &mut Rig, key: u8) -> String {
    keys(rig, &[PREFIX, key]);
    shown(rig)
}

fn arrived(rig: &mut Rig) -> Vec<(u32, String)> {
    let input = |event| match event {
        Event::Input { port, bytes } => Some((port, String::from_utf8(bytes).expect("text"))),
        _ => None,
    };
    events(rig).into_iter().filter_map(input).collect()
}

#[test]
fn each_line_has_its_vms_name() {
    let mut rig = rig();
    send(&mut rig, 0, b"one\r\n");
    send(&mut rig, 2, b"two\r\nthree\n");
    send(&mut rig, 1, b"four\n");
    assert_eq!(shown(&mut rig), "first| one\r\nsecond| two\r\nfirst| four\r\nsecond| three\r\n");
}

#[test]
fn the_selected_ones_prompt_is_shown_at_once_and_the_others_when_it_stays() {
    let mut rig = rig();
    send(&mut rig, 0, b"~ # ");
    assert_eq!(written(&mut rig), "first| ~ # ");
    send(&mut rig, 2, b"login: ");
    rig.advance(100_000);
    assert_eq!(written(&mut rig), "", "its rest may be on the way");
    rig.advance(100_000);
    rig.advance(200_000);
    assert_eq!(written(&mut rig), "\r\nsecond| login: \r\n");
    send(&mut rig, 0, b"l");
    assert_eq!(written(&mut rig), "first| l");
}

/// A line of a VM that others wait for is not waited for long.
#[test]
fn nobody_comes_into_a_line_whose_end_is_on_its_way() {
    let mut rig = rig();
    send(&mut rig, 0, b"half a li");
    send(&mut rig, 2, b"another\n");
    rig.messages().say("evisor: own");
    interrupt(&mut rig);
    send(&mut rig, 0, b"ne\n");
    let text = shown(&mut rig);
    assert_eq!(text, "first| half a line\r\nsecond| another\r\nevisor: own\r\n");
    send(&mut rig, 0, b"prompt> ");
    send(&mut rig, 2, b"again\n");
    rig.advance(50_000);
    assert_eq!(written(&mut rig), "first| prompt> \r\nsecond| again\r\n");
}

#[test]
fn evisors_own_lines_are_whole_and_between_lines() {
    let mut rig = rig();
    assert!(rig.messages().are_kept());
    send(&mut rig, 2, b"no end of this");
    rig.messages().say(&format!("evisor: {}", "x".repeat(100)));
    rig.messages().say("evisor: y");
    interrupt(&mut rig);
    let own = format!("evisor: {}\r\nevisor: y\r\n", "x".repeat(100));
    assert_eq!(shown(&mut rig), format!("{own}second| no end of this\r\n"));
}

/// As many VMs as a board has memory for.
#[test]
fn forty_ports_are_heard() {
    let mut rig = Rig::new("evisor,console");
    (0..40).for_each(|port| rig.connect_of(port, Some(&format!("vm{port}"))));
    (0..40).for_each(|port| send(&mut rig, port, format!("this is {port}\n").as_bytes()));
    let text = shown(&mut rig);
    (0..40).for_each(|port| {
        assert!(text.contains(&format!("vm{port}| this is {port}\r\n")), "{text}")
    });
}

/// A command comes behind the line, not into it.
#[test]
fn a_command_does_not_cut_evisors_own_line() {
    let mut rig = rig();
    rig.serial().set_room(1);
    rig.messages().say(&format!("evisor: {}", "x".repeat(100)));
    interrupt(&mut rig);
    keys(&mut rig, &[PREFIX, b'2']);
    rig.serial().set_room(usize::MAX);
    settle(&mut rig);
    let own = format!("evisor: {}", "x".repeat(100));
    assert_eq!(written(&mut rig), format!("{own}\r\nevisor: second is shown and typed to\r\n"));
}

#[test]
fn typed_bytes_go_to_the_selected_one_and_the_prefix_is_typed_twice() {
    let mut rig = rig();
    keys(&mut rig, b"a\x01b\x1dc");
    keys(&mut rig, &[b'd', PREFIX, PREFIX, b'e', PREFIX, b'2', b'f']);
    let wanted = [(0, "a\x01b\x1dc"), (0, "d\x14e"), (2, "f")];
    assert_eq!(arrived(&mut rig), wanted.map(|(port, text)| (port, text.to_owned())));
}

#[test]
fn the_one_that_is_selected_has_the_line_as_it_is() {
    let mut rig = rig();
    let switched = command(&mut rig, b'2');
    assert_eq!(switched, "evisor: second is shown and typed to\r\n");
    send(&mut rig, 0, b"kept\x1b[31m\r\nmore");
    send(&mut rig, 2, b"\x1b[2Jraw\xff\x00\r");
    settle(&mut rig);
    assert_eq!(rig.serial().take_sent(), b"\x1b[2Jraw\xff\x00\r");
    let back = command(&mut rig, b'p');
    assert!(back.starts_with("\r\n\x1b\\\x1b[!p\x1b[0m"), "{back:?}");
    assert!(
        back.ends_with("evisor: first is shown and typed to\r\nkept\x1b[31m\r\nmore"),
        "{back:?}"
    );
    assert!(!back.contains("raw"));
}

/// What is left of a sequence ends before eVisor speaks.
#[test]
fn a_sequence_that_is_not_finished_does_not_swallow_a_notice() {
    let mut rig = rig();
    command(&mut rig, b'1');
    send(&mut rig, 0, b"\x1b]0;title");
    rig.messages().say("evisor: own");
    interrupt(&mut rig);
    assert_eq!(shown(&mut rig), "\x1b]0;title\x1b\\\r\nevisor: own\r\n");
}

#[test]
fn nobody_blocks_a_vm_that_is_not_watched_and_what_is_lost_is_told() {
    let mut rig = rig();
    command(&mut rig, b'1');
    let text: Vec<u8> = (0..KEPT + 100).map(|n| b'a' + (n % 26) as u8).collect();
    send(&mut rig, 2, &text);
    assert_eq!(events(&mut rig), [], "it is never told to stop");
    let list = command(&mut rig, b'l');
    assert_eq!(
        list,
        ">1 first: 0 unread, 0 lost\r\n 2 second: 12288 unread, 100 lost\r\n"
            .replace('>', "evisor: >")
            .replace("\r\n ", "\r\nevisor:  ")
    );
    let replay = command(&mut rig, b'n');
    let notice = "second is shown and typed to\r\nevisor: second: 100 bytes were lost here\r\n";
    let (_, kept) = replay.split_once(notice).expect("a notice before it");
    assert_eq!(kept.as_bytes(), &text[100..]);
}

#[test]
fn one_that_is_watched_is_stopped_and_nothing_of_it_is_lost() {
    let mut rig = rig();
    rig.serial().set_room(0);
    let text = vec![b'.'; CHANNEL_HIGH + 200];
    send(&mut rig, 2, &text);
    assert_eq!(events(&mut rig), [told(2, tag::CONSOLE_FULL)]);
    send(&mut rig, 0, b"others are not stopped\n");
    assert_eq!(events(&mut rig), []);
    rig.serial().set_room(usize::MAX);
    let text = shown(&mut rig);
    assert_eq!(text.matches('.').count(), CHANNEL_HIGH + 200);
    assert_eq!(events(&mut rig), [told(2, tag::CONSOLE_READY)]);
}

#[test]
fn one_that_is_left_may_go_on() {
    let mut rig = rig();
    command(&mut rig, b'2');
    rig.serial().set_room(0);
    send(&mut rig, 2, &vec![b'.'; CHANNEL_HIGH + 200]);
    assert_eq!(events(&mut rig), [told(2, tag::CONSOLE_FULL)]);
    keys(&mut rig, &[PREFIX, b'1']);
    assert_eq!(events(&mut rig), [told(2, tag::CONSOLE_READY)]);
}

/// What became of a VM is said behind its last words, but not for ever.
#[test]
fn evisors_own_lines_come_behind_what_was_said_and_before_the_end_of_a_flood() {
    let mut rig = rig();
    send(&mut rig, 2, b"last words\n");
    rig.messages().say("evisor: off");
    assert_eq!(shown(&mut rig), "second| last words\r\nevisor: off\r\n");
    rig.serial().set_room(0);
    send(&mut rig, 0, &b"flood\n".repeat(2000));
    rig.serial().set_room(usize::MAX);
    rig.messages().say("evisor: own");
    let text = shown(&mut rig);
    let before = text.split_once("evisor: own").expect("it is said").0;
    assert!(before.matches("flood").count() <= 64, "{before}");
}

/// One that floods gets every other turn.
#[test]
fn a_flood_keeps_nobody_out() {
    for flooder in [0, 2] {
        let mut rig = rig();
        rig.serial().set_room(0);
        send(&mut rig, flooder, &b"flood\n".repeat(2000));
        send(&mut rig, 2 - flooder, &b"calm\n".repeat(20));
        rig.serial().set_room(usize::MAX);
        let mut text = String::new();
        while text.matches("calm").count() < 20 {
            interrupt(&mut rig);
            let now = sent(&mut rig);
            assert!(now.len() <= FIFO);
            text.push_str(&now);
        }
        let floods = text.matches("flood").count();
        assert!(floods <= 30, "{floods} lines before the twentieth of the other");
    }
}

#[test]
fn commands_that_are_none_and_consoles_that_are_not_there() {
    let mut rig = rig();
    for (key, answer) in [
        (b'x', "no such command; ? lists them"),
        (b'3', "there is no such console; l lists them"),
        (b'0', "there is no such console; l lists them"),
        (b'm', "there is no monitor in this deployment"),
    ] {
        assert_eq!(command(&mut rig, key), format!("evisor: {answer}\r\n"));
    }
    assert!(command(&mut rig, b'?').starts_with(GREETING));
    keys(&mut rig, b"still the first's");
    assert_eq!(arrived(&mut rig), [(0, "still the first's".to_owned())]);
}

#[test]
fn the_monitor_is_reached_by_its_key() {
    let mut rig = rig();
    rig.connect_of(3, None);
    interrupt(&mut rig);
    assert_eq!(written(&mut rig), GREETING);
    assert_eq!(command(&mut rig, b'3'), "evisor: there is no such console; l lists them\r\n");
    assert!(command(&mut rig, b'm').ends_with("evisor: monitor is shown and typed to\r\n"));
    keys(&mut rig, b"vms\r");
    assert_eq!(arrived(&mut rig), [(3, "vms\r".to_owned())]);
    assert!(command(&mut rig, b'l').contains("evisor: >m monitor: 0 unread"));
    assert!(command(&mut rig, b'n').ends_with("first is shown and typed to\r\n"));
}

#[test]
fn one_vm_and_the_monitor_begin_with_the_vm() {
    let mut rig = Rig::new("evisor,console");
    rig.connect_of(0, None);
    rig.connect_of(1, Some("only"));
    send(&mut rig, 0, b"monitor> ");
    send(&mut rig, 1, b"\x1b[1mraw");
    assert_eq!(shown(&mut rig), "\x1b[1mraw");
    keys(&mut rig, b"x");
    assert_eq!(arrived(&mut rig), [(1, "x".to_owned())]);
    assert!(command(&mut rig, b'm').ends_with("typed to\r\nmonitor> "));
}

#[test]
fn all_or_one_is_a_toggle() {
    let mut rig = rig();
    assert!(command(&mut rig, b'a').ends_with("first is shown and typed to\r\n"));
    send(&mut rig, 2, b"kept\n");
    let all = command(&mut rig, b'a');
    assert!(all.ends_with("evisor: all are shown; first is typed to\r\nsecond| kept\r\n"), "{all}");
}

/// Three VMs and the monitor, of which the manifest wants one to be shown.
fn rig_that_shows(name: &str) -> Rig {
    let shown = ("evisor,shown", [name.as_bytes(), b"\0"].concat());
    let setup = Setup { properties: vec![shown], ..Setup::default() };
    let mut rig = Rig::with("evisor,console", &setup);
    rig.connect_of(0, None);
    rig.connect_of(1, Some("first"));
    rig.connect_of(2, Some("second"));
    rig.connect_of(3, Some("third"));
    interrupt(&mut rig);
    rig
}

#[test]
fn the_one_that_the_manifest_names_is_shown_alone_at_first() {
    let mut rig = rig_that_shows("second");
    let greeting = "evisor: 3 consoles; Ctrl-T ? for help\r\n";
    let named = "evisor: second is shown and typed to\r\n";
    assert_eq!(written(&mut rig), [greeting, named].concat());
    send(&mut rig, 1, b"kept\n");
    send(&mut rig, 2, b"\x1b[1m~ # ");
    send(&mut rig, 3, b"kept too\n");
    rig.messages().say("evisor: own");
    assert_eq!(shown(&mut rig), "\x1b[1m~ # \r\nevisor: own\r\n");
    keys(&mut rig, b"ls");
    assert_eq!(arrived(&mut rig), [(2, "ls".to_owned())]);
    assert!(command(&mut rig, b'3').ends_with("third is shown and typed to\r\nkept too\n"));
    let all = command(&mut rig, b'a');
    assert!(all.ends_with("evisor: all are shown; third is typed to\r\nfirst| kept\r\n"), "{all}");
}

/// It may have no console here, and the monitor is none of them.
#[test]
fn all_are_shown_where_the_one_that_the_manifest_names_is_not() {
    for name in ["fourth", "monitor", ""] {
        let mut rig = rig_that_shows(name);
        assert_eq!(written(&mut rig), "evisor: 3 consoles; Ctrl-T ? for help\r\n");
        send(&mut rig, 2, b"two\n");
        assert_eq!(shown(&mut rig), "second| two\r\n");
        keys(&mut rig, b"x");
        assert_eq!(arrived(&mut rig), [(1, "x".to_owned())]);
    }
}

#[test]
fn a_host_that_asks_for_frames_has_them_though_one_is_to_be_shown() {
    let mut rig = rig_that_shows("second");
    written(&mut rig);
    let mut ask = Vec::new();
    Control::Ask(VERSION).write(&mut |byte| ask.push(byte));
    keys(&mut rig, &ask);
    settle(&mut rig);
    rig.serial().take_sent();
    send(&mut rig, 3, b"third");
    settle(&mut rig);
    let mut frame = Vec::new();
    write(3, b"third", &mut |byte| frame.push(byte));
    assert_eq!(rig.serial().take_sent(), frame);
}

#[test]
fn another_prefix_and_a_wider_terminal() {
    let setup = Setup {
        properties: vec![
            ("evisor,prefix-key", vec![0, 0, 0, 0x1c]),
            ("evisor,columns", vec![0, 0, 0, 100]),
        ],
        ..Setup::default()
    };
    let mut rig = Rig::with("evisor,console", &setup);
    rig.connect_of(0, Some("first"));
    rig.connect_of(1, Some("second"));
    interrupt(&mut rig);
    assert_eq!(written(&mut rig), "evisor: 2 consoles; Ctrl-\\ ? for help\r\n");
    keys(&mut rig, b"\x14\x1cn");
    assert_eq!(arrived(&mut rig), [(0, "\x14".to_owned())]);
    keys(&mut rig, b"\x1ca");
    shown(&mut rig);
    send(&mut rig, 0, &[b'w'; 150]);
    send(&mut rig, 0, b"\n");
    let text = shown(&mut rig);
    let lengths: Vec<_> = text.lines().map(str::len).collect();
    assert_eq!(lengths, [100, 7 + 150 - 93]);
}

#[test]
fn one_vm_with_two_ports_is_as_if_it_had_one() {
    let mut rig = Rig::new("evisor,console");
    rig.connect_of(0, Some("only"));
    rig.connect_of(1, Some("only"));
    send(&mut rig, 0, b"\x1b[1m");
    send(&mut rig, 1, b"b");
    assert_eq!(rig.serial().take_sent(), b"\x1b[1mb");
    keys(&mut rig, &[PREFIX, b'?']);
    assert_eq!(arrived(&mut rig), [(0, "\x14?".to_owned())]);
    assert!(!rig.messages().are_kept());
}
