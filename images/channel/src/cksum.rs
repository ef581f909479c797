//! The checksum of POSIX's `cksum`: a CRC of 32 bits, most significant bit first, over the
//! bytes and then over their number.

const POLYNOMIAL: u32 = 0x04c1_1db7;

#[expect(clippy::indexing_slicing, reason = "below 256, when it is compiled")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 31 == 0 { crc << 1 } else { crc << 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

static TABLE: [u32; 256] = table();

/// A sum on its way.
#[derive(Clone, Copy, Default)]
pub struct Cksum {
    crc: u32,
    bytes: u64,
}

impl Cksum {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.crc = bytes.iter().fold(self.crc, step);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes there were.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum.
    pub fn sum(&self) -> u32 {
        let digits = (64 - self.bytes.leading_zeros()).div_ceil(8) as usize;
        let length = self.bytes.to_le_bytes();
        !length.iter().take(digits).fold(self.crc, step)
    }
}

#[expect(clippy::indexing_slicing, reason = "a byte, and 256 entries")]
fn step(crc: u32, byte: &u8) -> u32 {
    crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)]
}
