//! The decoder against what an assembler makes of text, and its arithmetic.

use super::{Access, Bank, Base, Extend, Index, Offset, Operation, decode};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

/// Assembled by GNU as 2.40, and the same in the disassembly of LLVM 14.
const KNOWN: &[(u32, &str)] = &[
    (0xb940_0020, "ldr w0, [x1]"),
    (0xf97f_fffe, "ldr x30, [sp, #32760]"),
    (0xb93f_fc3f, "str wzr, [x1, #16380]"),
    (0xf900_03ff, "str xzr, [sp]"),
    (0x397f_fc62, "ldrb w2, [x3, #4095]"),
    (0x3900_0462, "strb w2, [x3, #1]"),
    (0x797f_fca4, "ldrh w4, [x5, #8190]"),
    (0x7900_00a4, "strh w4, [x5]"),
    (0x39c0_0ce6, "ldrsb w6, [x7, #3]"),
    (0x3980_0ce6, "ldrsb x6, [x7, #3]"),
    (0x79c0_0528, "ldrsh w8, [x9, #2]"),
    (0x7980_0528, "ldrsh x8, [x9, #2]"),
    (0xb980_056a, "ldrsw x10, [x11, #4]"),
    (0xb840_4420, "ldr w0, [x1], #4"),
    (0xb850_0420, "ldr w0, [x1], #-256"),
    (0xf84f_f420, "ldr x0, [x1], #255"),
    (0xf85f_0fe0, "ldr x0, [sp, #-16]!"),
    (0xb800_4462, "str w2, [x3], #4"),
    (0xf81f_0ffe, "str x30, [sp, #-16]!"),
    (0x3800_1420, "strb w0, [x1], #1"),
    (0x3840_1c20, "ldrb w0, [x1, #1]!"),
    (0x7800_2420, "strh w0, [x1], #2"),
    (0x785f_ec20, "ldrh w0, [x1, #-2]!"),
    (0x38c0_1420, "ldrsb w0, [x1], #1"),
    (0x3880_1c20, "ldrsb x0, [x1, #1]!"),
    (0x78c0_2420, "ldrsh w0, [x1], #2"),
    (0x7880_2c20, "ldrsh x0, [x1, #2]!"),
    (0xb89f_c420, "ldrsw x0, [x1], #-4"),
    (0xf940_0400, "ldr x0, [x0, #8]"),
    (0xb862_4820, "ldr w0, [x1, w2, uxtw]"),
    (0xb862_5820, "ldr w0, [x1, w2, uxtw #2]"),
    (0xf862_6820, "ldr x0, [x1, x2]"),
    (0xf862_7820, "ldr x0, [x1, x2, lsl #3]"),
    (0xf862_d820, "ldr x0, [x1, w2, sxtw #3]"),
    (0xf862_e820, "ldr x0, [x1, x2, sxtx]"),
    (0xb87f_fbe0, "ldr w0, [sp, xzr, sxtx #2]"),
    (0xb822_7820, "str w0, [x1, x2, lsl #2]"),
    (0x3822_c820, "strb w0, [x1, w2, sxtw]"),
    (0x3822_7820, "strb w0, [x1, x2, lsl #0]"),
    (0x3862_5820, "ldrb w0, [x1, w2, uxtw #0]"),
    (0x38a2_6820, "ldrsb x0, [x1, x2]"),
    (0x7862_7820, "ldrh w0, [x1, x2, lsl #1]"),
    (0x7822_5820, "strh w0, [x1, w2, uxtw #1]"),
    (0xb8a2_7820, "ldrsw x0, [x1, x2, lsl #2]"),
    (0xb85f_f020, "ldur w0, [x1, #-1]"),
    (0xf84f_f020, "ldur x0, [x1, #255]"),
    (0xb810_03e0, "stur w0, [sp, #-256]"),
    (0xf800_103f, "stur xzr, [x1, #1]"),
    (0x385f_f020, "ldurb w0, [x1, #-1]"),
    (0x381f_f020, "sturb w0, [x1, #-1]"),
    (0x785f_e020, "ldurh w0, [x1, #-2]"),
    (0x7800_3020, "sturh w0, [x1, #3]"),
    (0x38df_f020, "ldursb w0, [x1, #-1]"),
    (0x389f_f020, "ldursb x0, [x1, #-1]"),
    (0x78df_f020, "ldursh w0, [x1, #-1]"),
    (0x789f_f020, "ldursh x0, [x1, #-1]"),
    (0xb89f_c020, "ldursw x0, [x1, #-4]"),
    (0xb840_4820, "ldtr w0, [x1, #4]"),
    (0xf85f_8820, "ldtr x0, [x1, #-8]"),
    (0xb800_0820, "sttr w0, [x1]"),
    (0xf800_8be0, "sttr x0, [sp, #8]"),
    (0x3840_0820, "ldtrb w0, [x1]"),
    (0x3800_0820, "sttrb w0, [x1]"),
    (0x7840_0820, "ldtrh w0, [x1]"),
    (0x7800_0820, "sttrh w0, [x1]"),
    (0x38c0_0820, "ldtrsb w0, [x1]"),
    (0x3880_0820, "ldtrsb x0, [x1]"),
    (0x78c0_0820, "ldtrsh w0, [x1]"),
    (0x7880_0820, "ldtrsh x0, [x1]"),
    (0xb880_4820, "ldtrsw x0, [x1, #4]"),
    (0x2940_0440, "ldp w0, w1, [x2]"),
    (0x295f_8440, "ldp w0, w1, [x2, #252]"),
    (0x28e0_07e0, "ldp w0, w1, [sp], #-256"),
    (0xa8c1_7bfd, "ldp x29, x30, [sp], #16"),
    (0xa9e0_7c40, "ldp x0, xzr, [x2, #-512]!"),
    (0x2900_8040, "stp w0, w0, [x2, #4]"),
    (0x2881_7c5f, "stp wzr, wzr, [x2], #8"),
    (0xa9be_7bfd, "stp x29, x30, [sp, #-32]!"),
    (0xa91f_8400, "stp x0, x1, [x0, #504]"),
    (0x287f_8440, "ldnp w0, w1, [x2, #-4]"),
    (0xa841_07e0, "ldnp x0, x1, [sp, #16]"),
    (0x2800_0440, "stnp w0, w1, [x2]"),
    (0xa800_845f, "stnp xzr, x1, [x2, #8]"),
    (0x697f_8440, "ldpsw x0, x1, [x2, #-4]"),
    (0x68c1_0440, "ldpsw x0, x1, [x2], #8"),
    (0x69c1_07e0, "ldpsw x0, x1, [sp, #8]!"),
    (0x88df_fc20, "ldar w0, [x1]"),
    (0xc8df_ffe0, "ldar x0, [sp]"),
    (0x08df_fc20, "ldarb w0, [x1]"),
    (0x48df_fc20, "ldarh w0, [x1]"),
    (0x889f_fc20, "stlr w0, [x1]"),
    (0xc89f_fc20, "stlr x0, [x1]"),
    (0x089f_fc20, "stlrb w0, [x1]"),
    (0x489f_fc3f, "stlrh wzr, [x1]"),
    (0x88df_7c20, "ldlar w0, [x1]"),
    (0x08df_7c20, "ldlarb w0, [x1]"),
    (0x48df_7c20, "ldlarh w0, [x1]"),
    (0xc8df_7c20, "ldlar x0, [x1]"),
    (0x889f_7c20, "stllr w0, [x1]"),
    (0xc89f_7c20, "stllr x0, [x1]"),
    (0x089f_7c20, "stllrb w0, [x1]"),
    (0x489f_7c20, "stllrh w0, [x1]"),
    (0xb8bf_c020, "ldapr w0, [x1]"),
    (0xf8bf_c3e0, "ldapr x0, [sp]"),
    (0x38bf_c020, "ldaprb w0, [x1]"),
    (0x78bf_c020, "ldaprh w0, [x1]"),
    (0x995f_f020, "ldapur w0, [x1, #-1]"),
    (0xd940_8020, "ldapur x0, [x1, #8]"),
    (0x1940_1020, "ldapurb w0, [x1, #1]"),
    (0x5940_2020, "ldapurh w0, [x1, #2]"),
    (0x19c0_0020, "ldapursb w0, [x1]"),
    (0x1980_0020, "ldapursb x0, [x1]"),
    (0x59c0_0020, "ldapursh w0, [x1]"),
    (0x5980_0020, "ldapursh x0, [x1]"),
    (0x9990_0020, "ldapursw x0, [x1, #-256]"),
    (0x9900_4020, "stlur w0, [x1, #4]"),
    (0xd90f_f3e0, "stlur x0, [sp, #255]"),
    (0x1900_0020, "stlurb w0, [x1]"),
    (0x5900_0020, "stlurh w0, [x1]"),
    (0x3d40_0420, "ldr b0, [x1, #1]"),
    (0x7c40_2421, "ldr h1, [x1], #2"),
    (0xbc40_4c22, "ldr s2, [x1, #4]!"),
    (0xfc62_7823, "ldr d3, [x1, x2, lsl #3]"),
    (0x3dff_ffff, "ldr q31, [sp, #65520]"),
    (0x3cc1_0424, "ldr q4, [x1], #16"),
    (0x3ce2_7824, "ldr q4, [x1, x2, lsl #4]"),
    (0x3c62_c824, "ldr b4, [x1, w2, sxtw]"),
    (0x3d00_0020, "str b0, [x1]"),
    (0x7d00_0420, "str h0, [x1, #2]"),
    (0xbc1f_cc20, "str s0, [x1, #-4]!"),
    (0xfc00_8420, "str d0, [x1], #8"),
    (0x3c81_0400, "str q0, [x0], #16"),
    (0x3cdf_f020, "ldur q0, [x1, #-1]"),
    (0xfc00_1020, "stur d0, [x1, #1]"),
    (0x2d40_8440, "ldp s0, s1, [x2, #4]"),
    (0x6cc1_0440, "ldp d0, d1, [x2], #16"),
    (0xacc1_0440, "ldp q0, q1, [x2], #32"),
    (0xada0_7ffe, "stp q30, q31, [sp, #-1024]!"),
    (0xac00_0440, "stnp q0, q1, [x2]"),
    (0x6c5f_8440, "ldnp d0, d1, [x2, #504]"),
    // LDR (literal), written as a distance.
    (0x1800_0020, "ldr w0, [pc, #4]"),
    (0x58ff_ffe0, "ldr x0, [pc, #-4]"),
    (0x9800_0001, "ldrsw x1, [pc]"),
    (0x1c80_0000, "ldr s0, [pc, #-1048576]"),
    (0x5c7f_ffe0, "ldr d0, [pc, #1048572]"),
    (0x9c00_0041, "ldr q1, [pc, #8]"),
];

const UNKNOWN: &[(u32, &str)] = &[
    (0xd503_201f, "nop"),
    (0xd400_0002, "hvc #0"),
    (0x8b02_0020, "add x0, x1, x2"),
    (0x885f_7c20, "ldxr w0, [x1]"),
    (0xc85f_fc20, "ldaxr x0, [x1]"),
    (0x8800_7c41, "stxr w0, w1, [x2]"),
    (0xc800_fc41, "stlxr w0, x1, [x2]"),
    (0xc87f_0440, "ldxp x0, x1, [x2]"),
    (0xc820_0861, "stxp w0, x1, x2, [x3]"),
    (0x88a0_7c41, "cas w0, w1, [x2]"),
    (0x4820_7c82, "casp x0, x1, x2, x3, [x4]"),
    (0xb820_0041, "ldadd w0, w1, [x2]"),
    (0xf820_8041, "swp x0, x1, [x2]"),
    (0xb820_303f, "stset w0, [x1]"),
    (0xf980_0000, "prfm pldl1keep, [x0]"),
    (0xf8a1_6800, "prfm pldl1keep, [x0, x1]"),
    (0xf880_1000, "prfum pldl1keep, [x0, #1]"),
    (0x4c40_7000, "ld1 {v0.16b}, [x0]"),
    (0x4c9f_a000, "st1 {v0.16b, v1.16b}, [x0], #32"),
    (0x0d40_9000, "ld1 {v0.s}[1], [x0]"),
    (0x4d40_c800, "ld1r {v0.4s}, [x0]"),
    (0x4c40_0000, "ld4 {v0.16b-v3.16b}, [x0]"),
    (0xd920_0820, "stg x0, [x1]"),
    (0x6900_0440, "stgp x0, x1, [x2]"),
    (0xd960_0020, "ldg x0, [x1]"),
    (0xd50b_7420, "dc zva, x0"),
    (0xd50b_7e20, "dc civac, x0"),
    (0xf820_1420, "ldraa x0, [x1, #8]"),
    (0xf8a0_1c20, "ldrab x0, [x1, #8]!"),
    (0xd800_0000, "prfm literal"),
    (0x28c0_0042, "ldp w2, w0, [x2], #0"),
    (0x2940_0000, "ldp w0, w0, [x0]"),
    (0xf840_8421, "ldr x1, [x1], #8"),
    (0xf800_8c21, "str x1, [x1, #8]!"),
];

fn register(access: &Access, number: u8) -> String {
    let (wide, name) = match (access.bank, access.size) {
        (Bank::Vector, size) => (false, ["b", "h", "s", "d", "q"][usize::from(size)]),
        (Bank::General, 3) => (true, "x"),
        (Bank::General, _) => (access.operation == Operation::LoadSigned64, "w"),
    };
    let name = if wide { "x" } else { name };
    let zero = number == 31 && access.bank == Bank::General;
    if zero { format!("{name}zr") } else { format!("{name}{number}") }
}

fn mnemonic(access: &Access) -> String {
    let verb = if access.is_store() { "st" } else { "ld" };
    let form = if access.second.is_some() { "p" } else { "r" };
    let signed = matches!(access.operation, Operation::LoadSigned32 | Operation::LoadSigned64);
    let size = match (access.bank, access.size) {
        (Bank::General, 0) => "b",
        (Bank::General, 1) => "h",
        (Bank::General, 2) if signed => "w",
        _ => "",
    };
    format!("{verb}{form}{}{size}", if signed { "s" } else { "" })
}

fn offset(access: &Access) -> String {
    let Offset::Register { number, extend, shift } = access.offset else {
        let Offset::Immediate(distance) = access.offset else { unreachable!() };
        return if distance == 0 { String::new() } else { format!(", #{distance}") };
    };
    let (bank, name) = match extend {
        Extend::Uxtw => ("w", ", uxtw"),
        Extend::Sxtw => ("w", ", sxtw"),
        Extend::Sxtx => ("x", ", sxtx"),
        Extend::Lsl if shift == 0 => ("x", ""),
        Extend::Lsl => ("x", ", lsl"),
    };
    let shift = if shift == 0 { String::new() } else { format!(" #{shift}") };
    let number = if number == 31 { "zr".to_string() } else { number.to_string() };
    format!(", {bank}{number}{name}{shift}")
}

/// As an assembler writes it, but for what the decoder does not tell.
fn text(access: &Access) -> String {
    let base = match access.base {
        Base::Pc => "pc".to_string(),
        Base::Register(31) => "sp".to_string(),
        Base::Register(number) => format!("x{number}"),
    };
    let mut text = format!("{} {}", mnemonic(access), register(access, access.first));
    if let Some(second) = access.second {
        text += &format!(", {}", register(access, second));
    }
    let offset = offset(access);
    text + &match access.index {
        Index::None => format!(", [{base}{offset}]"),
        Index::Pre if offset.is_empty() => format!(", [{base}, #0]!"),
        Index::Pre => format!(", [{base}{offset}]!"),
        Index::Post if offset.is_empty() => format!(", [{base}], #0"),
        Index::Post => format!(", [{base}]{offset}"),
    }
}

/// Without what makes no difference to an emulated access: ordering, privilege,
/// the hint of a pair, how the offset is encoded, a shift by nothing.
fn plain(text: &str) -> String {
    let forms = [
        ("ldapur", "ldr"),
        ("ldapr", "ldr"),
        ("ldlar", "ldr"),
        ("ldar", "ldr"),
        ("ldur", "ldr"),
        ("ldtr", "ldr"),
        ("ldnp", "ldp"),
        ("stllr", "str"),
        ("stlur", "str"),
        ("stlr", "str"),
        ("stur", "str"),
        ("sttr", "str"),
        ("stnp", "stp"),
    ];
    let form =
        forms.iter().find_map(|(from, to)| Some(format!("{to}{}", text.strip_prefix(from)?)));
    let text = form.unwrap_or_else(|| text.to_string());
    text.replace(", lsl #0", "").replace("xtw #0", "xtw").replace("xtx #0", "xtx")
}

#[test]
fn known_encodings() {
    for (word, expected) in KNOWN {
        let access = decode(*word).unwrap_or_else(|| panic!("{expected}: {word:#x}"));
        assert_eq!(text(&access), plain(expected), "{word:#x}");
    }
}

#[test]
fn unknown_encodings() {
    for (word, text) in UNKNOWN {
        assert_eq!(decode(*word), None, "{text}");
    }
}

/// What `text`, which is among the known ones, does.
fn known(text: &str) -> Access {
    let found = KNOWN.iter().find(|known| known.1 == text);
    found.and_then(|(word, _)| decode(*word)).unwrap()
}

#[test]
fn addresses() {
    let cases: &[(&str, u64, u64, u64, Option<u64>)] = &[
        ("ldr w0, [x1]", 0x1000, 0, 0x1000, None),
        ("ldr w0, [x1], #-256", 0x1000, 0, 0x1000, Some(0xf00)),
        ("ldr x0, [sp, #-16]!", 0x1000, 0, 0xff0, Some(0xff0)),
        ("ldr x0, [sp, #-16]!", 0, 0, u64::MAX - 15, Some(u64::MAX - 15)),
        ("ldr w0, [x1, w2, uxtw #2]", 0x1000, 0xffff_ffff_0000_0003, 0x100c, None),
        ("ldr x0, [x1, w2, sxtw #3]", 0x1000, 0x1_ffff_ffff, 0xff8, None),
        ("ldr x0, [x1, x2, lsl #3]", 0x1000, u64::MAX, 0xff8, None),
        ("ldr x0, [x1, x2, sxtx]", 0x1000, 0x10, 0x1010, None),
        ("stp x29, x30, [sp, #-32]!", 0x1000, 0, 0xfe0, Some(0xfe0)),
        ("ldp w0, w1, [sp], #-256", 0x1000, 0, 0x1000, Some(0xf00)),
        ("ldr x0, [pc, #-4]", 0x1000, 0, 0xffc, None),
    ];
    for (text, base, offset, address, after) in cases {
        let access = known(text);
        assert_eq!(access.address(*base, *offset), *address, "{text}");
        assert_eq!(access.base_after(*base), *after, "{text}");
    }
}

#[test]
fn extensions() {
    let cases: &[(&str, u64, u64)] = &[
        ("ldrb w2, [x3, #4095]", 0x80, 0x80),
        ("ldrsb w6, [x7, #3]", 0x80, 0xffff_ff80),
        ("ldrsb x6, [x7, #3]", 0x80, 0xffff_ffff_ffff_ff80),
        ("ldrsb x6, [x7, #3]", 0x7f, 0x7f),
        ("ldrsh w8, [x9, #2]", 0x8000, 0xffff_8000),
        ("ldrsh x8, [x9, #2]", 0x8000, 0xffff_ffff_ffff_8000),
        ("ldrsw x10, [x11, #4]", 0x8000_0000, 0xffff_ffff_8000_0000),
        ("ldpsw x0, x1, [x2, #-4]", 0xffff_fffe, 0xffff_ffff_ffff_fffe),
        ("ldr w0, [x1]", 0xffff_ffff, 0xffff_ffff),
        ("ldr x0, [x1], #255", u64::MAX, u64::MAX),
    ];
    for (text, element, expected) in cases {
        assert_eq!(known(text).extended(*element), *expected, "{text}");
    }
}

proptest! {
    #[test]
    fn any_word(word in any::<u32>(), base in any::<u64>(), value in any::<u64>()) {
        let Some(access) = decode(word) else { return Ok(()) };
        // Bit 25 clear and bit 27 set: the loads and stores.
        prop_assert_eq!(word >> 25 & 0b101, 0b100);
        prop_assert!(access.size <= 3 || access.bank == Bank::Vector && access.size == 4);
        prop_assert!(access.first < 32 && access.second.is_none_or(|second| second < 32));
        let address = access.address(base, value);
        if let Some(after) = access.base_after(base) {
            prop_assert!(address == base || address == after);
        }
        let extended = access.extended(value);
        if access.operation == Operation::Load {
            prop_assert_eq!(extended, value);
        }
    }
}
