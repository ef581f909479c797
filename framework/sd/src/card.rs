//! What a card says of itself: CSD (PL §5.3), SCR (PL §5.6), the switch status
//! (PL §4.3.10.4).

use crate::error::SdError;

/// A card that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its 512-byte blocks.
    pub blocks: u64,
    /// It is addressed by blocks (SDHC, SDXC), otherwise by bytes.
    pub high_capacity: bool,
    /// Four data lines are used, otherwise one.
    pub four_lines: bool,
    /// The frequency of its clock, in Hz.
    pub hertz: u32,
    /// Its owner or its maker does not want it to be written (CSD). Writes fail.
    pub write_protected: bool,
    /// Its relative address.
    pub(crate) address: u16,
}

/// The card-specific data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Csd(u128);

impl Csd {
    /// From the response registers: they hold bits 127 to 8, at 119 to 0 (HC §2.2.7).
    pub fn from_response(words: [u32; 4]) -> Self {
        let value = words.iter().rev().fold(0, |value, &word| value << 32 | u128::from(word));
        Self(value << 8)
    }

    fn field(self, from: u32, bits: u32) -> u64 {
        (self.0 >> from) as u64 & ((1 << bits) - 1)
    }

    /// Its 512-byte blocks.
    ///
    /// # Errors
    /// It is of a version that is not known here (SDUC), or holds less than one block.
    pub fn blocks(self) -> Result<u64, SdError> {
        let blocks = match self.field(126, 2) {
            // PL §5.3.2: (C_SIZE + 1) * 2^(C_SIZE_MULT + 2) * 2^READ_BL_LEN bytes.
            0 => {
                let shift = self.field(47, 3) + 2 + self.field(80, 4);
                (self.field(62, 12) + 1) << shift >> 9
            }
            // PL §5.3.3: (C_SIZE + 1) * 512 KiB.
            1 => (self.field(48, 22) + 1) << 10,
            _ => return Err(SdError::Unsupported("it is an SDUC card")),
        };
        if blocks == 0 { Err(SdError::Unsupported("it has no capacity")) } else { Ok(blocks) }
    }

    /// CCC has class 10: CMD6 is known.
    pub fn can_switch(self) -> bool {
        self.field(84 + 10, 1) == 1
    }

    /// PERM_WRITE_PROTECT or TMP_WRITE_PROTECT.
    pub fn write_protected(self) -> bool {
        self.field(12, 2) != 0
    }
}

/// The SD configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scr(u64);

impl Scr {
    /// From the two words that were transferred, the most significant byte first.
    pub fn from_words(words: [u32; 2]) -> Self {
        let [upper, lower] = words.map(u32::swap_bytes);
        Self(u64::from(upper) << 32 | u64::from(lower))
    }

    /// SD_SPEC: from version 1.10 on CMD6 is known.
    pub fn can_switch(self) -> bool {
        self.0 >> 56 & 0xf >= 1
    }

    /// SD_BUS_WIDTHS has four lines.
    pub fn four_lines(self) -> bool {
        self.0 >> 50 & 1 == 1
    }
}

/// CMD6's status of 512 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchStatus([u32; 16]);

impl SwitchStatus {
    /// From the words that were transferred, the most significant byte first.
    pub fn from_words(words: [u32; 16]) -> Self {
        Self(words)
    }

    /// Byte 0 is bits 511 to 504.
    fn byte(&self, index: usize) -> u8 {
        let word = self.0.get(index / 4).copied().unwrap_or(0);
        word.to_le_bytes().get(index % 4).copied().unwrap_or(0)
    }

    /// Group 1 has function 1: bit 401.
    pub fn offers_high_speed(&self) -> bool {
        self.byte(13) & 2 != 0
    }

    /// Group 1 is at function 1: bits 379 to 376.
    pub fn is_high_speed(&self) -> bool {
        self.byte(16) & 0xf == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The four response words of a CSD, which lack its CRC.
    fn response(csd: u128) -> [u32; 4] {
        let csd = csd >> 8;
        [0, 32, 64, 96].map(|shift| (csd >> shift) as u32)
    }

    /// PL §5.3.2, §5.3.3. The first two are cards' own, the others are made.
    #[test]
    fn capacities() {
        let (unit, kib) = (2_u64, 1024);
        let table = [
            // READ_BL_LEN 10, C_SIZE 0xf03, C_SIZE_MULT 3: 126 MB.
            (0x002d_0032_5b5a_83c0_ff6d_bfff_1680_00c9_u128, (0xf03 + 1) << 6),
            // C_SIZE 0x3b37: an SDHC card of 8 GB.
            (0x400e_0032_5b59_0000_3b37_7f80_0a40_0001, (0x3b37 + 1) * 512 * unit),
            // The smallest of version 1: READ_BL_LEN 9, 4 blocks.
            (9 << 80, 4),
            // The largest: READ_BL_LEN 11, C_SIZE 0xfff, C_SIZE_MULT 7: 4 GiB.
            (11 << 80 | 0xfff << 62 | 7 << 47, 4 * kib * kib * unit),
            // The largest of version 2: 2 TiB.
            (1 << 126 | 0x3f_ffff << 48, 1 << 32),
        ];
        for (csd, blocks) in table {
            assert_eq!(Csd::from_response(response(csd)).blocks(), Ok(blocks), "{csd:#x}");
        }
        for (csd, why) in [(2 << 126, "it is an SDUC card"), (0, "it has no capacity")] {
            let csd = Csd::from_response(response(csd));
            assert_eq!(csd.blocks(), Err(SdError::Unsupported(why)));
        }
    }

    #[test]
    fn other_fields_of_the_csd() {
        let csd = Csd::from_response(response(0x400e_0032_5b59_0000_3b37_7f80_0a40_0001));
        assert!(csd.can_switch() && !csd.write_protected());
        let csd = Csd::from_response(response(1 << 12));
        assert!(!csd.can_switch() && csd.write_protected());
    }

    /// PL §5.6.
    #[test]
    fn scr() {
        let bytes = [0x02, 0x35, 0x80, 0x00, 0, 0, 0, 0_u8];
        let scr = Scr::from_words([
            u32::from_le_bytes(bytes[..4].try_into().unwrap()),
            u32::from_le_bytes(bytes[4..].try_into().unwrap()),
        ]);
        assert!(scr.can_switch() && scr.four_lines());
        // SD_SPEC 0, SD_BUS_WIDTHS 1.
        let scr = Scr::from_words([0x0000_0100, 0]);
        assert!(!scr.can_switch() && !scr.four_lines());
    }

    /// PL §4.3.10.4: 511 to 496 is the current, 415 to 400 what group 1 has, 379 to
    /// 376 what it is at.
    #[test]
    fn switch_status() {
        let mut bytes = [0_u8; 64];
        bytes[13] = 0x03;
        bytes[16] = 0x01;
        let words = core::array::from_fn(|i| {
            u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap())
        });
        let status = SwitchStatus::from_words(words);
        assert!(status.offers_high_speed() && status.is_high_speed());
        let status = SwitchStatus::from_words([0; 16]);
        assert!(!status.offers_high_speed() && !status.is_high_speed());
    }
}
