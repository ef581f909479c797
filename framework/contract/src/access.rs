//! The scalars that describe an access.

/// The width of a memory access, as the syndrome's SAS field encodes it
/// (Arm ARM DDI 0487, ESR_EL2, ISS of a Data Abort).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Width {
    /// 8 bits.
    Byte = 0,
    /// 16 bits.
    Halfword = 1,
    /// 32 bits.
    Word = 2,
    /// 64 bits.
    Doubleword = 3,
}

impl Width {
    /// From the low two bits of `sas`.
    #[inline(always)]
    pub const fn from_sas(sas: u32) -> Self {
        match sas & 3 {
            0 => Self::Byte,
            1 => Self::Halfword,
            2 => Self::Word,
            _ => Self::Doubleword,
        }
    }

    /// In bytes.
    #[inline(always)]
    pub const fn bytes(self) -> u64 {
        1 << self as u32
    }

    /// The bits that a value of this width may have.
    #[inline(always)]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - (8 << self as u32))
    }
}

/// A system register's encoding, as the syndrome of a trapped `MSR`, `MRS` or
/// `SYS` gives it (Arm ARM DDI 0487, ESR_EL2, ISS for EC 0x18), with Rt and the
/// direction masked off: `Op0[21:20] Op2[19:17] Op1[16:14] CRn[13:10] CRm[4:1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Register(u32);

impl Register {
    /// The bits of the syndrome that name a register.
    pub const MASK: u32 = 0x003f_fc1e;

    /// From the assembler's five numbers, as in `S3_0_C0_C4_0`.
    pub const fn new(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> Self {
        Self(
            (op0 & 3) << 20
                | (op2 & 7) << 17
                | (op1 & 7) << 14
                | (crn & 15) << 10
                | (crm & 15) << 1,
        )
    }

    /// From a syndrome.
    #[inline(always)]
    pub const fn from_syndrome(iss: u32) -> Self {
        Self(iss & Self::MASK)
    }

    /// The number that routes are sorted by.
    #[inline(always)]
    pub const fn key(self) -> u32 {
        self.0
    }

    /// Op0, Op1, CRn, CRm, Op2.
    pub const fn fields(self) -> (u32, u32, u32, u32, u32) {
        let k = self.0;
        (k >> 20 & 3, k >> 14 & 7, k >> 10 & 15, k >> 1 & 15, k >> 17 & 7)
    }
}

/// The caller's x0–x17, in place: the arguments of an SMCCC call, and where
/// results beyond the first go (DEN 0028 §2.6, §2.7; x4–x17 are preserved unless
/// the function says otherwise).
pub type CallRegisters = [u64; 18];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_masks() {
        assert_eq!(Width::Byte.mask(), 0xff);
        assert_eq!(Width::Halfword.mask(), 0xffff);
        assert_eq!(Width::Word.mask(), 0xffff_ffff);
        assert_eq!(Width::Doubleword.mask(), u64::MAX);
    }

    #[test]
    fn register_encoding_round_trips() {
        // ID_AA64PFR0_EL1 is S3_0_C0_C4_0.
        let register = Register::new(3, 0, 0, 4, 0);
        assert_eq!(register.fields(), (3, 0, 0, 4, 0));
        // Rt = 5 and the direction bit do not matter.
        assert_eq!(Register::from_syndrome(register.key() | 5 << 5 | 1), register);
    }
}
