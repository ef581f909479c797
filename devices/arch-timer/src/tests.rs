//! Checked against DDI 0487 §D12.2 and §D19.12.

use crate::spec::{CNTP_CTL, CNTP_CVAL, CNTP_TVAL, CNTPCT};
use evisor_contract::{LineState, Register, Reply};
use evisor_testkit::{Event, Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const ENABLE: u64 = 1;
const IMASK: u64 = 2;
const ISTATUS: u64 = 4;

/// <1 11 4> and <1 14 4>.
fn both() -> Vec<u8> {
    [1, 11, 4, 1, 14, 4].into_iter().flat_map(u32::to_be_bytes).collect()
}

fn setup(vcpus: usize) -> Setup {
    Setup { properties: vec![("interrupts", both())], vcpus, ..Setup::default() }
}

fn rig(vcpus: usize) -> Rig {
    let mut rig = Rig::with("arm,armv8-timer", &setup(vcpus));
    rig.advance(1000);
    rig
}

fn only_virtual() -> Setup {
    let virt: Vec<u8> = both().into_iter().take(12).collect();
    Setup { properties: vec![("interrupts", virt)], lines: Some(1), ..Setup::default() }
}

fn get(rig: &mut Rig, register: Register) -> u64 {
    let reply = rig.read_register(register);
    assert_eq!(reply, Reply::value(reply.value), "{register:?}");
    reply.value
}

fn set(rig: &mut Rig, register: Register, value: u64) {
    assert_eq!(rig.write_register(register, value), Reply::DONE, "{register:?}");
}

/// The encodings (§D19.12), as the assembler's names give them.
#[test]
fn encodings() {
    let fields = [CNTPCT, CNTP_TVAL, CNTP_CTL, CNTP_CVAL].map(Register::fields);
    assert_eq!(fields, [(3, 3, 14, 0, 1), (3, 3, 14, 2, 0), (3, 3, 14, 2, 1), (3, 3, 14, 2, 2)]);
}

#[test]
fn the_virtual_timer_is_linked_to_the_hardware() {
    assert_eq!(rig(1).hardware_lines(), [(0, 27)]);
    assert_eq!(Rig::with("arm,armv8-timer", &only_virtual()).hardware_lines(), [(0, 27)]);
}

/// CNTPCT_EL0 is the VM's count and cannot be written.
#[test]
fn the_count_is_the_vms() {
    for setup in [setup(1), only_virtual()] {
        let mut rig = Rig::with("arm,armv8-timer", &setup);
        rig.advance(12_345);
        assert_eq!(rig.read_register(CNTPCT), Reply::value(12_345));
        assert_eq!(rig.write_register(CNTPCT, 0), Reply::ABSENT);
    }
}

#[test]
fn without_its_interrupt_there_is_no_physical_timer() {
    let mut rig = Rig::with("arm,armv8-timer", &only_virtual());
    for register in [CNTP_TVAL, CNTP_CTL, CNTP_CVAL] {
        assert_eq!(rig.read_register(register), Reply::ABSENT, "{register:?}");
        assert_eq!(rig.write_register(register, 1), Reply::ABSENT, "{register:?}");
    }
    assert_eq!(rig.events(), []);
}

/// The ranges hold encodings that are no registers.
#[test]
fn what_is_between_is_undefined() {
    let mut rig = rig(1);
    for (crm, op2) in [(1, 1), (0, 0), (0, 2), (0, 5), (2, 3), (3, 1)] {
        let register = Register::new(3, 3, 14, crm, op2);
        assert_eq!(rig.read_register(register), Reply::ABSENT, "CRm {crm}, Op2 {op2}");
        assert_eq!(rig.write_register(register, 1), Reply::ABSENT, "CRm {crm}, Op2 {op2}");
    }
}

/// CNTP_CTL_EL0: (written, compare value's distance from the count, read, line).
#[test]
fn control_and_line() {
    let table = [
        (0, 0, 0, false),
        (ENABLE, 1, ENABLE, false),
        (ENABLE, 0, ENABLE | ISTATUS, true),
        (ENABLE, -1, ENABLE | ISTATUS, true),
        (ENABLE | IMASK, 0, ENABLE | IMASK | ISTATUS, false),
        (ENABLE | IMASK, 1, ENABLE | IMASK, false),
        (IMASK, 0, IMASK, false),
        (u64::MAX, 1, ENABLE | IMASK, false), // ISTATUS is read-only, the rest RES0
        (!ENABLE, 0, IMASK, false),
    ];
    for (written, distance, read, line) in table {
        let mut rig = rig(1);
        set(&mut rig, CNTP_CVAL, 1000_u64.wrapping_add_signed(distance));
        set(&mut rig, CNTP_CTL, written);
        assert_eq!(get(&mut rig, CNTP_CTL), read, "{written:#x} at {distance}");
        assert_eq!(rig.line(1), line, "{written:#x} at {distance}");
        assert!(!rig.line(0), "the virtual timer's");
    }
}

/// The TimerValue view: 32 bits with a sign.
#[test]
fn timer_value() {
    let mut rig = rig(1);
    for (written, compare, read) in [
        (500, 1500, 500),
        (0xffff_fe0c, 500, 0xffff_fe0c), // -500
        (0x7fff_ffff, 0x8000_03e7, 0x7fff_ffff),
        (0x8000_0000, 0xffff_ffff_8000_03e8, 0x8000_0000),
        (0xffff_ffff_0000_0001, 1001, 1), // the upper half is ignored
    ] {
        set(&mut rig, CNTP_TVAL, written);
        assert_eq!(get(&mut rig, CNTP_CVAL), compare, "{written:#x}");
        assert_eq!(get(&mut rig, CNTP_TVAL), read, "{written:#x}");
    }
    set(&mut rig, CNTP_CVAL, 0x5_0000_0000);
    assert_eq!(get(&mut rig, CNTP_TVAL), 0xffff_fc18, "the lower half of the distance");
    rig.advance(1);
    assert_eq!(get(&mut rig, CNTP_TVAL), 0xffff_fc17, "it counts down");
}

/// §D12.2.4: the count is compared as an unsigned number.
#[test]
fn a_compare_value_near_the_end_is_never_met() {
    let mut rig = rig(1);
    set(&mut rig, CNTP_CTL, ENABLE);
    for compare in [u64::MAX, u64::MAX - 1, 1 << 63] {
        set(&mut rig, CNTP_CVAL, compare);
        assert_eq!(get(&mut rig, CNTP_CTL), ENABLE, "{compare:#x}");
    }
}

#[test]
fn it_fires_when_it_is_due_and_not_before() {
    let mut rig = rig(1);
    set(&mut rig, CNTP_TVAL, 100);
    assert_eq!(rig.deadline(), None, "it is off");
    set(&mut rig, CNTP_CTL, ENABLE);
    assert_eq!(rig.deadline(), Some(1100));
    rig.advance(99);
    assert!(!rig.line(1));
    rig.advance(1);
    assert!(rig.line(1));
    assert_eq!(rig.deadline(), None, "a level stays by itself");
    set(&mut rig, CNTP_TVAL, 100);
    assert!(!rig.line(1), "a later compare value takes it down");
    assert_eq!(rig.deadline(), Some(1200));
    set(&mut rig, CNTP_CTL, ENABLE | IMASK);
    assert_eq!(rig.deadline(), None, "masked");
    rig.advance(100);
    assert!(!rig.line(1));
    set(&mut rig, CNTP_CTL, ENABLE);
    assert!(rig.line(1), "unmasked");
    set(&mut rig, CNTP_CTL, 0);
    assert!(!rig.line(1), "off");
}

/// A deadline that nobody asked for does no harm.
#[test]
fn early_deadlines() {
    let mut rig = rig(1);
    set(&mut rig, CNTP_TVAL, 100);
    set(&mut rig, CNTP_CTL, ENABLE);
    assert_eq!(rig.notify(evisor_contract::tag::DEADLINE, 0), Reply::DONE);
    assert!(!rig.line(1));
    assert_eq!(rig.deadline(), Some(1100));
    assert_eq!(rig.notify(7, 0), Reply::ABSENT, "no tag of its own");
}

/// Every vCPU has its own timer, and is told itself.
#[test]
fn one_a_vcpu() {
    let mut rig = rig(3);
    for vcpu in 0..3 {
        rig.switch_to(vcpu);
        set(&mut rig, CNTP_CVAL, 2000 + vcpu as u64);
        set(&mut rig, CNTP_CTL, ENABLE);
    }
    rig.switch_to(1);
    assert_eq!(get(&mut rig, CNTP_CVAL), 2001);
    set(&mut rig, CNTP_CTL, 0);
    rig.events();
    let up = |events: Vec<Event>| {
        let up = Event::Line { index: 1, state: LineState::High };
        events.into_iter().filter(|event| *event == up).count()
    };
    rig.advance(1000);
    assert_eq!(up(rig.events()), 1, "the first one's, which is not here");
    rig.advance(2);
    assert_eq!(up(rig.events()), 2, "the third one's, and the first's again, which is up");
    for (vcpu, control) in [(0, ENABLE | ISTATUS), (1, 0), (2, ENABLE | ISTATUS)] {
        rig.switch_to(vcpu);
        assert_eq!(get(&mut rig, CNTP_CTL), control, "vCPU {vcpu}");
    }
    rig.switch_to(3);
    assert_eq!(rig.read_register(CNTP_CTL), Reply::ABSENT, "there is no such vCPU");
}

#[test]
fn reset_turns_it_off() {
    let mut rig = rig(2);
    rig.switch_to(1);
    set(&mut rig, CNTP_CVAL, 1);
    set(&mut rig, CNTP_CTL, ENABLE | IMASK);
    rig.reset();
    assert_eq!((get(&mut rig, CNTP_CTL), get(&mut rig, CNTP_CVAL)), (0, 0));
}

#[test]
fn saved_and_restored_it_goes_on_alike() {
    save_and_restore("arm,armv8-timer", &setup(1));
    save_and_restore("arm,armv8-timer", &setup(3));
    save_and_restore("arm,armv8-timer", &only_virtual());
}

#[test]
fn foreign_states_are_refused() {
    refuses_foreign_state("arm,armv8-timer", &setup(2));
    let state = rig(2).save();
    assert!(rig(1).restore(&state).is_err(), "another number of vCPUs");
    let mut odd = state;
    odd[24] = 4;
    assert!(rig(2).restore(&odd).is_err(), "ISTATUS is not a state");
}

#[test]
fn guest_node() {
    let virt: Vec<u8> = both().into_iter().take(12).collect();
    let expected = "always-on\ncompatible = \"arm,armv8-timer\"\ninterrupt-names = \"virt\"";
    assert_eq!(describe(rig(1).declaration(), &[("interrupts", &virt)]), expected);
    let expected = "\
always-on
compatible = \"arm,armv8-timer\"
interrupt-names = \"sec-phys\", \"phys\", \"virt\", \"hyp-phys\"
interrupts = <0x1 0xd 0x4 0x1 0xe 0x4 0x1 0xb 0x4 0x1 0xa 0x4>";
    assert_eq!(describe(rig(1).declaration(), &[("interrupts", &both())]), expected);
}
