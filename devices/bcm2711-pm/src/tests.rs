//! Checked against what Linux's `bcm2835_wdt.c` and `bcm2835-power.c` do.

use crate::spec::offset::*;
use crate::spec::{self, TICKS};
use evisor_contract::{Status, VmEvent, tag};
use evisor_testkit::{Event, Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const COMPATIBLE: [&str; 3] = ["brcm,bcm2711-pm", "brcm,bcm2835-pm", "brcm,bcm2835-pm-wdt"];
const PASSWORD: u64 = 0x5a00_0000;
const FULL_RESET: u64 = 0x20;
const POWER_ON: u64 = 0x1000;
/// The bridge to a BCM2711's 3D core.
const RPIVID: u64 = ASB + spec::ASB;
/// Counts of the rig's clock in a tick of 16 µs.
const TICK: u64 = 16;

fn rig() -> Rig {
    Rig::new(COMPATIBLE[0])
}

fn set(rig: &mut Rig, offset: u64, value: u64) {
    rig.write32(offset, PASSWORD | value);
}

/// As Linux resets, in `ticks`.
fn arm(rig: &mut Rig, ticks: u64) {
    set(rig, WDOG, ticks);
    let rstc = rig.read32(RSTC) & !0x30;
    set(rig, RSTC, rstc | FULL_RESET);
}

fn vm_events(rig: &mut Rig) -> Vec<Event> {
    rig.events().into_iter().filter(|event| matches!(event, Event::Vm(_))).collect()
}

/// Offset, value after reset, what is kept of ones.
#[test]
fn registers_reset_and_hold() {
    let id = u64::from(spec::BRIDGE_ID);
    let table = [
        (0x00, 0, 0xff_ffff),
        (RSTC, 0x102, 0xff_ffff),
        (RSTS, POWER_ON, 0xff_ffff),
        (WDOG, 0, 0xf_ffff),
        (0x5c, 0, 0xff_ffff),
        (IMAGE, 0, 0xff_ffff),
        (GRAFX, 0, 0xff_ffff),
        (PROC, 0, 0xff_ffff),
        (ASB + 0x0c, 0, 0xff_ffff),
        (ASB + BRIDGE_ID, id, id),
        (RPIVID + 0x0c, 0, 0xff_ffff),
        (RPIVID + BRIDGE_ID, id, id),
    ];
    for (offset, reset, ones) in table {
        let mut rig = rig();
        assert_eq!(rig.read32(offset), reset, "reset of {offset:#x}");
        rig.write32(offset, 0xa5ff_ffff);
        rig.write32(offset, 0x00ff_ffff);
        assert_eq!(rig.read32(offset), reset, "without the password: {offset:#x}");
        set(&mut rig, offset, 0xff_ffff);
        assert_eq!(rig.read32(offset), ones, "ones in {offset:#x}");
        rig.reset();
        let after = if offset == RSTS { ones } else { reset };
        assert_eq!(rig.read32(offset), after, "reset again of {offset:#x}");
    }
}

#[test]
fn the_windows_are_the_bindings() {
    let sizes = COMPATIBLE.map(|compatible| {
        let windows = Rig::new(compatible).declaration().needs.windows;
        windows.iter().map(|window| window.size).collect::<Vec<_>>()
    });
    assert_eq!(sizes, [vec![0x114, 0x24, 0x24], vec![0x114, 0x24], vec![0x28]]);
}

/// `__bcm2835_restart`: 10 ticks, then 1 ms of waiting.
#[test]
fn the_watchdog_resets_the_vm() {
    let mut rig = rig();
    set(&mut rig, RSTS, 0);
    arm(&mut rig, 10);
    assert_eq!(rig.deadline(), Some(10 * TICK));
    rig.advance(10 * TICK - 1);
    assert_eq!((rig.read32(WDOG), vm_events(&mut rig)), (1, vec![]));
    rig.advance(1);
    assert_eq!(vm_events(&mut rig), [Event::Vm(VmEvent::Reset)]);
    rig.reset();
    assert_eq!((rig.read32(RSTS), rig.read32(RSTC), rig.read32(WDOG)), (0x20, 0x102, 0));
    rig.advance(1000 * TICK);
    assert_eq!(vm_events(&mut rig), [], "it bites once");
}

/// `bcm2835_power_off`: partition 63 is where the firmware halts. Any other is what
/// the next boot finds.
#[test]
fn the_partition_says_what_a_reset_means() {
    let table = [
        (0x555, VmEvent::Off, POWER_ON),
        (POWER_ON | 0x555, VmEvent::Off, POWER_ON),
        (0x000, VmEvent::Reset, 0x20),
        (0x005, VmEvent::Reset, 0x25),
        (POWER_ON | 0x554, VmEvent::Reset, POWER_ON | 0x574),
    ];
    for (rsts, event, after) in table {
        let mut rig = rig();
        set(&mut rig, RSTS, rsts);
        arm(&mut rig, 1);
        rig.advance(TICK);
        assert_eq!(vm_events(&mut rig), [Event::Vm(event)], "{rsts:#x}");
        rig.reset();
        assert_eq!(rig.read32(RSTS), after, "{rsts:#x}");
    }
}

/// `bcm2835_wdt_start` is also how it is fed, and `bcm2835_wdt_stop` writes 0x102.
#[test]
fn the_watchdog_is_fed_and_stopped() {
    let mut rig = rig();
    arm(&mut rig, 100);
    rig.advance(60 * TICK);
    assert_eq!(rig.read32(WDOG), 40, "bcm2835_wdt_get_timeleft");
    arm(&mut rig, 100);
    rig.advance(60 * TICK);
    assert_eq!(rig.read32(WDOG), 40);
    set(&mut rig, RSTC, 0x122);
    assert_eq!(rig.read32(WDOG), 40, "armed again it goes on");
    set(&mut rig, RSTC, 0x102);
    assert_eq!(rig.deadline(), None);
    rig.advance(1000 * TICK);
    assert_eq!((rig.read32(WDOG), vm_events(&mut rig)), (40, vec![]));
    set(&mut rig, RSTC, 0x112);
    rig.advance(40 * TICK);
    assert_eq!(vm_events(&mut rig), [Event::Vm(VmEvent::Reset)], "any WRCFG but 0 arms");
}

#[test]
fn writes_without_the_password_do_not_arm() {
    let mut rig = rig();
    rig.write32(WDOG, 10);
    rig.write32(RSTC, FULL_RESET);
    rig.advance(1 << 32);
    assert_eq!(rig.events(), []);
}

#[test]
fn a_deadline_that_is_early_does_no_harm() {
    let mut rig = rig();
    arm(&mut rig, u64::from(TICKS));
    rig.events();
    let _ = rig.notify(tag::DEADLINE, 0);
    assert_eq!(rig.events(), [Event::Deadline(Some(u64::from(TICKS) * TICK))]);
    assert_eq!(rig.notify(tag::CONSOLE_INPUT, 0).status, Status::Absent);
}

/// `bcm2835_power_power_on` waits for POWOK and MRDONE.
#[test]
fn domains_come_up_at_once() {
    for offset in [IMAGE, GRAFX, PROC] {
        let mut rig = rig();
        set(&mut rig, offset, 0x2001);
        assert_eq!(rig.read32(offset), 0x2003, "POWOK");
        set(&mut rig, offset, 0x200f);
        assert_eq!(rig.read32(offset), 0x201f, "MRDONE");
        set(&mut rig, offset, 0);
        assert_eq!(rig.read32(offset), 0);
    }
}

/// `bcm2835_asb_control` waits for ACK.
#[test]
fn bridges_stop_at_once() {
    for offset in (ASB + 0x08..ASB + 0x20).step_by(4).chain([RPIVID + 0x08, RPIVID + 0x0c]) {
        let mut rig = rig();
        set(&mut rig, offset, 1);
        assert_eq!(rig.read32(offset), 3, "{offset:#x}");
        set(&mut rig, offset, 2);
        assert_eq!(rig.read32(offset), 0, "{offset:#x}");
    }
}

/// A VM whose node has no right over it stays up.
#[test]
fn without_the_right_nothing_happens() {
    let mut rig = Rig::with(COMPATIBLE[0], &Setup { control: false, ..Setup::default() });
    arm(&mut rig, 1);
    rig.advance(TICK);
    assert!(rig.events().contains(&Event::Refused));
}

#[test]
fn save_and_restore_go_on_alike() {
    for compatible in COMPATIBLE {
        save_and_restore(compatible, &Setup::default());
        refuses_foreign_state(compatible, &Setup::default());
    }
}

#[test]
fn impossible_states_are_refused() {
    let mut rig = rig();
    arm(&mut rig, 10);
    let state = rig.save();
    // RSTC, RSTS, ticks: bits that no register has. RSTC: not armed, but it counts.
    for (at, byte) in [(15, 0x5a), (19, 0x5a), (22, 0x10), (12, 0x02)] {
        let mut broken = state.clone();
        broken[at] = byte;
        assert!(rig.restore(&broken).is_err(), "byte {at}");
    }
    assert_eq!(rig.restore(&state), Ok(()));
}

#[test]
fn guest_node() {
    let expected = "compatible = \"brcm,bcm2711-pm\", \"brcm,bcm2835-pm-wdt\"";
    assert_eq!(describe(rig().declaration(), &[]), expected);
}
