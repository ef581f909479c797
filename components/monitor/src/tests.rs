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
vm VM                       its vCPUs: power, core, PC; its exits and memory
routes VM                   its capabilities: names, rights, uses, objects
interrupts VM               its physical interrupts, and how many came
cores                       schedulers, who runs there, how long
crash VM                    its last one: why, registers, exits
start VM                    starts it, if it is off
stop VM                     turns it off
pause VM                    it stands still, and its time
resume VM                   it goes on after a pause
reset VM                    what its manifest has for a reset
checkpoint VM               keeps it as it is now, in the place of the last
rollback VM                 it is what it was at its checkpoint, and goes on
end                         all VMs off for good: with the last, eVisor ends
log [error|warning|info]    which of eVisor's own lines are written
",
        ),
        (
            "vms",
            "\
VM              state     vCPUs  memory     refused
linux           on        2      262148 KiB 2
lab             crashed   1      2 MiB      1
",
        ),
        (
            "vm linux",
            "\
vCPU 0, affinity 0x0, core 0: on, at 0xffff800008012345, refused 2
vCPU 1, affinity 0x1, core 1: off, refused 0
exits: 1234 accesses, 7 registers, 3 calls, 104 interrupts
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
        (
            "cores",
            "\
core 0: no scheduler
  linux vCPU 0: ran 2000 ms, stolen 0 ms
core 1: no scheduler
  linux vCPU 1: ran 4000 ms, stolen 0 ms
core 2: fixed-priority
  lab vCPU 0: ran 2000 ms, stolen 1 ms, priority 9, 200/1000 us
",
        ),
        ("crash linux", "linux did not crash\n"),
        (
            "crash lab",
            "\
vCPU 0: an access was refused, 0x7f00000000
at 0x40080000, PSTATE 0x3c5, 123456789 ns of its time
ESR 0x93000046, FAR 0xffffffffffffffff, HPFAR 0x7f000000f0, refused 1
x0  0x0                  x1  0x1                  x2  0x2
x3  0x3                  x4  0x4                  x5  0x5
x6  0x6                  x7  0x7                  x8  0x8
x9  0x9                  x10 0xa                  x11 0xb
x12 0xc                  x13 0xd                  x14 0xe
x15 0xf                  x16 0x10                 x17 0x11
x18 0x12                 x19 0x13                 x20 0x14
x21 0x15                 x22 0x16                 x23 0x17
x24 0x18                 x25 0x19                 x26 0x1a
x27 0x1b                 x28 0x1c                 x29 0x1d
x30 0xffffffffffffffff
interrupt at 0xffff800008000000       HVC at 0xffff800008000001
store at 0xffff800008000002
",
        ),
        ("start linux", "linux is on\n"),
        ("start lab", "lab is to start\n"),
        ("stop linux", "linux is to stop\n"),
        ("stop lab", "lab is off\n"),
        ("pause linux", "linux is to pause\n"),
        ("pause lab", "lab is off\n"),
        ("resume linux", "linux is on\n"),
        ("resume lab", "lab is off\n"),
        ("reset linux", "linux is to reset\n"),
        ("checkpoint linux", "linux is to be kept\n"),
        ("rollback linux", "linux is to be rolled back\n"),
        ("checkpoint lab", "lab has no evisor,checkpoints in its manifest\n"),
        ("rollback lab", "lab has no evisor,checkpoints in its manifest\n"),
        ("end", "all are to stop for good\n"),
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
        ("end linux", "write it as: end\n"),
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
    assert_eq!(ask(&mut rig(), "pause linux").1, event(0, VmEvent::Pause));
    assert_eq!(ask(&mut rig(), "checkpoint linux").1, event(0, VmEvent::Checkpoint));
    assert_eq!(ask(&mut rig(), "rollback linux").1, event(0, VmEvent::RollBack));
    assert_eq!(ask(&mut rig(), "start lab").1, event(1, VmEvent::Start));
    for line in
        ["reset lab", "checkpoint lab", "rollback lab", "resume lab", "resume linux", "start linux"]
    {
        assert_eq!(ask(&mut rig(), line).1, [], "{line}");
    }
    let end = |vm| Event::Overseen { vm, event: VmEvent::End };
    assert_eq!(ask(&mut rig(), "end").1, [end(0), end(1)]);
}

#[test]
fn without_the_control_right_there_is_nothing_but_looking() {
    let setup = Setup { control: false, ..Setup::default() };
    let changes = ["start lab", "stop linux", "pause linux", "resume linux", "reset linux", "end"];
    for line in changes.into_iter().chain(["log error"]) {
        let mut rig = Rig::with("evisor,monitor", &setup);
        let (said, events) = ask(&mut rig, line);
        assert!(said.starts_with("there is no command"), "{said}");
        assert_eq!(events, []);
        assert_eq!(rig.messages().level(), Level::Info);
    }
    let help = ask(&mut Rig::with("evisor,monitor", &setup), "help").0;
    assert_eq!(help.lines().count(), 7);
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
