//! The registers of an end: words, at these offsets. Others are an external abort.

/// Reads as [`EVISOR_CHANNEL`].
pub const IDENTITY: u64 = 0x00;
/// The version of these registers: [`THIS_VERSION`].
pub const VERSION: u64 = 0x04;
/// Which end it is, 0 or 1.
pub const NUMBER: u64 = 0x08;
/// How many bytes the ends share.
pub const SIZE: u64 = 0x0c;
/// How often this end has started, modulo 2³²: another number at each start.
pub const STARTS: u64 = 0x10;
/// 1 while the other end's VM runs, else 0.
pub const OTHER: u64 = 0x14;
/// How often the other end has started; 0 until it has.
pub const OTHER_STARTS: u64 = 0x18;
/// A write rings the other end, whatever is written. Reads as 0.
pub const RING: u64 = 0x20;

/// "eVCh", little-endian.
pub const EVISOR_CHANNEL: u32 = 0x6843_5665;
/// The only one.
pub const THIS_VERSION: u32 = 1;

/// Of the saved state.
pub const STATE_TAG: [u8; 8] = *b"channel\0";
/// Of the saved state.
pub const STATE_VERSION: u32 = 1;
