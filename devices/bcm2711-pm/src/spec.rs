//! What is known of the power manager. BCM2711 ARM Peripherals does not describe it;
//! what is here is what Linux's drivers (`bcm2835_wdt.c`, `bcm2835-power.c`), its
//! binding (`brcm,bcm2835-pm.yaml`) and the firmware agree on.

use tock_registers::register_bitfields;

/// Offsets of the registers. The bridges have theirs behind the power manager's, as
/// the binding lists the windows.
pub mod offset {
    /// PM_RSTC: what resets, and how.
    pub const RSTC: u64 = 0x01c;
    /// PM_RSTS: what has reset, and the partition to boot from.
    pub const RSTS: u64 = 0x020;
    /// PM_WDOG: ticks until the watchdog bites.
    pub const WDOG: u64 = 0x024;
    /// PM_IMAGE: the domain of cameras, the image processor and H.264.
    pub const IMAGE: u64 = 0x108;
    /// PM_GRAFX: the 3D core's domain.
    pub const GRAFX: u64 = 0x10c;
    /// PM_PROC: a processor's domain.
    pub const PROC: u64 = 0x110;
    /// The bridges to what is in the domains; a BCM2711's to its 3D core follow.
    pub const ASB: u64 = super::PM;
    /// In each of the two: the first bridge's control; five follow.
    pub const BRIDGE: u64 = 0x08;
    /// In each of the two: what it is.
    pub const BRIDGE_ID: u64 = 0x20;
}

/// Bytes of the windows.
pub const PM: u64 = 0x114;
/// Bytes of the bridges' windows: up to the identification. (Linux's trees give the
/// second one 0x20 bytes, and its driver reads the word behind them.)
pub const ASB: u64 = 0x24;
/// Bytes of the watchdog alone.
pub const WATCHDOG: u64 = 0x28;

/// What identifies a bridge: "brdg".
pub const BRIDGE_ID: u32 = 0x6272_6467;

/// What is written to any register without the password does not count.
pub const PASSWORD: u32 = 0x5a;
/// The bits that are left beside it.
pub const VALUE: u32 = 0x00ff_ffff;

/// Microseconds in a tick of the watchdog.
pub const TICK: u64 = 16;
/// The bits of PM_WDOG that count.
pub const TICKS: u32 = 0x000f_ffff;

/// PM_RSTC after a reset; it is also what Linux writes to stop the watchdog.
pub const RSTC_RESET: u32 = 0x102;

/// The partition to boot from, in PM_RSTS: every second bit. With all of them set, 63,
/// the firmware halts.
pub const PARTITION: u32 = 0x555;

register_bitfields! { u32,
    pub RSTC [
        /// What the watchdog's bite resets: nothing, or a little, all, or hard.
        WRCFG OFFSET(4) NUMBITS(2) [ Clear = 0, Full = 2 ]
    ],
    pub RSTS [
        /// It was power that came.
        HADPOR 12,
        /// It was the watchdog, with a full reset.
        HADWRF 5
    ],
    /// PM_IMAGE, PM_GRAFX and PM_PROC.
    pub DOMAIN [
        /// The memories are repaired.
        MRDONE 4,
        /// Repair them.
        MEMREP 3,
        /// The power is good.
        POWOK 1,
        /// Close the switches.
        POWUP 0
    ],
    /// A bridge's control.
    pub BRIDGE [
        /// It has stopped.
        ACK 1,
        /// Stop.
        REQ_STOP 0
    ]
}
