//! The monitor between a fake console and two VMs that are not there.

use evisor_contract::{Bytes, Level, Messages, Status, VmEvent, tag};
use evisor_testkit::{Event, Rig, Setup};
use proptest::prelude::*;

fn rig() -> Rig {
    Rig::new("evisor,monitor")
}

/// What it says until it waits for a key, and what else it does.
fn settle(rig: &mut Rig) -> (String, Vec<Event>) {
    let (mut said, mut rest) = (Vec::new(), Vec::new());
    for _ in 0..2000 {
        for event in rig.events() {
            match event {
                Event::Console(bytes) => said.extend(bytes),
                Event::Deadline(_) => {}
                other => rest.push(other),
            }
        }
        if rig.deadline().is_none() {
            return (String::from_utf8(said).unwrap(), rest);
        }
        rig.advance(1000);
    }
    panic!("it does not come to an end");
}

fn type_in(rig: &mut Rig, text: &str) -> (String, Vec<Event>) {
    for piece in text.as_bytes().chunks(Bytes::MOST) {
        assert_eq!(rig.notify_with(tag::CONSOLE_INPUT, 0, piece).status, Status::Done);
    }
    settle(rig)
}

/// The answer to one line: without its echo, the greeting and the prompt behind.
fn ask(rig: &mut Rig, line: &str) -> (String, Vec<Event>) {
    type_in(rig, "\r");
    let (said, events) = type_in(rig, &format!("{line}\r"));
    let answer = said.strip_prefix(line).and_then(|said| said.strip_prefix("\r\n"));
    let answer = answer.and_then(|answer| answer.strip_suffix("> "));
    let answer = answer.unwrap_or_else(|| panic!("{said:?}"));
    assert!(!answer.replace("\r\n", "").contains(['\r', '\n']), "{answer:?}");
    (answer.replace("\r\n", "\n"), events)
}

fn answer(line: &str) -> String {
    ask(&mut rig(), line).0
}

#[test]
fn it_greets_whom_the_console_announces_once() {
    let mut rig = rig();
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    assert_eq!(settle(&mut rig).0, "eVisor's monitor; help lists what it knows\r\n> ");
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    assert_eq!(settle(&mut rig).0, "");
}

#[test]
fn every_command_has_its_answer() {
    let answers = [
        (
            "help",
            "\
help                        this
vms                         the VMs: state, vCPUs, memory, what was refused
vm VM                       its vCPUs: power, core, PC; its memory
routes VM                   its capabilities: names, rights, uses, objects
interrupts VM               its physical interrupts, and how many came
stop VM                     turns it off, for good
reset VM                    what its manifest has for a reset
log [error|warning|info]    which of eVisor's own lines are written
",
        ),
        (
            "vms",
            "\
VM              state     vCPUs  memory     refused
linux           on        2      262148 KiB 2
lab             off       1      2 MiB      1
",
        ),
        (
            "vm linux",
            "\
vCPU 0, affinity 0x0, core 0: on, at 0xffff800008012345, refused 2
vCPU 1, affinity 0x1, core 1: off, refused 0
memory 0x40000000, 256 MiB
memory 0x60000000, 4 KiB, read-only
",
        ),
        (
            "routes linux",
            "\
memory    0x9000000-0x9000fff         rw    1234 uses     /linux/serial@9000000
memory    0x9010000-0x9010fff         r     0 uses        /linux/serial@9000000
register  S3_0_C12_C11_5              rw    7 uses        /linux/intc@8000000
call      0x84000000-0x8400001f       x     3 uses        /linux/psci
interrupt 26                          i     99 uses       eVisor's own
interrupt 27                          i     5 uses        /linux/intc@8000000
",
        ),
        (
            "interrupts linux",
            "\
interrupt 26                          i     99 uses       eVisor's own
interrupt 27                          i     5 uses        /linux/intc@8000000
",
        ),
        ("routes lab", ""),
        ("stop linux", "linux is to stop\n"),
        ("reset linux", "linux is to reset\n"),
        ("stop lab", "lab is off\n"),
        ("log", "info\n"),
        ("log error", "error\n"),
        ("", ""),
    ];
    for (line, wanted) in answers {
        assert_eq!(answer(line), wanted, "{line}");
    }
    assert_eq!(answer("?"), answers[0].1);
}

#[test]
fn nonsense_gets_a_line_of_help() {
    let answers = [
        ("bogus", "there is no command bogus; help lists them\n"),
        ("vmsx linux", "there is no command vmsx; help lists them\n"),
        ("vm nobody", "there is no VM nobody; vms lists them\n"),
        ("vm", "write it as: vm VM\n"),
        ("vm linux lab", "write it as: vm VM\n"),
        ("vms linux", "write it as: vms\n"),
        ("log loud", "write it as: log [error|warning|info]\n"),
        ("stop", "write it as: stop VM\n"),
    ];
    for (line, wanted) in answers {
        let (said, events) = ask(&mut rig(), line);
        assert_eq!((said.as_str(), events), (wanted, vec![]), "{line}");
    }
}

#[test]
fn a_change_goes_to_the_vm_that_was_named_and_to_no_other() {
    let event = |vm, event| vec![Event::Overseen { vm, event }];
    assert_eq!(ask(&mut rig(), "stop linux").1, event(0, VmEvent::Off));
    assert_eq!(ask(&mut rig(), "reset linux").1, event(0, VmEvent::Reset));
    assert_eq!(ask(&mut rig(), "reset lab").1, []);
}

#[test]
fn without_the_control_right_there_is_nothing_but_looking() {
    let setup = Setup { control: false, ..Setup::default() };
    for line in ["stop linux", "reset linux", "log error"] {
        let mut rig = Rig::with("evisor,monitor", &setup);
        let (said, events) = ask(&mut rig, line);
        assert!(said.starts_with("there is no command"), "{said}");
        assert_eq!(events, []);
        assert_eq!(rig.messages().level(), Level::Info);
    }
    let help = ask(&mut Rig::with("evisor,monitor", &setup), "help").0;
    assert_eq!(help.lines().count(), 5);
}

#[test]
fn the_log_level_is_the_one_that_was_asked_for() {
    let mut rig = rig();
    ask(&mut rig, "log warning");
    assert_eq!(rig.messages().level(), Level::Warning);
    assert_eq!(ask(&mut rig, "log").0, "warning\n");
}

#[test]
fn vcpus_are_looked_at_before_they_are_told_of() {
    assert_eq!(ask(&mut rig(), "vms").1, [Event::Looked(0), Event::Looked(1)]);
    assert_eq!(ask(&mut rig(), "vm lab").1, [Event::Looked(1)]);
    let mut rig = rig();
    type_in(&mut rig, "\r");
    let _ = rig.notify_with(tag::CONSOLE_INPUT, 0, b"vm lab\r");
    rig.advance(4000);
    let early = rig.events().into_iter().filter(|event| matches!(event, Event::Console(_)));
    let early: Vec<_> = early.collect();
    assert_eq!(early, [Event::Console(b"vm lab\r\n".to_vec())]);
    assert!(settle(&mut rig).0.starts_with("vCPU 0"));
}

#[test]
fn the_line_is_edited() {
    let keys = [
        ("bux\x7f\x08ogus\r", "there is no command bogus"),
        ("nothing\x15vm\r", "write it as: vm VM"),
        ("nothing\x03vm\r", "write it as: vm VM"),
        ("first\rsecond\r\x1b[A\x1b[A\r", "there is no command first"),
        ("first\rsecond\r\x10\x10\x0e\r", "there is no command second"),
        ("lo\tw\t\r", "warning"),
        ("vm li\t\r", "vCPU 0"),
        ("rou\tlin\t\r", "memory"),
        ("int\tlin\t\r", "interrupt 26"),
    ];
    for (typed, wanted) in keys {
        let mut rig = rig();
        type_in(&mut rig, "\r");
        let (said, _) = type_in(&mut rig, typed);
        let last = said.rsplit("\r\n").map(str::to_owned).collect::<Vec<_>>();
        assert!(last.iter().any(|line| line.starts_with(wanted)), "{typed:?}: {said:?}");
    }
}

#[test]
fn what_could_follow_is_listed() {
    let mut rig = rig();
    type_in(&mut rig, "\r");
    assert_eq!(type_in(&mut rig, "v\t").0, "vm");
    assert_eq!(type_in(&mut rig, "\t").0, "\r\nvms vm \r\n> vm");
    assert_eq!(type_in(&mut rig, "\x15vm l\t").0, "\r\x1b[K> vm l\r\nlinux lab \r\n> vm l");
    assert_eq!(type_in(&mut rig, "q\t").0, "q\x07");
}

#[test]
fn an_answer_comes_in_pieces_and_waits_for_the_console() {
    let mut rig = rig();
    type_in(&mut rig, "\r");
    let _ = rig.notify_with(tag::CONSOLE_INPUT, 0, b"help\r");
    let pieces = rig.events().into_iter().filter(|event| matches!(event, Event::Console(_)));
    assert!((1..=crate::PIECES).contains(&pieces.count()));
    let _ = rig.notify(tag::CONSOLE_FULL, 0);
    for _ in 0..100 {
        rig.advance(10_000);
    }
    let said = rig.events().into_iter().any(|event| matches!(event, Event::Console(_)));
    assert!(!said, "it talks to a console that is full");
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    let rest = settle(&mut rig).0;
    assert!(rest.ends_with("written\r\n> "), "{rest}");
}

#[test]
fn ctrl_c_ends_an_answer() {
    let mut rig = rig();
    type_in(&mut rig, "\r");
    let _ = rig.notify_with(tag::CONSOLE_INPUT, 0, b"routes linux\rhelp\r");
    rig.events();
    let said = type_in(&mut rig, "\x03").0;
    assert_eq!(said, "^C\r\n> ");
    assert_eq!(ask(&mut rig, "stop lab").0, "lab is off\n");
}

#[test]
fn what_is_typed_meanwhile_is_not_lost() {
    let mut rig = rig();
    type_in(&mut rig, "\r");
    let said = type_in(&mut rig, "vm lab\rlog\rstop lab\r").0;
    assert!(said.ends_with("> log\r\ninfo\r\n> stop lab\r\nlab is off\r\n> "), "{said}");
}

proptest! {
    #[test]
    fn anything_may_be_typed(pieces: Vec<(Vec<u8>, bool)>) {
        let mut rig = rig();
        for (piece, full) in &pieces {
            for chunk in piece.chunks(Bytes::MOST) {
                let _ = rig.notify_with(tag::CONSOLE_INPUT, 0, chunk);
            }
            if *full {
                let _ = rig.notify(tag::CONSOLE_FULL, 0);
                rig.advance(1000);
                let _ = rig.notify(tag::CONSOLE_READY, 0);
            }
        }
        settle(&mut rig);
        type_in(&mut rig, "\x03\x03");
        prop_assert_eq!(ask(&mut rig, "stop lab").0, "lab is off\n");
    }
}
