//! What Linux's `bcm2711_thermal.c` and its binding (`brcm,avs-ro-thermal.yaml`) know of it:
//! no data sheet is public.

/// Bytes of the window.
pub const SIZE: u64 = 0xf00;

/// AVS_RO_TEMP_STATUS.
pub const TEMP_STATUS: u64 = 0x200;
/// There: the value is one. Both bits, of which Linux wants either.
pub const VALID: u32 = 1 << 16 | 1 << 10;
/// 39.920 °C, by the coefficients of a Pi's tree (-487 and 410040 thousandths): of what can be
/// said so, the nearest to the 40 °C that the mailbox's firmware answers.
pub const VALUE: u32 = 760;
