//! What the data sheet says: BCM2711 ARM Peripherals (2022-01-18), chapter 5. What a Pi's
//! firmware leaves, and which pins have which interrupt, is what Linux's
//! `pinctrl-bcm2835.c` and its trees say.

/// Bytes up to the last register. (Linux's trees say 0xb4, and its driver writes the pulls
/// behind that.)
pub const SIZE: u64 = 0xf4;

/// A register by its offset (§5.2). Those of pins come in twos, for the pins from 0 and
/// from 32 (the number here).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// GPFSELn: three bits a pin, ten pins each.
    Function(usize),
    /// GPSETn: ones make high.
    Set(u32),
    /// GPCLRn: ones make low.
    Clear(u32),
    /// GPLEVn: what the pins are.
    Level(u32),
    /// GPEDSn: what was detected; ones clear.
    Events(u32),
    /// GPRENn, GPFENn, GPHENn, GPLENn, GPARENn, GPAFENn: what to detect.
    Detect(usize, u32),
    /// GPIO_PUP_PDN_CNTRL_REGn: two bits a pin, 16 pins each.
    Pull(usize),
    /// None.
    Reserved,
}

/// What can be detected, as in [`Register::Detect`].
pub mod detect {
    /// GPRENn: rising edges.
    pub const RISING: usize = 0;
    /// GPFENn: falling edges.
    pub const FALLING: usize = 1;
    /// GPHENn: a high level.
    pub const HIGH: usize = 2;
    /// GPLENn: a low level.
    pub const LOW: usize = 3;
    /// GPARENn: rising edges, without sampling.
    pub const ASYNC_RISING: usize = 4;
    /// GPAFENn: falling edges, without sampling.
    pub const ASYNC_FALLING: usize = 5;
    /// How many there are.
    pub const KINDS: usize = 6;
}

/// How many pins there are.
pub const PINS: u32 = 58;
/// A bit for each.
pub const ALL: u64 = (1 << PINS) - 1;

/// GPFSELn: an output. 0 is an input, and the others are alternate functions.
pub const OUTPUT: u32 = 1;
/// The pins that have a function in each GPFSELn.
pub const FUNCTIONS: [u32; 6] =
    [0x3fff_ffff, 0x3fff_ffff, 0x3fff_ffff, 0x3fff_ffff, 0x3fff_ffff, 0x00ff_ffff];
/// As the firmware leaves them: 14 and 15 are the mini UART's (alternate function 5, which
/// is 2), and all others are inputs, as after a reset.
pub const FUNCTIONS_RESET: [u32; 6] = [0, 2 << 12 | 2 << 15, 0, 0, 0, 0];

/// GPIO_PUP_PDN_CNTRL_REGn: it pulls up. 0 does not pull.
pub const PULL_UP: u32 = 1;
/// It pulls down.
pub const PULL_DOWN: u32 = 2;
/// The pins that have a pull in each GPIO_PUP_PDN_CNTRL_REGn.
pub const PULLS: [u32; 4] = [u32::MAX, u32::MAX, u32::MAX, 0x000f_ffff];
/// After a reset.
pub const PULLS_RESET: [u32; 4] = [0xaaa9_5555, 0xa0aa_aaaa, 0x50aa_a95a, 0x0005_5555];

/// The pins of each interrupt: 0 to 27, 28 to 45, 46 to 57, and all.
pub const INTERRUPTS: [u64; 4] = [0x0fff_ffff, 0x3fff_f000_0000, 0x03ff_c000_0000_0000, ALL];

impl Register {
    /// The register at `offset`.
    pub fn at(offset: u64) -> Self {
        let number = |from: u64| usize::try_from((offset - from) / 4).unwrap_or(usize::MAX);
        match offset {
            0x00..0x18 => Self::Function(number(0)),
            0x1c..0x94 => Self::of_pins(number(0x1c)),
            0xe4..0xf4 => Self::Pull(number(0xe4)),
            _ => Self::Reserved,
        }
    }

    /// Each kind has two words, and there is one between it and the next.
    fn of_pins(word: usize) -> Self {
        let first = match word % 3 {
            0 => 0,
            1 => 32,
            _ => return Self::Reserved,
        };
        match word / 3 {
            0 => Self::Set(first),
            1 => Self::Clear(first),
            2 => Self::Level(first),
            3 => Self::Events(first),
            kind => Self::Detect(kind - 4, first),
        }
    }
}
