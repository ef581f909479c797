//! A64 loads and stores, from the encoding to what is accessed; and, in [`serror`], how
//! far an error went.
//!
//! For accesses whose syndrome does not say it (ISV is 0): pairs, those that
//! change their base register, those of SIMD and floating-point registers. The
//! decoder knows every load and store that moves whole registers (DDI 0487,
//! "Loads and Stores" in "A64 instruction set encoding"), whether or not its
//! syndrome would have been valid.
//!
//! What it does not know has no sensible meaning for a device that is emulated:
//! exclusives, atomics, compare and swap, the structures of Advanced SIMD (LD1 to
//! LD4), tags, 64-byte accesses, memory copies, loads with pointer
//! authentication, SVE. Prefetches never abort.
//!
//! Some things make no difference to an access that has been trapped, and are not
//! told: its ordering (every access to an emulated device is ordered), the
//! no-allocate hint, and that it is unprivileged (stage 1 has permitted it).

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod serror;
#[cfg(test)]
mod tests;

/// One load or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What is done with the registers.
    pub operation: Operation,
    /// Which registers they are.
    pub bank: Bank,
    /// The register of the element at the lower address.
    pub first: u8,
    /// Of a pair, that of the element behind it.
    pub second: Option<u8>,
    /// Log2 of an element's bytes: 0 to 3, and 4 for a vector.
    pub size: u8,
    /// What the address is relative to.
    pub base: Base,
    offset: Offset,
    index: Index,
}

/// What is done with the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Memory is written.
    Store,
    /// Memory is read, and the register's other bits are cleared.
    Load,
    /// Sign-extended to 32 bits; the register's other bits are cleared.
    LoadSigned32,
    /// Sign-extended to 64 bits.
    LoadSigned64,
}

/// A file of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bank {
    /// X0 to X30; 31 is XZR.
    General,
    /// V0 to V31.
    Vector,
}

/// What an address is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The instruction.
    Pc,
    /// A general-purpose register; 31 is SP.
    Register(u8),
}

/// What is added to the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offset {
    Immediate(i32),
    /// A general-purpose register (31 is XZR), extended, then shifted.
    Register {
        number: u8,
        extend: Extend,
        shift: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extend {
    Uxtw,
    Lsl,
    Sxtw,
    Sxtx,
}

/// When the offset is added to the base, and whether the base keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Index {
    None,
    Pre,
    Post,
}

impl Access {
    /// Whether memory is written.
    pub fn is_store(&self) -> bool {
        self.operation == Operation::Store
    }

    /// The number of the register that is added to the base, if one is.
    pub fn offset_register(&self) -> Option<u8> {
        match self.offset {
            Offset::Register { number, .. } => Some(number),
            Offset::Immediate(_) => None,
        }
    }

    /// The address of the first element. `base` is what [`base`](Self::base)
    /// holds, `offset` what [`offset_register`](Self::offset_register) does.
    pub fn address(&self, base: u64, offset: u64) -> u64 {
        match self.index {
            Index::Post => base,
            Index::None | Index::Pre => base.wrapping_add(self.distance(offset)),
        }
    }

    /// What the base register holds afterwards, if it changes.
    pub fn base_after(&self, base: u64) -> Option<u64> {
        match self.index {
            Index::None => None,
            Index::Pre | Index::Post => Some(base.wrapping_add(self.distance(0))),
        }
    }

    fn distance(&self, offset: u64) -> u64 {
        match self.offset {
            Offset::Immediate(distance) => i64::from(distance).cast_unsigned(),
            Offset::Register { extend, shift, .. } => extend.of(offset) << shift,
        }
    }

    /// What a general-purpose register holds after `element` was loaded into it.
    pub fn extended(&self, element: u64) -> u64 {
        let unused = 64_u32.saturating_sub(8 << self.size);
        let signed = (element << unused).cast_signed() >> unused;
        match self.operation {
            Operation::LoadSigned64 => signed.cast_unsigned(),
            Operation::LoadSigned32 => signed.cast_unsigned() & 0xffff_ffff,
            Operation::Load | Operation::Store => element,
        }
    }

    /// Whether the manual lets a core do something else: a pair loaded into one
    /// register, or a base that changes and is loaded or stored as well ("Architectural
    /// Constraints on UNPREDICTABLE behaviors").
    fn is_unpredictable(&self) -> bool {
        let twice = !self.is_store() && self.second == Some(self.first);
        let Base::Register(base) = self.base else { return twice };
        let moved = base != 31 && (base == self.first || self.second == Some(base));
        twice || (moved && self.bank == Bank::General && self.index != Index::None)
    }
}

impl Extend {
    fn of(self, offset: u64) -> u64 {
        match self {
            Self::Uxtw => offset & 0xffff_ffff,
            Self::Sxtw => i64::from((offset as u32).cast_signed()).cast_unsigned(),
            Self::Lsl | Self::Sxtx => offset,
        }
    }
}

/// What `word` does, if it is a load or store of those above.
pub fn decode(word: u32) -> Option<Access> {
    let word = Word(word);
    // Bits 28 to 25 of all loads and stores are x1x0; bits 29 to 27 name the group.
    let group = if word.bit(25) { None } else { Some(word.bits(27, 3)) };
    let access = match group? {
        0b001 => ordered(word),
        0b011 if word.bit(24) => ordered_unscaled(word),
        0b011 => literal(word),
        0b101 => pair(word),
        0b111 if word.bit(24) => unsigned_immediate(word),
        0b111 if word.bit(21) => register_offset(word),
        0b111 => signed_immediate(word),
        _ => None,
    };
    access.filter(|access| !access.is_unpredictable())
}

#[derive(Clone, Copy)]
struct Word(u32);

impl Word {
    fn bits(self, low: u32, count: u32) -> u32 {
        self.0 >> low & ((1 << count) - 1)
    }

    fn bit(self, number: u32) -> bool {
        self.bits(number, 1) != 0
    }

    fn signed(self, low: u32, count: u32) -> i32 {
        let unused = 32 - count;
        (self.bits(low, count) << unused).cast_signed() >> unused
    }

    fn register(self, low: u32) -> u8 {
        self.bits(low, 5) as u8
    }

    /// The access that `what` says, of Rt, at Rn and `offset`.
    fn at(self, what: What, offset: Offset, index: Index) -> Access {
        Access {
            operation: what.operation,
            bank: what.bank,
            first: self.register(0),
            second: None,
            size: what.size,
            base: Base::Register(self.register(5)),
            offset,
            index,
        }
    }
}

/// What kind of register is transferred.
#[derive(Clone, Copy)]
struct What {
    operation: Operation,
    bank: Bank,
    size: u8,
}

/// Of size (bits 31, 30), V (26) and opc (23, 22): the same in every group of
/// single registers.
fn what(word: Word) -> Option<What> {
    let (size, opc) = (word.bits(30, 2) as u8, word.bits(22, 2));
    if word.bit(26) { vector(size, opc) } else { general(size, opc) }
}

fn general(size: u8, opc: u32) -> Option<What> {
    let operation = match (opc, size) {
        (0, _) => Operation::Store,
        (1, _) => Operation::Load,
        (2, 0..=2) => Operation::LoadSigned64,
        (3, 0..=1) => Operation::LoadSigned32,
        // Prefetches, and unallocated.
        _ => return None,
    };
    Some(What { operation, bank: Bank::General, size })
}

fn vector(size: u8, opc: u32) -> Option<What> {
    let size = match (opc & 2, size) {
        (0, _) => size,
        (_, 0) => 4,
        _ => return None,
    };
    Some(What { operation: direction(opc & 1 != 0), bank: Bank::Vector, size })
}

fn direction(load: bool) -> Operation {
    if load { Operation::Load } else { Operation::Store }
}

/// LDAR, STLR, LDLAR, STLLR: of their group those with o2 = 1, o1 = 0. Rs and Rt2
/// mean nothing.
fn ordered(word: Word) -> Option<Access> {
    let fixed = word.0 & 0x3fa0_0000 == 0x0880_0000;
    let what = general(word.bits(30, 2) as u8, word.bits(22, 1))?;
    fixed.then(|| word.at(what, Offset::Immediate(0), Index::None))
}

/// LDAPUR, STLUR.
fn ordered_unscaled(word: Word) -> Option<Access> {
    let fixed = word.0 & 0x3f20_0c00 == 0x1900_0000;
    fixed.then(|| unscaled(word, Index::None))?
}

/// LDR (literal), LDRSW (literal).
fn literal(word: Word) -> Option<Access> {
    let (opc, is_vector) = (word.bits(30, 2), word.bit(26));
    let (operation, size) = match (opc, is_vector) {
        (0 | 1, _) => (Operation::Load, 2 + opc),
        (2, true) => (Operation::Load, 4),
        (2, false) => (Operation::LoadSigned64, 2),
        _ => return None,
    };
    let bank = if is_vector { Bank::Vector } else { Bank::General };
    let offset = Offset::Immediate(word.signed(5, 19) << 2);
    let what = What { operation, bank, size: size as u8 };
    Some(Access { base: Base::Pc, ..word.at(what, offset, Index::None) })
}

/// LDP, STP, LDNP, STNP, LDPSW.
fn pair(word: Word) -> Option<Access> {
    let (opc, load, mode) = (word.bits(30, 2), word.bit(22), word.bits(23, 2));
    let (operation, size) = match (opc, word.bit(26)) {
        (0..=2, true) => (direction(load), 2 + opc),
        (0 | 2, false) => (direction(load), 2 + opc / 2),
        (1, false) if load && mode != 0 => (Operation::LoadSigned64, 2),
        // STGP, and unallocated.
        _ => return None,
    };
    let index = match mode {
        1 => Index::Post,
        3 => Index::Pre,
        _ => Index::None,
    };
    let bank = if word.bit(26) { Bank::Vector } else { Bank::General };
    let offset = Offset::Immediate(word.signed(15, 7) << size);
    let what = What { operation, bank, size: size as u8 };
    Some(Access { second: Some(word.register(10)), ..word.at(what, offset, index) })
}

/// LDR, STR (immediate), unsigned offset.
fn unsigned_immediate(word: Word) -> Option<Access> {
    let what = what(word)?;
    let offset = Offset::Immediate((word.bits(10, 12) << what.size).cast_signed());
    Some(word.at(what, offset, Index::None))
}

/// LDUR, STUR; LDTR, STTR; LDR, STR (immediate), pre- and post-indexed.
fn signed_immediate(word: Word) -> Option<Access> {
    match word.bits(10, 2) {
        0b00 => unscaled(word, Index::None),
        0b01 => unscaled(word, Index::Post),
        // There are no unprivileged ones of vectors.
        0b10 if word.bit(26) => None,
        0b10 => unscaled(word, Index::None),
        _ => unscaled(word, Index::Pre),
    }
}

fn unscaled(word: Word, index: Index) -> Option<Access> {
    Some(word.at(what(word)?, Offset::Immediate(word.signed(12, 9)), index))
}

/// LDR, STR (register), and LDAPR, which stands among the atomics.
fn register_offset(word: Word) -> Option<Access> {
    if word.0 & 0x3fff_fc00 == 0x38bf_c000 {
        let what = general(word.bits(30, 2) as u8, 1)?;
        return Some(word.at(what, Offset::Immediate(0), Index::None));
    }
    let extend = match word.bits(13, 3) {
        0b010 => Extend::Uxtw,
        0b011 => Extend::Lsl,
        0b110 => Extend::Sxtw,
        0b111 => Extend::Sxtx,
        _ => return None,
    };
    let what = what(word).filter(|_| word.bits(10, 2) == 0b10)?;
    let shift = if word.bit(12) { what.size } else { 0 };
    let offset = Offset::Register { number: word.register(16), extend, shift };
    Some(word.at(what, offset, Index::None))
}
