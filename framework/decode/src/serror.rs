//! What a physical SError that was taken from a guest says of itself (DDI 0487, ESR_ELx,
//! "ISS encoding for an SError interrupt"; Asynchronous Error Type).

/// How far the error went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SError {
    /// It was corrected, or was not consumed, and the guest can go on where it is.
    Restartable,
    /// The guest's state is not what it was, and nobody else's is known to be hurt.
    Contained,
    /// It may have gone anywhere, without a trace: nothing is to be trusted any more.
    Uncontainable,
}

/// IDS: what follows is the core's own encoding.
const IDS: u64 = 1 << 24;
/// DFSC of an SError whose type AET gives (FEAT_RAS). Of any other AET is RES0.
const ASYNCHRONOUS: u64 = 0b01_0001;

impl SError {
    /// By ESR_EL2. A core without FEAT_RAS does not say how far it went: what it tells late
    /// is an access that was answered with an error, which is its guest's.
    #[must_use]
    pub const fn of(esr: u64) -> Self {
        if esr & IDS != 0 || esr & 0x3f != ASYNCHRONOUS {
            return Self::Contained;
        }
        match esr >> 10 & 0b111 {
            0b010 | 0b110 => Self::Restartable, // UEO, CE
            0b001 | 0b011 => Self::Contained,   // UEU, UER
            _ => Self::Uncontainable,           // UC, and what is reserved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EC 0x2f, IL.
    const CLASS: u64 = 0x2f << 26 | 1 << 25;
    /// EA, and IESB: neither says how far it went.
    const BESIDE: [u64; 4] = [0, 1 << 9, 1 << 13, 1 << 9 | 1 << 13];

    fn of(iss: u64) -> SError {
        let all = BESIDE.map(|bits| SError::of(CLASS | bits | iss));
        assert_eq!(all, [all[0]; 4], "{iss:#x}");
        all[0]
    }

    /// DDI 0487, ESR_ELx, ISS encoding for an SError interrupt, AET.
    #[test]
    fn the_type_says_how_far_it_went() {
        let types = [
            (0b000, SError::Uncontainable),
            (0b001, SError::Contained),
            (0b010, SError::Restartable),
            (0b011, SError::Contained),
            (0b100, SError::Uncontainable),
            (0b101, SError::Uncontainable),
            (0b110, SError::Restartable),
            (0b111, SError::Uncontainable),
        ];
        for (aet, expected) in types {
            assert_eq!(of(aet << 10 | 0b01_0001), expected, "AET {aet:#05b}");
        }
    }

    #[test]
    fn without_a_type_it_is_the_guests() {
        // Uncategorized; what looks like a type is none.
        for aet in 0..8 {
            assert_eq!(of(aet << 10), SError::Contained);
            assert_eq!(of(1 << 24 | aet << 10 | 0b01_0001), SError::Contained);
        }
        // A core's own encoding, as those without FEAT_RAS have.
        for own in 0..4 {
            assert_eq!(of(1 << 24 | own), SError::Contained);
        }
    }
}
