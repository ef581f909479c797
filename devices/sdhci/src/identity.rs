//! The registers that say what card it is, and the answer to CMD6. The first byte
//! of each is the one that the card sends first.

use crate::card_spec::UNIT;

/// The most that a register has.
pub const LONGEST: usize = 64;

/// Bits `low` and up of a register of 128 bits.
const fn field(value: u128, low: u32) -> u128 {
    value << low
}

/// A register of 128 bits as a response has it (host controller specification,
/// §2.2.7, Table 2-12): bits 127:8, from bit 0 up.
fn response(register: u128) -> [u32; 4] {
    let bytes = (register >> 8).to_le_bytes();
    let (words, _) = bytes.as_chunks::<4>();
    let mut response = [0; 4];
    response.iter_mut().zip(words).for_each(|(to, word)| *to = u32::from_le_bytes(*word));
    response
}

/// The card identification register (§5.2): manufacturer 0, which nobody has, "EV",
/// "EVISR", revision 1.0, the number, and January 2026.
pub fn cid(serial: u32) -> [u32; 4] {
    let name = u128::from_be_bytes(*b"\0\0\0\0\0\0\0\0\0EVEVISR");
    let date = 26 << 4 | 1;
    response(field(name, 64) | field(0x10, 56) | field(u128::from(serial), 24) | field(date, 8) | 1)
}

/// The card-specific data register, version 2.0 (§5.3.3), of a card of `blocks`.
pub fn csd(blocks: u64, read_only: bool, fast: bool) -> [u32; 4] {
    let size = u128::from((blocks / UNIT).saturating_sub(1));
    // 25 or 50 MHz.
    let speed = if fast { 0x5a } else { 0x32 };
    response(
        field(1, 126) // CSD_STRUCTURE
            | field(0x0e, 112) // TAAC
            | field(speed, 96) // TRAN_SPEED
            | field(0x535, 84) // CCC: 0, 2, 4, 5, 8, 10
            | field(9, 80) // READ_BL_LEN
            | field(size, 48) // C_SIZE
            | field(1, 46) // ERASE_BLK_EN
            | field(0x7f, 39) // SECTOR_SIZE
            | field(2, 26) // R2W_FACTOR
            | field(9, 22) // WRITE_BL_LEN
            | field(u128::from(read_only), 12) // TMP_WRITE_PROTECT
            | 1,
    )
}

/// The SD configuration register (§5.6): version 3.0x, erased data are zeros, no
/// security, one and four bits, CMD23.
pub const SCR: [u8; 8] = [0x02, 0x05, 0x80, 0x02, 0, 0, 0, 0];

/// The SD status (§4.10.2): bus width; speed class 10; allocation units of 512 KiB,
/// each of which may take a second to erase.
pub fn sd_status(wide: bool) -> [u8; LONGEST] {
    let mut status = [0; LONGEST];
    let [width, _, _, _, _, _, _, _, class, _, unit, _, erase, timeout, ..] = &mut status;
    *width = if wide { 0x80 } else { 0 };
    *class = 4;
    *unit = 6 << 4;
    // One unit, in the low byte of ERASE_SIZE; one second.
    *erase = 1;
    *timeout = 1 << 2;
    status
}

/// What CMD6 with `argument` gives (§4.3.10.4), and whether high speed is selected
/// then.
pub fn switch(argument: u32, fast: bool) -> ([u8; LONGEST], bool) {
    let (access, now_fast) = match argument & 0xf {
        0 => (0, false),
        1 => (1, true),
        0xf => (u8::from(fast), fast),
        _ => (0xf, fast),
    };
    // Of the other five groups there is the default only.
    let other = |group: u32| match argument >> (4 * group) & 0xf {
        0 | 0xf => 0,
        _ => 0xf_u8,
    };
    let wrong = access == 0xf || (1..6).any(|group| other(group) != 0);
    let mut status = [0; LONGEST];
    let [_, current, _, g6, _, g5, _, g4, _, g3, _, g2, _, g1, s65, s43, s21, ..] = &mut status;
    // 100 mA; none if the functions cannot be had.
    *current = if wrong { 0 } else { 100 };
    [g6, g5, g4, g3, g2].into_iter().for_each(|group| *group = 1);
    *g1 = 3;
    *s65 = other(5) << 4 | other(4);
    *s43 = other(3) << 4 | other(2);
    *s21 = other(1) << 4 | access;
    (status, if wrong { fast } else { now_fast })
}
