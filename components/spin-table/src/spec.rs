//! What lies in the page: github.com/raspberrypi/tools, armstubs/armstub8.S, whose
//! words are where the Pi's device tree has its `cpu-release-addr`; and how a core
//! leaves it (Linux, Documentation/arch/arm64/booting.rst).

pub(crate) const ADDRESS: &str = "evisor,address";

pub(crate) const PAGE: u64 = 0x1000;
/// Where the first cpu's word is; the others' follow, eight bytes each.
pub(crate) const WORD: u64 = 0xd8;
/// How many there are.
pub(crate) const WORDS: usize = 4;
/// Where the last one ends.
pub(crate) const END: usize = 0xf8;

/// What the others run, with the address of their word in x0.
pub(crate) const STUB: [u32; 5] = [
    0xd503_205f, // wfe
    0xf940_0004, // ldr x4, [x0]
    0xb4ff_ffc4, // cbz x4, .-8
    0xaa1f_03e0, // mov x0, xzr: x1 to x3 still are
    0xd61f_0080, // br  x4
];
