//! How each device says that it is not there, or that nothing is attached. No data sheet is
//! public: this is what the drivers ask first, U-Boot's (`dwc2.c`, `pcie_brcmstb.c`,
//! `bcmgenet.c`), Linux's (`dwc2/core.c`, `pcie-brcmstb.c`, `bcmgenet.c`,
//! `mdio-bcm-unimac.c`) and Circle's. Windows and interrupts are those of Linux's trees.

use core::ops::Range;

/// What is read at some offsets, whatever was written.
pub type Answer = (Range<u64>, u32);

/// USB, a DWC2: bytes of its window.
pub const USB: u64 = 0x1_0000;
/// GSNPSID at 0x40 is 0 as all else is, and not "OT" and a release.
pub const USB_ANSWERS: &[Answer] = &[];

/// PCIe: bytes of the window.
pub const PCIE: u64 = 0x9310;
/// The root complex is one, and its link is down: nothing is behind it. Nor is there a
/// function at any number, its own included: all ones, as PCI says it (PCI Local Bus
/// 3.0, §6.1).
pub const PCIE_ANSWERS: &[Answer] = &[
    (0x0000..0x0004, u32::MAX), // vendor and device of the root port
    (0x4068..0x406c, 1 << 7),   // PCIE_MISC_PCIE_STATUS: PORT, not PHYLINKUP, not DL_ACTIVE
    (0x8000..0x9000, u32::MAX), // PCIE_EXT_CFG_DATA: a function's configuration
];

/// Ethernet, a GENET: bytes of the window.
pub const ETHERNET: u64 = 0x1_0000;
/// SYS_REV_CTRL at 0 is 0, where a BCM2711's has major number 6. No PHY answers at any
/// address.
pub const ETHERNET_ANSWERS: &[Answer] = &[
    (0x0e14..0x0e18, 1 << 28 | 0xffff), // MDIO_CMD: MDIO_READ_FAIL, not MDIO_START_BUSY
];
