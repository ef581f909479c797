//! Checked against BCM2711 ARM Peripherals, §5.2.

use crate::{Bcm2711Gpio, FREE_ON_RASPBERRY_PI_4};
use evisor_contract::{HostGpio, HostPins, Window};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

const GPFSEL: [usize; 6] = [0x00, 0x04, 0x08, 0x0c, 0x10, 0x14];
const GPSET: [usize; 2] = [0x1c, 0x20];
const GPCLR: [usize; 2] = [0x28, 0x2c];
const GPLEV: [usize; 2] = [0x34, 0x38];
const PULL: [usize; 4] = [0xe4, 0xe8, 0xec, 0xf0];

/// Words that keep what was written last, all ones or zeros at first.
struct Board {
    gpio: &'static Bcm2711Gpio,
}

impl Board {
    fn new(word: u32) -> Self {
        let words: Box<[ReadPureWrite<u32>]> =
            (0..Bcm2711Gpio::WORDS).map(|_| ReadPureWrite(word)).collect();
        let registers: Window = UniqueMmioPointer::from(Box::leak(words));
        Self { gpio: Box::leak(Box::new(Bcm2711Gpio::new(registers, u64::MAX))) }
    }

    fn word(&self, offset: usize) -> u32 {
        crate::read(&mut self.gpio.registers.lock(), offset / 4)
    }

    fn put(&self, offset: usize, word: u32) {
        crate::write(&mut self.gpio.registers.lock(), offset / 4, word);
    }

    /// All words, to find what was changed.
    fn words(&self) -> Vec<u32> {
        (0..Bcm2711Gpio::WORDS).map(|word| self.word(4 * word)).collect()
    }
}

/// The offsets of the words that differ.
fn changed(before: &[u32], after: &[u32]) -> Vec<usize> {
    let differ = before.iter().zip(after).enumerate().filter(|(_, (one, two))| one != two);
    differ.map(|(word, _)| 4 * word).collect()
}

#[test]
fn a_pin_changes_its_own_field_of_the_function_register() {
    for pin in 0..58 {
        for word in [0, u32::MAX] {
            let (register, shift) = (GPFSEL[pin / 10], pin % 10 * 3);
            let board = Board::new(word);
            let before = board.words();
            for (outputs, field) in [(1 << pin, 1), (0, 0), (u64::MAX, 1)] {
                board.gpio.set_outputs(1 << pin, outputs);
                assert_eq!(board.word(register), word & !(7 << shift) | field << shift, "{pin}");
            }
            let after = changed(&before, &board.words());
            assert_eq!(after, [register], "{pin}");
        }
    }
}

#[test]
fn a_pin_changes_its_own_field_of_the_pull_register() {
    for pin in 0..58 {
        let (register, shift) = (PULL[pin / 16], pin % 16 * 2);
        for word in [0, u32::MAX] {
            let board = Board::new(word);
            let bit = 1 << pin;
            for (up, down, field) in [(bit, 0, 1), (0, bit, 2), (0, 0, 0), (u64::MAX, 0, 1)] {
                let before = board.words();
                board.gpio.set_pulls(bit, up, down);
                assert_eq!(board.word(register), word & !(3 << shift) | field << shift, "{pin}");
                assert!(changed(&before, &board.words()).iter().all(|at| *at == register));
            }
        }
    }
}

#[test]
fn driving_names_the_pins_and_no_others() {
    for pin in 0..58 {
        let (half, bit) = (pin / 32, 1_u32 << (pin % 32));
        let board = Board::new(0);
        board.gpio.drive(1 << pin, 0);
        assert_eq!((board.word(GPSET[half]), board.words().iter().sum::<u32>()), (bit, bit));
        let board = Board::new(0);
        board.gpio.drive(0, 1 << pin);
        assert_eq!((board.word(GPCLR[half]), board.words().iter().sum::<u32>()), (bit, bit));
    }
}

#[test]
fn levels_come_in_halves() {
    let board = Board::new(0);
    board.put(GPLEV[0], 0x8000_0001);
    board.put(GPLEV[1], 0x0200_0000);
    assert_eq!(board.gpio.levels(), 0x0200_0000_8000_0001);
}

/// Two VMs with pins of the same registers, turn by turn.
#[test]
fn two_owners_do_not_disturb_each_other() {
    let board = Board::new(0);
    // 19 is somebody else's, an alternate function.
    board.put(GPFSEL[1], 4 << 27);
    let (one, two) = (HostPins::new(board.gpio, 1 << 17), HostPins::new(board.gpio, 1 << 18));
    one.set_outputs(u64::MAX, u64::MAX);
    assert_eq!(board.word(GPFSEL[1]), 4 << 27 | 1 << 21);
    two.set_outputs(u64::MAX, u64::MAX);
    assert_eq!(board.word(GPFSEL[1]), 4 << 27 | 1 << 24 | 1 << 21);
    one.set_outputs(u64::MAX, 0);
    assert_eq!(board.word(GPFSEL[1]), 4 << 27 | 1 << 24);
    one.set_pulls(u64::MAX, u64::MAX, 0);
    two.set_pulls(u64::MAX, 0, u64::MAX);
    assert_eq!(board.word(PULL[1]), 1 << 2 | 2 << 4);
    one.drive(u64::MAX, 0);
    assert_eq!((board.word(GPSET[0]), board.word(GPSET[1])), (1 << 17, 0));
    two.drive(0, u64::MAX);
    assert_eq!((board.word(GPCLR[0]), board.word(GPCLR[1])), (1 << 18, 0));
    board.put(GPLEV[0], u32::MAX);
    assert_eq!((one.levels(), two.levels()), (1 << 17, 1 << 18));
    let both = one.pins() | two.pins();
    assert_eq!(both, 3 << 17);
}

/// The same on two cores at once: neither's field is what the other read before.
#[test]
fn two_owners_at_once() {
    let board = Board::new(0);
    std::thread::scope(|scope| {
        for pin in [17, 18] {
            let (pins, board) = (HostPins::new(board.gpio, 1 << pin), &board);
            scope.spawn(move || {
                for round in 0..100_000 {
                    let field = round & 1;
                    pins.set_outputs(u64::MAX, u64::from(field) << pin);
                    let found = board.word(GPFSEL[1]) >> (pin % 10 * 3) & 7;
                    assert_eq!(found, field, "{pin} in round {round}");
                }
            });
        }
    });
}

/// What the board needs: the console's pins, the card's, the wireless chip's.
#[test]
fn the_boards_own_pins_are_not_free() {
    for pin in [14, 15].into_iter().chain(28..=41).chain(43..=63) {
        assert_eq!(FREE_ON_RASPBERRY_PI_4 >> pin & 1, 0, "{pin}");
    }
    assert_eq!(FREE_ON_RASPBERRY_PI_4.count_ones(), 28 - 2 + 1);
}
