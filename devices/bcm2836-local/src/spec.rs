//! What the data sheets say: ARM Quad A7 core (QA7, 3.4 of 2014-08-18), chapter 4, and of
//! a BCM2711, where it is still there, BCM2711 ARM Peripherals (2022-01-18), §6.5.2.

/// Bytes of the window.
pub const SIZE: u64 = 0x100;

/// A register by its offset, where it does not just keep what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// What only keeps what is written, by number: see [`KEPT`].
    Kept(usize),
    /// Performance monitor interrupts routing: ones set.
    MonitorSet,
    /// The same: ones clear.
    MonitorClear,
    /// Core timer access: the lower half of the count.
    CountLow,
    /// The upper half, as it was when the lower one was read (QA7 §3.1.2).
    CountHigh,
    /// A core's mailbox, by number: ones set.
    MailboxSet(usize),
    /// The same, to be read too: ones clear.
    MailboxClear(usize),
    /// Nothing, or what reads as zero here: interrupts that wait, the local timer's flags.
    Zero,
}

/// How many words keep what is written: those up to the interrupts' sources.
pub const WORDS: usize = 0x60 / 4;
/// The bits of each that do.
pub const KEPT: [u32; WORDS] = [
    0x0000_01c0, // 0x00: control: the clock of the core timer, by how much it counts
    0,
    u32::MAX, // 0x08: core timer prescaler
    0xf,      // 0x0c: GPU interrupts routing
    0,        // 0x10: performance monitor interrupts routing, set
    0,        // 0x14: and clear
    0,
    0,           // 0x1c: core timer access
    0,           // 0x20: and its upper half
    0x7,         // 0x24: local timer interrupt routing
    0,           // 0x28
    0,           // 0x2c: AXI outstanding counters
    0x001f_ffff, // 0x30: AXI outstanding interrupt
    0x3fff_ffff, // 0x34: local timer control and status
    0,           // 0x38: local timer write flags
    0,
    0xff, // 0x40: timers interrupt control of core 0
    0xff,
    0xff,
    0xff,
    0xff, // 0x50: mailboxes interrupt control of core 0
    0xff,
    0xff,
    0xff,
];
/// What a Pi's firmware leaves: with this prescaler the counter runs as the crystal does.
pub const RESET: [u32; WORDS] = {
    let mut words = [0; WORDS];
    words[0x08 / 4] = 0x8000_0000;
    words
};

/// The bits of performance monitor interrupts routing: IRQ and FIQ of each core.
pub const MONITORS: u32 = 0xff;
/// Four mailboxes for each of four cores.
pub const MAILBOXES: usize = 16;

impl Register {
    /// The register at `offset`.
    pub fn at(offset: u64) -> Self {
        let number = |from: u64| usize::try_from((offset - from) / 4).unwrap_or(usize::MAX);
        match offset {
            0x10 => Self::MonitorSet,
            0x14 => Self::MonitorClear,
            0x1c => Self::CountLow,
            0x20 => Self::CountHigh,
            0x00..0x60 => Self::Kept(number(0)),
            0x80..0xc0 => Self::MailboxSet(number(0x80)),
            0xc0..0x100 => Self::MailboxClear(number(0xc0)),
            _ => Self::Zero,
        }
    }
}
