//! Checked against BCM2711 ARM Peripherals, chapter 5.

use crate::board::listed;
use crate::spec::{INTERRUPTS, PINS, Register, SIZE, detect};
use evisor_contract::LineState;
use evisor_testkit::{Event, GpioState, Rig, Setup, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "brcm,bcm2711-gpio";

const GPSET0: u64 = 0x1c;
const GPCLR0: u64 = 0x28;
const GPLEV0: u64 = 0x34;
const GPEDS0: u64 = 0x40;
const GPREN0: u64 = 0x4c;
const GPFEN0: u64 = 0x58;
const GPHEN0: u64 = 0x64;
const GPLEN0: u64 = 0x70;
const GPAREN0: u64 = 0x7c;
const GPAFEN0: u64 = 0x88;
const PULL0: u64 = 0xe4;

fn rig() -> Rig {
    Rig::new(COMPATIBLE)
}

/// Makes `pin` an output.
fn output(rig: &mut Rig, pin: u64) {
    let (register, shift) = (pin / 10 * 4, pin % 10 * 3);
    let others = rig.read32(register) & !(7 << shift);
    rig.write32(register, others | 1 << shift);
}

/// The register of `pin` in the pair at `first`, and the pin's bit.
fn of(first: u64, pin: u64) -> (u64, u64) {
    (first + pin / 32 * 4, 1 << (pin % 32))
}

fn write(rig: &mut Rig, first: u64, pin: u64) {
    let (register, bit) = of(first, pin);
    rig.write32(register, bit);
}

fn read(rig: &mut Rig, first: u64, pin: u64) -> bool {
    let (register, bit) = of(first, pin);
    rig.read32(register) & bit != 0
}

/// §5.2: offset, value after reset, what is kept of ones.
#[test]
fn registers_reset_and_hold() {
    let table = [
        (0x00, 0, 0x3fff_ffff),
        (0x04, 0x1_2000, 0x3fff_ffff),
        (0x08, 0, 0x3fff_ffff),
        (0x0c, 0, 0x3fff_ffff),
        (0x10, 0, 0x3fff_ffff),
        (0x14, 0, 0x00ff_ffff),
        (GPSET0, 0, 0),
        (GPSET0 + 4, 0, 0),
        (GPCLR0, 0, 0),
        (GPCLR0 + 4, 0, 0),
        (GPEDS0, 0, 0),
        (GPEDS0 + 4, 0, 0),
        (GPREN0, 0, 0xffff_ffff),
        (GPREN0 + 4, 0, 0x03ff_ffff),
        (GPFEN0, 0, 0xffff_ffff),
        (GPFEN0 + 4, 0, 0x03ff_ffff),
        (GPHEN0, 0, 0xffff_ffff),
        (GPHEN0 + 4, 0, 0x03ff_ffff),
        (GPLEN0, 0, 0xffff_ffff),
        (GPLEN0 + 4, 0, 0x03ff_ffff),
        (GPAREN0, 0, 0xffff_ffff),
        (GPAREN0 + 4, 0, 0x03ff_ffff),
        (GPAFEN0, 0, 0xffff_ffff),
        (GPAFEN0 + 4, 0, 0x03ff_ffff),
        (PULL0, 0xaaa9_5555, 0xffff_ffff),
        (PULL0 + 4, 0xa0aa_aaaa, 0xffff_ffff),
        (PULL0 + 8, 0x50aa_a95a, 0xffff_ffff),
        (PULL0 + 12, 0x0005_5555, 0x000f_ffff),
    ];
    for (offset, reset, ones) in table {
        let mut rig = rig();
        assert_eq!(rig.read32(offset), reset, "reset of {offset:#x}");
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), ones, "ones in {offset:#x}");
        rig.reset();
        assert_eq!(rig.read32(offset), reset, "reset again of {offset:#x}");
    }
}

#[test]
fn reserved_offsets_read_as_zero_and_ignore_writes() {
    let mut rig = rig();
    let before = rig.save();
    let reserved = (0..SIZE).step_by(4).filter(|at| Register::at(*at) == Register::Reserved);
    assert_eq!(reserved.clone().count(), 1 + 10 + 20);
    for offset in reserved {
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), 0, "{offset:#x}");
    }
    assert_eq!(rig.save(), before);
}

/// §5.3: alternate function 5 of 14 and 15 is TXD1 and RXD1.
#[test]
fn the_uarts_pins_are_the_mini_uarts() {
    let gpfsel1 = rig().read32(0x04);
    assert_eq!([gpfsel1 >> 12 & 7, gpfsel1 >> 15 & 7], [2, 2], "alternate function 5");
}

#[test]
fn outputs_are_what_was_set() {
    for pin in 0..u64::from(PINS) {
        let mut rig = rig();
        let before = read(&mut rig, GPLEV0, pin);
        write(&mut rig, GPSET0, pin);
        assert_eq!(read(&mut rig, GPLEV0, pin), before, "{pin} is an input");
        output(&mut rig, pin);
        assert!(read(&mut rig, GPLEV0, pin), "{pin} was set as an input");
        write(&mut rig, GPCLR0, pin);
        assert!(!read(&mut rig, GPLEV0, pin), "{pin}");
    }
}

#[test]
fn inputs_are_what_they_are_pulled_to() {
    for pin in 0..u64::from(PINS) {
        for (pull, level) in [(0, false), (1, true), (2, false)] {
            let mut rig = rig();
            rig.write32(PULL0 + pin / 16 * 4, pull << (pin % 16 * 2));
            assert_eq!(read(&mut rig, GPLEV0, pin), level, "{pin} with {pull}");
        }
    }
    // §5.2, the reset values of the pulls: 0 to 8 are pulled up.
    assert_eq!(rig().read32(GPLEV0), 0x1ff);
}

/// The register that detects; and when the pin rises, and when it falls, whether there is
/// an event, and whether there is one again when that was cleared. (Levels were seen before
/// the pin changed, too.)
#[test]
fn edges_and_levels_of_outputs_are_detected() {
    let table = [
        (GPREN0, (true, false), (false, false)),
        (GPFEN0, (false, false), (true, false)),
        (GPHEN0, (true, true), (true, false)),
        (GPLEN0, (true, false), (true, true)),
        (GPAREN0, (true, false), (false, false)),
        (GPAFEN0, (false, false), (true, false)),
    ];
    for pin in [0, 17, 31, 32, 57] {
        for (register, rising, falling) in table {
            for (from, to, expected) in [(GPCLR0, GPSET0, rising), (GPSET0, GPCLR0, falling)] {
                let mut rig = rig();
                write(&mut rig, from, pin);
                output(&mut rig, pin);
                write(&mut rig, register, pin);
                write(&mut rig, to, pin);
                let event = read(&mut rig, GPEDS0, pin);
                write(&mut rig, GPEDS0, pin);
                let found = (event, read(&mut rig, GPEDS0, pin));
                assert_eq!(found, expected, "{register:#x} of {pin}, {to:#x}");
            }
        }
    }
}

#[test]
fn a_level_comes_again_until_it_is_gone() {
    let mut rig = rig();
    write(&mut rig, GPHEN0, 3);
    assert!(read(&mut rig, GPEDS0, 3), "3 is pulled up");
    write(&mut rig, GPEDS0, 3);
    assert!(read(&mut rig, GPEDS0, 3), "and still is");
    rig.write32(PULL0, 0);
    write(&mut rig, GPEDS0, 3);
    assert!(!read(&mut rig, GPEDS0, 3));
}

/// `bcm2835_gpio_irq_handler`: which pins have which interrupt.
#[test]
fn events_interrupt() {
    for pin in 0..u64::from(PINS) {
        let mut rig = rig();
        output(&mut rig, pin);
        write(&mut rig, GPREN0, pin);
        write(&mut rig, GPSET0, pin);
        let group = if pin < 28 {
            0
        } else if pin < 46 {
            1
        } else {
            2
        };
        let lines = [0, 1, 2, 3].map(|line| rig.line(line));
        let expected = [0, 1, 2, 3].map(|line| line == group || line == 3);
        assert_eq!(lines, expected, "{pin}");
        let high = |index| Event::Line { index, state: LineState::High };
        assert_eq!(rig.events(), [high(group), high(3)], "{pin}");
        write(&mut rig, GPEDS0, pin);
        assert_eq!([0, 1, 2, 3].map(|line| rig.line(line)), [false; 4], "{pin}");
    }
    assert_eq!(INTERRUPTS[0] | INTERRUPTS[1] | INTERRUPTS[2], INTERRUPTS[3]);
}

/// Interrupts are optional.
#[test]
fn without_lines_events_are_seen() {
    let mut rig = Rig::with(COMPATIBLE, &Setup { lines: Some(0), ..Setup::default() });
    write(&mut rig, GPHEN0, 3);
    assert_eq!((read(&mut rig, GPEDS0, 3), rig.events()), (true, vec![]));
}

#[test]
fn save_and_restore_go_on_alike() {
    for lines in [0, 2, 4] {
        save_and_restore(COMPATIBLE, &Setup { lines: Some(lines), ..Setup::default() });
    }
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}

#[test]
fn pins_that_are_not_there_are_refused() {
    let mut rig = rig();
    let state = rig.save();
    // Behind tag and version: GPFSEL0 and 5, the last pull, the outputs, the last of what
    // is detected.
    let words = 12 + 4 * (6 + 4);
    let last = words + 8 * (2 + detect::KINDS);
    for at in [15, 12 + 23, words - 1, words + 7, last - 1] {
        let mut broken = state.clone();
        broken[at] |= 0x80;
        assert!(rig.restore(&broken).is_err(), "byte {at}");
    }
    assert_eq!((state.len(), rig.restore(&state)), (last, Ok(())));
}

/// Those of the board that the VM has in what follows.
const GIVEN: [u32; 3] = [4, 17, 42];
const GIVEN_BITS: u64 = 1 << 4 | 1 << 17 | 1 << 42;

fn setup_with(pins: &[u32]) -> Setup {
    let cells = pins.iter().flat_map(|pin| pin.to_be_bytes()).collect();
    Setup { properties: vec![("evisor,pins", cells)], ..Setup::default() }
}

fn rig_with_pins() -> Rig {
    Rig::with(COMPATIBLE, &setup_with(&GIVEN))
}

/// Whatever is written: the board's other pins are left alone.
#[test]
fn only_the_given_pins_are_touched() {
    let mut rig = rig_with_pins();
    assert_eq!(rig.gpio().state(), GpioState::default(), "not before the VM starts");
    rig.reset();
    for offset in (0..SIZE).step_by(4) {
        for value in [0xffff_ffff, 0, 0x5555_5555, 0x2492_4924, 0x0924_9249] {
            rig.write32(offset, value);
            let GpioState { outputs, driven, up, down, touched, .. } = rig.gpio().state();
            let all = outputs | driven | up | down | touched;
            assert_eq!(all & !GIVEN_BITS, 0, "{offset:#x} {value:#x}");
        }
    }
    assert_eq!(rig.gpio().state().touched, GIVEN_BITS);
}

#[test]
fn the_boards_outputs_are_what_was_set() {
    for pin in GIVEN.map(u64::from) {
        let mut rig = rig_with_pins();
        let bit = 1 << pin;
        write(&mut rig, GPSET0, pin);
        assert_eq!(rig.gpio().state().outputs, 0, "{pin} is an input");
        output(&mut rig, pin);
        let GpioState { outputs, driven, .. } = rig.gpio().state();
        assert_eq!((outputs, driven), (bit, bit), "{pin} was set as an input");
        assert!(read(&mut rig, GPLEV0, pin));
        write(&mut rig, GPCLR0, pin);
        assert_eq!((rig.gpio().state().driven, read(&mut rig, GPLEV0, pin)), (0, false), "{pin}");
    }
}

#[test]
fn the_boards_inputs_are_what_comes_in() {
    let mut rig = rig_with_pins();
    assert!(!read(&mut rig, GPLEV0, 4), "pulled up here, low there");
    rig.gpio().set_inputs(u64::MAX);
    let mut without = self::rig();
    for pin in 0..u64::from(PINS) {
        let expected = GIVEN_BITS >> pin & 1 != 0 || read(&mut without, GPLEV0, pin);
        assert_eq!(read(&mut rig, GPLEV0, pin), expected, "{pin}");
    }
}

#[test]
fn the_boards_pulls_are_passed_on() {
    for (pull, up, down) in [(0, 0, 0), (1, 1 << 17, 0), (2, 0, 1 << 17), (3, 0, 0)] {
        let mut rig = rig_with_pins();
        rig.write32(PULL0 + 4, pull << 2);
        let state = rig.gpio().state();
        assert_eq!((state.up, state.down), (up, down), "{pull}");
    }
}

/// An alternate function is kept here, and there the pin is an input.
#[test]
fn alternate_functions_do_not_reach_the_board() {
    for function in [0, 2, 3, 4, 5, 6, 7] {
        let mut rig = rig_with_pins();
        output(&mut rig, 17);
        assert_eq!(rig.gpio().state().outputs, 1 << 17);
        rig.write32(4, function << 21);
        assert_eq!((rig.read32(4), rig.gpio().state().outputs), (function << 21, 0));
    }
}

#[test]
fn the_boards_pins_have_no_events() {
    let mut rig = rig_with_pins();
    for register in [GPREN0, GPFEN0, GPHEN0, GPLEN0, GPAREN0, GPAFEN0] {
        for pin in [17, 18] {
            write(&mut rig, register, pin);
        }
    }
    output(&mut rig, 17);
    write(&mut rig, GPSET0, 17);
    assert_eq!(rig.read32(GPEDS0), 1 << 18, "that is low, and leads nowhere");
}

/// §5.2: pulls as after a reset of the chip.
#[test]
fn a_reset_makes_the_boards_pins_inputs() {
    let mut rig = rig_with_pins();
    for pin in [4, 17, 42] {
        output(&mut rig, pin);
        write(&mut rig, GPSET0, pin);
    }
    assert_eq!(rig.gpio().state().driven, GIVEN_BITS);
    rig.reset();
    let (up, down, touched) = (1 << 4, 1 << 17 | 1 << 42, GIVEN_BITS);
    assert_eq!(rig.gpio().state(), GpioState { up, down, touched, ..GpioState::default() });
}

#[test]
fn a_restored_state_is_shown_on_the_board() {
    let mut rig = rig_with_pins();
    output(&mut rig, 17);
    write(&mut rig, GPSET0, 17);
    rig.write32(PULL0 + 4, 1 << 2);
    let state = rig.save();
    let mut other = rig_with_pins();
    other.restore(&state).unwrap();
    let GpioState { outputs, driven, up, .. } = other.gpio().state();
    assert_eq!((outputs, driven, up), (1 << 17, 1 << 17, 1 << 17 | 1 << 4));
    save_and_restore(COMPATIBLE, &setup_with(&GIVEN));
}

#[test]
fn lists_of_pins() {
    assert_eq!(listed(&[0, 0, 0, 17, 0, 0, 0, 57]), Ok(1 << 17 | 1 << 57));
    let bad: [&[u8]; 5] = [&[], &[0, 0, 17], &[0, 0, 0, 58], &[0xff; 4], &[0, 0, 0, 4, 0, 0, 0, 4]];
    for list in bad {
        let problem = listed(list).unwrap_err().into_problem();
        assert_eq!(problem.property.as_deref(), Some("evisor,pins"), "{list:?}");
    }
}
